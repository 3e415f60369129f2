//! The thread that writes to the archive, so that reading from the service continues while the disk is busy.
//!
//! All commits of an archive are made here, in `write`: when [`Schedule`] says so, and at the end.

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
        schedule::{CommitScope, Schedule},
        stop_reason::StopReason,
    },
};

/// The number of commands that can wait to be written.
const QUEUE: usize = 16;
/// The maximum number of commands that share a commit that is due.
const GROUP: usize = 64;

/// One unit of writing. Commits are made between commands.
#[derive(Debug)]
pub(crate) enum WriterCommand {
    Page(Box<Piece>),
    /// A file has its whole content.
    Finish(Box<FileEntry>),
    /// A round of a follower: items by file, files that are finished, and the checkpoint after the round.
    Round {
        files: Vec<(FileEntry, Vec<ListResult<Event>>)>,
        finished: Vec<FileEntry>,
        checkpoint: Value,
    },
    /// A slice can't be read.
    Failed(FailedSlice),
    /// A correction of the start of the range, before the first page.
    From(Option<DateTime<Utc>>),
    /// Some time has passed: a commit may be due.
    Tick,
}

/// A page of a file, and the cursor after it.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) file: FileEntry,
    /// The index of its list in the request.
    pub(crate) list: usize,
    pub(crate) items: Vec<ListResult<Event>>,
    pub(crate) cursor: Option<Cursor>,
    /// True if the file restarts with this page.
    pub(crate) is_restart: bool,
}

/// A handle of the thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    commands: mpsc::Sender<WriterCommand>,
    totals: watch::Receiver<Totals>,
    thread: JoinHandle<(Archive, io::Result<()>)>,
}

/// The thread has ended because it couldn't write.
#[derive(Debug)]
pub(crate) struct WriterGone;

impl From<WriterGone> for StopReason {
    fn from(_: WriterGone) -> Self {
        Self::WriterGone
    }
}

impl Writer {
    /// Starts the thread, which commits at this interval while there is something to commit.
    pub(crate) fn start(archive: Archive, every: Duration) -> Self {
        let (sender, commands) = mpsc::channel(QUEUE);
        let (published, totals) = watch::channel(archive.totals());
        let thread = tokio::task::spawn_blocking(move || write(archive, commands, every, &published));
        Self { commands: sender, totals, thread }
    }

    pub(crate) async fn send(&self, command: WriterCommand) -> Result<(), WriterGone> {
        self.commands.send(command).await.map_err(|_| WriterGone)
    }

    /// Lets the thread commit if a commit is due. If the queue is full, it checks that anyway.
    pub(crate) fn tick(&self) -> Result<(), WriterGone> {
        match self.commands.try_send(WriterCommand::Tick) {
            Err(mpsc::error::TrySendError::Closed(_)) => Err(WriterGone),
            _ => Ok(()),
        }
    }

    /// The totals of all files.
    pub(crate) fn totals(&self) -> Totals {
        *self.totals.borrow()
    }

    /// Waits until everything that was sent is written and committed. Returns the archive, unless the thread has panicked.
    pub(crate) async fn end(self) -> (Option<Archive>, io::Result<()>) {
        drop(self.commands);
        match self.thread.await {
            Ok((archive, result)) => (Some(archive), result),
            Err(error) => (None, Err(io::Error::other(error))),
        }
    }
}

fn write(
    mut archive: Archive,
    mut commands: mpsc::Receiver<WriterCommand>,
    every: Duration,
    totals: &watch::Sender<Totals>,
) -> (Archive, io::Result<()>) {
    let mut work = || {
        let mut schedule = Schedule::new(every, Instant::now());
        let mut has_finished = false;
        while let Some(command) = commands.blocking_recv() {
            has_finished |= apply(&mut archive, command)?;
            // Files that are finished at about the same time share a commit.
            for _ in 0..GROUP {
                let Some(command) = has_finished.then(|| commands.try_recv().ok()).flatten() else { break };
                has_finished |= apply(&mut archive, command)?;
            }
            totals.send_replace(archive.totals());
            let begun = Instant::now();
            let commit = schedule.due(begun, has_finished || archive.has_synced());
            match commit {
                CommitScope::Nothing => continue,
                CommitScope::Finished => archive.commit_complete()?,
                CommitScope::All => archive.commit()?,
            }
            schedule.made(commit, begun, Instant::now());
            has_finished = false;
        }
        archive.end()
    };
    let result = work();
    // Close the queue first, so that the sender notices a failure while the disk is still busy.
    drop(commands);
    if result.is_err() {
        // The first error is the one to report.
        let _ = archive.salvage();
    }
    totals.send_replace(archive.totals());
    (archive, result)
}

/// Returns true if a file was finished.
fn apply(archive: &mut Archive, command: WriterCommand) -> io::Result<bool> {
    match command {
        WriterCommand::Page(piece) => {
            let Piece { file, list, items, cursor, is_restart } = *piece;
            if is_restart {
                archive.start_over(&file)?;
            }
            archive.add_to_list(&file, list, items, cursor)?;
            Ok(false)
        }
        WriterCommand::Finish(file) => archive.finish(&file).map(|()| true),
        WriterCommand::Round { files, finished, checkpoint } => {
            for (file, items) in files {
                archive.add(&file, items, None)?;
            }
            for file in &finished {
                archive.finish(file)?;
            }
            archive.set_checkpoint(checkpoint);
            Ok(!finished.is_empty())
        }
        WriterCommand::Failed(failed) => {
            archive.set_failed(failed);
            Ok(false)
        }
        WriterCommand::From(from) => {
            archive.set_from(from);
            Ok(false)
        }
        WriterCommand::Tick => Ok(false),
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
    async fn a_failed_writer_is_detected_by_a_tick() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("d");
        let meta = ArchiveMeta {
            kind: ArchiveKind::Follow,
            request: StoredRequest::default(),
            from: None,
            to: None,
            slicing: None,
            waited_s: 0,
            compress: Codec::None,
            begun: "2026-01-05T09:00:00Z".parse().unwrap(),
        };
        let options = WriteOptions { codec: Codec::None, checksum: Checksum::Sha256, memory: None };
        let found = Destination::claim(Layout::Folder(folder.clone()), ArchiveKind::Follow).unwrap();
        let archive = found.open(meta, options).unwrap();
        let writer = Writer::start(archive, Duration::ZERO);
        writer.tick().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let event = r#"{"id":"1","resource":"rooms","type":"created","created":"2026-01-05T09:00:00Z"}"#;
        let (file, items) = (FileEntry::new("events.ndjson", None), vec![Event::from_json(event)]);
        let piece = Piece { file, list: 0, items, cursor: None, is_restart: false };
        writer.send(WriterCommand::Page(Box::new(piece))).await.unwrap();
        // Its queue closes when its thread ends.
        writer.commands.closed().await;
        writer.tick().unwrap_err();
        let (_, result) = writer.end().await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
