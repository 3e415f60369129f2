//! What the state file says: what was asked for, and how far each file has come.
//!
//! It is JSON with a line for each file, and ends with a checksum of all that stands before, so that one
//! that was cut or edited is noticed.

use std::{collections::BTreeMap, fmt::Write, fs, io, path::Path};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use webex_events::Cursor;

use super::{codec::Codec, fs::replace};
use crate::error::{Code, Failure};

/// The version of the format that this program writes, and the only one that it reads.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) about: About,
    /// How far a follower has come.
    pub(crate) checkpoint: Option<Value>,
    /// Closed ones first.
    pub(crate) files: Vec<Entry>,
}

/// What doesn't change over the runs of one export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) kind: Kind,
    /// The arguments that decide what comes out, as they were given.
    pub(crate) asked: BTreeMap<String, String>,
    /// What they meant when the first run began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slice_seconds: Option<u64>,
    /// None for an export that was begun before slices were aligned and had a margin: its slices start at
    /// multiples of their length from `from` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slice_margin_millis: Option<u64>,
    pub(crate) compress: Codec,
    /// When the first run began. A sandbox has its last event then.
    pub(crate) begun: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// One walk into one file.
    File,
    /// A file a slice.
    Export,
    /// A file an hour, without an end.
    Follow,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) stage: Stage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) events: u64,
    /// As it lies on disk.
    pub(crate) bytes: u64,
    /// Of those bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// Events that came again and were passed over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) duplicates: u64,
    pub(crate) pages: u64,
    /// Events of a page that could be written in part only, and comes again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) ahead: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) malformed: Option<Malformed>,
    /// Where to go on; none before the first page and behind the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
}

/// What came between the events and isn't any, in `NAME.malformed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Malformed {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// How far a file has come. `archive.rs` has the whole story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// It grows as `NAME.part`.
    Open,
    /// It has all that belongs into it, and is about to get its name.
    Done,
    /// It has its name.
    Closed,
}

