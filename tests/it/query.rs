//! The parameters that a list sends.

use chrono::{DateTime, TimeDelta, Utc};
use webex_events::{EventType, ListEvents, Resource};

use crate::support::{Service, read};

fn pairs(service: &[wiremock::Request]) -> Vec<(String, String)> {
    service[0].url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The parameters that a query sends, sorted.
async fn sent(query: ListEvents) -> Vec<(String, String)> {
    let service = Service::list(&["a"]).await;
    assert_eq!(read(service.client().list(query)).await, ["a"]);
    let mut pairs = pairs(&service.requests().await);
    pairs.sort();
    pairs
}

fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[tokio::test]
async fn every_filter_is_sent() {
    let query = ListEvents::new()
        .resource(Resource::CallRecords)
        .event_type(EventType::Created)
        .actor_id("Y2lz+/=&?# é")
        .from(instant("2026-01-05T09:00:00Z"))
        .to(instant("2026-01-06T09:00:00.5+01:00"))
        .page_size(7)
        .param("hasAttachments", "a b&c=d%")
        .param("empty", "")
        .param("twice", "1")
        .param("twice", "2");
    assert_eq!(
        sent(query).await,
        expected(&[
            ("actorId", "Y2lz+/=&?# é"),
            ("empty", ""),
            ("from", "2026-01-05T09:00:00.000Z"),
            ("hasAttachments", "a b&c=d%"),
            ("max", "7"),
            ("resource", "call_records"),
            ("to", "2026-01-06T08:00:00.500Z"),
            ("twice", "1"),
            ("twice", "2"),
            ("type", "created"),
        ])
    );
    assert_eq!(sent(ListEvents::new()).await, expected(&[("max", "1000")]));
}

#[tokio::test]
async fn a_name_that_is_not_known_is_sent_as_it_is() {
    assert_eq!(
        sent(ListEvents::new().resource("whiteboards").event_type("archived")).await,
        expected(&[("max", "1000"), ("resource", "whiteboards"), ("type", "archived")])
    );
}

#[tokio::test]
async fn from_rounds_down_and_to_up_to_the_millisecond() {
    for (time, from, to) in [
        ("2026-01-05T09:00:00Z", "09:00:00.000Z", "09:00:00.000Z"),
        ("2026-01-05T09:00:00.123Z", "09:00:00.123Z", "09:00:00.123Z"),
        ("2026-01-05T09:00:00.123000001Z", "09:00:00.123Z", "09:00:00.124Z"),
        ("2026-01-05T09:00:00.123999999Z", "09:00:00.123Z", "09:00:00.124Z"),
        ("2026-01-05T08:59:59.999999999Z", "08:59:59.999Z", "09:00:00.000Z"),
        ("1969-12-31T23:59:59.999999999Z", "23:59:59.999Z", "00:00:00.000Z"),
    ] {
        let time = instant(time);
        let sent = sent(ListEvents::new().from(time)).await;
        assert!(sent[0].1.ends_with(from), "{sent:?} for {time}");
        let sent = self::sent(ListEvents::new().to(time)).await;
        assert!(sent[1].1.ends_with(to), "{sent:?} for {time}");
    }
}

#[tokio::test]
async fn a_to_in_the_future_is_sent_as_it_is_and_none_is_made_up() {
    let future = Utc::now() + TimeDelta::days(365);
    let sent = sent(ListEvents::new().to(future)).await;
    let to: DateTime<Utc> = sent[1].1.parse().unwrap();
    assert!((to - future).abs() <= TimeDelta::milliseconds(1));
    assert!(self::sent(ListEvents::new().from(Utc::now())).await.iter().all(|(name, _)| name != "to"));
}

#[tokio::test]
async fn a_list_of_converged_recordings_sends_its_service_type() {
    let recordings = ListEvents::new().resource(Resource::ConvergedRecordings);
    let calling =
        expected(&[("max", "1000"), ("resource", "convergedRecordings"), ("serviceType", "calling")]);
    assert_eq!(sent(recordings.clone()).await, calling);
    assert_eq!(sent(ListEvents::new().resource("convergedRecordings")).await, calling);
    let left = recordings.resource(Resource::Rooms);
    assert_eq!(sent(left).await, expected(&[("max", "1000"), ("resource", "rooms")]));
}

#[tokio::test]
async fn a_later_filter_replaces_an_earlier_one() {
    let query = ListEvents::new().resource("rooms").resource("tabs").page_size(1).page_size(2);
    assert_eq!(sent(query).await, expected(&[("max", "2"), ("resource", "tabs")]));
}

#[tokio::test]
async fn a_window_of_a_nanosecond_is_a_window() {
    let from = instant("2026-01-05T09:00:00.000000001Z");
    let query = ListEvents::new().from(from).to(from + TimeDelta::nanoseconds(1));
    let sent = sent(query).await;
    assert_eq!(sent[0].1, "2026-01-05T09:00:00.000Z");
    assert_eq!(sent[2].1, "2026-01-05T09:00:00.001Z");
}
