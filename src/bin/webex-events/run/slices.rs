//! The slices of an export into a folder, as its ledger fixes them.

use std::time::Duration;

use webex_events::{ListEvents, Slices};

use crate::{
    archive::{ArchiveMeta, Slicing},
    error::Failure,
    run::range::Range,
};

/// The margin of a new export.
const MARGIN_MS: u64 = 60_000;

/// The slices of a new export.
pub(crate) fn slicing(length: Duration) -> Slicing {
    Slicing { seconds: length.as_secs(), is_aligned: true, margin_ms: MARGIN_MS }
}

/// The slices of the export that `meta` describes. They are the same in all runs, so that each file keeps its range until
/// the export is complete.
pub(crate) fn of(meta: &ArchiveMeta, filters: ListEvents) -> Result<Slices, Failure> {
    let range = Range::of_meta(meta);
    let slicing = meta.slicing.unwrap_or_else(|| slicing(Duration::ZERO));
    let slices = range.of(filters).slices(slicing.length())?;
    let slices = slices.margin(Duration::from_millis(slicing.margin_ms));
    Ok(match meta.from {
        Some(from) if !slicing.is_aligned => slices.aligned_to(from),
        _ => slices,
    })
}
