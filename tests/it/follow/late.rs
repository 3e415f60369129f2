//! Large batches that arrive late, and ids that are listed again.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::StreamExt;
use webex_events::{
    Checkpoint, Error, Event, ListEvents, Result,
    internals::{ManualClock, with_clock},
};

use super::{SETTLE, at, created, empty, events, hourly, ids, in_step, round, start};
use crate::support::{Served, body, builder, http, settle, within};

#[tokio::test]
async fn a_large_late_batch_costs_at_most_twice_the_pages_of_a_list() {
    // With 14 MiB the batch fits into memory, with 56 MiB it does not.
    for megabytes in [14, 56] {
        let sandbox = empty().await;
        let (client, clock) = in_step(&sandbox);
        let advance = |time| {
            sandbox.advance(time);
            clock.advance(time);
        };
        let query = ListEvents::new().page_size(100);
        let mut follow = client.follow(query.clone(), Checkpoint::at(start())).every(SETTLE).settle(SETTLE);
        advance(2 * SETTLE);
        assert!(round(&mut follow).await.is_empty());
        advance(SETTLE);
        for n in 0..megabytes * 100 {
            let time = sandbox.now() - TimeDelta::milliseconds(n * 150_000 / (megabytes * 100));
            let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
            sandbox.push_json(&created(&format!("e{n}"), &time, 10_400)).unwrap();
        }
        let before = sandbox.counts().lists;
        let mut read = BTreeSet::new();
        while read.len() < usize::try_from(megabytes * 100).unwrap() {
            let event = within(follow.next()).await.unwrap().unwrap();
            assert!(read.insert(event.id().to_owned()), "{}", event.id());
        }
        let pages = usize::try_from(megabytes).unwrap();
        let requests = sandbox.counts().lists - before;
        assert!(requests <= 2 * u64::try_from(pages).unwrap(), "{requests} requests for {pages} pages");
    }
}

