//! A response whose end did not arrive is a transport failure: it is retried, and never looks like a page.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use futures::StreamExt;
use webex_events::{Error, ListEvents, RetryPolicy, TransportErrorKind};

use crate::support::{Served, builder, error, event, http, kind, page, read, within};

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A response whose body ends with the connection.
fn until_closed(headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}\r\n").as_bytes(), body].concat()
}

const GZIP: &str = "Content-Encoding: gzip\r\n";

/// Serves `first` once and then a complete page, and checks that a list gets the page with a second request.
async fn is_retried(first: Vec<u8>, shown: &str) {
    let served =
        Served::start(move |n, _| if n == 0 { first.clone() } else { http(200, &[], page("a b")) }).await;
    let mut events = served.client().list(ListEvents::new());
    assert_eq!(read(&mut events).await, ["a", "b"], "{shown}");
    assert_eq!((served.connections(), events.stats().retries), (2, 1), "{shown}");
}

#[tokio::test]
async fn a_page_that_ends_early_is_requested_again() {
    let text =
        format!(r#"{{"total":12,"more":[true,null,-1.5e3],"x":"\u00e9é\\","items":[{}]}}"#, event("a"));
    for cut in (0..text.len()).filter(|cut| cut % 7 == 0 || *cut < 50 || *cut > text.len() - 9) {
        let cut = &text.as_bytes()[..cut];
        is_retried(until_closed("", cut), &String::from_utf8_lossy(cut)).await;
    }
}

#[tokio::test]
async fn an_empty_page_body_is_requested_again() {
    for body in ["", " ", "\r\n"] {
        is_retried(http(200, &[], body), &format!("{body:?}")).await;
        is_retried(until_closed("", body.as_bytes()), &format!("{body:?}, closed")).await;
    }
    is_retried(http(200, &[("Content-Encoding", "gzip")], ""), "no bytes of gzip").await;
    is_retried(http(200, &[("Content-Encoding", "gzip")], gzip("")), "gzip of nothing").await;
}

#[tokio::test]
async fn a_body_that_is_shorter_than_its_length_is_requested_again() {
    let text = page("a");
    for missing in [1, 10, text.len()] {
        let head = format!("Content-Length: {}\r\n", text.len() + missing);
        is_retried(until_closed(&head, text.as_bytes()), &head).await;
    }
}

#[tokio::test]
async fn a_chunked_body_without_its_last_chunk_is_requested_again() {
    let text = page("a");
    let body = format!("{:x}\r\n{text}\r\n", text.len());
    is_retried(until_closed("Transfer-Encoding: chunked\r\n", body.as_bytes()), "no last chunk").await;
}

#[tokio::test]
async fn gzip_that_ends_early_is_requested_again() {
    let packed = gzip(&page("a"));
    for cut in 0..packed.len() {
        is_retried(until_closed(GZIP, &packed[..cut]), &format!("{cut} of {} bytes", packed.len())).await;
    }
}

#[tokio::test]
async fn gzip_that_is_damaged_is_requested_again() {
    let mut packed = gzip(&page("a"));
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    is_retried(until_closed(GZIP, &packed), "another checksum").await;
    is_retried(until_closed(GZIP, page("a").as_bytes()), "no gzip").await;
}

#[tokio::test]
async fn all_members_of_gzip_are_one_body() {
    let text = page("a b c");
    let members: Vec<u8> =
        text.as_bytes().chunks(9).flat_map(|part| gzip(str::from_utf8(part).unwrap())).collect();
    let served = Served::start(move |_, _| http(200, &[("Content-Encoding", "gzip")], &members)).await;
    assert_eq!(read(served.client().list(ListEvents::new())).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_first_member_that_is_a_page_by_itself_is_not_a_short_list() {
    let second = gzip(&page("b"));
    let both = [gzip(&page("a")), second.clone()].concat();
    let served = Served::start({
        let both = both.clone();
        move |_, _| http(200, &[("Content-Encoding", "gzip")], &both)
    })
    .await;
    assert_eq!(read(served.client().list(ListEvents::new())).await, ["Decode 200"]);

    for missing in 1..second.len() {
        let cut = &both[..both.len() - missing];
        is_retried(until_closed(GZIP, cut), &format!("{missing} bytes are missing")).await;
    }
    is_retried(
        until_closed(
            &format!("{GZIP}Content-Length: {}\r\n", both.len()),
            &both[..both.len() - second.len()],
        ),
        "the second member is missing",
    )
    .await;
}

#[tokio::test]
async fn a_single_event_that_ends_early_is_requested_again() {
    for cut in [0, 1, 20, event("a").len() - 1] {
        let served = Served::start(move |n, _| match n {
            0 => until_closed("", &event("a").as_bytes()[..cut]),
            _ => http(200, &[], event("a")),
        })
        .await;
        assert_eq!(within(served.client().get("a")).await.unwrap().id(), "a");
        assert_eq!(served.connections(), 2);
    }
}

#[tokio::test]
async fn a_truncated_response_is_a_transient_error_with_its_kind() {
    let served = Served::start(|_, _| until_closed("", &page("a").as_bytes()[..20])).await;
    let client = builder(&served.url()).retry(RetryPolicy::never()).build().unwrap();
    let mut events = client.list(ListEvents::new());
    let failed = error(&mut events).await;
    let Error::Transport(transport) = &failed else { panic!("{failed:?}") };
    assert_eq!((transport.kind(), transport.attempts()), (TransportErrorKind::Truncated, 1));
    assert!(failed.is_transient() && events.cursor().is_some());
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_body_that_is_complete_and_not_json_is_not_requested_again() {
    for text in ["<html></html>", "{\"items\":[]}}", "{\"items\":[}", "nul.", "Too many requests"] {
        let served = Served::start(move |_, _| until_closed("", text.as_bytes())).await;
        let failed = error(&mut served.client().list(ListEvents::new())).await;
        assert_eq!((kind(&failed), served.connections()), ("Decode 200".to_owned(), 1), "{text}");
    }
}

#[cfg(feature = "tls")]
mod http2 {
    use h2::Reason;

    use super::*;
    use crate::tls_server::{Reply, TlsServer};

    /// Serves `first` once and then a complete page, and checks that a list gets the page with a second request.
    async fn is_retried(first: impl Fn() -> Reply + Send + Sync + 'static, shown: &str) {
        let server = TlsServer::http2(move |n| match n {
            0 => first(),
            _ => Reply { headers: Vec::new(), body: page("a b").into(), reset: None },
        })
        .await;
        let client = server.builder().build().unwrap();
        assert_eq!(read(client.list(ListEvents::new())).await, ["a", "b"], "{shown}");
        assert_eq!(server.count(), 2, "{shown}");
    }

    #[tokio::test]
    async fn a_stream_that_is_reset_in_its_body_is_requested_again() {
        for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
            let reply = move || {
                let body = page("c").as_bytes()[..30].to_vec();
                Reply { headers: Vec::new(), body, reset: Some(reason) }
            };
            is_retried(reply, &format!("{reason:?}")).await;
        }
    }

    #[tokio::test]
    async fn a_reset_stream_that_is_shorter_than_its_length_is_requested_again() {
        let reply = || {
            let length = (page("c").len() + 1).to_string();
            let headers = vec![("content-length", length)];
            Reply { headers, body: page("c").into(), reset: Some(Reason::NO_ERROR) }
        };
        is_retried(reply, "content-length").await;
    }

    #[tokio::test]
    async fn a_reset_stream_with_incomplete_gzip_is_requested_again() {
        let reply = || {
            let headers = vec![("content-encoding", "gzip".to_owned())];
            let mut body = gzip(&page("c"));
            body.truncate(body.len() - 8);
            Reply { headers, body, reset: Some(Reason::NO_ERROR) }
        };
        is_retried(reply, "content-encoding").await;
    }

    #[tokio::test]
    async fn a_stream_that_ends_early_is_requested_again() {
        let reply = || Reply { headers: Vec::new(), body: b"{\"items\":[".to_vec(), reset: None };
        is_retried(reply, "END_STREAM").await;
    }
}
