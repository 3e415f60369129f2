//! Following into a folder with a ledger.

use std::path::PathBuf;

use webex_events::Checkpoint;

use super::{
    beginning,
    sink::{Folder, Sink},
};
use crate::{
    archive::{ArchiveKind, ArchiveMeta, Checksum, Destination, Layout, Slicing, WriteOptions},
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
    let found = Destination::claim(Layout::Folder(path), ArchiveKind::Follow)?;
    let asked = request::of_all(&follow.filters, follow.commits.compress, &follow.connection);
    let codec = follow.commits.compress.unwrap_or_default();
    let slicing = Slicing { seconds: 3600, is_aligned: true, margin_ms: 0 };
    let meta = request::meta(ArchiveKind::Follow, &asked, Some(slicing), codec);
    if let Some(state) = found.ledger() {
        must_fit(found.layout().root(), &state.meta, &meta)?;
    }
    let from = match found.ledger().and_then(|state| state.meta.from) {
        Some(from) => from,
        None => beginning(follow, connected, stop).await?,
    };
    let meta = ArchiveMeta { from: Some(from), ..meta };
    let store = found.open(meta, WriteOptions { codec, checksum: Checksum::Sha256, memory: None })?;
    let checkpoint = match store.checkpoint() {
        Some(checkpoint) => serde_json::from_value(checkpoint.clone()).map_err(|error| {
            Failure::new(
                Code::Output,
                format!(
                    "the checkpoint in {} can't be read: {error}; follow into another folder, with --from",
                    store.layout().ledger_path().display()
                ),
            )
        })?,
        None => Checkpoint::at(from),
    };
    let name = store.layout().display();
    let open = store.open_files().cloned().collect();
    let writer = Writer::start(store, follow.commits.commit_every);
    Ok((Sink::Folder(Box::new(Folder::new(name, codec, writer, open))), checkpoint))
}
