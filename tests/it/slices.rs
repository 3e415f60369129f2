//! Slices: each event of a range exactly once, whatever the service means by its bounds, and no more under
//! way than asked for.
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

use crate::support::{self, Service, builder, hasty, kind, ok, page, refusal, settle, within};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt, TryStreamExt};
use webex_events::{
    Client, Error, Event, ListEvents, Resource, Result, Slice, SliceItem,
    sandbox::{Answer, Bounds, Sandbox, SandboxBuilder, When},
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
async fn each_event_of_a_range_is_given_once_whatever_the_bounds_mean() {
    for bounds in [Bounds::HalfOpen, Bounds::Inclusive, Bounds::Exclusive] {
        for shuffled in [false, true] {
            let sandbox = two_days(3_000).bounds(bounds).shuffled(shuffled).start().await.unwrap();
            // Events on the very edges of slices, and just beside them.
            for edge in ["2026-01-05T00:00:00Z", "2026-01-05T06:00:00Z", "2026-01-06T00:00:00Z"] {
                for millis in -2..=2 {
                    sandbox.push(at(edge) + TimeDelta::milliseconds(millis));
                }
            }
            let query = day().page_size(100);
            let events = client(&sandbox).list_slices(hours(&query, 6), n(3)).events();
            let expected = expected(&sandbox, at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z"));
            assert_eq!(ids(events).await, expected, "{bounds:?}, shuffled: {shuffled}");
        }
    }
}

#[tokio::test]
async fn slices_of_a_millisecond_share_nothing_and_miss_nothing() {
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
async fn a_range_up_to_now_never_asks_for_the_future() {
    let now = at("2026-01-06T00:00:00Z");
    let sandbox = two_days(500).now(now).start().await.unwrap();
    let events = client(&sandbox).list_slices(hours(&day(), 6), n(2)).events();
    assert_eq!(ids(events).await, expected(&sandbox, at("2026-01-05T00:00:00Z"), now));
}

#[tokio::test]
async fn a_slice_is_closed_behind_its_last_page_and_then_only() {
    let sandbox = two_days(1_000).trailing_empty_page(true).start().await.unwrap();
    let mut stream = client(&sandbox).list_slices(hours(&day().page_size(50), 6), n(3));
    let mut open: BTreeMap<DateTime<Utc>, Vec<Event>> = BTreeMap::new();
    let mut closed = Vec::new();
    let mut events = 0;
    while let Some(item) = within(stream.try_next()).await.unwrap() {
        match item {
            SliceItem::Page { slice, page } => {
                assert!(!closed.contains(&slice.start()), "a page behind the end");
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
async fn nothing_is_sent_before_the_first_poll_and_no_more_at_once_than_asked_for() {
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
    assert_eq!(most.load(SeqCst), 3, "all three at once");
}

#[tokio::test]
async fn no_page_is_asked_for_that_nobody_waits_for() {
    let sandbox = two_days(1_000).start().await.unwrap();
    let mut stream = client(&sandbox).list_slices(hours(&day().page_size(10), 24), n(2));
    for pages in 1..5 {
        within(stream.next()).await.unwrap().unwrap();
        settle().await;
        assert_eq!(sandbox.counts().lists, pages);
    }
}

/// Looking up each event of a page takes its time, at the pace of the client.
#[tokio::test]
async fn what_has_arrived_meanwhile_is_not_too_late_for_a_slow_reader() {
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
async fn after_an_error_the_slice_goes_on_where_it_was() {
    let sandbox = two_days(2_000)
        .fail(When::chance(0.2), Answer::status(503))
        .fail(When::at([7, 20]), Answer::status(403))
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
async fn a_slice_answered_504_is_asked_for_in_smaller_pages() {
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
async fn a_slice_goes_on_at_a_cursor_of_its_own() {
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
    stream.resume();
    assert!(within(stream.next()).await.unwrap().is_err(), "it isn't taken for an end");
    assert_eq!(sandbox.counts().lists, sent);
}

#[tokio::test]
async fn a_cursor_that_expired_is_told_apart() {
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
async fn an_empty_plan_is_at_its_end_at_once() {
    let client = support::client("http://127.0.0.1:9/v1");
    let mut stream = client.list_slices([], n(8));
    assert!(stream.next().now_or_never().unwrap().is_none());
    let filtered = day().resource(Resource::ConvergedRecordings);
    assert_eq!(filtered.slices(Duration::MAX).unwrap().len(), 1);
}
