use super::*;
use crate::error::Code;

fn shared(max_lag: u64) -> (SharedSnapshot, Instant) {
    let shared = SharedSnapshot::new(Some(Duration::from_secs(max_lag)));
    let start = shared.latest().published_at;
    (shared, start)
}

fn lagging(seconds: u64) -> RunSnapshot {
    RunSnapshot { lag: Some(Duration::from_secs(seconds)), ..RunSnapshot::default() }
}

#[test]
fn the_text_of_the_metrics_is_stable() {
    let mut snapshot = RunSnapshot {
        responses: BTreeMap::from([(200, 7), (429, 2)]),
        duplicates: 3,
        lag: Some(Duration::from_millis(1500)),
        open_slices: 4,
        token_expiry: DateTime::from_timestamp(1_800_000_000, 0),
        ..RunSnapshot::default()
    };
    (snapshot.stats.events, snapshot.stats.pages, snapshot.stats.malformed) = (1000, 7, 1);
    (snapshot.stats.retries, snapshot.stats.bytes, snapshot.stats.outside) = (2, 1 << 40, 5);
    snapshot.stats.waited = Duration::from_millis(2250);
    let expected = include_str!("golden.txt").replace("VERSION", env!("CARGO_PKG_VERSION"));
    assert_eq!(text::of(&snapshot, snapshot.lag), expected);
}

#[test]
fn unknown_values_are_left_out() {
    let text = text::of(&RunSnapshot::default(), None);
    assert!(text.contains("webex_events_events_total 0\n"), "{text}");
    assert!(!text.contains("lag") && !text.contains("expiry"), "{text}");
}

#[test]
fn health_fails_above_the_limit_and_recovers() {
    let (shared, start) = shared(300);
    shared.publish(lagging(300), start);
    assert_eq!(shared.health(start), Ok(()));
    shared.publish(lagging(301), start);
    assert_eq!(shared.health(start), Err("reading lags by 301 s, more than 300 s".to_owned()));
    shared.publish(lagging(5), start);
    assert_eq!(shared.health(start), Ok(()));
}

#[test]
fn the_lag_grows_while_no_snapshot_comes() {
    let (shared, start) = shared(300);
    shared.publish(lagging(200), start);
    assert_eq!(shared.health(start + Duration::from_secs(100)), Ok(()));
    assert!(shared.health(start + Duration::from_secs(101)).is_err());
    let text = shared.text(start + Duration::from_secs(50));
    assert!(text.contains("webex_events_lag_seconds 250\n"), "{text}");
}

#[test]
fn without_a_lag_pages_must_keep_coming() {
    let (shared, start) = shared(60);
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(shared.health(at(60)), Ok(()));
    assert_eq!(shared.health(at(61)), Err("no page has arrived for 61 s, more than 60 s".to_owned()));
    let mut snapshot = RunSnapshot::default();
    snapshot.stats.pages = 1;
    shared.publish(snapshot.clone(), at(100));
    // A snapshot without a new page.
    snapshot.stats.requests = 5;
    shared.publish(snapshot, at(150));
    assert_eq!(shared.health(at(160)), Ok(()));
    assert!(shared.health(at(161)).is_err());
}

#[test]
fn without_a_limit_the_run_is_always_healthy() {
    let shared = SharedSnapshot::new(None);
    let start = shared.latest().published_at;
    shared.publish(lagging(1 << 40), start);
    assert_eq!(shared.health(start + Duration::from_secs(1 << 30)), Ok(()));
}

#[tokio::test]
async fn an_address_in_use_is_an_invalid_setting() {
    let watch = Watch { addr: Some(([127, 0, 0, 1], 0).into()), max_lag: None };
    let listener = std::net::TcpListener::bind(watch.addr.unwrap()).unwrap();
    let taken = Watch { addr: Some(listener.local_addr().unwrap()), ..watch.clone() };
    let failure = Metrics::start(&taken).await.unwrap_err();
    assert!(failure.code == Code::Settings && failure.message.contains("--metrics"), "{failure:?}");
    assert!(Metrics::start(&watch).await.is_ok());
}

#[tokio::test]
async fn without_a_server_no_snapshot_is_taken() {
    let metrics = Metrics::start(&Watch::default()).await.unwrap();
    metrics.update(|| panic!("nobody asked"));
}
