//! The continuation of a complete export: a later end of its range.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use webex_events::{ListEvents, Slices};

use crate::{
    archive::{ArchiveMeta, FailedSlice, FileEntry, Ledger, Reread, StoredRequest},
    error::Failure,
    run::{names, slices},
};

/// The change of a ledger to a later end.
#[derive(Debug)]
pub(crate) struct Extension {
    pub(crate) meta: ArchiveMeta,
    /// The failed slices that are still slices of the range.
    pub(crate) failed: Vec<FailedSlice>,
    /// The slices that are read again.
    pub(crate) files: Vec<Reread>,
}

/// The end of a range in which late events have arrived, if the last one arrives this long after it was created: the
/// earliest instant if the end would be before that.
pub(crate) fn end(now: DateTime<Utc>, settle: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(settle)
        .ok()
        .and_then(|settle| now.checked_sub_signed(settle))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

impl Extension {
    /// The extension of an export up to `to`, or `None` if it isn't later than the present end.
    ///
    /// A slice is read again if it gets longer. So is one that ends so late that events may have been missing when it
    /// was read.
    pub(crate) fn of(ledger: &Ledger, to: DateTime<Utc>, settle: Duration) -> Result<Option<Self>, Failure> {
        let was = &ledger.meta;
        let Some(end) = was.to.filter(|end| *end < to) else { return Ok(None) };
        let request = StoredRequest { to: None, ..was.request.clone() };
        let slicing = was.slicing.map(|slicing| slices::with_margin(slicing, settle));
        let meta = ArchiveMeta { to: Some(to), request, slicing, waited_s: settle.as_secs(), ..was.clone() };
        let waited = i64::try_from(settle.as_secs().saturating_sub(was.waited_s)).ok();
        let late = waited.and_then(TimeDelta::try_seconds).and_then(|span| end.checked_sub_signed(span));
        let late = late.unwrap_or(DateTime::<Utc>::MIN_UTC);
        let by_start: HashMap<_, _> = ledger.files.iter().map(|entry| (entry.start, entry)).collect();
        let mut failed: HashMap<_, _> =
            ledger.failed.iter().map(|failed| ((failed.start, failed.end), failed.clone())).collect();
        let (mut files, mut still_failed) = (Vec::new(), Vec::new());
        for slice in Self::slices(&meta)? {
            let span = (slice.start(), slice.end());
            let failed = failed.remove(&span);
            let is_lost = failed.as_ref().is_some_and(|failed| failed.is_beyond_retention);
            still_failed.extend(failed);
            let Some(old) = by_start.get(&Some(span.0)).filter(|_| !is_lost) else { continue };
            if old.end != Some(span.1) || span.1 > late {
                files.push(Reread {
                    old: Some(FileEntry::clone(old)),
                    new: Some(names::entry(span.0, span.1, meta.compress)),
                    is_sound: true,
                    is_kept: false,
                });
            }
        }
        Ok(Some(Self { meta, failed: still_failed, files }))
    }

    fn slices(meta: &ArchiveMeta) -> Result<Slices, Failure> {
        slices::of(meta, ListEvents::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{ArchiveKind, Codec, Slicing, Stage};

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-01-05T{text}Z").parse().unwrap()
    }

    /// An export up to this instant, by the hour from 08:30.
    fn exported(to: &str, waited_s: u64) -> Ledger {
        let meta = ArchiveMeta {
            kind: ArchiveKind::Export,
            request: StoredRequest { from: Some("1h".to_owned()), ..StoredRequest::default() },
            from: Some(at("08:30:00")),
            to: Some(at(to)),
            slicing: Some(Slicing { seconds: 3600, is_aligned: true, margin_ms: 60_000 }),
            waited_s,
            compress: Codec::None,
            begun: at(to),
        };
        let files = Extension::slices(&meta).unwrap().map(|slice| FileEntry {
            stage: Stage::Complete,
            ..names::entry(slice.start(), slice.end(), Codec::None)
        });
        Ledger { files: files.collect(), checkpoint: None, failed: Vec::new(), meta }
    }

    /// The old and the new ends of the slices that are read again.
    #[track_caller]
    fn read_again(ledger: &Ledger, to: &str, settle: Duration) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
        let extension = Extension::of(ledger, at(to), settle).unwrap().unwrap();
        assert_eq!((extension.meta.to, extension.meta.waited_s), (Some(at(to)), settle.as_secs()));
        let ends = |file: Reread| file.old.and_then(|old| old.end).zip(file.new.and_then(|new| new.end));
        extension.files.into_iter().map(|file| ends(file).unwrap()).collect()
    }

    #[test]
    fn the_last_slice_is_read_again_if_it_gets_longer() {
        let minutes = Duration::from_secs(900);
        let ledger = exported("10:20:00", 900);
        let longer = (at("10:20:00"), at("11:00:00"));
        assert_eq!(read_again(&ledger, "12:40:00", minutes), [longer]);
        assert_eq!(read_again(&ledger, "10:40:00", minutes), [(at("10:20:00"), at("10:40:00"))]);
        assert!(read_again(&exported("10:00:00", 900), "12:40:00", minutes).is_empty());
    }

    #[test]
    fn slices_are_read_again_for_which_late_events_were_not_waited_for() {
        let same = |end: &str| (at(end), at(end));
        assert_eq!(read_again(&exported("10:00:00", 0), "12:00:00", HOUR / 4), [same("10:00:00")]);
        let ledger = exported("10:10:00", 0);
        let longer = (at("10:10:00"), at("11:00:00"));
        assert_eq!(read_again(&ledger, "12:00:00", HOUR / 4), [same("10:00:00"), longer]);
        assert_eq!(read_again(&ledger, "12:00:00", 2 * HOUR), [same("09:00:00"), same("10:00:00"), longer]);
        // 45 minutes more than before.
        assert_eq!(
            read_again(&exported("10:30:00", 900), "12:00:00", HOUR),
            [same("10:00:00"), (at("10:30:00"), at("11:00:00"))]
        );
    }

    #[test]
    fn no_event_is_older_than_the_longest_settling_time() {
        let now = at("12:00:00");
        assert_eq!(end(now, HOUR), at("11:00:00"));
        assert_eq!(end(now, Duration::MAX), DateTime::<Utc>::MIN_UTC);
    }

    #[test]
    fn an_end_that_is_not_later_extends_nothing() {
        for to in ["10:20:00", "10:19:59"] {
            assert!(Extension::of(&exported("10:20:00", 900), at(to), HOUR).unwrap().is_none());
        }
    }

    #[test]
    fn a_failed_slice_is_kept_unless_it_gets_longer() {
        let failed = |start: &str, end: &str| FailedSlice {
            start: at(start),
            end: at(end),
            kind: "service".to_owned(),
            message: "no".to_owned(),
            is_beyond_retention: false,
        };
        let mut ledger = exported("10:20:00", 900);
        ledger.failed = vec![failed("09:00:00", "10:00:00"), failed("10:00:00", "10:20:00")];
        let extension = Extension::of(&ledger, at("12:00:00"), HOUR).unwrap().unwrap();
        assert_eq!(extension.failed, ledger.failed[..1]);
    }

    #[test]
    fn the_margin_of_the_slices_is_the_settling_time_at_least() {
        let margin = |settle| {
            let extension = Extension::of(&exported("10:20:00", 0), at("12:00:00"), settle).unwrap().unwrap();
            extension.meta.slicing.unwrap().margin_ms
        };
        assert_eq!([margin(HOUR / 4), margin(Duration::ZERO)], [900_000, 60_000]);
    }

    #[test]
    fn a_fixed_end_is_no_longer_a_part_of_the_request() {
        let mut ledger = exported("10:20:00", 0);
        ledger.meta.request.to = Some("2026-01-05T10:20:00Z".to_owned());
        let meta = Extension::of(&ledger, at("12:00:00"), HOUR).unwrap().unwrap().meta;
        assert_eq!((meta.request.to, meta.request.from), (None, ledger.meta.request.from));
    }
}
