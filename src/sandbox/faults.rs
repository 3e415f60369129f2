//! The faults that can be injected, and the requests that they apply to.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    cursor::Expiry,
    items::ItemFaults,
    log::Route,
    query::Query,
    random::{Purpose, Random},
};

/// The requests that a fault applies to: only lists, unless [`on`](When::on) or
/// [`on_any_route`](When::on_any_route) is called.
///
/// Each fault counts its own requests: those of its routes and its span of time, from the moment that it was
/// set. So faults don't shift each other, and the same requests in the same order meet the same faults.
///
/// ```
/// use std::time::Duration;
/// use webex_events::sandbox::{Route, When};
///
/// let _ = When::next(3);                                        // the first three lists
/// let _ = When::every(10).on_any_route();                       // requests 10, 20, 30, …
/// let _ = When::at([0, 4]).on(Route::AccessToken);              // the first and the fifth refresh
/// let _ = When::chance(0.2).during(Duration::ZERO, Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct When {
    pick: Pick,
    route: Option<Route>,
    span: Option<(Duration, Duration)>,
    covered: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
enum Pick {
    Always,
    Next(u64),
    Every(u64),
    At(Vec<u64>),
    Chance(f64),
}

impl When {
    const fn new(pick: Pick) -> Self {
        Self { pick, route: Some(Route::List), span: None, covered: None }
    }

    /// Every request.
    pub const fn always() -> Self {
        Self::new(Pick::Always)
    }

    /// The next `count` requests.
    pub const fn next(count: u64) -> Self {
        Self::new(Pick::Next(count))
    }

    /// The `n`-th request, the one `n` later, and so on. None for an `n` of 0.
    pub const fn every(n: u64) -> Self {
        Self::new(Pick::Every(n))
    }

    /// The requests of these numbers, counted from 0.
    pub fn at(numbers: impl IntoIterator<Item = u64>) -> Self {
        Self::new(Pick::At(numbers.into_iter().collect()))
    }

    /// Each request with this probability, 0 to 1. The seed of the sandbox determines which.
    pub const fn chance(probability: f64) -> Self {
        Self::new(Pick::Chance(probability))
    }

    /// Requests of this route instead of lists.
    pub const fn on(mut self, route: Route) -> Self {
        self.route = Some(route);
        self
    }

    /// Requests of all routes.
    pub const fn on_any_route(mut self) -> Self {
        self.route = None;
        self
    }

    /// Only requests that arrive at this time after the start of the sandbox, for faults that begin and end by
    /// themselves. `from` is included, `until` isn't.
    pub const fn during(mut self, from: Duration, until: Duration) -> Self {
        self.span = Some((from, until));
        self
    }

    /// Only lists that have a `from` and a `to` which include this instant, for one slice of many that fails in
    /// whatever order slices are requested.
    pub const fn covering(mut self, instant: DateTime<Utc>) -> Self {
        self.covered = Some(instant);
        self
    }
}

/// A response to send instead of the true one.
///
/// Its body is the service's error JSON, or the HTML that the service's documentation shows for 429 and gateways
/// send with 502, unless [`body`](Response::body) sets one.
#[derive(Clone, Debug)]
#[must_use]
pub struct Response {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) body: Option<(String, String)>,
}

impl Response {
    /// A response of this status. One that HTTP doesn't have (under 200, over 999) becomes 500.
    pub const fn status(status: u16) -> Self {
        Self { status, retry_after: None, body: None }
    }

    /// Sets `Retry-After` to this text: a number of seconds, a date, or nonsense such as the
    /// `rand(30),add(30)` that the service has been observed to send. A text that no header can hold is
    /// left out.
    pub fn retry_after(mut self, value: impl fmt::Display) -> Self {
        self.retry_after = Some(value.to_string());
        self
    }

    /// Sets the body. With a status of 200 it replaces a page.
    pub fn body(mut self, content_type: impl Into<String>, text: impl Into<String>) -> Self {
        self.body = Some((content_type.into(), text.into()));
        self
    }
}

/// The former name of [`Response`].
#[deprecated(note = "renamed to `Response`")]
pub type Answer = Response;

/// A fault or an oddity of a `next` link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkFault {
    /// The link points to `https://webexapis.invalid`, a host that can't exist.
    Foreign,
    /// The link points to this origin, for example that of another sandbox, which then records whether the link
    /// is followed.
    Origin(String),
    /// The link points back by this number of pages; 0 is the page that has the link. It points to the second page
    /// of the list at most, since the first has no cursor.
    Cycle(u32),
    /// The link doesn't parse, because its target has no end.
    Malformed,
    /// There are two next links with different targets.
    Ambiguous,
    /// The link has a `max` of `null`, as the service has been observed to send. The response to such a request is
    /// a 400.
    NullMax,
    /// The target is relative, which is valid.
    Relative,
    /// The link follows a link with another relation in the same header line, which is valid.
    Joined,
    /// The link is in a second header line, after one with another relation, which is valid.
    SeparateLines,
    /// The relation is unquoted, in capitals and without a space before it, which is valid.
    Unquoted,
}

