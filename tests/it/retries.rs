//! Retries: which requests, how often and after which wait; and the pauses of all clones of a client.

use std::{num::NonZeroU32, time::Duration};

use futures::StreamExt;
#[cfg(feature = "sandbox")]
use webex_events::sandbox::{Sandbox, When};
use webex_events::{Client, Error, ListEvents, RetryPolicy};
use wiremock::ResponseTemplate;

use crate::support::{
    self, Served, Service, Wire, builder, error, event, hasty, http, kind, labels, ok, page, read, refusal,
    refusing, within,
};

const RETRIED: [u16; 7] = [408, 423, 429, 500, 502, 503, 504];

fn attempts(n: u32) -> RetryPolicy {
    hasty().attempts(NonZeroU32::new(n).unwrap())
}

fn with(base: &str, policy: RetryPolicy) -> Client {
    builder(base).retry(policy).build().unwrap()
}

#[tokio::test]
async fn a_service_that_has_never_responded_gets_fewer_attempts_if_so_set() {
    let base = refusing().await;
    let attempts_made = async |policy| {
        let refused = error(&mut with(&base, policy).list(ListEvents::new())).await;
        let Error::Transport(refused) = &refused else { panic!("{refused:?}") };
        refused.attempts()
    };
    let two = NonZeroU32::new(2).unwrap();
    assert_eq!(attempts_made(attempts(5).connect_attempts(two)).await, 2);
    assert_eq!(attempts_made(attempts(1).connect_attempts(two)).await, 1, "it is the lower of both");
    assert_eq!(attempts_made(attempts(3)).await, 3);
}

#[cfg(feature = "sandbox")]
#[tokio::test]
async fn a_service_that_has_responded_gets_all_attempts() {
    let two = NonZeroU32::new(2).unwrap();
    let sandbox = Sandbox::builder().events(1).drop_connections(When::at(1..4)).start().await.unwrap();
    let policy = attempts(4).connect_attempts(two);
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).retry(policy);
    let client = client.build().unwrap();
    for _ in 0..2 {
        assert_eq!(read(&mut client.list(ListEvents::new())).await.len(), 1);
    }
}

#[tokio::test]
async fn transient_responses_are_retried() {
    for status in RETRIED {
        let service = Service::start(move |call| match call.n {
            0 | 1 | 3 => refusal(status),
            2 => call.page("a", Some("1")),
            _ => call.page("b", None),
        })
        .await;
        let mut events = service.client().list(ListEvents::new());
        assert_eq!(read(&mut events).await, ["a", "b"], "{status}");
        assert_eq!(service.cursors().await, ["", "", "", "1", "1"]);
        assert_eq!((events.stats().requests, events.stats().retries), (5, 3), "{status}");
    }
}

#[tokio::test]
async fn permanent_responses_are_not_retried() {
    for status in [
        201, 202, 203, 204, 205, 206, 226, 300, 301, 304, 305, 307, 399, 400, 401, 402, 403, 404, 405, 406,
        407, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 424, 425, 426, 428, 431, 451, 499,
        501, 505, 506, 507, 508, 510, 511, 599,
    ] {
        let served = Served::start(move |_, _| {
            // A body with a page in it, which isn't one under this status.
            http(status, &[], if matches!(status, 204 | 205 | 304) { String::new() } else { page("a") })
        })
        .await;
        let mut events = served.client().list(ListEvents::new());
        let refused = error(&mut events).await;
        let Error::Api(response) = &refused else { panic!("{status} is {refused:?}") };
        assert_eq!((response.status(), response.attempts()), (status, 1));
        assert_eq!((refused.status(), refused.is_transient()), (Some(status), false));
        assert!(within(events.next()).await.is_none());
        assert_eq!(served.connections(), 1, "{status}");
    }
}

#[tokio::test]
async fn attempts_are_counted_for_each_page() {
    for n in [1, 2, 5] {
        let service = Service::start(move |call| match &*call.cursor {
            "" if call.n + 1 == n as usize => call.page("a", Some("1")),
            _ => refusal(503),
        })
        .await;
        let mut events = with(&service.url(), attempts(n)).list(ListEvents::new());
        assert_eq!(support::read_some(1, &mut events).await, ["a"]);
        let error = error(&mut events).await;
        let Error::Api(response) = &error else { panic!("{error:?}") };
        assert_eq!(response.attempts(), n);
        assert_eq!(service.count(), 2 * n as usize);
        assert!(error.is_transient() && error.is_server_error());
    }
}

