//! Slices: each event of a range exactly once, whatever the service means by its bounds, and at most as many
//! concurrent requests as allowed.
#![cfg(feature = "sandbox")]

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::support::{self, Service, body, builder, hasty, kind, ok, page, refusal, settle, within};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::{FutureExt, StreamExt, TryStreamExt, stream::FusedStream};
#[cfg(feature = "__internals")]
use webex_events::internals::{ManualClock, with_clock};
use webex_events::{
    Client, Error, Event, ListEvents, Resource, Result, Slice, SliceItem,
    sandbox::{Bounds, Response, Sandbox, SandboxBuilder, When},
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// A day.
fn day() -> ListEvents {
    ListEvents::new().from(at("2026-01-05T00:00:00Z")).to(at("2026-01-06T00:00:00Z"))
}

fn hours(query: &ListEvents, hours: u64) -> Vec<Slice> {
    query.slices(Duration::from_secs(3600 * hours)).unwrap().collect()
}

/// Events of two days around that day.
fn two_days(events: usize) -> SandboxBuilder {
    let (from, to) = (at("2026-01-04T12:00:00Z"), at("2026-01-06T12:00:00Z"));
    Sandbox::builder().events(events).seed(3).period(from, to)
}

fn client(sandbox: &Sandbox) -> Client {
    builder(sandbox.base_url()).token(sandbox.token()).retry(hasty()).build().unwrap()
}

/// The ids of the events of `query`'s range that the sandbox has, sorted.
fn expected(sandbox: &Sandbox, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<String> {
    let mut ids = Vec::new();
    sandbox.for_each_item(|item| {
        let event = Event::from_json(item).unwrap();
        if (from..to).contains(&event.created()) {
            ids.push(event.id().to_owned());
        }
    });
    ids.sort();
    ids
}

async fn ids(events: impl futures::Stream<Item = Result<Event>>) -> Vec<String> {
    let mut ids: Vec<_> =
        within(events.map_ok(|event| event.id().to_owned()).try_collect::<Vec<_>>()).await.unwrap();
    ids.sort();
    ids
}

#[tokio::test]
async fn each_event_of_a_range_is_yielded_once_whether_or_not_bounds_are_included() {
    for bounds in [Bounds::HalfOpen, Bounds::Inclusive, Bounds::Exclusive] {
        for shuffled in [false, true] {
            let sandbox = two_days(3_000).bounds(bounds).shuffled(shuffled).start().await.unwrap();
            // Events at the edges of slices, and next to them.
            for edge in ["2026-01-05T00:00:00Z", "2026-01-05T06:00:00Z", "2026-01-06T00:00:00Z"] {
                for millis in -2..=2 {
                    sandbox.push(at(edge) + TimeDelta::milliseconds(millis));
                }
            }
            let query = day().page_size(100);
            let events = client(&sandbox).list_slices(hours(&query, 6), n(3)).events();
            // The service decides whether the first instant of a range is listed, as without slices.
            let first = TimeDelta::milliseconds(i64::from(bounds == Bounds::Exclusive));
            let expected = expected(&sandbox, at("2026-01-05T00:00:00Z") + first, at("2026-01-06T00:00:00Z"));
            assert_eq!(ids(events).await, expected, "{bounds:?}, shuffled: {shuffled}");
        }
    }
}

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

/// An event of this instant.
fn dated(id: &str, created: DateTime<Utc>) -> String {
    let created = created.to_rfc3339_opts(SecondsFormat::Millis, true);
    format!(r#"{{"id":"{id}","resource":"messages","type":"created","created":"{created}"}}"#)
}

fn parameter(call: &support::Call<'_>, name: &str) -> Option<String> {
    call.request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
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
#[cfg(feature = "__internals")]
fn with_clock_at(base: &str, utc: &str) -> (Client, ManualClock) {
    let clock = ManualClock::new(at(utc));
    (with_clock(builder(base), &clock).build().unwrap(), clock)
}

/// The last hour of the day.
#[cfg(feature = "__internals")]
fn last_hour() -> Vec<Slice> {
    hours(&day().from(at("2026-01-05T23:00:00Z")), 1)
}

/// The parameter `to` of each request that has one.
#[cfg(feature = "__internals")]
async fn ends(service: &Service) -> Vec<String> {
    let requests = service.requests().await;
    let to = |request: &wiremock::Request| {
        request.url.query_pairs().find(|(name, _)| name == "to").map(|(_, to)| to.into_owned())
    };
    requests.iter().filter_map(to).collect()
}

#[cfg(feature = "__internals")]
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

#[cfg(feature = "__internals")]
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

#[cfg(feature = "__internals")]
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

#[tokio::test]
async fn a_slice_is_closed_after_its_last_page_and_only_then() {
    let sandbox = two_days(1_000).trailing_empty_page(true).start().await.unwrap();
    let mut stream = client(&sandbox).list_slices(hours(&day().page_size(50), 6), n(3));
    let mut open: BTreeMap<DateTime<Utc>, Vec<Event>> = BTreeMap::new();
    let mut closed = Vec::new();
    let mut events = 0;
    while let Some(item) = within(stream.try_next()).await.unwrap() {
        match item {
            SliceItem::Page { slice, page } => {
                assert!(!closed.contains(&slice.start()), "a page after the end");
                let is_last = page.cursor().is_none();
                let seen = open.entry(slice.start()).or_default();
                seen.extend(page.into_iter().map(Result::unwrap));
                assert!(seen.iter().all(|event| (slice.start()..slice.end()).contains(&event.created())));
                assert!(seen.is_sorted_by(|a, b| a.created() >= b.created()), "the service's order");
                assert!(!is_last || seen.len() > 50);
            }
            SliceItem::Closed { slice, stats } => {
                assert_eq!(stats.events, open[&slice.start()].len() as u64);
                assert_eq!(stats.requests, stats.pages);
                events += stats.events;
                closed.push(slice.start());
            }
            _ => unreachable!(),
        }
    }
    assert_eq!((closed.len(), open.len()), (4, 4));
    assert_eq!(stream.stats().events, events);
    assert_eq!(stream.stats().requests, sandbox.counts().lists);
}

#[tokio::test]
async fn nothing_is_sent_before_the_first_poll_and_at_most_as_many_concurrently_as_allowed() {
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let service = Service::start({
        let under_way = Arc::clone(&under_way);
        let most = Arc::clone(&most);
        move |_| {
            most.fetch_max(under_way.fetch_add(1, SeqCst) + 1, SeqCst);
            ok(page("a b")).set_delay(Duration::from_millis(5))
        }
    })
    .await;
    let drawn = Arc::new(AtomicUsize::new(0));
    // An endless plan: day after day.
    let plan = (0..).flat_map(|day| {
        let from = at("2020-01-01T00:00:00Z") + TimeDelta::days(day);
        let query = ListEvents::new().from(from).to(from + TimeDelta::days(1));
        query.slices(Duration::from_secs(86_400)).unwrap()
    });
    let count = Arc::clone(&drawn);
    let plan = plan.inspect(move |_| _ = count.fetch_add(1, SeqCst));
    let mut stream = service.client().list_slices(plan, n(3));
    settle().await;
    assert_eq!((service.count(), drawn.load(SeqCst)), (0, 0));

    let mut closed = 0;
    while closed < 20 {
        match within(stream.try_next()).await.unwrap().unwrap() {
            SliceItem::Closed { .. } => closed += 1,
            _ => _ = under_way.fetch_sub(1, SeqCst),
        }
        assert!(drawn.load(SeqCst) <= closed + 3, "{} drawn, {closed} closed", drawn.load(SeqCst));
        assert!(stream.open() <= 3);
    }
    assert_eq!(most.load(SeqCst), 3, "three are concurrent");
}

#[tokio::test]
async fn a_page_is_requested_only_when_another_item_is_polled_for() {
    let sandbox = two_days(1_000).start().await.unwrap();
    let mut stream = client(&sandbox).list_slices(hours(&day().page_size(10), 24), n(2));
    for pages in 1..5 {
        within(stream.next()).await.unwrap().unwrap();
        settle().await;
        assert_eq!(sandbox.counts().lists, pages);
    }
}

/// Getting each event of a page takes time, at the pace of the client.
#[tokio::test]
async fn a_slow_reader_makes_no_response_time_out() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let sandbox = two_days(400).start().await.unwrap();
    let client = builder(sandbox.base_url()).token(sandbox.token()).read_timeout(TIMEOUT).build().unwrap();
    let mut stream = client.list_slices(hours(&day().page_size(40), 6), n(4));
    let mut pages = 0;
    while let Some(item) = within(stream.next()).await {
        let SliceItem::Page { page, .. } = item.unwrap() else { continue };
        let event = page.items.into_iter().next().unwrap().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < TIMEOUT + TIMEOUT / 2 {
            within(client.get(event.id())).await.unwrap();
        }
        pages += 1;
    }
    assert!(pages > 5 && stream.stats().retries == 0, "{:?}", stream.stats());
}

#[tokio::test]
async fn after_an_error_the_slice_continues_at_its_position() {
    let sandbox = two_days(2_000)
        .fail(When::chance(0.2), Response::status(503))
        .fail(When::at([7, 20]), Response::status(403))
        .start()
        .await
        .unwrap();
    let client = builder(sandbox.base_url())
        .token(sandbox.token())
        .retry(webex_events::RetryPolicy::never())
        .build()
        .unwrap();
    let slices = hours(&day().page_size(50), 3);
    let mut stream = client.list_slices(slices.clone(), n(4));
    let (mut seen, mut closed, mut errors) = (Vec::new(), 0, 0);
    loop {
        match within(stream.next()).await {
            Some(Ok(SliceItem::Page { page, .. })) => {
                seen.extend(page.into_iter().map(|event| event.unwrap().id().to_owned()));
            }
            Some(Ok(_)) => closed += 1,
            Some(Err(error)) => {
                assert!(matches!(kind(&error).as_str(), "Api 503" | "Api 403"));
                assert!(slices.contains(stream.failed().unwrap()));
                assert!(within(stream.next()).await.is_none() && within(stream.next()).await.is_none());
                errors += 1;
                stream.resume();
                assert!(stream.failed().is_none());
            }
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, expected(&sandbox, at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z")));
    assert!(errors > 3 && closed == 8, "{errors} errors, {closed} closed");
}

#[tokio::test]
async fn a_slice_that_gets_a_504_is_requested_with_half_the_page_size() {
    let service = Service::start(|call| match call.max().as_deref() {
        Some("250") => ok(page("")),
        _ => refusal(504),
    })
    .await;
    let slices = hours(&day(), 24);
    let mut stream = service.client().list_slices(slices, n(1));
    while within(stream.try_next()).await.unwrap().is_some() {}
    assert_eq!(service.sizes().await, ["1000", "500", "250"]);
}

#[tokio::test]
async fn a_slice_continues_at_a_cursor_of_its_own() {
    let sandbox = two_days(1_000).start().await.unwrap();
    let client = client(&sandbox);
    let slice = hours(&day().page_size(100), 24).remove(0);
    let mut stream = client.list_slices([slice.clone()], n(1));
    let Some(SliceItem::Page { page, .. }) = within(stream.try_next()).await.unwrap() else { panic!() };
    let cursor = page.cursor().cloned().unwrap();
    let mut seen: Vec<_> = page.into_iter().map(|event| event.unwrap().id().to_owned()).collect();
    drop(stream);

    // In another process perhaps, and with pages of another size.
    let slice = serde_json::to_string(&slice.with_cursor(cursor)).unwrap();
    let slice: Slice = serde_json::from_str(&slice).unwrap();
    seen.extend(ids(client.list_slices([slice], n(1)).events()).await);
    seen.sort();
    assert_eq!(seen, expected(&sandbox, at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z")));
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused_unsent() {
    let sandbox = two_days(1_000).start().await.unwrap();
    let client = client(&sandbox);
    let mut slices = hours(&day().page_size(100), 12);
    let mut pages = client.list(slices[0].query()).pages();
    let foreign = within(pages.try_next()).await.unwrap().unwrap().cursor().cloned().unwrap();
    let sent = sandbox.counts().lists;
    let mut stream = client.list_slices([slices.remove(1).with_cursor(foreign)], n(1));
    let error = within(stream.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Cursor { .. }), "{error}");
    let failed = Instant::now();
    for _ in 0..2 {
        stream.resume();
        assert!(within(stream.next()).await.unwrap().is_err(), "it isn't taken for an end");
    }
    assert!(
        failed.elapsed() >= Duration::from_millis(300),
        "no loop over `resume` spins: {:?}",
        failed.elapsed()
    );
    assert!(stream.stats().waited > Duration::ZERO);
    assert_eq!(sandbox.counts().lists, sent);
}

#[tokio::test]
async fn an_expired_cursor_is_an_error_of_the_cursor() {
    let sandbox = two_days(1_000).start().await.unwrap();
    let client = client(&sandbox);
    let slice = hours(&day().page_size(100), 24).remove(0);
    let mut stream = client.list_slices([slice.clone()], n(1));
    let Some(SliceItem::Page { page, .. }) = within(stream.try_next()).await.unwrap() else { panic!() };
    sandbox.expire_cursors();
    let resumed = slice.with_cursor(page.cursor().cloned().unwrap());
    let mut stream = client.list_slices([resumed.clone()], n(1));
    let error = within(stream.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Cursor { .. }), "{error}");
    assert_eq!(stream.failed(), Some(&resumed));
}

#[tokio::test]
async fn malformed_items_stay_in_their_pages() {
    let sandbox = two_days(400).malformed_every(10).start().await.unwrap();
    let mut events = client(&sandbox).list_slices(hours(&day(), 6), n(2)).events();
    let (mut good, mut malformed) = (0, 0);
    while let Some(item) = within(events.next()).await {
        match item {
            Ok(_) => good += 1,
            Err(Error::Item(_)) => malformed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(malformed >= 19 && good > 150, "{good} good, {malformed} malformed");
    assert_eq!((events.stats().events, events.stats().malformed), (good, malformed));
}

#[tokio::test]
async fn an_empty_plan_ends_immediately() {
    let client = support::client("http://127.0.0.1:9/v1");
    let mut stream = client.list_slices([], n(8));
    assert!(stream.next().now_or_never().unwrap().is_none());
    let filtered = day().resource(Resource::ConvergedRecordings);
    assert_eq!(filtered.slices(Duration::MAX).unwrap().len(), 1);
}

/// A service of four slices of six hours, of which those at `broken` get this status.
async fn with_broken(broken: &'static [&'static str], status: u16) -> Service {
    Service::start(move |call| {
        let is_requested = |from: &&str| {
            let start = at(&format!("2026-01-05T{from}:00:00Z"));
            let requested = at(&parameter(call, "from").unwrap());
            (start - requested).num_seconds().abs() <= 60
        };
        if broken.iter().any(is_requested) {
            return refusal(status);
        }
        let start = at(&parameter(call, "from").unwrap()) + TimeDelta::hours(1);
        ok(body(&[dated(&format!("{start}"), start)]))
    })
    .await
}

#[tokio::test]
async fn a_slice_that_fails_can_be_set_aside_so_that_the_others_continue() {
    for concurrency in 1..=4 {
        let service = with_broken(&["06", "18"], 403).await;
        let slices = hours(&day(), 6);
        let mut stream = service.client().list_slices(slices.clone(), n(concurrency));
        assert!(stream.skip_failed().is_none(), "without an error it does nothing");
        let (mut skipped, mut closed, mut events) = (Vec::new(), Vec::new(), 0);
        loop {
            match within(stream.next()).await {
                Some(Ok(SliceItem::Closed { slice, .. })) => closed.push(slice),
                Some(Ok(SliceItem::Page { page, .. })) => events += page.items.len(),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    assert_eq!(kind(&error), "Api 403");
                    let failed = stream.failed().cloned();
                    let set_aside = stream.skip_failed();
                    assert!(set_aside.is_some() && set_aside == failed);
                    assert!(stream.failed().is_none() && stream.skip_failed().is_none());
                    skipped.extend(set_aside);
                }
                None => break,
            }
        }
        skipped.sort_by_key(Slice::start);
        closed.sort_by_key(Slice::start);
        assert_eq!(skipped, [slices[1].clone(), slices[3].clone()]);
        assert_eq!(closed, [slices[0].clone(), slices[2].clone()]);
        assert_eq!((events, stream.stats().events), (2, 2));
        assert_eq!(stream.stats().requests, 4, "a slice that was set aside is still counted");
        assert_eq!(stream.open(), 0);
    }
}

#[tokio::test]
async fn the_end_of_a_stream_is_not_terminated_once_a_slice_was_set_aside() {
    let service = with_broken(&["00"], 403).await;
    let mut events = service.client().list_slices(hours(&day(), 12), n(1)).events();
    assert_eq!(kind(&within(events.next()).await.unwrap().unwrap_err()), "Api 403");
    assert!(!events.is_terminated());
    assert!(within(events.next()).await.is_none() && events.is_terminated());
    assert_eq!(events.failed().map(Slice::start), Some(at("2026-01-05T00:00:00Z")));
    assert!(events.skip_failed().is_some() && !events.is_terminated());
    assert!(within(events.next()).await.unwrap().is_ok());
    assert!(!events.is_terminated());
    assert!(within(events.next()).await.is_none() && events.is_terminated());
}

#[tokio::test]
async fn a_slice_that_was_set_aside_can_be_listed_again() {
    let sandbox = two_days(1_000).fail(When::at([2]), Response::status(403)).start().await.unwrap();
    let client = client(&sandbox);
    let mut stream = client.list_slices(hours(&day().page_size(50), 24), n(1));
    let (mut seen, mut cursor) = (Vec::new(), None);
    let set_aside = loop {
        match within(stream.next()).await.unwrap() {
            Ok(SliceItem::Page { page, .. }) => {
                cursor = page.cursor().cloned();
                seen.extend(page.into_iter().map(|event| event.unwrap().id().to_owned()));
            }
            Ok(_) => panic!("it isn't closed"),
            Err(_) => break stream.skip_failed().unwrap(),
        }
    };
    assert!(within(stream.next()).await.is_none());
    seen.extend(ids(client.list_slices([set_aside.with_cursor(cursor.unwrap())], n(1)).events()).await);
    seen.sort();
    assert_eq!(seen, expected(&sandbox, at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z")));
}

#[test]
fn stats_can_be_written_to_a_log() {
    let stats = serde_json::to_value(webex_events::Stats::default()).unwrap();
    for name in ["pages", "events", "malformed", "outside", "requests", "retries", "bytes", "waited"] {
        assert!(stats.get(name).is_some(), "{name}");
    }
}
