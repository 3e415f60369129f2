//! The files that a run leaves on disk, read only by the documentation of the format.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{job::names, whole::Expected};

/// A state file and the files beside it.
#[derive(Debug)]
pub(crate) struct Remains {
    folder: PathBuf,
    /// `None` if there is no state file.
    entries: Option<Vec<Entry>>,
    names: Vec<String>,
}

/// The entry of a file in the state file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) stage: String,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: Option<String>,
    pub(crate) crc32: Option<u64>,
    pub(crate) pages: u64,
    pub(crate) has_cursor: bool,
    pub(crate) malformed: Option<Malformed>,
    pub(crate) range: Option<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// The committed content of each file that isn't empty.
#[derive(Debug, Default)]
pub(crate) struct Committed(BTreeMap<String, Vec<u8>>);

impl Committed {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Renames the files.
    pub(crate) fn rename(&mut self, old: &str, new: &str) {
        let renamed = std::mem::take(&mut self.0).into_iter().map(|(name, bytes)| {
            let suffix = name.strip_prefix(old).unwrap_or(&name);
            (format!("{new}{suffix}"), bytes)
        });
        self.0 = renamed.collect();
    }

    /// Checks that no committed content has been lost.
    #[track_caller]
    pub(crate) fn has_all_of(&self, before: &Self) {
        for (name, bytes) in &before.0 {
            let now = self.0.get(name).unwrap_or_else(|| panic!("{name} was committed, and is missing"));
            assert!(now.starts_with(bytes), "{name} has lost committed content");
        }
    }
}

impl Remains {
    /// Reads the state file. Fails if it is damaged.
    #[track_caller]
    pub(crate) fn read(state: &Path, file: Option<&str>) -> Self {
        let folder = state.parent().unwrap().to_owned();
        let entries = state.exists().then(|| {
            let text = fs::read_to_string(state).unwrap();
            let (body, end) = text.rsplit_once("\"sha256\":").expect("a checksum");
            assert_eq!(end, format!("\"{}\"\n}}\n", sha256(body.as_bytes())), "the state's checksum");
            let state: Value = serde_json::from_str(&text).unwrap();
            let has_lists = state["meta"]["request"]["query"]["type"].is_array();
            assert_eq!(state["webex-events"], if has_lists { 3 } else { 2 }, "the version");
            let mut entries: Vec<_> = state["files"].as_array().unwrap().iter().map(Entry::of).collect();
            if let Some(file) = file {
                assert!(entries.len() <= 1);
                // The files may have been renamed since.
                for entry in &mut entries {
                    file.clone_into(&mut entry.name);
                }
            }
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            entries
        });
        let names = names(&folder);
        Self { folder, entries, names }
    }

    pub(crate) fn has_state(&self) -> bool {
        self.entries.is_some()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.as_deref().unwrap_or_default()
    }

    /// Checks that all content in the state file exists, with each event once and identical to the service's.
    #[track_caller]
    pub(crate) fn check(&self, expected: &Expected, codec: &str) -> Committed {
        let mut committed = Committed::default();
        let mut seen = HashSet::new();
        for entry in self.entries() {
            let bytes = self.committed(&entry.name, &entry.stage, entry.bytes);
            match (&entry.sha256, entry.crc32) {
                (Some(expected), None) => assert_eq!(*expected, sha256(&bytes), "SHA-256 of {}", entry.name),
                (None, Some(expected)) => assert_eq!(expected, crc32(&bytes), "CRC-32 of {}", entry.name),
                (None, None) if entry.bytes == 0 => {}
                other => panic!("{} has the checksums {other:?}", entry.name),
            }
            let text = unpacked(codec, &bytes);
            assert!(text.is_empty() || text.ends_with('\n'), "{} ends in mid-line", entry.name);
            assert_eq!(entry.events, text.lines().count() as u64, "the events of {}", entry.name);
            for line in text.lines() {
                assert!(expected.has(line), "the service hasn't given {line}");
                assert!(seen.insert(line.to_owned()), "twice: {line}");
            }
            if !bytes.is_empty() {
                committed.0.insert(entry.name.clone(), bytes);
            }
            if let Some(malformed) = &entry.malformed {
                let name = format!("{}.malformed", entry.name);
                let bytes = self.committed(&name, &entry.stage, malformed.bytes);
                assert_eq!(malformed.sha256, sha256(&bytes), "the checksum of {name}");
                let text = String::from_utf8(bytes.clone()).unwrap();
                assert_eq!(malformed.items, text.lines().count() as u64, "the items of {name}");
                committed.0.insert(name, bytes);
            }
        }
        committed
    }