/// Why a state file can't be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("it is cut off")]
    Cut,
    #[error("it was changed: its checksum doesn't fit")]
    Checksum,
    #[error("it isn't what this program writes")]
    Content,
    #[error("it is of version {0} of the format, and this program reads {FORMAT}")]
    Version(u64),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl State {
    /// What the file at `path` says, if there is one; `cure` is what to do if it is damaged.
    pub(crate) fn at(path: &Path, cure: &str) -> Result<Option<Self>, Failure> {
        let shown = path.display();
        match fs::read(path) {
            Ok(text) => read(&text).map(Some).map_err(|damage| {
                Failure::new(Code::Output, format!("{shown} is damaged: {damage}; {cure}"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new(Code::Output, format!("{shown} can't be read: {error}"))),
        }
    }

    /// Replaces the file at `path`.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let lines = self.files.iter().map(Entry::line).collect::<Result<Vec<_>, _>>()?;
        replace(path, text(&self.about, self.checkpoint.as_ref(), lines)?.as_bytes())
    }
}

impl Entry {
    /// A file of which there is nothing yet.
    pub(crate) fn new(name: impl Into<String>, range: Option<(DateTime<Utc>, DateTime<Utc>)>) -> Self {
        Self {
            name: name.into(),
            stage: Stage::Open,
            start: range.map(|(start, _)| start),
            end: range.map(|(_, end)| end),
            events: 0,
            bytes: 0,
            sha256: None,
            duplicates: 0,
            pages: 0,
            ahead: 0,
            malformed: None,
            cursor: None,
        }
    }

    /// Whether it has all that belongs into it.
    pub(crate) fn is_whole(&self) -> bool {
        self.stage != Stage::Open
    }

    pub(crate) fn malformed_items(&self) -> u64 {
        self.malformed.as_ref().map_or(0, |malformed| malformed.items)
    }

    /// Its line in the state file.
    pub(super) fn line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// The text of a state file with these lines of files.
pub(super) fn text(
    about: &About,
    checkpoint: Option<&Value>,
    lines: impl IntoIterator<Item = impl AsRef<str>>,
) -> serde_json::Result<String> {
    let mut text = format!("{{\n\"webex-events\":{FORMAT},\n\"about\":{}", serde_json::to_string(about)?);
    if let Some(checkpoint) = checkpoint {
        text = format!("{text},\n\"checkpoint\":{checkpoint}");
    }
    text.push_str(",\n\"files\":[");
    for (number, line) in lines.into_iter().enumerate() {
        text.push_str(if number == 0 { "\n" } else { ",\n" });
        text.push_str(line.as_ref());
    }
    text.push_str("\n],\n");
    let checksum = hex(&Sha256::digest(&text));
    // Writing to a string doesn't fail.
    let _ = write!(text, "\"sha256\":\"{checksum}\"\n}}\n");
    Ok(text)
}

/// What is read of a state file.
#[derive(Deserialize)]
struct File {
    about: About,
    checkpoint: Option<Value>,
    files: Vec<Entry>,
}

/// Reads a state file.
fn read(text: &[u8]) -> Result<State, Damage> {
    let text = str::from_utf8(text).map_err(|_| Damage::Checksum)?;
    if let Some(version) = text.strip_prefix("{\n\"webex-events\":").and_then(|rest| rest.split(',').next())
        && let Ok(version) = version.parse::<u64>()
        && version != u64::from(FORMAT)
    {
        return Err(Damage::Version(version));
    }
    let (body, tail) = text.rsplit_once("\"sha256\":").ok_or(Damage::Cut)?;
    let checksum = tail.strip_prefix('"').and_then(|tail| tail.strip_suffix("\"\n}\n")).ok_or(Damage::Cut)?;
    if checksum != hex(&Sha256::digest(body)) {
        return Err(Damage::Checksum);
    }
    let File { about, checkpoint, files } = serde_json::from_str(text).map_err(|_| Damage::Content)?;
    Ok(State { about, checkpoint, files })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state() -> State {
        let at = |text: &str| text.parse().unwrap();
        let range = (at("2026-01-01T00:00:00Z"), at("2026-01-01T06:00:00Z"));
        let mut closed = Entry::new("a", Some(range));
        (closed.stage, closed.events, closed.bytes) = (Stage::Closed, 7, 70);
        closed.sha256 = Some("00".to_owned());
        closed.malformed = Some(Malformed { items: 1, bytes: 9, sha256: "11".to_owned() });
        State {
            about: About {
                kind: Kind::Export,
                asked: [("--from".to_owned(), "7d".to_owned())].into(),
                from: Some(range.0),
                to: None,
                slice_seconds: Some(21_600),
                slice_margin_millis: None,
                compress: Codec::Zstd,
                begun: range.1,
            },
            checkpoint: Some(json!({"mark": 1})),
            files: vec![closed, Entry::new("b", None)],
        }
    }

    fn written(state: &State) -> String {
        let lines: Vec<_> = state.files.iter().map(|entry| entry.line().unwrap()).collect();
        text(&state.about, state.checkpoint.as_ref(), &lines).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let state = state();
        let text = written(&state);
        assert_eq!(read(text.as_bytes()), Ok(state.clone()));
        assert!(serde_json::from_str::<Value>(&text).is_ok());
        assert_eq!(text.lines().filter(|line| line.starts_with("{\"name\"")).count(), 2, "{text}");
        let empty = State { files: Vec::new(), checkpoint: None, ..state };
        assert_eq!(read(written(&empty).as_bytes()), Ok(empty));
    }

    #[test]
    fn one_that_was_cut_anywhere_is_refused() {
        let text = written(&state());
        for length in 0..text.len() {
            assert!(read(&text.as_bytes()[..length]).is_err(), "{length}");
        }
        assert_eq!(read(b""), Err(Damage::Cut));
    }

    #[test]
    fn one_that_was_changed_anywhere_is_refused() {
        let text = written(&state()).into_bytes();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn one_of_another_version_says_so() {
        let text = written(&state()).replacen(":1,", ":7,", 1);
        assert_eq!(read(text.as_bytes()), Err(Damage::Version(7)));
    }

    #[test]
    fn one_of_a_true_checksum_and_a_false_content_is_refused() {
        let body = "{\n\"webex-events\":1,\n";
        let text = format!("{body}\"sha256\":\"{}\"\n}}\n", hex(&Sha256::digest(body)));
        assert_eq!(read(text.as_bytes()), Err(Damage::Content));
    }
}
