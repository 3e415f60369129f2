use proptest::prelude::*;

use super::*;

const EVENT: &str = r#"{"id":"a","resource":"rooms","type":"updated","created":"2026-01-05T11:00:00Z"}"#;

fn page(text: impl AsRef<[u8]>) -> Result<Batch, NotAPage> {
    Batch::page(text.as_ref().to_vec()).map_err(|(_, error)| error)
}

/// The fault of each item, `None` for an event.
fn faults(batch: &Batch) -> Vec<Option<ItemFault>> {
    (0..batch.len()).map(|index| batch.find(index).err().map(|number| batch.fault(number))).collect()
}

fn raws(batch: &Batch) -> Vec<&str> {
    (0..batch.len())
        .map(|index| match batch.find(index) {
            Ok(place) => batch.event(place).raw(batch),
            Err(number) => batch.raw(number),
        })
        .collect()
}

fn bytes(batch: &Batch, index: usize) -> &[u8] {
    batch.bytes(batch.find(index).unwrap_err())
}

#[test]
fn each_reason_why_a_text_is_not_a_page_is_named() {
    for (text, expected) in [
        (r#"{"items":null}"#, NotAPage::NoItems),
        (r#"{"items":{}}"#, NotAPage::NoItems),
        (r#"{"item":[]}"#, NotAPage::NoItems),
        ("{}", NotAPage::NoItems),
        ("[]", NotAPage::NotAnObject),
        ("null", NotAPage::NotAnObject),
        ("\"items\"", NotAPage::NotAnObject),
        (r#"{"items":[],"items":[]}"#, NotAPage::ItemsTwice),
    ] {
        assert_eq!(page(text).unwrap_err(), expected, "{text}");
    }
    for text in
        ["<html>", "{\"items\":[]}}", "{\"items\":[{]}", "{\"items\":[}", "{'items':[]}", "{} {", "nulL"]
    {
        assert!(matches!(page(text), Err(NotAPage::Syntax(_))), "{text}");
    }
}

#[test]
fn every_beginning_of_a_page_is_told_from_other_text() {
    let whole = format!(
        "\u{feff} {{\"a\":[{{}},null,true,false,-1.5e+3],\"é\\u00e9\" : \"\\n\",\"items\" : [{EVENT}]}}"
    );
    assert!(page(&whole).is_ok());
    for (end, _) in whole.char_indices() {
        let cut = &whole[..end];
        assert!(matches!(page(cut), Err(NotAPage::Truncated(_))), "{cut}");
        let changed = format!("{cut}\u{1}");
        assert!(!matches!(page(&changed), Err(NotAPage::Truncated(_))), "{changed}");
    }
    assert!(matches!(Batch::item(EVENT[..20].to_owned()), Err((_, NotAPage::Truncated(_)))));
}

#[test]
fn a_byte_order_mark_before_a_page_is_ignored() {
    let batch = page(format!("\u{feff}{{\"items\":[{EVENT}]}}")).unwrap();
    assert_eq!(raws(&batch), [EVENT]);
    assert!(matches!(page("{\u{feff}\"items\":[]}"), Err(NotAPage::Syntax(_))));
}

#[test]
fn items_are_found_under_any_spelling_and_beside_anything() {
    let text = format!(" {{\"a\":[{{}}],\"\\u0069tems\" : [ {EVENT} ,{EVENT}] , \"b\":1}} ");
    let batch = page(&text).unwrap();
    assert_eq!(raws(&batch), [EVENT, EVENT]);
}

#[test]
fn each_fault_of_an_item_is_named() {
    for (from, to, fault) in [
        ("\"a\"", "7", ItemFault::Member("id")),
        ("\"a\"", "\"\"", ItemFault::Member("id")),
        ("\"a\"", "\"b\",\"id\":\"\"", ItemFault::Member("id")),
        ("\"id\"", "\"Id\"", ItemFault::Member("id")),
        ("\"rooms\"", "null", ItemFault::Member("resource")),
        ("\"updated\"", "[]", ItemFault::Member("type")),
        ("2026-01-05T11:00:00Z", "yesterday", ItemFault::Member("created")),
        ("\"a\"", "\"\\ud800\"", ItemFault::Member("id")),
        ("\"a\"", "\"a\",\"actorId\":1", ItemFault::Member("actorId")),
        (EVENT, "null", ItemFault::NotAnObject),
        (EVENT, "[1]", ItemFault::NotAnObject),
    ] {
        let item = EVENT.replacen(from, to, 1);
        let batch = page(format!("{{\"items\":[{EVENT},{item}]}}")).unwrap();
        assert_eq!(faults(&batch), [None, Some(fault)], "{item}");
        assert_eq!(raws(&batch), [EVENT, &item]);
        assert_eq!((batch.key(0), batch.key(1)), (ItemKey::Event("a"), ItemKey::Malformed(item.as_bytes())));
    }
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    let item = EVENT.replacen("\"a\"", "7,\"id\":\"b\",\"appId\":1,\"appId\":null", 1);
    let batch = Batch::item(item).unwrap();
    let envelope = batch.event(0);
    assert_eq!((envelope.id(&batch), envelope.app_id(&batch)), ("b", None));
}

#[test]
fn an_item_keeps_its_index_after_anything() {
    let other = EVENT.replacen("\"a\"", "\"b\"", 1);
    let batch = page(format!("{{\"items\":[1,{EVENT},null,[],{other},{{}}]}}")).unwrap();
    assert_eq!(raws(&batch), ["1", EVENT, "null", "[]", &other, "{}"]);
    let events: Vec<_> = (0..batch.len()).map(|index| batch.find(index).is_ok()).collect();
    assert_eq!(events, [false, true, false, false, true, false]);
    let left: Vec<_> = (0..=batch.len()).map(|index| batch.events_from(index)).collect();
    assert_eq!(left, [2, 2, 1, 1, 1, 0, 0]);
    assert_eq!(batch.index(3), 5);
}

#[test]
fn an_error_inside_an_item_affects_only_that_item() {
    for item in [
        "{\"text\":\"a\u{1}b\"}",
        "{\"text\":\"a\nb\"}",
        "{\"a\":NaN}",
        "{\"a\":1,}",
        "{\"a\":1,,\"b\":2}",
        "{,}",
        "{\"a\":[1,2,]}",
        "{\"a\" 1}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":undefined}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\]\"}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":\"b\" \"c\",\"d\":[\"]}\"]}",
        "NaN",
        "-",
        "tru",
        "'a'",
        "{} {}",
        "{}{}",
        "{\"a\":1} x",
        "1 2",
        "[1 2]",
        "\u{feff}{}",
        "[\"a\"\"b\"]",
    ] {
        for (before, after) in [(EVENT, EVENT), (" 1 ", EVENT), (EVENT, "\n{}\t")] {
            let batch = page(format!("{{\"items\":[{before}, {item} ,{after}],\"b\":[]}}")).unwrap();
            assert_eq!(raws(&batch), [before.trim(), item, after.trim()]);
            let fault = faults(&batch).swap_remove(1);
            assert!(matches!(fault, Some(ItemFault::Syntax(_))), "{item}: {fault:?}");
        }
        for list in [item.to_owned(), format!("{EVENT},{item}"), format!("{item},{EVENT}")] {
            let batch = page(format!("{{\"items\":[{list}]}}")).unwrap();
            assert!(raws(&batch).contains(&item), "{list}");
        }
    }
}

#[test]
fn the_error_of_an_item_names_the_byte_in_it() {
    let batch = page(format!("{{\"items\":[{EVENT},{{\"a\":NaN}}]}}")).unwrap();
    assert_eq!(batch.fault(0).to_string(), "it is not JSON: expected a value at byte 5");
}

#[test]
fn a_comma_without_an_item_is_reported_in_its_position() {
    for (list, expected) in [
        (format!(",{EVENT}"), [Some(ItemFault::Empty), None]),
        (format!("{EVENT} , "), [None, Some(ItemFault::Empty)]),
        ("{},".to_owned(), [Some(ItemFault::Member("id")), Some(ItemFault::Empty)]),
    ] {
        let batch = page(format!("{{\"items\":[{list}]}}")).unwrap();
        assert_eq!(faults(&batch), expected, "{list}");
    }
    let batch = page(format!("{{\"items\":[{EVENT},,{EVENT}]}}")).unwrap();
    assert_eq!(
        (faults(&batch), raws(&batch)),
        (vec![None, Some(ItemFault::Empty), None], vec![EVENT, "", EVENT])
    );
}

#[test]
fn an_item_without_a_certain_end_makes_the_page_unreadable() {
    for item in [
        "{\"a\":]}",
        "{\"a\":[1}",
        "{}}",
        "{\"a\":\"b}",
        "[}",
        "}",
        "{\"a\":1]",
        "{\"a\":NaN",
        "{\"a\":\"\u{1}",
        "{\"a\":1 x",
    ] {
        let text = format!("{{\"items\":[{EVENT},{item},{EVENT}]}}");
        assert!(matches!(page(&text), Err(NotAPage::Syntax(_))), "{text}");
    }
}

#[test]
fn a_page_that_is_cut_off_after_a_malformed_item_is_still_cut_off() {
    let text = format!("{{\"items\":[{{\"a\":NaN}},{EVENT}]}}");
    assert!(page(&text).is_ok());
    for end in text.find(EVENT).unwrap()..text.len() {
        assert!(matches!(page(&text[..end]), Err(NotAPage::Truncated(_))), "{end}");
    }
}

#[test]
fn a_page_has_at_most_100_000_items() {
    let list = |items: usize| format!("{{\"items\":[{}1]}}", "1,".repeat(items - 1));
    assert_eq!(page(list(100_000)).unwrap().len(), 100_000);
    assert_eq!(page(list(100_001)).unwrap_err(), NotAPage::TooManyItems);
    assert_eq!(page(format!("{{\"items\":[{}", ",".repeat(100_000))).unwrap_err(), NotAPage::TooManyItems);
}

#[test]
fn a_malformed_item_takes_twelve_bytes_of_the_table() {
    let items = 100_000;
    let batch = page(format!("{{\"items\":[{}1]}}", "1,".repeat(items - 1))).unwrap();
    assert_eq!((batch.len(), batch.events_from(0), batch.envelopes.capacity()), (items, 0, 0));
    assert!(batch.malformed.capacity() * size_of::<MalformedSpan>() <= 12 * items);
}

/// None of them takes more than a moment, or a stack as deep as they are.
#[test]
fn much_of_anything_is_read_or_refused() {
    let many = |text: &str| text.repeat((1 << 18) / text.len());
    for text in [many("["), many("{\"a\":"), many("{\""), many("\\"), many("{\"items\":[")] {
        let error = page(&text).unwrap_err();
        assert!(matches!(error, NotAPage::Syntax(_) | NotAPage::Truncated(_)), "{}", &text[..9]);
    }
    let id = EVENT.replacen("\"a\"", &format!("\"{}\"", many("\\u0041")), 1);
    let errors = EVENT.replacen('{', &format!("{{\"errors\":[{}0],", many("[[[],{}],\"\\\\\"],")), 1);
    for (item, is_event) in [
        (format!("{}{}", many("["), many("]")), false),
        (format!("{}NaN{}", many("["), many("]")), false),
        (format!("{}{}", many("[,"), "]".repeat(1 << 17)), false),
        (many("\"\\\" \""), false),
        (format!("\"{}\"", many("\\ud800")), false),
        (EVENT.replacen("\"a\"", &format!("\"{}\"", many("\\ud83d")), 1), false),
        (many("1"), false),
        (id, true),
        (errors, true),
    ] {
        let batch = page(format!("{{\"items\":[{item}]}}")).unwrap();
        assert_eq!((batch.len(), batch.events_from(0)), (1, usize::from(is_event)), "{}", &item[..9]);
        assert_eq!(raws(&batch), [item]);
    }
}

/// `{"items":[…],"x":"y"}` with this event as its second item of three.
fn with_second(item: &[u8]) -> Vec<u8> {
    let (first, last) = (format!("{{\"items\":[{EVENT} , "), format!(" ,{EVENT}],\"x\":\"y\"}}"));
    [first.as_bytes(), item, last.as_bytes()].concat()
}

#[test]
fn an_item_that_is_not_utf8_keeps_its_exact_bytes() {
    for item in [
        &b"{\"id\":\"Am\xe9rique \xff\xfe\"}"[..],
        b"{\"\xff\":1}",
        b"\xff",
        b"\"\xe2\x82\"",
        b"[\xf0\x9f\x98]",
        b"{\"a\":\"\\\xff\"}",
    ] {
        let batch = page(with_second(item)).unwrap();
        assert_eq!(faults(&batch), [None, Some(ItemFault::NotUtf8), None]);
        assert_eq!(bytes(&batch, 1), item);
        assert_eq!(raws(&batch), [EVENT, &*String::from_utf8_lossy(item), EVENT]);
    }
    let event = EVENT.replacen("\"a\"", "\"b\",\"x\":\"é?\"", 1).into_bytes();
    let spoiled: Vec<u8> = event.iter().map(|&byte| if byte == b'?' { 0xff } else { byte }).collect();
    assert_eq!(faults(&page(with_second(&event)).unwrap()), [None; 3]);
    let batch = page(with_second(&spoiled)).unwrap();
    assert_eq!(
        (faults(&batch), bytes(&batch, 1)),
        (vec![None, Some(ItemFault::NotUtf8), None], &spoiled[..])
    );
}

#[test]
fn other_malformed_items_keep_their_bytes_on_a_page_that_is_not_utf8() {
    let batch = page(with_second(b"\"\xff\", \"\xc3\xa9\", 7, \"\xff\"")).unwrap();
    assert_eq!(raws(&batch), [EVENT, "\"\u{fffd}\"", "\"é\"", "7", "\"\u{fffd}\"", EVENT]);
    assert_eq!((bytes(&batch, 2), bytes(&batch, 4)), ("\"é\"".as_bytes(), &b"\"\xff\""[..]));
    assert_eq!(faults(&batch)[2], Some(ItemFault::NotAnObject));
}

#[test]
fn a_page_that_is_not_utf8_outside_of_its_items_is_unreadable() {
    let body = with_second(EVENT.as_bytes());
    for needle in [&b"\"x\""[..], b"\"y\""] {
        let at = body.windows(3).position(|bytes| bytes == needle).unwrap() + 1;
        let mut body = body.clone();
        body[at] = 0xff;
        assert_eq!(page(&body).unwrap_err(), NotAPage::NotUtf8(at));
        let second = body.windows(5).position(|bytes| bytes == b" , {\"").unwrap() + 5;
        body[second] = 0xff;
        assert_eq!(page(&body).unwrap_err(), NotAPage::NotUtf8(at));
    }
    let (text, error) = Batch::single(b"{\"a\":\"\xff\"}".to_vec()).unwrap_err();
    assert_eq!((&*text, error), ("{\"a\":\"\u{fffd}\"}", NotAPage::NotUtf8(6)));
    let (_, error) = Batch::single(b"{\"a\":\"\xff".to_vec()).unwrap_err();
    assert!(matches!(error, NotAPage::Truncated(_)));
}

proptest! {
    /// With any one item, the others are read, or the page is not: nothing is lost in silence.
    #[test]
    fn no_item_hides_another(item in "[\\[\\]{}\",:\\\\0-9eE.\u{1} a-]{0,16}") {
        let text = format!("{{\"items\":[{EVENT},{item},{EVENT}]}}");
        if let Ok(batch) = page(&text) {
            let raws = raws(&batch);
            let commas = raws.len() - 1;
            prop_assert_eq!((raws[0], raws[commas]), (EVENT, EVENT));
            let kept: usize = raws.iter().map(|raw| raw.len()).sum();
            let spaces = item.matches(' ').count();
            prop_assert!(kept + commas + spaces >= text.len() - "{\"items\":[]}".len(), "{:?}", raws);
        }
    }

    /// A page that `serde_json` reads is read too, with the same items.
    #[test]
    fn a_page_that_is_json_is_read_as_such(items in prop::collection::vec("(null|[0-9]|\"[a-z,\\[\\]]{0,3}\"|\\[1,2\\]|\\{\"a\":\\{\\}\\})", 0..5)) {
        let text = format!("{{\"items\":[{}]}}", items.join(" , "));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        let batch = page(&text).unwrap();
        prop_assert_eq!(raws(&batch), items);
    }
}
