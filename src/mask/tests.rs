use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::error::{ApiError, DecodeError, Error};

fn mask(secret: &str) -> Mask {
    Mask::default().token(&Token::from(secret))
}

fn query(query: &str) -> Mask {
    Mask::default().query(&Url::parse(&format!("https://webexapis.com/v1/events?{query}")).unwrap())
}

#[test]
fn a_repeated_token_is_masked_each_time() {
    assert_eq!(mask("abc").apply("Bearer abc, abc"), "Bearer …, …");
    assert_eq!(mask("a/b").apply(r"xa/b a\/b \u0061/\u0062a/"), "x… … …a/");
}

#[test]
fn a_token_is_masked_in_the_escapes_of_json_html_and_urls() {
    for form in [
        "a/b=c+d",
        r"a\/b\u003Dc\u002bd",
        r"a\x2fb=c+d",
        "a%2Fb%3dc%2Bd",
        "%61%2f%62%3d%63%2b%64",
        "a&#47;b&#x3D;c&#43;d",
        "a&sol;b&equals;c&plus;d",
        "a&#0047;b&#x003d;c&#43d",
        // Several of them on top of each other.
        "a%252Fb%253Dc%252Bd",
        "a%25252Fb=c+d",
        r"a\\/b\\u003dc+d",
        "a&amp;#47;b&amp;equals;c&#38;plus;d",
        r"a\u00262Fb=c+d \u00252Fb a\u00252Fb=c+d",
        "a&#37;2Fb=c+d",
    ] {
        let masked = mask("a/b=c+d").apply(&format!("<{form}>"));
        assert!(masked.ends_with("…>") && !masked.ends_with("b=c+d>"), "{form}: {masked}");
    }
}

#[test]
fn other_texts_stay_as_they_are() {
    for text in ["", "abd", "a%2Gb", r"a\u00", "100 % of a & b \\ c", "ümläut &amp; %41", "abc/"] {
        assert_eq!(mask("abcdef/x").apply(text), text);
    }
}

#[test]
fn a_secret_of_two_characters_masks_no_words() {
    assert_eq!(mask("es").apply("Too Many Requests"), "Too Many Requests");
    assert_eq!(query("a").apply("a text"), "a text");
}

#[test]
fn half_a_token_at_the_end_of_a_text_is_masked() {
    for (text, expected) in [
        ("the token abcd", "the token …"),
        ("the token abc", "the token abc"),
        ("the token abcde%2", "the token …"),
        ("the token abcde&#4", "the token …"),
        (r"the token abcde\u002", "the token …"),
        ("abcde and more", "abcde and more"),
    ] {
        assert_eq!(mask("abcde/ghi").apply(text), expected);
    }
}

#[test]
fn the_query_of_the_request_is_masked_in_each_form() {
    let mask = query("actorId=Y2%2Bz&from=2026-01-01T00%3A00%3A00Z&max=5");
    for text in [
        "actorId=Y2%2Bz&from=2026-01-01T00%3A00%3A00Z&max=5",
        "actorId=Y2%2Bz&amp;from=2026-01-01T00%3A00%3A00Z&amp;max=5",
        "actorId%3DY2%252Bz%26from%3D2026-01-01T00%253A00%253A00Z%26max%3D5",
        r"actorId=Y2+z\u0026from=2026-01-01T00:00:00Z\u0026max=5",
        "actorId=Y2%2Bz&#38;from=2026-01-01T00%3A00%3A00Z&#38;max=5",
    ] {
        assert_eq!(mask.apply(&format!("GET /v1/events?{text} failed")), "GET /v1/events?… failed");
    }
    assert_eq!(mask.apply("no person Y2+z, or Y2%2Bz"), "no person …, or …");
    let plain = "`max` must be at most 5, `from` at least 2026-01-01T00:00:00Z";
    assert_eq!(mask.apply(plain), plain);
    assert_eq!(query("").apply("a text"), "a text");
}

/// One character in a form that a writer of JSON, HTML or URLs could give it.
fn encoded(c: char, form: u8) -> String {
    match form % 9 {
        0..=2 => c.to_string(),
        3 => format!("%{:02X}", u32::from(c)),
        4 => format!("%{:02x}", u32::from(c)),
        5 => format!("&#{};", u32::from(c)),
        6 => format!("&#x{:X};", u32::from(c)),
        7 => format!("\\u{:04x}", u32::from(c)),
        _ if c.is_ascii_punctuation() => format!("\\{c}"),
        _ => c.to_string(),
    }
}

