//! The service: whether it can be reached, knows the token, and lets its owner list events.

use std::time::{Duration, Instant};

use chrono::{DateTime, Days, TimeDelta, Utc};
use futures_util::StreamExt;
use webex_events::{Client, Error, ListEvents, Result};

use crate::{
    commands::doctor::{
        clock::{self, ServiceTime},
        report::{Report, Verdict},
    },
    error::{Code, Failure, chain, transport_advice},
    service::Connected,
    ui::progress::counted,
};

/// The checks, in their order.
pub(super) const CHECKS: [&str; 6] = ["service", "token", "access", "clock", "reach", "rate-limit"];

/// The days that every organization can look back, and one day either side.
const WITHIN: Days = Days::new(89);
const BEYOND: Days = Days::new(91);

/// Sends at most three requests, for one event each; two more where a token is refused, and two where the clocks differ.
pub(super) async fn examine(connected: &Connected, report: &mut Report) {
    let client = &connected.client;
    let mut sent = Instant::now();
    // Without a time in it: this machine's may be wrong.
    let first = list(client, ListEvents::new()).await;
    let answered = sent.elapsed();
    let (mut took, mut now) = (answered, Utc::now());
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

    let service = service(&connected.base_url, &first, answered);
    let is_there = !service.is_failure();
    report.add("service", &service);
    let token = if is_there { token(&first, connected) } else { skipped() };
    report.add("token", &token);
    let access = if is_there { access(&first) } else { skipped() };
    report.add("access", &access);
    let clock = match time {
        Some(time) => clock::judge(now, time),
        None => Verdict::skip("the service hasn't told the time"),
    };
    report.add("clock", &clock);
    let reach =
        if first.is_ok() { reach(client, client.service_time().unwrap_or(now)).await } else { skipped() };
    report.add("reach", &reach);
    report.add("rate-limit", &rate_limit(client, &first));
}

fn skipped() -> Verdict {
    Verdict::skip("couldn't be tried")
}

/// Asks for one page of one event.
async fn list(client: &Client, query: ListEvents) -> Result<()> {
    let mut pages = client.list(query.page_size(1)).pages();
    pages.next().await.transpose().map(drop)
}

fn service(url: &str, first: &Result<()>, took: Duration) -> Verdict {
    let answers = || Verdict::ok(format!("{url} answered in {} ms", took.as_millis()));
    let Err(error) = first else { return answers() };
    match error {
        Error::Transport(transport) => {
            Verdict::fail(Code::Unavailable, chain(error)).advise(transport_advice(transport.kind()))
        }
        Error::Decode(_) => Verdict::fail(Code::Unavailable, chain(error))
            .advise("something else than the service may have answered: check --base-url and --proxy"),
        _ if error.is_not_found() => {
            Verdict::fail(Code::Unavailable, chain(error)).advise("check --base-url: it ends with /v1")
        }
        _ if is_about_the_user(error) => answers(),
        _ => Verdict::fail(Code::Unavailable, chain(error)).advise("try again later"),
    }
}

/// Whether the service is well, and says no.
fn is_about_the_user(error: &Error) -> bool {
    error.is_auth()
        || error.is_forbidden()
        || error.is_rate_limited()
        || matches!(error, Error::Config(_) | Error::Store { .. })
}

fn token(first: &Result<()>, connected: &Connected) -> Verdict {
    match first {
        Err(error) if error.is_auth() => {
            Verdict::fail(Code::Refused, chain(error)).advise(connected.origin.cure())
        }
        Err(error @ (Error::Config(_) | Error::Store { .. })) => {
            let failure = Failure::from(error);
            Verdict::fail(failure.code, failure.message)
        }
        Err(error) if error.is_rate_limited() => skipped(),
        _ => match connected.origin.expires_at() {
            Some(time) => Verdict::ok(format!("accepted; it expires {}", time.format("%Y-%m-%d %H:%M UTC"))),
            None => Verdict::ok("accepted"),
        },
    }
}

fn access(first: &Result<()>) -> Verdict {
    match first {
        Ok(()) => Verdict::ok("it may list events"),
        Err(error) if error.is_forbidden() => Verdict::fail(Code::Refused, chain(error)).advise(
            "the token needs the scope spark-compliance:events_read, and its owner the role of a compliance officer",
        ),
        Err(_) => skipped(),
    }
}

/// Tries the 90 days at both sides.
async fn reach(client: &Client, now: DateTime<Utc>) -> Verdict {
    let from = |days| {
        let from = now.checked_sub_days(days)?;
        Some(ListEvents::new().from(from).to(from.checked_add_signed(TimeDelta::hours(1))?))
    };
    let (Some(within), Some(beyond)) = (from(WITHIN), from(BEYOND)) else { return skipped() };
    match list(client, within).await {
        Ok(()) => match list(client, beyond).await {
            Ok(()) => Verdict::ok("lists reach back more than 90 days: the Pro Pack is there"),
            Err(error) if error.is_beyond_retention() => {
                Verdict::ok("lists reach back 90 days; for more an organization needs the Pro Pack")
            }
            Err(error) => untold(&error),
        },
        Err(error) if error.is_beyond_retention() => {
            Verdict::ok("lists don't reach back 89 days").warn("use a later --from")
        }
        Err(error) => untold(&error),
    }
}

fn untold(error: &Error) -> Verdict {
    Verdict::ok(format!("how far back lists reach couldn't be found out: {}", chain(error)))
        .warn("try again later")
}

fn rate_limit(client: &Client, first: &Result<()>) -> Verdict {
    let answers = client.answers();
    let sent: u64 = answers.values().sum();
    let requests = counted(sent, "request");
    match first {
        Err(error) if error.is_rate_limited() => {
            let again = match error.retry_after() {
                Some(wait) => format!("try again in {} s", wait.as_secs()),
                None => "try again later".to_owned(),
            };
            Verdict::fail(Code::Unavailable, format!("met at once: {}", chain(error))).advise(again)
        }
        _ if sent == 0 => skipped(),
        _ if answers.contains_key(&429) => {
            Verdict::ok(format!("met in {requests}")).warn("others ask too: use a lower --rate-limit")
        }
        _ => Verdict::ok(format!("not met in {requests}")),
    }
}