#[tokio::test]
async fn an_error_between_the_parts_of_a_round_skips_and_repeats_nothing() {
    const EVENTS: usize = 40;
    let count = Arc::new(AtomicUsize::new(0));
    let requests = Arc::clone(&count);
    let service = Served::start(move |_, head| {
        let n = requests.fetch_add(1, Relaxed);
        let target = head.target();
        let offset: usize = target.rsplit_once("cursor=").map_or(0, |(_, offset)| offset.parse().unwrap());
        if n == 35 {
            return http(404, &[], "{}");
        }
        let item = created(&format!("e{offset:02}"), "2026-01-05T09:08:00Z", 1 << 20);
        let link = format!(
            "<http://{}/v1/events?cursor={}>; rel=\"next\"",
            head.header("host").unwrap(),
            offset + 1
        );
        let mut headers = vec![("Date", "Mon, 05 Jan 2026 09:10:00 GMT")];
        headers.extend((offset + 1 < EVENTS).then_some(("Link", &*link)));
        http(200, &headers, body(&[item]))
    })
    .await;
    let mut follow = hourly(&service.client(), Checkpoint::at(start()));
    let mut read: Vec<_> = round(&mut follow).await;
    assert!(read.pop().unwrap().is_err());
    assert!(!read.is_empty(), "a part was yielded");
    follow.resume();
    read.extend(round(&mut follow).await);
    let mut read: Vec<_> = read.into_iter().map(|item| item.unwrap().id().to_owned()).collect();
    read.sort_unstable();
    assert_eq!(read, (0..EVENTS).map(|n| format!("e{n:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_id_that_is_listed_again_with_another_created_is_yielded_once() {
    let service = Served::start(|n, _| {
        // First 09:05, then 09:09, then 09:07: later the first instant is settled.
        let time = ["09:05:00", "09:09:00", "09:07:00", "09:09:00"][n.min(3)];
        let date = format!("Mon, 05 Jan 2026 09:{}:00 GMT", 10 + n);
        http(200, &[("Date", &date)], body(&[created("a", &format!("2026-01-05T{time}Z"), 0)]))
    })
    .await;
    let clock = ManualClock::new(at("2026-01-05T09:10:00Z"));
    let client = with_clock(builder(&service.url()), &clock);
    let client = client.build().unwrap();
    let mut checkpoint = Checkpoint::at(at("2026-01-05T09:04:00Z"));
    let mut read: Vec<Event> = Vec::new();
    for _ in 0..4 {
        read.extend(events(&client, &mut checkpoint).await);
        checkpoint = serde_json::from_str(&serde_json::to_string(&checkpoint).unwrap()).unwrap();
        clock.advance(Duration::from_secs(60));
    }
    assert!(checkpoint.settled() > at("2026-01-05T09:07:00Z"), "{checkpoint:?}");
    assert_eq!(ids(&read), ["a"]);
}

#[tokio::test]
async fn an_event_created_long_before_the_requested_range_is_counted_and_not_yielded() {
    let service = Served::start(|n, _| {
        let mut items = vec![created("b", "0001-01-01T00:00:00Z", 0)];
        items.extend((n == 0).then(|| created("a", "2026-01-05T09:01:00Z", 0)));
        http(200, &[("Date", "Mon, 05 Jan 2026 09:10:00 GMT")], body(&items))
    })
    .await;
    let client = service.client();
    let mut follow = client.follow(ListEvents::new(), Checkpoint::at(start())).every(Duration::ZERO);
    assert_eq!(within(follow.next()).await.unwrap().unwrap().id(), "a");
    while follow.stats().pages < 5 {
        assert!(poll_fn(|cx| Poll::Ready(follow.poll_next_unpin(cx))).await.is_pending());
        settle().await;
    }
    assert_eq!((follow.stats().events, follow.stats().outside), (1, 1));
}

#[tokio::test]
async fn seams_of_a_long_range_lose_nothing_where_the_service_selects_by_another_time() {
    // The service selects by the time at which it stored an event, two seconds after `created`.
    const EVENTS: i64 = 60;
    let created_at = |n: i64| start() + TimeDelta::seconds(n * 600);
    let service = Served::start(move |_, head| {
        let url = url::Url::parse(&format!("http://host{}", head.target())).unwrap();
        let bound = |name| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.parse::<DateTime<Utc>>().unwrap())
        };
        let (from, to) = (bound("from").unwrap(), bound("to"));
        let stored = |n| created_at(n) + TimeDelta::seconds(2);
        let items: Vec<_> = (0..EVENTS)
            .filter(|&n| stored(n) >= from && to.is_none_or(|to| stored(n) < to))
            .map(|n| {
                created(
                    &format!("e{n:02}"),
                    &created_at(n).to_rfc3339_opts(SecondsFormat::Millis, true),
                    600_000,
                )
            })
            .collect();
        http(200, &[("Date", "Tue, 06 Jan 2026 09:00:00 GMT")], body(&items))
    })
    .await;
    let mut follow = hourly(&service.client(), Checkpoint::at(start()));
    let read: Vec<_> = round(&mut follow).await.into_iter().collect::<Result<_>>().unwrap();
    assert_eq!(ids(&read), (0..EVENTS).map(|n| format!("e{n:02}")).collect::<Vec<_>>());
    assert!(service.targets().iter().any(|target| target.contains("to=")), "it was read in several rounds");
}

#[tokio::test]
async fn a_malformed_item_of_a_part_of_a_round_is_not_yielded_again_after_a_restart() {
    let service = Served::start(|n, head| {
        let bad = r#"{"bad":1}"#.to_owned();
        let items = match n {
            0 => {
                let large = |number| created(&format!("e{number:02}"), "2026-01-05T09:08:00Z", 1 << 20);
                [bad].into_iter().chain((0..25).map(large)).collect()
            }
            2 => vec![bad],
            _ => Vec::new(),
        };
        let link = format!("<http://{}/v1/events?cursor=1>; rel=\"next\"", head.header("host").unwrap());
        let mut headers = vec![("Date", "Mon, 05 Jan 2026 09:10:00 GMT")];
        headers.extend((n == 0).then_some(("Link", &*link)));
        http(200, &headers, body(&items))
    })
    .await;
    let clock = ManualClock::new(at("2026-01-05T09:10:00Z"));
    let client = with_clock(builder(&service.url()), &clock).build().unwrap();
    let mut follow = client.follow(ListEvents::new(), Checkpoint::at(start()));
    assert!(matches!(within(follow.next()).await, Some(Err(Error::Item(_)))), "its round has another page");
    let checkpoint = follow.checkpoint();
    drop(follow);

    // The first round after the restart does not list the item, and the second does.
    let mut follow = client.follow(ListEvents::new(), checkpoint).every(Duration::ZERO);
    while follow.stats().pages < 3 {
        let item = poll_fn(|cx| Poll::Ready(follow.poll_next_unpin(cx))).await;
        assert!(item.is_pending(), "{item:?}");
        settle().await;
    }
    assert!(follow.checkpoint().settled() > start());
}
