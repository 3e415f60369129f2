//! A list requests the pages that its reader needs, when they are needed, and nothing else.

use futures::{FutureExt, StreamExt, TryStreamExt, stream::FusedStream};
use webex_events::{Error, ListEvents};

use crate::support::{self, Service, Wire, http, items, label, labels, page, read, read_some, within};

#[tokio::test]
async fn nothing_is_sent_before_the_first_poll() {
    let service = Service::list(&["a", "b"]).await;
    let client = service.client();
    let plain = client.list(ListEvents::new());
    let ahead = client.list(ListEvents::new()).prefetch(3);
    let take = client.list(ListEvents::new()).take(2);
    let pages = client.list(ListEvents::new()).pages();
    let resumed = client.resume(&plain.cursor().unwrap());
    service.quiesce().await;
    assert_eq!(service.page_count().await, 0);
    drop((plain, ahead, take, pages, resumed));
}

#[tokio::test]
async fn the_next_page_is_requested_when_another_event_is_polled_for() {
    let service = Service::list(&["a b", "c", "d"]).await;
    let mut events = service.client().list(ListEvents::new());
    for (read, pages) in [("a", 1), ("b", 1), ("c", 2), ("d", 3)] {
        assert_eq!(read_some(1, &mut events).await, [read]);
        service.quiesce().await;
        assert_eq!(service.page_count().await, pages, "after {read}");
    }
}

#[tokio::test]
async fn pages_are_requested_one_by_one_too() {
    let service = Service::list(&["a b", "", "c"]).await;
    let mut pages = service.client().list(ListEvents::new()).pages();
    for (count, expected) in [(1, labels("a b")), (2, labels("")), (3, labels("c"))] {
        let page = within(pages.next()).await.unwrap().unwrap();
        assert_eq!(page.items.iter().map(label).collect::<Vec<_>>(), expected);
        service.quiesce().await;
        assert_eq!(service.page_count().await, count);
    }
    assert!(within(pages.next()).await.is_none());
    assert_eq!(service.page_count().await, 3);
}

#[tokio::test]
async fn the_end_is_known_without_a_request() {
    let service = Service::list(&["a", "b"]).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read_some(2, &mut events).await, ["a", "b"]);
    assert!(!events.is_terminated());
    assert!(events.next().now_or_never().expect("the end needs no waiting").is_none());
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn an_ended_list_stays_ended() {
    let service = Service::list(&["a"]).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read(&mut events).await, ["a"]);
    for _ in 0..10 {
        assert!(events.next().now_or_never().unwrap().is_none());
    }
    assert!(events.is_terminated());
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn prefetch_reads_exactly_this_number_of_pages_ahead() {
    let wire = Wire::bind().await;
    let client = wire.client();
    let mut events = client.list(ListEvents::new()).prefetch(2);
    let response = |cursor: usize| {
        let link = format!("<{}/events?cursor={}>; rel=next", wire.url(), cursor + 1);
        http(200, &[("Link", &link)], page(&format!("a{cursor} b{cursor}")))
    };
    let target = |cursor: usize| format!("/v1/events?cursor={cursor}");

    let (first, ()) = within(async {
        tokio::join!(events.next(), async {
            wire.respond(response(0)).await;
        })
    })
    .await;
    assert_eq!(label(&first.unwrap()), "a0");
    // Two pages are read ahead without another poll; a third would be requested before this probe.
    for cursor in 1..=2 {
        assert_eq!(wire.respond(response(cursor)).await.target(), target(cursor));
    }
    probe(&wire).await;
    assert_eq!(read_some(1, &mut events).await, ["b0"]);
    probe(&wire).await;
    assert_eq!(read_some(1, &mut events).await, ["a1"]);
    assert_eq!(wire.respond(response(3)).await.target(), target(3));
    probe(&wire).await;
    assert_eq!(read_some(5, &mut events).await, ["b1", "a2", "b2", "a3", "b3"]);
}

/// Checks that no other request is in flight.
async fn probe(wire: &Wire) {
    support::settle().await;
    let other = wire.client();
    let get = other.get("probe");
    let (event, head) =
        within(async { tokio::join!(get, wire.respond(http(200, &[], support::event("p")))) }).await;
    assert_eq!(head.target(), "/v1/events/probe", "a page too many was requested");
    assert_eq!(event.unwrap().id(), "p");
}

#[tokio::test]
async fn prefetch_does_not_change_the_events() {
    for ahead in [0, 1, 2, 100, usize::MAX] {
        let service = Service::list(&["a !1 b", "", "c", "!2", "d"]).await;
        let mut events = service.client().list(ListEvents::new()).prefetch(ahead);
        assert_eq!(read(&mut events).await, labels("a !1 b c !2 d"), "{ahead}");
        assert_eq!((service.count(), events.cursor()), (5, None));
    }
}

