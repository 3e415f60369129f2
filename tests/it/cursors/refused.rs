//! Cursors that are stale, damaged or of another origin.

use std::error::Error as _;

use futures::StreamExt;
use webex_events::{ApiError, Cursor, Error, ListEvents};

use super::through_text;
use crate::support::{Served, Service, builder, error, kind, read, read_some, refusal, within};

#[tokio::test]
async fn a_cursor_whose_page_is_refused_is_a_cursor_error_with_its_source() {
    for status in [400, 404, 410] {
        for cut in [1, 2] {
            let service = Service::start(move |call| match (call.n, &*call.cursor) {
                (0, "") => call.page("a", Some("1")),
                (1, "1") => call.page("b c", Some("2")),
                _ => refusal(status).append_header("TrackingID", "ROUTER_1"),
            })
            .await;
            let client = service.client();
            let mut events = client.list(ListEvents::new());
            read_some(cut, &mut events).await;
            let cursor = events.cursor().unwrap();
            // Until `n` is 2, as in a list of its own.
            while service.count() < 2 {
                let _ = within(client.get("x")).await;
            }
            let mut resumed = client.resume(&cursor);
            let stale = error(&mut resumed).await;
            assert_eq!(kind(&stale), "Cursor", "{status}");
            assert_eq!((stale.status(), stale.tracking_id()), (Some(status), Some("ROUTER_1")));
            assert!(stale.source().unwrap().to_string().contains(&status.to_string()));
            assert!(!stale.is_transient());
            assert!(within(resumed.next()).await.is_none());
            assert_eq!(resumed.cursor(), Some(cursor));
        }
    }
}

#[tokio::test]
async fn the_source_of_a_stale_cursor_is_the_response() {
    let service = Service::start(|_| refusal(410)).await;
    let cursor = service.client().list(ListEvents::new()).cursor().unwrap();
    let stale = error(&mut service.client().resume(&cursor)).await;
    let refused = stale.source().unwrap().downcast_ref::<ApiError>().expect("the error in the response");
    assert_eq!((refused.status(), refused.message()), (410, "no"));
}

#[tokio::test]
async fn any_other_response_to_a_cursor_is_the_usual_error() {
    for status in [401, 403, 409, 422, 501] {
        let service = Service::start(move |_| refusal(status)).await;
        let client = service.client();
        let cursor = client.list(ListEvents::new()).cursor().unwrap();
        assert_eq!(read(client.resume(&cursor)).await, [format!("Api {status}")]);
    }
    let served = Served::start(|_, _| Vec::new()).await;
    let cursor = served.client().list(ListEvents::new()).cursor().unwrap();
    assert_eq!(read(served.client().resume(&cursor)).await, ["Transport"]);
}

#[tokio::test]
async fn a_later_page_that_is_gone_is_an_error_of_the_cursor() {
    for status in [400, 404, 410] {
        let service = Service::start(move |call| match &*call.cursor {
            "" => call.page("a", Some("1")),
            "1" => call.page("b", Some("2")),
            _ => refusal(status),
        })
        .await;
        let client = service.client();
        let mut events = client.list(ListEvents::new());
        assert_eq!(read_some(2, &mut events).await, ["a", "b"]);
        let error = error(&mut events).await;
        assert_eq!((kind(&error), error.status()), ("Cursor".into(), Some(status)));
        let stale = events.cursor().unwrap();
        events.resume();
        assert_eq!(read(&mut events).await, ["Cursor"], "after resume() too");
        assert_eq!(read(client.resume(&stale)).await, ["Cursor"]);
        let mut begun = client.list(ListEvents::new());
        read_some(1, &mut begun).await;
        let cursor = begun.cursor().unwrap();
        assert_eq!(read(client.resume(&cursor)).await, ["b", "Cursor"]);
    }
}

#[tokio::test]
async fn a_stale_cursor_stays_one_after_resume() {
    let service = Service::start(|call| match call.n {
        0 | 1 => refusal(410),
        _ => call.page("a", None),
    })
    .await;
    let client = service.client();
    let cursor = client.list(ListEvents::new()).cursor().unwrap();
    let mut resumed = client.resume(&cursor);
    assert_eq!(read(&mut resumed).await, ["Cursor"]);
    resumed.resume();
    assert_eq!(read(&mut resumed).await, ["Cursor"]);
    resumed.resume();
    assert_eq!(read(&mut resumed).await, ["a"]);
}

#[tokio::test]
async fn a_cursor_to_another_origin_is_refused_and_nothing_is_sent() {
    let home = Service::list(&["a b", "c"]).await;
    let other = Service::list(&["x"]).await;
    let mut events = home.client().list(ListEvents::new());
    for cut in 0..3 {
        let cursor = through_text(&events.cursor().unwrap());
        let mut resumed = other.client().resume(&cursor);
        assert_eq!(read(&mut resumed).await, ["Link CrossOrigin"], "cut at {cut}");
        assert_eq!(resumed.cursor(), Some(cursor));
        read_some(1, &mut events).await;
    }
    assert_eq!(other.count(), 0);
    assert_eq!(home.count(), 2);
    let cursor = home.client().list(ListEvents::new()).cursor().unwrap();
    let allowed = builder(&other.url()).allow_origin(home.url()).build().unwrap();
    assert_eq!(read(allowed.resume(&cursor)).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_damaged_cursor_is_refused() {
    let service = Service::list(&["a"]).await;
    let line = service.client().list(ListEvents::new()).cursor().unwrap().to_string();
    for text in [
        "",
        " ",
        "x",
        "{}",
        &line[1..],
        &line[..line.len() - 1],
        &line[..line.len() / 2],
        &format!("{line}{line}"),
    ] {
        assert!(matches!(text.parse::<Cursor>(), Err(Error::Cursor { .. })), "{text}");
        assert!(serde_json::from_value::<Cursor>(text.into()).is_err(), "{text}");
    }
    assert!(serde_json::from_str::<Cursor>("7").is_err());
    assert!(serde_json::from_str::<Cursor>("null").is_err());
}

#[tokio::test]
async fn a_page_url_that_another_client_stored_is_resumed_byte_for_byte() {
    let service = Service::list(&["a b", "c"]).await;
    let client = service.client();
    let mut events = client.list(ListEvents::new());
    read_some(1, &mut events).await;
    let url = format!("{}/events?max=2&cursor=&x=%2B%20", service.url());
    assert_eq!(
        read(client.resume(&Cursor::from_page_url(&format!(" {url}\n")).unwrap())).await,
        ["a", "b", "c"]
    );
    assert_eq!(service.requests().await[1].url.query(), Some("max=2&cursor=&x=%2B%20"));
}

#[tokio::test]
async fn a_page_url_of_another_origin_is_refused_and_nothing_is_sent() {
    let service = Service::list(&["a"]).await;
    for url in
        ["https://evil.example/v1/events?cursor=1", "http://user@127.0.0.1/v1/events", "ftp://127.0.0.1/a"]
    {
        let cursor = Cursor::from_page_url(url).unwrap();
        let error = error(&mut service.client().resume(&cursor)).await;
        assert_eq!(kind(&error), "Link CrossOrigin", "{url}");
    }
    assert_eq!(service.count(), 0);
    for url in ["", "events?cursor=1", "/v1/events", "//webexapis.com/v1/events"] {
        assert!(matches!(Cursor::from_page_url(url), Err(Error::Cursor { .. })), "{url}");
    }
}
