//! The sink for standard output, a device or a pipe.

use std::{fs::File, io};

use serde_json::Map;
use webex_events::{Error, Event, Result as ListResult};

use super::{checkpoint::CheckpointFile, lines::LineWriter, pipe::Pipe};
use crate::{
    archive::{Totals, malformed_record},
    error::{Code, Failure, reason},
    run::{positions::Positions, source::Step, stop_reason::StopReason},
    ui::messages,
};

#[derive(Debug)]
pub(crate) struct StreamSink {
    lines: LineWriter,
    name: String,
    pipe: Pipe,
    totals: Totals,
    /// The number of pages or rounds.
    pages: u64,
    checkpoint: Option<CheckpointFile>,
}

impl StreamSink {
    pub(crate) fn new(file: File, name: String) -> Self {
        let pipe = Pipe::of(&file);
        Self {
            lines: LineWriter::new(file),
            name,
            pipe,
            totals: Totals::default(),
            pages: 0,
            checkpoint: None,
        }
    }

    /// Adds the checkpoint of a follower, which is stored immediately.
    pub(crate) fn with_checkpoint(
        mut self,
        mut file: CheckpointFile,
        positions: &Positions,
    ) -> Result<Self, Failure> {
        file.open(positions)?;
        if file.may_be_within_a_line() {
            // An earlier run may have been stopped in the middle of a line.
            self.lines.end_line();
        }
        self.checkpoint = Some(file);
        Ok(self)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn keeps_checkpoint(&self) -> bool {
        self.checkpoint.is_some()
    }

    pub(super) fn write(&mut self, step: Step) -> Result<(), StopReason> {
        match step {
            Step::Page { page, .. } => self.items(page),
            Step::Finished { .. } => {
                self.flush()?;
                Ok(sync(self.lines.file())?)
            }
            Step::From(_) => Ok(()),
            Step::Round { items, positions } => {
                self.items(items)?;
                self.flush()?;
                // Store the checkpoint after the events: after a kill some are repeated, and none is lost.
                if let Some(file) = &mut self.checkpoint {
                    sync(self.lines.file())?;
                    file.store(&positions)?;
                }
                Ok(())
            }
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        match &mut self.checkpoint {
            Some(file) if !self.lines.is_broken() => {
                sync(self.lines.file())?;
                file.close()
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn closed(&self) {
        self.pipe.closed().await;
    }

    pub(super) fn totals(&self) -> Totals {
        Totals { events: self.lines.written(), bytes: self.lines.bytes(), ..self.totals }
    }

    fn items(&mut self, items: impl IntoIterator<Item = ListResult<Event>>) -> Result<(), StopReason> {
        self.pages += 1;
        for item in items {
            match item {
                Ok(event) => {
                    self.lines.push(event.raw())?;
                    // Unreadable field errors count as field errors.
                    self.totals.partial +=
                        u64::from(event.errors().map_or(true, |errors| !errors.is_empty()));
                }
                Err(Error::Item(item)) => {
                    messages::malformed(malformed_record(self.pages, &item))
                        .map_err(|error| unreported(&error))?;
                    self.totals.malformed += 1;
                }
                Err(error) => messages::warning(&format!("an item can't be read: {error}"), Map::new()),
            }
        }
        Ok(())
    }
}

/// The failure to report a malformed item, which would be lost.
fn unreported(error: &io::Error) -> StopReason {
    let text = format!(
        "a malformed item can't be written to stderr: {}; redirect stderr to a file, or export into a file with -o",
        reason(error)
    );
    StopReason::Failed(Failure::new(Code::Output, text))
}

/// Syncs a regular file to disk. Pipes and devices can't be synced.
fn sync(file: &File) -> io::Result<()> {
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) { file.sync_all() } else { Ok(()) }
}
