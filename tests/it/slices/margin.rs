//! The margin around a slice, and the bounds and the time of the service.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt};
use webex_events::{
    ListEvents, SliceItem,
    sandbox::{Bounds, Sandbox},
};

use super::{at, client, dated, day, expected, hours, ids, n, parameter, two_days};
use crate::support::{Service, body, kind, ok, page, within};

/// A service whose `from` and `to` refer to the time of storage, up to two seconds after `created`.
async fn by_storage_time(events: Vec<(DateTime<Utc>, DateTime<Utc>)>) -> Service {
    Service::start(move |call| {
        let bound = |name: &str| at(&parameter(call, name).unwrap());
        let (from, to) = (bound("from"), bound("to"));
        let listed = events.iter().enumerate().filter(|(_, (_, stored))| from <= *stored && *stored <= to);
        let listed: Vec<_> = listed.map(|(n, (created, _))| dated(&format!("e{n:02}"), *created)).collect();
        ok(body(&listed))
    })
    .await
}

#[tokio::test]
async fn each_event_of_a_range_is_yielded_once_if_bounds_refer_to_the_time_of_storage() {
    let start = at("2026-01-05T00:00:00Z");
    let mut events = Vec::new();
    for hour in 0..=3 {
        for (millis, lag) in
            [(-1500, 2000), (-10, 20), (-1, 1), (0, 0), (0, 2000), (1, 1999), (1_000_000, 60)]
        {
            let created = start + TimeDelta::hours(hour) + TimeDelta::milliseconds(millis);
            events.push((created, created + TimeDelta::milliseconds(lag)));
        }
    }
    let range = start..start + TimeDelta::hours(3);
    let in_range = |(created, _): &(DateTime<Utc>, DateTime<Utc>)| range.contains(created);
    let expected: Vec<_> =
        (0..events.len()).filter(|n| in_range(&events[*n])).map(|n| format!("e{n:02}")).collect();
    let service = by_storage_time(events).await;
    let query = ListEvents::new().from(range.start).to(range.end);
    let mut stream = service.client().list_slices(hours(&query, 1), n(2)).events();
    assert_eq!(ids(&mut stream).await, expected);
    assert_eq!(stream.stats().outside, 0, "what a neighbour yields isn't outside");
    assert_eq!(stream.stats().events, expected.len() as u64);
}

#[tokio::test]
async fn events_created_outside_of_every_slice_are_counted() {
    let created = ["0001-01-01T00:00:00Z", "2026-01-05T01:00:00Z", "2030-01-01T00:00:00Z"].map(at);
    let service =
        Service::start(move |_| ok(body(&created.map(|created| dated(&created.to_string(), created))))).await;
    let mut stream = service.client().list_slices(hours(&day(), 12), n(1));
    let mut closed = Vec::new();
    while let Some(item) = within(stream.try_next()).await.unwrap() {
        if let SliceItem::Closed { stats, .. } = item {
            closed.push((stats.events, stats.outside));
        }
    }
    assert_eq!(closed, [(1, 2), (0, 3)]);
    assert_eq!((stream.stats().events, stream.stats().outside), (1, 5));
}

#[tokio::test]
async fn a_slice_requests_its_margin_within_the_range_and_the_past() {
    let service = Service::start(|_| ok(page(""))).await;
    let slices = day().slices(Duration::from_secs(12 * 3600)).unwrap();
    let mut stream = service.client().list_slices(slices.margin(Duration::from_secs(30)), n(1));
    while within(stream.try_next()).await.unwrap().is_some() {}
    let mut bounds = Vec::new();
    for request in service.requests().await {
        let pairs: BTreeMap<_, _> = request.url.query_pairs().into_owned().collect();
        bounds.push([pairs["from"].clone(), pairs["to"].clone()]);
    }
    assert_eq!(
        bounds,
        [
            ["2026-01-05T00:00:00.000Z", "2026-01-05T12:00:30.000Z"],
            ["2026-01-05T11:59:30.000Z", "2026-01-06T00:00:30.000Z"],
        ]
    );
}

/// A client whose machine's clock is at an instant, and that clock.
#[tokio::test]
async fn slices_of_a_millisecond_neither_share_nor_miss_an_event() {
    let start = at("2026-01-05T00:00:00Z");
    let sandbox = Sandbox::builder().events(0).bounds(Bounds::Inclusive).start().await.unwrap();
    for millis in [-1, 0, 0, 1, 3, 9, 10] {
        sandbox.push(start + TimeDelta::milliseconds(millis));
    }
    let end = start + TimeDelta::milliseconds(10);
    let query = ListEvents::new().from(start).to(end);
    let slices = query.slices(Duration::from_millis(1)).unwrap();
    assert_eq!(slices.len(), 10);
    let events = client(&sandbox).list_slices(slices, n(4)).events();
    assert_eq!(ids(events).await, expected(&sandbox, start, end));
}

#[tokio::test]
async fn the_margin_of_a_range_up_to_now_ends_at_the_services_time() {
    let sandbox = Sandbox::builder().events(500).start().await.unwrap();
    let client = client(&sandbox);
    // From here on, the client knows the service's time.
    within(client.list(ListEvents::new()).try_next()).await.unwrap();
    let now = sandbox.now() - TimeDelta::seconds(3);
    let query = ListEvents::new().from(now - TimeDelta::days(2)).to(now);
    let events = client.list_slices(hours(&query, 24), n(3)).events();
    assert_eq!(ids(events).await, expected(&sandbox, now - TimeDelta::days(2), now));
    assert_eq!(client.responses().keys().collect::<Vec<_>>(), [&200], "no request was refused");
}

#[tokio::test]
async fn a_margin_in_the_future_is_left_out_where_the_services_time_was_unknown() {
    let now = at("2026-01-06T00:00:00Z");
    let sandbox = two_days(500).now(now).start().await.unwrap();
    let client = client(&sandbox);
    let mut stream = client.list_slices(hours(&day(), 24), n(2));
    let mut closed = Vec::new();
    let mut seen = Vec::new();
    while let Some(item) = within(stream.try_next()).await.unwrap() {
        match item {
            SliceItem::Page { page, .. } => {
                seen.extend(page.into_iter().map(|event| event.unwrap().id().to_owned()));
            }
            SliceItem::Closed { stats, .. } => closed.push(stats.requests),
            _ => {}
        }
    }
    seen.sort();
    assert_eq!(seen, expected(&sandbox, at("2026-01-05T00:00:00Z"), now));
    let refused = client.responses().get(&400).copied().unwrap();
    assert!((1..=2).contains(&refused), "{refused} were refused");
    assert_eq!(closed, [refused + 1], "refused requests are counted");
    assert_eq!(stream.stats().requests, refused + 1);
}

#[tokio::test]
async fn a_slice_that_reaches_into_the_future_is_refused_and_never_closed() {
    let sandbox = two_days(500).now(at("2026-01-05T18:00:00Z")).start().await.unwrap();
    let mut stream = client(&sandbox).list_slices(hours(&day(), 24), n(1));
    let error = within(stream.next()).await.unwrap().unwrap_err();
    assert_eq!(kind(&error), "Api 400");
    assert!(within(stream.next()).await.is_none());
}