#[derive(Clone, Debug)]
pub(super) enum Effect {
    Latency(Duration),
    Drop,
    Respond(Response),
    Cut(f64),
    Pace(u64),
    Link(LinkFault),
    Date(TimeDelta),
}

#[derive(Clone, Debug)]
struct Rule {
    when: When,
    effect: Effect,
    seen: u64,
}

impl Rule {
    fn applies(&mut self, route: Route, query: Option<&Query>, elapsed: Duration, seed: u64) -> bool {
        let in_span = self.when.span.is_none_or(|(from, until)| (from..until).contains(&elapsed));
        if !in_span || self.when.route.is_some_and(|only| only != route) {
            return false;
        }
        if self.when.covered.is_some_and(|instant| !query.is_some_and(|query| query.covers(instant))) {
            return false;
        }
        let number = self.seen;
        self.seen += 1;
        match &self.when.pick {
            Pick::Always => true,
            Pick::Next(count) => number < *count,
            Pick::Every(n) => *n > 0 && (number + 1).is_multiple_of(*n),
            Pick::At(numbers) => numbers.contains(&number),
            Pick::Chance(p) => Random::new(seed, Purpose::Fault, number).fraction() < *p,
        }
    }
}

/// The faults that apply to one request.
#[derive(Debug, Default)]
pub(super) struct RequestFaults {
    pub(super) latency: Duration,
    pub(super) drop: bool,
    pub(super) response: Option<Response>,
    pub(super) cut: Option<f64>,
    pub(super) pace: Option<u64>,
    /// The time that is added to the `Date`.
    pub(super) date_shift: Option<TimeDelta>,
}

/// At most this number of requests in each period.
#[derive(Clone, Debug)]
struct RequestQuota {
    requests: u32,
    period: Duration,
    /// The start of the current period, and the number of requests that it has let through.
    window: Option<(Duration, u32)>,
}

/// All injected faults, with their counts of requests.
#[derive(Clone, Debug, Default)]
pub(super) struct InjectedFaults {
    rules: Vec<Rule>,
    rate_limit: Option<RequestQuota>,
    pub(super) rate_limit_header: Option<String>,
    pub(super) items: Arc<ItemFaults>,
    pub(super) empty_pages: u32,
    pub(super) endless_empty_pages: bool,
    pub(super) trailing_empty_page: bool,
    pub(super) expiry: Expiry,
    pub(super) late_every: u64,
}

impl InjectedFaults {
    pub(super) fn add(&mut self, when: When, effect: Effect) {
        self.rules.push(Rule { when, effect, seen: 0 });
    }

    pub(super) fn items(&mut self) -> &mut ItemFaults {
        Arc::make_mut(&mut self.items)
    }

    pub(super) fn limit(&mut self, requests: u32, period: Duration) {
        self.rate_limit = (requests > 0).then_some(RequestQuota { requests, period, window: None });
    }

    /// The number of empty pages that follow a page with events, as far as it is known in advance.
    pub(super) fn blanks(&self) -> u32 {
        if self.endless_empty_pages { 1 } else { self.empty_pages }
    }

    /// Returns the faults of a request. Waits add up. Of paces the slowest applies, of cuts the earliest, of responses the
    /// one that was set first, and of shifts too.
    pub(super) fn judge(
        &mut self,
        route: Route,
        query: Option<&Query>,
        elapsed: Duration,
        seed: u64,
    ) -> RequestFaults {
        let mut verdict = RequestFaults::default();
        for (nth, rule) in (0..).zip(&mut self.rules) {
            if matches!(rule.effect, Effect::Link(_)) || !rule.applies(route, query, elapsed, seed ^ nth) {
                continue;
            }
            match &rule.effect {
                Effect::Latency(wait) => verdict.latency += *wait,
                Effect::Drop => verdict.drop = true,
                Effect::Respond(response) => {
                    verdict.response.get_or_insert_with(|| response.clone());
                }
                Effect::Cut(part) => verdict.cut = Some(verdict.cut.map_or(*part, |cut| cut.min(*part))),
                Effect::Pace(rate) => verdict.pace = Some(verdict.pace.map_or(*rate, |pace| pace.min(*rate))),
                Effect::Date(shift) => {
                    verdict.date_shift.get_or_insert(*shift);
                }
                Effect::Link(_) => {}
            }
        }
        verdict
    }

