//! The ledger, or the state file of a single file: the request, and the committed state of each file.
//!
//! It is JSON with one line for each file, and ends with a checksum of everything before it, so that a truncated
//! or edited file is detected. `docs/ledger-format.md` describes the format for readers outside this program.

use std::{collections::BTreeMap, fmt::Write, fs, io, path::Path};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use webex_events::Cursor;

use super::{
    attributes::Attributes,
    codec::Codec,
    error::{ArchiveError, LedgerDamage},
    fs::{self as disk, replace, resolve},
    layout::Layout,
    meta::{ArchiveKind, ArchiveMeta, Slicing, StoredRequest, is_zero},
};

/// The latest version of the format that this program reads.
const FORMAT: u64 = 3;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ledger {
    pub(crate) meta: ArchiveMeta,
    /// The checkpoint of a follower.
    pub(crate) checkpoint: Option<Value>,
    /// The slices that couldn't be read, in the order of time.
    pub(crate) failed: Vec<FailedSlice>,
    /// Complete files come first.
    pub(crate) files: Vec<FileEntry>,
}

/// A slice that couldn't be read when it was last tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedSlice {
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
    /// The kind of the error, in a word.
    pub(crate) kind: String,
    pub(crate) message: String,
    /// True if the service no longer has the slice, so that another try can't succeed.
    pub(crate) is_beyond_retention: bool,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) name: String,
    pub(crate) stage: Stage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) events: u64,
    /// The length of the file on disk, after compression.
    pub(crate) bytes: u64,
    /// SHA-256 of the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// CRC-32 of the bytes, where there is no SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) crc32: Option<u32>,
    /// The number of events that were listed again and not written again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) duplicates: u64,
    pub(crate) pages: u64,
    /// The number of events at the end of the file that will be listed again: those of a page that couldn't be written
    /// completely, or those of the file that this one replaces.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) ahead: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) malformed: Option<MalformedEntry>,
    /// The position of the next page; none before the first page and after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
    /// The position in each list of the request, if it has several. The file has no cursor of its own then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lists: Vec<ListPosition>,
    /// Set while the range is read again: the file that this one replaces when it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<ReplacedFile>,
}

/// The position in one of several lists that a file has the events of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ListPosition {
    pub(crate) pages: u64,
    /// The position of the next page; none before the first page and after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
}

/// The part of a list that a file has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ListProgress<'a> {
    Unread,
    /// Up to the page at this cursor.
    Partial(&'a Cursor),
    Whole,
}

/// A file that keeps its name until its replacement is complete. It may be missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReplacedFile {
    pub(crate) name: String,
    /// The name under which it is kept then. It is removed if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep_as: Option<String>,
    /// The entry that it had if it was complete. It is complete again if the service no longer has its range, or if it was
    /// damaged and is restored from a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<Box<FileEntry>>,
    /// True if it was found damaged or missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_damaged: bool,
}

/// The malformed items of a file, which are kept in `NAME.malformed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MalformedEntry {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// The stage of a file. `archive.rs` describes the order of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// It grows as `NAME.part`.
    Open,
    /// Its whole content is on disk. It has its final name, or gets it next.
    // Version 1 had a stage for each of the two.
    #[serde(alias = "done", alias = "closed")]
    Complete,
}

