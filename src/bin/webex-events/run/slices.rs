//! The slices of an export into a folder, as its ledger fixes them.

use std::time::Duration;

use webex_events::{ListEvents, Slices};

use crate::{
    archive::{ArchiveMeta, Slicing, StoredRequest},
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

/// The slices of each of these lists.
pub(crate) fn of_lists(
    meta: &ArchiveMeta,
    lists: Vec<ListEvents>,
) -> Result<Vec<(ListEvents, Slices)>, Failure> {
    lists.into_iter().map(|list| Ok((list.clone(), of(meta, list)?))).collect()
}

/// A list among several of a request, by its filters.
pub(crate) fn list_name(list: &ListEvents) -> String {
    let query = StoredRequest::of(list).query;
    let names = ["resource", "type"].map(|name| query.get(name).and_then(|value| value.as_str()));
    names.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
