//! Dropping a future loses nothing, and dropping a stream ends its requests and tasks.

use std::time::Duration;

use futures::{StreamExt, poll};
use webex_events::ListEvents;

use crate::support::{self, Connection, Wire, builder, event, http, label, page, read, within};

fn linked(wire: &Wire, line: &str, cursor: usize) -> Vec<u8> {
    http(200, &[("Link", &format!("<{}/events?cursor={cursor}>; rel=next", wire.url()))], page(line))
}

/// Polls for an item until the server has read the request for it, and drops that future.
async fn abandoned<T>(next: impl Future<Output = T>, wire: &Wire) -> (Connection, String) {
    within(async {
        tokio::select! {
            _ = next => panic!("an item without a response"),
            (connection, head) = wire.request() => (connection, head.target().to_owned()),
        }
    })
    .await
}

/// Checks that no other request is in flight.
async fn probe(wire: &Wire) {
    support::settle().await;
    let other = wire.client();
    let response = http(200, &[], event("p"));
    let (event, head) = within(async { tokio::join!(other.get("probe"), wire.respond(response)) }).await;
    assert_eq!((event.unwrap().id(), head.target()), ("p", "/v1/events/probe"));
}

#[tokio::test]
async fn dropping_a_pending_next_loses_nothing_and_repeats_no_request() {
    for ahead in [0, 2] {
        let wire = Wire::bind().await;
        let mut events = wire.client().list(ListEvents::new()).prefetch(ahead);
        let (mut first, _) = abandoned(events.next(), &wire).await;
        for _ in 0..10 {
            assert!(poll!(events.next()).is_pending());
        }
        first.send(linked(&wire, "a b", 1)).await;
        assert_eq!(label(&within(events.next()).await.unwrap()), "a");
        assert_eq!(label(&within(events.next()).await.unwrap()), "b");
        let (mut second, target) = abandoned(events.next(), &wire).await;
        assert_eq!(target, "/v1/events?cursor=1");
        second.send(http(200, &[], page("c"))).await;
        assert_eq!(read(&mut events).await, ["c"]);
        assert_eq!((events.stats().requests, events.stats().pages), (2, 2));
        probe(&wire).await;
    }
}

#[tokio::test]
async fn dropping_a_pending_next_of_pages_or_take_loses_nothing() {
    let wire = Wire::bind().await;
    let mut pages = wire.client().list(ListEvents::new()).pages();
    let (mut held, _) = abandoned(pages.next(), &wire).await;
    held.send(http(200, &[], page("a b"))).await;
    assert_eq!(within(pages.next()).await.unwrap().unwrap().items.len(), 2);
    assert!(within(pages.next()).await.is_none());
    let mut take = wire.client().list(ListEvents::new()).take(2);
    let (mut held, _) = abandoned(take.next(), &wire).await;
    held.send(linked(&wire, "a b", 1)).await;
    assert_eq!(read(&mut take).await, ["a", "b"]);
    probe(&wire).await;
}

#[tokio::test]
async fn a_half_received_response_is_continued() {
    let wire = Wire::bind().await;
    let mut events = wire.client().list(ListEvents::new());
    let whole = http(200, &[], page("a b"));
    let (mut held, _) = abandoned(events.next(), &wire).await;
    held.send(&whole[..whole.len() / 2]).await;
    for _ in 0..20 {
        assert!(poll!(events.next()).is_pending());
        support::settle().await;
    }
    held.send(&whole[whole.len() / 2..]).await;
    assert_eq!(read(&mut events).await, ["a", "b"]);
    assert_eq!(events.stats().requests, 1);
}

#[tokio::test]
async fn dropping_the_stream_aborts_its_requests() {
    for ahead in [0, 3] {
        let wire = Wire::bind().await;
        let mut events = wire.client().list(ListEvents::new()).prefetch(ahead);
        let (mut held, _) = abandoned(events.next(), &wire).await;
        drop(events);
        held.closed().await;
        probe(&wire).await;
    }
}

#[tokio::test]
async fn dropping_the_stream_aborts_a_body_in_flight() {
    for ahead in [0, 3] {
        let wire = Wire::bind().await;
        let mut events = wire.client().list(ListEvents::new()).prefetch(ahead);
        let (mut held, _) = abandoned(events.next(), &wire).await;
        let whole = http(200, &[], page("a b"));
        held.send(&whole[..whole.len() - 3]).await;
        assert!(poll!(events.next()).is_pending());
        drop(events);
        held.closed().await;
        probe(&wire).await;
    }
}

#[tokio::test]
async fn dropping_pages_take_or_get_aborts_too() {
    let wire = Wire::bind().await;
    let client = wire.client();
    let mut pages = client.list(ListEvents::new()).pages();
    let (mut held, _) = abandoned(pages.next(), &wire).await;
    drop(pages);
    held.closed().await;
    let mut take = client.list(ListEvents::new()).prefetch(1).take(9);
    let (mut held, _) = abandoned(take.next(), &wire).await;
    drop(take);
    held.closed().await;
    let (mut held, _) = abandoned(client.get("a"), &wire).await;
    held.closed().await;
    probe(&wire).await;
}

#[tokio::test]
async fn nothing_is_left_running_when_a_stream_is_dropped() {
    let wire = Wire::bind().await;
    let client = wire.client();
    let tasks = tokio::runtime::Handle::current().metrics();
    for ahead in [0, 1, 50] {
        let mut events = client.list(ListEvents::new()).prefetch(ahead);
        let response = linked(&wire, "a b", 1);
        let (first, _) = within(async { tokio::join!(events.next(), wire.respond(response)) }).await;
        assert_eq!(label(&first.unwrap()), "a");
        drop(events);
        within(async {
            while tasks.num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        if ahead > 0 {
            // The pages that had been read ahead when it was dropped, if any.
            let _ = tokio::time::timeout(Duration::from_millis(1), wire.accept()).await;
        }
    }
    probe(&wire).await;
}

#[tokio::test]
async fn a_stream_continues_in_another_task() {
    let wire = Wire::bind().await;
    let mut events = builder(&wire.url()).build().unwrap().list(ListEvents::new());
    let (mut held, _) = abandoned(events.next(), &wire).await;
    let rest = tokio::spawn(async move { read(events).await });
    held.send(http(200, &[], page("a b"))).await;
    assert_eq!(within(rest).await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn a_page_cursor_is_unmoved_by_a_pending_next() {
    let wire = Wire::bind().await;
    let mut events = wire.client().list(ListEvents::new());
    let before = events.cursor();
    let (mut held, _) = abandoned(events.next(), &wire).await;
    assert_eq!(events.cursor(), before);
    held.send(linked(&wire, "a", 1)).await;
    assert_eq!(label(&within(events.next()).await.unwrap()), "a");
    let after = events.cursor();
    let (held, _) = abandoned(events.next(), &wire).await;
    assert_eq!(events.cursor(), after);
    assert_ne!(before, after);
    drop((events, held));
    let client = wire.client();
    let mut resumed = client.resume(&after.unwrap());
    let response = http(200, &[], page("b"));
    let (item, request) = within(async { tokio::join!(resumed.next(), wire.respond(response)) }).await;
    assert_eq!((label(&item.unwrap()), request.target()), ("b".to_owned(), "/v1/events?cursor=1"));
}
