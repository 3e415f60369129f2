//! Slices: each event of a range exactly once, whatever the service means by its bounds, and at most as many
//! concurrent requests as allowed.
#![cfg(feature = "sandbox")]

#[cfg(feature = "__internals")]
mod clocks;
mod failures;
mod margin;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::{FutureExt, StreamExt, TryStreamExt};
use webex_events::{
    Client, Error, Event, ListEvents, Resource, Result, Slice, SliceItem,
    sandbox::{Bounds, Sandbox, SandboxBuilder},
};

use crate::support::{self, Service, builder, hasty, ok, page, settle, within};

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

/// An event of this instant.
fn dated(id: &str, created: DateTime<Utc>) -> String {
    let created = created.to_rfc3339_opts(SecondsFormat::Millis, true);
    format!(r#"{{"id":"{id}","resource":"messages","type":"created","created":"{created}"}}"#)
}

fn parameter(call: &support::Call<'_>, name: &str) -> Option<String> {
    call.request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
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

#[test]
fn stats_can_be_written_to_a_log() {
    let stats = serde_json::to_value(webex_events::Stats::default()).unwrap();
    for name in ["pages", "events", "malformed", "outside", "requests", "retries", "bytes", "waited"] {
        assert!(stats.get(name).is_some(), "{name}");
    }
}
