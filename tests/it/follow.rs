//! Following: late and simultaneous events, quiet periods, restarts at every position. Time stands still until a test
//! moves it.
#![cfg(all(feature = "sandbox", feature = "__internals"))]

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    task::Poll,
    time::Duration,
};

use crate::support::{self, Served, Service, body, builder, http, kind, page, refusal, within};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt, stream::FusedStream};
use webex_events::{
    Checkpoint, Client, Error, Event, Follow, ListEvents, Resource, Result, RetryPolicy,
    internals::{ManualClock, with_clock},
    sandbox::{Bounds, LinkFault, Malformed, Response, Sandbox, When},
};

mod clocks;
mod late;
mod live;

const SETTLE: Duration = Duration::from_secs(300);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn start() -> DateTime<Utc> {
    at("2026-01-05T09:00:00Z")
}

fn client(sandbox: &Sandbox) -> Client {
    builder(sandbox.base_url()).token(sandbox.token()).build().unwrap()
}

async fn empty() -> Sandbox {
    Sandbox::builder().events(0).now(start()).start().await.unwrap()
}

/// A client whose clock shows the sandbox's time, until one of them is moved.
fn in_step(sandbox: &Sandbox) -> (Client, ManualClock) {
    let clock = ManualClock::new(sandbox.now());
    let builder = with_clock(builder(sandbox.base_url()).token(sandbox.token()), &clock);
    (builder.build().unwrap(), clock)
}

/// The events that a follower yields before it waits for its next round, which is an hour away.
async fn round(follow: &mut Follow) -> Vec<Result<Event>> {
    let mut items = Vec::new();
    let all = poll_fn(|cx| {
        while let Poll::Ready(Some(item)) = follow.poll_next_unpin(cx) {
            let is_end = !matches!(item, Ok(_) | Err(Error::Item(_)));
            items.push(item);
            if is_end {
                return Poll::Ready(());
            }
        }
        if follow.is_caught_up() { Poll::Ready(()) } else { Poll::Pending }
    });
    within(all).await;
    items
}

/// One round from a checkpoint, and the next checkpoint.
async fn events(client: &Client, checkpoint: &mut Checkpoint) -> Vec<Event> {
    let mut follow = hourly(client, checkpoint.clone());
    let events = round(&mut follow).await.into_iter().map(Result::unwrap).collect();
    *checkpoint = follow.checkpoint();
    events
}

fn hourly(client: &Client, checkpoint: Checkpoint) -> Follow {
    client.follow(ListEvents::new(), checkpoint).every(Duration::from_secs(3600)).settle(SETTLE)
}

fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::id).collect()
}

/// Random numbers, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Events come late by up to `settle`, several at a time and in the same millisecond, and sometimes none for
/// hours. Now and then the follower is stopped, in the middle of a round too, and resumes from a
/// checkpoint: its latest if the stop is `clean`, an older one if not. Returns how many times each event was yielded.
async fn simulate(seed: u64, clean: bool, bounds: Bounds) -> BTreeMap<String, u32> {
    let sandbox = Sandbox::builder().events(0).now(start()).bounds(bounds).start().await.unwrap();
    let (client, clock) = in_step(&sandbox);
    let mut dice = Dice(seed);
    let mut given: BTreeMap<String, u32> = BTreeMap::new();
    let mut pushed = BTreeSet::new();
    let mut checkpoint = Checkpoint::at(start());
    for _ in 0..40 {
        let quiet = dice.below(10) == 0;
        let passed = Duration::from_millis(if quiet { 4 * 3_600_000 } else { dice.below(400_000) });
        sandbox.advance(passed);
        clock.advance(passed);
        for _ in 0..dice.below(if quiet { 1 } else { 8 }) {
            // Up to the whole of `settle` ago, on few different milliseconds.
            let age = (dice.below(31) * 10_000)
                .min(u64::try_from((sandbox.now() - start()).num_milliseconds()).unwrap());
            pushed.insert(sandbox.push(sandbox.now() - TimeDelta::milliseconds(age.cast_signed())));
        }
        let mut follow = hourly(&client, checkpoint.clone());
        let stop = match dice.below(3) {
            0 => dice.below(6),
            _ => u64::MAX,
        };
        let mut kept = checkpoint.clone();
        let mut taken = 0;
        while taken < stop {
            let next = within(poll_fn(|cx| match follow.poll_next_unpin(cx) {
                Poll::Pending if follow.is_caught_up() => Poll::Ready(None),
                item => item,
            }));
            let Some(event) = next.await else { break };
            *given.entry(event.unwrap().id().to_owned()).or_default() += 1;
            taken += 1;
            if clean || dice.below(2) == 0 {
                kept = follow.checkpoint();
            }
        }
        if taken < stop {
            kept = follow.checkpoint();
        }
        // It survives being stored.
        checkpoint = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
    }
    for event in events(&client, &mut checkpoint).await {
        *given.entry(event.id().to_owned()).or_default() += 1;
    }
    assert!(pushed.len() > 60, "{} events", pushed.len());
    assert_eq!(given.keys().collect::<BTreeSet<_>>(), pushed.iter().collect(), "seed {seed}");
    given
}

