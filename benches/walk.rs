//! A list over loopback, end to end, with baselines in the same run: only downloading the
//! pages, and a hand-written loop of reqwest and `serde_json` into plain structs, owned or borrowed.
//!
//! Prints medians, and the medians of the ratios to the hand-written loop in the same round. The sandbox
//! has a thread of its own.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may panic")]

use std::{hint::black_box, time::Instant};

use futures::TryStreamExt;
use tokio::runtime::Builder;
use webex_events::{Client, ListEvents, sandbox::Sandbox};

mod support;

use support::{BorrowedPage, PlainPage, Service, compare, print};

const EVENTS: usize = 100_000;
const ROUNDS: usize = 11;

/// The clients of one list, new for each, so that none profits from another's connections.
struct Place<'a> {
    service: &'a Service,
    client: Client,
    http: reqwest::Client,
}

impl Place<'_> {
    async fn get(&self, url: &str) -> (Option<String>, Vec<u8>) {
        let request = self.http.get(url).bearer_auth(&self.service.token);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        let next = answer.headers().get("link").map(|link| {
            let link = link.to_str().unwrap();
            link[link.find('<').unwrap() + 1..link.find('>').unwrap()].to_owned()
        });
        (next, answer.bytes().await.unwrap().into())
    }

    /// Gets all pages, and counts the events that `read` finds in them.
    async fn pages(&self, size: u16, read: impl Fn(&[u8]) -> usize) -> usize {
        let mut next = Some(format!("{}/events?max={size}", self.service.url));
        let mut events = 0;
        while let Some(url) = next {
            let (link, body) = self.get(&url).await;
            events += read(&body);
            next = link;
        }
        events
    }

    async fn by_hand(&self, size: u16) -> usize {
        let read = |body: &[u8]| {
            let page: PlainPage = serde_json::from_slice(body).unwrap();
            page.items.into_iter().filter(|event| !black_box(event).id.is_empty()).count()
        };
        self.pages(size, read).await
    }

    async fn by_hand_borrowed(&self, size: u16) -> usize {
        let read = |body: &[u8]| {
            let page: BorrowedPage<'_> = serde_json::from_slice(body).unwrap();
            page.items.into_iter().filter(|event| !black_box(event).id.is_empty()).count()
        };
        self.pages(size, read).await
    }

    async fn events(&self, size: u16) -> usize {
        let mut events = self.client.list(ListEvents::new().page_size(size));
        let mut seen = 0;
        while let Some(event) = events.try_next().await.unwrap() {
            black_box((event.id(), event.resource(), event.created(), event.raw()));
            seen += 1;
        }
        seen
    }

    async fn data(&self, size: u16) -> usize {
        let mut events = self.client.list(ListEvents::new().page_size(size));
        let mut seen = 0;
        while let Some(event) = events.try_next().await.unwrap() {
            black_box((event.id(), event.data().unwrap(), event.raw()));
            seen += 1;
        }
        seen
    }
}

fn main() {
    let service = Service::start(Sandbox::builder().events(EVENTS));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    println!("{EVENTS} events over loopback, medians of {ROUNDS} rounds, ratios to the hand-written loop");
    for (size, targets) in [(100, [0.60, 0.90]), (1_000, [0.33, 0.60])] {
        let time = |way| {
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let place = Place { service: &service, client: service.client(), http };
            let start = Instant::now();
            let events = runtime.block_on(async {
                match way {
                    0 => place.pages(size, |body| usize::from(size) * usize::from(!body.is_empty())).await,
                    1 => place.by_hand(size).await,
                    2 => place.by_hand_borrowed(size).await,
                    3 => place.events(size).await,
                    _ => place.data(size).await,
                }
            });
            let seconds = start.elapsed().as_secs_f64();
            assert_eq!(events, EVENTS);
            seconds
        };
        let [download, by_hand, borrowed, events, data] = compare(ROUNDS, 1, time);
        println!("pages of {size}");
        print("only downloading", download, None);
        print("hand-written loop", by_hand, None);
        print("hand-written loop, borrowed", borrowed, None);
        print("events: envelope and raw", events, Some(targets[0]));
        print("events: with data", data, Some(targets[1]));
    }
}
