//! Headers and the results of reading them.

mod properties;

use super::*;

pub(super) const PAGE: &str = "https://webexapis.com/v1/events?max=2&cursor=A";

/// The result of reading the headers of one response.
#[derive(Clone, Copy, Debug)]
enum To {
    Next(&'static str),
    Prev(&'static str),
    Both(&'static str, &'static str),
    Nothing,
    Malformed,
    Ambiguous,
    CrossOrigin,
}
use To::{Ambiguous, Both, CrossOrigin, Malformed, Next, Nothing, Prev};

/// Expected URLs are relative to this, unless they are absolute.
const BASE: &str = "https://webexapis.com";

/// A line break separates header lines.
#[rustfmt::skip]
const TABLE: &[(&str, To)] = &[
    // No link
    ("", Nothing),
    (" \t ", Nothing),
    (",, ,\t,", Nothing),
    ("</a>", Nothing),
    ("</a>;", Nothing),
    ("</a>; title=\"next\"", Nothing),
    ("</a>; rel", Nothing),
    ("</a>; rel=", Nothing),
    ("</a>; rel=\"\"", Nothing),
    ("</a>; rel=\" \"", Nothing),
    ("</a>; rel; rel=next", Nothing),
    ("</a>; rel=last", Nothing),
    ("</a>; rel=\"last first\"", Nothing),
    ("</a>; rel=nextpage", Nothing),
    ("</a>; rel=\"http://example.com/next\"", Nothing),
    ("</a>; rel=\"https://example.com/rels#next\"", Nothing),
    ("</a>; rel=\"urn:ietf:rels:next\"", Nothing),
    ("</a>; rel=next:", Nothing),
    ("</a>; rev=next", Nothing),
    ("</a>; rel*=UTF-8''next", Nothing),
    ("</a>; rel=x-next_page.v2", Nothing),
    // As the service writes them
    ("<https://webexapis.com/v1/people?displayName=Harold&max=10&before&after=Y2lz>; rel=\"next\"",
     Next("/v1/people?displayName=Harold&max=10&before&after=Y2lz")),
    ("<https://webexapis.com/v1/events?cursor=bGltaXQ9Mg==&from=2026-01-01T00:00:00.000Z>; rel=\"next\"",
     Next("/v1/events?cursor=bGltaXQ9Mg==&from=2026-01-01T00:00:00.000Z")),
    ("<https://webexapis.com/v1/cdr_feed?max=5000&totalCount=20000>;rel=\"next\"",
     Next("/v1/cdr_feed?max=5000&totalCount=20000")),
    ("<https://webexapis.com/v1/events?max=null>; rel=\"next\"", Next("/v1/events?max=null")),
    ("<<https://webexapis.com/v1/events>>; rel=\"next\"", Malformed),
    ("<<https://webexapis.com/v1/events>; rel=\"next\"", Malformed),
    ("<https,https://webexapis.com/v1/telephony>; rel=\"next\"", Malformed),
    ("</1>; rel=\"first\", </2>; rel=\"prev\", </4>; rel=\"next\"", Both("/4", "/2")),
    // RFC 8288 section 3.5
    ("<http://example.com/TheBook/chapter2>; rel=\"previous\"; title=\"previous chapter\"", Nothing),
    ("</>; rel=\"http://example.net/foo\"", Nothing),
    ("</terms>; rel=\"copyright\"; anchor=\"#foo\"", Nothing),
    ("</TheBook/chapter2>; rel=\"previous\"; title*=UTF-8'de'letztes%20Kapitel, \
      </TheBook/chapter4>; rel=\"next\"; title*=UTF-8'de'n%c3%a4chstes%20Kapitel",
     Both("/TheBook/chapter4", "/TheBook/chapter2")),
    ("<http://example.org/>; rel=\"start http://example.net/relation/other\"", Nothing),
    ("<https://example.org/>; rel=\"start\",\t<https://example.org/index>; rel=\"index\"", Nothing),
    // Forms of the grammar
    ("</a>;rel=next", Next("/a")),
    ("  </a> \t;\t rel \t= \tnext  ", Next("/a")),
    ("</a>; rel = \"next\" ; title = \"x\" ,", Next("/a")),
    ("</a>; REL=NEXT", Next("/a")),
    ("</a>; Rel=\"Next\"", Next("/a")),
    ("</a>;;;; rel=next", Next("/a")),
    ("</a>; ; rel=next;", Next("/a")),
    ("</a>; rel=\"n\\ext\"", Next("/a")),
    (",, </a>; rel=next,,", Next("/a")),
    ("</a>;crossorigin;rel=next;hreflang=de", Next("/a")),
    ("</a>; type=text/html; rel=next", Next("/a")),
    ("</a>; title=Next page; rel=next", Next("/a")),
    ("</a>; title=; rel=next", Next("/a")),
    ("</a>; title=\"\"; rel=next", Next("/a")),
    ("</a>; title=\"Überblick\"; rel=next", Next("/a")),
    ("</a>; title=Überblick; rel=next", Next("/a")),
    ("</a>; title=\"rel=last\"; rel=next", Next("/a")),
    ("</a>; title=\"a, <b>; rel=prev\"; rel=next", Next("/a")),
    ("</a>; title=\"say \\\"x\\\"; rel=last\"; rel=next", Next("/a")),
    ("</a>; title=\"a \\\\\"; rel=next", Next("/a")),
    ("</a>; title='a; rel=next", Next("/a")),
    ("</a?b,c;rel=last>; rel=next", Next("/a?b,c;rel=last")),
    ("</m;foo=bar;baz/item?name=What,+me+worry>; rel=\"next\";", Next("/m;foo=bar;baz/item?name=What,+me+worry")),
    ("</v1/events;v=1;region=us?after=a;b=2,3&x=1>; rel=\"next\"", Next("/v1/events;v=1;region=us?after=a;b=2,3&x=1")),
    ("</a>;rel=prev;title, </b>;rel=\"next\"", Both("/b", "/a")),
    ("</a>; rel=\"self\", , </b>; rel=\"next\",  ", Next("/b")),
    ("<https://webexapis.com/v1/events?max=2&cursor=Ab+/cd==&from=2026-01-01T00:00:00.000Z&q=%2B%20a>; rel=next",
     Next("/v1/events?max=2&cursor=Ab+/cd==&from=2026-01-01T00:00:00.000Z&q=%2B%20a")),
    ("</a>; title=\"nächste Seite – 次\"; rel=\"next\"", Next("/a")),
    // Faults of the grammar
    ("/a; rel=next", Malformed),
    ("[/a]; rel=\"next\"", Malformed),
    ("; rel=next", Malformed),
    ("rel=next </a>", Malformed),
    ("<", Malformed),
    ("</a; rel=next", Malformed),
    ("</a>; rel=last, </b", Malformed),
    ("</a> x; rel=next", Malformed),
    ("</a>> ; rel=next", Malformed),
    ("</a> rel=next", Malformed),
    ("</a>: rel=next", Malformed),
    ("</a>; =next", Malformed),
    ("</a>; rel=last; \"next\"", Malformed),
    ("</a>; rél=next", Malformed),
    ("</a>; rel pel=next", Malformed),
    ("</a>; rel:next", Malformed),
    ("</a>; rel==next", Malformed),
    ("</a>; rel=\"next", Malformed),
    ("</a>; rel=\"", Malformed),
    ("</a>; rel=\"next\\", Malformed),
    ("</a>; rel=\"next\\\"", Malformed),
    ("</a>; rel=next; title=\"", Malformed),
    ("</a>; rel=next\"", Malformed),
    ("</a>; rel=n\"ex\"t", Malformed),
    ("</a>; rel=\"next\"x", Malformed),
    ("</a>; rel=\"next\" \"x\"", Malformed),
    ("</a>; title=x </b>; rel=next", Malformed),
    ("</a>; rel=last </b>; rel=next", Malformed),
    ("</a>; title=\"x\" </b>; rel=next", Malformed),
    ("</a>; rel=\nnext", Malformed),
    // Relation types
    ("</a>; rel=\"next last\"", Next("/a")),
    ("</a>; rel=\"last\tNEXT  first\"", Next("/a")),
    ("</a>; rel=next last", Next("/a")),
    ("</a>; rel=\"next page\";", Next("/a")),
    ("</a>; rel=\"http://example.com/x next\"", Next("/a")),
    ("</a>; rel=next; rel=last", Next("/a")),
    ("</a>; rel=next; rel='last'", Next("/a")),
    ("</a>; rel=last; rel=next", Nothing),
    ("</a>; rel=\"next prev\"", Both("/a", "/a")),
    ("</a>; rel='next'", Malformed),
    ("</a>; rel='next prev'", Malformed),
    ("</a>; rel=\"'next'\"", Malformed),
    ("</a>; rel='last'", Malformed),
    ("</a>; rel=next'", Malformed),
    ("</a>; rel=\"last next)\"", Malformed),
    ("</a>; rel=''", Malformed),
    ("</a>; rel=\"next,last\"", Malformed),
    ("</a>; rel=\"next; last\"", Malformed),
    ("</a>; rel=\"2\"", Malformed),
    ("</a>; rel=\"next \u{fc}\"", Malformed),
    ("</a>; rel=\u{201c}next\u{201d}", Malformed),
    ("</a>; rel=\"http://example.com/{x}\"", Malformed),
    ("</a>; rel=\"://next\"", Malformed),
    // Anchors
    ("</a>; rel=next; anchor=\"\"", Next("/a")),
    ("</a>; rel=next; anchor", Next("/a")),
    ("</a>; rel=next; anchor= ?max=2&cursor=A ; x", Next("/a")),
    ("</a>; rel=next; anchor=\"#part\"", Next("/a")),
    ("</a>; rel=next; ANCHOR=\"events?max=2&cursor=A\"", Next("/a")),
    ("</a>; anchor=\"HTTPS://WebexAPIs.com:443/v1/events?max=2&cursor=A#x\"; rel=next", Next("/a")),
    ("</a>; anchor=\"\"; rel=next; anchor=\"/x\"", Next("/a")),
    ("</a>; anchor=\"/x\"; rel=next; anchor=\"\"", Nothing),
    ("</a>; rel=next; anchor=\"/v1/events\"", Nothing),
    ("</a>; rel=next; anchor=\"?max=2\"", Nothing),
    ("<https://evil.com/>; rel=next; anchor=\"https://evil.com/\"", Nothing),
    ("</a>; rel=next; anchor=\"/x\", </b>; rel=next", Next("/b")),
    ("</a>; rel=next; anchor=\"http://[\"", Malformed),
    ("</a>; rel=next; anchor*=UTF-8''x", Next("/a")),
    // Several lines
    ("</a>; rel=last\n</b>; rel=next", Next("/b")),
    ("</a>; rel=prev\n\n</b>; rel=next", Both("/b", "/a")),
    ("</b>; rel=next\n<", Malformed),
    ("</a>; title=\"x\ny\"; rel=next", Malformed),
    // More than one
    ("</a>; rel=next, </a>; rel=next", Next("/a")),
    ("</a>; rel=next\n<https://WEBEXAPIS.com:443/a>; rel=\"next last\"", Next("/a")),
    ("</a>; rel=next\n<https://webexapis.com/a>; rel=next; title=\"again\"\n</a>; rel=next, </a>; rel=next", Next("/a")),
    ("</a>; rel=next, </b>; rel=next", Ambiguous),
    ("</a>; rel=next\n</b>; rel=\"last next\"", Ambiguous),
    ("</a%2f>; rel=next, </a%2F>; rel=next", Ambiguous),
    ("</a>; rel=next, <https://evil.com/>; rel=next", CrossOrigin),
    ("</a>; rel=next, </b c>; rel=next", Malformed),
    // A bad link of another type
    ("<http://[>; rel=last, </a>; rel=next", Next("/a")),
    ("<https://evil.com/x y>; rel=last, </a>; rel=next", Next("/a")),
    ("<javascript:x>; rel=first, </a>; rel=next", Next("/a")),
    ("<https://evil.com/>; rel=prev, </a>; rel=next", Next("/a")),
    ("</x y>; rel=prev, </a>; rel=next", Next("/a")),
    ("</x>; rel=prev; anchor=\"http://[\", </a>; rel=next", Next("/a")),
    ("</x>; rel=prev; anchor=\"/y\", </a>; rel=previous", Prev("/a")),
    ("</x>; rel=prev, </a>; rel=previous", Nothing),
    ("</x>; rel=prev, </x>; rel=previous", Prev("/x")),
    ("</x>; rel=prev, </x y>; rel=prev, </x>; rel=prev", Nothing),
    // Relative targets
    ("<>; rel=next", Next("/v1/events?max=2&cursor=A")),
    ("<?cursor=B>; rel=next", Next("/v1/events?cursor=B")),
    ("<?>; rel=next", Next("/v1/events?")),
    ("<?a=https://evil.com/b>; rel=next", Next("/v1/events?a=https://evil.com/b")),
    ("<events?cursor=B>; rel=next", Next("/v1/events?cursor=B")),
    ("<./events/?cursor=../B>; rel=next", Next("/v1/events/?cursor=../B")),
    ("<../v2/events>; rel=next", Next("/v2/events")),
    ("<.././../v2>; rel=next", Next("/v2")),
    ("<..>; rel=next", Next("/")),
    ("<.?a>; rel=next", Next("/v1/?a")),
    ("<//webexapis.com/a?b>; rel=next", Next("/a?b")),
    ("</a//b>; rel=next", Next("/a//b")),
    ("<./a:b>; rel=next", Next("/v1/a:b")),
    ("<1a:b>; rel=next", Malformed),
    ("<:b>; rel=next", Malformed),
    ("<a_b:c>; rel=next", Malformed),
    // Targets that are sent as given
    ("<https://webexapis.com/a?x=%2f%2F%C3%bc+%20&&=&y>; rel=next", Next("/a?x=%2f%2F%C3%bc+%20&&=&y")),
    ("</a?filter[type]=x&z=(~!*)$@:/?>; rel=next", Next("/a?filter[type]=x&z=(~!*)$@:/?")),
    ("</a'b>; rel=next", Next("/a'b")),
    ("</a?b%>; rel=next", Next("/a?b%")),
    ("</a?b='c'>; rel=next", Malformed),
    ("</a#b>; rel=next", Malformed),
    ("<#>; rel=next", Malformed),
    ("<https://webexapis.com/#>; rel=next", Malformed),
    ("<#a:b>; rel=next", Malformed),
    ("<events#/?x>; rel=next", Malformed),
    ("</a/../b>; rel=next", Malformed),
    ("<https://webexapis.com/a/./b>; rel=next", Malformed),
    ("</%2e%2e/b>; rel=next", Malformed),
    ("<b/../c>; rel=next", Malformed),
    ("<%2E/c>; rel=next", Malformed),
    ("</a b>; rel=next", Malformed),
    ("< /a>; rel=next", Malformed),
    ("</a >; rel=next", Malformed),
    ("</a\tb>; rel=next", Malformed),
    ("</a\\b>; rel=next", Malformed),
    ("</a?x=\"\">; rel=next", Malformed),
    ("</a?x={y}>; rel=next", Malformed),
    ("</a|b>; rel=next", Malformed),
    ("</a^b>; rel=next", Malformed),
    ("</a`b>; rel=next", Malformed),
    ("</\u{fc}>; rel=next", Malformed),
    ("</a\u{7f}>; rel=next", Malformed),
    ("<https://webexapis.com>; rel=next", Malformed),
    ("<https://webexapis.com?a>; rel=next", Malformed),
    ("<https:/webexapis.com/a>; rel=next", Malformed),
    ("<https:a>; rel=next", Malformed),
    ("<https:///webexapis.com/a>; rel=next", Malformed),
    ("<///webexapis.com/a>; rel=next", Malformed),
    ("<https://webexapis.com:99999/a>; rel=next", Malformed),
    // AllowedOrigins
    ("<HTTPS://WebexAPIs.COM:443/a>; rel=next", Next("/a")),
    ("<https://webexapis.com:/a>; rel=next", Next("/a")),
    ("<https://analytics.example:8443/a>; rel=next", Next("https://analytics.example:8443/a")),
    ("<http://[::1]:8080/a>; rel=next", Next("http://[::1]:8080/a")),
    ("<https://analytics.example/a>; rel=next", CrossOrigin),
    ("<http://webexapis.com/a>; rel=next", CrossOrigin),
    ("<http://webexapis.com:443/a>; rel=next", CrossOrigin),
    ("<https://webexapis.com:444/a>; rel=next", CrossOrigin),
    ("<https://webexapis.com:80a/a>; rel=next", CrossOrigin),
    ("<//evil.com/a>; rel=next", CrossOrigin),
    ("<https://evil.com/a>; rel=next", CrossOrigin),
    ("<https://webexapis.com.evil.com/a>; rel=next", CrossOrigin),
    ("<https://evil.com/webexapis.com>; rel=next", CrossOrigin),
    ("<https://api.webexapis.com/a>; rel=next", CrossOrigin),
    ("<https://webexapis.com./a>; rel=next", CrossOrigin),
    ("<https://%77ebexapis.com/a>; rel=next", CrossOrigin),
    ("<https://xn--webexapis-xyz.com/a>; rel=next", CrossOrigin),
    ("<https://xn--wbexapis-hkg.com/a>; rel=next", CrossOrigin),
    ("<https://webexapis.com@evil.com/>; rel=next", CrossOrigin),
    ("<https://webexapis.com:443@evil.com/>; rel=next", CrossOrigin),
    ("<https://evil.com#@webexapis.com/>; rel=next", CrossOrigin),
    ("<https://evil.com?@webexapis.com/>; rel=next", CrossOrigin),
    ("<https://evil.com\\@webexapis.com/>; rel=next", Malformed),
    ("<https://user@webexapis.com/a>; rel=next", CrossOrigin),
    ("<https://user:secret@webexapis.com/a>; rel=next", CrossOrigin),
    ("<https://@webexapis.com/a>; rel=next", CrossOrigin),
    ("<https://:@webexapis.com/a>; rel=next", CrossOrigin),
    ("<https://[::1/a>; rel=next", CrossOrigin),
    ("<webexapis.com:443/a>; rel=next", CrossOrigin),
    ("<data:text/html,x>; rel=next", CrossOrigin),
    ("<javascript:alert(1)>; rel=next", CrossOrigin),
    ("<file:///etc/passwd>; rel=next", CrossOrigin),
    ("<blob:https://webexapis.com/a>; rel=next", CrossOrigin),
    ("<wss://webexapis.com/a>; rel=next", CrossOrigin),
];

pub(super) fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

pub(super) fn origins() -> AllowedOrigins {
    let mut origins = AllowedOrigins::new(&url("https://webexapis.com/v1/"));
    origins.add(&url("https://analytics.example:8443"));
    origins.add(&url("http://[::1]:8080"));
    origins
}

pub(super) fn read(lines: &str) -> Result<Links> {
    links(lines.split('\n').map(str::as_bytes), &url(PAGE), &origins())
}

fn is_as_expected(outcome: &Result<Links>, expected: To) -> bool {
    let is = |found: Option<&Url>, expected: Option<&str>| {
        let whole =
            expected.map(|it| if it.starts_with('/') { format!("{BASE}{it}") } else { it.to_owned() });
        found.map(Url::as_str) == whole.as_deref()
    };
    let are = |next, prev| {
        outcome.as_ref().is_ok_and(|links| is(links.next.as_ref(), next) && is(links.prev.as_ref(), prev))
    };
    let fails = |kind| outcome.as_ref().is_err_and(|error| error.link_kind() == Some(kind));
    match expected {
        Next(next) => are(Some(next), None),
        Prev(prev) => are(None, Some(prev)),
        Both(next, prev) => are(Some(next), Some(prev)),
        Nothing => are(None, None),
        Malformed => fails(LinkErrorKind::Malformed),
        Ambiguous => fails(LinkErrorKind::Ambiguous),
        CrossOrigin => fails(LinkErrorKind::CrossOrigin),
    }
}

#[test]
fn every_header_gives_the_result_in_the_table() {
    let wrong: Vec<_> = TABLE
        .iter()
        .map(|&(header, expected)| (header, expected, read(header)))
        .filter(|(_, expected, outcome)| !is_as_expected(outcome, *expected))
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows: {wrong:#?}", wrong.len(), TABLE.len());
}

#[test]
fn bytes_that_are_not_utf8_matter_only_in_target_and_rel() {
    let read = |header: &[u8]| links([header], &url(PAGE), &origins()).map(|links| links.next.is_some());
    assert!(read(b"</a>; title=\"\xfc\"; rel=next; x=\xff").unwrap());
    assert!(!read(b"</\xfc>; rel=last").unwrap());
    for bad in [&b"</\xfc>; rel=next"[..], b"</a>; rel=\"next \xfc\"", b"</a>; rel=next; anchor=\"\xfc\""] {
        assert_eq!(read(bad).unwrap_err().link_kind(), Some(LinkErrorKind::Malformed));
    }
}

#[test]
fn a_cursor_is_admitted_only_as_an_absolute_url_of_these_origins() {
    let origins = origins();
    for good in [PAGE, "https://webexapis.com:443/a", "http://[::1]:8080/?max=null"] {
        assert_eq!(origins.admit(good).unwrap(), url(good));
    }
    for bad in
        ["", "/v1/events", "?a", "//webexapis.com/a", "https://webexapis.com/a b", " https://webexapis.com/"]
    {
        assert_eq!(origins.admit(bad).unwrap_err().link_kind(), Some(LinkErrorKind::Malformed), "{bad}");
    }
    for bad in ["https://evil.com/", "http://webexapis.com/a", "https://u@webexapis.com/a", "file:///a"] {
        assert_eq!(origins.admit(bad).unwrap_err().link_kind(), Some(LinkErrorKind::CrossOrigin), "{bad}");
    }
    let long = format!("https://webexapis.com/{}", "a".repeat(1 << 16));
    assert_eq!(origins.admit(&long).unwrap_err().link_kind(), Some(LinkErrorKind::Malformed));
}

#[test]
fn origins_let_neither_user_info_nor_a_wrapped_url_pass() {
    let origins = origins();
    assert!(origins.allows(&url("https://webexapis.com:443/?a#b")));
    for foreign in [
        "https://u@webexapis.com/",
        "https://:p@webexapis.com/",
        "http://webexapis.com/",
        "blob:https://webexapis.com/",
        "data:,",
    ] {
        assert!(!origins.allows(&url(foreign)), "{foreign}");
    }
    assert!(!AllowedOrigins::new(&url("data:,")).allows(&url("data:,")));
}

#[test]
fn an_error_is_one_short_line_that_shows_no_query_and_no_user_info() {
    for (header, expected) in [
        ("</a>; rel=last\n</b>; rel=\"next", "a quote without its end at byte 10 of header line 2"),
        ("</a?s3cret b>; rel=next", "its target has bytes that no URI has: /a"),
        ("<https://u:s3cret@evil.com/a?s3cret>; rel=next", "its target has user info: evil.com/a"),
        ("</a\t\u{85}\u{1b}>; rel=next", r"its target has bytes that no URI has: /a\t\xc2\x85\x1b"),
        ("</a?s3cret>; rel=next, </b?s3cret>; rel=next", "the second at byte 23 of header line 1"),
        ("</a>; rel=next; anchor=\"http://s3cret@[?s3cret\"", "its anchor is not a URI reference: ["),
    ] {
        let error = read(header).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{header}: {error}");
    }
    for (header, _) in TABLE.iter().filter(|(header, _)| header.len() < 100) {
        let header = header.replace("</", &format!("</{}", "x".repeat(1000)));
        if let Err(error) = read(&header) {
            let line = error.to_string();
            assert!(line.len() <= 250 && !line.contains(char::is_control), "{line}");
        }
    }
}
