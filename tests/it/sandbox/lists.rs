//! Lists of the sandbox: order, pages, filters, bounds and refused parameters.

use std::{collections::HashSet, time::Duration};

use chrono::TimeDelta;
use sha2::{Digest, Sha256};
use webex_events::{EventType, Resource, sandbox::Bounds};

use super::{all_pages, get, ids, json, list, next, noon, refusal, small, start, try_get};

#[tokio::test]
async fn a_list_gives_every_event_once_in_full_pages() {
    let sandbox = start(small()).await;
    let pages = all_pages(&sandbox, "max=30").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [30, 30, 30, 10]);
    assert_eq!(pages.concat(), sandbox.event_ids());
    assert_eq!(pages.concat().into_iter().collect::<HashSet<_>>().len(), 100);
}

#[tokio::test]
async fn a_last_page_that_is_full_has_no_next_link() {
    let sandbox = start(small()).await;
    assert_eq!(all_pages(&sandbox, "max=50").await.len(), 2);
}

#[tokio::test]
async fn a_page_has_100_events_by_default() {
    let sandbox = start(small().events(101)).await;
    assert_eq!(list(&sandbox, "").await.len(), 100);
}

#[tokio::test]
async fn the_same_settings_give_the_same_bytes() {
    let body = async |builder| get(&start(builder).await, "/events").await.text().await.unwrap();
    let first = body(small()).await;
    assert_eq!(first, body(small()).await);
    assert_ne!(first, body(small().seed(8)).await);
}

/// A change of these sums changes the events of every sandbox, and must be named in the changelog.
#[tokio::test]
async fn the_bytes_of_a_page_and_of_an_event_are_the_same_in_every_version() {
    let sandbox = start(small().events(200)).await;
    let sha256 =
        async |path: &str| format!("{:x}", Sha256::digest(get(&sandbox, path).await.bytes().await.unwrap()));
    assert_eq!(
        sha256("/events?max=200").await,
        "fab5dcc01ddabc6e5f674236b151c0e0fa89d8e618ddf2a88bc62e2136b383a0"
    );
    assert_eq!(
        sha256(&format!("/events/{}", sandbox.event_ids()[0])).await,
        "71bcf75f44f3005c3f366862197da3533196f9b57c64933847b1103264f574f8"
    );
}

#[tokio::test]
async fn pages_have_the_texts_that_the_sandbox_holds() {
    let sandbox = start(small().malformed_every(9).field_errors_every(7)).await;
    let mut items = Vec::new();
    sandbox.for_each_item(|item| items.push(item.to_owned()));
    let body = get(&sandbox, "/events").await.text().await.unwrap();
    assert_eq!(body, format!("{{\"items\":[{}]}}", items.join(",")));
}

#[tokio::test]
async fn events_are_of_every_resource_and_type() {
    let sandbox = start(small()).await;
    let page = json(get(&sandbox, "/events").await).await;
    let names = |key: &str| {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item[key].as_str().unwrap().to_owned()).collect::<HashSet<_>>()
    };
    assert_eq!((names("resource").len(), names("type").len()), (13, 5));
    assert!(names("resource").iter().all(|name| Resource::KNOWN.contains(&name.as_str().into())));
    assert!(names("type").iter().all(|name| EventType::KNOWN.contains(&name.as_str().into())));
}

#[tokio::test]
async fn filters_narrow_every_page() {
    let sandbox = start(small()).await;
    let all = json(get(&sandbox, "/events").await).await;
    let actor = all["items"][30]["actorId"].as_str().unwrap();
    for (query, key, value) in [
        ("resource=messages".to_owned(), "resource", "messages"),
        ("type=deleted".to_owned(), "type", "deleted"),
        (format!("actorId={actor}"), "actorId", actor),
    ] {
        let fits = all["items"].as_array().unwrap().iter().filter(|item| item[key] == value);
        let expected: Vec<_> = fits.map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(all_pages(&sandbox, &format!("{query}&max=3")).await.concat(), expected);
    }
}

