//! A time range, and the service's time, by which relative bounds are fixed.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures_util::StreamExt;
use serde_json::Map;
use webex_events::{Client, ListEvents, Stats};

use crate::{
    archive::ArchiveMeta,
    cli::values::{TimeArg, time},
    error::{Code, Failure},
    run::stop_reason::StopReason,
    ui::{human, messages, shutdown::Shutdown},
};

/// The difference between the clocks from which on a warning is given.
const APART: TimeDelta = TimeDelta::minutes(1);
/// The uncertainty of the service's time: it has whole seconds, and a response takes time.
const UNCERTAIN: TimeDelta = TimeDelta::seconds(2);
/// The number of responses after which a `Date` that contradicts this machine's clock is accepted.
const RESPONSES: u32 = 3;

/// The time range of a slice: its start, and its exclusive end.
pub(crate) type Span = (DateTime<Utc>, DateTime<Utc>);

/// A time range. A bound that is `None` is left to the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) to: Option<DateTime<Utc>>,
}

impl Range {
    /// The range that the arguments mean at this moment. Relative times count back from it, in whole seconds.
    pub(crate) fn at(
        now: DateTime<Utc>,
        from: Option<TimeArg>,
        to: Option<TimeArg>,
    ) -> Result<Self, Failure> {
        let instant = |name, when: Option<TimeArg>| {
            let Some(when) = when else { return Ok::<_, Failure>(None) };
            let instant = when
                .instant(seconds(now))
                .ok_or_else(|| Failure::usage(format!("{name} is too early; choose a later one")))?;
            Ok(Some(instant))
        };
        let (from, to) = (instant("--from", from)?, instant("--to", to)?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(Failure::usage(format!(
                "--from {} isn't before --to {}; choose an earlier --from",
                time(from),
                time(to)
            )));
        }
        Ok(Self { from, to })
    }

    /// The range that a ledger has.
    pub(crate) fn of_meta(meta: &ArchiveMeta) -> Self {
        Self { from: meta.from, to: meta.to }
    }

    /// True if the range ended more than a day before this time of the machine. No request for the
    /// time of the service is needed then, because a clock would have to be wrong by a day.
    pub(crate) fn is_long_past(self, now: DateTime<Utc>) -> bool {
        self.to.is_some_and(|to| to < now - TimeDelta::days(1))
    }

    /// Refuses a range that ends in the future: the output would look complete, but lack events.
    pub(crate) fn must_be_past(self, now: DateTime<Utc>) -> Result<Self, Failure> {
        if let Some(to) = self.to
            && to > now + UNCERTAIN
        {
            return Err(Failure::usage(format!(
                "--to {} lies in the future: the service's time is {}; omit --to to export up to now",
                time(to),
                time(seconds(now))
            )));
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(Failure::usage(format!(
                "--from {} isn't in the past: the service's time is {}; choose an earlier --from",
                time(from),
                time(seconds(now))
            )));
        }
        Ok(self)
    }

    /// `query`, restricted to this range.
    pub(crate) fn of(self, mut query: ListEvents) -> ListEvents {
        if let Some(from) = self.from {
            query = query.from(from);
        }
        if let Some(to) = self.to {
            query = query.to(to);
        }
        query
    }
}

/// The service's time, from the response to a list of one event, which is repeated until the time is certain.
pub(crate) async fn service_time(
    client: &Client,
    filters: &ListEvents,
    shutdown: &mut Shutdown,
    spent: &mut Stats,
) -> Result<DateTime<Utc>, StopReason> {
    for _ in 0..RESPONSES {
        let mut page = client.list(filters.clone()).take(1).pages();
        let read = tokio::select! {
            biased;
            code = shutdown.wait() => return Err(StopReason::Signal(code)),
            read = page.next() => read,
        };
        *spent = *spent + page.stats();
        if let Some(Err(error)) = read {
            return Err(StopReason::Service(error));
        }
        if let Some(now) = client.service_time() {
            warn_of_clocks(now);
            return Ok(now);
        }
    }
    Err(StopReason::Failed(Failure::new(
        Code::Unavailable,
        "the service's responses have no time or contradict each other, so the range is unknown; \
         give the times of the range as dates, or give the same command again later",
    )))
}

