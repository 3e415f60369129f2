//! Handing out an event allocates nothing: its page has it all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(feature = "sandbox")]

use std::{future::pending, thread, time::Duration};

use allocation_counter::measure;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt};
use tokio::runtime::{Builder, Runtime};
use webex_events::{Checkpoint, Client, Event, ListEvents, sandbox::Sandbox};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn start(events: usize) -> (Sandbox, Client) {
    let sandbox = Sandbox::builder().events(events).start().await.unwrap();
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build().unwrap();
    (sandbox, client)
}

#[test]
fn the_events_of_an_open_page_are_handed_out_without_an_allocation() {
    let runtime = runtime();
    let (_sandbox, client) = runtime.block_on(start(1_000));
    let mut events = client.list(ListEvents::new());
    runtime.block_on(events.next()).unwrap().unwrap();

    let counted = measure(|| {
        for _ in 0..999 {
            let event = events.next().now_or_never().unwrap().unwrap().unwrap();
            assert!(event.raw().len() > event.id().len() + event.actor_id().map_or(0, str::len));
            drop(event.clone());
        }
    });
    assert_eq!(counted.count_total, 0);
    assert!(events.next().now_or_never().unwrap().is_none());
}

#[test]
fn a_whole_walk_takes_less_than_one_allocation_an_event() {
    let runtime = runtime();
    let (_sandbox, client) = runtime.block_on(start(20_000));
    let mut events = client.list(ListEvents::new());
    let mut seen = 0_u32;

    // The sandbox answers on this thread too, and is counted along.
    let counted = measure(|| {
        runtime.block_on(async {
            while let Some(event) = events.next().await {
                assert!(!event.unwrap().raw().is_empty());
                seen += 1;
            }
        });
    });
    assert_eq!(seen, 20_000);
    assert!(counted.count_total < 20_000, "{} allocations", counted.count_total);
    // A page and its table, and some room: what is held at once doesn't grow with the list.
    assert!(counted.bytes_max < 16 << 20, "{} bytes at once", counted.bytes_max);
}

#[test]
fn a_follower_holds_little_however_far_behind_it_begins_and_however_long_it_runs() {
    let most = most_at_once_over_a_month_of(100_000);
    assert!(most < 32 << 20, "{most} bytes at once");
}

#[test]
#[ignore = "a month at 100,000 events a day: the sandbox takes 4 GB, and a debug build minutes"]
fn a_follower_holds_no_more_over_a_busy_month() {
    let most = most_at_once_over_a_month_of(3_000_000);

    assert!(most < 32 << 20, "{most} bytes at once");
}

/// What a follower holds at the most, of a month two thirds of which lie behind when it begins.
fn most_at_once_over_a_month_of(events: usize) -> u64 {
    // The sandbox is in a thread of its own and isn't counted.
    let (sandbox, client) = thread::spawn(move || {
        let runtime = runtime();
        let end = start_of_month() + TimeDelta::days(30);
        let sandbox = Sandbox::builder().events(events).period(start_of_month(), end);
        let sandbox = runtime.block_on(sandbox.now(start_of_month() + TimeDelta::days(20)).start()).unwrap();
        let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build().unwrap();
        thread::spawn(move || runtime.block_on(pending::<()>()));
        (sandbox, client)
    })
    .join()
    .unwrap();
    let mut follow = client.follow(ListEvents::new(), Checkpoint::at(start_of_month())).every(Duration::ZERO);
    let mut seen = 0;

    let runtime = runtime();
    let counted = measure(|| {
        runtime.block_on(async {
            while seen < events {
                follow.next().await.unwrap().unwrap();
                seen += 1;
                if follow.is_caught_up() {
                    sandbox.advance(Duration::from_secs(3600));
                }
            }
        });
    });
    counted.bytes_max
}

fn start_of_month() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

#[test]
fn data_allocates_its_texts_and_nothing_else() {
    let event = Event::from_json(
        r#"{"id":"a","resource":"messages","type":"created","created":"2026-01-05T09:00:00Z","data":{
            "id":"b","roomId":"c","text":"d\n\"e\"","isVoiceClip":"no","pageNumber":"7","sizeBytes":8,
            "created":"2026-01-05T09:00:00.123Z","parentId":null}}"#,
    )
    .unwrap();
    let counted = measure(|| {
        let data = event.data().unwrap();
        assert_eq!((data.text.as_deref(), data.size_bytes), (Some("d\n\"e\""), Some(8)));
    });
    assert_eq!(counted.count_total, 3);
}
