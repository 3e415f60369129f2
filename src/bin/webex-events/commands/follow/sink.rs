//! Where followed events go.

use std::{collections::BTreeMap, io};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use webex_events::{Checkpoint, Event};

use super::{Item, stdout::Stdout};
use crate::{
    archive::{Codec, FileEntry},
    run::{
        names,
        request::hour,
        walk::Halt,
        writer::{Command, Writer},
    },
};

#[derive(Debug)]
pub(super) enum Sink {
    Folder(Box<Folder>),
    Stdout(Box<Stdout>),
}

/// A file for each hour in which events were created, until no more can come for it.
#[derive(Debug)]
pub(super) struct Folder {
    name: String,
    codec: Codec,
    writer: Option<Writer>,
    open: BTreeMap<DateTime<Utc>, FileEntry>,
}

impl Sink {
    /// Takes items, and how far it has come with them.
    pub(super) async fn round(&mut self, items: Vec<Item>, checkpoint: &Checkpoint) -> Result<(), Halt> {
        match self {
            Self::Folder(folder) => {
                let command = folder.round(items, checkpoint).map_err(Halt::Output)?;
                match &folder.writer {
                    Some(writer) => Ok(writer.send(command).await?),
                    None => Err(Halt::Broken),
                }
            }
            Self::Stdout(stdout) => stdout.round(items, checkpoint).map_err(Halt::Output),
        }
    }

    /// A second has passed.
    pub(super) fn tick(&self) -> Result<(), Halt> {
        match self {
            Self::Folder(folder) => Ok(folder.writer.as_ref().map_or(Ok(()), Writer::tick)?),
            Self::Stdout(_) => Ok(()),
        }
    }

    /// Brings to disk what came.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Folder(folder) => match folder.writer.take() {
                Some(writer) => writer.end().await.1,
                None => Ok(()),
            },
            Self::Stdout(_) => Ok(()),
        }
    }

    pub(super) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }

    /// Whether a later run begins where this one ends.
    pub(super) fn can_go_on(&self) -> bool {
        match self {
            Self::Folder(_) => true,
            Self::Stdout(stdout) => stdout.keeps_its_place(),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Folder(folder) => &folder.name,
            Self::Stdout(_) => "stdout",
        }
    }

    /// Where events are, in words.
    pub(super) fn place(&self) -> String {
        format!("{} {}", if self.is_stdout() { "to" } else { "into" }, self.name())
    }
}

impl Folder {
    /// `open` are the files that an earlier run has begun.
    pub(super) fn new(name: String, codec: Codec, writer: Writer, open: Vec<FileEntry>) -> Self {
        let open = open.into_iter().filter_map(|entry| Some((entry.start?, entry))).collect();
        Self { name, codec, writer: Some(writer), open }
    }

    fn round(&mut self, items: Vec<Item>, checkpoint: &Checkpoint) -> io::Result<Command> {
        let settled = checkpoint.settled();
        let mut files: BTreeMap<DateTime<Utc>, Vec<Item>> = BTreeMap::new();
        let newest = items.iter().flatten().map(Event::created).max();
        for item in items {
            // Nobody can tell when an item was created that isn't an event.
            let created = item.as_ref().map_or(newest.unwrap_or(settled), Event::created);
            let start = hour(created).ok_or_else(|| io::Error::other(format!("{created} has no hour")))?;
            files.entry(start).or_default().push(item);
        }
        let mut commands = Vec::new();
        for (start, items) in files {
            let codec = self.codec;
            let entry = self.open.entry(start).or_insert_with(|| names::entry(start, start + HOUR, codec));
            commands.push((entry.clone(), items));
        }
        let is_over = |start: &DateTime<Utc>| *start + HOUR <= settled;
        let over: Vec<_> = self.open.keys().copied().filter(is_over).collect();
        let finished = over.iter().filter_map(|start| self.open.remove(start)).collect();
        Ok(Command::Round { files: commands, finished, checkpoint: json!(checkpoint) })
    }
}

const HOUR: TimeDelta = TimeDelta::hours(1);