#[tokio::test]
async fn the_default_is_ten_attempts_and_never_is_one() {
    let service = Service::start(|_| refusal(500)).await;
    assert_eq!(read(service.client().list(ListEvents::new())).await, ["Api 500"]);
    assert_eq!(service.count(), 10);
    let service = Service::start(|_| refusal(500)).await;
    assert_eq!(read(with(&service.url(), RetryPolicy::never()).list(ListEvents::new())).await, ["Api 500"]);
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn an_error_has_the_message_of_the_service() {
    let service = Service::start(|_| refusal(409).append_header("TrackingID", "T_header")).await;
    let error = error(&mut service.client().list(ListEvents::new())).await;
    let Error::Api(response) = &error else { panic!("{error:?}") };
    assert_eq!((response.status(), response.message()), (409, "no"));
    assert_eq!(response.errors(), ["not today"]);
    assert_eq!((response.tracking_id(), error.tracking_id()), (Some("T_header"), Some("T_header")));
    assert!(response.body().contains("T_body"));
    assert!(error.is_conflict() && response.retry_after().is_none());
    let service = Service::start(|_| refusal(409)).await;
    let error = support::error(&mut service.client().list(ListEvents::new())).await;
    assert_eq!(error.tracking_id(), Some("T_body"));
}

#[tokio::test]
async fn an_error_in_html_or_nothing_is_an_error_too() {
    for body in ["", "<html><h1>Too Many Requests</h1></html>", "[]", "{\"message\":7}", "{\"errors\":{}}"] {
        let service =
            Service::start(move |_| ResponseTemplate::new(403).set_body_raw(body, "text/html")).await;
        let error = error(&mut service.client().list(ListEvents::new())).await;
        let Error::Api(response) = &error else { panic!("{error:?}") };
        assert_eq!((response.status(), response.body(), response.errors().len()), (403, body, 0));
    }
}

/// The error of this response under a policy that never waits long, and the number of requests.
async fn waits(status: u16, headers: &[(&str, &str)]) -> (Error, usize) {
    let headers: Vec<(String, String)> =
        headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let served = Served::start(move |_, _| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        http(status, &headers, "{}")
    })
    .await;
    let policy = attempts(3).max_wait(Duration::from_secs(0));
    let error = error(&mut with(&served.url(), policy).list(ListEvents::new())).await;
    (error, served.connections())
}

#[tokio::test]
async fn retry_after_applies_to_each_response_that_is_retried() {
    for status in RETRIED {
        let (error, requests) = waits(status, &[("Retry-After", "194")]).await;
        assert_eq!((error.status(), error.retry_after()), (Some(status), Some(Duration::from_secs(194))));
        assert_eq!(requests, 1, "a wait over max_wait was begun after {status}");
        let Error::Api(response) = &error else { panic!("{error:?}") };
        assert_eq!((response.attempts(), response.retry_after()), (1, error.retry_after()));
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn retry_after_is_seconds_or_a_date_relative_to_the_date_of_the_response() {
    let date = ("Date", "Mon, 05 Jan 2026 09:00:00 GMT");
    for (headers, seconds) in [
        (&[("Retry-After", "1")][..], 1),
        (&[("retry-after", "3600")], 3600),
        (&[("Retry-After", "0.503")], 1),
        (&[("Retry-After", "2.0")], 2),
        (&[("Retry-After", "3.25")], 4),
        (&[("Retry-After", "18446744073709551615")], u64::MAX),
        (&[("Retry-After", "99999999999")], 99_999_999_999),
        (&[date, ("Retry-After", "Mon, 05 Jan 2026 09:01:30 GMT")], 90),
        (&[("Retry-After", "Tue, 06 Jan 2026 09:00:00 GMT"), date], 86_400),
        (&[date, ("Retry-After", "Monday, 05-Jan-26 09:01:30 GMT")], 90),
        (&[date, ("Retry-After", "Mon Jan  5 09:01:30 2026")], 90),
    ] {
        let (error, requests) = waits(429, headers).await;
        assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)), "{headers:?}");
        assert_eq!(requests, 1, "{headers:?}");
    }
}

#[tokio::test]
async fn a_retry_after_that_is_over_needs_no_wait() {
    let date = ("Date", "Mon, 05 Jan 2026 09:00:00 GMT");
    for headers in [
        &[("Retry-After", "0")][..],
        &[("Retry-After", "000")],
        &[date, ("Retry-After", "Mon, 05 Jan 2026 09:00:00 GMT")],
        &[date, ("Retry-After", "Sun, 04 Jan 2026 09:00:00 GMT")],
    ] {
        for status in [429, 503] {
            let (error, requests) = waits(status, headers).await;
            assert_eq!((error.retry_after(), requests), (Some(Duration::ZERO), 3), "{headers:?}");
        }
    }
}

