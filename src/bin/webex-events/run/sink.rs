//! Sinks of a run: a stream, or the archive. A new target is a new variant of [`Sink`].

use std::{future::pending, io};

use crate::{
    archive::{Archive, FailedSlice, FileEntry, Layout, Totals, malformed_path},
    run::{source::Step, stop_reason::StopReason},
};

mod archive;
mod checkpoint;
mod hours;
mod lines;
mod pipe;
mod stream;

pub(crate) use self::{archive::ArchiveSink, checkpoint::CheckpointFile, stream::StreamSink};

#[derive(Debug)]
pub(crate) enum Sink {
    /// Written directly.
    Stream(Box<StreamSink>),
    /// Files that get their final names when they are complete.
    Archive(Box<ArchiveSink>),
}

impl Sink {
    pub(crate) async fn write(&mut self, step: Step) -> Result<(), StopReason> {
        match self {
            Self::Stream(stream) => stream.write(step),
            Self::Archive(archive) => archive.write(step).await,
        }
    }

    /// Records a slice that was skipped.
    pub(crate) async fn set_aside(&mut self, slice: &FailedSlice) -> Result<(), StopReason> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::Archive(archive) => archive.set_aside(slice).await,
        }
    }

    /// Flushes, since nothing can be written for now.
    pub(crate) fn idle(&mut self) -> Result<(), StopReason> {
        match self {
            Self::Stream(stream) => stream.flush().map_err(StopReason::Output),
            Self::Archive(_) => Ok(()),
        }
    }

    /// Lets the archive commit; called every second.
    pub(crate) fn tick(&self) -> Result<(), StopReason> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::Archive(archive) => archive.tick(),
        }
    }

    /// Returns when the reader has closed the output.
    pub(crate) async fn closed(&self) {
        match self {
            Self::Stream(stream) => stream.closed().await,
            Self::Archive(_) => pending().await,
        }
    }

    /// Commits everything that was written, and closes the output.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.end(),
            Self::Archive(archive) => archive.end().await,
        }
    }

    /// The totals of the output.
    pub(crate) fn totals(&self) -> Totals {
        match self {
            Self::Stream(stream) => stream.totals(),
            Self::Archive(archive) => archive.totals(),
        }
    }

    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stream(stream) if stream.name() == "stdout")
    }

    /// Returns true if a later run resumes where this one ends.
    pub(crate) fn is_resumable(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.keeps_checkpoint(),
            Self::Archive(_) => true,
        }
    }

    /// The name of the output when it is complete.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stream(stream) => stream.name().to_owned(),
            Self::Archive(archive) => archive.layout().display(),
        }
    }

    /// The name of the output until then.
    pub(crate) fn part_name(&self) -> String {
        match self {
            Self::Archive(archive) if matches!(archive.layout(), Layout::File(_)) => {
                format!("{}.part", self.name())
            }
            _ => self.name(),
        }
    }

    /// The name of the output for malformed items.
    pub(crate) fn malformed_name(&self) -> String {
        match self {
            Self::Stream(_) => "stderr".to_owned(),
            Self::Archive(archive) => malformed_path(&archive.layout().path("*")).display().to_string(),
        }
    }

    /// The files, once the sink has ended.
    pub(crate) fn files(&self) -> Vec<FileEntry> {
        self.archive().map(Archive::files).unwrap_or_default()
    }

    /// The archive, once it has ended.
    pub(crate) fn archive(&self) -> Option<&Archive> {
        match self {
            Self::Stream(_) => None,
            Self::Archive(archive) => archive.archive(),
        }
    }
}
