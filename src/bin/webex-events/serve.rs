//! `sandbox`: the simulated service, for other programs.

use std::{env, num::NonZeroU32, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use webex_events::sandbox::{Answer, Sandbox, When};

use crate::{
    args,
    failure::{Code, Failure},
    say,
    signal::Stop,
    when::Rate,
};

pub(crate) async fn run(asked: args::Sandbox, mut stop: Stop) -> Result<(), Failure> {
    if !asked.addr.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "--addr {} can be seen from outside: choose a loopback address such as 127.0.0.1:0",
            asked.addr
        )));
    }
    let sandbox = start(&asked).await?;
    // Whoever started it may not want to read this.
    let _ = say::data(greeting(&sandbox).as_bytes());
    let code = stop.wait().await;
    Err(Failure::new(code, format!("the sandbox has served {} requests", sandbox.counts().requests)))
}

/// A sandbox with so many events up to this instant, and nothing else of note: always the same ones.
pub(crate) async fn plain(events: u32, until: DateTime<Utc>) -> Result<Sandbox, Failure> {
    let builder = Sandbox::builder()
        .events(usize::try_from(events).unwrap_or(usize::MAX))
        .period(until - TimeDelta::days(30), until);
    builder.start().await.map_err(|error| Failure::of(&error, None))
}

async fn start(asked: &args::Sandbox) -> Result<Sandbox, Failure> {
    let mut builder = Sandbox::builder()
        .events(usize::try_from(asked.events).unwrap_or(usize::MAX))
        .addr(asked.addr)
        .seed(asked.seed)
        .shuffled(asked.shuffled)
        .malformed_every(asked.malformed_every)
        .empty_pages(asked.empty_pages)
        .fail(When::every(asked.fail_every), Answer::status(503).retry_after(0))
        .cut_bodies(When::every(asked.cut_every), 0.5);
    if asked.latency_ms > 0 {
        builder = builder.latency(When::always().on_any_route(), Duration::from_millis(asked.latency_ms));
    }
    let limit = |requests: NonZeroU32, seconds| (requests.get(), Duration::from_secs(seconds));
    if let Some(rate) = asked.rate_limit {
        let (requests, period) = match rate {
            Rate::PerSecond(requests) => limit(requests, 1),
            Rate::PerMinute(requests) => limit(requests, 60),
        };
        builder = builder.rate_limit(requests, period);
    }
    if let Some(token) = &asked.token {
        builder = builder.token(token);
    }
    builder
        .start()
        .await
        .map_err(|error| Failure::new(Code::Settings, format!("{error}; choose another with --addr")))
}

/// What is needed to use it, and a command line that does so.
fn greeting(sandbox: &Sandbox) -> String {
    let program = env::args_os().next().unwrap_or_else(|| "webex-events".into());
    let (url, token) = (sandbox.base_url(), quoted(sandbox.token()));
    format!(
        "base URL: {url}\ntoken: {}\nexport from it:\nWEBEX_ACCESS_TOKEN={token} {} export --base-url {url} -o events.ndjson\n",
        sandbox.token(),
        quoted(&program.to_string_lossy()),
    )
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+~".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) && !word.starts_with('~') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        for (word, expected) in [
            ("target/debug/webex-events", "target/debug/webex-events"),
            ("/my programs/it's", r"'/my programs/it'\''s'"),
            ("$(x)", "'$(x)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