#[tokio::test]
async fn any_other_retry_after_falls_back_to_the_backoff() {
    let date = ("Date", "Mon, 05 Jan 2026 09:00:00 GMT");
    for headers in [
        &[("Retry-After", "rand(30),add(30)")][..],
        &[("Retry-After", "")],
        &[("Retry-After", "-1")],
        &[("Retry-After", "1.")],
        &[("Retry-After", ".5")],
        &[("Retry-After", "1e3")],
        &[("Retry-After", "+5")],
        &[("Retry-After", "5 s")],
        &[("Retry-After", "0x10")],
        &[("Retry-After", "18446744073709551616")],
        &[("Retry-After", "999999999999999999999999999999999999999999")],
        &[("Retry-After", "soon")],
        &[("Retry-After", "\u{661}")],
        &[date, ("Retry-After", "Mon, 32 Jan 2026 09:01:30 GMT")],
        &[("Date", "yesterday"), ("Retry-After", "Mon, 05 Jan 2026 09:01:30 GMT")],
        &[("Retry-After", "Fri, 05 Jan 2046 09:01:30 GMT")],
    ] {
        for status in [429, 503] {
            let (error, requests) = waits(status, headers).await;
            assert_eq!((error.retry_after(), requests), (None, 3), "{headers:?}");
        }
    }
}

#[tokio::test]
async fn a_wait_over_an_hour_is_not_started_by_default() {
    let service = Service::start(|_| refusal(429).append_header("Retry-After", "3601")).await;
    let mut events = service.client().list(ListEvents::new());
    let error = error(&mut events).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3601)));
    assert!(error.is_rate_limited());
    assert_eq!(service.count(), 1);
    assert!(events.stats().waited < Duration::from_secs(1));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_requested_again() {
    let whole = http(200, &[], page("a b c"));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"items\":[{\"id\":";
    for broken in [&whole[..whole.len() / 2], &whole[..whole.len() - 1], &whole[..20], &[], chunked] {
        let (broken, response) = (broken.to_vec(), whole.clone());
        let served = Served::start(move |n, _| if n < 2 { broken.clone() } else { response.clone() }).await;
        let mut events = served.client().list(ListEvents::new());
        assert_eq!(read(&mut events).await, ["a", "b", "c"]);
        assert_eq!((served.connections(), events.stats().retries), (3, 2));
    }
}

#[tokio::test]
async fn a_body_that_always_breaks_off_is_a_transport_error() {
    let whole = http(200, &[], page("a b c"));
    let served = Served::start(move |_, _| whole[..whole.len() - 5].to_vec()).await;
    let mut events = with(&served.url(), attempts(4)).list(ListEvents::new());
    let error = error(&mut events).await;
    assert_eq!((kind(&error), error.status()), ("Transport".into(), None));
    assert!(error.is_transient());
    assert_eq!((served.connections(), events.stats().requests), (4, 4));
    assert!(within(events.next()).await.is_none());
    assert!(events.cursor().is_some());
}

#[tokio::test]
async fn a_response_that_is_not_http_is_a_transport_error() {
    let served = Served::start(|_, _| b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec()).await;
    let mut events = with(&served.url(), attempts(2)).list(ListEvents::new());
    assert_eq!(read(&mut events).await, ["Transport"]);
    assert_eq!(served.connections(), 2);
}

#[tokio::test]
async fn a_refused_connection_is_retried() {
    let base = refusing().await;
    let mut events = with(&base, attempts(3)).list(ListEvents::new());
    let error = error(&mut events).await;
    assert_eq!(kind(&error), "Transport");
    assert!(error.is_transient() && error.status().is_none() && error.retry_after().is_none());
    assert_eq!((events.stats().requests, events.stats().retries), (3, 2));
}

#[tokio::test]
async fn the_read_timeout_covers_the_wait_for_the_head() {
    let wire = Wire::bind().await;
    let short = builder(&wire.url()).read_timeout(Duration::from_millis(50));
    let client = short.clone().retry(RetryPolicy::never()).build().unwrap();
    let (read_once, _held) =
        within(async { tokio::join!(read(client.list(ListEvents::new())), wire.request()) }).await;
    assert_eq!(read_once, ["Transport"]);

    let client = short.build().unwrap();
    let (read_again, ()) = within(async {
        tokio::join!(read(client.list(ListEvents::new())), async {
            let _held = wire.request().await;
            wire.respond(http(200, &[], page("a"))).await;
        })
    })
    .await;
    assert_eq!(read_again, ["a"]);
}

#[tokio::test]
async fn the_read_timeout_covers_the_body() {
    let wire = Wire::bind().await;
    let client = builder(&wire.url()).read_timeout(Duration::from_millis(50)).build().unwrap();
    let whole = http(200, &[], page("a b"));
    let (read, ()) = within(async {
        tokio::join!(read(client.list(ListEvents::new())), async {
            let (mut held, _) = wire.request().await;
            held.send(&whole[..whole.len() - 9]).await;
            wire.respond(&whole).await;
        })
    })
    .await;
    assert_eq!(read, ["a", "b"]);
}

