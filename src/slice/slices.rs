//! `Slices`: a time range in parts that can be listed concurrently.

use std::{iter::FusedIterator, time::Duration};

use chrono::{DateTime, Utc};

use super::Slice;
use crate::{
    error::{Error, Result},
    query::ListEvents,
};

const DEFAULT_MARGIN: Duration = Duration::from_secs(60);

/// The slices of a range, oldest first. Made by [`ListEvents::slices`].
///
/// ```
/// use std::time::Duration;
/// use webex_events::ListEvents;
///
/// let year = ListEvents::new().from("2025-01-01T00:00:00Z".parse()?).to("2026-01-01T00:00:00Z".parse()?);
/// let days = year.slices(Duration::from_secs(24 * 3600))?.margin(Duration::from_secs(300));
/// assert_eq!(days.len(), 365);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "slices are listed by `Client::list_slices`"]
pub struct Slices {
    query: ListEvents,
    /// Milliseconds since 1970, like the others.
    from: i64,
    /// The start of the next slice.
    at: i64,
    end: i64,
    length: i64,
    /// Slices start at multiples of the length, counted from here.
    origin: i64,
    margin: i64,
    /// True where the range was rounded to milliseconds: at its start, at its end.
    is_rounded: (bool, bool),
}

impl ListEvents {
    /// Divides the range from [`from`](Self::from) to [`to`](Self::to) into slices of this length, oldest
    /// first: half-open and consecutive, so that each instant of the range is in exactly one.
    ///
    /// Slices start at multiples of their length, counted from 1970-01-01T00:00Z: those of an hour start at
    /// full hours, those of a day at midnight UTC. The first and the last may be shorter. The range is
    /// rounded outwards to milliseconds, and the length down. Rounding never adds a slice. Nothing is sent.
    ///
    /// Each slice requests more than its range by a [`margin`](Slices::margin) of 60 s, and yields only its
    /// own events. [`Slice`] describes what this guarantees.
    ///
    /// ```
    /// use std::time::Duration;
    /// use webex_events::ListEvents;
    ///
    /// let week = ListEvents::new().from("2026-01-05T01:30:00Z".parse()?).to("2026-01-12T00:00:00Z".parse()?);
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
    /// [`Error::Query`] if the query lacks `from` or `to` or is otherwise invalid, or if the length is less
    /// than a millisecond.
    pub fn slices(&self, length: Duration) -> Result<Slices> {
        self.check()?;
        let Some((from, to)) = self.range() else {
            return Err(Error::query("slices need both `from` and `to`"));
        };
        let length_millis = millis(length);
        if length_millis == 0 {
            return Err(Error::query(format!("a slice of {length:?} is shorter than a millisecond")));
        }
        let is_rounded = (has_fraction(from), has_fraction(to));
        let from = from.timestamp_millis();
        let slices = Slices {
            query: self.unbounded(),
            from,
            at: from,
            end: to.timestamp_millis() + i64::from(is_rounded.1),
            length: length_millis,
            origin: 0,
            margin: 1,
            is_rounded,
        };
        Ok(slices.margin(DEFAULT_MARGIN))
    }
}

/// Rounded down.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn has_fraction(instant: DateTime<Utc>) -> bool {
    !instant.timestamp_subsec_nanos().is_multiple_of(1_000_000)
}

impl Slices {
    /// Sets the time by which each slice requests more at both ends than it yields. The default is 60 s.
    ///
    /// A margin of more than a tenth of the slices' length is reduced to that, without an error. The least
    /// is a millisecond, so that it does not matter whether the service's bounds include their instants.
    ///
    /// ```
    /// use std::time::Duration;
    /// use webex_events::ListEvents;
    ///
    /// let day = ListEvents::new().from("2026-01-05T00:00:00Z".parse()?).to("2026-01-06T00:00:00Z".parse()?);
    /// let slice = day.slices(Duration::from_secs(3600))?.margin(Duration::from_secs(300)).next().unwrap();
    /// assert_eq!(slice.margin(), Duration::from_secs(300));
    ///
    /// let slice = day.slices(Duration::from_secs(60))?.margin(Duration::from_secs(300)).next().unwrap();
    /// assert_eq!(slice.margin(), Duration::from_secs(6));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = millis(margin).min(self.length / 10).max(1);
        self
    }

    /// Lets slices start at multiples of their length, counted from this instant instead of 1970. For
    /// example, slices of a day then start at a local midnight. To be called before the first `next`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use webex_events::ListEvents;
    ///
    /// let (from, to) = ("2026-01-05T05:00:00Z".parse()?, "2026-01-07T05:00:00Z".parse()?);
    /// let days = ListEvents::new().from(from).to(to).slices(Duration::from_secs(86_400))?;
    /// assert_eq!(days.clone().len(), 3);
    /// assert_eq!(days.aligned_to(from).len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aligned_to(mut self, instant: DateTime<Utc>) -> Self {
        self.origin = instant.timestamp_millis();
        self
    }

    /// The range that is left, less what rounding added of a slice that has nothing else.
    fn core(&self) -> (i64, i64) {
        let is_boundary = |at: i64| (at - self.origin).rem_euclid(self.length) == 0;
        let (mut start, mut end) = (self.at, self.end);
        if self.length > 1 && self.is_rounded.0 && start == self.from && is_boundary(start + 1) {
            start += 1;
        }
        if self.length > 1 && self.is_rounded.1 && is_boundary(end - 1) {
            end -= 1;
        }
        if start < end { (start, end) } else { (self.at, self.end) }
    }
}

impl Iterator for Slices {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        if self.at >= self.end {
            return None;
        }
        let (start, end) = self.core();
        let number = (start - self.origin).div_euclid(self.length) + 1;
        let boundary = number.saturating_mul(self.length).saturating_add(self.origin);
        let stop = if boundary < end { boundary } else { self.end };
        let slice = Slice {
            start: DateTime::from_timestamp_millis(self.at)?,
            end: DateTime::from_timestamp_millis(stop)?,
            from: DateTime::from_timestamp_millis(self.from),
            margin_millis: self.margin.unsigned_abs(),
            query: self.query.clone(),
            cursor: None,
        };
        self.at = stop;
        Some(slice)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        if self.at >= self.end {
            return (0, Some(0));
        }
        let (start, end) = self.core();
        let first = (start - self.origin).div_euclid(self.length);
        let after_last = -(self.origin - end).div_euclid(self.length);
        let left = usize::try_from(after_last - first).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Slices {}

impl FusedIterator for Slices {}
