//! Checks of the service: it can be reached, accepts the token, and lets its owner list events.

use std::time::{Duration, Instant};

use chrono::{DateTime, Days, TimeDelta, Utc};
use futures_util::StreamExt;
use webex_events::{Client, Error, ListEvents, Result};

use crate::{
    commands::doctor::{
        clock::{self, ServiceTime},
        report::{CheckResult, Report},
    },
    error::{Code, Failure, NO_ACCESS, describe, transport_advice},
    service::Connected,
    ui::human::{self, counted},
};

/// The checks, in their order.
pub(super) const CHECKS: [&str; 6] = ["service", "token", "access", "clock", "reach", "rate-limit"];

/// One day less and one day more than the 90 days that every organization can list.
const WITHIN: Days = Days::new(89);
const BEYOND: Days = Days::new(91);

/// Sends at most three requests, for one event each; two more if a token is refused, and two if the clocks differ.
pub(super) async fn examine(connected: &Connected, report: &mut Report) {
    let client = &connected.client;
    let mut sent = Instant::now();
    // Without a time range: this machine's clock may be wrong.
    let first = list(client, ListEvents::new()).await;
    let responded = sent.elapsed();
    let (mut took, mut now) = (responded, Utc::now());
    // If the clocks differ, three responses must agree on the service's time.
    for _ in 0..2 {
        if client.service_time().is_some() || client.claimed_time().is_none() {
            break;
        }
        sent = Instant::now();
        let _ = list(client, ListEvents::new()).await;
        (took, now) = (sent.elapsed(), Utc::now());
    }
    let time = client.service_time().map(|earliest| ServiceTime { earliest, took });

    let service = service(&connected.base_url, &first, responded);
    let is_there = !service.is_failure();
    report.add("service", &service);
    let token = if is_there { token(&first, connected) } else { skipped() };
    report.add("token", &token);
    let access = if is_there { access(&first) } else { skipped() };
    report.add("access", &access);
    let clock = match time {
        Some(time) => clock::judge(now, time),
        None => CheckResult::skip("no response had the service's time"),
    };
    report.add("clock", &clock);
    let reach =
        if first.is_ok() { reach(client, client.service_time().unwrap_or(now)).await } else { skipped() };
    report.add("reach", &reach);
    report.add("rate-limit", &rate_limit(client, &first));
}

fn skipped() -> CheckResult {
    CheckResult::skip("couldn't be checked")
}

/// Requests one page of one event.
async fn list(client: &Client, query: ListEvents) -> Result<()> {
    let mut pages = client.list(query.page_size(1)).pages();
    pages.next().await.transpose().map(drop)
}

fn service(url: &str, first: &Result<()>, took: Duration) -> CheckResult {
    let responds = || CheckResult::ok(format!("{url} responded in {} ms", took.as_millis()));
    let Err(error) = first else { return responds() };
    match error {
        Error::Transport(transport) => {
            CheckResult::fail(Code::Unavailable, describe(error)).advise(transport_advice(transport.kind()))
        }
        Error::Decode(_) => CheckResult::fail(Code::Unavailable, describe(error))
            .advise("check --base-url and --proxy: the response may not be from the service"),
        _ if error.is_not_found() => CheckResult::fail(Code::Unavailable, describe(error))
            .advise("check that --base-url ends with /v1"),
        _ if is_about_the_user(error) => responds(),
        _ => CheckResult::fail(Code::Unavailable, describe(error)).advise("try again later"),
    }
}

/// Returns true if the service works, and refuses this request.
fn is_about_the_user(error: &Error) -> bool {
    error.is_auth()
        || error.is_forbidden()
        || error.is_rate_limited()
        || matches!(error, Error::Config(_) | Error::Store { .. })
}

fn token(first: &Result<()>, connected: &Connected) -> CheckResult {
    match first {
        Err(error) if error.is_auth() => {
            CheckResult::fail(Code::Refused, describe(error)).advise(connected.origin.advice())
        }
        Err(error @ (Error::Config(_) | Error::Store { .. })) => {
            let failure = Failure::from(error);
            CheckResult::fail(failure.code, failure.message)
        }
        Err(error) if error.is_rate_limited() => skipped(),
        _ => match connected.origin.expires_at() {
            Some(time) => CheckResult::ok(format!("accepted; it expires {}", human::instant(time))),
            None => CheckResult::ok("accepted"),
        },
    }
}

fn access(first: &Result<()>) -> CheckResult {
    match first {
        Ok(()) => CheckResult::ok("the token may list events"),
        Err(error) if error.is_forbidden() => {
            CheckResult::fail(Code::Refused, describe(error)).advise(NO_ACCESS)
        }
        Err(_) => skipped(),
    }
}

/// Lists events that are a little younger and a little older than 90 days.
async fn reach(client: &Client, now: DateTime<Utc>) -> CheckResult {
    let from = |days| {
        let from = now.checked_sub_days(days)?;
        Some(ListEvents::new().from(from).to(from.checked_add_signed(TimeDelta::hours(1))?))
    };
    let (Some(within), Some(beyond)) = (from(WITHIN), from(BEYOND)) else { return skipped() };
    match list(client, within).await {
        Ok(()) => match list(client, beyond).await {
            Ok(()) => {
                CheckResult::ok("lists reach back more than 90 days: the organization has the Pro Pack")
            }
            Err(error) if error.is_beyond_retention() => CheckResult::ok(
                "lists reach back 90 days; for older events an organization needs the Pro Pack",
            ),
            Err(error) => unknown_reach(&error),
        },
        Err(error) if error.is_beyond_retention() => {
            CheckResult::ok("lists don't reach back 89 days").warn("give an export a later --from")
        }
        Err(error) => unknown_reach(&error),
    }
}

fn unknown_reach(error: &Error) -> CheckResult {
    CheckResult::ok(format!("the age of the oldest events couldn't be checked: {}", describe(error)))
        .warn("try again later")
}

fn rate_limit(client: &Client, first: &Result<()>) -> CheckResult {
    let answers = client.responses();
    let sent: u64 = answers.values().sum();
    let requests = counted(sent, "request");
    match first {
        Err(error) if error.is_rate_limited() => {
            let again = match error.retry_after() {
                Some(wait) => format!("try again in {} s", wait.as_secs()),
                None => "try again later".to_owned(),
            };
            CheckResult::fail(Code::Unavailable, format!("exceeded by one request: {}", describe(error)))
                .advise(again)
        }
        _ if sent == 0 => skipped(),
        _ if answers.contains_key(&429) => CheckResult::ok(format!("exceeded in {requests}"))
            .warn("other clients use the limit too: set a lower --rate-limit"),
        _ => CheckResult::ok(format!("not exceeded in {requests}")),
    }
}
