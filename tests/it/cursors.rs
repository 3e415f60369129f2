//! A list can be stopped at any position, and resumed from a line of text.

mod refused;

use futures::{StreamExt, TryStreamExt};
use webex_events::{Cursor, ListEvents, Resource};

use crate::support::{
    Call, Served, Service, bad, body, client, event, http, items, kind, label, labels, ok, page, read,
    read_some, refusal, within,
};

/// Malformed items at every kind of position, repeated ids, within a page and across pages, and empty pages.
const PAGES: [&str; 7] = ["a b !1 c", "", "!2 !3 c a !2 !4 d", "e e e", "!5 !6", "", "f !7"];

fn whole() -> Vec<String> {
    labels(&PAGES.join(" "))
}

fn through_text(cursor: &Cursor) -> Cursor {
    let line = cursor.to_string();
    assert!(!line.contains(char::is_whitespace) && !line.is_empty(), "{line:?}");
    let back: Cursor = line.parse().unwrap();
    assert_eq!(&back, cursor);
    back
}

fn through_serde(cursor: &Cursor) -> Cursor {
    let back: Cursor = serde_json::from_str(&serde_json::to_string(cursor).unwrap()).unwrap();
    assert_eq!(&back, cursor);
    let back: Cursor = serde_json::from_value(serde_json::to_value(cursor).unwrap()).unwrap();
    assert_eq!(&back, cursor);
    back
}

#[tokio::test]
async fn every_cut_point_of_a_list_resumes_with_exactly_the_rest() {
    let whole = whole();
    let service = Service::list(&PAGES).await;
    let client = service.client();
    for cut in 0..whole.len() {
        for ahead in [0, 2] {
            let mut events = client.list(ListEvents::new()).prefetch(ahead);
            assert_eq!(read_some(cut, &mut events).await, whole[..cut]);
            let cursor = events.cursor().expect("there is more");
            drop(events);
            for cursor in [through_text(&cursor), through_serde(&cursor)] {
                assert_eq!(read(client.resume(&cursor)).await, whole[cut..], "cut at {cut}, ahead {ahead}");
            }
        }
    }
}

#[tokio::test]
async fn a_resumed_list_can_be_cut_again_anywhere() {
    let whole = whole();
    let service = Service::list(&PAGES).await;
    let client = service.client();
    for step in 1..=5 {
        let mut all = Vec::new();
        let mut cursor = client.list(ListEvents::new()).cursor();
        while let Some(at) = cursor {
            let mut events = client.resume(&through_text(&at));
            for _ in 0..step {
                let Some(item) = within(events.next()).await else { break };
                all.push(label(&item));
            }
            cursor = events.cursor();
            assert!(all.len() <= whole.len(), "it repeats itself");
        }
        assert_eq!(all, whole, "in steps of {step}");
    }
}

#[tokio::test]
async fn every_page_and_every_take_resumes_with_exactly_the_rest() {
    let whole = whole();
    let service = Service::list(&PAGES).await;
    let client = service.client();
    let mut pages = client.list(ListEvents::new()).pages();
    let mut read_so_far = 0;
    let mut count = 0;
    while let Some(page) = within(pages.try_next()).await.unwrap() {
        read_so_far += page.items.len();
        count += 1;
        assert_eq!(page.cursor(), pages.cursor().as_ref());
        match page.cursor() {
            Some(cursor) => {
                assert_eq!(read(client.resume(&through_text(cursor))).await, whole[read_so_far..]);
            }
            None => assert_eq!((read_so_far, count), (whole.len(), PAGES.len())),
        }
    }
    assert_eq!(count, PAGES.len());
    let events = whole.iter().filter(|word| !word.starts_with('!')).count();
    for n in 0..=events {
        let mut take = client.list(ListEvents::new()).prefetch(n % 2).take(n);
        let taken = read(&mut take).await;
        let rest = read(client.resume(&take.cursor().unwrap())).await;
        assert_eq!([taken, rest].concat(), whole, "take({n})");
    }
}

#[tokio::test]
async fn there_is_a_cursor_before_the_first_poll_and_none_from_the_last_event_on() {
    let service = Service::list(&["a", "b c"]).await;
    let client = service.client();
    let mut events = client.list(ListEvents::new());
    for expected in ["a", "b", "c"] {
        assert!(events.cursor().is_some(), "before {expected}");
        assert_eq!(read_some(1, &mut events).await, [expected]);
    }
    assert_eq!(events.cursor(), None);
    assert!(within(events.next()).await.is_none());
    assert_eq!(events.cursor(), None);
    let start = client.list(ListEvents::new()).cursor().unwrap();
    assert_eq!(client.resume(&start).cursor(), Some(start));
}

