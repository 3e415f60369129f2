//! `Slice`: a part of a time range that is listed by itself.

use std::{
    hash::{Hash, Hasher},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{cursor::Cursor, event::Event, query::ListEvents};

mod slices;

pub use slices::Slices;

/// A part of a time range: the events of a query that were created from [`start`](Self::start),
/// included, up to [`end`](Self::end), excluded. Made by [`ListEvents::slices`].
///
/// **Margin.** The service does not document whether `from` and `to` include their instants, nor whether
/// they refer to the `created` of an event or to the time at which it was stored.
/// [`Client::list_slices`](crate::Client::list_slices) therefore requests more than the slice at both
/// ends, by the [`margin`](Self::margin), and keeps the events whose `created` lies in the slice:
///
/// - The start is requested from `start - margin`, but never before the `from` of the whole range, which
///   may be the earliest that the service accepts.
/// - The end is requested up to `end + margin`, but not later than the time of the request, because the
///   service may refuse a `to` in the future. The time is the later of the service's and this machine's; if
///   the service refuses that, the service's, and then no margin. The end is never earlier than `end`.
///
/// As a result, the slices of a range yield each event of the range exactly once, if an event is stored
/// within the margin of its `created`. Events outside of the slice and its margin are not yielded. They
/// are counted in [`Stats::outside`](crate::Stats::outside).
///
/// A slice is a plain value and can be stored. A slice that was stored by a version
/// without margins has a margin of a millisecond.
///
/// ```
/// use std::time::Duration;
/// use webex_events::{ListEvents, Slice};
///
/// let day = ListEvents::new().from("2026-01-05T00:00:00Z".parse()?).to("2026-01-06T00:00:00Z".parse()?);
/// let slices: Vec<Slice> = day.slices(Duration::from_secs(6 * 3600))?.collect();
/// assert_eq!((slices.len(), slices[0].end()), (4, slices[1].start()));
///
/// let stored = serde_json::to_string(&slices[1])?;
/// assert_eq!(serde_json::from_str::<Slice>(&stored)?, slices[1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    /// The `from` of the whole range. A slice that was stored without it is not limited by it.
    #[serde(default)]
    from: Option<DateTime<Utc>>,
    #[serde(default = "margin_before_margins")]
    margin_millis: u64,
    query: ListEvents,
    #[serde(default)]
    cursor: Option<Cursor>,
}

fn margin_before_margins() -> u64 {
    1
}

/// The position of the `created` of an event relative to a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlicePosition {
    /// In the slice.
    Inside,
    /// In the margin, so that a neighbouring slice yields it.
    Margin,
    /// In neither: no slice of this list accounts for it.
    Outside,
}

/// The end that a list of a slice is requested with, which depends on the time of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestedEnd {
    end: DateTime<Utc>,
    end_of_margin: DateTime<Utc>,
    /// This machine's clock is used too, not only the service's time.
    goes_by_machine: bool,
}

/// The difference of two clocks that agree, and more: a service that is as fast as its client must not refuse the time
/// of the request.
const LEEWAY: TimeDelta = TimeDelta::seconds(1);

impl RequestedEnd {
    /// The end to send at this time, which each of the clocks tells.
    ///
    /// Never before the slice's own end: a slice that reaches into the future must be refused by the
    /// service rather than be cut short. The later of the two clocks is used, because a margin that is too
    /// long costs a refused request at worst, and one that is too short can cost events. As long as the
    /// service's time is unknown, a machine's clock that says that the slice itself lies in the future is
    /// probably slow, and the whole margin is requested.
    pub(crate) fn at(
        self,
        service_time: Option<DateTime<Utc>>,
        machine_time: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let machine_time = Some(machine_time).filter(|_| self.goes_by_machine);
        let is_usable = |time: &DateTime<Utc>| service_time.is_some() || *time >= self.end;
        let machine_time = machine_time.filter(is_usable).and_then(|time| time.checked_sub_signed(LEEWAY));
        let now = service_time.max(machine_time);
        let end = self.end_of_margin;
        now.map_or(end, |now| end.min(now)).max(self.end)
    }

