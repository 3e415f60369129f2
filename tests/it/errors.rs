//! The effect of an error on a stream, and the predicates of errors.

use std::{
    error::Error as StdError,
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use futures::{FutureExt, StreamExt, TryStreamExt, future::ready, stream::FusedStream};
use webex_events::{Error, Event, ListEvents};
use wiremock::ResponseTemplate;

use crate::support::{
    self, Served, Service, bad, body, builder, error, event, hasty, items, label, labels, ok, read,
    read_some, refusal, within,
};

// ---- the effect on a stream ----

#[tokio::test]
async fn a_malformed_item_keeps_its_position_and_the_stream_continues() {
    let words: Vec<String> =
        (0..1000).map(|n| if n == 500 { "!500".into() } else { format!("e{n}") }).collect();
    let line = words.join(" ");
    let text = body(&items(&line));
    let service = Service::start(move |_| ok(text.clone())).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read_some(500, &mut events).await, labels(&words[..500].join(" ")));
    let malformed = error(&mut events).await;
    let Error::Item(item) = &malformed else { panic!("{malformed:?}") };
    assert_eq!((item.index(), item.raw()), (500, &*bad(500)));
    assert!(!malformed.is_transient() && malformed.status().is_none());
    assert_eq!(read(&mut events).await, labels(&words[501..].join(" ")));
    let stats = events.stats();
    assert_eq!((stats.events, stats.malformed, stats.requests), (999, 1, 1));
}

#[tokio::test]
async fn an_item_that_is_not_an_event_is_malformed_and_keeps_its_text() {
    let good = event("a");
    for wrong in [
        "null".to_owned(),
        "7".to_owned(),
        "\"event\"".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!("[{good}]"),
        good.replace("\"a\"", "7"),
        good.replace("\"a\"", "null"),
        good.replace("\"id\"", "\"Id\""),
        good.replace("2026-01-05T09:00:00.123Z", "yesterday"),
        good.replace("\"2026-01-05T09:00:00.123Z\"", "1767603600"),
        good.replace("\"messages\"", "null"),
        good.replace("\"created\",", "[],"),
    ] {
        let text = format!("{{\"items\":[{good}, {wrong} ,{good}]}}");
        let service = Service::start(move |_| ok(text.clone())).await;
        let read = read(service.client().list(ListEvents::new())).await;
        assert_eq!(read, ["a", &format!("!{wrong}"), "a"]);
    }
}

#[tokio::test]
async fn every_other_error_ends_the_stream_and_the_cursor_stays() {
    for ahead in [0, 3] {
        let service = Service::start(|call| match &*call.cursor {
            "" => call.page("a b", Some("1")),
            _ => refusal(403),
        })
        .await;
        let client = service.client();
        let mut events = client.list(ListEvents::new()).prefetch(ahead);
        assert_eq!(read_some(3, &mut events).await, ["a", "b", "Api 403"]);
        assert!(!events.is_terminated());
        for _ in 0..100 {
            assert!(events.next().now_or_never().expect("an ended stream needs no waiting").is_none());
        }
        assert_eq!(service.count(), 2);
        let cursor = events.cursor().unwrap();
        assert_eq!(read(client.resume(&cursor)).await, ["Api 403"]);
        assert_eq!(service.cursors().await, ["", "1", "1"]);
    }
}

#[tokio::test]
async fn pages_and_take_end_with_an_error_too() {
    let service = Service::start(|call| match &*call.cursor {
        "" => call.page("a", Some("1")),
        _ => refusal(403),
    })
    .await;
    let client = service.client();
    let mut pages = client.list(ListEvents::new()).pages();
    assert!(within(pages.next()).await.unwrap().is_ok());
    assert!(within(pages.next()).await.unwrap().is_err());
    assert!(!pages.is_terminated());
    assert!(within(pages.next()).await.is_none() && pages.is_terminated());
    assert!(pages.cursor().is_some());
    let mut take = client.list(ListEvents::new()).take(5);
    assert_eq!(read(&mut take).await, ["a", "Api 403"]);
    assert!(take.is_terminated() && take.cursor().is_some());
    assert_eq!(service.count(), 4);
}

