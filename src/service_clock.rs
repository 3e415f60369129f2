//! `ServiceClock`: the time of the service, as far as two clocks support it.
//!
//! A response tells the time of one clock, in its `Date`. That clock may be wrong: a node of many, a gateway, a
//! cache. A follower that takes such an instant for the present believes that everything before it has been listed,
//! and loses the events created since. So a `Date` alone is no evidence; it needs a second clock that supports it:
//!
//! - **the first `Date`** needs this machine's time of day, and must lie within a minute of it;
//! - **a later `Date`** needs this machine's monotonic clock, and must lie within a minute of the time believed
//!   before plus the time that has passed since;
//! - **a `Date` that has neither** is believed when three responses agree within a minute, without a response in
//!   between that supports the time believed so far. Thus a real jump (a suspended machine, whose monotonic clock
//!   stood still; a service whose clock was corrected) is believed soon, and one wrong node of many never is.
//!
//! A `Date` that falls back is treated like one that jumps ahead. Believing it immediately would make the next
//! correct one look like a jump.
//!
//! The believed time is a lower bound: a `Date` has whole seconds and was written at an unknown moment between
//! request and response. A follower uses it together with this machine's time of day (see `stream/follow.rs`), so
//! that two wrong clocks are needed to lose an event.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// Clocks closer than this agree.
pub(crate) const TOLERANCE: TimeDelta = TimeDelta::minutes(1);
/// Number of responses that must agree where no second clock supports a `Date`.
const CONFIRMATIONS: usize = 3;
/// Number of unsupported responses that are remembered: enough for a majority of three.
const REMEMBERED: usize = 5;
/// A `Date` is truncated to seconds: the clock may be ahead of it by less than this.
const RESOLUTION: TimeDelta = TimeDelta::seconds(1);
/// A response that took longer gives a less precise time than the one that is known already.
const PROMPT: Duration = Duration::from_secs(5);

/// The `Date` of a response, and when its request was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DateReading {
    /// The monotonic clock when the request was sent.
    pub(crate) sent: Instant,
    /// This machine's time of day at that moment.
    pub(crate) utc: DateTime<Utc>,
    /// Time until the head of the response had arrived.
    pub(crate) took: Duration,
    pub(crate) date: DateTime<Utc>,
}

/// The time of a response's data by each of the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServedAt {
    /// The monotonic clock when the request was sent.
    pub(crate) sent: Instant,
    /// This machine's time of day at that moment.
    pub(crate) utc: DateTime<Utc>,
    /// The earliest time at which the service can have read its data, if its clock is right.
    pub(crate) earliest: DateTime<Utc>,
    /// The latest one.
    pub(crate) latest: DateTime<Utc>,
}

/// The believed time, and the responses that contradict it.
#[derive(Debug, Default)]
pub(crate) struct ServiceClock {
    believed: Option<Believed>,
    /// The latest responses without support, oldest first.
    doubted: Vec<ServedAt>,
    /// True if the latest response was more than a minute from this machine's time of day.
    is_apart: bool,
}

#[derive(Clone, Copy, Debug)]
struct Believed {
    time: DateTime<Utc>,
    at: Instant,
    /// Number of responses that have agreed so far, up to [`CONFIRMATIONS`].
    agreeing: usize,
}

/// The conclusion from one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) served_at: ServedAt,
    pub(crate) is_believed: bool,
    /// The service's clock minus this machine's, when they have begun to differ by more than a minute.
    pub(crate) apart: Option<TimeDelta>,
}

impl ServiceClock {
    /// Evaluates the `Date` of a response. None if it is out of range.
    pub(crate) fn observe(&mut self, reading: DateReading) -> Option<Observation> {
        let DateReading { sent, utc, took, date } = reading;
        let earliest = date.checked_sub_signed(TimeDelta::from_std(took).ok()?)?;
        let latest = date.checked_add_signed(RESOLUTION)?;
        let served_at = ServedAt { sent, utc, earliest, latest };
        let difference = distance(utc, earliest, latest);
        let is_apart = difference.abs() > TOLERANCE;
        let apart = (is_apart && !self.is_apart).then_some(difference);
        self.is_apart = is_apart;

        let is_believed = self.supports(served_at, is_apart, took) || self.confirms(served_at);
        Some(Observation { served_at, is_believed, apart })
    }

