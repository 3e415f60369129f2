//! `RoundSpan`: how much time a round covers, so that a follower that is far behind reads what fits into memory.

use chrono::{DateTime, TimeDelta, Utc};

use super::round::{BACKLOG_BYTES, FollowRound};
use crate::event::Event;

/// The service may or may not include the instants of `from` and `to`.
pub(super) const MARGIN: TimeDelta = TimeDelta::milliseconds(1);
/// The largest margin of a round with an upper bound.
const SEAM: TimeDelta = TimeDelta::minutes(1);

/// The time that a round may cover after the position; `None` while that is not limited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundSpan(Option<TimeDelta>);

impl RoundSpan {
    /// The upper bound of a round that starts at `position`; `None` if the round reads up to now.
    ///
    /// A bound is before the horizon, after which each round must read everything anyway.
    pub(super) fn bound(
        self,
        position: DateTime<Utc>,
        horizon: Option<DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        let to = position.checked_add_signed(self.0?)?;
        (to.checked_add_signed(self.seam())? < horizon?).then_some(to)
    }

    /// The time that a round requests beyond its upper bound.
    pub(super) fn seam(self) -> TimeDelta {
        self.0.map_or(MARGIN, |span| (span / 10).clamp(MARGIN, SEAM))
    }

    /// Returns true if a round holds more than a smaller span would let it.
    pub(super) fn is_exceeded(self, round: &FollowRound) -> bool {
        round.backlog > BACKLOG_BYTES && self.0.is_none_or(|span| span > MARGIN)
    }

    /// A smaller span than that of a round, which read from `position` up to `end`; `None` if that leaves nothing out.
    pub(super) fn narrowed(
        round: &FollowRound,
        position: DateTime<Utc>,
        end: DateTime<Utc>,
        horizon: Option<DateTime<Utc>>,
    ) -> Option<Self> {
        let missing = end - position;
        // If the list has an order, as much time as was covered fits; if not, half of it may.
        let created = || round.events.iter().map(Event::created).filter(|created| *created >= position);
        let covered =
            created().max().zip(created().min()).map_or(missing, |(newest, oldest)| newest - oldest);
        let span = Self(Some((covered.min(missing) / 2).max(MARGIN)));
        let bound = span.bound(position, horizon)?;
        round.to.is_none_or(|to| bound < to).then_some(span)
    }

    /// Doubles the span after a round that held little.
    pub(super) fn widen(&mut self, round: &FollowRound) {
        if let (Some(span), true) = (self.0, round.bytes < BACKLOG_BYTES / 4) {
            self.0 = span.checked_add(&span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_600_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_bound_and_its_seam_are_before_the_horizon() {
        let hour = RoundSpan(Some(TimeDelta::hours(1)));
        assert_eq!(hour.seam(), SEAM);
        assert_eq!(hour.bound(at(0), Some(at(3661))), Some(at(3600)));
        assert_eq!(hour.bound(at(0), Some(at(3660))), None, "the seam reaches the horizon");
        assert_eq!(hour.bound(at(0), None), None, "the time is unknown");
        assert_eq!(RoundSpan::default().bound(at(0), Some(at(3661))), None, "it is not limited");
    }

    #[test]
    fn a_short_span_has_a_short_seam() {
        assert_eq!(RoundSpan(Some(TimeDelta::seconds(10))).seam(), TimeDelta::seconds(1));
        assert_eq!(RoundSpan(Some(MARGIN)).seam(), MARGIN);
        assert_eq!(RoundSpan::default().seam(), MARGIN);
    }
}