    /// All events that were committed.
    pub(crate) fn lines(&self, codec: &str) -> HashSet<String> {
        let text = |entry: &Entry| unpacked(codec, &self.committed(&entry.name, &entry.stage, entry.bytes));
        self.entries()
            .iter()
            .flat_map(|entry| text(entry).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// The committed part of a file.
    #[track_caller]
    fn committed(&self, name: &str, stage: &str, bytes: u64) -> Vec<u8> {
        let part = self.folder.join(format!("{name}.part"));
        let path = self.folder.join(name);
        let length = usize::try_from(bytes).unwrap();
        let path = match stage {
            // A file without committed content need not exist.
            "open" if length == 0 => return Vec::new(),
            "open" => part,
            // The part file exists until it is renamed, even if it replaces an older file.
            "complete" if part.exists() => part,
            "complete" => path,
            stage => panic!("{stage} is no stage"),
        };
        let mut content = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(content.len() >= length, "{} is short of {}", path.display(), length - content.len());
        if stage == "complete" {
            assert_eq!(content.len(), length, "{}", path.display());
        }
        content.truncate(length);
        content
    }

    /// Returns true if there are malformed items.
    pub(crate) fn has_malformed(&self) -> bool {
        self.entries().iter().any(|entry| entry.malformed.is_some())
    }

    /// Returns true if a page was committed.
    pub(crate) fn has_page(&self) -> bool {
        self.entries().iter().any(|entry| entry.pages > 0)
    }

    /// Returns true if a file is partly read, and its cursor is committed.
    pub(crate) fn is_in_mid_file(&self) -> bool {
        let is_read = |entry: &Entry| entry.has_cursor || entry.range.is_some();
        self.entries().iter().any(|entry| entry.stage == "open" && entry.pages > 0 && is_read(entry))
    }

    /// Returns true if a file has more than its committed content.
    pub(crate) fn has_tail(&self) -> bool {
        let committed = |name: &str| {
            let entry = self.entries().iter().find(|entry| entry.name == name && entry.stage == "open");
            entry.map_or(0, |entry| entry.bytes)
        };
        self.names.iter().filter_map(|name| name.strip_suffix(".part")).any(|name| {
            let length = fs::metadata(self.folder.join(format!("{name}.part"))).map_or(0, |file| file.len());
            !name.ends_with(".malformed") && length > committed(name)
        })
    }

    /// Returns true if the state file was being written.
    pub(crate) fn has_draft_of_state(&self) -> bool {
        self.names.iter().any(|name| name.strip_suffix(".tmp").is_some())
    }

    /// Returns true if complete files are about to get their final names.
    pub(crate) fn has_unnamed(&self) -> bool {
        let is_there = |entry: &Entry| self.folder.join(format!("{}.part", entry.name)).exists();
        self.entries().iter().any(|entry| entry.stage == "complete" && is_there(entry))
    }
}

fn has_cursor(value: &Value) -> bool {
    value.get("cursor").is_some()
}

impl Entry {
    fn of(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let malformed = value.get("malformed").map(|malformed| Malformed {
            items: malformed["items"].as_u64().unwrap(),
            bytes: malformed["bytes"].as_u64().unwrap(),
            sha256: malformed["sha256"].as_str().unwrap().to_owned(),
        });
        Self {
            name: text("name").unwrap(),
            stage: text("stage").unwrap(),
            events: value["events"].as_u64().unwrap(),
            bytes: value["bytes"].as_u64().unwrap(),
            sha256: text("sha256"),
            crc32: value["crc32"].as_u64(),
            pages: value["pages"].as_u64().unwrap(),
            has_cursor: has_cursor(value) || value["lists"].as_array().into_iter().flatten().any(has_cursor),
            malformed,
            range: text("start").zip(text("end")),
        }
    }
}

/// CRC-32 as in gzip and PNG, bit by bit.
fn crc32(bytes: &[u8]) -> u64 {
    let of_byte = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    };
    u64::from(!bytes.iter().fold(!0, of_byte))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// The text of a file in this form.
#[track_caller]
pub(crate) fn unpacked(codec: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match codec {
        _ if bytes.is_empty() => 0,
        "gzip" => flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap(),
        "zstd" => zstd::Decoder::new(bytes).unwrap().read_to_string(&mut text).unwrap(),
        _ => {
            let mut bytes = bytes;
            bytes.read_to_string(&mut text).unwrap()
        }
    };
    text
}
