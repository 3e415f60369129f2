use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn scan(text: &str) -> Result<&str> {
    let mut scanner = Scanner::new(text);
    let range = scanner.value()?;
    scanner.end()?;
    Ok(&text[range])
}

/// The scanner agrees with `serde_json` on whether `text` is JSON, and on what it is.
fn agrees(text: &str) {
    let expected = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
    assert_eq!(scan(text).ok(), expected, "{text:?}");
}

#[test]
fn it_agrees_with_serde_json_on_a_table() {
    for text in [
        "",
        " ",
        "{}",
        "[]",
        " [ ] ",
        "{ }",
        "null",
        "nul",
        "nulll",
        "true",
        "false",
        "0",
        "-0",
        "00",
        "01",
        "-",
        "-01",
        "1.",
        ".1",
        "1.5",
        "1e",
        "1e5",
        "1E+5",
        "1e-",
        "1.5e-7x",
        "1e999",
        "+1",
        "NaN",
        "1 2",
        "\"\"",
        "\"a",
        "\"\\\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"\t\"",
        "\"\u{7f}\"",
        "\"é😀\"",
        "[1,2]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1}",
        "{\"a\" : [ {\"b\":{}} , [] ] }",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{1:1}",
        "[}",
        "{]",
        "[[]",
        "[]]",
        "{\"a\":[}",
        "\u{feff}{}",
        "\u{b}1",
        "[{},{\"a\":[[[[]]]]},\"x\"]",
        "'a'",
        "{\"a\":1 \"b\":2}",
        "[1\u{a0}]",
        "{\"\":{\"\":\"\"}}",
        "-a",
        "[-]",
    ] {
        agrees(text);
    }
}

#[test]
fn a_string_ends_at_its_quote_at_any_position() {
    for length in 0..40 {
        for tail in ["", "\"", "\\\"x\"", "\n\"", "\u{1f}\"", "é\"", "\u{80}\"", "\\\\\"\""] {
            agrees(&format!("\"{}{tail}", "a".repeat(length)));
            agrees(&format!("\"{}{tail}", "é".repeat(length)));
        }
    }
}

#[test]
fn nesting_of_any_depth_is_read_in_bounded_stack() {
    for depth in [1, 63, 64, 65, 127, 128, 129, 200_000] {
        let mixed: String = (0..depth).map(|i| if i % 3 == 0 { "{\"a\":" } else { "[" }).collect();
        let close: String = (0..depth).rev().map(|i| if i % 3 == 0 { '}' } else { ']' }).collect();
        assert!(scan(&format!("{mixed}1{close}")).is_ok(), "{depth}");
        assert!(scan(&format!("{mixed}1{}", &close[1..])).is_err(), "{depth}");
        assert!(scan(&"[".repeat(depth)).is_err(), "{depth}");
    }
}

#[test]
fn an_escaped_string_is_unescaped() {
    let value = |text: &'static str| Scanner::new(text).string().unwrap().value();
    assert!(matches!(value("\"plain\""), Some(Cow::Borrowed("plain"))));
    assert_eq!(value(r#""a\u0062\n\ud83d\ude00""#).unwrap(), "ab\n😀");
    assert_eq!(value(r#""\ud800""#), None);
}

fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z\\PC\"\\\\/\u{0}-\u{1f}]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\ud83d\u00e9\/""#.to_owned()),
    ];
    let leaf = prop_oneof![
        text.clone(),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        "true|false|null"
    ];
    let space = "[ \n\t\r]{0,2}";
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let item = (space, inner, space).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        let member = (text.clone(), item.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
        prop_oneof![
            prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

#[test]
fn each_special_byte_is_found_at_each_position_of_a_block() {
    for byte in 0..=u8::MAX {
        let is_special = byte < 0x20 || byte == b'"' || byte == b'\\';
        for at in 0..BLOCK {
            let mut block = [b'a'; BLOCK];
            block[at] = byte;
            assert_eq!(specials(&block), u64::from(is_special) << at, "{byte:#x} at {at}");
        }
    }
    assert_eq!((specials(&[0; BLOCK]), specials(&[0xff; BLOCK])), (u64::MAX, 0));
}

#[test]
fn strings_of_several_blocks_end_where_they_should() {
    for before in 0..70 {
        for length in [0, 1, 7, 56, 63, 64, 65, 127, 128, 200] {
            let text = format!("{}\"{}\"", " ".repeat(before), "a".repeat(length));
            agrees(&text);
            agrees(&format!("{text}1"));
            agrees(&text[..text.len() - 1]);
        }
    }
}

#[test]
fn every_escape_is_read_as_serde_json_reads_it() {
    for escape in ["\\n", "\\\\", "\\/", "\\u0041", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\ud83d\\ud83d"]
    {
        for (before, after) in
            [("", ""), ("é", ""), ("", "\\\""), ("ab", "\\t😀"), ("", "u0041"), ("\\ud83d", "")]
        {
            let text = format!("\"{before}{escape}{after}\"");
            let value = Scanner::new(&text).string().unwrap().value().map(Cow::into_owned);
            assert_eq!(value, serde_json::from_str(&text).ok(), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn it_agrees_with_serde_json_on_json(text in json()) {
        prop_assert!(scan(&text).is_ok());
        agrees(&text);
    }

    #[test]
    fn it_agrees_with_serde_json_on_damaged_json(text in json(), at in any::<prop::sample::Index>(), with in "[\\[\\]{}\",:\\\\0-9eu.\u{1f} a-]?") {
        let at = text.char_indices().map(|(at, _)| at).nth(at.index(text.chars().count())).unwrap();
        let after = at + text[at..].chars().next().unwrap().len_utf8();
        agrees(&format!("{}{with}{}", &text[..at], &text[after..]));
        agrees(&format!("{}{with}{}", &text[..at], &text[at..]));
        agrees(&text[..at]);
    }

    #[test]
    fn it_agrees_with_serde_json_on_noise(text in "[\\[\\]{}\",:\\\\0-9eEu.+ \u{1f}tfnrueals-]{0,24}") {
        agrees(&text);
    }
}
