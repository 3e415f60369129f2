//! The checkpoint of a follower that writes to standard output.

use std::{io, path::PathBuf};

use crate::{
    archive::{ArchiveMeta, FileEntry, FileLock, Ledger, Stage},
    error::{Code, Failure, reason},
    run::positions::Positions,
};

/// The name of the only entry, whose stage says if the last line was completed.
const STDOUT: &str = "stdout";

#[derive(Debug)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
    meta: ArchiveMeta,
    stored: Option<Positions>,
    may_be_within_a_line: bool,
    /// Held while this process writes.
    _lock: FileLock,
}

impl CheckpointFile {
    /// The file at `path`. `old` is its content from an earlier run.
    pub(crate) fn new(path: PathBuf, lock: FileLock, meta: ArchiveMeta, old: Option<&Ledger>) -> Self {
        let may_be_within_a_line = old.is_some_and(|state| !is_complete(state));
        Self { path, meta, stored: None, may_be_within_a_line, _lock: lock }
    }

    /// Returns true if the previous run may have been stopped in the middle of a line.
    pub(super) fn may_be_within_a_line(&self) -> bool {
        self.may_be_within_a_line
    }

    /// Stores the first positions of this run, and marks the last line as possibly incomplete.
    pub(super) fn open(&mut self, positions: &Positions) -> Result<(), Failure> {
        self.store(positions).map_err(|error| {
            Failure::new(
                Code::Output,
                format!(
                    "{} can't be written: {}; choose another --checkpoint",
                    self.path.display(),
                    reason(&error)
                ),
            )
        })
    }

    pub(super) fn store(&mut self, positions: &Positions) -> io::Result<()> {
        self.write(positions, Stage::Open)?;
        self.stored = Some(positions.clone());
        Ok(())
    }

    /// Marks the last line as complete.
    pub(super) fn close(&mut self) -> io::Result<()> {
        match self.stored.take() {
            Some(positions) => self.write(&positions, Stage::Complete),
            None => Ok(()),
        }
    }

    fn write(&self, positions: &Positions, stage: Stage) -> io::Result<()> {
        let entry = FileEntry { stage, ..FileEntry::new(STDOUT, None) };
        let (meta, checkpoint) = (self.meta.clone(), Some(positions.stored()));
        Ledger { meta, checkpoint, failed: Vec::new(), files: vec![entry] }.write(&self.path)
    }
}

/// Returns true if the last line on standard output is complete.
fn is_complete(state: &Ledger) -> bool {
    state.files.iter().any(|entry| entry.name == STDOUT && entry.stage == Stage::Complete)
}
