//! Properties of all headers.

use std::time::{Duration, Instant};

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

/// `text` with some of its letters in the other case.
fn cased(text: &'static str) -> impl Strategy<Value = String> {
    vec(any::<bool>(), text.len()).prop_map(move |flips| {
        let flip = |(c, flip): (char, bool)| if flip { c.to_ascii_uppercase() } else { c };
        text.chars().zip(flips).map(flip).collect()
    })
}

fn space() -> impl Strategy<Value = &'static str> {
    select(&["", " ", "\t", " \t  "][..])
}

/// A parameter that must have no effect.
fn other() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-qs-z]{1,8}\\*?",
        "[a-qs-z]{1,8}[ \t]?=[ \t]?[!-+./0-:=?-~ü]{0,9}"
            .prop_filter("has a quote", |text| !text.contains('"')),
        "x[a-z]{1,8}=\"([^\"\\\\\n]|\\\\[^\n]){0,12}\"",
        Just(String::new()),
    ]
    .prop_filter("is an anchor", |text| !text.starts_with("anchor"))
}

fn others() -> impl Strategy<Value = String> {
    let one = (space(), other()).prop_map(|(space, other)| format!("{space};{space}{other}"));
    vec(one, 0..4).prop_map(|others| others.concat())
}

fn rel(of_interest: &'static str) -> impl Strategy<Value = String> {
    let more = || select(&["", "last ", "x-y.z  ", "http://e.org/next "][..]);
    prop_oneof![
        cased(of_interest),
        (cased(of_interest), more()).prop_map(|(rel, more)| format!("\"{more}{rel}\"")),
        (cased(of_interest), more()).prop_map(|(rel, more)| format!("\"{rel} {more}\"")),
        cased(of_interest).prop_map(|rel| format!("\"{}\"", rel.replace('e', "\\e"))),
    ]
}

fn link(target: String, of_interest: &'static str) -> impl Strategy<Value = String> {
    (others(), space(), cased("rel"), space(), rel(of_interest), others()).prop_map(
        move |(before, one, name, two, rel, after)| {
            format!("<{target}>{before}{one};{two}{name}{one}={two}{rel}{after}")
        },
    )
}

fn target() -> impl Strategy<Value = String> {
    "/[a-zA-Z0-9_~!$&'()*+,;=:@-]{0,8}(/[a-z]{1,4}){0,2}(\\?[a-zA-Z0-9_~!$&()*+,;=:@/?%\\[\\].-]{0,30})?"
        .prop_map(|path| format!("https://webexapis.com{path}"))
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(lines in vec(vec(any::<u8>(), 0..200), 0..4)) {
        let _ = links(lines.iter().map(Vec::as_slice), &url(PAGE), &origins());
    }

    #[test]
    fn no_pieces_of_links_make_it_panic(
        pieces in vec(select(&[
            "<", ">", ";", ",", "=", "\"", "\\", " ", "rel", "rel=next", "rel=\"prev ", "anchor=\"", "/", "..", "?",
            "#", "https:", "//", "webexapis.com", ":443", "@", "[", "]", "%", "ü", "\n",
        ][..]), 0..40),
    ) {
        let _ = read(&pieces.concat());
    }

    #[test]
    fn whatever_is_admitted_is_sent_as_given(target in "(https://webexapis\\.com)?[/?a-c.%'+:#\\\\ü2eE-]{0,20}") {
        if let Ok(Links { next: Some(next), .. }) = read(&format!("<{target}>; rel=next")) {
            prop_assert_eq!(next.host_str(), Some("webexapis.com"));
            let sent = &next[Position::BeforePath..];
            if let Some(rest) = target.strip_prefix("https://webexapis.com") {
                prop_assert_eq!(sent, rest.strip_prefix(':').unwrap_or(rest));
            } else {
                prop_assert!(sent.ends_with(target.trim_start_matches(['.', '/'])), "{} {}", target, sent);
            }
        }
    }

    #[test]
    fn every_legal_form_of_a_link_is_read(
        (expected, links) in target().prop_flat_map(|next| (Just(next.clone()), (
            option::of(link("https://evil.com/a,b;c".into(), "last")),
            link(next, "next"),
            option::of(link("/p".into(), "prev")),
            option::of(link("#no:uri {}".into(), "first")),
        ))),
        separators in vec(select(&["\n", ",", " , ", ",,\t", "\n,\n"][..]), 4),
        rotation in 0..4_usize,
    ) {
        let (first, next, prev, last) = links;
        let has_prev = prev.is_some();
        let mut all: Vec<_> = [first, Some(next), prev, last].into_iter().flatten().collect();
        let middle = rotation % all.len();
        all.rotate_left(middle);
        let pairs = all.iter().map(String::as_str).zip(separators);
        let header: String = pairs.flat_map(|(link, separator)| [link, separator]).collect();
        let found = read(&header).unwrap();
        prop_assert_eq!(found.next.as_ref().map(Url::as_str), Some(expected.as_str()), "{}", header);
        prop_assert_eq!(found.prev.is_some(), has_prev, "{}", header);
    }
}

