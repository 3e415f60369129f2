//! Clocks that are wrong lose nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use futures::{FutureExt, StreamExt};
use proptest::{collection::vec, prelude::*};
use webex_events::{
    Checkpoint, Client, Error, Follow, ListEvents, RetryPolicy,
    internals::{ManualClock, with_clock},
    sandbox::Sandbox,
};

use super::{SETTLE, at, created, events, hourly, ids, live::Live, round, start};
use crate::support::{Served, body, builder, http, kind, page, settle, within};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn follow(client: &Client, checkpoint: Checkpoint) -> Follow {
    client.follow(ListEvents::new(), checkpoint).every(SECOND).settle(SETTLE)
}

/// Reads up to the event with this id, which is the newest of its round. Returns all ids.
async fn read_to(live: &Live, follow: &mut Follow, last: &str) -> Vec<String> {
    let mut read = Vec::new();
    loop {
        match within(follow.next()).await {
            Some(Ok(event)) => {
                read.push(event.id().to_owned());
                if event.id() == last {
                    return read;
                }
            }
            Some(Err(Error::Clock { .. })) => {
                follow.resume();
                live.advance(HOUR / 30);
            }
            other => panic!("{other:?} and not {last}"),
        }
    }
}

/// A new event in each of `rounds` rounds that are `step` apart. Returns whether each was read once.
async fn each_once(live: &Live, follow: &mut Follow, rounds: usize, step: Duration) {
    for n in 0..rounds {
        live.advance(step);
        let late = live.push(step.min(SETTLE) / 2);
        let last = live.push(Duration::ZERO);
        assert_eq!(read_to(live, follow, &last).await, [late, last], "round {n}");
    }
}

#[tokio::test]
async fn one_response_with_a_wrong_date_loses_nothing() {
    for error in [120, 3600, -3600, 100 * 365 * 86_400] {
        let live = Live::begin().await;
        live.truth().single = BTreeMap::from([(7, TimeDelta::seconds(error))]);
        let mut follow = follow(&live.client(), Checkpoint::at(start()));
        each_once(&live, &mut follow, 12, 60 * SECOND).await;
        assert!(follow.checkpoint().settled() <= live.now() - SETTLE, "{error}");
        assert!(follow.lag() < 90 * SECOND, "{error}: {:?}", follow.lag());
    }
}

#[tokio::test]
async fn a_date_that_is_always_wrong_loses_nothing() {
    for error in [61, 360, 3600, -360] {
        let live = Live::begin().await;
        live.truth().date_error = Some(TimeDelta::seconds(error));
        let mut follow = follow(&live.client(), Checkpoint::at(start()));
        each_once(&live, &mut follow, 20, 60 * SECOND).await;
        let settled = follow.checkpoint().settled();
        assert!(settled <= live.now() - SETTLE, "{error}: {settled}");
        assert!(
            settled > live.now() - SETTLE - 12 * 60 * SECOND,
            "{error}: it moves all the same: {settled}"
        );
        assert!(error < 0 || follow.lag() >= Duration::from_secs(error.unsigned_abs()), "{:?}", follow.lag());
    }
}

#[tokio::test]
async fn a_slow_clock_of_this_machine_costs_re_reading_and_nothing_else() {
    let live = Live::begin().await;
    live.set_utc_error(TimeDelta::hours(-2));
    let mut follow = follow(&live.client(), Checkpoint::at(start()));
    each_once(&live, &mut follow, 20, 60 * SECOND).await;
    assert!(follow.lag() >= 19 * 60 * SECOND, "{:?}", follow.lag());
    let target = live.targets().pop().unwrap();
    assert!(target.contains("from=2026-01-05T08%3A59%3A59.999Z"), "{target}");
}

#[tokio::test]
async fn a_fast_clock_of_this_machine_moves_no_mark() {
    let live = Live::begin().await;
    live.set_utc_error(TimeDelta::hours(2));
    let mut follow = follow(&live.client(), Checkpoint::at(start()));
    each_once(&live, &mut follow, 20, 60 * SECOND).await;
    let settled = follow.checkpoint().settled();
    assert!(settled <= live.now() - SETTLE && settled > live.now() - SETTLE - 120 * SECOND, "{settled}");
}

