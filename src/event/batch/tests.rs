use super::*;

const EVENT: &str = r#"{"id":"a","resource":"rooms","type":"updated","created":"2026-01-05T11:00:00Z"}"#;

fn page(text: &str) -> Result<Batch, NotAPage> {
    Batch::page(text.to_owned(), &[]).map_err(|(_, error)| error)
}

#[test]
fn what_is_no_page_is_told_apart() {
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
    let batch = page(&format!("\u{feff}{{\"items\":[{EVENT}]}}")).unwrap();
    assert_eq!(batch.envelope(0).raw(&batch), EVENT);
    assert!(matches!(page("{\u{feff}\"items\":[]}"), Err(NotAPage::Syntax(_))));
}

#[test]
fn items_are_found_under_any_spelling_and_beside_anything() {
    let text = format!(" {{\"a\":[{{}}],\"\\u0069tems\" : [ {EVENT} ,{EVENT}] , \"b\":1}} ");
    let batch = page(&text).unwrap();
    assert_eq!(batch.len(), 2);
    assert_eq!(batch.envelope(1).raw(&batch), EVENT);
}

#[test]
fn each_fault_of_an_item_is_named() {
    for (from, to, fault) in [
        ("\"a\"", "7", Fault::Member("id")),
        ("\"id\"", "\"Id\"", Fault::Member("id")),
        ("\"rooms\"", "null", Fault::Member("resource")),
        ("\"updated\"", "[]", Fault::Member("type")),
        ("2026-01-05T11:00:00Z", "yesterday", Fault::Member("created")),
        ("\"a\"", "\"\\ud800\"", Fault::Member("id")),
        ("\"a\"", "\"a\",\"actorId\":1", Fault::Member("actorId")),
        (EVENT, "null", Fault::NotAnObject),
        (EVENT, "[1]", Fault::NotAnObject),
    ] {
        let item = EVENT.replacen(from, to, 1);
        let batch = page(&format!("{{\"items\":[{EVENT},{item}]}}")).unwrap();
        assert_eq!(batch.envelope(0).fault, None);
        assert_eq!(batch.envelope(1).fault, Some(fault), "{item}");
        assert_eq!(batch.envelope(1).raw(&batch), item);
        assert_eq!((batch.id(0), batch.id(1)), (Some("a"), None));
    }
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    let item = EVENT.replacen("\"a\"", "7,\"id\":\"b\",\"appId\":1,\"appId\":null", 1);
    let batch = Batch::item(item).unwrap();
    let envelope = batch.envelope(0);
    assert_eq!((envelope.id(&batch), envelope.app_id(&batch), envelope.fault), ("b", None, None));
}

#[test]
fn an_item_keeps_its_index_whatever_stands_before_it() {
    let other = EVENT.replacen("\"a\"", "\"b\"", 1);
    let batch = page(&format!("{{\"items\":[1,{EVENT},null,[],{other},{{}}]}}")).unwrap();
    let ids: Vec<_> = (0..batch.len()).map(|index| batch.id(index)).collect();
    assert_eq!(ids, [None, Some("a"), None, None, Some("b"), None]);
    let raws: Vec<_> = (0..batch.len()).map(|index| batch.envelope(index).raw(&batch).to_owned()).collect();
    assert_eq!(raws, ["1", EVENT, "null", "[]", &other, "{}"]);
    let left: Vec<_> = (0..=batch.len()).map(|index| batch.events_from(index)).collect();
    assert_eq!(left, [2, 2, 1, 1, 1, 0, 0]);
}

#[test]
fn a_page_of_nothing_but_malformed_items_takes_a_small_multiple_of_its_text() {
    let items = 100_000;
    let batch = page(&format!("{{\"items\":[{}1]}}", "1,".repeat(items - 1))).unwrap();
    assert_eq!((batch.len(), batch.events_from(0), batch.envelopes.capacity()), (items, 0, 0));
    assert!(batch.malformed.capacity() * size_of::<MalformedSpan>() <= 16 * batch.text.len());
    assert_eq!(batch.envelope(items - 1).fault, Some(Fault::NotAnObject));
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
        (format!("\"{}\"", many("\\ud800")), false),
        (EVENT.replacen("\"a\"", &format!("\"{}\"", many("\\ud83d")), 1), false),
        (many("1"), false),
        (id, true),
        (errors, true),
    ] {
        let batch = page(&format!("{{\"items\":[{item}]}}")).unwrap();
        assert_eq!((batch.len(), batch.events_from(0)), (1, usize::from(is_event)), "{}", &item[..9]);
        assert_eq!(batch.envelope(0).raw(&batch), item);
    }
}

#[test]
fn a_spoiled_byte_spoils_its_item_only() {
    let text = format!("{{\"items\":[{EVENT},{EVENT},{EVENT}],\"x\":\"?\"}}");
    let second = text.find(EVENT).unwrap() + EVENT.len() + 5;
    let batch = Batch::page(text.clone(), &[second]).unwrap();
    let faults: Vec<_> = (0..3).map(|index| batch.envelope(index).fault).collect();
    assert_eq!(faults, [None, Some(Fault::NotUtf8), None]);
    let outside = text.find('?').unwrap();
    assert_eq!(Batch::page(text, &[outside]).unwrap_err().1, NotAPage::NotUtf8(outside));
}

#[test]
fn a_spoiled_byte_between_items_spoils_the_page() {
    let text = format!("{{\"?\":1,\"items\":[{EVENT},{EVENT}]}}");
    let (first, inside) = (text.find('?').unwrap(), text.rfind("\"a\"").unwrap());
    for spoiled in [&[first][..], &[first, inside]] {
        let (_, error) = Batch::page(text.clone(), spoiled).unwrap_err();
        assert_eq!(error, NotAPage::NotUtf8(first));
    }
    let batch = Batch::page(text, &[inside, inside + 1]).unwrap();
    assert_eq!((batch.envelope(0).fault, batch.envelope(1).fault), (None, Some(Fault::NotUtf8)));
    assert_eq!(batch.envelope(1).raw(&batch), EVENT);
}