    /// Returns the fault of a page's next link. It is called only for pages that have one.
    pub(super) fn link(&mut self, query: Option<&Query>, elapsed: Duration, seed: u64) -> Option<LinkFault> {
        let mut found = None;
        for (nth, rule) in (0..).zip(&mut self.rules) {
            if let Effect::Link(fault) = &rule.effect {
                let fault = fault.clone();
                if rule.applies(Route::List, query, elapsed, seed ^ nth) {
                    found.get_or_insert(fault);
                }
            }
        }
        found
    }

    /// Counts a request against the rate limit. The error is the rest of the period.
    pub(super) fn throttle(&mut self, elapsed: Duration) -> Result<(), Duration> {
        let Some(limit) = &mut self.rate_limit else { return Ok(()) };
        let (began, count) = match limit.window {
            Some((began, count)) if elapsed < began + limit.period => (began, count),
            _ => (elapsed, 0),
        };
        if count >= limit.requests {
            return Err((began + limit.period).saturating_sub(elapsed));
        }
        limit.window = Some((began, count + 1));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(when: When, requests: usize) -> Vec<bool> {
        let mut faults = InjectedFaults::default();
        faults.add(when, Effect::Drop);
        (0..requests).map(|_| faults.judge(Route::List, None, Duration::ZERO, 7).drop).collect()
    }

    #[test]
    fn requests_are_picked_by_their_number() {
        assert_eq!(hits(When::always(), 2), [true, true]);
        assert_eq!(hits(When::next(1), 3), [true, false, false]);
        assert_eq!(hits(When::every(2), 4), [false, true, false, true]);
        assert_eq!(hits(When::every(0), 1), [false]);
        assert_eq!(hits(When::at([0, 2]), 4), [true, false, true, false]);
    }

    #[test]
    fn chances_are_met_and_repeat() {
        let once = hits(When::chance(0.25), 4000);
        assert_eq!(once, hits(When::chance(0.25), 4000));
        assert!((800..1200).contains(&once.iter().filter(|&&hit| hit).count()));
        assert_eq!(hits(When::chance(0.0), 3), [false; 3]);
        assert_eq!(hits(When::chance(1.0), 3), [true; 3]);
    }

    #[test]
    fn requests_outside_of_route_and_span_do_not_count() {
        let mut faults = InjectedFaults::default();
        let second = Duration::from_secs(1);
        faults.add(When::next(1).on(Route::Event).during(second, 2 * second), Effect::Drop);
        let mut drop = |route, elapsed| faults.judge(route, None, elapsed, 7).drop;
        assert!(!drop(Route::Event, Duration::ZERO));
        assert!(!drop(Route::List, second));
        assert!(drop(Route::Event, second));
        assert!(!drop(Route::Event, second));
    }

    #[test]
    fn lists_that_do_not_cover_an_instant_do_not_count() {
        let mut faults = InjectedFaults::default();
        let nine = "2026-01-05T09:00:00Z".parse().unwrap();
        faults.add(When::next(3).covering(nine), Effect::Drop);
        let mut drop = |query| {
            let (query, _) = Query::parse(query).unwrap();
            faults.judge(Route::List, Some(&query), Duration::ZERO, 7).drop
        };
        assert!(!drop("from=2026-01-05T09:00:00.001Z"));
        assert!(!drop("from=2026-01-05T07:00:00Z&to=2026-01-05T08:59:59.999Z"));
        assert!(drop("from=2026-01-05T08:00:00Z&to=2026-01-05T10:00:00Z&cursor=c"));
        assert!(drop("from=2026-01-05T09:00:00Z&to=2026-01-05T10:00:00Z"));
        assert!(drop("from=2026-01-05T08:00:00Z&to=2026-01-05T09:00:00Z"));
        assert!(!drop("from=2026-01-05T08:00:00Z") && !drop(""), "no slice");
        assert!(!drop("from=2026-01-05T08:00:00Z&to=2026-01-05T09:00:00Z"), "the first three only");
    }

    #[test]
    fn a_rate_limit_says_how_long_to_wait() {
        let mut faults = InjectedFaults::default();
        faults.limit(2, Duration::from_secs(10));
        let mut at = |seconds| faults.throttle(Duration::from_secs(seconds));
        assert_eq!([at(5), at(6)], [Ok(()), Ok(())]);
        assert_eq!(at(7), Err(Duration::from_secs(8)));
        assert_eq!([at(15), at(16)], [Ok(()), Ok(())]);
        assert!(at(17).is_err());
    }
}