    /// The believed time, at an instant of the monotonic clock.
    pub(crate) fn time(&self, at: Instant) -> Option<DateTime<Utc>> {
        let believed = self.believed?;
        project(believed.time, believed.at, at)
    }

    /// Returns whether three responses have agreed on the believed time.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.believed.is_some_and(|believed| believed.agreeing >= CONFIRMATIONS)
    }

    /// The latest time that any response has claimed, believed or not.
    pub(crate) fn claimed(&self, at: Instant) -> Option<DateTime<Utc>> {
        let doubted = self.doubted.last().and_then(|doubted| project(doubted.earliest, doubted.sent, at));
        self.time(at).max(doubted)
    }

    /// Returns whether a second clock supports this response, which is believed then.
    fn supports(&mut self, served_at: ServedAt, is_apart: bool, took: Duration) -> bool {
        let ServedAt { sent, earliest, latest, .. } = served_at;
        let (time, agreeing) = match (self.believed, self.time(sent)) {
            (Some(believed), Some(expected)) => {
                if !served_at.agrees_with(expected) {
                    return false;
                }
                let is_slow = took > PROMPT && expected < latest;
                (if is_slow { expected.max(earliest) } else { earliest }, believed.agreeing + 1)
            }
            _ if is_apart => return false,
            _ => (earliest, 1),
        };
        self.believed = Some(Believed { time, at: sent, agreeing: agreeing.min(CONFIRMATIONS) });
        self.doubted.clear();
        true
    }

    /// Returns whether this response and earlier ones without support agree among themselves, and are believed then.
    fn confirms(&mut self, served_at: ServedAt) -> bool {
        if self.doubted.len() == REMEMBERED {
            self.doubted.remove(0);
        }
        self.doubted.push(served_at);
        let differences = self.doubted.iter().filter_map(|doubted| {
            let expected = project(doubted.earliest, doubted.sent, served_at.sent)?;
            Some(served_at.earliest - expected)
        });
        let mut differences: Vec<_> = differences.collect();
        differences.sort_unstable();
        // Any three within a minute of each other, of which this is one.
        let agree = differences.windows(CONFIRMATIONS).any(|window| match window {
            [least, .., most] => {
                *most - *least <= TOLERANCE && *least <= TimeDelta::zero() && *most >= TimeDelta::zero()
            }
            _ => false,
        });
        if agree {
            let ServedAt { sent, earliest, .. } = served_at;
            self.believed = Some(Believed { time: earliest, at: sent, agreeing: CONFIRMATIONS });
            self.doubted.clear();
        }
        agree
    }
}

impl ServedAt {
    /// The instant up to which a list that began with this response is known to be complete: the earliest of what
    /// the service, the time believed and this machine say. None while the service's `Date` and the time believed
    /// differ, because it is unknown then which of them is right.
    pub(crate) fn supported(self, believed: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let believed = believed.filter(|believed| self.agrees_with(*believed))?;
        Some(self.earliest.min(believed).min(self.utc))
    }

    fn agrees_with(self, time: DateTime<Utc>) -> bool {
        distance(time, self.earliest, self.latest).abs() <= TOLERANCE
    }
}

/// The distance of the interval from `earliest` to `latest` from `time`; negative if it lies before.
fn distance(time: DateTime<Utc>, earliest: DateTime<Utc>, latest: DateTime<Utc>) -> TimeDelta {
    if earliest > time { earliest - time } else { (latest - time).min(TimeDelta::zero()) }
}

/// Advances `time`, valid at `from`, to the instant `to`.
fn project(time: DateTime<Utc>, from: Instant, to: Instant) -> Option<DateTime<Utc>> {
    match to.checked_duration_since(from) {
        Some(passed) => time.checked_add_signed(TimeDelta::from_std(passed).ok()?),
        None => time.checked_sub_signed(TimeDelta::from_std(from - to).ok()?),
    }
}

#[cfg(test)]
mod tests;