#[tokio::test]
async fn there_is_a_cursor_after_a_first_page_that_failed() {
    let service = Service::start(|call| match call.n {
        0 => refusal(403),
        _ => call.page("a", None),
    })
    .await;
    let client = service.client();
    let mut events = client.list(ListEvents::new().page_size(7).resource(Resource::Rooms));
    let before = events.cursor();
    assert_eq!(read(&mut events).await, ["Api 403"]);
    assert_eq!(events.cursor(), before);
    assert_eq!(read(client.resume(&through_text(&before.unwrap()))).await, ["a"]);
    let requests = service.requests().await;
    assert_eq!(requests[0].url, requests[1].url);
}

#[tokio::test]
async fn a_resumed_list_requests_the_same_page() {
    let served = Served::start(|n, _| match n {
        0 => http(200, &[("Link", "</v1/events?before&cursor=a%2fb%2B+==&max=null>; rel=next")], page("a")),
        1 | 2 => http(200, &[("Link", "</v1/events?cursor=2>; rel=next")], page("b c")),
        _ => http(200, &[], page("d")),
    })
    .await;
    let client = served.client();
    let mut events = client.list(ListEvents::new());
    assert_eq!(read_some(2, &mut events).await, ["a", "b"]);
    let cursor = through_text(&events.cursor().unwrap());
    assert_eq!(read(client.resume(&cursor)).await, ["c", "d"]);
    let targets = served.targets();
    assert_eq!(targets[1], "/v1/events?before&cursor=a%2fb%2B+==&max=null");
    assert_eq!(targets[2], targets[1]);
}

/// The items that a list yields if it is resumed after `taken` items of the page `before`, which has become `after`.
async fn changed(before: &str, taken: usize, after: &str) -> Vec<String> {
    let [before, after] = [before.to_owned(), after.to_owned()];
    let service = Service::start(move |call| match (call.n, &*call.cursor) {
        (0, _) => call.page(&before, Some("1")),
        (_, "") => call.page(&after, Some("1")),
        _ => call.page("end", None),
    })
    .await;
    let client = service.client();
    let mut events = client.list(ListEvents::new());
    read_some(taken, &mut events).await;
    let cursor = through_text(&events.cursor().unwrap());
    read(client.resume(&cursor)).await
}

#[tokio::test]
async fn a_changed_page_is_read_after_the_last_event_wherever_it_is() {
    assert_eq!(changed("a b c d", 2, "x y a b c d").await, ["c", "d", "end"]);
    assert_eq!(changed("a b c d", 3, "c d").await, ["d", "end"]);
    assert_eq!(changed("a b c d", 3, "b c").await, ["end"]);
    assert_eq!(changed("a b !1 c", 3, "x a b !1 c").await, ["c", "end"]);
    assert_eq!(changed("a !1 b c", 3, "x !1 b c").await, ["c", "end"]);
}

#[tokio::test]
async fn a_page_without_the_last_event_is_yielded_from_its_start() {
    assert_eq!(changed("a b c d", 2, "a c d").await, ["a", "c", "d", "end"]);
    assert_eq!(changed("a b c d", 3, "x").await, ["x", "end"]);
    assert_eq!(changed("a b c d", 1, "").await, ["end"]);
    assert_eq!(changed("a b !1 d", 3, "!1 x").await, labels("!1 x end"));
}

#[tokio::test]
async fn nothing_after_the_last_event_is_lost_however_a_page_changes() {
    for taken in 1..4 {
        for after in
            ["a b c d", "d c b a", "c a b d", "b b a c d", "a a b c d", "x a y b z c w d", "!9 a b c d"]
        {
            let read = changed("a b c d", taken, after).await;
            let last = ["a", "b", "c"][taken - 1];
            let words: Vec<String> = labels(after);
            let at = words.iter().rposition(|word| word == last).unwrap();
            for word in &words[at + 1..] {
                assert!(read.contains(word), "{word} of {after} is lost after {last}: {read:?}");
            }
        }
    }
}

#[tokio::test]
async fn new_items_between_malformed_ones_are_not_passed_over() {
    assert_eq!(changed("a !1 !2 b", 3, "a x !2 b").await, labels("x !2 b end"));
    assert_eq!(changed("!1 !2 a", 2, "x !2 a").await, labels("x !2 a end"));
    assert_eq!(changed("!1 !2 a", 2, "!1 a").await, labels("a end"));
}