#[tokio::test]
async fn resume_requests_the_failed_page_again() {
    for ahead in [0, 1, 4] {
        let failures = Arc::new(Mutex::new(vec!["", "1", "1", "2"]));
        let service = Service::start(move |call| {
            let mut failures = failures.lock().unwrap();
            if let Some(at) = failures.iter().position(|&cursor| cursor == call.cursor) {
                failures.remove(at);
                return refusal(403);
            }
            match &*call.cursor {
                "" => call.page("a !1", Some("1")),
                "1" => call.page("b", Some("2")),
                _ => call.page("c d", None),
            }
        })
        .await;
        let mut events = service.client().list(ListEvents::new()).prefetch(ahead);
        let mut all = Vec::new();
        for _ in 0..10 {
            all.extend(read(&mut events).await);
            if events.cursor().is_none() {
                break;
            }
            events.resume();
            assert!(!events.is_terminated());
        }
        let refused = "Api 403".to_owned();
        assert_eq!(all.iter().filter(|&it| *it == refused).count(), 4, "{ahead}");
        all.retain(|it| *it != refused);
        assert_eq!(all, labels("a !1 b c d"), "{ahead}");
        assert_eq!(service.cursors().await, ["", "", "1", "1", "1", "2", "2"], "{ahead}");
    }
}

#[tokio::test]
async fn resume_continues_with_the_rest_of_a_take_and_of_pages() {
    let script = |call: &support::Call<'_>| match (call.n, &*call.cursor) {
        (1, _) => refusal(403),
        (_, "") => call.page("a b", Some("1")),
        _ => call.page("c d", Some("2")),
    };
    let service = Service::start(script).await;
    let mut take = service.client().list(ListEvents::new()).take(3);
    assert_eq!(read(&mut take).await, ["a", "b", "Api 403"]);
    take.resume();
    assert_eq!(read(&mut take).await, ["c"]);
    assert_eq!(service.count(), 3);

    let service = Service::start(script).await;
    let mut pages = service.client().list(ListEvents::new()).take(3).pages();
    assert_eq!(within(pages.next()).await.unwrap().unwrap().items.len(), 2);
    assert!(within(pages.next()).await.unwrap().is_err());
    assert!(within(pages.next()).await.is_none());
    pages.resume();
    let page = within(pages.next()).await.unwrap().unwrap();
    assert_eq!(page.items.iter().map(label).collect::<Vec<_>>(), ["c"]);
    assert!(within(pages.next()).await.is_none());
}

