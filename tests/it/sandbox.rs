//! The sandbox, over HTTP.
#![cfg(feature = "sandbox")]

mod faults;
mod lists;

use std::{net::SocketAddr, sync::LazyLock, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use webex_events::{
    Error,
    sandbox::{self, Route, Sandbox, SandboxBuilder, StartErrorKind, When},
};

/// Keeps no connection, since each test has a runtime of its own.
static HTTP: LazyLock<Client> =
    LazyLock::new(|| Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap());

fn noon() -> DateTime<Utc> {
    "2026-01-05T12:00:00Z".parse().unwrap()
}

/// A hundred events of the day before noon, at which the clock is stopped.
fn small() -> SandboxBuilder {
    Sandbox::builder().events(100).seed(7).now(noon()).period(noon() - TimeDelta::days(1), noon())
}

async fn start(builder: SandboxBuilder) -> Sandbox {
    builder.start().await.unwrap()
}

async fn try_get(sandbox: &Sandbox, url: &str) -> reqwest::Result<Response> {
    HTTP.get(url).bearer_auth(sandbox.token()).send().await
}

async fn get(sandbox: &Sandbox, path: &str) -> Response {
    try_get(sandbox, &format!("{}{path}", sandbox.base_url())).await.unwrap()
}

async fn json(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn refusal(sandbox: &Sandbox, path: &str) -> (u16, String) {
    let response = get(sandbox, path).await;
    (response.status().as_u16(), json(response).await["message"].as_str().unwrap().to_owned())
}

fn header(response: &Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

fn links(response: &Response) -> Vec<String> {
    response.headers().get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect()
}

/// The target of a plain next link.
fn next(response: &Response) -> Option<String> {
    let links = links(response);
    let link = links.first()?.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    Some(link.to_owned())
}

fn ids(page: &Value) -> Vec<String> {
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap_or("").to_owned())
        .collect()
}

async fn list(sandbox: &Sandbox, query: &str) -> Vec<String> {
    ids(&json(get(sandbox, &format!("/events?{query}")).await).await)
}

/// The ids of each page.
async fn all_pages(sandbox: &Sandbox, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut url = Some(format!("{}/events?{query}", sandbox.base_url()));
    while let Some(page) = url {
        let response = try_get(sandbox, &page).await.unwrap();
        assert_eq!(response.status(), 200);
        url = next(&response);
        pages.push(ids(&json(response).await));
    }
    pages
}

async fn refresh(sandbox: &Sandbox, refresh_token: &str) -> Response {
    let form = format!(
        "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={refresh_token}",
        sandbox.client_id(),
        sandbox.client_secret(),
    );
    HTTP.post(format!("{}/access_token", sandbox.base_url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap()
}

async fn status_with(sandbox: &Sandbox, token: &str) -> u16 {
    let request = HTTP.get(format!("{}/events", sandbox.base_url()));
    request.bearer_auth(token).send().await.unwrap().status().as_u16()
}

// Single events.

#[tokio::test]
async fn an_event_is_found_by_its_id() {
    let sandbox = start(small()).await;
    let id = &sandbox.event_ids()[42];
    let encoded = id.replace('Y', "%59");
    let text = get(&sandbox, &format!("/events/{encoded}")).await.text().await.unwrap();
    assert_eq!(Some(text), sandbox.event_text(id));
}

#[tokio::test]
async fn an_unknown_event_is_404() {
    let sandbox = start(small()).await;
    let elsewhere = start(small().seed(8)).await;
    for id in ["nonsense", &elsewhere.event_ids()[0], "%00"] {
        assert_eq!(refusal(&sandbox, &format!("/events/{id}")).await.0, 404);
    }
}

#[tokio::test]
async fn own_events_are_returned_byte_for_byte() {
    let sandbox = start(small()).await;
    let text =
        r#"{ "created": "2026-01-05T11:59:59.999Z", "id": "a/b c", "resource": "whiteboards", "type": "x" }"#;
    assert_eq!(sandbox.push_json(text).unwrap(), "a/b c");
    assert_eq!(get(&sandbox, "/events/a%2Fb%20c").await.text().await.unwrap(), text);
    assert_eq!(list(&sandbox, "resource=whiteboards").await, ["a/b c"]);
    assert!(sandbox.event_ids().contains(&"a/b c".to_owned()));
    assert!(matches!(sandbox.push_json(text), Err(Error::Config(_))));
    assert!(matches!(sandbox.push_json("{}"), Err(Error::Config(_))));
}

#[tokio::test]
async fn late_events_arrive_when_they_are_released() {
    let sandbox = start(small().late_events(3)).await;
    let ids = sandbox.release_late(2);
    assert_eq!((ids.len(), sandbox.late_events()), (2, 1));
    let listed = list(&sandbox, "max=1000").await;
    assert!(ids.iter().all(|id| listed.contains(id)) && listed.len() == 102);
}

#[tokio::test]
async fn late_events_arrive_after_lists() {
    let sandbox = start(small().late_events(3).late_every(2)).await;
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(list(&sandbox, "max=1000").await.len());
    }
    assert_eq!(counts, [100, 100, 101, 101, 102]);
}

// Responses and tokens.

#[tokio::test]
async fn a_response_has_the_headers_of_the_service() {
    let sandbox = start(small()).await;
    let (first, second) = (get(&sandbox, "/events").await, get(&sandbox, "/events").await);
    assert_eq!(header(&first, "content-type"), "application/json;charset=UTF-8");
    assert_eq!(header(&first, "date"), "Mon, 05 Jan 2026 12:00:00 GMT");
    assert!(header(&first, "trackingid").starts_with("ROUTER_"));
    assert_ne!(header(&first, "trackingid"), header(&second, "trackingid"));
}

#[tokio::test]
async fn a_request_without_a_good_token_is_401() {
    let sandbox = start(small()).await;
    assert_eq!(status_with(&sandbox, "other").await, 401);
    let response = HTTP.get(format!("{}/events", sandbox.base_url())).send().await.unwrap();
    let id = header(&response, "trackingid");
    let text = "The request requires a valid access token set in the Authorization request header.";
    assert_eq!(
        json(response).await,
        json!({"message": text, "errors": [{"description": text}], "trackingId": id})
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let sandbox = start(small()).await;
    assert_eq!(refusal(&sandbox, "/people").await.0, 404);
    assert_eq!(refusal(&sandbox, "/access_token").await.0, 405);
    let response = HTTP.post(format!("{}/events", sandbox.base_url())).send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "allow")), (405, "GET".to_owned()));
}

#[tokio::test]
async fn a_grant_gives_another_token() {
    let sandbox = start(small().token_lifetime(Duration::from_secs(3600))).await;
    let refresh_token = sandbox.refresh_token().unwrap();
    let reply = json(refresh(&sandbox, &refresh_token).await).await;
    assert_eq!((&reply["expires_in"], &reply["refresh_token"]), (&json!(3600), &json!(refresh_token)));
    let token = reply["access_token"].as_str().unwrap();
    assert_ne!(token, sandbox.token());
    assert_eq!([status_with(&sandbox, token).await, status_with(&sandbox, sandbox.token()).await], [200; 2]);
}

#[tokio::test]
async fn a_refresh_token_can_be_good_for_one_grant() {
    let sandbox = start(small().rotate_refresh_tokens(true)).await;
    let first = sandbox.refresh_token().unwrap();
    let reply = json(refresh(&sandbox, &first).await).await;
    assert_eq!(reply["refresh_token"], json!(sandbox.refresh_token()));
    assert_eq!(refresh(&sandbox, &first).await.status(), 400);
    assert_eq!(refresh(&sandbox, reply["refresh_token"].as_str().unwrap()).await.status(), 200);
    sandbox.revoke_refresh_token();
    assert_eq!(refresh(&sandbox, &first).await.status(), 400);
}

#[tokio::test]
async fn a_grant_needs_its_client() {
    let sandbox = start(small().oauth_client("c", "s").refresh_token("r")).await;
    let post = async |form: &'static str| {
        let url = format!("{}/access_token", sandbox.base_url());
        HTTP.post(url).body(form).send().await.unwrap().status().as_u16()
    };
    let good = "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=r";
    assert_eq!(post(good).await, 200);
    assert_eq!(post("grant_type=refresh_token&client_id=c&client_secret=x&refresh_token=r").await, 401);
    assert_eq!(post("grant_type=password").await, 400);
}

