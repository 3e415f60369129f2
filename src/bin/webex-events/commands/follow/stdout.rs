//! Following to stdout, with the place kept in a file.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use chrono::Utc;
use serde_json::{Map, json};
use webex_events::{Checkpoint, Error};

use super::{Item, beginning, sink::Sink};
use crate::{
    archive::{About, Codec, Kind, Place, State, kept},
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
    about: About,
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
    let old = match &follow.checkpoint {
        Some(path) => State::at(path, "restore it, or begin anew with another --checkpoint and --from")?,
        None => None,
    };
    if let (Some(state), Some(path)) = (&old, &follow.checkpoint) {
        must_fit(&Place::File(path.clone()), &state.about.asked, &asked)?;
    }
    let from = match &old {
        Some(state) => state.about.from.unwrap_or_default(),
        None => beginning(follow, connected, stop).await?,
    };
    let checkpoint = match old.and_then(|state| state.checkpoint) {
        Some(checkpoint) => serde_json::from_value(checkpoint)
            .map_err(|error| Failure::new(Code::Output, format!("the checkpoint can't be read: {error}")))?,
        None => Checkpoint::at(from),
    };
    let about = About {
        kind: Kind::Follow,
        asked,
        from: Some(from),
        to: None,
        slice_seconds: None,
        slice_margin_millis: None,
        compress: Codec::None,
        begun: Utc::now(),
    };
    let place = follow.checkpoint.clone().map(|path| Kept { path, about });
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
                    let entry = kept(self.rounds, &item);
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
        let Some(Kept { path, about }) = &self.place else { return Ok(()) };
        State { about: about.clone(), checkpoint: Some(json!(checkpoint)), files: Vec::new() }.write(path)
    }
}
