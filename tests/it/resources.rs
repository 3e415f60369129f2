//! `get_json`: other resources under the base URL.

use std::{num::NonZeroU32, time::Duration};

use serde_json::Value;
use webex_events::{RateLimit, RetryPolicy};
use wiremock::ResponseTemplate;

use crate::support::{Served, Service, TOKEN, builder, http, kind, ok, refusal, within};

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    display_name: String,
}

#[tokio::test]
async fn a_resource_is_got_with_the_token_and_retries_of_the_client() {
    let service = Service::start(|call| match call.n {
        0 => refusal(503),
        1 => ok(r#"{"displayName":"#),
        _ => ok(r#"{"displayName":"Ada","emails":["ada@example.com"]}"#),
    })
    .await;
    let me: Person = within(service.client().get_json("people/me")).await.unwrap();
    assert_eq!((me.display_name.as_str(), service.count()), ("Ada", 3));
    assert_eq!(service.header("authorization").await, vec![format!("Bearer {TOKEN}"); 3]);
}

#[tokio::test]
async fn a_path_is_sent_byte_for_byte_under_the_base_url() {
    for (path, target) in [
        ("people/me", "/v1/people/me"),
        ("/people/me", "/v1/people/me"),
        ("rooms?max=10&type=group", "/v1/rooms?max=10&type=group"),
        ("events/a%2Fb?x=%20", "/v1/events/a%2Fb?x=%20"),
        ("/a:b", "/v1/a:b"),
        ("a//b", "/v1/a//b"),
    ] {
        let served = Served::start(|_, _| http(200, &[], "[]")).await;
        within(served.client().get_json::<Value>(path)).await.unwrap();
        assert_eq!(served.targets(), [target]);
    }
}

#[tokio::test]
async fn a_path_that_leaves_the_base_url_is_not_sent() {
    let service = Service::start(|_| ok("{}")).await;
    for path in [
        "",
        "/",
        "//example.com/x",
        "https://example.com/x",
        "http:x",
        "a:b",
        "..",
        "../v2/rooms",
        "rooms/../../v2",
        "rooms/%2e%2e/%2E%2e/v2",
        ".",
        "?max=5",
        "#top",
        "rooms#top",
        "\\\\example.com\\x",
        "rooms\\..\\..\\x",
        "rooms/a b",
        "rooms/\t/x",
        "\nrooms",
        "rooms/é",
    ] {
        let refused = within(service.client().get_json::<Value>(path)).await.unwrap_err();
        assert_eq!(kind(&refused), "Query", "{path:?}");
    }
    let long = format!("rooms/{}", "a".repeat(70_000));
    assert_eq!(kind(&within(service.client().get_json::<Value>(&long)).await.unwrap_err()), "Query");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn an_id_that_is_too_long_to_be_sent_is_an_invalid_query() {
    let service = Service::start(|_| ok("{}")).await;
    let refused = within(service.client().get(&"a".repeat(70_000))).await.unwrap_err();
    assert_eq!((kind(&refused), service.count()), ("Query".to_owned(), 0));
    assert!(refused.to_string().len() < 300, "{refused}");
}

#[tokio::test]
async fn json_of_another_form_is_an_error_without_a_retry() {
    for text in [r#"{"id":"s3cret"}"#, "null", "[", "<html>"] {
        let service = Service::start(move |_| ok(text).append_header("TrackingID", "T_1")).await;
        let client = builder(&service.url()).retry(RetryPolicy::never()).build().unwrap();
        let refused = within(client.get_json::<u64>("people/me")).await.unwrap_err();
        let expected = if text == "[" { "Transport" } else { "Decode 200" };
        assert_eq!((kind(&refused), service.count()), (expected.to_owned(), 1), "{text}");
    }
}

#[tokio::test]
async fn other_responses_are_the_errors_of_any_request() {
    for status in [204, 302, 404] {
        let service = Service::start(move |_| ResponseTemplate::new(status)).await;
        let refused = within(service.client().get_json::<Value>("people/me")).await.unwrap_err();
        assert_eq!(refused.status(), Some(status));
        assert_eq!(service.client().responses().len(), 0);
    }
}

#[tokio::test]
async fn a_resource_is_requested_at_the_pace_of_the_client() {
    let service = Service::start(|_| ok("{}")).await;
    let pace = RateLimit::per_second(NonZeroU32::new(10).unwrap());
    let client = builder(&service.url()).rate_limit(pace).build().unwrap();
    for _ in 0..3 {
        within(client.get_json::<Value>("people/me")).await.unwrap();
    }
    let arrivals = service.arrivals();
    assert!(arrivals[2] - arrivals[0] >= Duration::from_millis(150));
    assert_eq!(client.responses().get(&200), Some(&3));
}
