//! Only a page without a next link ends a list: nothing else looks like its end.

use futures::StreamExt;
use webex_events::{Error, LinkErrorKind, ListEvents};
use wiremock::ResponseTemplate;

use crate::support::{
    Served, Service, body, error, event, http, items, labels, ok, page, read, read_some, read_up_to, within,
};

#[tokio::test]
async fn an_empty_page_with_a_next_link_is_not_the_end() {
    let service = Service::list(&["", "a", "", "", "b", ""]).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read(&mut events).await, ["a", "b"]);
    assert_eq!(service.count(), 6);
    assert_eq!(events.cursor(), None);
    assert_eq!((events.stats().pages, events.stats().events), (6, 2));
}

#[tokio::test]
async fn an_empty_page_without_one_is() {
    let service = Service::list(&[""]).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read(&mut events).await, labels(""));
    assert_eq!((service.count(), events.cursor()), (1, None));
}

#[tokio::test]
async fn an_empty_page_is_given_as_a_page() {
    let service = Service::list(&["", "a"]).await;
    let mut pages = service.client().list(ListEvents::new()).pages();
    assert!(within(pages.next()).await.unwrap().unwrap().items.is_empty());
    assert_eq!(within(pages.next()).await.unwrap().unwrap().items.len(), 1);
    assert!(within(pages.next()).await.is_none());
}

#[tokio::test]
async fn a_200_that_is_not_a_page_is_an_error_and_not_retried() {
    let spoiled: &[u8] = b"{\"items\":[],\"x\":\"\xff\"}";
    for wrong in [
        "null".as_bytes(),
        b"[]",
        b"7",
        b"\"items\"",
        b"{}",
        b"{\"items\":null}",
        b"{\"items\":{}}",
        b"{\"items\":\"[]\"}",
        b"{\"items\":0}",
        b"{\"Items\":[]}",
        b"{\"data\":{\"items\":[]}}",
        b"{\"message\":\"fine\"}",
        b"{\"items\":[]}}",
        b"{\"items\":[]}{\"items\":[]}",
        b"{\"items\":[,]}",
        b"{\"items\":[{]}",
        b"{'items':[]}",
        b"<!DOCTYPE html><html>Welcome to the hotel</html>",
        b"\xff\xfe",
        spoiled,
    ] {
        let wrong = wrong.to_vec();
        let shown = String::from_utf8_lossy(&wrong).into_owned();
        let service = Service::start(move |call| match call.n {
            0 => call.page("a", Some("1")),
            _ => ResponseTemplate::new(200)
                .append_header("TrackingID", "ROUTER_1")
                .append_header("Link", call.link("2"))
                .set_body_raw(wrong.clone(), "text/html; charset=utf-8"),
        })
        .await;
        let mut events = service.client().list(ListEvents::new());
        assert_eq!(read_some(1, &mut events).await, ["a"]);
        let error = error(&mut events).await;
        let Error::Decode(decode) = &error else { panic!("{shown:?} gives {error:?}") };
        assert_eq!(decode.content_type(), Some("text/html; charset=utf-8"), "{shown:?}");
        assert_eq!(error.status(), Some(200));
        assert_eq!(error.tracking_id(), Some("ROUTER_1"));
        assert!(!error.is_transient() && error.retry_after().is_none() && error.link_kind().is_none());
        assert_eq!(read(&mut events).await, labels(""));
        assert_eq!(service.count(), 2, "{shown:?} was requested again");
        assert!(events.cursor().is_some(), "{shown:?} looks like the end");
    }
}

#[tokio::test]
async fn the_error_shows_the_first_200_characters() {
    for character in ["x", "é", "€", "😀"] {
        let text = character.repeat(300);
        let service = Service::start(move |_| ok(text.clone())).await;
        let error = error(&mut service.client().list(ListEvents::new())).await;
        let Error::Decode(decode) = &error else { panic!("{error:?}") };
        assert_eq!(decode.snippet(), character.repeat(200));
    }
    let service = Service::start(|_| ok("<html>a gateway</html>")).await;
    let error = error(&mut service.client().list(ListEvents::new())).await;
    let Error::Decode(decode) = &error else { panic!("{error:?}") };
    assert_eq!((decode.snippet(), decode.tracking_id()), ("<html>a gateway</html>", None));
}

#[tokio::test]
async fn the_content_type_of_a_page_is_not_looked_at() {
    for content_type in [Some("text/html"), Some("application/octet-stream"), None] {
        let served = Served::start(move |_, _| {
            let header = content_type.map(|value| ("Content-Type", value));
            http(200, header.as_slice(), page("a"))
        })
        .await;
        assert_eq!(read(served.client().list(ListEvents::new())).await, ["a"], "{content_type:?}");
    }
}