    /// The end to request where the service has refused this one, which may have reached into its future.
    /// None if that is not the reason.
    pub(crate) fn after_refusal(self, service_time: Option<DateTime<Utc>>) -> Option<Self> {
        let is_past = service_time.is_some_and(|now| self.end_of_margin <= now);
        if is_past || self.end_of_margin == self.end {
            None
        } else if self.goes_by_machine && service_time.is_some() {
            Some(Self { goes_by_machine: false, ..self })
        } else {
            Some(Self { end_of_margin: self.end, goes_by_machine: false, ..self })
        }
    }
}

impl Slice {
    /// The first instant.
    #[must_use]
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// The instant after the last one.
    #[must_use]
    pub fn end(&self) -> DateTime<Utc> {
        self.end
    }

    /// The time by which more is requested at both ends. Set by [`Slices::margin`].
    #[must_use]
    pub fn margin(&self) -> Duration {
        Duration::from_millis(self.margin_millis)
    }

    /// The query that was sliced, from [`start`](Self::start) to [`end`](Self::end), without the margin.
    pub fn query(&self) -> ListEvents {
        self.query.clone().from(self.start).to(self.end)
    }

    /// The same slice, continued at `cursor`, which [`Page::cursor`](crate::Page::cursor) gave for a page
    /// of this slice.
    ///
    /// A cursor of another list makes the slice fail with [`Error::Cursor`](crate::Error::Cursor), as does
    /// one that the service no longer knows.
    #[must_use]
    pub fn with_cursor(self, cursor: Cursor) -> Self {
        Self { cursor: Some(cursor), ..self }
    }

    pub(crate) fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// The query of a list of this slice, with the whole margin. Its end is sent as far as
    /// [`requested_end`](Self::requested_end) says.
    pub(crate) fn request_query(&self) -> ListEvents {
        self.query.clone().from(self.requested_start()).to(self.end_of_margin())
    }

    pub(crate) fn requested_end(&self) -> RequestedEnd {
        RequestedEnd { end: self.end, end_of_margin: self.end_of_margin(), goes_by_machine: true }
    }

    fn requested_start(&self) -> DateTime<Utc> {
        let earliest = self.start_of_margin();
        self.from.map_or(earliest, |from| earliest.max(from).min(self.start))
    }

    fn start_of_margin(&self) -> DateTime<Utc> {
        self.margin_delta().and_then(|margin| self.start.checked_sub_signed(margin)).unwrap_or(self.start)
    }

    fn end_of_margin(&self) -> DateTime<Utc> {
        self.margin_delta().and_then(|margin| self.end.checked_add_signed(margin)).unwrap_or(self.end)
    }

    fn margin_delta(&self) -> Option<TimeDelta> {
        TimeDelta::try_milliseconds(i64::try_from(self.margin_millis).ok()?)
    }

    /// Returns whether `cursor` belongs to a list of this slice: the same filters, and all of its range. The end
    /// varies with the time of the request.
    pub(crate) fn owns(&self, cursor: &Cursor) -> bool {
        let Some((from, to)) = cursor.query.range() else { return false };
        cursor.query.unbounded().is_same_list(&self.query.unbounded())
            && (self.start_of_margin()..=self.requested_start()).contains(&from)
            && (self.end..=self.end_of_margin()).contains(&to)
    }

    pub(crate) fn position(&self, event: &Event) -> SlicePosition {
        self.position_of(event.created())
    }

    fn position_of(&self, created: DateTime<Utc>) -> SlicePosition {
        if (self.start..self.end).contains(&created) {
            SlicePosition::Inside
        } else if (self.start_of_margin()..=self.end_of_margin()).contains(&created) {
            SlicePosition::Margin
        } else {
            SlicePosition::Outside
        }
    }
}

impl Hash for Slice {
    /// The slices of a plan differ in their ranges, so the query and the cursor are left out.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.start, self.end, self.from, self.margin_millis).hash(state);
    }
}

#[cfg(test)]
mod tests;
