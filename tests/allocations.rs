//! Handing out an event allocates nothing: its page has it all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(feature = "sandbox")]

use allocation_counter::measure;
use futures::{FutureExt, StreamExt};
use tokio::runtime::{Builder, Runtime};
use webex_events::{Client, ListEvents, sandbox::Sandbox};

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
