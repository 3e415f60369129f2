//! The waits of a reader: for the first event, and for pages that arrive while it works.
//!
//! The service takes [`LATENCY`] for a response, so that the times are those of the network.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may panic")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use tokio::runtime::{Builder, Runtime};
use webex_events::{
    Client, ListEvents, internals,
    sandbox::{Sandbox, When},
};

mod support;

use support::{Service, compare, print};

const LATENCY: Duration = Duration::from_millis(40);
const PAGES: u16 = 20;
const ROUNDS: usize = 5;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Lists in pages of `size`, and works for `work` on each page.
async fn walk(client: &Client, size: u16, ahead: usize, work: Duration) {
    let mut pages = client.list(ListEvents::new().page_size(size)).prefetch(ahead).pages();
    while let Some(page) = pages.try_next().await.unwrap() {
        black_box(page.items.len());
        tokio::time::sleep(work).await;
    }
}

/// From the first poll to the first event, on an open connection, against one round trip for the
/// same page with a plain client, and its decoding.
fn first_event(service: &Service, size: u16) {
    let runtime = runtime();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = service.client();
    let url = format!("{}/events?max={size}", service.url);
    let [bare, first] = compare(ROUNDS * 3, 0, |way| {
        let start = Instant::now();
        runtime.block_on(async {
            if way == 0 {
                let request = http.get(&url).bearer_auth(&service.token);
                let body = request.send().await.unwrap().bytes().await.unwrap();
                black_box(internals::decode_page(body.into()).unwrap().len());
            } else {
                let mut events = client.list(ListEvents::new().page_size(size));
                black_box(events.try_next().await.unwrap().unwrap().id());
            }
        });
        start.elapsed().as_secs_f64()
    });
    println!("the first event, pages of {size}, a round trip of {LATENCY:?}");
    print("one round trip and decoding", bare, None);
    print("until the first event", first, Some(1.3));
}

/// A reader that takes as long for a page as the page takes to arrive.
fn prefetch(service: &Service, size: u16) {
    let runtime = runtime();
    let client = service.client();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/events?max={size}", service.url);
    let [(round_trip, _)] = compare(ROUNDS * 3, 0, |_| {
        let start = Instant::now();
        runtime.block_on(async {
            let request = http.get(&url).bearer_auth(&service.token);
            black_box(request.send().await.unwrap().bytes().await.unwrap());
        });
        start.elapsed().as_secs_f64()
    });
    let work = Duration::from_secs_f64(round_trip);
    let times = compare(ROUNDS, 0, |ahead| {
        let start = Instant::now();
        runtime.block_on(walk(&client, size, ahead, work));
        start.elapsed().as_secs_f64()
    });
    let [without, ahead] = times;
    println!("{PAGES} pages of {size}, a reader that takes {work:.1?} for each, as the page does");
    print("without reading ahead", without, None);
    print("prefetch(1)", ahead, Some(0.6));
}

fn main() {
    for size in [100, 1_000] {
        let sandbox = Sandbox::builder().events(usize::from(PAGES) * usize::from(size));
        let service = Service::start(sandbox.latency(When::always(), LATENCY));
        first_event(&service, size);
        prefetch(&service, size);
    }
}
