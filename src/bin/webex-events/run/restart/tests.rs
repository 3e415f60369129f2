use chrono::{TimeDelta, Utc};
use futures_util::StreamExt;
use webex_events::{
    Client, ListEvents, RetryPolicy,
    sandbox::{Response, Sandbox, When},
};

use super::*;

/// The error of a list's first request to a service that does this.
async fn error_of(configure: impl FnOnce(&Sandbox), query: ListEvents) -> Error {
    let sandbox = Sandbox::builder().retention(90).start().await.unwrap();
    configure(&sandbox);
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token());
    let client = client.retry(RetryPolicy::never()).build().unwrap();
    client.list(query).next().await.unwrap().unwrap_err()
}

async fn status(status: u16) -> Error {
    error_of(|sandbox| sandbox.fail(When::next(1), Response::status(status)), ListEvents::new()).await
}

async fn beyond_retention() -> Error {
    error_of(|_| {}, ListEvents::new().from(Utc::now() - TimeDelta::days(100))).await
}

async fn refused() -> Error {
    let client = Client::builder().base_url("http://127.0.0.1:1/v1").token("token");
    let client = client.retry(RetryPolicy::never()).build().unwrap();
    client.list(ListEvents::new()).next().await.unwrap().unwrap_err()
}

#[tokio::test]
async fn a_list_in_a_file_restarts_a_few_times_if_its_cursor_is_invalid() {
    use PagePosition::{First, Later, Stored};
    use Reaction::{StartOver, Stop};
    for (code, position, restarts, is_file, expected) in [
        (404, Later, 0, true, StartOver),
        (410, Later, 2, true, StartOver),
        (400, Later, 3, true, Stop),
        (404, Later, 0, false, Stop),
        (404, First, 0, true, Stop),
        (403, Later, 0, true, Stop),
        (503, Stored, 0, true, Stop),
    ] {
        let reaction = of_list(&status(code).await, position, restarts, is_file);
        assert_eq!(reaction, expected, "{code} {position:?} {restarts} {is_file}");
    }
}

#[tokio::test]
async fn a_failed_slice_is_set_aside_unless_all_would_fail() {
    use PagePosition::{First, Later};
    use Reaction::{SetAside, StartOver, Stop};
    for (error, position, is_first, expected) in [
        (status(400).await, First, true, SetAside),
        (status(404).await, Later, false, StartOver),
        (status(503).await, First, true, SetAside),
        (status(403).await, First, true, Stop),
        (status(403).await, First, false, SetAside),
        (beyond_retention().await, First, true, SetAside),
        (status(401).await, Later, false, Stop),
        (status(429).await, Later, false, Stop),
        (refused().await, Later, false, Stop),
        (Error::Config("no".into()), Later, false, Stop),
    ] {
        assert_eq!(of_slice(&error, position, 0, is_first, 0), expected, "{error} {position:?} {is_first}");
    }
    assert_eq!(of_slice(&status(404).await, Later, RESTARTS, false, 0), SetAside);
    for (code, failures, expected) in
        [(503, FAILURES - 1, SetAside), (503, FAILURES, Stop), (400, FAILURES, SetAside)]
    {
        assert_eq!(of_slice(&status(code).await, First, 0, false, failures), expected, "{code} {failures}");
    }
}

#[tokio::test]
async fn a_follower_retries_after_everything_except_a_refusal() {
    use PagePosition::{First, Later};
    for (error, position, expected) in [
        (status(503).await, First, Reaction::BackOff),
        (status(429).await, First, Reaction::BackOff),
        (refused().await, First, Reaction::BackOff),
        (status(404).await, Later, Reaction::BackOff),
        (status(404).await, First, Reaction::Stop),
        (status(401).await, Later, Reaction::Stop),
        (status(403).await, Later, Reaction::Stop),
        (Error::Config("no".into()), Later, Reaction::Stop),
    ] {
        assert_eq!(of_follower(&error, position), expected, "{error} {position:?}");
    }
}

#[test]
fn pauses_double_while_no_page_comes() {
    let mut pauses = Pauses::default();
    let waits: Vec<_> = [0, 0, 0, 0, 0, 0, 1, 1].map(|pages| pauses.next(pages, None).as_secs()).into();
    assert_eq!(waits, [30, 60, 120, 240, 300, 300, 30, 60]);
    assert_eq!(pauses.next(1, Some(Duration::from_secs(7200))).as_secs(), 7200);
    assert_eq!(pauses.next(1, Some(Duration::from_secs(1))).as_secs(), 240);
}