#[tokio::test]
async fn the_lag_grows_while_the_clocks_disagree() {
    let live = Live::begin().await;
    let mut follow = follow(&live.client(), Checkpoint::at(start()));
    each_once(&live, &mut follow, 2, 30 * SECOND).await;
    let before = follow.lag();
    for hour in 1..=10 {
        // No two of these agree.
        live.truth().date_error = Some(TimeDelta::hours(hour));
        let singles =
            (0..3).map(|n| (live.requests() + n, TimeDelta::hours(hour + 100 * i64::try_from(n).unwrap())));
        live.truth().single = singles.collect();
        each_once(&live, &mut follow, 1, 30 * SECOND).await;
    }
    assert!(follow.lag() >= before + 299 * SECOND, "{:?}", follow.lag());
}

#[tokio::test]
async fn a_jump_is_believed_after_three_responses() {
    let live = Live::begin().await;
    let mut follow = follow(&live.client(), Checkpoint::at(start()));
    each_once(&live, &mut follow, 2, 30 * SECOND).await;
    // The machine was suspended: its monotonic clock stood still.
    let hour = live.now() + TimeDelta::hours(1);
    live.advance(SECOND);
    live.truth().date_error = Some(TimeDelta::hours(1));
    live.clock.set_utc(hour);
    let before = live.requests();
    assert!(round_up_to_now(&mut follow, live.requests() + 3, &live).await < SECOND * 3);
    assert_eq!(live.requests() - before, 3);
}

