//! Compressed responses against plain ones, over links of several speeds: bytes saved against time spent,
//! including the service's own time for compression.
//!
//! Prints wall times and their ratios to plain responses.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may panic")]

use std::{hint::black_box, time::Instant};

use futures::TryStreamExt;
use tokio::runtime::Builder;
use webex_events::{
    Client, ListEvents,
    sandbox::{Sandbox, When},
};

mod support;

use support::{Service, compare, print};

const ROUNDS: usize = 5;

async fn read(client: &Client) -> usize {
    let mut events = client.list(ListEvents::new());
    let mut seen = 0;
    while let Some(event) = events.try_next().await.unwrap() {
        black_box(event.raw());
        seen += 1;
    }
    seen
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for (megabits, events) in [(1, 250), (10, 2_000), (100, 10_000), (1_000, 20_000), (0, 20_000)] {
        let sandbox = Sandbox::builder().events(events).gzip(true);
        let service = Service::start(match megabits {
            0 => sandbox,
            rate => sandbox.slow_bodies(When::always(), rate * 1_000_000 / 8),
        });
        let [plain, gzip] = compare(ROUNDS, 0, |way| {
            let client = Client::builder().base_url(&service.url).token(service.token.as_str());
            let client = client.gzip(way == 1).build().unwrap();
            let start = Instant::now();
            assert_eq!(runtime.block_on(read(&client)), events);
            start.elapsed().as_secs_f64()
        });
        match megabits {
            0 => println!("{events} events over loopback"),
            rate => println!("{events} events at {rate} Mbit/s"),
        }
        print("plain", plain, None);
        print("gzip", gzip, None);
    }
}