#[tokio::test]
async fn each_event_comes_with_the_position_after_it() {
    let service = Service::list(&["a b", "", "!1 c"]).await;
    let client = service.client();
    let mut plain = client.list(ListEvents::new());
    let mut events = client.list(ListEvents::new()).with_cursors();
    let mut all = Vec::new();
    while let Some(item) = within(events.next()).await {
        let _ = within(plain.next()).await;
        match item {
            Ok((event, cursor)) => {
                assert_eq!(cursor, plain.cursor(), "after {}", event.id());
                assert_eq!(cursor, events.cursor());
                if let Some(cursor) = &cursor {
                    let rest = labels("a b !1 c");
                    let next = rest.iter().position(|label| label == event.id()).unwrap() + 1;
                    assert_eq!(read(client.resume(cursor)).await, rest[next..]);
                }
                all.push(event.id().to_owned());
            }
            Err(error) => assert_eq!(kind(&error), "Item"),
        }
    }
    assert_eq!(all, ["a", "b", "c"]);
    assert!(events.cursor().is_none() && events.stats().events == 3);
}

#[tokio::test]
async fn with_cursors_continues_after_an_error() {
    let service = Service::start(|call| match call.n {
        1 => refusal(403),
        _ if call.cursor.is_empty() => call.page("a", Some("1")),
        _ => call.page("b", None),
    })
    .await;
    let mut events = service.client().list(ListEvents::new()).with_cursors();
    assert_eq!(within(events.next()).await.unwrap().unwrap().0.id(), "a");
    assert_eq!(kind(&within(events.next()).await.unwrap().unwrap_err()), "Api 403");
    assert!(within(events.next()).await.is_none());
    events.resume();
    let (event, cursor) = within(events.next()).await.unwrap().unwrap();
    assert_eq!((event.id(), cursor), ("b", None));
}

#[tokio::test]
async fn a_cursor_survives_its_client() {
    let service = Service::list(&["a b", "c"]).await;
    let cursor = {
        let mut events = service.client().list(ListEvents::new());
        read_some(1, &mut events).await;
        events.cursor().unwrap()
    };
    let other = client(&service.url());
    assert_eq!(read(other.resume(&cursor)).await, ["b", "c"]);
    assert_eq!(read(other.resume(&cursor)).await, ["b", "c"]);
}

#[tokio::test]
async fn a_resumed_list_keeps_the_page_size_of_its_page() {
    let service = Service::list(&["a b", "c"]).await;
    let client = service.client();
    let mut events = client.list(ListEvents::new().page_size(2));
    read_some(1, &mut events).await;
    let cursor = events.cursor().unwrap();
    assert_eq!(read(client.resume(&cursor).take(1)).await, ["b"]);
    assert_eq!(service.sizes().await, ["2", "2"]);
}

#[tokio::test]
async fn prefetch_take_and_pages_work_on_a_resumed_list() {
    let service = Service::list(&["a b !1", "c d", "e"]).await;
    let client = service.client();
    let mut events = client.list(ListEvents::new());
    read_some(1, &mut events).await;
    let cursor = events.cursor().unwrap();
    assert_eq!(read(client.resume(&cursor).prefetch(2)).await, labels("b !1 c d e"));
    assert_eq!(read(client.resume(&cursor).prefetch(2).take(2)).await, labels("b !1 c"));
    let pages: Vec<_> = within(client.resume(&cursor).pages().try_collect()).await.unwrap();
    let pages: Vec<Vec<String>> = pages.iter().map(|page| page.items.iter().map(label).collect()).collect();
    assert_eq!(pages, [labels("b !1"), labels("c d"), labels("e")]);
}

#[tokio::test]
async fn a_list_can_resume_at_the_previous_page() {
    let previous =
        |call: &Call<'_>, cursor: &str| format!("<{}/events?cursor={cursor}>; rel=\"prev\"", call.base);
    let service = Service::start(move |call| match &*call.cursor {
        "" | "0" => call.page("a b", Some("1")),
        "1" => call.page("c", Some("2")).append_header("Link", &*previous(call, "0")),
        _ => call.page("d", None).append_header("Link", "<https://evil.example/>; rel=prev"),
    })
    .await;
    let client = service.client();
    let pages: Vec<_> = within(client.list(ListEvents::new()).pages().try_collect()).await.unwrap();
    assert_eq!(pages.len(), 3);
    assert!(pages[0].previous().is_none());
    let back = through_text(pages[1].previous().unwrap());
    assert_eq!(read(client.resume(&back)).await, ["a", "b", "c", "d"]);
    assert!(pages[2].cursor().is_none());
    if let Some(foreign) = pages[2].previous() {
        assert_eq!(read(client.resume(foreign)).await, ["Link CrossOrigin"]);
    }
}