#[tokio::test]
async fn prefetch_can_begin_in_the_middle() {
    let service = Service::list(&["a b", "c", "d", "e"]).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read_some(1, &mut events).await, ["a"]);
    assert_eq!(read(events.prefetch(2)).await, ["b", "c", "d", "e"]);
    assert_eq!(service.cursors().await, ["", "1", "2", "3"]);
}

#[tokio::test]
async fn reading_ahead_ends_with_the_stream() {
    let wire = Wire::bind().await;
    let client = wire.client();
    let mut events = client.list(ListEvents::new()).prefetch(5);
    let link = format!("<{}/events?cursor=1>; rel=next", wire.url());
    let response = http(200, &[("Link", &link)], page("a"));
    let (first, _) = within(async { tokio::join!(events.next(), wire.respond(response)) }).await;
    assert_eq!(label(&first.unwrap()), "a");
    let (mut held, _) = wire.request().await;
    drop(events);
    held.closed().await;
    probe(&wire).await;
}

#[tokio::test]
async fn without_prefetch_nothing_happens_between_polls() {
    let wire = Wire::bind().await;
    let client = wire.client();
    let mut events = client.list(ListEvents::new());
    let link = format!("<{}/events?cursor=1>; rel=next", wire.url());
    let response = http(200, &[("Link", &link)], page("a"));
    let (first, _) = within(async { tokio::join!(events.next(), wire.respond(response)) }).await;
    assert_eq!(label(&first.unwrap()), "a");
    probe(&wire).await;
    let (rest, head) =
        within(async { tokio::join!(read(events), wire.respond(http(200, &[], page("b")))) }).await;
    assert_eq!((rest, head.target()), (labels("b"), "/v1/events?cursor=1"));
}

#[tokio::test]
async fn take_ends_after_its_number_of_events_without_a_further_request() {
    for (n, expected, requests) in [
        (1, "a", 1),
        (2, "a b", 1),
        (3, "a b c", 2),
        (4, "a b c d", 2),
        (5, "a b c d e", 3),
        (9, "a b c d e", 3),
    ] {
        let service = Service::list(&["a b", "c d", "e"]).await;
        let mut events = service.client().list(ListEvents::new()).take(n);
        assert_eq!(read(&mut events).await, labels(expected), "{n}");
        assert!(events.is_terminated());
        service.quiesce().await;
        assert_eq!(service.page_count().await, requests, "{n}");
        // Whether the list is complete can be told from the cursor.
        assert_eq!(events.cursor().is_none(), n >= 5, "{n}");
    }
}

#[tokio::test]
async fn take_of_nothing_sends_nothing() {
    let service = Service::list(&["a"]).await;
    let client = service.client();
    assert_eq!(read(client.list(ListEvents::new()).take(0)).await, labels(""));
    assert_eq!(read(client.list(ListEvents::new()).prefetch(2).take(0)).await, labels(""));
    assert!(within(client.list(ListEvents::new()).take(0).pages().next()).await.is_none());
    assert!(!client.list(ListEvents::new()).take(0).is_terminated());
    service.quiesce().await;
    assert_eq!(service.page_count().await, 0);
}

#[tokio::test]
async fn take_shrinks_the_page_size() {
    let ten = ListEvents::new().page_size(10);
    for (query, n, max) in [
        (ListEvents::new(), 5, "5"),
        (ListEvents::new(), 1000, "1000"),
        (ListEvents::new(), 1001, "1000"),
        (ListEvents::new(), usize::MAX, "1000"),
        (ten.clone(), 5, "5"),
        (ten.clone(), 11, "10"),
    ] {
        let service = Service::list(&["a"]).await;
        assert_eq!(read(service.client().list(query).take(n)).await, ["a"]);
        assert_eq!(service.sizes().await, [max], "{n}");
    }
}

#[tokio::test]
async fn take_of_a_started_list_leaves_its_pages_as_they_are() {
    let service = Service::list(&["a b", "c", "d"]).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read_some(1, &mut events).await, ["a"]);
    assert_eq!(read(events.take(2)).await, ["b", "c"]);
    assert_eq!(service.sizes().await, ["1000", "-"]);
}

#[tokio::test]
async fn malformed_items_do_not_count_in_take() {
    let service = Service::list(&["!1 a !2", "!3 b !4 c", "d"]).await;
    let mut events = service.client().list(ListEvents::new()).take(2);
    assert_eq!(read(&mut events).await, labels("!1 a !2 !3 b"));
    service.quiesce().await;
    assert_eq!(service.page_count().await, 2);
    assert_eq!((events.stats().events, events.stats().malformed), (2, 3));
}

#[tokio::test]
async fn take_with_prefetch_requests_only_the_pages_that_it_needs() {
    for (n, requests) in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 4)] {
        let service = Service::list(&["a b", "c !1", "d e", "f g", "h i", "j"]).await;
        let mut events = service.client().list(ListEvents::new()).prefetch(4).take(n);
        let first = read_some(1, &mut events).await;
        service.quiesce().await;
        assert_eq!(service.page_count().await, requests, "take({n}) after {first:?}");
        read(&mut events).await;
        service.quiesce().await;
        assert_eq!(service.page_count().await, requests, "take({n})");
        assert_eq!(usize::try_from(events.stats().events).unwrap(), n);
    }
}

