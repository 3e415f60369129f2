//! The slices of an export into a folder, as its ledger fixes them.

use std::time::Duration;

use webex_events::{ListEvents, Slices};

use crate::{
    archive::{ArchiveMeta, Slicing, StoredRequest},
    error::Failure,
    run::range::Range,
};

/// The least margin of an export.
const MARGIN: Duration = Duration::from_secs(60);

/// The slices of a new export.
pub(crate) fn slicing(length: Duration) -> Slicing {
    with_margin(Slicing { seconds: length.as_secs(), is_aligned: true, margin_ms: 0 }, MARGIN)
}

/// The same slices with at least this margin: an event that was stored this long after its creation is in the file of its
/// slice, even if the service lists events by the time at which they were stored. The library limits the margin to a
/// tenth of a slice.
pub(crate) fn with_margin(slicing: Slicing, margin: Duration) -> Slicing {
    let margin_ms = u64::try_from(margin.as_millis()).unwrap_or(u64::MAX);
    Slicing { margin_ms: slicing.margin_ms.max(margin_ms), ..slicing }
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