#[tokio::test]
async fn a_page_is_read_whatever_other_members_it_has() {
    let [a, b] = [event("a"), event("b")];
    for text in [
        format!(r#" {{ "items" : [ {a} , {b} ] }} "#),
        format!("{{\n\t\"items\"\r\n:[{a}\n,{b}]}}\n"),
        format!(r#"{{"total":2,"nested":{{"items":[]}},"items":[{a},{b}],"more":[{{"items":null}}]}}"#),
        format!(r#"{{"\u0069tems":[{a},{b}]}}"#),
    ] {
        let shown = text.clone();
        let service = Service::start(move |_| ok(text.clone())).await;
        assert_eq!(read(service.client().list(ListEvents::new())).await, ["a", "b"], "{shown}");
    }
}

#[tokio::test]
async fn a_thousand_empty_pages_in_a_row_are_no_progress() {
    let service = Service::start(|call| {
        let next = (call.n + 1).to_string();
        call.page("", Some(&next))
    })
    .await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(error(&mut events).await.link_kind(), Some(LinkErrorKind::NoProgress));
    assert_eq!(service.count(), 1000);
    assert_eq!(read(&mut events).await, labels(""));
    assert!(events.cursor().is_some());
}

#[tokio::test]
async fn an_event_restarts_the_count_of_empty_pages() {
    let service = Service::start(|call| match call.n {
        999 => call.page("a", Some("again")),
        1999 => call.page("", None),
        n => call.page("", Some(&n.to_string())),
    })
    .await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read(&mut events).await, ["a"]);
    assert_eq!((service.count(), events.cursor()), (2000, None));
}

#[tokio::test]
async fn a_malformed_item_is_progress() {
    let service = Service::start(|call| match call.n {
        1200 => call.page("a", None),
        n if n % 600 == 599 => call.page("!1", Some(&n.to_string())),
        n => call.page("", Some(&n.to_string())),
    })
    .await;
    let read = read(service.client().list(ListEvents::new())).await;
    assert_eq!(read, labels("!1 !1 a"));
}

#[tokio::test]
async fn a_repeated_page_is_a_cycle_and_the_pages_before_it_are_yielded() {
    for tail in [0, 1, 2, 3, 5, 8, 13] {
        for length in [1, 2, 3, 7] {
            let pages = tail + length;
            // Page `n` links to the next, and the last one back to the first after the tail. The
            // first page has the cursor 0 when it is repeated, so that a tail of 0 begins with one more.
            let service = Service::start(move |call| {
                let at: usize = if call.cursor.is_empty() { 0 } else { call.cursor.parse().unwrap() };
                let next = if at + 1 < pages { at + 1 } else { tail };
                call.page(&format!("e{at}"), Some(&next.to_string()))
            })
            .await;
            let mut events = service.client().list(ListEvents::new());
            let mut read = read_up_to(4 * pages + 8, &mut events).await;
            assert_eq!(read.pop().as_deref(), Some("Link Cycle"), "{tail} + {length}");
            let expected: Vec<String> = (0..pages).map(|n| format!("e{n}")).collect();
            assert_eq!(read[..pages], expected, "{tail} + {length}");
            assert!(events.cursor().is_some() && events.next().await.is_none());
        }
    }
}

#[tokio::test]
async fn a_page_that_links_to_itself_is_found_immediately() {
    let service = Service::start(|call| match &*call.cursor {
        "" => call.page("a", Some("1")),
        cursor => call.page("b", Some(cursor)),
    })
    .await;
    assert_eq!(read(service.client().list(ListEvents::new())).await, ["a", "b", "Link Cycle"]);
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn a_cycle_of_empty_pages_is_found_too() {
    let service = Service::start(|call| {
        let at: usize = call.cursor.parse().unwrap_or(0);
        call.page("", Some(&((at + 1) % 7).to_string()))
    })
    .await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(error(&mut events).await.link_kind(), Some(LinkErrorKind::Cycle));
    assert!(service.count() <= 32, "{} requests", service.count());
}

#[tokio::test]
async fn a_cycle_is_found_when_it_is_read_ahead_as_well() {
    let service = Service::start(|call| {
        let at: usize = call.cursor.parse().unwrap_or(0);
        call.page(&format!("e{at}"), Some(&((at + 1) % 5).to_string()))
    })
    .await;
    let read = read_up_to(50, service.client().list(ListEvents::new()).prefetch(3)).await;
    assert_eq!(read[..5], ["e0", "e1", "e2", "e3", "e4"]);
    assert_eq!(read.last().unwrap(), "Link Cycle");
}

#[tokio::test]
async fn a_long_list_without_a_cycle_continues() {
    let service = Service::start(|call| match call.n {
        300 => call.page("end", None),
        n => call.page("a", Some(&format!("c{n}"))),
    })
    .await;
    assert_eq!(read(service.client().list(ListEvents::new())).await.len(), 301);
}

#[tokio::test]
async fn a_full_page_is_read_to_its_last_item() {
    let line = (0..1000).map(|n| format!("e{n}")).collect::<Vec<_>>();
    let text = body(&items(&line.join(" ")));
    let service = Service::start(move |_| ok(text.clone())).await;
    assert_eq!(read(service.client().list(ListEvents::new())).await, line);
}