#[tokio::test]
async fn take_by_pages_cuts_the_last_one() {
    let service = Service::list(&["a !1 b", "c !2 d", "e"]).await;
    let client = service.client();
    let mut pages = client.list(ListEvents::new()).take(3).pages();
    let mut read_pages = Vec::new();
    while let Some(page) = within(pages.try_next()).await.unwrap() {
        read_pages.push(page.items.iter().map(label).collect::<Vec<_>>());
    }
    assert_eq!(read_pages, [labels("a !1 b"), labels("c")]);
    assert_eq!(service.count(), 2);
    assert_eq!(read(client.resume(&pages.cursor().unwrap())).await, labels("!2 d e"));
}

#[tokio::test]
async fn the_rest_of_a_started_page_comes_first_and_nothing_is_fetched_twice() {
    let service = Service::list(&["a b !1 c", "d", "e"]).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read_some(2, &mut events).await, ["a", "b"]);
    let pages: Vec<_> = within(events.pages().try_collect()).await.unwrap();
    let pages: Vec<Vec<String>> =
        pages.into_iter().map(|page| page.into_iter().map(|item| label(&item)).collect()).collect();
    assert_eq!(pages, [labels("!1 c"), labels("d"), labels("e")]);
    assert_eq!(service.cursors().await, ["", "1", "2"]);
}

#[tokio::test]
async fn a_page_read_to_its_end_gives_no_empty_rest() {
    let service = Service::list(&["a b", "c"]).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read_some(2, &mut events).await, ["a", "b"]);
    let pages: Vec<_> = within(events.pages().try_collect()).await.unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(label(&pages[0].items[0]), "c");
}

#[tokio::test]
async fn pages_of_a_list_just_ended_are_none() {
    let service = Service::list(&["a"]).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read_some(1, &mut events).await, ["a"]);
    let mut pages = events.pages();
    assert!(within(pages.next()).await.is_none() && pages.is_terminated());
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_second_take_counts_from_the_current_position() {
    let service = Service::list(&["a b", "c d", "e"]).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read_some(1, &mut events).await, ["a"]);
    let mut take = events.prefetch(3).take(1);
    assert_eq!(read(&mut take).await, ["b"]);
    assert_eq!(take.stats().events, 2);
}

#[tokio::test]
async fn a_list_requests_pages_of_the_maximum_size() {
    let service = Service::list(&["a", "b"]).await;
    assert_eq!(read(service.client().list(ListEvents::new())).await, ["a", "b"]);
    assert_eq!(service.sizes().await, ["1000", "-"], "and later pages follow the link as it is");
}

#[tokio::test]
async fn one_page_is_in_memory_and_an_event_that_owns_its_text_keeps_none() {
    // An event outlives its page and its stream, shared or owned.
    let service = Service::list(&["a b", "c"]).await;
    let mut events = service.client().list(ListEvents::new());
    let shared = within(events.try_next()).await.unwrap().unwrap();
    let owned = within(events.try_next()).await.unwrap().unwrap().into_owned();
    drop(events);
    assert_eq!((shared.raw(), owned.raw()), (&*items("a")[0], &*items("b")[0]));
}

#[tokio::test]
async fn an_invalid_query_is_the_only_item_and_sends_nothing() {
    use chrono::{TimeDelta, Utc};
    let now = Utc::now();
    for query in [
        ListEvents::new().page_size(0),
        ListEvents::new().page_size(1001),
        ListEvents::new().page_size(u16::MAX),
        ListEvents::new().actor_id(""),
        ListEvents::new().from(now).to(now),
        ListEvents::new().from(now).to(now - TimeDelta::days(1)),
    ] {
        let service = Service::list(&["a"]).await;
        let client = service.client();
        for ahead in [0, 1] {
            let mut events = client.list(query.clone()).prefetch(ahead);
            assert!(matches!(within(events.next()).await, Some(Err(Error::Query(..)))), "{query:?}");
            assert_eq!(read(&mut events).await, labels(""));
            assert!(events.is_terminated());
        }
        assert_eq!(read(client.list(query.clone()).take(1)).await, ["Query"]);
        let page = within(client.list(query.clone()).pages().next()).await;
        assert!(matches!(page, Some(Err(Error::Query(..)))));
        assert_eq!(service.count(), 0, "{query:?}");
    }
}

#[tokio::test]
async fn the_bounds_of_the_page_size_are_valid() {
    let service = Service::list(&["a"]).await;
    let client = service.client();
    for n in [1, 1000] {
        assert_eq!(read(client.list(ListEvents::new().page_size(n))).await, ["a"]);
    }
    assert_eq!(service.sizes().await, ["1", "1000"]);
}
