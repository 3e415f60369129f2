//! The sandbox, over HTTP.
#![cfg(feature = "sandbox")]

use std::{collections::HashSet, net::SocketAddr, sync::LazyLock, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use webex_events::{
    Error, EventType, Resource,
    sandbox::{self, Bounds, LinkFault, Malformed, Route, Sandbox, SandboxBuilder, StartErrorKind, When},
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

// Lists.

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
async fn bounds_say_whether_instants_are_in() {
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
async fn events_of_ones_own_are_given_as_they_are() {
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
async fn bodies_are_packed_for_those_who_accept_it() {
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

// Faults.

#[tokio::test]
async fn too_many_requests_are_told_to_wait() {
    let sandbox = start(small().rate_limit(2, Duration::from_secs(3600))).await;
    assert_eq!([list(&sandbox, "max=1").await.len(), list(&sandbox, "max=1").await.len()], [1, 1]);
    let response = get(&sandbox, "/events").await;
    assert_eq!(
        (response.status().as_u16(), header(&response, "content-type")),
        (429, "text/html".to_owned())
    );
    assert!((3000..=3600).contains(&header(&response, "retry-after").parse::<u32>().unwrap()));
    sandbox.rate_limit_header("rand(30),add(30)");
    assert_eq!(header(&get(&sandbox, "/events").await, "retry-after"), "rand(30),add(30)");
    sandbox.rate_limit(0, Duration::ZERO);
    assert_eq!(get(&sandbox, "/events").await.status(), 200);
}

#[tokio::test]
async fn chosen_requests_get_another_response() {
    let sandbox = start(small().fail(When::at([1]), sandbox::Response::status(503).retry_after(7))).await;
    sandbox.fail(When::at([2]), sandbox::Response::status(200).body("text/plain", "hello"));
    assert_eq!(get(&sandbox, "/events").await.status(), 200);
    let response = get(&sandbox, "/events").await;
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, "7".to_owned()));
    assert_eq!(json(response).await["message"], "Service Unavailable");
    assert_eq!(get(&sandbox, "/events").await.text().await.unwrap(), "hello");
}

#[tokio::test]
async fn faults_can_be_set_for_other_routes_and_cleared() {
    let sandbox = start(small()).await;
    sandbox.fail(When::always().on(Route::AccessToken), sandbox::Response::status(500));
    sandbox.fail(When::always().on(Route::Event), sandbox::Response::status(502));
    assert_eq!(refresh(&sandbox, "").await.status(), 500);
    assert_eq!(header(&get(&sandbox, "/events/x").await, "content-type"), "text/html");
    assert_eq!(get(&sandbox, "/events").await.status(), 200);
    sandbox.clear_faults();
    assert_eq!(get(&sandbox, "/events/x").await.status(), 404);
}

#[tokio::test]
async fn a_response_can_be_late() {
    let sandbox = start(small().latency(When::next(1), Duration::from_millis(50))).await;
    let asked = std::time::Instant::now();
    get(&sandbox, "/events").await;
    assert!(asked.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_date_can_be_wrong_now_and_then() {
    let sandbox = start(small().wrong_dates(When::at([1]), TimeDelta::hours(1))).await;
    sandbox.wrong_dates(When::at([2]), TimeDelta::hours(-2));
    sandbox.wrong_dates(When::at([3]), TimeDelta::MAX);
    let mut dates = Vec::new();
    for _ in 0..4 {
        let response = get(&sandbox, "/events").await;
        let date = DateTime::parse_from_rfc2822(&header(&response, "date")).unwrap();
        dates.push(date.to_utc());
        assert_eq!(json(response).await["items"].as_array().unwrap().len(), 100, "nothing else is wrong");
    }
    let latest = "9999-12-31T23:59:59Z".parse().unwrap();
    assert_eq!(dates, [noon(), noon() + TimeDelta::hours(1), noon() - TimeDelta::hours(2), latest]);
}

#[tokio::test]
async fn a_fault_can_be_of_one_slice() {
    let sandbox = start(small()).await;
    sandbox.fail(When::always().covering(noon() - TimeDelta::hours(3)), sandbox::Response::status(400));
    for (query, status) in [
        ("from=2026-01-05T10:00:00Z", 200),
        ("from=2026-01-05T06:00:00Z&to=2026-01-05T08:00:00Z", 200),
        ("from=2026-01-05T08:00:00Z&to=2026-01-05T10:00:00Z", 400),
        ("from=2026-01-05T08:00:00Z", 200),
        ("", 200),
    ] {
        assert_eq!(get(&sandbox, &format!("/events?{query}")).await.status(), status, "{query}");
    }
}

#[tokio::test]
async fn a_connection_can_be_closed_without_a_response() {
    // The HTTP client itself retries once on a connection that closed early.
    let sandbox = start(small().drop_connections(When::next(5))).await;
    let error = try_get(&sandbox, &format!("{}/events", sandbox.base_url())).await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    assert!(sandbox.counts().dropped >= 1);
}

#[tokio::test]
async fn a_body_can_be_cut_off() {
    for fraction in [0.0, 0.5, 1.0] {
        let sandbox = start(small().cut_bodies(When::next(1), fraction)).await;
        let response = get(&sandbox, "/events").await;
        assert_eq!((response.status().as_u16(), response.content_length().is_some()), (200, true));
        assert!(response.bytes().await.is_err());
        assert_eq!(list(&sandbox, "").await.len(), 100);
    }
}

#[tokio::test]
async fn a_slow_body_is_complete() {
    let sandbox = start(small().slow_bodies(When::next(1), 1_000_000)).await;
    let asked = std::time::Instant::now();
    let length = get(&sandbox, "/events").await.bytes().await.unwrap().len();
    assert!(length > 60_000 && asked.elapsed() >= Duration::from_millis(40));
}

#[tokio::test]
async fn chosen_items_are_no_events() {
    let sandbox = start(small().malformed_at([2]).malformed_every(10).malformed_as([Malformed::Null])).await;
    let page = json(get(&sandbox, "/events").await).await;
    let nulls = page["items"].as_array().unwrap().iter().enumerate().filter(|(_, item)| item.is_null());
    let expected = [2].into_iter().chain((9..100).step_by(10));
    assert!(nulls.map(|(index, _)| index).eq(expected));
}

#[tokio::test]
async fn chosen_events_have_field_errors() {
    let sandbox = start(small().field_errors_every(1)).await;
    let page = json(get(&sandbox, "/events?resource=messages&type=created").await).await;
    let item = &page["items"][0];
    assert_eq!(item["errors"]["text"]["code"], "kms_failure");
    assert!(item["data"]["text"].as_str().unwrap().starts_with("eyJ"));
    let whole = json(get(&sandbox, &format!("/events/{}", item["id"].as_str().unwrap())).await).await;
    assert!(whole.get("errors").is_none());
}

#[tokio::test]
async fn empty_pages_stand_between_others() {
    let sandbox = start(small().empty_pages(2)).await;
    let pages = all_pages(&sandbox, "max=50").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 0, 0, 50]);
}

#[tokio::test]
async fn empty_pages_can_be_endless() {
    let sandbox = start(small().endless_empty_pages(true)).await;
    let mut seen = HashSet::new();
    let mut url = next(&get(&sandbox, "/events?max=50").await).unwrap();
    for _ in 0..20 {
        let response = try_get(&sandbox, &url).await.unwrap();
        assert!(seen.insert(url));
        url = next(&response).unwrap();
        assert!(ids(&json(response).await).is_empty());
    }
    sandbox.endless_empty_pages(false);
    assert_eq!(ids(&json(try_get(&sandbox, &url).await.unwrap()).await).len(), 50);
}

#[tokio::test]
async fn a_list_can_end_with_an_empty_page() {
    let sandbox = start(small().trailing_empty_page(true)).await;
    assert_eq!(all_pages(&sandbox, "max=50").await.last(), Some(&Vec::new()));
}

#[tokio::test]
async fn links_can_be_unusual() {
    let sandbox = start(small()).await;
    let good = next(&get(&sandbox, "/events?max=10").await).unwrap();
    let path = good.split_once("/v1").unwrap().1.to_owned();
    let first = "rel=\"first\"";
    for (fault, expected) in [
        (LinkFault::Foreign, vec![format!("<https://webexapis.invalid/v1{path}>; rel=\"next\"")]),
        (
            LinkFault::Origin("http://127.0.0.1:9".into()),
            vec![format!("<http://127.0.0.1:9/v1{path}>; rel=\"next\"")],
        ),
        (LinkFault::Malformed, vec![format!("<{good}; rel=\"next\"")]),
        (LinkFault::NullMax, vec![format!("<{}>; rel=\"next\"", good.replace("max=10", "max=null"))]),
        (LinkFault::Relative, vec![format!("</v1{path}>; rel=\"next\"")]),
        (LinkFault::Unquoted, vec![format!("<{good}>;REL=NEXT")]),
    ] {
        sandbox.clear_faults();
        sandbox.links(When::next(1), fault);
        assert_eq!(links(&get(&sandbox, "/events?max=10").await), expected);
    }
    sandbox.clear_faults();
    sandbox.links(When::at([0]), LinkFault::Ambiguous);
    sandbox.links(When::at([1]), LinkFault::Joined);
    sandbox.links(When::at([2]), LinkFault::SeparateLines);
    let ambiguous = links(&get(&sandbox, "/events?max=10").await);
    assert_eq!((ambiguous.len(), ambiguous[0].matches("rel=\"next\"").count()), (1, 2));
    let joined = links(&get(&sandbox, "/events?max=10").await);
    assert!(joined.len() == 1 && joined[0].contains(first) && joined[0].contains(&good));
    let lines = links(&get(&sandbox, "/events?max=10").await);
    assert!(lines.len() == 2 && lines[0].contains(first) && lines[1].contains(&good));
}

#[tokio::test]
async fn links_can_lead_back_to_the_same_urls() {
    let sandbox = start(small().links(When::at([3]), LinkFault::Cycle(2))).await;
    let mut urls = vec![format!("{}/events?max=10", sandbox.base_url())];
    for _ in 0..4 {
        let response = try_get(&sandbox, urls.last().unwrap()).await.unwrap();
        urls.push(next(&response).unwrap());
    }
    assert_eq!(urls[4], urls[1]);
    sandbox.clear_faults();
    sandbox.links(When::always(), LinkFault::Cycle(0));
    assert_eq!(next(&try_get(&sandbox, &urls[2]).await.unwrap()).unwrap(), urls[2]);
}

#[tokio::test]
async fn cursors_expire_by_use_by_age_and_immediately() {
    let sandbox = start(small().cursor_uses(1).cursor_status(410)).await;
    let fresh = async || next(&get(&sandbox, "/events?max=10").await).unwrap();
    let status = async |url: &str| try_get(&sandbox, url).await.unwrap().status().as_u16();
    let used = fresh().await;
    assert_eq!([status(&used).await, status(&used).await], [200, 410]);

    sandbox.clear_faults();
    sandbox.cursor_lifetime(Duration::from_secs(60));
    let old = fresh().await;
    assert_eq!(status(&old).await, 200);
    sandbox.advance(Duration::from_secs(60));
    assert_eq!(status(&old).await, 404);

    sandbox.clear_faults();
    assert_eq!(status(&old).await, 200);
    sandbox.expire_cursors();
    assert_eq!(status(&old).await, 404);
    assert_eq!(status(&fresh().await).await, 200);
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