/// The last instant that is past by both clocks. If one of them is ahead, the events up to its time aren't complete.
pub(crate) fn past(service: DateTime<Utc>) -> DateTime<Utc> {
    seconds(service.min(Utc::now()))
}

fn warn_of_clocks(now: DateTime<Utc>) {
    let ahead = Utc::now() - now;
    if ahead.abs() > APART {
        let (seconds, side) =
            (ahead.abs().num_seconds(), if ahead > TimeDelta::zero() { "ahead of" } else { "behind" });
        // One of the clocks is wrong. If it is the service's, an empty list of the wrong days would look complete.
        messages::warning(
            &format!(
                "this machine's clock is {seconds} s {side} the service's, by which it is {}: \
                 relative times use the service's clock",
                human::instant(now)
            ),
            Map::new(),
        );
    }
}

/// The time by which this machine's clock is ahead of the service's, if it exceeds the uncertainty.
pub(crate) fn ahead_of(client: &Client) -> Option<TimeDelta> {
    // A time that is claimed and not believed yet counts too: an earlier beginning loses nothing.
    let ahead = Utc::now() - client.service_time().or_else(|| client.claimed_time())?;
    (ahead > UNCERTAIN).then_some(ahead)
}

/// Rounds down to the second, so that file names are short and no event is left out.
pub(crate) fn seconds(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.duration_trunc(TimeDelta::seconds(1)).unwrap_or(instant)
}

/// The beginning of the hour.
pub(crate) fn hour(instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let seconds = instant.timestamp();
    DateTime::from_timestamp(seconds - seconds.rem_euclid(3600), 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_instant_has_an_hour() {
        for (instant, expected) in [
            ("2026-01-15T12:59:59.999Z", "2026-01-15T12:00:00Z"),
            ("2026-01-15T12:00:00Z", "2026-01-15T12:00:00Z"),
            ("1969-12-31T23:30:00Z", "1969-12-31T23:00:00Z"),
            ("0001-01-01T00:00:00.5Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:00:00Z"),
        ] {
            assert_eq!(hour(instant.parse().unwrap()), expected.parse().ok(), "{instant}");
        }
    }

    #[test]
    fn relative_times_are_whole_seconds_and_fixed_ones_are_kept() {
        let now = "2026-01-15T12:00:00.789Z".parse().unwrap();
        let fixed = "2026-01-15T11:00:00.123Z".parse().unwrap();
        let range = Range::at(now, Some(TimeArg::Ago(Duration::from_secs(86_400))), Some(TimeArg::At(fixed)))
            .unwrap();
        assert_eq!(range, Range { from: "2026-01-14T12:00:00Z".parse().ok(), to: Some(fixed) });
        assert!(Range::at(now, Some(TimeArg::At(fixed)), Some(TimeArg::At(fixed))).is_err());
    }

    #[test]
    fn a_range_that_ends_in_the_future_is_refused() {
        let now: DateTime<Utc> = "2026-01-15T12:00:00Z".parse().unwrap();
        let range = |seconds| Range { from: None, to: Some(now + TimeDelta::seconds(seconds)) };
        assert!(range(2).must_be_past(now).is_ok(), "as uncertain as the time is");
        let failure = range(3).must_be_past(now).unwrap_err();
        assert!(failure.code == Code::Usage && failure.message.contains("in the future"));
    }

    #[test]
    fn an_instant_is_past_only_by_both_clocks() {
        let now = Utc::now();
        assert!(past(now + TimeDelta::hours(1)) <= Utc::now());
        assert_eq!(past(now - TimeDelta::hours(1)), seconds(now - TimeDelta::hours(1)));
    }
}
