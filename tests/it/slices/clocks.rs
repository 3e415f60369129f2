//! The margin after a slice, by the clocks at the time of each request.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use webex_events::{
    Client, ListEvents, Slice,
    internals::{ManualClock, with_clock},
};

use super::{at, day, hours, ids, n};
use crate::support::{self, Service, builder, ok, page, refusal, settle};

fn with_clock_at(base: &str, utc: &str) -> (Client, ManualClock) {
    let clock = ManualClock::new(at(utc));
    (with_clock(builder(base), &clock).build().unwrap(), clock)
}

/// The last hour of the day.
fn last_hour() -> Vec<Slice> {
    hours(&day().from(at("2026-01-05T23:00:00Z")), 1)
}

/// The parameter `to` of each request that has one.
async fn ends(service: &Service) -> Vec<String> {
    let requests = service.requests().await;
    let to = |request: &wiremock::Request| {
        request.url.query_pairs().find(|(name, _)| name == "to").map(|(_, to)| to.into_owned())
    };
    requests.iter().filter_map(to).collect()
}

#[tokio::test]
async fn the_margin_ends_at_the_time_of_each_request_and_not_of_the_list() {
    let service = Service::start(|call| match call.n {
        0 => refusal(429).append_header("Retry-After", "20"),
        _ => ok(page("")),
    })
    .await;
    let (client, clock) = with_clock_at(&service.url(), "2026-01-06T00:00:10Z");
    let mut stream = client.list_slices(last_hour(), n(1));
    while service.count() == 0 {
        assert!(stream.next().now_or_never().is_none());
        settle().await;
    }
    while service.count() == 1 {
        // The pause begins with the response, whenever that is.
        clock.advance(Duration::from_secs(5));
        assert!(stream.next().now_or_never().is_none_or(|item| item.unwrap().is_ok()));
        settle().await;
    }
    let ends = ends(&service).await;
    assert_eq!(ends[0], "2026-01-06T00:00:09.000Z");
    assert!(ends[1].as_str() >= "2026-01-06T00:00:29.000Z", "{ends:?}");
}

#[tokio::test]
async fn a_service_whose_date_is_early_gets_the_whole_margin() {
    let service =
        Service::start(|_| ok(page("")).append_header("Date", "Mon, 05 Jan 2026 23:50:00 GMT")).await;
    let (client, _) = with_clock_at(&service.url(), "2026-01-06T00:10:00Z");
    for _ in 0..4 {
        assert_eq!(support::read(client.list(ListEvents::new())).await, [""; 0]);
    }
    assert_eq!(client.service_time(), Some(at("2026-01-05T23:50:00Z")), "three responses agree");
    assert_eq!(ids(client.list_slices(last_hour(), n(1)).events()).await, [""; 0]);
    assert_eq!(ends(&service).await, ["2026-01-06T00:01:00.000Z"]);
}

#[tokio::test]
async fn a_service_that_refuses_the_time_of_a_fast_machine_gets_its_own() {
    let service = Service::start(|call| {
        let date = "Tue, 06 Jan 2026 00:00:20 GMT";
        let to = call.request.url.query_pairs().find(|(name, _)| name == "to").map(|(_, to)| to.into_owned());
        let is_refused = to.is_some_and(|to| to.as_str() > "2026-01-06T00:00:20.500Z");
        if is_refused {
            refusal(400).append_header("Date", date)
        } else {
            ok(page("")).append_header("Date", date)
        }
    })
    .await;
    let (client, _) = with_clock_at(&service.url(), "2026-01-06T00:00:50Z");
    assert_eq!(support::read(client.list(ListEvents::new())).await, [""; 0]);
    assert_eq!(ids(client.list_slices(last_hour(), n(1)).events()).await, [""; 0]);
    assert_eq!(ends(&service).await, ["2026-01-06T00:00:49.000Z", "2026-01-06T00:00:20.000Z"]);
}