#[tokio::test]
async fn a_page_has_the_tracking_id_of_its_response() {
    let service = Service::start(|call| match call.n {
        0 => call.page("a", Some("1")).append_header("TrackingID", "ROUTER_1"),
        _ => call.page("b", None),
    })
    .await;
    let pages: Vec<_> = within(service.client().list(ListEvents::new()).pages().try_collect()).await.unwrap();
    assert_eq!(pages[0].tracking_id(), Some("ROUTER_1"));
    assert_eq!(pages[1].tracking_id(), None);
}

#[tokio::test]
async fn a_page_is_resumed_after_an_id_that_needs_escapes() {
    let strange = r#"quo\"te\\back\u00e9\ud83d\ude00 / ☃"#;
    let text = body(&[event("a"), event(strange), bad(1), event("z")]);
    let service = Service::start(move |_| ok(text.clone())).await;
    let client = service.client();
    let mut events = client.list(ListEvents::new());
    assert_eq!(read_some(2, &mut events).await[1], "quo\"te\\backé😀 / ☃");
    let cursor = through_text(&events.cursor().unwrap());
    assert_eq!(read(client.resume(&cursor)).await, labels("!1 z"));
}

#[tokio::test]
async fn a_full_page_is_resumed_at_every_hundredth_event() {
    let line = (0..1000).map(|n| format!("e{n}")).collect::<Vec<_>>();
    let text = body(&items(&line.join(" ")));
    let service = Service::start(move |_| ok(text.clone())).await;
    let client = service.client();
    let mut events = client.list(ListEvents::new());
    for cut in (0..1000).step_by(100) {
        assert_eq!(read(client.resume(&events.cursor().unwrap())).await, line[cut..]);
        read_some(100, &mut events).await;
    }
    assert_eq!(events.cursor(), None);
}

// ---- the size of pages ----

#[tokio::test]
async fn a_page_that_is_resumed_in_its_middle_keeps_its_size_after_a_504() {
    let service = Service::start(|call| match (call.n, &*call.cursor) {
        (1, _) => refusal(504),
        (_, "") => call.page("a b c d", Some("1")),
        _ => call.page("end", None),
    })
    .await;
    let client = service.client();
    let mut events = client.list(ListEvents::new().page_size(4));
    read_some(3, &mut events).await;
    let cursor = through_text(&events.cursor().unwrap());
    assert_eq!(read(client.resume(&cursor)).await, ["d", "end"]);
    assert_eq!(service.sizes().await, ["4", "4", "4", "-"]);
}

#[tokio::test]
async fn a_limited_list_is_resumed_with_the_page_size_of_its_query() {
    let service = Service::start(|call| match (call.n, &*call.cursor) {
        (0, _) => call.page("a", Some("1")),
        (_, "") => call.page("a b c d", Some("4")),
        _ => call.page("e", None),
    })
    .await;
    let client = service.client();
    let mut first = client.list(ListEvents::new().page_size(100)).take(1);
    let before = first.cursor().unwrap();
    assert_eq!(read(&mut first).await, ["a"]);
    let cursor = through_text(&first.cursor().unwrap());
    assert_eq!(read(client.resume(&cursor)).await, ["b", "c", "d", "e"]);
    assert_eq!(service.sizes().await, ["1", "100", "-"]);
    // Even before the first page was read.
    assert_eq!(read(client.resume(&before)).await, ["a", "b", "c", "d", "e"]);
    assert_eq!(service.sizes().await[3], "100");
}

#[tokio::test]
async fn a_limited_list_continues_by_its_links_where_malformed_items_took_the_room() {
    let service = Service::list(&["!1 a", "b c"]).await;
    let mut events = service.client().list(ListEvents::new()).take(2);
    assert_eq!(read(&mut events).await, labels("!1 a b"));
    assert_eq!(service.count(), 2);
    assert_eq!(read(service.client().resume(&events.cursor().unwrap())).await, ["c"]);
}