#[tokio::test]
async fn resume_without_an_error_does_nothing() {
    let service = Service::list(&["a !1 b", "c"]).await;
    let mut events = service.client().list(ListEvents::new());
    events.resume();
    for expected in ["a", &labels("!1")[0], "b", "c"] {
        assert_eq!(read_some(1, &mut events).await, [expected]);
        events.resume();
    }
    assert!(!events.is_terminated() && events.cursor().is_none());
    assert!(within(events.next()).await.is_none());
    events.resume();
    assert!(events.is_terminated() && within(events.next()).await.is_none());
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn an_invalid_query_stays_invalid_after_resume() {
    let service = Service::list(&["a"]).await;
    let mut events = service.client().list(ListEvents::new().page_size(0));
    assert_eq!(read(&mut events).await, ["Query"]);
    events.resume();
    assert_eq!(read(&mut events).await, ["Query"]);
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn neither_collect_nor_a_filter_that_ignores_errors_can_loop() {
    let service = Service::start(|_| refusal(503)).await;
    let client =
        builder(&service.url()).retry(hasty().attempts(NonZeroU32::new(2).unwrap())).build().unwrap();
    let list = || client.list(ListEvents::new());
    let all: Vec<_> = within(list().collect()).await;
    assert_eq!(all.len(), 1);
    let kept: Vec<Event> = within(list().filter_map(|item| ready(item.ok())).collect()).await;
    assert!(kept.is_empty());
    let kept: Vec<Event> = within(list().prefetch(2).filter_map(|item| ready(item.ok())).collect()).await;
    assert!(kept.is_empty());
    assert!(within(list().try_collect::<Vec<_>>()).await.is_err());
    let pages: Vec<_> = within(list().pages().filter_map(|page| ready(page.ok())).collect()).await;
    assert!(pages.is_empty());
    let taken: Vec<_> = within(list().take(7).filter_map(|item| ready(item.ok())).collect()).await;
    assert!(taken.is_empty());
    assert_eq!(service.count(), 12);
}

// ---- predicates ----

type Predicate = fn(&Error) -> bool;

#[tokio::test]
async fn each_status_has_its_predicate() {
    let predicates: [(u16, Predicate); 8] = [
        (401, Error::is_auth),
        (403, Error::is_forbidden),
        (404, Error::is_not_found),
        (409, Error::is_conflict),
        (410, Error::is_gone),
        (423, Error::is_locked),
        (428, Error::is_precondition_required),
        (429, Error::is_rate_limited),
    ];
    let client = |service: &Service| {
        builder(&service.url()).retry(webex_events::RetryPolicy::never()).build().unwrap()
    };
    for status in
        [400, 401, 402, 403, 404, 408, 409, 410, 411, 422, 423, 428, 429, 431, 500, 501, 502, 503, 504, 599]
    {
        let service = Service::start(move |_| refusal(status)).await;
        let error = within(client(&service).get("a")).await.unwrap_err();
        for (of, predicate) in predicates {
            assert_eq!(predicate(&error), of == status, "{of} of {status}");
        }
        assert_eq!(error.is_server_error(), status >= 500, "{status}");
        assert_eq!(error.is_transient(), [408, 423, 429, 500, 502, 503, 504].contains(&status), "{status}");
        assert!(!error.is_beyond_retention());
        assert_eq!((error.status(), error.link_kind()), (Some(status), None));
    }
}

#[tokio::test]
async fn the_90_day_limit_is_told_from_other_refusals() {
    let text = r#"{"message":"POST failed: HTTP/1.1 403 Forbidden (url = https://search.example/v1, request/response TrackingId = ROUTER_1, error = 'User is only authorized to search within past 90 days.')","errors":[],"trackingId":"T_1"}"#;
    let service = Service::start(move |_| ResponseTemplate::new(403).set_body_string(text)).await;
    let error = error(&mut service.client().list(ListEvents::new())).await;
    assert!(error.is_beyond_retention() && error.is_forbidden() && !error.is_transient());
    let service = Service::start(move |_| ResponseTemplate::new(400).set_body_string(text)).await;
    assert!(!support::error(&mut service.client().list(ListEvents::new())).await.is_beyond_retention());
    let service = Service::start(|_| refusal(403)).await;
    assert!(!support::error(&mut service.client().list(ListEvents::new())).await.is_beyond_retention());
}

#[tokio::test]
async fn the_source_of_an_error_has_the_next_level() {
    let service = Service::start(|_| refusal(410)).await;
    let client = service.client();
    let cursor = client.list(ListEvents::new()).cursor().unwrap();
    let stale = error(&mut client.resume(&cursor)).await;
    let source = stale.source().expect("the service's response");
    assert!(source.to_string().contains("410"), "{source}");
    let service = Service::start(|_| ok("<html>")).await;
    assert!(error(&mut service.client().list(ListEvents::new())).await.source().is_some());
    let served = Served::start(|_, _| Vec::new()).await;
    assert!(error(&mut served.client().list(ListEvents::new())).await.source().is_some());
}
