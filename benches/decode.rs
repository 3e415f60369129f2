//! Decoding pages, reading links, and the stream's own cost for an event. Prints the ratios of decoding to
//! that of the hand-written loop first, then the measurements of criterion.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may panic")]

use std::{hint::black_box, time::Instant};

use criterion::{Criterion, Throughput, criterion_group};
use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};
use webex_events::{Client, ListEvents, internals, sandbox::Sandbox};

mod support;

use support::{BorrowedPage, PlainPage, compare};

const ROUNDS: usize = 21;

/// Decoding pages in memory on one thread, against the loop's decoding in the same round.
fn ratios() {
    let sandbox = runtime().block_on(Sandbox::builder().events(10_000).start()).unwrap();
    for size in [100, 1_000] {
        let bodies = support::pages(&sandbox, size);
        #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
        let gigabytes = bodies.iter().map(Vec::len).sum::<usize>() as f64 / 1e9;
        let [by_hand, borrowed, raw, data] = compare(ROUNDS, 0, |way| {
            let bodies = bodies.clone();
            let start = Instant::now();
            for body in bodies {
                match way {
                    0 => drop(black_box(serde_json::from_slice::<PlainPage>(&body).unwrap())),
                    1 => drop(black_box(serde_json::from_slice::<BorrowedPage<'_>>(&body).unwrap())),
                    2 => raws(body),
                    _ => datas(body),
                }
            }
            start.elapsed().as_secs_f64()
        });
        println!(
            "decoding pages of {size}, median of {ROUNDS} rounds, and the ratio to the hand-written structs"
        );
        // 1 GB/s where the loop makes 0.28.
        for (name, (seconds, ratio), target) in [
            ("hand-written structs", by_hand, None),
            ("hand-written structs, borrowed", borrowed, None),
            ("envelope and raw", raw, Some(0.28)),
            ("envelope and data", data, None),
        ] {
            support::print(name, (seconds, ratio), target);
            println!("  {:34} {:9.2} GB/s", "", gigabytes / seconds);
        }
    }
}

fn raws(body: Vec<u8>) {
    for event in internals::decode_page(body).unwrap() {
        black_box(event.unwrap().raw());
    }
}

fn datas(body: Vec<u8>) {
    for event in internals::decode_page(body).unwrap() {
        black_box(event.unwrap().data().unwrap());
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn decode(criterion: &mut Criterion) {
    let sandbox = runtime().block_on(Sandbox::builder().events(1_000).start()).unwrap();
    for size in [100, 1_000] {
        let body = support::pages(&sandbox, size).remove(0);
        let mut group = criterion.benchmark_group(format!("page of {size}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        let mut run = |name: &str, read: &dyn Fn(Vec<u8>)| {
            group.bench_function(name, |bencher| {
                bencher.iter_batched(|| body.clone(), read, criterion::BatchSize::LargeInput);
            });
        };
        run("envelope and raw", &raws);
        run("with data", &datas);
        run("hand-written: serde_json into plain structs", &|body| {
            black_box(serde_json::from_slice::<PlainPage>(&body).unwrap());
        });
        group.finish();
    }
}

fn links(criterion: &mut Criterion) {
    let page = "https://webexapis.com/v1/events?max=1000";
    let next = "<https://webexapis.com/v1/events?max=1000&from=2026-01-01T00%3A00%3A00.000Z&cursor=\
                Y2lzY29zcGFyazovL3VzL0VWRU5ULzAwMDAwMDAxLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMQ>; rel=\"next\"";
    assert!(internals::next_link(&[next.as_bytes()], page).is_some());
    criterion.bench_function("the links of a page", |bencher| {
        bencher.iter(|| internals::next_link(black_box(&[next.as_bytes()]), page));
    });
}

/// The page is in memory after its first event; the polls for the others are timed.
fn stream(criterion: &mut Criterion) {
    let runtime = runtime();
    let sandbox = runtime.block_on(Sandbox::builder().events(1_000).start()).unwrap();
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build().unwrap();
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Elements(999)).sample_size(20);
    group.bench_function("999 events of an open page", |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let mut total = std::time::Duration::ZERO;
                for _ in 0..times {
                    let mut events = client.list(ListEvents::new());
                    black_box(events.next().await.unwrap().unwrap());
                    let start = Instant::now();
                    for _ in 0..999 {
                        black_box(events.next().await.unwrap().unwrap());
                    }
                    total += start.elapsed();
                }
                total
            })
        });
    });
    group.finish();
}

criterion_group!(benches, decode, links, stream);

fn main() {
    ratios();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
