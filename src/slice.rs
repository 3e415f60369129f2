//! `Slices`: a time range in pieces that can be listed side by side.

use std::{iter::FusedIterator, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    cursor::Cursor,
    error::{Error, Result},
    event::Event,
    query::ListEvents,
};

/// How much further than its own range a slice asks.
const MARGIN: TimeDelta = TimeDelta::milliseconds(1);

/// A part of a time range: the events of a query that were created from [`start`](Self::start),
/// included, up to [`end`](Self::end), excluded. Made by [`ListEvents::slices`].
///
/// Whether the service's own `from` and `to` include their instants is undocumented. So
/// [`Client::list_slices`](crate::Client::list_slices) asks for a millisecond more at both ends, though
/// never for more than the range that was asked for at its later end, which may be now; and keeps the
/// events whose `created` lies in the slice. The slices of a range then give each of its events exactly
/// once, whatever the service means.
///
/// A slice is a plain value and can be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    /// Whether the whole range ends here, so that asking for more could ask for the future.
    last: bool,
    query: ListEvents,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<Cursor>,
}

impl Slice {
    /// Its first instant.
    #[must_use]
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// The instant behind its last one.
    #[must_use]
    pub fn end(&self) -> DateTime<Utc> {
        self.end
    }

    /// What is listed: the query that was sliced, from [`start`](Self::start) to [`end`](Self::end).
    pub fn query(&self) -> ListEvents {
        self.query.clone().from(self.start).to(self.end)
    }

    /// The same slice, begun at `cursor` instead of its start: one that
    /// [`Page::cursor`](crate::Page::cursor) gave for a page of this slice.
    ///
    /// A cursor of another list makes the slice fail with [`Error::Cursor`], as does one that the
    /// service doesn't know any more.
    #[must_use]
    pub fn with_cursor(self, cursor: Cursor) -> Self {
        Self { cursor: Some(cursor), ..self }
    }

    pub(crate) fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// What is asked for.
    pub(crate) fn request_query(&self) -> ListEvents {
        let start = self.start.checked_sub_signed(MARGIN).unwrap_or(self.start);
        let behind = self.end.checked_add_signed(MARGIN).filter(|_| !self.last);
        self.query.clone().from(start).to(behind.unwrap_or(self.end))
    }

    /// Whether the event is one of this slice.
    pub(crate) fn holds(&self, event: &Event) -> bool {
        (self.start..self.end).contains(&event.created())
    }
}

/// The slices of a range, oldest first. Made by [`ListEvents::slices`].
#[derive(Clone, Debug)]
#[must_use = "slices are listed by `Client::list_slices`"]
pub struct Slices {
    query: ListEvents,
    /// Milliseconds since 1970, like the others.
    at: i64,
    end: i64,
    length: i64,
}

impl ListEvents {
    /// Cuts the range from [`from`](Self::from) to [`to`](Self::to) into slices of this length, oldest
    /// first, the last one as short as it must be: half-open and consecutive, so that each instant of
    /// the range is in exactly one.
    ///
    /// The range is rounded outwards to milliseconds, the length down to them. Nothing is sent.
    ///
    /// ```
    /// use std::time::Duration;
    /// use webex_events::ListEvents;
    ///
    /// let week = ListEvents::new().from("2026-01-05T00:00:00Z".parse()?).to("2026-01-12T00:00:00Z".parse()?);
    /// let mut slices = week.slices(Duration::from_secs(6 * 3600))?;
    /// assert_eq!(slices.len(), 28);
    /// let first = slices.next().unwrap();
    /// assert_eq!(first.end().to_rfc3339(), "2026-01-05T06:00:00+00:00");
    /// assert_eq!(slices.next().unwrap().start(), first.end());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Query`] if the query lacks `from` or `to` or is otherwise one that can't be sent, or if
    /// the length is less than a millisecond.
    pub fn slices(&self, length: Duration) -> Result<Slices> {
        self.check()?;
        let Some((from, to)) = self.millis() else {
            return Err(Error::query("slices need both `from` and `to`"));
        };
        let length_millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        if length_millis == 0 {
            return Err(Error::query(format!("a slice of {length:?} is shorter than a millisecond")));
        }
        Ok(Slices { query: self.unbounded(), at: from, end: to, length: length_millis })
    }
}

