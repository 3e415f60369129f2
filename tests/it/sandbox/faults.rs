//! Faults of the sandbox: responses, bodies, items, pages, links and cursors.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, TimeDelta};
use webex_events::sandbox::{self, LinkFault, Malformed, Route, When};

use super::{all_pages, get, header, ids, json, links, list, next, noon, refresh, small, start, try_get};

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
    let requested_at = std::time::Instant::now();
    get(&sandbox, "/events").await;
    assert!(requested_at.elapsed() >= Duration::from_millis(50));
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
    let requested_at = std::time::Instant::now();
    let length = get(&sandbox, "/events").await.bytes().await.unwrap().len();
    assert!(length > 60_000 && requested_at.elapsed() >= Duration::from_millis(40));
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
async fn empty_pages_can_be_between_others() {
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