impl Ledger {
    /// Reads a checkpoint that isn't part of an archive, if there is one.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, ArchiveError> {
        Self::of_layout(path, None)
    }

    pub(super) fn of_layout(path: &Path, layout: Option<&Layout>) -> Result<Option<Self>, ArchiveError> {
        let path_buf = || path.to_owned();
        let text = disk::is_regular(path)
            .and_then(|is_regular| if is_regular { fs::read(path) } else { Err(disk::not_regular()) });
        let text = match text {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ArchiveError::Read { path: path_buf(), error }),
        };
        let damaged = |damage| match damage {
            LedgerDamage::Version { found, latest } => {
                ArchiveError::OtherVersion { path: path_buf(), version: found, latest }
            }
            damage => ArchiveError::DamagedLedger { path: path_buf(), layout: layout.cloned(), damage },
        };
        read(&text).map(Some).map_err(damaged)
    }

    /// Replaces the file at `path`, which its owner alone can read.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let lines = self.files.iter().map(FileEntry::line).collect::<Result<Vec<_>, _>>()?;
        let text = text(&self.meta, self.checkpoint.as_ref(), &self.failed, lines)?;
        replace(&resolve(path)?, text.as_bytes(), Attributes::private())
    }

    /// Refuses a ledger of another kind of archive. `path` is where it was read.
    pub(crate) fn expect_kind(&self, expected: ArchiveKind, path: &Path) -> Result<(), ArchiveError> {
        let found = self.meta.kind;
        if found == expected {
            return Ok(());
        }
        Err(ArchiveError::OtherKind { path: path.to_owned(), found, expected })
    }

    /// Returns true if any content of any file is committed, or was until the file had to be read again.
    pub(crate) fn has_content(&self) -> bool {
        let has_content = |file: &FileEntry| file.is_complete() || file.pages > 0 || file.bytes > 0;
        self.files.iter().any(|file| has_content(file) || file.replaces.is_some())
    }
}

impl Layout {
    /// The ledger, if there is one.
    pub(crate) fn read(&self) -> Result<Option<Ledger>, ArchiveError> {
        Ledger::of_layout(&self.ledger_path(), Some(self))
    }
}

impl FileEntry {
    /// An empty file.
    pub(crate) fn new(name: impl Into<String>, range: Option<(DateTime<Utc>, DateTime<Utc>)>) -> Self {
        Self {
            name: name.into(),
            stage: Stage::Open,
            start: range.map(|(start, _)| start),
            end: range.map(|(_, end)| end),
            events: 0,
            bytes: 0,
            sha256: None,
            crc32: None,
            duplicates: 0,
            pages: 0,
            ahead: 0,
            malformed: None,
            cursor: None,
            lists: Vec::new(),
            replaces: None,
        }
    }

    /// The same file for the events of this number of lists.
    pub(crate) fn with_lists(self, number: usize) -> Self {
        let lists = if number > 1 { vec![ListPosition::default(); number] } else { Vec::new() };
        Self { lists, ..self }
    }

