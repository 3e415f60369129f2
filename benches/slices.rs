//! Concurrent slices against a list from page to page, where the network and not the processor takes
//! the time; and against a service that limits the rate of requests.
//!
//! Prints wall times, and their ratios to the single list and to the time that the limit allows.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and may fail by panicking"
)]

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::{Builder, Runtime};
use webex_events::{
    Client, ListEvents, RateLimit,
    sandbox::{Sandbox, SandboxBuilder, When},
};

mod support;

use support::PlainPage;

const EVENTS: usize = 20_000;
const LATENCY: Duration = Duration::from_millis(50);
const LENGTH: TimeDelta = TimeDelta::days(30);
const ROUNDS: usize = 3;

fn start() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn range() -> ListEvents {
    ListEvents::new().from(start()).to(start() + LENGTH).page_size(100)
}

/// A sandbox in a thread of its own, and a client of it.
fn serve(sandbox: SandboxBuilder, limit: Option<RateLimit>) -> (Sandbox, Client) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sandbox = sandbox.events(EVENTS).period(start(), start() + LENGTH);
    let sandbox = runtime.block_on(sandbox.start()).unwrap();
    let mut client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token());
    if let Some(limit) = limit {
        client = client.rate_limit(limit);
    }
    let client = client.build().unwrap();
    std::mem::forget(runtime);
    (sandbox, client)
}

async fn walk(client: &Client) -> usize {
    client.list(range()).try_fold(0, async |n, _| Ok(n + 1)).await.unwrap()
}

async fn slices(client: &Client, at_once: usize, length: Duration) -> usize {
    let slices = range().slices(length).unwrap();
    let events = client.list_slices(slices, NonZeroUsize::new(at_once).unwrap()).events();
    events.try_fold(0, async |n, _| Ok(n + 1)).await.unwrap()
}

/// The hand-written alternative: a loop over windows, several of them concurrently.
async fn by_hand(sandbox: &Sandbox, at_once: usize) -> usize {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let window = async |n: usize| {
        let at = |n: usize| {
            let time = start() + LENGTH / i32::try_from(at_once).unwrap() * i32::try_from(n).unwrap();
            time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
        };
        let mut next = Some(format!("{}/events?max=100&from={}&to={}", sandbox.base_url(), at(n), at(n + 1)));
        let mut events = 0;
        while let Some(url) = next {
            let answer = http.get(url).bearer_auth(sandbox.token()).send().await.unwrap();
            next = answer.headers().get("link").map(|link| {
                let link = link.to_str().unwrap();
                link[link.find('<').unwrap() + 1..link.find('>').unwrap()].to_owned()
            });
            let page: PlainPage = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            events += page.items.len();
        }
        events
    };
    let counts = stream::iter(0..at_once).map(window).buffer_unordered(at_once);
    counts.fold(0, async |n, events| n + events).await
}

fn timed(runtime: &Runtime, rounds: usize, run: impl AsyncFn() -> usize) -> f64 {
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(runtime.block_on(run()), EVENTS);
            begun.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn latency(runtime: &Runtime) {
    let (sandbox, client) = serve(Sandbox::builder().latency(When::always(), LATENCY), None);
    println!("{EVENTS} events in pages of 100, {} ms latency, and the ratio to `list`", LATENCY.as_millis());
    let walked = timed(runtime, 1, async || walk(&client).await);
    println!("  {:<34} {walked:6.2} s", "list");
    for at_once in [8, 16] {
        let length = LENGTH.to_std().unwrap() / u32::try_from(at_once).unwrap();
        let by_hand = timed(runtime, ROUNDS, async || by_hand(&sandbox, at_once).await);
        let sliced = timed(runtime, ROUNDS, async || slices(&client, at_once, length).await);
        for (name, time) in [("hand-written windows", by_hand), ("list_slices", sliced)] {
            let name = format!("{name}, {at_once} at once");
            println!("  {name:<34} {time:6.2} s   1/{:.1}", walked / time);
        }
    }
}

fn limited(runtime: &Runtime) {
    println!("8 slices at once, 10 requests a second allowed, and the ratio to what that allows");
    let ten = RateLimit::per_second(NonZeroU32::new(10).unwrap());
    for (name, limit) in [("no rate_limit set", None), ("rate_limit of 10 a second", Some(ten))] {
        let limited = Sandbox::builder().rate_limit(10, Duration::from_secs(1));
        let (sandbox, client) = serve(limited, limit);
        let length = LENGTH.to_std().unwrap() / 8;
        let time = timed(runtime, 1, async || slices(&client, 8, length).await);
        let pages = client.responses()[&200];
        let refused: Vec<_> = sandbox.requests().into_iter().filter(|one| one.status == Some(429)).collect();
        let first = refused.first().map(|one| one.at).unwrap_or_default();
        // Requests in flight at the first refusal could not know of it.
        let later = refused.iter().filter(|one| one.at > first + LATENCY).count();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let allowed = pages as f64 / 10.0;
        println!(
            "  {name:<34} {time:6.2} s   {:.2} ({pages} pages, {} answers 429 at first, {later} later)",
            time / allowed,
            refused.len() - later
        );
    }
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    latency(&runtime);
    limited(&runtime);
}
