//! One round of a follower: a list that is read to its end, or in parts.

use std::{collections::HashSet, mem, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::progress::FollowProgress;
use crate::{
    checkpoint::Checkpoint, error::Error, event::Event, fingerprint::Fingerprint, page::Page,
    response_stats::ResponseStats, service_clock::ServedAt, stats::Stats, stream::Pages,
};

/// The number of bytes of events before the horizon that a round may hold. A round with more is restarted
/// with a smaller span of time.
pub(super) const BACKLOG_BYTES: usize = 12 << 20;
/// The number of bytes of new items that a round may hold. A round with more is yielded in parts.
pub(super) const PART_BYTES: usize = 24 << 20;
/// The memory of a malformed item besides its text.
const MALFORMED_BYTES: usize = 256;
/// An event listed although it was created this long before the requested range lies outside of it.
const OUTSIDE: TimeDelta = TimeDelta::minutes(1);
/// Number of events outside of the range that are remembered, so that each is counted and reported once.
const OUTSIDE_REMEMBERED: usize = 100_000;

/// A round that is being read.
pub(super) struct FollowRound {
    pub(super) pages: Pages,
    /// The monotonic clock and this machine's time of day before the first request.
    pub(super) began: Instant,
    pub(super) began_utc: DateTime<Utc>,
    /// The lower bound of the requested range.
    pub(super) from: DateTime<Utc>,
    /// The upper bound of the events that are kept; none for a round up to now.
    pub(super) to: Option<DateTime<Utc>>,
    pub(super) has_page: bool,
    /// The time of the first page's response, which began the list.
    pub(super) first: Option<ServedAt>,
    /// The earliest `Date` of all pages.
    pub(super) earliest: Option<DateTime<Utc>>,
    pub(super) events: Vec<Event>,
    pub(super) malformed: Vec<Error>,
    /// Malformed items that were yielded by an earlier round.
    pub(super) repeated: Vec<Fingerprint>,
    /// Bytes of the new items.
    pub(super) bytes: usize,
    /// Bytes of the new events before the horizon and after the position, which a smaller span would leave out.
    pub(super) backlog: usize,
    pub(super) outside: u64,
}

/// The result of a round that was read to its last page.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundEnd {
    pub(super) began: Instant,
    /// The upper bound of the round; none if it reached up to now.
    pub(super) to: Option<DateTime<Utc>>,
    /// The instants to which mark and settled may move; none if the clocks support no instant.
    pub(super) bounds: Option<RoundBounds>,
    /// The clocks disagree.
    pub(super) is_doubtful: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RoundBounds {
    /// The events created before this were listed, as far as they had arrived.
    pub(super) end: DateTime<Utc>,
    /// The events created before this had arrived.
    pub(super) horizon: DateTime<Utc>,
}

/// Events that the service listed although they lie outside of the requested range, and that were counted.
#[derive(Debug, Default)]
pub(super) struct OutsideEvents(HashSet<Fingerprint>);

impl FollowRound {
    pub(super) fn new(pages: Pages, began: Instant, began_utc: DateTime<Utc>) -> Self {
        Self {
            pages,
            began,
            began_utc,
            from: DateTime::<Utc>::MIN_UTC,
            to: None,
            has_page: false,
            first: None,
            earliest: None,
            events: Vec::new(),
            malformed: Vec::new(),
            repeated: Vec::new(),
            bytes: 0,
            backlog: 0,
            outside: 0,
        }
    }

    /// Adds the new items of a page. `settle` and `position` determine the backlog.
    pub(super) fn add(
        &mut self,
        page: Page,
        progress: &mut FollowProgress,
        outside: &mut OutsideEvents,
        settle: TimeDelta,
        position: DateTime<Utc>,
    ) {
        if !self.has_page {
            self.first = page.served_at;
        }
        self.has_page = true;
        self.earliest = match (self.earliest, page.served_at.map(|served_at| served_at.earliest)) {
            (Some(before), Some(earliest)) => Some(before.min(earliest)),
            (before, earliest) => before.or(earliest),
        };
        let settled = progress.checkpoint().settled();
        let all = page.items.len();
        let mut events = Vec::new();
        for item in page {
            match item {
                Ok(event) => {
                    let created = event.created();
                    if created < settled {
                        self.outside += u64::from(outside.is_new(&event, self.from));
                    } else if self.to.is_none_or(|to| created < to) && !progress.is_known(&event) {
                        events.push(event);
                    }
                }
                Err(Error::Item(item)) => {
                    let fingerprint = Fingerprint::of(item.bytes());
                    if progress.has_malformed(fingerprint) {
                        self.repeated.push(fingerprint);
                        continue;
                    }
                    self.bytes += item.raw().len() + MALFORMED_BYTES;
                    self.backlog += item.raw().len() + MALFORMED_BYTES;
                    self.malformed.push(Error::Item(item));
                }
                Err(error) => self.malformed.push(error),
            }
        }
        let horizon = self.now_at_most(&events).and_then(|now| now.checked_sub_signed(settle));
        let is_backlog = |event: &&Event| {
            event.created() >= position && horizon.is_some_and(|horizon| event.created() < horizon)
        };
        self.bytes += bytes(events.iter());
        self.backlog += bytes(events.iter().filter(is_backlog));
        // A few new events must not keep a page of old ones in memory.
        let is_sparse = events.len() < all / 2;
        self.events
            .extend(events.into_iter().map(|event| if is_sparse { event.into_owned() } else { event }));
    }

    /// A time that is at most a little later than now, which is exact enough to decide how much is read.
    fn now_at_most(&self, events: &[Event]) -> Option<DateTime<Utc>> {
        match self.first {
            Some(first) => Some(first.earliest.min(first.utc)),
            None => self.latest(events),
        }
    }

    /// The latest of these events. An event with a `created` in the future is no evidence of the time.
    pub(super) fn latest(&self, events: &[Event]) -> Option<DateTime<Utc>> {
        events.iter().map(Event::created).filter(|created| *created <= self.began_utc).max()
    }

    /// Takes the new items so far, so that they can be yielded before the round is read to its end.
    pub(super) fn take_part(&mut self) -> (Vec<Error>, Vec<Event>) {
        let (malformed, events) = (mem::take(&mut self.malformed), mem::take(&mut self.events));
        (self.bytes, self.backlog) = (0, 0);
        let items = malformed.iter().filter_map(|error| match error {
            Error::Item(item) => Some(Fingerprint::of(item.bytes())),
            _ => None,
        });
        self.repeated.extend(items);
        (malformed, events)
    }

    /// The instants to which the round moves the mark and the horizon. `latest` is the latest event, for a service that
    /// doesn't tell the time.
    pub(super) fn end(
        &self,
        clocks: &ResponseStats,
        latest: Option<DateTime<Utc>>,
        settle: TimeDelta,
        seam: TimeDelta,
    ) -> RoundEnd {
        let now = match self.first {
            Some(first) => first
                .supported(clocks.service_time(first.sent))
                .map(|now| self.earliest.map_or(now, |earliest| earliest.min(now))),
            // The service's own events are the other clock.
            None => {
                latest.map(|latest| clocks.service_time(self.began).map_or(latest, |now| now.min(latest)))
            }
        };
        let bounds = now.map(|now| {
            let horizon = now.checked_sub_signed(settle).unwrap_or(DateTime::<Utc>::MIN_UTC);
            match self.to {
                None => RoundBounds { end: now, horizon },
                Some(to) => {
                    let before_seam = to.checked_sub_signed(seam).unwrap_or(to);
                    RoundBounds { end: to.min(now), horizon: horizon.min(before_seam) }
                }
            }
        });
        let is_doubtful = self.first.is_some() && bounds.is_none();
        RoundEnd { began: self.began, to: self.to, bounds, is_doubtful }
    }

    /// The work for this round. Its items count when they are yielded.
    pub(super) fn cost(&self) -> Stats {
        Stats { events: 0, malformed: 0, outside: self.outside, ..self.pages.stats() }
    }
}

impl RoundEnd {
    /// The instant up to which the round lists malformed items, whose time is unknown.
    pub(super) fn listed_up_to(&self, checkpoint: &Checkpoint) -> DateTime<Utc> {
        self.bounds.map_or(checkpoint.mark(), |bounds| bounds.end).max(checkpoint.settled())
    }
}

impl OutsideEvents {
    /// Returns whether the event lies before `from`, outside of the range, and was not counted before as far as is
    /// remembered.
    fn is_new(&mut self, event: &Event, from: DateTime<Utc>) -> bool {
        if from - event.created() <= OUTSIDE {
            return false;
        }
        let id = Fingerprint::of(event.id().as_bytes());
        if self.0.len() >= OUTSIDE_REMEMBERED {
            return !self.0.contains(&id);
        }
        if !self.0.insert(id) {
            return false;
        }
        tracing::warn!(
            id = event.id(),
            created = %event.created(),
            "the service lists an event that was created before the requested range: it is not yielded"
        );
        true
    }
}

fn bytes<'a, I: Iterator<Item = &'a Event>>(events: I) -> usize {
    events.map(|event| event.raw().len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_outside_of_the_range_are_counted_once_and_every_time_when_too_many_are_remembered() {
        let event = |id: &str| {
            let text = format!(
                r#"{{"id":"{id}","resource":"rooms","type":"created","created":"0001-01-01T00:00:00Z"}}"#
            );
            Event::from_json(text).unwrap()
        };
        let from = DateTime::from_timestamp(1_767_600_000, 0).unwrap();
        let mut outside = OutsideEvents::default();
        assert!(outside.is_new(&event("a"), from) && !outside.is_new(&event("a"), from));
        outside.0.extend((1..OUTSIDE_REMEMBERED).map(|number| Fingerprint::of(number.to_le_bytes())));
        assert!(!outside.is_new(&event("a"), from));
        assert!(outside.is_new(&event("b"), from) && outside.is_new(&event("b"), from));
        assert!(!outside.is_new(&event("c"), DateTime::<Utc>::MIN_UTC), "it isn't outside");
    }
}