#[tokio::test]
async fn bounds_determine_whether_an_event_at_a_bound_is_listed() {
    let instants = ["2026-01-05T10:00:00Z", "2026-01-05T10:00:01Z", "2026-01-05T10:00:02Z"];
    for (bounds, expected) in [(Bounds::HalfOpen, 2), (Bounds::Inclusive, 3), (Bounds::Exclusive, 1)] {
        let sandbox = start(small().events(0).bounds(bounds)).await;
        for instant in instants {
            sandbox.push(instant.parse().unwrap());
        }
        let query = format!("from={}&to={}", instants[0], instants[2]);
        assert_eq!(list(&sandbox, &query).await.len(), expected, "{bounds:?}");
    }
}

#[tokio::test]
async fn a_list_keeps_the_window_that_it_began_with() {
    let sandbox = start(small().late_events(5)).await;
    let first = get(&sandbox, "/events?max=60").await;
    let link = next(&first).unwrap();
    assert!(link.contains("&from=2026-01-0") && link.contains("&to=2026-01-05T12%3A00%3A00.000Z&max=60"));
    let expected = sandbox.event_ids().split_off(60);
    sandbox.release_late(5);
    sandbox.push(noon() - TimeDelta::hours(20));
    sandbox.advance(Duration::from_secs(60));
    sandbox.push(noon() + TimeDelta::seconds(1));
    assert_eq!(ids(&json(try_get(&sandbox, &link).await.unwrap()).await), expected);
    assert_eq!(list(&sandbox, "max=1000").await.len(), 107);
}

#[tokio::test]
async fn a_shuffled_list_gives_every_event_once() {
    let sandbox = start(small().shuffled(true)).await;
    let shuffled = all_pages(&sandbox, "max=9").await.concat();
    let sorted = start(small()).await.event_ids();
    assert_ne!(shuffled, sorted);
    assert_eq!(HashSet::<String>::from_iter(shuffled), HashSet::from_iter(sorted));
}

#[tokio::test]
async fn events_of_the_future_arrive_as_the_clock_advances() {
    let sandbox = start(small().period(noon(), noon() + TimeDelta::hours(1))).await;
    assert_eq!(list(&sandbox, "").await.len(), 0);
    sandbox.advance(Duration::from_secs(3600));
    assert_eq!(list(&sandbox, "").await.len(), 100);
}

#[tokio::test]
async fn values_out_of_bounds_are_refused() {
    let sandbox = start(small()).await;
    for (query, reason) in [
        ("max=0", "max"),
        ("max=1001", "max"),
        ("max=many", "max"),
        ("from=yesterday", "from"),
        ("to=2026-13-01T00:00:00Z", "to"),
        ("to=2026-01-05T12:00:00.001Z", "future"),
        ("from=2026-01-05T11:00:00Z&to=2026-01-05T10:00:00Z", "later than"),
        ("resource=mesages", "resource"),
        ("type=create", "type"),
        ("actorId=", "actorId"),
        ("resource=convergedRecordings", "serviceType"),
        ("serviceType=texting", "serviceType"),
        ("cursor=nonsense", "cursor"),
    ] {
        let (status, message) = refusal(&sandbox, &format!("/events?{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(message.contains("400 Bad Request") && message.contains(reason), "{query}: {message}");
    }
}

#[tokio::test]
async fn recordings_are_listed_with_their_service_type() {
    let sandbox = start(small()).await;
    assert!(!list(&sandbox, "resource=convergedRecordings&serviceType=calling&unknown=1").await.is_empty());
}

#[tokio::test]
async fn a_next_link_must_be_followed_as_it_is() {
    let sandbox = start(small()).await;
    let link = next(&get(&sandbox, "/events?max=10&resource=messages").await).unwrap();
    for altered in [link.replace("max=10", "max=20"), link.replace("&resource=messages", "")] {
        assert_eq!(try_get(&sandbox, &altered).await.unwrap().status(), 400);
    }
    assert_eq!(try_get(&sandbox, &link).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_list_too_far_back_is_refused_in_the_services_words() {
    let sandbox = start(small().retention(90)).await;
    let (status, message) = refusal(&sandbox, "/events?from=2025-10-07T11:59:59Z").await;
    assert_eq!(status, 403);
    assert!(message.contains("error = 'User is only authorized to search within past 90 days.'"));
    assert_eq!(list(&sandbox, "from=2025-10-07T12:00:00Z").await.len(), 100);
}