/// A quadratic reading of a MiB would take minutes.
#[test]
fn a_hostile_mebibyte_is_read_in_linear_time() {
    for (head, body, tail) in [
        ("", "<", ""),
        ("", ">", ""),
        ("", ",", ""),
        ("", "\"", ""),
        ("", ";", ""),
        ("", " ", ""),
        ("</a>", ";", ";rel=next"),
        ("</a>;rel=next;x=\"", "\\\"", "\""),
        ("</a>;rel=next;x=\"", "\\\"", ""),
        ("</a>;rel=next;x=\"", "\\", ""),
        ("</a>", ";rel=next", ""),
        ("</a>;rel=next", ";x=\"\"", ""),
        ("</a>;rel=\"", "a ", "next\""),
        ("</a>;rel=\"", "next prev ", "\""),
        ("</a>;rel=\"http:", "a", " next\""),
        ("</a>;x=", " ", ""),
        ("", "<x>,", ""),
        ("", "<x>;anchor=a,", ""),
        ("", "<x>;rel=next;anchor=a,", ""),
        ("", "<x>;rel=next,", ""),
        ("", "<>;rel=\"next prev\",", ""),
        ("", "<//>;rel=prev,", ""),
        ("<", "/", ">;rel=next"),
        ("<", "../", ">;rel=next"),
        ("<", "a:", ">;rel=next"),
        ("<//", "@", ">;rel=next"),
        ("<//", "1", ">;rel=next"),
        ("<//", "[", ">;rel=next"),
        ("<https://webexapis.com:", "0", "443/>;rel=next"),
        ("<?", "%2e", ">;rel=next"),
        ("</a>;rel=next;anchor=\"", "../", "\""),
    ] {
        let header = format!("{head}{}{tail}", body.repeat((1 << 20) / body.len()));
        let start = Instant::now();
        let outcome = read(&header);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(10), "{head}{body}…{tail}: {took:?}, {:?}", outcome.err());
    }
}

#[test]
fn the_last_of_very_many_links_counts() {
    let others = "<x>, </a>;rel=last, <y>;rel=next;anchor=\"z\",".repeat(20_000);
    let links = read(&format!("{others}</a>;rel=next")).unwrap();
    assert_eq!(links.next, Some(url("https://webexapis.com/a")));
}

fn joined(count: usize, link: impl Fn(usize) -> String) -> String {
    (0..count).map(link).collect()
}

/// A page URL of a MiB, and as many links against it as fit into a MiB. Resolving each would copy 20 GB.
#[test]
fn many_relative_links_of_a_long_page_url_are_read_in_linear_time() {
    let page = url(&format!("{PAGE}{}", "a".repeat(1 << 20)));
    let alternate =
        |number: usize| (0..16).map(|bit| ["./././", "../v1/"][number >> bit & 1]).collect::<String>();
    let different: [fn(usize) -> String; 4] = [
        |number| format!("</a>;rel=next;anchor=\"x{number}\","),
        |number| format!("</a>;rel=prev;anchor=\"x{number}\","),
        |number| format!("</{number}>;rel=prev,"),
        |number| format!("<{}a>;rel=next,", "./".repeat(number % 40)),
    ];
    let same = ["<a>;rel=next,", "<a>;rel=prev,", "<>;rel=\"next prev\","];
    let headers = different
        .map(|link| joined(30_000, link))
        .into_iter()
        .chain(same.map(|link| link.repeat(60_000)))
        .chain([joined(10_000, |number| format!("<{}a>;rel=next,", alternate(number)))]);
    for header in headers {
        let start = Instant::now();
        let outcome = links([&header], &page, &origins());
        let took = start.elapsed();
        assert!(took < Duration::from_secs(5), "{}…: {took:?}, {:?}", &header[..20], outcome.err());
    }
}

#[test]
fn more_different_links_than_a_page_can_need_are_refused_only_if_they_could_be_next() {
    let list =
        |rel: &str, count: usize| joined(count, |number| format!("</a>;rel={rel};anchor=\"/x{number}\","));
    let next = Some(url("https://webexapis.com/a"));
    assert_eq!(read(&format!("{}</a>;rel=next", list("next", 63))).unwrap().next, next);
    let error = read(&format!("{}</a>;rel=next", list("next", 64))).unwrap_err();
    assert_eq!(error.link_kind(), Some(LinkErrorKind::Malformed));
    let links = read(&format!("</a>;rel=next,{}", list("prev", 100))).unwrap();
    assert_eq!((links.next, links.prev), (next, None));
}
