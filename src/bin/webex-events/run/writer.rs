//! The thread that writes: what came goes into the store there, so that reading from the service goes on
//! while the disk is busy.

use std::{
    io,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use webex_events::{Cursor, Event, Result as ListResult};

use crate::{
    archive::{Archive, FailedSlice, FileEntry, Totals},
    run::{
        schedule::{Commit, Schedule},
        stop_reason::StopReason,
    },
};

/// So many pages may wait to be written.
const QUEUE: usize = 16;
/// At most so many commands share a commit that is due.
const GROUP: usize = 64;

/// Something to be written. Commits fall between commands.
#[derive(Debug)]
pub(crate) enum Command {
    Page(Box<Piece>),
    /// A file has all that belongs into it.
    Finish(Box<FileEntry>),
    /// What a follower has got: items by file, files that get no more, and how far it has come.
    Round {
        files: Vec<(FileEntry, Vec<ListResult<Event>>)>,
        finished: Vec<FileEntry>,
        checkpoint: Value,
    },
    /// A slice can't be read.
    Failed(FailedSlice),
    /// The range begins at another instant than it was thought to. Before the first page.
    From(Option<DateTime<Utc>>),
    /// Time has passed.
    Tick,
}

/// A page of a file, and the place behind it.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) file: FileEntry,
    pub(crate) items: Vec<ListResult<Event>>,
    pub(crate) cursor: Option<Cursor>,
    /// Whether the file begins anew with it.
    pub(crate) anew: bool,
}

/// The way to the thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    commands: mpsc::Sender<Command>,
    totals: watch::Receiver<Totals>,
    thread: JoinHandle<(Archive, io::Result<()>)>,
}

/// The thread has ended, since it couldn't write.
#[derive(Debug)]
pub(crate) struct WriterGone;

impl From<WriterGone> for StopReason {
    fn from(_: WriterGone) -> Self {
        Self::WriterGone
    }
}

impl Writer {
    /// Begins to write into `store`, with a commit at least so often while there is something to commit.
    pub(crate) fn start(store: Archive, every: Duration) -> Self {
        let (sender, commands) = mpsc::channel(QUEUE);
        let (published, totals) = watch::channel(store.totals());
        let thread = tokio::task::spawn_blocking(move || write(store, commands, every, &published));
        Self { commands: sender, totals, thread }
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), WriterGone> {
        self.commands.send(command).await.map_err(|_| WriterGone)
    }

    /// Lets it commit what has waited long enough. It has enough to do if its queue is full.
    pub(crate) fn tick(&self) -> Result<(), WriterGone> {
        match self.commands.try_send(Command::Tick) {
            Err(mpsc::error::TrySendError::Closed(_)) => Err(WriterGone),
            _ => Ok(()),
        }
    }

    /// What all files have together by now.
    pub(crate) fn totals(&self) -> Totals {
        *self.totals.borrow()
    }

    /// Writes and commits what it was sent. Returns the store, unless the thread has broken down.
    pub(crate) async fn end(self) -> (Option<Archive>, io::Result<()>) {
        drop(self.commands);
        match self.thread.await {
            Ok((store, result)) => (Some(store), result),
            Err(error) => (None, Err(io::Error::other(error))),
        }
    }
}

fn write(
    mut store: Archive,
    mut commands: mpsc::Receiver<Command>,
    every: Duration,
    totals: &watch::Sender<Totals>,
) -> (Archive, io::Result<()>) {
    let mut work = || {
        let mut schedule = Schedule::new(every, Instant::now());
        let mut has_finished = false;
        while let Some(command) = commands.blocking_recv() {
            has_finished |= apply(&mut store, command)?;
            // Files that are finished at about the same time share a commit.
            for _ in 0..GROUP {
                let Some(command) = has_finished.then(|| commands.try_recv().ok()).flatten() else { break };
                has_finished |= apply(&mut store, command)?;
            }
            totals.send_replace(store.totals());
            let begun = Instant::now();
            let commit = schedule.due(begun, has_finished || store.has_synced());
            match commit {
                Commit::Nothing => continue,
                Commit::Finished => store.commit_complete()?,
                Commit::All => store.commit()?,
            }
            schedule.made(commit, begun, Instant::now());
            has_finished = false;
        }
        store.end()
    };
    let result = work();
    // Nothing more is taken, so that whoever sends learns of it before the disk is done.
    drop(commands);
    if result.is_err() {
        // There is an error to report already.
        let _ = store.salvage();
    }
    totals.send_replace(store.totals());
    (store, result)
}

/// Returns whether a file was finished.
fn apply(store: &mut Archive, command: Command) -> io::Result<bool> {
    match command {
        Command::Page(piece) => {
            let Piece { file, items, cursor, anew } = *piece;
            if anew {
                store.start_over(&file)?;
            }
            store.add(&file, items, cursor)?;
            Ok(false)
        }
        Command::Finish(file) => store.finish(&file).map(|()| true),
        Command::Round { files, finished, checkpoint } => {
            for (file, items) in files {
                store.add(&file, items, None)?;
            }
            for file in &finished {
                store.finish(file)?;
            }
            store.set_checkpoint(checkpoint);
            Ok(!finished.is_empty())
        }
        Command::Failed(failed) => {
            store.set_failed(failed);
            Ok(false)
        }
        Command::From(from) => {
            store.set_from(from);
            Ok(false)
        }
        Command::Tick => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use webex_events::Event;

    use super::*;
    use crate::archive::{
        ArchiveKind, ArchiveMeta, Checksum, Codec, Destination, Layout, StoredRequest, WriteOptions,
    };

    #[tokio::test]
    async fn one_that_has_broken_down_says_so_when_time_passes() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("d");
        let meta = ArchiveMeta {
            kind: ArchiveKind::Follow,
            request: StoredRequest::default(),
            from: None,
            to: None,
            slicing: None,
            compress: Codec::None,
            begun: "2026-01-05T09:00:00Z".parse().unwrap(),
        };
        let options = WriteOptions { codec: Codec::None, checksum: Checksum::Sha256, memory: None };
        let found = Destination::claim(Layout::Folder(folder.clone()), ArchiveKind::Follow).unwrap();
        let store = found.open(meta, options).unwrap();
        let writer = Writer::start(store, Duration::ZERO);
        writer.tick().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let event = r#"{"id":"1","resource":"rooms","type":"created","created":"2026-01-05T09:00:00Z"}"#;
        let (file, items) = (FileEntry::new("events.ndjson", None), vec![Event::from_json(event)]);
        let piece = Piece { file, items, cursor: None, anew: false };
        writer.send(Command::Page(Box::new(piece))).await.unwrap();
        // Its queue closes when its thread ends.
        writer.commands.closed().await;
        writer.tick().unwrap_err();
        let (_, result) = writer.end().await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
