//! Every stream in a `futures::select!` loop: it ends on `None`, or on `complete`, and never hangs.

use std::{num::NonZeroUsize, time::Duration};

use chrono::{DateTime, Utc};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, future::BoxFuture, stream::FusedStream};
use tokio::time::sleep;
use webex_events::{Checkpoint, Client, Error, ListEvents, Result};

use crate::support::{Service, refusal, within};

/// A stream of one of our types, whose items are reduced to success or failure.
type Items = Box<dyn Selected>;

trait Selected {
    /// The number of items up to the `None` that a loop beside a timer sees.
    fn count_to_none(&mut self) -> BoxFuture<'_, usize>;
    /// The number of items up to the `complete` of a loop.
    fn count_to_complete(&mut self) -> BoxFuture<'_, usize>;
    /// The next item, and the two values of `is_terminated` around it.
    fn step(&mut self) -> BoxFuture<'_, (bool, Option<Result<()>>, bool)>;
    fn resume(&mut self);
}

struct Subject<S> {
    stream: S,
    resume: fn(&mut S),
}

impl<S, T> Selected for Subject<S>
where
    S: Stream<Item = Result<T>> + FusedStream + Unpin + Send,
    T: Send,
{
    fn count_to_none(&mut self) -> BoxFuture<'_, usize> {
        Box::pin(async {
            let mut items = 0;
            loop {
                let mut timer = Box::pin(sleep(Duration::from_millis(5)).fuse());
                futures::select! {
                    item = self.stream.next() => match item {
                        Some(_) => items += 1,
                        None => return items,
                    },
                    () = timer => {}
                }
            }
        })
    }

    fn count_to_complete(&mut self) -> BoxFuture<'_, usize> {
        Box::pin(async {
            let mut items = 0;
            loop {
                futures::select! {
                    _ = self.stream.select_next_some() => items += 1,
                    complete => return items,
                }
            }
        })
    }

    fn step(&mut self) -> BoxFuture<'_, (bool, Option<Result<()>>, bool)> {
        Box::pin(async {
            let before = self.stream.is_terminated();
            let item = within(self.stream.try_next()).await.transpose().map(|item| item.map(drop));
            (before, item, self.stream.is_terminated())
        })
    }

    fn resume(&mut self) {
        (self.resume)(&mut self.stream);
    }
}

macro_rules! subject {
    ($name:literal, $stream:expr) => {
        ($name, Box::new(Subject { stream: $stream, resume: |stream| stream.resume() }) as Items)
    };
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// One stream of each type over a list of its own.
fn streams(client: &Client, prefetch: usize) -> Vec<(&'static str, Items)> {
    let list = || client.list(ListEvents::new()).prefetch(prefetch);
    let day = ListEvents::new().from(at("2026-01-05T00:00:00Z")).to(at("2026-01-06T00:00:00Z"));
    let slices = || {
        let slices = day.slices(Duration::from_secs(86_400)).unwrap();
        client.list_slices(slices, NonZeroUsize::MIN)
    };
    vec![
        subject!("EventStream", list()),
        subject!("WithCursors", list().with_cursors()),
        subject!("Pages", list().pages()),
        subject!("Take", list().take(9)),
        subject!("Take of 2", list().take(2)),
        subject!("Take::pages", list().take(9).pages()),
        subject!("Take::pages of 2", list().take(2).pages()),
        subject!("SliceStream", slices()),
        subject!("SliceEvents", slices().events()),
    ]
}

/// A follower ends only with an error.
fn follower(client: &Client) -> (&'static str, Items) {
    subject!("Follow", client.follow(ListEvents::new(), Checkpoint::at(at("2026-01-05T00:00:00Z"))))
}

#[tokio::test]
async fn a_select_loop_beside_a_timer_ends_on_none() {
    for prefetch in [0, 2] {
        let service = Service::list(&["a b", "c"]).await;
        for (name, mut stream) in streams(&service.client(), prefetch) {
            assert!(within(stream.count_to_none()).await > 0, "{name}");
        }
    }
}

#[tokio::test]
async fn a_select_loop_ends_on_complete() {
    for prefetch in [0, 2] {
        let service = Service::list(&["a b", "c"]).await;
        for (name, mut stream) in streams(&service.client(), prefetch) {
            assert!(within(stream.count_to_complete()).await > 0, "{name}");
        }
    }
}

#[tokio::test]
async fn a_select_loop_ends_on_the_none_after_an_error() {
    for prefetch in [0, 2] {
        let service = Service::start(|_| refusal(403)).await;
        let client = service.client();
        for (name, mut stream) in streams(&client, prefetch).into_iter().chain([follower(&client)]) {
            assert_eq!(within(stream.count_to_none()).await, 1, "{name}");
        }
        for (name, mut stream) in streams(&client, prefetch).into_iter().chain([follower(&client)]) {
            assert_eq!(within(stream.count_to_complete()).await, 1, "{name}");
        }
    }
}

#[tokio::test]
async fn a_stream_is_terminated_only_after_none() {
    for prefetch in [0, 2] {
        let service = Service::list(&["a b", "c"]).await;
        for (name, mut stream) in streams(&service.client(), prefetch) {
            loop {
                let (before, item, after) = stream.step().await;
                assert!(!before, "{name}");
                assert_eq!(after, item.is_none(), "{name}");
                if item.is_none() {
                    break;
                }
            }
            stream.resume();
            assert!(matches!(stream.step().await, (true, None, true)), "{name}: nothing to resume");
        }
    }
}

#[tokio::test]
async fn resume_after_none_makes_a_stream_live_again() {
    for prefetch in [0, 2] {
        let service = Service::start(|_| refusal(403)).await;
        let client = service.client();
        for (name, mut stream) in streams(&client, prefetch).into_iter().chain([follower(&client)]) {
            for _ in 0..2 {
                assert!(matches!(stream.step().await, (false, Some(Err(Error::Api(_))), false)), "{name}");
                assert!(matches!(stream.step().await, (false, None, true)), "{name}");
                assert!(matches!(stream.step().await, (true, None, true)), "{name}");
                stream.resume();
            }
            assert!(matches!(stream.step().await, (false, Some(Err(_)), false)), "{name}");
            stream.resume();
            assert!(matches!(stream.step().await, (false, Some(Err(_)), false)), "{name}: without its None");
        }
    }
}