    /// The part that the file has of a list, by the list's index in the request.
    pub(crate) fn list(&self, index: usize) -> ListProgress<'_> {
        let (pages, cursor) = match self.lists.get(index) {
            Some(list) => (list.pages, &list.cursor),
            None => (self.pages, &self.cursor),
        };
        match cursor {
            Some(cursor) => ListProgress::Partial(cursor),
            None if pages > 0 => ListProgress::Whole,
            None => ListProgress::Unread,
        }
    }

    /// Records a page of a list, and the cursor after it.
    pub(super) fn add_page(&mut self, list: usize, cursor: Option<Cursor>) {
        self.pages += 1;
        match self.lists.get_mut(list) {
            Some(list) => *list = ListPosition { pages: list.pages + 1, cursor },
            None => self.cursor = cursor,
        }
    }

    /// Records that no page is read, and that all of its events will be listed again.
    pub(super) fn forget_pages(&mut self) {
        (self.pages, self.cursor, self.malformed, self.ahead) = (0, None, None, self.events);
        self.lists.fill(ListPosition::default());
    }

    /// Marks the file as complete, so that no position is needed any more.
    pub(super) fn complete(&mut self) {
        (self.stage, self.cursor, self.lists, self.ahead) = (Stage::Complete, None, Vec::new(), 0);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    pub(crate) fn malformed_items(&self) -> u64 {
        self.malformed.as_ref().map_or(0, |malformed| malformed.items)
    }

    /// All names in the entry.
    fn names(&self) -> impl Iterator<Item = &str> {
        let replaced = self.replaces.iter();
        let replaced = replaced.flat_map(|old| {
            let entry = old.entry.as_ref().map(|entry| entry.name.as_str());
            [Some(old.name.as_str()), old.keep_as.as_deref(), entry]
        });
        std::iter::once(self.name.as_str()).chain(replaced.flatten())
    }

    /// Its line in the ledger.
    pub(super) fn line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// The text of a ledger with these lines of files.
pub(super) fn text(
    meta: &ArchiveMeta,
    checkpoint: Option<&Value>,
    failed: &[FailedSlice],
    lines: impl IntoIterator<Item = impl AsRef<str>>,
) -> serde_json::Result<String> {
    // A program that doesn't know several lists would resume or verify one of them alone.
    let version = if meta.request.list_count() > 1 { FORMAT } else { 2 };
    let mut text = format!("{{\n\"webex-events\":{version},\n\"meta\":{}", serde_json::to_string(meta)?);
    if let Some(checkpoint) = checkpoint {
        text = format!("{text},\n\"checkpoint\":{checkpoint}");
    }
    if !failed.is_empty() {
        text = format!("{text},\n\"failed\":{}", serde_json::to_string(failed)?);
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

/// A ledger without version and checksum.
#[derive(Deserialize)]
struct Content {
    meta: ArchiveMeta,
    checkpoint: Option<Value>,
    #[serde(default)]
    failed: Vec<FailedSlice>,
    files: Vec<FileEntry>,
}

/// The same in version 1.
#[derive(Deserialize)]
struct ContentV1 {
    about: MetaV1,
    checkpoint: Option<Value>,
    files: Vec<FileEntry>,
}

#[derive(Deserialize)]
struct MetaV1 {
    kind: ArchiveKind,
    /// The request by the names of its options.
    asked: BTreeMap<String, String>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    slice_seconds: Option<u64>,
    /// `None` if slices weren't aligned.
    slice_margin_millis: Option<u64>,
    compress: Codec,
    begun: DateTime<Utc>,
}

impl From<ContentV1> for Content {
    fn from(old: ContentV1) -> Self {
        let ContentV1 { about: old_meta, checkpoint, files } = old;
        let meta = ArchiveMeta {
            kind: old_meta.kind,
            request: StoredRequest::from_options(&old_meta.asked),
            from: old_meta.from,
            to: old_meta.to,
            slicing: old_meta.slice_seconds.map(|seconds| Slicing {
                seconds,
                is_aligned: old_meta.slice_margin_millis.is_some(),
                margin_ms: old_meta.slice_margin_millis.unwrap_or(1),
            }),
            waited_s: 0,
            compress: old_meta.compress,
            begun: old_meta.begun,
        };
        Self { meta, checkpoint, failed: Vec::new(), files }
    }
}

/// Reads the text of a ledger.
fn read(text: &[u8]) -> Result<Ledger, LedgerDamage> {
    let text = str::from_utf8(text).map_err(|_| LedgerDamage::Checksum)?;
    let version = text.strip_prefix("{\n\"webex-events\":").and_then(|rest| rest.split(',').next());
    let version = version.and_then(|version| version.parse::<u64>().ok());
    if let Some(version) = version
        && !(1..=FORMAT).contains(&version)
    {
        return Err(LedgerDamage::Version { found: version, latest: FORMAT });
    }
    let (body, tail) = text.rsplit_once("\"sha256\":").ok_or(LedgerDamage::Cut)?;
    let checksum =
        tail.strip_prefix('"').and_then(|tail| tail.strip_suffix("\"\n}\n")).ok_or(LedgerDamage::Cut)?;
    if checksum != hex(&Sha256::digest(body)) {
        return Err(LedgerDamage::Checksum);
    }
    let content = match version {
        Some(1) => serde_json::from_str::<ContentV1>(text).map(Content::from),
        _ => serde_json::from_str(text),
    };
    let Content { meta, checkpoint, failed, files } = content.map_err(|_| LedgerDamage::Content)?;
    let lists = Some(meta.request.list_count()).filter(|lists| *lists > 1).unwrap_or_default();
    let has_lists = |file: &FileEntry| file.is_complete() || file.lists.len() == lists;
    let is_sound = match meta.kind {
        ArchiveKind::File => files.len() <= 1 && files.iter().all(has_lists),
        ArchiveKind::Export => files.iter().all(has_lists),
        ArchiveKind::Follow => true,
    };
    // Files are renamed and removed by these names, so they must not lead out of the folder.
    let is_within = meta.kind == ArchiveKind::File || files.iter().flat_map(FileEntry::names).all(is_name);
    if !is_sound || !is_within {
        return Err(LedgerDamage::Content);
    }
    Ok(Ledger { meta, checkpoint, failed, files })
}

fn is_name(text: &str) -> bool {
    Path::new(text).file_name().is_some_and(|name| name == text)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
