//! The pause that the service requests and the pace, which hold back all clones of a client together.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all, poll};
use webex_events::{ListEvents, RateLimit};

use crate::support::{
    Service, Wire, builder, event, hasty, http, labels, page, read, refusal, settle, within,
};

/// The only test here that takes a second, which is the least `Retry-After`.
#[tokio::test]
async fn a_429_pauses_every_clone_and_they_resume_at_different_times() {
    const CLONES: usize = 20;
    let wire = Wire::bind().await;
    let client = builder(&wire.url()).retry(hasty().max_wait(Duration::from_secs(1))).build().unwrap();
    let mut limited = client.list(ListEvents::new());
    let (first, arrivals, start) = within(async {
        let script = async {
            let (mut connection, _) = wire.request().await;
            let start = Instant::now();
            connection.send(http(429, &[("Retry-After", "1")], "{}")).await;
            connection.closed().await;
            settle().await;
            let others = join_all((0..CLONES).map(|_| {
                let client = client.clone();
                async move { read(client.list(ListEvents::new()).take(1)).await }
            }));
            let server = async {
                let mut arrivals = Vec::new();
                for _ in 0..=CLONES {
                    let (mut connection, head) = wire.request().await;
                    connection.send(http(200, &[], page("a"))).await;
                    arrivals.push(head.at);
                }
                arrivals
            };
            let (read, arrivals) = tokio::join!(others, server);
            assert!(read.iter().all(|read| read == &["a"]));
            (arrivals, start)
        };
        let (first, (arrivals, start)) = tokio::join!(limited.next(), script);
        (first, arrivals, start)
    })
    .await;
    assert_eq!(first.unwrap().unwrap().id(), "a");
    let after: Vec<Duration> = arrivals.iter().map(|at| at.duration_since(start)).collect();
    let (least, most) = (after.iter().min().unwrap(), after.iter().max().unwrap());
    assert!(*least >= Duration::from_millis(990), "one came {least:?} after the 429");
    assert!(*most >= *least + Duration::from_millis(20), "all came from {least:?} to {most:?}");
    assert!(limited.stats().waited >= Duration::from_millis(990), "{:?}", limited.stats());
}

#[tokio::test]
async fn waiting_leaves_the_thread_free_and_dropping_the_stream_cancels_it() {
    let wire = Wire::bind().await;
    let client = wire.client();
    for ahead in [0, 2] {
        let mut waiting = client.list(ListEvents::new()).prefetch(ahead);
        let answer = http(503, &[("Retry-After", "3000")], "{}");
        within(async {
            let script = async {
                let (mut connection, _) = wire.request().await;
                connection.send(answer).await;
                connection.closed().await;
                settle().await;
            };
            tokio::select! {
                item = waiting.next() => panic!("it didn't wait but gave {item:?}"),
                () = script => {}
            }
        })
        .await;
        // Another call completes on the same thread.
        let (got, _) =
            within(async { tokio::join!(client.get("b"), wire.respond(http(200, &[], event("b")))) }).await;
        assert_eq!(got.unwrap().id(), "b");
        drop(waiting);
        let tasks = tokio::runtime::Handle::current().metrics();
        within(async {
            while tasks.num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_rate_limit_paces_all_clones_and_their_retries() {
    let service = Service::start(|call| match call.n {
        1 | 3 => refusal(500),
        _ if call.cursor.is_empty() => call.page("a", Some("1")),
        _ => call.page("b", None),
    })
    .await;
    let limit = RateLimit::per_second(NonZeroU32::new(20).unwrap());
    let client = builder(&service.url()).rate_limit(limit).build().unwrap();
    let lists = (0..3).map(|_| {
        let client = client.clone();
        async move { read(client.list(ListEvents::new())).await }
    });
    assert_eq!(join_all(lists).await, [labels("a b"), labels("a b"), labels("a b")]);
    let arrivals = service.arrivals();
    assert_eq!(arrivals.len(), 8);
    // 7 times 50 ms, and the first may have been the slowest.
    let took = *arrivals.last().unwrap() - arrivals[0];
    assert!(took >= Duration::from_millis(280), "8 requests in {took:?}");
}

#[tokio::test]
async fn a_burst_is_sent_immediately_and_further_requests_are_not() {
    let service = Service::list(&["a"]).await;
    let limit = RateLimit::per_minute(NonZeroU32::MIN).burst(NonZeroU32::new(3).unwrap());
    let client = builder(&service.url()).rate_limit(limit).build().unwrap();
    for _ in 0..3 {
        assert_eq!(within(client.get("a")).await.unwrap().id(), "a");
    }
    let fourth = client.get("b");
    futures::pin_mut!(fourth);
    for _ in 0..20 {
        assert!(poll!(&mut fourth).is_pending());
        settle().await;
    }
    assert_eq!(service.count(), 3);
}

#[tokio::test]
async fn the_pace_has_a_burst_of_one_unless_set() {
    let service = Service::list(&["a"]).await;
    let limit = RateLimit::per_minute(NonZeroU32::MIN);
    let client = builder(&service.url()).rate_limit(limit).build().unwrap();
    assert_eq!(within(client.get("a")).await.unwrap().id(), "a");
    let second = client.clone();
    let second = second.get("b");
    futures::pin_mut!(second);
    for _ in 0..20 {
        assert!(poll!(&mut second).is_pending());
        settle().await;
    }
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_stream_that_is_dropped_while_it_waits_for_the_pace_delays_no_other() {
    let service = Service::list(&["a"]).await;
    let limit = RateLimit::per_second(NonZeroU32::new(10).unwrap());
    let client = builder(&service.url()).rate_limit(limit).build().unwrap();
    assert_eq!(within(client.get("a")).await.unwrap().id(), "a");
    for _ in 0..100 {
        let mut dropped = client.list(ListEvents::new());
        assert!(poll!(dropped.next()).is_pending());
    }
    assert_eq!(within(client.get("b")).await.unwrap().id(), "b");
    let arrivals = service.arrivals();
    assert_eq!(arrivals.len(), 2);
    assert!(arrivals[1] - arrivals[0] < Duration::from_secs(5), "the dropped ones still count");
}

#[tokio::test]
async fn a_stream_that_nobody_polls_while_it_waits_for_the_pace_holds_up_no_other() {
    let service = Service::list(&["a"]).await;
    let limit = RateLimit::per_second(NonZeroU32::new(10).unwrap());
    let client = builder(&service.url()).rate_limit(limit).build().unwrap();
    assert_eq!(within(client.get("a")).await.unwrap().id(), "a");
    let mut left: Vec<_> = (0..3).map(|_| client.list(ListEvents::new())).collect();
    for stream in &mut left {
        assert!(poll!(stream.next()).is_pending());
    }
    assert_eq!(within(client.get("b")).await.unwrap().id(), "b");
    for stream in &mut left {
        assert_eq!(labels("a"), read(stream).await);
    }
}
