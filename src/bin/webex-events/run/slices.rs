//! The slices of an export into a folder, as its ledger fixes them.

use std::time::Duration;

use webex_events::{ListEvents, Slices};

use crate::{archive::About, error::Failure, run::request::Range};

/// The margin of a new export.
pub(crate) const MARGIN_MILLIS: u64 = 60_000;

/// The slices of the export that `about` describes. They stay as they were when it was begun, so that
/// each file keeps its range until the export is complete.
pub(crate) fn of(about: &About, filters: ListEvents) -> Result<Slices, Failure> {
    let range = Range { from: about.from, to: about.to };
    let length = Duration::from_secs(about.slice_seconds.unwrap_or_default());
    let slices = range.of(filters).slices(length).map_err(|error| Failure::of(&error, None))?;
    Ok(match (about.slice_margin_millis, about.from) {
        (None, Some(from)) => slices.aligned_to(from).margin(Duration::from_millis(1)),
        (margin, _) => slices.margin(Duration::from_millis(margin.unwrap_or(MARGIN_MILLIS))),
    })
}