#[tokio::test]
async fn tokens_expire_and_are_revoked() {
    let sandbox = start(small().token("mine").token_lifetime(Duration::from_secs(60))).await;
    assert_eq!(status_with(&sandbox, "mine").await, 200);
    sandbox.advance(Duration::from_secs(60));
    assert_eq!(status_with(&sandbox, "mine").await, 401);
    sandbox.set_token("new");
    assert_eq!(status_with(&sandbox, "new").await, 200);
    sandbox.revoke_tokens();
    assert_eq!(status_with(&sandbox, "new").await, 401);
}

#[tokio::test]
async fn bodies_are_compressed_for_clients_that_accept_it() {
    let sandbox = start(small().gzip(true)).await;
    let plain = Client::builder().no_gzip().no_proxy().build().unwrap();
    let url = format!("{}/events", sandbox.base_url());
    let response = plain.get(&url).bearer_auth(sandbox.token()).header("accept-encoding", "br, gzip");
    let response = response.send().await.unwrap();
    assert_eq!(header(&response, "content-encoding"), "gzip");
    assert!(response.bytes().await.unwrap().starts_with(&[0x1f, 0x8b]));
    let response = plain.get(&url).bearer_auth(sandbox.token()).send().await.unwrap();
    assert!(!response.headers().contains_key("content-encoding"));
    assert_eq!(list(&sandbox, "").await.len(), 100);
}

