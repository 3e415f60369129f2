//! A pause that the service requests applies, whatever happens to the request that received it; and no loop over
//! `resume()` spins.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, future::BoxFuture, poll};
use tokio::sync::Semaphore;
use webex_events::{Checkpoint, Client, Error, Event, ListEvents, Result, RetryPolicy, Token, token_fn};

use crate::support::{Service, Wire, builder, error, hasty, kind, read, refusal, refusing, settle, within};

const HOURS: Duration = Duration::from_secs(7200);

fn with(base: &str, policy: RetryPolicy) -> Client {
    builder(base).retry(policy).build().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Refuses the first request with this `Retry-After`, and serves the others.
async fn refusing_once(retry_after: &'static str) -> Service {
    Service::start(move |call| match call.n {
        0 => refusal(429).append_header("Retry-After", retry_after),
        _ => call.page("a", None),
    })
    .await
}

/// The error of a request that was not sent because of a pause of about two hours.
fn assert_unsent(error: &Error, stats: webex_events::Stats) {
    let Error::Api(response) = error else { panic!("{error:?}") };
    assert_eq!((response.status(), response.body(), response.attempts()), (429, "", 0));
    let rest = error.retry_after().unwrap();
    assert!(rest <= HOURS && rest > Duration::from_secs(7170), "{rest:?}");
    assert!(error.is_transient() && error.is_rate_limited());
    assert_eq!((stats.requests, stats.retries), (0, 0));
}

#[tokio::test]
async fn a_429_pauses_every_clone_whatever_the_policy_does_with_its_request() {
    for policy in [RetryPolicy::never(), hasty(), hasty().max_wait(Duration::ZERO)] {
        let service = refusing_once("7200").await;
        let client = with(&service.url(), policy.clone());
        let refused = error(&mut client.list(ListEvents::new())).await;
        assert_eq!(refused.retry_after(), Some(HOURS));
        for _ in 0..3 {
            let clone = client.clone();
            let mut events = clone.list(ListEvents::new());
            let unsent = error(&mut events).await;
            assert_unsent(&unsent, events.stats());
            assert_eq!(kind(&within(clone.get("a")).await.unwrap_err()), "Api 429");
        }
        assert_eq!(service.count(), 1, "{policy:?}");
    }
}

#[tokio::test]
async fn a_pause_that_begins_while_a_token_is_renewed_holds_that_request_too() {
    // Of the first call for a token, and of the call after a 401.
    for is_rejected in [false, true] {
        let service = Service::start(move |call| match call.n {
            0 if is_rejected => refusal(401),
            _ => refusal(429).append_header("Retry-After", "7200"),
        })
        .await;
        let renewal = Arc::new(Semaphore::new(0));
        let (calls, gate) = (AtomicUsize::new(0), Arc::clone(&renewal));
        let source = token_fn(move |rejected| {
            let waits = if is_rejected { rejected.is_some() } else { calls.fetch_add(1, Relaxed) == 0 };
            let gate = Arc::clone(&gate);
            async move {
                if waits {
                    gate.acquire().await.unwrap().forget();
                }
                Ok(Token::from(if rejected.is_some() { "b" } else { "a" }))
            }
        });
        let client = builder(&service.url()).retry(hasty()).token_source(source).build().unwrap();
        let mut waiting = client.list(ListEvents::new());
        let before = usize::from(is_rejected);
        let renewal_begins = async {
            while service.count() < before {
                settle().await;
                assert!(poll!(waiting.next()).is_pending());
            }
            for _ in 0..20 {
                settle().await;
                assert!(poll!(waiting.next()).is_pending());
            }
        };
        within(renewal_begins).await;
        assert_eq!(kind(&error(&mut client.list(ListEvents::new())).await), "Api 429");
        renewal.add_permits(2);
        assert_eq!(kind(&error(&mut waiting).await), "Api 429");
        assert_eq!((service.count(), waiting.stats().requests), (before + 1, before as u64));
    }
}

#[tokio::test]
async fn a_429_on_the_last_attempt_pauses_every_clone() {
    let service = refusing_once("60").await;
    let client = with(&service.url(), RetryPolicy::never());
    let mut refused = client.list(ListEvents::new());
    assert_eq!(read(&mut refused).await, ["Api 429"]);
    refused.resume();
    let (other, mut others) = (client.clone(), client.list(ListEvents::new()));
    let mut got = Box::pin(other.get("a"));
    for _ in 0..20 {
        assert!(poll!(refused.next()).is_pending() && poll!(others.next()).is_pending());
        assert!(poll!(&mut got).is_pending());
        settle().await;
    }
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_pause_begins_with_the_headers_even_if_the_body_never_ends() {
    let wire = Wire::bind().await;
    let client = wire.client();
    let mut refused = client.list(ListEvents::new());
    within(async {
        let head = async {
            let (mut connection, _) = wire.request().await;
            connection.send("HTTP/1.1 429 No\r\nRetry-After: 7200\r\nContent-Length: 100\r\n\r\n{").await;
            loop {
                let mut events = client.clone().list(ListEvents::new());
                // Until the headers have arrived, the request of this list would be sent.
                settle().await;
                if let Some(Err(error)) = futures::FutureExt::now_or_never(events.next()).flatten() {
                    assert_unsent(&error, events.stats());
                    return connection;
                }
            }
        };
        tokio::select! {
            item = refused.next() => panic!("its body hasn't ended: {item:?}"),
            _connection = head => {}
        }
    })
    .await;
}

#[tokio::test]
async fn the_documented_loop_sends_nothing_during_a_pause() {
    let service = Service::start(|_| refusal(429).append_header("Retry-After", "7200")).await;
    let mut events = service.client().list(ListEvents::new());
    let mut errors = 0;
    let start = Instant::now();
    while errors < 4 {
        match within(events.next()).await {
            Some(Err(error)) if error.is_transient() => {
                errors += 1;
                events.resume();
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((service.count(), events.stats().requests), (1, 1));
    assert!(start.elapsed() >= Duration::from_millis(700), "100 + 200 + 400 ms");
}

#[tokio::test]
async fn a_loop_over_resume_waits_longer_with_each_refused_connection() {
    let base = refusing().await;
    for prefetch in [0, 2] {
        let client = with(&base, hasty().attempts(NonZeroU32::MIN));
        let mut events = client.list(ListEvents::new()).prefetch(prefetch);
        let mut failed_at = Vec::new();
        for _ in 0..3 {
            assert_eq!(kind(&error(&mut events).await), "Transport");
            events.resume();
            failed_at.push(Instant::now());
        }
        assert_eq!(kind(&error(&mut events).await), "Transport");
        failed_at.push(Instant::now());
        let waits: Vec<Duration> = failed_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (wait, least) in waits.iter().zip([90, 190, 390]) {
            assert!(*wait >= Duration::from_millis(least), "{waits:?}");
        }
        assert!(events.stats().waited >= Duration::from_millis(650), "{:?}", events.stats());
        assert_eq!(events.stats().requests, 4);
    }
}

#[tokio::test]
async fn a_page_that_arrives_resets_the_wait() {
    let service = Service::start(|call| match call.n {
        0..=2 | 4 => refusal(503),
        3 => call.page("a", Some("1")),
        _ => call.page("b", None),
    })
    .await;
    let mut events = with(&service.url(), hasty().attempts(NonZeroU32::MIN)).list(ListEvents::new());
    let mut read = Vec::new();
    for _ in 0..5 {
        read.extend(crate::support::read(&mut events).await);
        events.resume();
    }
    assert_eq!(read, ["Api 503", "Api 503", "Api 503", "a", "Api 503", "b"]);
    let arrivals = service.arrivals();
    assert!(arrivals[3] - arrivals[2] >= Duration::from_millis(400));
    assert!(arrivals[5] - arrivals[4] < Duration::from_millis(790), "it would be 800 ms without a reset");
}

/// Every stream and call of a client, as a future of its next error.
fn calls(client: &Client) -> Vec<(&'static str, BoxFuture<'static, Result<()>>)> {
    fn next<T>(
        stream: impl Stream<Item = Result<T>> + Send + Unpin + 'static,
    ) -> BoxFuture<'static, Result<()>> {
        let mut stream = stream;
        Box::pin(async move { stream.next().await.unwrap().map(drop) })
    }
    let day = ListEvents::new().from(at("2026-01-05T00:00:00Z")).to(at("2026-01-06T00:00:00Z"));
    let slices = day.slices(Duration::from_secs(3600)).unwrap();
    let list = || client.list(ListEvents::new());
    let get = client.clone();
    vec![
        ("list", next(list())),
        ("prefetch", next(list().prefetch(2))),
        ("pages", next(list().pages())),
        ("take", next(list().take(1))),
        ("with_cursors", next(list().with_cursors())),
        ("list_slices", next(client.list_slices(slices, NonZeroUsize::MIN).events())),
        ("follow", next(client.follow(ListEvents::new(), Checkpoint::at(at("2026-01-05T00:00:00Z"))))),
        ("get", Box::pin(async move { get.get("a").await.map(|_: Event| ()) })),
    ]
}

#[tokio::test]
async fn a_retry_after_of_any_size_is_a_wait_and_never_an_overflow() {
    for retry_after in ["9223372036854775807", "9223372036854775807.5", "18446744073709551615"] {
        for n in 0..8 {
            // It is longer than the policy waits: an error, and nothing more is sent.
            let service = refusing_once(retry_after).await;
            let client = service.client();
            for (name, call) in calls(&client).drain(n..).take(1) {
                let error = within(call).await.unwrap_err();
                assert!(error.retry_after() > Some(Duration::from_secs(1 << 62)), "{name}: {error:?}");
            }
            for (name, call) in calls(&client) {
                assert_eq!(kind(&within(call).await.unwrap_err()), "Api 429", "{name}");
            }
            assert_eq!(service.count(), 1);
        }
    }
}

#[tokio::test]
async fn a_policy_that_waits_for_ever_waits() {
    let service = Service::start(|_| refusal(429).append_header("Retry-After", "18446744073709551615")).await;
    let client = with(&service.url(), hasty().max_wait(Duration::MAX));
    let mut calls = calls(&client);
    for _ in 0..20 {
        for (name, call) in &mut calls {
            assert!(poll!(call).is_pending(), "{name}");
        }
        settle().await;
    }
    assert!(service.count() <= calls.len() + 1, "no retry");
}

#[tokio::test]
async fn a_short_budget_ends_an_attempt_that_hangs() {
    let wire = Wire::bind().await;
    let client = with(&wire.url(), hasty().max_elapsed(Duration::from_millis(100)));
    let mut events = client.list(ListEvents::new());
    let (item, _held) = within(async { tokio::join!(events.next(), wire.request()) }).await;
    let error = item.unwrap().unwrap_err();
    assert!(kind(&error) == "Transport" && error.is_transient(), "{error:?}");
    assert_eq!(events.stats().requests, 1);
}

#[tokio::test]
async fn a_pause_that_is_longer_than_the_budget_is_not_waited_for() {
    let service = refusing_once("60").await;
    let client = with(&service.url(), hasty().max_elapsed(Duration::from_secs(10)));
    assert_eq!(read(client.list(ListEvents::new())).await, ["Api 429"]);
    let mut events = client.list(ListEvents::new());
    assert_eq!(read(&mut events).await, ["Api 429"]);
    assert_eq!((service.count(), events.stats().requests), (1, 0));
}