/// Polls until this number of requests was sent and the follower waits. Returns its lag.
async fn round_up_to_now(follow: &mut Follow, requests: usize, live: &Live) -> Duration {
    let waits = std::future::poll_fn(|cx| {
        assert!(follow.poll_next_unpin(cx).is_pending());
        if live.requests() >= requests && follow.is_caught_up() {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    });
    within(waits).await;
    follow.lag()
}

#[tokio::test]
async fn a_checkpoint_ahead_of_the_service_is_a_clock_error_that_says_by_how_much() {
    for ahead in [TimeDelta::minutes(2), TimeDelta::hours(1), TimeDelta::days(7000 * 365)] {
        let live = Live::begin().await;
        let mut follow = follow(&live.client(), Checkpoint::at(start() + ahead));
        let error = within(follow.next()).await.unwrap().unwrap_err();
        assert!(
            error.is_transient() && error.to_string().contains(&ahead.num_seconds().to_string()),
            "{error}"
        );
        let Error::Clock { ahead: by, .. } = error else { panic!("{error}") };
        assert_eq!(by.as_secs(), ahead.num_seconds().unsigned_abs());
        assert_eq!(live.requests(), 3, "three responses confirm it");
        assert!(!follow.is_caught_up() && within(follow.next()).await.is_none());
        follow.resume();
        assert!(follow.next().now_or_never().is_none(), "it waits before the next request");
        settle().await;
        assert_eq!(live.requests(), 3);
        let sent = &live.targets()[0];
        assert!(sent.contains("from=2026-01-05T08%3A59"), "no range of the future is requested: {sent}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_while_it_follows_is_a_clock_error_until_it_has_caught_up() {
    let live = Live::begin().await;
    let mut follow = follow(&live.client(), Checkpoint::at(start()));
    each_once(&live, &mut follow, 10, 60 * SECOND).await;
    live.truth().date_error = Some(TimeDelta::minutes(-10));
    live.advance(SECOND);
    let error = within(follow.next()).await.unwrap().unwrap_err();
    assert_eq!(kind(&error), "Clock");
    live.advance(30 * SECOND);
    assert!(follow.lag() >= 30 * SECOND, "{:?}", follow.lag());
    follow.resume();
    live.advance(10 * 60 * SECOND);
    each_once(&live, &mut follow, 3, 30 * SECOND).await;
}

#[tokio::test]
async fn a_checkpoint_less_than_a_minute_ahead_is_waited_for() {
    let live = Live::begin().await;
    let mut follow = follow(&live.client(), Checkpoint::at(start() + TimeDelta::seconds(50)));
    live.push(Duration::ZERO);
    live.advance(70 * SECOND);
    let last = live.push(Duration::ZERO);
    assert_eq!(read_to(&live, &mut follow, &last).await, [last]);
}

#[tokio::test]
async fn a_start_waits_for_a_service_that_is_unavailable_like_every_later_round() {
    let live = Live::begin().await;
    live.truth().failures = vec![503; 3];
    let client = live.client_with(RetryPolicy::never());
    let mut follow = follow(&client, Checkpoint::at(start()));
    let last = live.push(Duration::ZERO);
    for _ in 0..3 {
        let error = within(follow.next()).await.unwrap().unwrap_err();
        assert!(error.is_transient(), "{error}");
        follow.resume();
        live.advance(60 * SECOND);
    }
    assert_eq!(read_to(&live, &mut follow, &last).await, [last]);
}

/// One step of the property test.
#[derive(Clone, Debug)]
struct Step {
    seconds: u64,
    /// The ages of new events in seconds, up to `settle`.
    ages: Vec<u64>,
    fault: Fault,
    restart: bool,
}

#[derive(Clone, Debug)]
enum Fault {
    /// All clocks are right from now on.
    None,
    /// The `Date` is wrong from now on, or the machine's clock is.
    Constant(i64),
    /// One of the next responses has a wrong `Date`.
    Single {
        response: usize,
        error: i64,
    },
    NoDate,
}

fn fault() -> impl Strategy<Value = Fault> {
    let error = prop_oneof![-7200_i64..7200, Just(3600), Just(61), Just(-61), Just(59), Just(86_400 * 365)];
    prop_oneof![
        2 => Just(Fault::None),
        2 => error.clone().prop_map(Fault::Constant),
        2 => (0_usize..4, error).prop_map(|(response, error)| Fault::Single { response, error }),
        1 => Just(Fault::NoDate),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = prop_oneof![1_u64..60, 1_u64..400, 3000_u64..8000];
    (seconds, vec(0_u64..=300, 0..6), fault(), any::<bool>())
        .prop_map(|(seconds, ages, fault, restart)| Step { seconds, ages, fault, restart })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// One of the two clocks may be wrong in any way, and the machine's clock slow in addition.
    #[test]
    fn no_fault_of_a_clock_loses_or_repeats_an_event(
        steps in vec(step(), 1..25), is_service_wrong in any::<bool>(), whole_seconds in any::<bool>(), slow in 0_i64..300,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let live = Live::begin().await;
            live.truth().whole_seconds = whole_seconds;
            let client = live.client();
            let mut follow = follow(&client, Checkpoint::at(start()));
            let (mut pushed, mut read) = (BTreeSet::new(), Vec::new());
            for step in &steps {
                match (&step.fault, is_service_wrong) {
                    (Fault::None, true) => {
                        live.truth().date_error = Some(TimeDelta::zero());
                        live.set_utc_error(TimeDelta::seconds(-slow));
                    }
                    (Fault::None, false) => live.set_utc_error(TimeDelta::zero()),
                    (Fault::Constant(error), true) => live.truth().date_error = Some(TimeDelta::seconds(*error)),
                    (Fault::Constant(error), false) => live.set_utc_error(TimeDelta::seconds(*error)),
                    (Fault::Single { response, error }, _) if is_service_wrong => {
                        let response = live.requests() + response;
                        live.truth().single.insert(response, TimeDelta::seconds(*error));
                    }
                    (Fault::Single { .. }, _) => {}
                    (Fault::NoDate, _) => live.truth().date_error = None,
                }
                live.advance(Duration::from_secs(step.seconds));
                let oldest = u64::try_from((live.now() - start()).num_seconds()).unwrap();
                for age in &step.ages {
                    pushed.insert(live.push(Duration::from_secs(*age.min(&oldest))));
                }
                let last = live.push(Duration::ZERO);
                pushed.insert(last.clone());
                if step.restart {
                    let stored = serde_json::to_string(&follow.checkpoint()).unwrap();
                    follow = super::clocks::follow(&live.client(), serde_json::from_str(&stored).unwrap());
                }
                read.extend(read_to(&live, &mut follow, &last).await);
            }
            let times = read.iter().fold(BTreeMap::<_, u32>::new(), |mut times, id| {
                *times.entry(id.clone()).or_default() += 1;
                times
            });
            assert!(times.values().all(|&times| times == 1), "repeated: {times:?}");
            assert_eq!(times.into_keys().collect::<BTreeSet<_>>(), pushed);
        });
    }
}

#[tokio::test]
async fn a_service_that_is_far_from_this_machines_time_is_followed_up_to_its_own() {
    // An hour behind this machine's, or a month ahead.
    for now in [Utc::now() - TimeDelta::hours(1), Utc::now() + TimeDelta::days(30)] {
        let sandbox = Sandbox::builder().events(0).now(now).start().await.unwrap();
        let client = super::client(&sandbox);
        let mut checkpoint = Checkpoint::at(now - TimeDelta::hours(2));
        let first = sandbox.push(now - TimeDelta::minutes(1));
        assert_eq!(ids(&events(&client, &mut checkpoint).await), [first]);
        sandbox.advance(Duration::from_secs(60));
        let second = sandbox.push(now + TimeDelta::seconds(1));
        assert_eq!(ids(&events(&client, &mut checkpoint).await), [second]);
        assert!(checkpoint.settled() < sandbox.now());
    }
}

#[tokio::test]
async fn an_event_of_the_future_moves_no_mark() {
    for dates in [true, false] {
        let service = Served::start(move |_, _| {
            let items = ["2026-01-05T09:00:01Z", "3026-01-05T09:00:00Z"].map(|time| created(time, time, 0));
            let dates: &[_] = if dates { &[("Date", "Mon, 05 Jan 2026 09:10:00 GMT")] } else { &[] };
            http(200, dates, body(&items))
        })
        .await;
        let client = service.client();
        let mut follow = hourly(&client, Checkpoint::at(start()));
        assert_eq!(round(&mut follow).await.len(), 2);
        let settled = follow.checkpoint().settled();
        assert!(settled <= at("2026-01-05T09:10:00Z") && settled >= start(), "{settled}");
        assert!(round(&mut hourly(&client, follow.checkpoint())).await.is_empty());
    }
}

#[tokio::test]
async fn a_round_counts_from_the_earliest_of_its_dates() {
    let date = |text: &'static str| Some(text);
    for (first, second, settled) in [
        (date("09:10:50"), date("09:10:00"), "2026-01-05T09:05:00Z"),
        (date("09:10:00"), date("09:10:50"), "2026-01-05T09:05:00Z"),
        // Requested for the second page, it was later than the first page can tell.
        (None, date("12:00:00"), "2026-01-05T09:00:00Z"),
        (date("09:10:00"), None, "2026-01-05T09:05:00Z"),
    ] {
        let service = Served::start(move |n, head| {
            let link = format!("<http://{}/v1/events?cursor=2>; rel=\"next\"", head.header("host").unwrap());
            let date = [first, second][n % 2].map(|time| format!("Mon, 05 Jan 2026 {time} GMT"));
            let mut headers = Vec::new();
            headers.extend(date.as_ref().map(|date| ("Date", &**date)));
            headers.extend((n % 2 == 0).then_some(("Link", &*link)));
            http(200, &headers, page(["a", "b"][n % 2]))
        })
        .await;
        let clock = ManualClock::new(at("2026-01-05T09:10:20Z"));
        let client = with_clock(builder(&service.url()), &clock);
        let mut follow = hourly(&client.build().unwrap(), Checkpoint::at(start()));
        assert_eq!(round(&mut follow).await.len(), 2);
        let reached = follow.checkpoint().settled();
        assert!(reached <= at(settled) && reached >= start(), "{first:?} {second:?}: {reached}");
        assert!(first.is_none() || reached == at(settled), "{first:?} {second:?}: {reached}");
    }
}