// Start and end.

#[tokio::test]
async fn requests_are_counted_and_remembered() {
    let sandbox = start(small().log_capacity(2)).await;
    get(&sandbox, "/events?max=3").await;
    get(&sandbox, "/events/x").await;
    HTTP.get(format!("{}/events?a=%20b", sandbox.base_url())).send().await.unwrap();
    let counts = sandbox.counts();
    assert_eq!((counts.requests, counts.lists, counts.gets, counts.items), (3, 2, 1, 3));
    assert_eq!((counts.succeeded, counts.unauthorized), (1, 1));
    let [event, list] = &sandbox.requests()[..] else { panic!("two are kept") };
    assert_eq!((event.route, event.authorized, event.status), (Route::Event, true, Some(404)));
    assert_eq!((&*list.target, list.authorized, list.status), ("/v1/events?a=%20b", false, Some(401)));
}

#[tokio::test]
async fn a_dropped_sandbox_closes_its_port_and_connections() {
    let sandbox = start(small().latency(When::always(), Duration::from_secs(3600))).await;
    let (address, url) = (sandbox.local_addr(), format!("{}/events", sandbox.base_url()));
    let pending = tokio::spawn(HTTP.get(url).send());
    while tokio::net::TcpStream::connect(address).await.is_err() {}
    tokio::task::yield_now().await;
    drop(sandbox);
    assert!(pending.await.unwrap().is_err());
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn invalid_settings_are_refused() {
    let everywhere: SocketAddr = ([0, 0, 0, 0], 0).into();
    for builder in [
        small().addr(everywhere),
        small().period(noon(), noon()),
        small().events(usize::MAX),
        small().addr(start(small()).await.local_addr()).addr(([192, 0, 2, 1], 0).into()),
    ] {
        assert!(matches!(builder.start().await, Err(Error::Config(_))));
    }
    let taken = start(small()).await;
    assert!(matches!(small().addr(taken.local_addr()).start().await, Err(Error::Config(_))));
}

#[tokio::test]
async fn an_error_of_starting_names_the_wrong_setting() {
    let taken = start(small()).await;
    for (builder, kind) in [
        (small().addr(([0, 0, 0, 0], 0).into()), StartErrorKind::Address),
        (small().addr(taken.local_addr()), StartErrorKind::Listen),
        (small().period(noon(), noon()), StartErrorKind::Period),
        (small().events(usize::MAX), StartErrorKind::Events),
    ] {
        let error = builder.try_start().await.unwrap_err();
        assert_eq!(
            (error.kind(), std::error::Error::source(&error).is_some()),
            (kind, kind == StartErrorKind::Listen)
        );
        let text = error.to_string();
        assert!(matches!(Error::from(error), Error::Config(config) if config.starts_with(&text)));
    }
}

#[test]
fn public_types_can_be_shared() {
    fn shared<T: Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<Sandbox>();
    shared::<SandboxBuilder>();
    shared::<When>();
    shared::<sandbox::Response>();
}
