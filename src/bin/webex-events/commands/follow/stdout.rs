//! Following to stdout, with the place kept in a file.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use serde_json::{Map, json};
use webex_events::{Checkpoint, Error};

use super::{Item, beginning, sink::Sink};
use crate::{
    archive::{ArchiveKind, ArchiveMeta, Codec, FileLock, Ledger, malformed_record},
    cli,
    error::{Code, Failure},
    run::{
        lines::Lines,
        request::{self, must_fit},
    },
    service::Connected,
    ui::{messages, shutdown::Stop},
};

#[derive(Debug)]
pub(super) struct Stdout {
    lines: Lines,
    place: Option<Kept>,
    rounds: u64,
}

/// Where the place is kept, and what it is of.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    meta: ArchiveMeta,
    _lock: FileLock,
}

/// Writes to `file` from the place on that an earlier run has kept.
pub(super) async fn open(
    follow: &cli::Follow,
    connected: &Connected,
    stop: &mut Stop,
    file: File,
) -> Result<(Sink, Checkpoint), Failure> {
    if follow.commits.compress.is_some() {
        return Err(Failure::usage("--compress needs a folder, and stdout is none"));
    }
    let asked = request::of_all(&follow.filters, None, &follow.connection);
    let lock = follow.checkpoint.as_deref().map(FileLock::beside).transpose()?;
    let old = match &follow.checkpoint {
        Some(path) => Ledger::read(path)?,
        None => None,
    };
    if let (Some(state), Some(path)) = (&old, &follow.checkpoint) {
        state.expect_kind(ArchiveKind::Follow, path)?;
        must_fit(path, &state.meta, &request::meta(ArchiveKind::Follow, &asked, None, Codec::None))?;
    }
    let from = match &old {
        Some(state) => state.meta.from.unwrap_or_default(),
        None => beginning(follow, connected, stop).await?,
    };
    let checkpoint = match old.and_then(|state| state.checkpoint) {
        Some(checkpoint) => serde_json::from_value(checkpoint)
            .map_err(|error| Failure::new(Code::Output, format!("the checkpoint can't be read: {error}")))?,
        None => Checkpoint::at(from),
    };
    let meta = request::meta(ArchiveKind::Follow, &asked, None, Codec::None);
    let meta = ArchiveMeta { from: Some(from), ..meta };
    let place = follow.checkpoint.clone().zip(lock).map(|(path, lock)| Kept { path, meta, _lock: lock });
    let stdout = Stdout { lines: Lines::new(file), place, rounds: 0 };
    stdout.keep(&checkpoint).map_err(|error| {
        let path = follow.checkpoint.as_deref().unwrap_or(Path::new("")).display().to_string();
        Failure::new(Code::Output, format!("{path} can't be written: {error}; choose another --checkpoint"))
    })?;
    Ok((Sink::Stdout(Box::new(stdout)), checkpoint))
}

impl Stdout {
    /// Writes items, and then the place behind them: after a kill some may come twice, and none is lost.
    pub(super) fn round(&mut self, items: Vec<Item>, checkpoint: &Checkpoint) -> io::Result<()> {
        self.rounds += 1;
        for item in items {
            match item {
                Ok(event) => self.lines.push(event.raw())?,
                Err(Error::Item(item)) => {
                    let entry = malformed_record(self.rounds, &item);
                    messages::warning(&format!("an item that isn't an event: {}", json!(entry)), entry);
                }
                Err(error) => messages::warning(&format!("an item can't be read: {error}"), Map::new()),
            }
        }
        self.lines.flush()?;
        self.keep(checkpoint)
    }

    pub(super) fn keeps_its_place(&self) -> bool {
        self.place.is_some()
    }

    fn keep(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let Some(Kept { path, meta, .. }) = &self.place else { return Ok(()) };
        let (meta, checkpoint) = (meta.clone(), Some(json!(checkpoint)));
        Ledger { meta, checkpoint, failed: Vec::new(), files: Vec::new() }.write(path)
    }
}