#[tokio::test]
async fn over_clean_stops_each_event_is_handed_out_exactly_once() {
    for seed in 0..6 {
        for bounds in [Bounds::HalfOpen, Bounds::Inclusive, Bounds::Exclusive] {
            let given = simulate(seed, true, bounds).await;
            assert!(given.values().all(|&times| times == 1), "seed {seed}, {bounds:?}: {given:?}");
        }
    }
}

#[tokio::test]
async fn over_kills_each_event_is_handed_out_at_least_once() {
    let mut again = 0;
    for seed in 0..6 {
        again += simulate(seed, false, Bounds::HalfOpen).await.values().filter(|&&times| times > 1).count();
    }
    assert!(again > 0, "no kill came between an event and its checkpoint");
}

#[tokio::test]
async fn a_checkpoint_at_any_event_of_a_round_continues_with_the_next() {
    let sandbox = empty().await;
    for second in [5, 9, 9, 9, 1, 7, 3] {
        sandbox.push(start() + TimeDelta::seconds(second));
    }
    sandbox.advance(Duration::from_secs(60));
    let client = client(&sandbox);
    let all = events(&client, &mut Checkpoint::at(start())).await;
    assert!(all.len() == 7 && all.is_sorted_by_key(Event::created), "oldest first");
    for taken in 0..=7 {
        let mut follow = hourly(&client, Checkpoint::at(start()));
        for event in &all[..taken] {
            assert_eq!(within(follow.next()).await.unwrap().unwrap().id(), event.id());
        }
        let rest = events(&client, &mut follow.checkpoint()).await;
        assert_eq!(ids(&rest), ids(&all[taken..]), "after {taken}");
    }
}

#[tokio::test]
async fn a_running_follower_yields_each_new_event_once() {
    let sandbox = empty().await;
    let mut follow = client(&sandbox)
        .follow(ListEvents::new(), Checkpoint::at(start()))
        .every(Duration::ZERO)
        .settle(SETTLE);
    for minute in 0..50 {
        sandbox.advance(Duration::from_secs(60));
        let lateness = TimeDelta::seconds(minute % 6 * 60);
        let expected = sandbox.push((sandbox.now() - lateness).max(start()));
        assert_eq!(within(follow.next()).await.unwrap().unwrap().id(), expected);
    }
    assert_eq!(follow.stats().events, 50);
}

#[tokio::test]
async fn nothing_before_the_checkpoint_is_handed_out_and_everything_from_it_on() {
    let sandbox = empty().await;
    sandbox.push(start() - TimeDelta::milliseconds(1));
    let on_it = sandbox.push(start());
    let after = sandbox.push(start() + TimeDelta::milliseconds(1));
    sandbox.advance(Duration::from_secs(10));
    let all = events(&client(&sandbox), &mut Checkpoint::at(start())).await;
    assert_eq!(ids(&all), [on_it, after]);
}