/// `text` encoded once for each of `layers`, whose forms are used in turn.
fn layered(text: &str, layers: &[Vec<u8>]) -> String {
    let mut text = text.to_owned();
    for forms in layers {
        text = text.chars().zip(forms.iter().cycle()).map(|(c, &form)| encoded(c, form)).collect();
    }
    text
}

#[test]
fn a_text_that_ends_within_a_deeply_escaped_character_shows_no_token() {
    let token = "+a_a0+a+~_A0-=A~A_=0=A~ua";
    // The sixth character is `&#x2B;`, with each of its characters escaped again.
    let echo = "+a_a0&#x26;&#x23;&#x78;&#x32;&#x42;&#x3B;a+~_A0";
    for kept in 0..echo.len() {
        let shown = mask(token).apply(&echo[..kept]);
        assert!(!shown.contains("+a_a0"), "{kept}: {shown}");
    }
}

/// A gateway can nest and repeat escapes as it likes. Each further one must not multiply the time to read them.
#[test]
fn a_text_full_of_escapes_is_masked_in_proportionate_time() {
    let mask = query(r"cursor=%26%25%5C0&actorId=ab%26amp").token(&Token::from(r"&%\0mfQxZ"));
    for escape in [
        r"\",
        "%",
        "&",
        "%25",
        "&amp;",
        r"\u0026",
        "&#38;",
        "&#x26;",
        "&#0",
        "&#0000000",
        "&bsol;",
        r"\u005c",
        "%26#37;25",
    ] {
        let text = escape.repeat((2 << 10) / escape.len());
        let read = Reading::new(&text);
        for at in 0..text.len() {
            read.chars_at(at, DEPTH);
        }
        let known = read.known.borrow();
        assert!(known.len() <= usize::from(DEPTH) * text.len(), "{escape}: {}", known.len());
        let most = known.values().map(|chars| chars.len()).max().unwrap_or_default();
        assert!(most <= 500, "{escape}: {most}");
        assert!(mask.apply(&format!(r"{text} Z&%\0mfQxZ")).ends_with('…'), "{escape}");
    }
}

proptest! {
    #[test]
    fn a_token_is_masked_in_every_mixture_of_encodings(
        token in "[!-~]{8,60}",
        layers in prop::collection::vec(prop::collection::vec(0_u8..9, 1..40), 0..=3),
    ) {
        let shown = layered(&token, &layers);
        prop_assert_eq!(mask(&token).apply(&format!("«{shown}»")), "«…»");
    }

    #[test]
    fn no_error_shows_a_token_that_its_response_repeats(
        token in "[0-9A-Za-z_~+/.=-]{16,60}",
        layers in prop::collection::vec(prop::collection::vec(0_u8..9, 1..40), 0..=2),
        padding in 0_usize..250,
        kept in 0_usize..400,
    ) {
        let echo = layered(&token, &layers);
        // A body can break off anywhere.
        let text = format!("{}{echo} {echo}", "é".repeat(padding));
        let json = serde_json::json!({"message": text, "errors": [{"description": text}], "trackingId": text});
        let [text, json] = [text, json.to_string()].map(|text| text.chars().take(kept).collect::<String>());
        let mask = mask(&token);
        for body in [text, json] {
            let api = ApiError::new(503, Some(body.as_str().into()), None, body.clone(), 1)
                .with_texts(|text| mask.apply(text));
            let mut shown = format!("{api} {api:?} {} {:?} {}", api.message(), api.errors(), api.body());
            let masked = mask.apply(&body);
            let decode = Error::from(DecodeError::new(200, Some((*masked).into()), None, &masked, "no page"));
            write!(shown, "{decode} {decode:?}").unwrap();
            let part: String = token.chars().take(5).collect();
            prop_assert!(!shown.contains(&part), "{} is in {}", part, shown);
        }
    }

    #[test]
    fn masking_never_panics(secret in "\\PC{0,20}", text in "\\PC{0,200}", query_text in "[ -~]{0,60}") {
        let _ = mask(&secret).apply(&text);
        let _ = query(&query_text).apply(&text);
        let _ = query(&query_text).apply(&query_text);
    }
}
