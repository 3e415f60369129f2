//! The sink for an archive, which is written by a thread of its own.

use std::{io, time::Duration};

use super::hours::Hours;
use crate::{
    archive::{Archive, Codec, FailedSlice, FileEntry, Layout, Totals},
    run::{
        names,
        range::Span,
        source::Step,
        stop_reason::StopReason,
        writer::{Piece, Writer, WriterCommand},
    },
};

#[derive(Debug)]
pub(crate) struct ArchiveSink {
    layout: Layout,
    codec: Codec,
    hours: Hours,
    /// The number of lists that each file has the events of.
    lists: usize,
    /// `None` once the sink has ended.
    writer: Option<Writer>,
    /// `None` until the sink has ended.
    archive: Option<Archive>,
    totals: Totals,
}

impl ArchiveSink {
    pub(crate) fn new(archive: Archive, codec: Codec, commit_every: Duration) -> Self {
        let (layout, totals) = (archive.layout().clone(), archive.totals());
        // A file whose range is read again has its end from elsewhere.
        let hours = archive.open_files().filter(|entry| entry.replaces.is_none());
        let hours = Hours::new(hours.cloned());
        let lists = archive.meta().request.list_count();
        let writer = Some(Writer::start(archive, commit_every));
        Self { layout, codec, hours, lists, writer, archive: None, totals }
    }

    pub(super) async fn write(&mut self, step: Step) -> Result<(), StopReason> {
        let command = match step {
            Step::Page { span, list, page, is_restart } => {
                let (file, cursor) = (self.file(span), page.cursor().cloned());
                WriterCommand::Page(Box::new(Piece { file, list, items: page.items, cursor, is_restart }))
            }
            Step::Finished { span } => WriterCommand::Finish(Box::new(self.file(span))),
            Step::From(from) => WriterCommand::From(from),
            Step::Round { items, positions } => {
                let sorted = self.hours.sort(items, positions.settled(), self.codec);
                let (files, finished) = sorted.map_err(StopReason::Output)?;
                WriterCommand::Round { files, finished, checkpoint: positions.stored() }
            }
        };
        self.send(command).await
    }

    pub(super) async fn set_aside(&mut self, slice: &FailedSlice) -> Result<(), StopReason> {
        self.send(WriterCommand::Failed(slice.clone())).await
    }

    pub(super) fn tick(&self) -> Result<(), StopReason> {
        self.writer.as_ref().map_or(Ok(()), |writer| writer.tick().map_err(StopReason::from))
    }

    pub(super) async fn end(&mut self) -> io::Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        self.totals = writer.totals();
        let (archive, result) = writer.end().await;
        if let Some(archive) = &archive {
            self.totals = archive.totals();
        }
        self.archive = archive;
        result
    }

    pub(super) fn totals(&self) -> Totals {
        self.writer.as_ref().map_or(self.totals, Writer::totals)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The archive, once it has ended.
    pub(crate) fn archive(&self) -> Option<&Archive> {
        self.archive.as_ref()
    }

    async fn send(&self, command: WriterCommand) -> Result<(), StopReason> {
        match &self.writer {
            Some(writer) => Ok(writer.send(command).await?),
            None => Err(StopReason::WriterGone),
        }
    }

    /// The file of a slice, or the one file.
    fn file(&self, span: Option<Span>) -> FileEntry {
        let file = match span {
            Some((start, end)) => names::entry(start, end, self.codec),
            None => FileEntry::new(self.layout.file_name(), None),
        };
        file.with_lists(self.lists)
    }
}
