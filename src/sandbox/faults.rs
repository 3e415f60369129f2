//! What can go wrong, and when.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    cursor::Expiry,
    items::ItemFaults,
    log::Route,
    random::{Purpose, Random},
};

/// Which requests a fault is for. Lists only, unless [`on`](When::on) or
/// [`on_any_route`](When::on_any_route) says otherwise.
///
/// Requests are counted by each fault for itself, from the moment that it was set, those of its
/// routes and its span of time alone. So faults don't shift each other, and the same requests in
/// the same order meet the same faults.
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
        Self { pick, route: Some(Route::List), span: None }
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

    /// Each request with this probability, 0 to 1. The draws follow from the sandbox's seed.
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

    /// Only requests that come this long after the sandbox was started: faults that come and go by
    /// themselves. `from` is within, `until` isn't.
    pub const fn during(mut self, from: Duration, until: Duration) -> Self {
        self.span = Some((from, until));
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

    /// With a `Retry-After` of this text: a number of seconds, a date, or nonsense such as the
    /// `rand(30),add(30)` that the service has been seen to send. Text that no header can carry is
    /// left out.
    pub fn retry_after(mut self, value: impl fmt::Display) -> Self {
        self.retry_after = Some(value.to_string());
        self
    }

    /// With this body. With a status of 200 it stands in for a page.
    pub fn body(mut self, content_type: impl Into<String>, text: impl Into<String>) -> Self {
        self.body = Some((content_type.into(), text.into()));
        self
    }
}

/// The former name of [`Response`].
#[deprecated(since = "0.2.0", note = "renamed to `Response`")]
pub type Answer = Response;

/// A fault or an oddity of a `next` link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkFault {
    /// It points to `https://webexapis.invalid`, a host that can't exist.
    Foreign,
    /// It points to this origin, such as another sandbox's, which then sees who follows.
    Origin(String),
    /// It points back this many pages; 0 is the page that carries it. No further than the walk's
    /// second page, since the first has no cursor.
    Cycle(u32),
    /// It doesn't parse: its target has no end.
    Malformed,
    /// There are two with different targets.
    Ambiguous,
    /// Its `max` is `null`, which the service is known to have sent. Followed, it is answered 400.
    NullMax,
    /// Its target is relative. Correct.
    Relative,
    /// It comes behind links of other relations, in one header line. Correct.
    Joined,
    /// It comes in a second header line, behind one with another relation. Correct.
    SeparateLines,
    /// Its relation is unquoted, in capitals and without a space before. Correct.
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
}

#[derive(Clone, Debug)]
struct Rule {
    when: When,
    effect: Effect,
    seen: u64,
}

impl Rule {
    fn applies(&mut self, route: Route, elapsed: Duration, seed: u64) -> bool {
        let in_span = self.when.span.is_none_or(|(from, until)| (from..until).contains(&elapsed));
        if !in_span || self.when.route.is_some_and(|only| only != route) {
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

/// What a request meets.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) latency: Duration,
    pub(super) drop: bool,
    pub(super) answer: Option<Response>,
    pub(super) cut: Option<f64>,
    pub(super) pace: Option<u64>,
}

/// So many requests in each period.
#[derive(Clone, Debug)]
struct RateLimit {
    requests: u32,
    period: Duration,
    /// When the current period began, and how many were let through in it.
    window: Option<(Duration, u32)>,
}

/// Everything injected, with the counts that go with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
    rate_limit: Option<RateLimit>,
    pub(super) rate_limit_header: Option<String>,
    pub(super) items: Arc<ItemFaults>,
    pub(super) empty_pages: u32,
    pub(super) endless_empty_pages: bool,
    pub(super) trailing_empty_page: bool,
    pub(super) expiry: Expiry,
    pub(super) late_every: u64,
}

impl Faults {
    pub(super) fn add(&mut self, when: When, effect: Effect) {
        self.rules.push(Rule { when, effect, seen: 0 });
    }

    pub(super) fn items(&mut self) -> &mut ItemFaults {
        Arc::make_mut(&mut self.items)
    }

    pub(super) fn limit(&mut self, requests: u32, period: Duration) {
        self.rate_limit = (requests > 0).then_some(RateLimit { requests, period, window: None });
    }

    /// How many empty pages to begin with behind a page with events.
    pub(super) fn blanks(&self) -> u32 {
        if self.endless_empty_pages { 1 } else { self.empty_pages }
    }

    /// Waits add up, the slowest pace and the earliest cut hold, and the answer that was set first.
    pub(super) fn judge(&mut self, route: Route, elapsed: Duration, seed: u64) -> Verdict {
        let mut verdict = Verdict::default();
        for (nth, rule) in (0..).zip(&mut self.rules) {
            if matches!(rule.effect, Effect::Link(_)) || !rule.applies(route, elapsed, seed ^ nth) {
                continue;
            }
            match &rule.effect {
                Effect::Latency(wait) => verdict.latency += *wait,
                Effect::Drop => verdict.drop = true,
                Effect::Respond(answer) => {
                    verdict.answer.get_or_insert_with(|| answer.clone());
                }
                Effect::Cut(part) => verdict.cut = Some(verdict.cut.map_or(*part, |cut| cut.min(*part))),
                Effect::Pace(rate) => verdict.pace = Some(verdict.pace.map_or(*rate, |pace| pace.min(*rate))),
                Effect::Link(_) => {}
            }
        }
        verdict
    }

    /// What is wrong with the link of a page that has one.
    pub(super) fn link(&mut self, elapsed: Duration, seed: u64) -> Option<LinkFault> {
        let mut found = None;
        for (nth, rule) in (0..).zip(&mut self.rules) {
            if let Effect::Link(fault) = &rule.effect {
                let fault = fault.clone();
                if rule.applies(Route::List, elapsed, seed ^ nth) {
                    found.get_or_insert(fault);
                }
            }
        }
        found
    }

    /// Counts a request against the rate limit. Too many have to wait this long.
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
        let mut faults = Faults::default();
        faults.add(when, Effect::Drop);
        (0..requests).map(|_| faults.judge(Route::List, Duration::ZERO, 7).drop).collect()
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
        let mut faults = Faults::default();
        let second = Duration::from_secs(1);
        faults.add(When::next(1).on(Route::Event).during(second, 2 * second), Effect::Drop);
        let mut drop = |route, elapsed| faults.judge(route, elapsed, 7).drop;
        assert!(!drop(Route::Event, Duration::ZERO));
        assert!(!drop(Route::List, second));
        assert!(drop(Route::Event, second));
        assert!(!drop(Route::Event, second));
    }

    #[test]
    fn a_rate_limit_says_how_long_to_wait() {
        let mut faults = Faults::default();
        faults.limit(2, Duration::from_secs(10));
        let mut at = |seconds| faults.throttle(Duration::from_secs(seconds));
        assert_eq!([at(5), at(6)], [Ok(()), Ok(())]);
        assert_eq!(at(7), Err(Duration::from_secs(8)));
        assert_eq!([at(15), at(16)], [Ok(()), Ok(())]);
        assert!(at(17).is_err());
    }
}
