//! The service of a job, and its faults.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use webex_events::sandbox::{Bounds, LinkFault, Response, Sandbox, SandboxBuilder, When};

use crate::support::Service;

/// The faults of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 429 and 5xx, with and without a time to wait, and a limit on requests.
    Refusals,
    /// Bodies that break off or come slowly, and connections that are closed.
    Breaks,
    /// Tokens that expire soon or are revoked, refresh tokens that are replaced, and a 401 now and then.
    Tokens,
    /// Cursors that the service forgets.
    Cursors,
    /// Items that aren't events, and events with errors.
    Items,
    /// Unusual but correct behaviour: empty pages, links in other forms, gzip, a shuffled order, other bounds.
    Forms,
    /// A `Date` that is wrong now and then, by minutes, hours or years.
    Dates,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] =
        [Self::Refusals, Self::Breaks, Self::Tokens, Self::Cursors, Self::Items, Self::Forms, Self::Dates];
}

/// Which faults a job has.
#[derive(Clone, Debug)]
pub(crate) struct Weather(Vec<Fault>);

impl Weather {
    pub(crate) fn fine() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn of(faults: &[Fault]) -> Self {
        Self(faults.to_vec())
    }

    /// Each fault with a chance of one in two.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self(Fault::ALL.into_iter().filter(|_| rng.bool()).collect())
    }

    pub(crate) fn without(mut self, fault: Fault) -> Self {
        self.0.retain(|other| *other != fault);
        self
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// A service with this number of events from `start` to `end`.
    pub(crate) fn service(&self, rng: &mut Rng, events: usize, period: Period) -> SandboxBuilder {
        let mut sandbox = Sandbox::builder()
            .seed(rng.u64(..))
            .events(events)
            .period(period.0, period.1)
            .log_capacity(64)
            .latency(When::always(), Duration::from_millis(rng.u64(1..4)));
        for fault in &self.0 {
            sandbox = add(sandbox, *fault, rng);
        }
        sandbox
    }

    /// Lets the service forget, now and then.
    pub(crate) fn strike(&self, rng: &mut Rng, service: &Service) {
        if self.has(Fault::Cursors) && rng.u8(0..3) == 0 {
            service.expire_cursors();
        }
        if self.has(Fault::Tokens) && rng.u8(0..3) == 0 {
            service.revoke_tokens();
        }
    }
}

/// From when on, and up to when.
pub(crate) type Period = (DateTime<Utc>, DateTime<Utc>);

/// A day and a half.
pub(crate) fn period() -> Period {
    let start: DateTime<Utc> = "2026-01-05T00:00:00Z".parse().unwrap();
    (start, start + TimeDelta::hours(36))
}

fn add(sandbox: SandboxBuilder, fault: Fault, rng: &mut Rng) -> SandboxBuilder {
    match fault {
        Fault::Refusals => {
            let sandbox = sandbox
                .fail(When::chance(0.02), Response::status(429).retry_after(0))
                .fail(When::chance(0.03), Response::status(503).retry_after(0))
                .fail(When::chance(0.01), Response::status(500).retry_after(0))
                .fail(When::chance(0.005), Response::status(502));
            // As many as it may send without being too fast, or fewer.
            sandbox.rate_limit(rng.u32(20..80), Duration::from_millis(100)).rate_limit_header("0")
        }
        Fault::Breaks => sandbox
            .cut_bodies(When::chance(0.015), rng.f64())
            .drop_connections(When::chance(0.01))
            .slow_bodies(When::chance(0.02), 300_000),
        Fault::Tokens => sandbox
            .token_lifetime(Duration::from_secs(rng.u64(1..4)))
            .rotate_refresh_tokens(rng.bool())
            .fail(When::chance(0.02), Response::status(401)),
        Fault::Cursors => {
            let status = [400, 404, 410][rng.usize(0..3)];
            sandbox.cursor_uses(rng.u32(2..5)).cursor_status(status)
        }
        Fault::Items => sandbox.malformed_every(rng.u64(20..60)).field_errors_every(rng.u64(10..40)),
        Fault::Forms => sandbox
            .empty_pages(rng.u32(0..2))
            .trailing_empty_page(rng.bool())
            .gzip(rng.bool())
            .shuffled(rng.bool())
            .bounds([Bounds::HalfOpen, Bounds::Inclusive, Bounds::Exclusive][rng.usize(0..3)])
            .links(When::every(3), LinkFault::Relative)
            .links(When::every(5), LinkFault::Joined)
            .links(When::every(7), LinkFault::SeparateLines),
        Fault::Dates => {
            // At most two of five consecutive responses agree on a wrong time.
            let sandbox = sandbox
                .wrong_dates(When::every(rng.u64(3..8)), TimeDelta::minutes(rng.i64(6..240)))
                .wrong_dates(When::every(rng.u64(5..12)), TimeDelta::minutes(-rng.i64(6..240)));
            sandbox.wrong_dates(When::at([rng.u64(0..30)]), TimeDelta::days(365 * rng.i64(1..8000)))
        }
    }
}