impl Iterator for Slices {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        if self.at >= self.end {
            return None;
        }
        let start = self.at;
        self.at = start.saturating_add(self.length).min(self.end);
        Some(Slice {
            start: DateTime::from_timestamp_millis(start)?,
            end: DateTime::from_timestamp_millis(self.at)?,
            last: self.at == self.end,
            query: self.query.clone(),
            cursor: None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.at).unsigned_abs().div_ceil(self.length.unsigned_abs());
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Slices {}

impl FusedIterator for Slices {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_767_603_600_000 + millis).unwrap()
    }

    fn slices(from: i64, to: i64, length: u64) -> Vec<Slice> {
        let query = ListEvents::new().resource("rooms").from(at(from)).to(at(to));
        query.slices(Duration::from_millis(length)).unwrap().collect()
    }

    #[test]
    fn a_range_that_is_no_multiple_ends_with_a_short_slice() {
        let slices = slices(0, 25, 10);
        let bounds: Vec<_> = slices.iter().map(|slice| (slice.start(), slice.end())).collect();
        assert_eq!(bounds, [(at(0), at(10)), (at(10), at(20)), (at(20), at(25))]);
        assert_eq!(
            slices[1].query(),
            ListEvents::new().resource("rooms").from(at(10)).to(at(20)),
            "nothing of the query is lost"
        );
    }

    #[test]
    fn a_slice_asks_for_a_millisecond_more_but_never_behind_the_range() {
        let requested: Vec<_> = slices(0, 20, 10).iter().map(Slice::request_query).collect();
        let rooms = ListEvents::new().resource("rooms");
        assert_eq!(requested[0], rooms.clone().from(at(-1)).to(at(11)));
        assert_eq!(requested[1], rooms.from(at(9)).to(at(20)));
    }

    #[test]
    fn what_can_not_be_sliced_is_refused() {
        let second = Duration::from_secs(1);
        for (query, length, shown) in [
            (ListEvents::new().from(at(0)), second, "both"),
            (ListEvents::new().to(at(0)), second, "both"),
            (ListEvents::new().from(at(1)).to(at(0)), second, "before"),
            (ListEvents::new().from(at(0)).to(at(1)), Duration::ZERO, "0ns"),
            (ListEvents::new().from(at(0)).to(at(1)), Duration::from_micros(999), "999"),
            (ListEvents::new().from(at(0)).to(at(1)).page_size(0), second, "0"),
        ] {
            let error = query.slices(length).unwrap_err();
            assert!(matches!(&error, Error::Query(text) if text.contains(shown)), "{error}");
        }
    }

    #[test]
    fn a_slice_survives_being_stored() {
        let slice = slices(0, 20, 10).remove(0);
        let slice =
            slice.clone().with_cursor(Cursor::at("https://webexapis.com/v1/events", slice.request_query()));
        let text = serde_json::to_string(&slice).unwrap();
        assert_eq!(serde_json::from_str::<Slice>(&text).unwrap(), slice);
    }

    proptest! {
        #[test]
        fn slices_are_consecutive_and_as_many_as_they_say(
            from in 0_i64..100, span in 1_i64..2000, part in 0_u32..1_000_000, length in 1_u64..3000,
        ) {
            let nanos = TimeDelta::nanoseconds(part.into());
            let query = ListEvents::new().from(at(from) + nanos).to(at(from + span) + nanos);
            let slices = query.slices(Duration::from_millis(length)).unwrap();
            let expected = slices.len();
            let slices: Vec<_> = slices.collect();
            prop_assert_eq!(slices.len(), expected);
            prop_assert_eq!(slices[0].start(), at(from));
            prop_assert!(slices.windows(2).all(|pair| pair[0].end() == pair[1].start()));
            prop_assert_eq!(slices[expected - 1].end(), at(from + span + i64::from(part > 0)));
            prop_assert!(slices.iter().all(|slice| slice.start() < slice.end()));
        }
    }
}