#[tokio::test]
async fn an_attempt_has_its_time() {
    let wire = Wire::bind().await;
    let client = builder(&wire.url()).attempt_timeout(Duration::from_millis(100)).build().unwrap();
    let (read, ()) = within(async {
        tokio::join!(read(client.list(ListEvents::new())), async {
            let (mut slow, _) = wire.request().await;
            slow.send("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{").await;
            wire.respond(http(200, &[], page("a"))).await;
        })
    })
    .await;
    assert_eq!(read, ["a"]);
}

#[tokio::test]
async fn a_first_page_that_gets_a_504_is_requested_in_half_the_size() {
    let service = Service::start(|call| match call.n {
        0..=2 | 4 => refusal(504),
        3 => call.page("a", Some("1")),
        5 => call.page("b", Some("2")),
        _ => call.page("c", None),
    })
    .await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read(&mut events).await, ["a", "b", "c"]);
    assert_eq!(service.sizes().await, ["1000", "500", "250", "125", "-", "-", "-"]);
    assert_eq!(service.cursors().await, ["", "", "", "", "1", "1", "2"]);
}

#[tokio::test]
async fn only_a_504_halves_and_never_below_one() {
    let service = Service::start(|call| match call.n {
        0 => refusal(503),
        1 | 3..=5 => refusal(504),
        2 => refusal(500),
        _ => call.page("a", None),
    })
    .await;
    let query = ListEvents::new().page_size(5).resource("messages");
    assert_eq!(read(service.client().list(query)).await, ["a"]);
    assert_eq!(service.sizes().await, ["5", "5", "2", "2", "1", "1", "1"]);
    assert!(service.requests().await.iter().all(|it| it.url.query().unwrap().contains("resource=messages")));
}

#[tokio::test]
async fn every_page_that_a_halved_list_gives_can_be_resumed() {
    let service = Service::start(|call| match (call.n, call.max().as_deref()) {
        (0, _) => refusal(504),
        (_, Some("500")) => call.page("a b", Some("1")),
        (_, Some(_)) => call.page("a b c", Some("2")),
        _ if call.cursor == "1" => call.page("c d", None),
        _ => call.page("d", None),
    })
    .await;
    let client = service.client();
    let mut events = client.list(ListEvents::new());
    assert_eq!(support::read_some(1, &mut events).await, ["a"]);
    let cursor = events.cursor().unwrap();
    assert_eq!(read(&mut events).await, ["b", "c", "d"]);
    assert_eq!(read(client.resume(&cursor)).await, ["b", "c", "d"]);
}

#[tokio::test]
async fn get_is_retried_too() {
    let whole = http(200, &[], event("a"));
    let served = Served::start(move |n, _| match n {
        0 => http(503, &[], ""),
        1 => whole[..60].to_vec(),
        2 => http(429, &[("Retry-After", "0")], ""),
        _ => whole.clone(),
    })
    .await;
    assert_eq!(within(served.client().get("a")).await.unwrap().id(), "a");
    assert_eq!(served.targets(), ["/v1/events/a"; 4]);
    let service = Service::start(|_| refusal(404)).await;
    let error = within(service.client().get("a")).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!((kind(&error), service.count()), ("Api 404".into(), 1));
}

#[tokio::test]
async fn an_error_whose_body_breaks_off_is_still_that_error() {
    let broken = http(401, &[("TrackingID", "T_1")], "x".repeat(500));
    let served = Served::start(move |_, _| broken[..broken.len() - 100].to_vec()).await;
    let error = within(served.client().get("a")).await.unwrap_err();
    // Either interpretation is valid, but it must be neither a success nor an endless wait.
    assert!(error.is_auth() || kind(&error) == "Transport", "{error:?}");
}

#[tokio::test]
async fn statistics_count_the_work() {
    let bodies = [page("a !1"), page("b")];
    let bytes: usize = bodies.iter().map(String::len).sum();
    let service = Service::start(move |call| match call.n {
        0 => refusal(500),
        1 => ok(&*bodies[0]).append_header("Link", &*call.link("1")),
        _ => ok(&*bodies[1]),
    })
    .await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read(&mut events).await, labels("a !1 b"));
    let stats = events.stats();
    assert_eq!((stats.pages, stats.events, stats.malformed), (2, 2, 1));
    assert_eq!((stats.requests, stats.retries), (3, 1));
    assert_eq!(usize::try_from(stats.bytes).unwrap(), bytes);
}