#[tokio::test]
async fn a_quiet_period_moves_the_mark() {
    let sandbox = empty().await;
    let (client, clock) = in_step(&sandbox);
    let mut checkpoint = Checkpoint::at(start());
    assert!(events(&client, &mut checkpoint).await.is_empty());
    sandbox.advance(Duration::from_secs(5 * 3600));
    clock.advance(Duration::from_secs(5 * 3600));
    let mut follow = hourly(&client, checkpoint);
    assert!(follow.lag() >= Duration::from_secs(5 * 3600 - 2), "{:?}", follow.lag());
    assert!(!follow.is_caught_up());
    assert!(round(&mut follow).await.is_empty());
    assert!(follow.is_caught_up() && follow.lag() < Duration::from_secs(2), "{:?}", follow.lag());
    let settled = sandbox.now() - follow.checkpoint().settled();
    assert!((300..=302).contains(&settled.num_seconds()), "{settled}");

    let target = sandbox.requests().pop().unwrap().target;
    assert!(!target.contains("to=") && target.contains("from=2026-01-05T08%3A59"), "{target}");
    let _ = events(&client, &mut follow.checkpoint()).await;
    let target = sandbox.requests().pop().unwrap().target;
    assert!(target.contains("from=2026-01-05T13%3A54"), "{target}");
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_round_skips_and_repeats_nothing() {
    for fault in [503, 404, 403] {
        let sandbox = Sandbox::builder().events(300).period(start(), start() + TimeDelta::minutes(2));
        let sandbox = sandbox.now(start() + TimeDelta::minutes(3)).start().await.unwrap();
        sandbox.fail(When::at([2, 3]), Response::status(fault));
        let builder = builder(sandbox.base_url()).token(sandbox.token()).retry(RetryPolicy::never());
        let query = ListEvents::new().page_size(100);
        let mut follow = builder.build().unwrap().follow(query, Checkpoint::at(start())).settle(SETTLE);
        let mut seen = Vec::new();
        for times in 1..=2 {
            let items = round(&mut follow).await;
            let expected =
                if fault == 404 && times == 1 { "Cursor".to_owned() } else { format!("Api {fault}") };
            assert_eq!(kind(items.last().unwrap().as_ref().unwrap_err()), expected);
            assert!(within(follow.next()).await.is_none() && follow.is_terminated());
            assert!(items.len() == 1 && !follow.is_caught_up(), "nothing of a broken round, {times}");
            follow.resume();
        }
        seen.extend(round(&mut follow).await.into_iter().map(Result::unwrap));
        let mut expected = sandbox.event_ids();
        expected.sort();
        let mut ids: Vec<_> = seen.iter().map(Event::id).collect();
        ids.sort_unstable();
        assert_eq!(ids, expected, "{fault}");
        assert!(follow.stats().events == 300 && follow.stats().requests >= 5);
    }
}

#[tokio::test]
async fn a_checkpoint_beyond_the_retention_says_so() {
    let sandbox = Sandbox::builder().retention(90).start().await.unwrap();
    let old = Utc::now() - TimeDelta::days(91);
    let mut follow = client(&sandbox).follow(ListEvents::new(), Checkpoint::at(old));
    let error = within(follow.next()).await.unwrap().unwrap_err();
    assert!(error.is_beyond_retention(), "{error}");
    assert_eq!(follow.checkpoint(), Checkpoint::at(old));
}

#[tokio::test]
async fn a_malformed_item_is_given_once_for_as_long_as_it_is_read_again() {
    let sandbox = empty().await;
    let client = client(&sandbox);
    sandbox.malformed_at([1]);
    sandbox.push(start() + TimeDelta::seconds(1));
    sandbox.push(start() + TimeDelta::seconds(2));
    let mut checkpoint = Checkpoint::at(start());
    let mut counts = Vec::new();
    for _ in 0..5 {
        sandbox.advance(Duration::from_secs(60));
        let mut follow = hourly(&client, checkpoint);
        let items = round(&mut follow).await;
        counts.push((items.iter().filter(|item| item.is_ok()).count(), items.len()));
        checkpoint = follow.checkpoint();
    }
    assert_eq!(counts, [(1, 2), (0, 0), (0, 0), (0, 0), (0, 0)]);
}

#[tokio::test]
async fn a_follower_far_behind_catches_up_in_order_within_bounded_memory() {
    const EVENTS: usize = 40_000;
    for shuffled in [false, true] {
        let end = start() + TimeDelta::days(20);
        let sandbox = Sandbox::builder().events(EVENTS).period(start(), end).now(end).shuffled(shuffled);
        let sandbox = sandbox.start().await.unwrap();
        let mut follow = client(&sandbox)
            .follow(ListEvents::new(), Checkpoint::at(start()))
            .every(Duration::from_secs(3600))
            .settle(SETTLE);
        let mut seen = BTreeSet::new();
        let mut last = start();
        for item in round(&mut follow).await {
            let event = item.unwrap();
            assert!(event.created() >= last, "oldest first over all rounds");
            last = event.created();
            assert!(seen.insert(event.id().to_owned()));
        }
        assert_eq!(seen.len(), EVENTS);
        let stats = follow.stats();
        assert!(stats.requests < 2 * 40 + 40, "{} requests for 40 pages", stats.requests);
        assert_eq!(stats.events, EVENTS as u64);
    }
}

#[tokio::test]
async fn a_follower_keeps_its_filter_and_refuses_an_end() {
    let sandbox = Sandbox::builder().events(200).period(start(), start() + TimeDelta::minutes(5));
    let sandbox = sandbox.now(start() + TimeDelta::minutes(6)).start().await.unwrap();
    let client = client(&sandbox);
    let query = ListEvents::new().resource(Resource::Memberships).from(start() + TimeDelta::minutes(4));
    let mut follow = client.follow(query.clone(), Checkpoint::at(start())).settle(SETTLE);
    let events = round(&mut follow).await;
    assert!(events.len() > 10);
    assert!(events.iter().all(|event| event.as_ref().unwrap().resource() == &Resource::Memberships));
    assert!(events.iter().any(|event| event.as_ref().unwrap().created() < start() + TimeDelta::minutes(1)));

    let sent = sandbox.counts().lists;
    let mut follow = client.follow(query.to(start() + TimeDelta::days(1)), Checkpoint::at(start()));
    assert!(matches!(within(follow.next()).await, Some(Err(Error::Query(_)))));
    assert!(within(follow.next()).await.is_none());
    assert_eq!(sandbox.counts().lists, sent);
}

#[tokio::test]
async fn an_event_that_is_listed_twice_is_handed_out_once() {
    let service = Service::start(|call| {
        let answer =
            if call.cursor.is_empty() { call.page("a b", Some("2")) } else { call.page("b a c", None) };
        answer.append_header("Date", "Mon, 05 Jan 2026 09:10:00 GMT")
    })
    .await;
    let mut follow = hourly(&service.client(), Checkpoint::at(start()));
    let items = round(&mut follow).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(ids(&items), ["a", "b", "c"]);
}

#[tokio::test]
async fn without_a_date_it_gets_as_far_as_its_latest_event() {
    let service = Served::start(|_, _| http(200, &[], page("a"))).await;
    let client = service.client();
    let mut checkpoint = Checkpoint::at(start());
    assert_eq!(ids(&events(&client, &mut checkpoint).await), ["a"]);
    assert!(checkpoint.settled() <= at("2026-01-05T09:00:00.123Z"));
    assert!(events(&client, &mut checkpoint).await.is_empty());
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_ends_it_like_any_list() {
    let sandbox = Sandbox::builder().events(300).links(When::always(), LinkFault::Foreign);
    let sandbox = sandbox.start().await.unwrap();
    let query = ListEvents::new().page_size(100);
    let mut follow = client(&sandbox).follow(query, Checkpoint::at(Utc::now() - TimeDelta::days(40)));
    let error = within(follow.next()).await.unwrap().unwrap_err();
    assert_eq!(kind(&error), "Link CrossOrigin");
}

#[tokio::test]
async fn nothing_is_sent_before_the_first_poll_and_a_dropped_wait_repeats_nothing() {
    let service = Service::start(|_| refusal(500).set_delay(Duration::from_millis(20))).await;
    let mut follow = service.client().follow(ListEvents::new(), Checkpoint::at(start()));
    support::settle().await;
    assert_eq!(service.count(), 0);
    assert!(follow.next().now_or_never().is_none());
    let error = within(follow.next()).await.unwrap().unwrap_err();
    assert_eq!((kind(&error).as_str(), service.count()), ("Api 500", 10));
}

/// An event created at this time, with so much text.
fn created(id: &str, time: &str, text: usize) -> String {
    let text = "x".repeat(text);
    format!(
        r#"{{"id":"{id}","resource":"messages","type":"created","created":"{time}","data":{{"text":"{text}"}}}}"#
    )
}

#[tokio::test]
async fn a_follower_far_behind_catches_up_without_a_date_too() {
    let items: Vec<_> = (0..15)
        .map(|hour| created(&format!("e{hour:02}"), &format!("2026-01-05T{:02}:30:00Z", hour + 9), 1 << 20))
        .collect();
    let service = Served::start(move |_, _| http(200, &[], body(&items))).await;
    let mut follow = service.client().follow(ListEvents::new(), Checkpoint::at(start())).every(SETTLE);
    let events: Vec<_> = round(&mut follow).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(ids(&events), (0..15).map(|hour| format!("e{hour:02}")).collect::<Vec<_>>());
    assert!(service.targets().len() < 12, "{:?}", service.targets());
}

#[tokio::test]
async fn a_malformed_item_is_given_once_for_as_long_as_it_is_listed() {
    let service = Served::start(|n, _| {
        let date = format!("Mon, 05 Jan 2026 09:{:02}:00 GMT", n + 10);
        http(200, &[("Date", &date)], page("!7"))
    })
    .await;
    let client = service.client();
    let mut checkpoint = Checkpoint::at(start());
    let mut given = 0;
    for _ in 0..20 {
        let mut follow = hourly(&client, checkpoint);
        given += round(&mut follow).await.len();
        checkpoint = follow.checkpoint();
    }
    assert_eq!(given, 1);
}

#[tokio::test]
async fn malformed_items_take_no_more_memory_than_events_when_a_follower_catches_up() {
    const ITEMS: usize = 20_000;
    let end = start() + TimeDelta::days(20);
    let sandbox = Sandbox::builder().events(ITEMS).period(start(), end).now(end);
    let sandbox = sandbox.malformed_every(1).malformed_as([Malformed::UnreadableCreated]);
    let sandbox = sandbox.start().await.unwrap();
    let mut follow = hourly(&client(&sandbox), Checkpoint::at(start()));
    let items = round(&mut follow).await;
    let bytes: usize = items.iter().map(|item| support::label(item).len()).sum();
    assert!(items.len() == ITEMS && bytes > 12 << 20, "{} items of {bytes} bytes", items.len());
    let bounded = sandbox.requests().iter().filter(|request| request.target.contains("to=")).count();
    assert!((10..60).contains(&bounded), "{bounded}");
}
