//! Handing out an event allocates nothing: its page has it all.
#![cfg(feature = "sandbox")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    future::{pending, poll_fn},
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    task::Poll,
    thread,
    time::Duration,
};

use allocation_counter::measure;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt};
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
};
use webex_events::{
    Checkpoint, Client, Event, ListEvents,
    sandbox::{Sandbox, SandboxBuilder},
};

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
fn a_list_takes_less_than_one_allocation_for_each_event() {
    let runtime = runtime();
    let (_sandbox, client) = runtime.block_on(start(20_000));
    let mut events = client.list(ListEvents::new());
    let mut seen = 0_u32;

    // The sandbox responds on this thread too, and its allocations are counted.
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
    // A page and its table, and some room: the peak doesn't grow with the list.
    assert!(counted.bytes_max < 16 << 20, "{} bytes at the peak", counted.bytes_max);
}

#[test]
fn a_follower_holds_little_memory_however_old_its_checkpoint_is_and_however_long_it_runs() {
    let most = peak_over_a_month_of(100_000);
    assert!(most < 32 << 20, "{most} bytes at the peak");
}

#[test]
#[ignore = "a month at 100,000 events a day: the sandbox takes 4 GB, and a debug build minutes"]
fn a_follower_holds_no_more_memory_over_a_busy_month() {
    let most = peak_over_a_month_of(3_000_000);

    assert!(most < 32 << 20, "{most} bytes at the peak");
}

#[test]
fn a_follower_holds_little_memory_for_a_large_batch_that_arrives_late() {
    const EVENTS: usize = 1_400;
    let (sandbox, client) = in_a_thread(|| Sandbox::builder().events(0).now(start_of_month()));
    let settle = Duration::from_secs(3600);
    let mut follow = client.follow(ListEvents::new().page_size(100), Checkpoint::at(start_of_month()));
    follow = follow.every(Duration::ZERO).settle(settle);
    let runtime = runtime();
    sandbox.advance(settle);
    runtime.block_on(async {
        while !follow.is_caught_up() {
            assert!(poll_fn(|cx| Poll::Ready(follow.poll_next_unpin(cx))).await.is_pending());
            yield_now().await;
        }
    });
    // 14 MiB, all before the mark.
    for n in 0..EVENTS {
        let created = start_of_month() + TimeDelta::seconds(i64::try_from(n).unwrap());
        let (created, text) = (created.to_rfc3339(), "x".repeat(10_400));
        let event = format!(
            r#"{{"id":"e{n}","resource":"messages","type":"created","created":"{created}","data":{{"text":"{text}"}}}}"#
        );
        sandbox.push_json(&event).unwrap();
    }
    let counted = measure(|| {
        runtime.block_on(async {
            for _ in 0..EVENTS {
                follow.next().await.unwrap().unwrap();
            }
        });
    });
    assert!(counted.bytes_max < 64 << 20, "{} bytes at the peak", counted.bytes_max);
    assert!(counted.bytes_total < 256 << 20, "{} bytes in all", counted.bytes_total);
}

#[test]
fn a_checkpoint_after_each_event_costs_the_same_however_many_ids_it_holds() {
    let bytes = [1_000, 16_000].map(|events| {
        let (sandbox, client) = in_a_thread(move || {
            let end = start_of_month() + TimeDelta::hours(1);
            Sandbox::builder().events(events).period(start_of_month(), end).now(end)
        });
        let follow = client.follow(ListEvents::new(), Checkpoint::at(start_of_month()));
        let mut follow = follow.settle(Duration::from_secs(7200));
        let runtime = runtime();
        runtime.block_on(follow.next()).unwrap().unwrap();
        let mut stored = follow.checkpoint();
        let _entered = runtime.enter();
        let counted = measure(|| {
            for _ in 1..events {
                follow.next().now_or_never().unwrap().unwrap().unwrap();
                stored = follow.checkpoint();
            }
        });
        assert!(serde_json::to_string(&stored).unwrap().len() > 50 * events);
        drop(sandbox);
        counted.bytes_total / events as u64
    });
    let [few, many] = bytes;
    assert!(many < 2 * few, "{few} bytes for each event, and {many} where there are more");
}

/// The most bytes that a follower holds over a month, two thirds of which have passed when it starts.
fn peak_over_a_month_of(events: usize) -> u64 {
    let (sandbox, client) = in_a_thread(move || {
        let end = start_of_month() + TimeDelta::days(30);
        let sandbox = Sandbox::builder().events(events).period(start_of_month(), end);
        sandbox.now(start_of_month() + TimeDelta::days(20))
    });
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

/// A sandbox in a thread of its own, which isn't counted.
fn in_a_thread(sandbox: impl FnOnce() -> SandboxBuilder + Send + 'static) -> (Sandbox, Client) {
    let started = thread::spawn(move || {
        let runtime = runtime();
        let sandbox = runtime.block_on(sandbox().start()).unwrap();
        let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build().unwrap();
        thread::spawn(move || runtime.block_on(pending::<()>()));
        (sandbox, client)
    });
    started.join().unwrap()
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

/// The bytes that `pages()` holds at most while the page of `items` is read and kept.
fn peak_of_a_page(items: &str) -> u64 {
    let body = format!("{{\"items\":[{items}]}}");
    let (runtime, expected) = (runtime(), items.matches(',').count() + 1);
    let (base_url, server) = serve(body);
    let client = Client::builder().base_url(base_url).token("t").build().unwrap();
    let mut pages = client.list(ListEvents::new()).pages();
    let counted = measure(|| {
        let page = runtime.block_on(pages.next()).unwrap().unwrap();
        assert_eq!(page.items.len(), expected);
    });
    server.join().unwrap();
    counted.bytes_max
}

/// Responds to one request, in a thread that isn't counted.
fn serve(body: String) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
        while !request.next().unwrap().unwrap().is_empty() {}
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
    });
    (base_url, server)
}

#[test]
fn a_page_of_tiny_malformed_items_takes_at_most_twenty_times_its_bytes() {
    // As many items as a page may have; and some room for the connection.
    for item in ["null", "[{}]", "\"a\\u0001\"", "{\"a\":NaN}", "{\"id\":\"\"}"] {
        let items = format!("{}{item}", format!("{item},").repeat(99_999));
        let most = peak_of_a_page(&items);
        let limit = 20 * items.len() as u64 + (1 << 20);
        assert!(most <= limit, "{item}: {most} bytes for {}", items.len());
    }
}

#[test]
fn no_page_of_malformed_items_takes_more_than_ten_mebibytes_beyond_its_text() {
    let most = peak_of_a_page(&format!("{}1", "1,".repeat(99_999)));
    assert!(most < 10 << 20, "{most} bytes");
}
