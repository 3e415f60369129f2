//! Following into a folder with a ledger.

use std::path::PathBuf;

use chrono::Utc;
use webex_events::Checkpoint;

use super::{
    beginning,
    sink::{Folder, Sink},
};
use crate::{
    archive::{About, Form, Found, Kind, Place},
    cli,
    error::{Code, Failure},
    run::{
        request::{self, must_fit},
        writer::Writer,
    },
    service::Connected,
    ui::shutdown::Stop,
};

/// Opens the folder, which is made if missing, at the place where an earlier run has stopped.
pub(super) async fn open(
    follow: &cli::Follow,
    connected: &Connected,
    stop: &mut Stop,
    path: PathBuf,
) -> Result<(Sink, Checkpoint), Failure> {
    if follow.checkpoint.is_some() {
        return Err(Failure::usage("--checkpoint is for stdout: a folder keeps its place in ledger.json"));
    }
    let found = Found::at(Place::Folder(path))?;
    let mut asked = request::of_all(&follow.filters, follow.commits.compress, &follow.connection);
    asked.insert("follow".to_owned(), "by the hour".to_owned());
    if let Some(state) = found.state() {
        must_fit(found.place(), &state.about.asked, &asked)?;
    }
    let from = match found.state().and_then(|state| state.about.from) {
        Some(from) => from,
        None => beginning(follow, connected, stop).await?,
    };
    let codec = follow.commits.compress.unwrap_or_default();
    let about = About {
        kind: Kind::Follow,
        asked,
        from: Some(from),
        to: None,
        slice_seconds: Some(3600),
        slice_margin_millis: None,
        compress: codec,
        begun: Utc::now(),
    };
    let store = found.open(about, Form { codec, hashed: true, memory: None })?;
    let checkpoint = match store.checkpoint() {
        Some(checkpoint) => serde_json::from_value(checkpoint.clone()).map_err(|error| {
            Failure::new(
                Code::Output,
                format!(
                    "the checkpoint in {} can't be read: {error}; follow into another folder, with --from",
                    store.place().state().display()
                ),
            )
        })?,
        None => Checkpoint::at(from),
    };
    let name = store.place().display();
    let open = store.open().cloned().collect();
    let writer = Writer::start(store, follow.commits.commit_every);
    Ok((Sink::Folder(Box::new(Folder::new(name, codec, writer, open))), checkpoint))
}
