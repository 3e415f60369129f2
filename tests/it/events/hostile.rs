//! Texts that are invalid, deep, long or many.

use futures::StreamExt;
use serde_json::json;
use webex_events::{Error, Event, ListEvents};

use super::listed;
use crate::support::{
    Served, Service, bad, body, builder, error, event, event_with, http, kind, label, labels, ok, page, read,
    read_some, within,
};

#[tokio::test]
async fn invalid_utf_8_makes_only_its_own_item_malformed() {
    for place in 0..3 {
        let mut items = vec![event("a"), event("b"), event("c")];
        items[place] = event_with("?", r#","data":{"text":"~"}"#);
        let bytes: Vec<u8> = body(&items).bytes().map(|it| if it == b'~' { 0xff } else { it }).collect();
        let service = Service::start(move |_| ok(bytes.clone())).await;
        let events: Vec<_> = within(service.client().list(ListEvents::new()).collect()).await;
        assert_eq!(events.len(), 3);
        for (index, event) in events.iter().enumerate() {
            if index != place {
                assert_eq!(label(event), ["a", "b", "c"][index]);
                continue;
            }
            let Err(Error::Item(item)) = event else { panic!("{event:?}") };
            assert_eq!((item.index(), item.raw()), (place, &*items[place].replace('~', "\u{fffd}")));
            let bytes: Vec<u8> = items[place].bytes().map(|it| if it == b'~' { 0xff } else { it }).collect();
            assert_eq!(item.bytes(), bytes);
        }
    }
}

#[tokio::test]
async fn a_replacement_character_that_was_sent_is_kept() {
    let text = event_with("a", ",\"data\":{\"text\":\"\u{fffd}\"}");
    let spoiled = event_with("b", r#","x":"~""#);
    let bytes: Vec<u8> = body(&[text.clone(), spoiled, text.clone()])
        .bytes()
        .flat_map(|it| if it == b'~' { vec![0xe2, 0x82] } else { vec![it] })
        .collect();
    let service = Service::start(move |_| ok(bytes.clone())).await;
    let read = read(service.client().list(ListEvents::new())).await;
    assert_eq!((&*read[0], &*read[2], read.len()), ("a", "a", 3));
    assert!(read[1].starts_with('!'));
}

#[tokio::test]
async fn half_a_surrogate_pair_spoils_no_more_than_it_must() {
    let in_data = event_with("a", r#","data":{"text":"\ud800"}"#);
    let in_unknown = event_with("b", r#","mood":"\udc00x","\ud800":1"#);
    let in_id = event(r"\ud800");
    let in_app = event_with("c", r#","appId":"\ud800""#);
    let items = [in_data.clone(), in_unknown.clone(), in_id.clone(), event("z"), in_app];
    let events = listed(&items).await;
    assert_eq!(events.len(), 5);
    assert_eq!(label(&events[3]), "z");
    assert_eq!(label(&events[2]), format!("!{in_id}"));
    for (event, text) in events.iter().zip([&in_data, &in_unknown]) {
        assert_eq!(event.as_ref().unwrap().raw(), text);
    }
    // Half a pair is no text, so that it can't be given as one; but never is it a panic.
    let _ = events[0].as_ref().unwrap().data();
    assert_eq!(events[1].as_ref().unwrap().data().unwrap().text, None);
}

#[tokio::test]
async fn deep_nesting_fails_without_its_event() {
    for depth in [10, 127, 128, 1000, 100_000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let text = event_with("a", &format!(r#","data":{{"x":{nested}}},"y":{nested}"#));
        let events = listed(&[event("b"), text.clone(), nested.clone(), event("c")]).await;
        assert_eq!(label(&events[0]), "b");
        assert_eq!(events[1].as_ref().unwrap().raw(), text);
        assert_eq!(label(&events[2]), format!("!{nested}"));
        assert_eq!(label(&events[3]), "c");
        assert_eq!(events[1].as_ref().unwrap().data().is_ok(), depth < 120, "{depth}");
    }
}

const LONGEST: usize = 64 << 20;

/// The items of a list with this body, within a time limit.
async fn bounded(body: Vec<u8>) -> Vec<String> {
    let served = Served::start(move |_, _| http(200, &[], &body)).await;
    read(served.client().list(ListEvents::new())).await
}

#[tokio::test]
async fn sixty_four_mebibytes_of_brackets_are_no_page() {
    let mut body = vec![b'['; LONGEST];
    *body.last_mut().unwrap() = b'}';
    assert_eq!(bounded(body).await, ["Decode 200"]);
}

#[tokio::test]
async fn an_item_of_brackets_alone_is_malformed() {
    for bracket in ["[", "{\"\":"] {
        let body = format!("{{\"items\":[{}!", bracket.repeat(2 << 20));
        assert_eq!(bounded(body.into_bytes()).await, ["Decode 200"]);
    }
}

#[tokio::test]
async fn sixty_four_mebibytes_of_escapes_are_one_event() {
    let around = event_with("a", r#","data":{"text":""}"#).len() + page("").len();
    let text = event_with("a", &format!(r#","data":{{"text":"{}"}}"#, r"\n".repeat((LONGEST - around) / 2)));
    let service = Service::start({
        let text = body(std::slice::from_ref(&text));
        move |_| ok(text.clone())
    })
    .await;
    let mut events = service.client().list(ListEvents::new());
    let event = within(events.next()).await.unwrap().unwrap();
    assert!(event.raw() == text, "it isn't the text that was sent");
    assert!(event.data().unwrap().text.unwrap().bytes().all(|byte| byte == b'\n'));
    assert_eq!(read(events).await, labels(""));
}

#[tokio::test]
async fn an_escaped_id_of_many_mebibytes_is_an_id() {
    let text = body(&[event(&r"\u0061".repeat(2 << 20)), event("b")]);
    let service = Service::start(move |_| ok(text.clone())).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(within(events.next()).await.unwrap().unwrap().id().len(), 2 << 20);
    assert_eq!(read(events).await, ["b"]);
}

async fn of_tiny_items(n: usize) -> Vec<webex_events::Result<Event>> {
    let text = format!(r#"{{"items":[{}1]}}"#, "1,".repeat(n - 1));
    let service = Service::start(move |_| ok(text.clone())).await;
    within(service.client().list(ListEvents::new()).collect()).await
}

#[tokio::test]
async fn a_page_of_100_000_tiny_items_is_read() {
    let all = of_tiny_items(100_000).await;
    assert_eq!(all.len(), 100_000);
    assert!(
        all.iter().enumerate().all(|(at, item)| matches!(item, Err(Error::Item(item)) if item.index() == at))
    );
}

#[tokio::test]
async fn a_page_of_more_than_100_000_items_is_refused() {
    let [Err(error)] = &of_tiny_items(100_001).await[..] else { panic!("it is read") };
    assert_eq!(kind(error), "Decode 200");
    let source = std::error::Error::source(error).unwrap().to_string();
    assert!(source.contains("more than 100000 items"), "{source}");
}

#[tokio::test]
async fn the_default_limit_is_sixty_four_mebibytes() {
    let of = |bytes: usize| {
        let mut text = page("a");
        text.insert_str(text.len() - 1, &" ".repeat(bytes - text.len()));
        text.into_bytes()
    };
    assert_eq!(bounded(of(LONGEST)).await, ["a"]);
    assert_eq!(bounded(of(LONGEST + 1)).await, ["Decode 200"]);
}

#[tokio::test]
async fn an_item_error_has_no_response() {
    let service = Service::list(&["!1 a"]).await;
    let client = builder(&service.url()).build().unwrap();
    let mut events = client.list(ListEvents::new());
    let item = error(&mut events).await;
    assert_eq!((kind(&item), item.status(), item.tracking_id()), ("Item".into(), None, None));
    assert!(item.to_string().contains('0') && !item.to_string().contains(&bad(1)));
    assert_eq!(read_some(1, &mut events).await, ["a"]);
}

#[tokio::test]
async fn an_error_inside_an_item_does_not_spoil_its_page() {
    for item in [
        event_with("x", ",\"data\":{\"text\":\"one\ntwo\"}"),
        event_with("x", ",\"data\":{\"n\":NaN}"),
        event_with("x", ",\"data\":{\"n\":1,}"),
        event_with("x", ",,\"data\":{}"),
        event_with("x", ",\"data\":{\"text\":\"a \"quoted\" word\"}"),
        event(""),
        "NaN".to_owned(),
    ] {
        let events = listed(&[event("a"), item.clone(), event("b")]).await;
        assert_eq!(events.iter().map(label).collect::<Vec<_>>(), ["a", &format!("!{item}"), "b"]);
        let Err(Error::Item(malformed)) = &events[1] else { panic!("{item}") };
        assert_eq!((malformed.bytes(), malformed.index()), (item.as_bytes(), 1));
        assert!(!malformed.to_string().contains('\n'));
    }
}

#[tokio::test]
async fn two_events_without_an_id_are_both_reported() {
    let items = [event(""), event_with("", ",\"data\":{}"), event("c")];
    let events = listed(&items).await;
    let expected = [format!("!{}", items[0]), format!("!{}", items[1]), "c".to_owned()];
    assert_eq!(events.iter().map(label).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_byte_order_mark_before_a_page_is_ignored() {
    let text = format!("\u{feff}{}", page("a b"));
    let service = Service::start(move |_| ok(text.clone())).await;
    assert_eq!(read(service.client().list(ListEvents::new())).await, ["a", "b"]);
}

#[test]
fn a_number_beyond_f64_hides_no_other_field() {
    for (member, key, expected) in [
        (r#""exp":1e400"#, "exp", json!("1e400")),
        (r#""exp":-1E+309"#, "exp", json!("-1E+309")),
        (r#""inputs":{"n":1e999}"#, "", json!(null)),
        (r#""snow":1285704473650888702"#, "snow", json!(1_285_704_473_650_888_702_u64)),
    ] {
        let event =
            Event::from_json(event_with("a", &format!(",\"data\":{{\"text\":\"b\",{member}}}"))).unwrap();
        let data = event.data().unwrap();
        assert_eq!(
            (data.text.as_deref(), data.extra.get(key).cloned().unwrap_or_default()),
            (Some("b"), expected)
        );
    }
}

#[tokio::test]
async fn a_malformed_item_outlives_its_stream_and_its_page() {
    let events = listed(&[event("a"), bad(1), "\u{1}".to_owned()]).await;
    let malformed: Vec<_> = events
        .into_iter()
        .filter_map(|item| match item {
            Err(Error::Item(item)) => Some(*item),
            _ => None,
        })
        .collect();
    assert_eq!((malformed[0].raw(), malformed[1].bytes()), (&*bad(1), &[1][..]));
    assert_eq!(malformed[0].clone(), malformed[0]);
    assert_ne!(malformed[0], malformed[1]);
}
