//! Where the pages of one walk go.

use std::{fs::File, io, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Map, json};
use webex_events::{Error, Page};

use crate::{
    archive::{Archive, FileEntry, Layout, Totals, malformed_path, malformed_record},
    run::{
        lines::Lines,
        walk::Halt,
        writer::{Command, Piece, Writer},
    },
    ui::messages,
};

/// A stream that is written as pages come, or a file that is whole or not there.
#[derive(Debug)]
pub(crate) enum Sink {
    Stream(Box<Stream>),
    File(Box<FileSink>),
}

#[derive(Debug)]
pub(crate) struct Stream {
    lines: Lines,
    name: String,
    malformed: u64,
    partial: u64,
}

#[derive(Debug)]
pub(crate) struct FileSink {
    entry: FileEntry,
    place: Layout,
    /// Until the end.
    writer: Option<Writer>,
    /// From the end on.
    store: Option<Archive>,
    totals: Totals,
}

impl Sink {
    pub(crate) fn stream(file: File, name: String) -> Self {
        Self::Stream(Box::new(Stream { lines: Lines::new(file), name, malformed: 0, partial: 0 }))
    }

    pub(crate) fn file(store: Archive, entry: FileEntry, every: Duration) -> Self {
        let place = store.layout().clone();
        let totals = store.totals();
        let writer = Some(Writer::start(store, every));
        Self::File(Box::new(FileSink { entry, place, writer, store: None, totals }))
    }

    /// A page, the `number`-th of this run. `anew`: what is there already goes.
    pub(crate) async fn page(&mut self, page: Page, number: u64, anew: bool) -> Result<(), Halt> {
        match self {
            Self::Stream(stream) => stream.page(page, number).map_err(Halt::Output),
            Self::File(file) => {
                let (cursor, entry) = (page.cursor().cloned(), file.entry.clone());
                let piece = Piece { file: entry, items: page.items, cursor, anew };
                file.send(Command::Page(Box::new(piece))).await
            }
        }
    }

    /// There is nothing to write for now.
    pub(crate) fn idle(&mut self) -> Result<(), Halt> {
        match self {
            // For those who read along.
            Self::Stream(stream) => stream.lines.flush().map_err(Halt::Output),
            Self::File(_) => Ok(()),
        }
    }

    /// A second has passed.
    pub(crate) fn tick(&self) -> Result<(), Halt> {
        match self {
            Self::File(file) => Ok(file.writer.as_ref().map_or(Ok(()), Writer::tick)?),
            Self::Stream(_) => Ok(()),
        }
    }

    /// Whether what was written can be taken back.
    pub(crate) fn can_start_over(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The range begins at another instant than it was thought to.
    pub(crate) async fn set_from(&mut self, from: Option<DateTime<Utc>>) -> Result<(), Halt> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::File(file) => file.send(Command::From(from)).await,
        }
    }

    /// Brings to disk what came, as the whole list or as a part of it.
    pub(crate) async fn end(&mut self, is_complete: bool) -> io::Result<()> {
        match self {
            Self::Stream(stream) => {
                stream.lines.flush()?;
                let file = stream.lines.file();
                if is_complete && file.metadata().is_ok_and(|metadata| metadata.is_file()) {
                    file.sync_all()?;
                }
                Ok(())
            }
            Self::File(file) => {
                if is_complete {
                    let finish = Command::Finish(Box::new(file.entry.clone()));
                    // If it can't be sent, the reason comes with the end.
                    let _ = file.send(finish).await;
                }
                file.end().await
            }
        }
    }

    /// What is there by now.
    pub(crate) fn totals(&self) -> Totals {
        match self {
            Self::Stream(stream) => Totals {
                events: stream.lines.written(),
                bytes: stream.lines.bytes(),
                malformed: stream.malformed,
                partial: stream.partial,
                ..Totals::default()
            },
            Self::File(file) => file.writer.as_ref().map_or(file.totals, Writer::totals),
        }
    }

    /// The store of a file, once it has ended.
    pub(crate) fn store(&self) -> Option<&Archive> {
        match self {
            Self::File(file) => file.store.as_ref(),
            Self::Stream(_) => None,
        }
    }

    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stream(stream) if stream.name == "stdout")
    }

    /// Where a complete list is.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stream(stream) => stream.name.clone(),
            Self::File(file) => file.place.display(),
        }
    }

    /// Where a list that isn't complete is.
    pub(crate) fn part_name(&self) -> String {
        match self {
            Self::Stream(stream) => stream.name.clone(),
            Self::File(file) => format!("{}.part", file.place.display()),
        }
    }

    /// Where malformed items are.
    pub(crate) fn malformed_name(&self) -> String {
        match self {
            Self::Stream(_) => "stderr".to_owned(),
            Self::File(file) => malformed_path(&file.place.path(&file.entry.name)).display().to_string(),
        }
    }
}

impl Stream {
    fn page(&mut self, page: Page, number: u64) -> io::Result<()> {
        for item in page {
            match item {
                Ok(event) => {
                    self.lines.push(event.raw())?;
                    // Errors that can't be read are errors too.
                    self.partial += u64::from(event.errors().map_or(true, |errors| !errors.is_empty()));
                }
                Err(Error::Item(item)) => {
                    let entry = malformed_record(number, &item);
                    messages::warning(&format!("an item that isn't an event: {}", json!(entry)), entry);
                    self.malformed += 1;
                }
                Err(error) => messages::warning(&format!("an item can't be read: {error}"), Map::new()),
            }
        }
        Ok(())
    }
}

impl FileSink {
    async fn send(&mut self, command: Command) -> Result<(), Halt> {
        match &self.writer {
            Some(writer) => Ok(writer.send(command).await?),
            None => Err(Halt::Broken),
        }
    }

    async fn end(&mut self) -> io::Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        self.totals = writer.totals();
        let (store, result) = writer.end().await;
        if let Some(store) = &store {
            self.totals = store.totals();
        }
        self.store = store;
        result
    }
}
