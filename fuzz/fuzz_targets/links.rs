//! `Link` headers, one a line: reading any of them doesn't panic, and the token may be sent to the link that is
//! returned.

#![no_main]

use libfuzzer_sys::fuzz_target;
use url::Url;
use webex_events::internals;

const PAGE: &str = "https://webexapis.com/v1/events?max=100&cursor=bmV4dA";

fuzz_target!(|lines: &[u8]| {
    let headers: Vec<_> = lines.split(|&byte| byte == b'\n').collect();
    let Some(next) = internals::next_link(&headers, PAGE) else { return };
    let (next_url, page) = (Url::parse(&next).unwrap(), Url::parse(PAGE).unwrap());
    assert_eq!(next_url.origin(), page.origin(), "{next}");
    assert_eq!((next_url.username(), next_url.password()), ("", None), "{next}");
    assert_eq!(next_url.as_str(), next, "it would be sent altered");
    // Admitted by itself, the link is the same.
    let alone = format!("<{next}>;rel=next");
    assert_eq!(internals::next_link(&[alone.as_bytes()], PAGE), Some(next));
});
