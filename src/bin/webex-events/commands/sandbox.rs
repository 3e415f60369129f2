//! `sandbox`: the simulated service, for other programs.

use std::{env, fmt::Write as _, num::NonZeroU32, time::Duration};

use chrono::{DateTime, Days, Utc};
use serde_json::json;
use webex_events::sandbox::{Response, Sandbox, StartErrorKind, When};

use crate::{
    cli::{
        self,
        values::{self, Rate},
    },
    commands::Context,
    error::{Code, Failure, chain},
    ui::messages,
};

/// The default age of the first event.
const MONTH: Days = Days::new(30);

pub(crate) async fn run(args: cli::SandboxArgs, context: &mut Context) -> Result<(), Failure> {
    if !args.addr.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "--addr {} would be reachable from other machines: choose a loopback address such as 127.0.0.1:0",
            args.addr
        )));
    }
    let sandbox = start(&args).await?;
    // The sandbox serves even if nobody reads stdout.
    let _ = messages::data(greeting(&sandbox, args.access.oauth).as_bytes());
    let code = context.shutdown.wait().await;
    Err(Failure::new(code, format!("the sandbox has served {} requests", sandbox.counts().requests)))
}

/// A sandbox with this number of events up to this instant, and default settings. The events are always the same.
pub(crate) async fn plain(events: u32, until: DateTime<Utc>) -> Result<Sandbox, Failure> {
    let builder = Sandbox::builder().events(size(events)).period(until - MONTH, until);
    Ok(builder.start().await?)
}

async fn start(args: &cli::SandboxArgs) -> Result<Sandbox, Failure> {
    let (access, faults) = (&args.access, &args.faults);
    let (from, to) = period(args, Utc::now())?;
    let mut builder = Sandbox::builder()
        .events(size(args.events))
        .late_events(size(faults.late))
        .late_every(faults.late_every)
        .period(from, to)
        .addr(args.addr)
        .seed(args.seed)
        .shuffled(args.shuffled)
        .gzip(args.gzip)
        .token_lifetime(access.token_lifetime)
        .rotate_refresh_tokens(access.rotate_refresh_tokens)
        .malformed_every(faults.malformed_every)
        .empty_pages(faults.empty_pages)
        .fail(When::every(faults.fail_every), Response::status(503).retry_after(0))
        .fail(When::every(faults.unauthorized_every), Response::status(401))
        .drop_connections(When::every(faults.drop_every))
        .cut_bodies(When::every(faults.cut_every), 0.5);
    if let Some(days) = args.retention {
        builder = builder.retention(days);
    }
    if let Some(token) = &access.token {
        builder = builder.token(token);
    }
    if faults.latency_ms > 0 {
        builder = builder.latency(When::always().on_any_route(), Duration::from_millis(faults.latency_ms));
    }
    if let Some(bytes) = faults.slow {
        builder = builder.slow_bodies(When::always().on_any_route(), bytes.get());
    }
    if let Some(uses) = faults.cursor_uses {
        builder = builder.cursor_uses(uses);
    }
    if let Some(lifetime) = faults.cursor_lifetime {
        builder = builder.cursor_lifetime(lifetime);
    }
    let limit = |requests: NonZeroU32, seconds| (requests.get(), Duration::from_secs(seconds));
    if let Some(rate) = faults.rate_limit {
        let (requests, period) = match rate {
            Rate::PerSecond(requests) => limit(requests, 1),
            Rate::PerMinute(requests) => limit(requests, 60),
        };
        builder = builder.rate_limit(requests, period);
    }
    builder.try_start().await.map_err(|error| {
        let hint = if error.kind() == StartErrorKind::Listen { "; choose another with --addr" } else { "" };
        Failure::new(Code::Settings, format!("{}{hint}", chain(&error)))
    })
}

fn size(events: u32) -> usize {
    usize::try_from(events).unwrap_or(usize::MAX)
}

/// The period in which the events were created.
fn period(args: &cli::SandboxArgs, now: DateTime<Utc>) -> Result<(DateTime<Utc>, DateTime<Utc>), Failure> {
    let too_early = |name| Failure::usage(format!("{name} is too early; choose a later one"));
    let instant = |name, when: values::TimeArg| when.instant(now).ok_or_else(|| too_early(name));
    let to = args.to.map_or(Ok(now), |to| instant("--to", to))?;
    let from = match args.from {
        Some(from) => instant("--from", from)?,
        None => to.checked_sub_days(MONTH).ok_or_else(|| too_early("--to"))?,
    };
    if from.timestamp_millis() < to.timestamp_millis() {
        Ok((from, to))
    } else {
        Err(Failure::usage(format!("--from {from} isn't before --to {to}; choose an earlier --from")))
    }
}

/// The credentials of the sandbox, and examples of commands that use it.
fn greeting(sandbox: &Sandbox, with_oauth: bool) -> String {
    let program = env::args_os().next().unwrap_or_else(|| "webex-events".into());
    let program = quoted(&program.to_string_lossy());
    let (url, token) = (sandbox.base_url(), quoted(sandbox.token()));
    let mut text = format!(
        "base URL: {url}\ntoken: {}\nexport from it:\nWEBEX_ACCESS_TOKEN={token} {program} export --base-url {url} -o events.ndjson\n",
        sandbox.token(),
    );
    if with_oauth {
        let (id, secret) = (sandbox.client_id(), sandbox.client_secret());
        let refresh = sandbox.refresh_token().unwrap_or_default();
        let store = quoted(&json!({"refresh_token": refresh}).to_string());
        let _ = writeln!(text, "client id: {id}\nclient secret: {secret}\nrefresh token: {refresh}");
        let _ = writeln!(
            text,
            "export from it, with renewed tokens:\nprintf %s {store} > tokens.json\n\
             WEBEX_CLIENT_SECRET={} {program} export --oauth-store tokens.json --client-id {} \
             --base-url {url} -o events.ndjson",
            quoted(&secret),
            quoted(&id),
        );
    }
    let _ = writeln!(
        text,
        "log in to it:\nWEBEX_CLIENT_SECRET={} {program} login --oauth-store tokens.json --client-id {} --base-url {url}",
        quoted(&sandbox.client_secret()),
        quoted(&sandbox.client_id()),
    );
    text
}

/// Quotes a word for a POSIX shell.
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
