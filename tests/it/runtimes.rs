//! A stream that is polled outside of a runtime, or after its runtime ended, gives an error and does not panic.

use std::{net::TcpListener, task::Poll, time::Duration};

use chrono::{DateTime, Utc};
use futures::{FutureExt, Stream, StreamExt, executor::block_on, future::poll_fn};
use tokio::runtime::{Builder, Runtime};
use webex_events::{Checkpoint, Client, ListEvents, Result};

use crate::support::{Service, builder, client, kind, refusal, within};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A runtime for servers, which runs by itself.
fn servers() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

type Items = Box<dyn Stream<Item = Result<()>> + Send + Unpin>;

fn streams(client: &Client) -> Vec<(&'static str, Items)> {
    fn items<T: 'static>(stream: impl Stream<Item = Result<T>> + Send + Unpin + 'static) -> Items {
        Box::new(stream.map(|item| item.map(drop)))
    }
    let start: DateTime<Utc> = "2026-01-05T00:00:00Z".parse().unwrap();
    let list = || client.list(ListEvents::new());
    let slices = ListEvents::new().from(start).to(start + chrono::TimeDelta::hours(2));
    let slices = slices.slices(Duration::from_secs(3600)).unwrap();
    vec![
        ("list", items(list())),
        ("prefetch", items(list().prefetch(2))),
        ("pages", items(list().pages())),
        ("slices", items(client.list_slices(slices, std::num::NonZeroUsize::MIN))),
        ("follow", items(client.follow(ListEvents::new(), Checkpoint::at(start)))),
    ]
}

fn assert_is_transport(name: &str, item: Option<Result<()>>) {
    let error = item.unwrap_or_else(|| panic!("{name} looks ended")).unwrap_err();
    assert_eq!(kind(&error), "Transport", "{name}");
    assert!(error.is_transient(), "{name}");
}

/// Polls for a while, until nothing more happens without another event.
async fn begin(stream: &mut Items) {
    for _ in 0..50 {
        let pending = poll_fn(|cx| Poll::Ready(stream.poll_next_unpin(cx).is_pending())).await;
        assert!(pending);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_stream_polled_outside_of_a_runtime_gives_an_error() {
    let client = client("http://127.0.0.1:9/v1");
    for (name, mut stream) in streams(&client) {
        assert_is_transport(name, block_on(stream.next()));
        assert!(block_on(stream.next()).is_none(), "{name}");
    }
    assert_eq!(kind(&block_on(client.get("a")).unwrap_err()), "Transport");
}

#[test]
fn a_request_whose_runtime_ended_is_an_error() {
    // Connections are accepted by the system, and nobody reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v1", silent.local_addr().unwrap());
    for elsewhere in [false, true] {
        for n in 0..5 {
            let (name, mut stream) = streams(&client(&base)).swap_remove(n);
            runtime().block_on(begin(&mut stream));
            let item =
                if elsewhere { runtime().block_on(within(stream.next())) } else { block_on(stream.next()) };
            assert_is_transport(name, item);
        }
    }
}

#[test]
fn a_wait_whose_runtime_ended_is_an_error() {
    let servers = servers();
    let service = servers.block_on(Service::start(|_| refusal(503).append_header("Retry-After", "3000")));
    for elsewhere in [false, true] {
        for n in 0..5 {
            let (name, mut stream) = streams(&service.client()).swap_remove(n);
            let before = service.count();
            runtime().block_on(async {
                while service.count() == before {
                    begin(&mut stream).await;
                }
                begin(&mut stream).await;
            });
            let item =
                if elsewhere { runtime().block_on(within(stream.next())) } else { block_on(stream.next()) };
            assert_is_transport(name, item);
        }
    }
}

#[test]
fn a_stream_resumes_on_another_runtime() {
    let servers = servers();
    let service = servers.block_on(Service::start(|call| match call.n {
        0 => refusal(503).append_header("Retry-After", "3000"),
        _ if call.cursor.is_empty() => call.page("a", Some("1")),
        _ => call.page("b", None),
    }));
    let mut events = service.client().list(ListEvents::new());
    runtime().block_on(async {
        while service.count() == 0 {
            assert!(poll_fn(|cx| Poll::Ready(events.poll_next_unpin(cx).is_pending())).await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(kind(&block_on(events.next()).unwrap().unwrap_err()), "Transport");
    assert!(events.next().now_or_never().unwrap().is_none());
    events.resume();
    // Its wait survives the end of a runtime too.
    assert!(runtime().block_on(async { events.next().now_or_never() }).is_none());
    runtime().block_on(async {
        assert_eq!(within(events.next()).await.unwrap().unwrap().id(), "a");
    });
    runtime().block_on(async {
        assert_eq!(
            within(events.next()).await.unwrap().unwrap().id(),
            "b",
            "between two pages nothing is lost"
        );
    });
}

#[test]
fn a_stream_that_reads_ahead_continues_on_another_runtime_while_its_own_is_not_driven() {
    let servers = servers();
    let service = servers.block_on(Service::list(&["a", "b", "c", "d"]));
    // The connection belongs to the first runtime too, so that a request over it gets no response.
    let client = builder(&service.url()).read_timeout(Duration::from_millis(200)).build().unwrap();
    let mut events = client.list(ListEvents::new()).prefetch(1);
    let idle = runtime();
    idle.block_on(async {
        assert_eq!(within(events.next()).await.unwrap().unwrap().id(), "a");
    });
    // From here on, nobody drives the task that reads ahead.
    let rest =
        runtime().block_on(within(events.map(|event| event.unwrap().id().to_owned()).collect::<Vec<_>>()));
    assert_eq!(rest, ["b", "c", "d"]);
    drop(idle);
}
