//! The whole way over loopback, side by side with two baselines in the same run: only downloading the
//! pages, and a hand-written loop of reqwest and `serde_json` into plain structs.
//!
//! Prints medians and their ratios to the hand-written loop. The sandbox has a thread of its own.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and may fail by panicking"
)]

use std::{hint::black_box, sync::mpsc, thread, time::Instant};

use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Builder;
use webex_events::{Client, ListEvents, sandbox::Sandbox};

mod support;

use support::PlainPage;

const EVENTS: usize = 100_000;
const ROUNDS: usize = 7;

struct Place {
    url: String,
    token: String,
    client: Client,
    http: reqwest::Client,
}

impl Place {
    async fn get(&self, url: &str) -> (Option<String>, Vec<u8>) {
        let answer =
            self.http.get(url).bearer_auth(&self.token).send().await.unwrap().error_for_status().unwrap();
        let next = answer.headers().get("link").map(|link| {
            let link = link.to_str().unwrap();
            link[link.find('<').unwrap() + 1..link.find('>').unwrap()].to_owned()
        });
        (next, answer.bytes().await.unwrap().into())
    }

    async fn download(&self, size: u16) -> usize {
        let mut next = Some(format!("{}/events?max={size}", self.url));
        let mut bytes = 0;
        while let Some(url) = next {
            let (link, body) = self.get(&url).await;
            bytes += body.len();
            next = link;
        }
        assert!(bytes > EVENTS);
        EVENTS
    }

    async fn by_hand(&self, size: u16) -> usize {
        let mut next = Some(format!("{}/events?max={size}", self.url));
        let mut events = 0;
        while let Some(url) = next {
            let (link, body) = self.get(&url).await;
            let page: PlainPage = serde_json::from_slice(&body).unwrap();
            for event in page.items {
                events += usize::from(!black_box(event).id.is_empty());
            }
            next = link;
        }
        events
    }

    async fn events(&self, size: u16) -> usize {
        let events = self.client.list(ListEvents::new().page_size(size));
        events
            .try_fold(0, async |n, event| {
                black_box(event.raw());
                Ok(n + 1)
            })
            .await
            .unwrap()
    }

    async fn data(&self, size: u16) -> usize {
        let events = self.client.list(ListEvents::new().page_size(size));
        events
            .map(|event| event?.data())
            .try_fold(0, async |n, data| {
                black_box(data);
                Ok(n + 1)
            })
            .await
            .unwrap()
    }
}

fn main() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let sandbox = Sandbox::builder().events(EVENTS).start().await.unwrap();
            sender.send((sandbox.base_url().to_owned(), sandbox.token().to_owned())).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let (url, token) = receiver.recv().unwrap();
    let client = Client::builder().base_url(&url).token(token.as_str()).build().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let place = Place { url, token, client, http };

    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    println!(
        "{EVENTS} events over loopback, median of {ROUNDS} rounds, and the ratio to the hand-written loop"
    );
    for size in [100, 1_000] {
        let mut times: [Vec<f64>; 4] = Default::default();
        for round in 0..=ROUNDS {
            for (way, times) in times.iter_mut().enumerate() {
                let start = Instant::now();
                let events = runtime.block_on(async {
                    match way {
                        0 => place.download(size).await,
                        1 => place.by_hand(size).await,
                        2 => place.events(size).await,
                        _ => place.data(size).await,
                    }
                });
                assert_eq!(events, EVENTS);
                if round > 0 {
                    times.push(start.elapsed().as_secs_f64());
                }
            }
        }
        let medians = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        println!("pages of {size}");
        let names =
            ["only downloading", "hand-written loop", "events: envelope and raw", "events: with data"];
        for (name, median) in names.iter().zip(medians) {
            println!("  {name:<26} {median:6.3} s  {:5.2}", median / medians[1]);
        }
    }
}
