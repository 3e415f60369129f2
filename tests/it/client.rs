//! Building a client, and the requests that it sends.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::StreamExt;
use webex_events::{Client, ClientBuilder, Error, ListEvents, Result};
use wiremock::ResponseTemplate;

use crate::support::{
    Served, Service, TOKEN, Wire, bad, body, builder, error, event, hasty, http, kind, labels, ok, page,
    read, refusal, within,
};

fn settings() -> ClientBuilder {
    Client::builder().token(TOKEN)
}

fn refused(client: &Result<Client>, what: &str) {
    assert!(matches!(client, Err(Error::Config(..))), "{what:?}: {client:?}");
}

// ---- the builder ----

#[test]
fn a_client_needs_a_token() {
    refused(&Client::builder().build(), "no token");
    for token in ["", " ", "\t\n", "a\nb", "a\u{7}b", "a\0b", "a\u{7f}b", "a\rb"] {
        refused(&Client::new(token), token);
        refused(&Client::builder().token(token.to_owned()).build(), token);
    }
    assert!(Client::new("a").is_ok());
}

#[tokio::test]
async fn a_token_is_trimmed_and_sent_as_it_is() {
    let service = Service::list(&["a", "b"]).await;
    let client = Client::builder()
        .base_url(service.url())
        .token(format!(" \t{TOKEN}\r\n"))
        .retry(hasty())
        .build()
        .unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, ["a", "b"]);
    assert_eq!(within(client.get("a")).await.unwrap().id(), "a");
    assert_eq!(service.header("authorization").await, vec![format!("Bearer {TOKEN}"); 3]);
}

#[test]
fn plain_http_is_for_loopback_hosts_only() {
    for url in [
        "http://webexapis.com/v1",
        "http://10.0.0.1/v1",
        "http://0.0.0.0/v1",
        "http://localhost.example.com/v1",
        "http://127.0.0.1.example.com/v1",
        "http://[::2]/v1",
        "ftp://webexapis.com/v1",
        "file:///v1",
        "webexapis.com/v1",
        "/v1",
        "",
        "https://",
    ] {
        refused(&settings().base_url(url).build(), url);
        refused(&settings().allow_origin(url).build(), url);
    }
    for url in [
        "https://webexapis.com/v1",
        "https://api-usgov.webex.com/v1",
        "https://example.com:8443",
        "http://127.0.0.1:8080/v1",
        "http://127.8.8.8",
        "http://localhost:1/v1",
        "http://[::1]:8080/v1",
    ] {
        assert!(settings().base_url(url).build().is_ok(), "{url}");
        assert!(settings().allow_origin(url).build().is_ok(), "{url}");
    }
}

#[tokio::test]
async fn a_base_url_may_end_in_a_slash_or_have_no_path() {
    for (path, target) in [
        ("/v1", "/v1/events?max=1000"),
        ("/v1/", "/v1/events?max=1000"),
        ("", "/events?max=1000"),
        ("/", "/events?max=1000"),
        ("/a/b", "/a/b/events?max=1000"),
    ] {
        let served = Served::start(|n, _| http(200, &[], if n == 0 { page("a") } else { event("a") })).await;
        let client = builder(&format!("{}{path}", served.origin())).build().unwrap();
        assert_eq!(read(client.list(ListEvents::new())).await, ["a"]);
        within(client.get("x")).await.unwrap();
        assert_eq!(served.targets()[0], target);
        assert_eq!(served.targets()[1], target.replace("?max=1000", "/x"));
    }
}

#[test]
fn the_authorization_header_is_not_to_be_set() {
    for name in ["Authorization", "authorization", "AUTHORIZATION"] {
        refused(&settings().header(name, "Bearer other").build(), name);
    }
    for name in ["", "a b", "a\nb", "a:b", "é"] {
        refused(&settings().header(name, "x").build(), name);
    }
    for value in ["a\nb", "a\0b", "a\r\nX: y"] {
        refused(&settings().header("X-A", value).build(), value);
    }
    refused(&settings().user_agent("a\nb").build(), "user agent");
}

#[tokio::test]
async fn a_header_is_sent_with_every_request() {
    let service = Service::start(|call| match call.n {
        0 => refusal(500),
        1 => call.page("a", Some("1")),
        2 => call.page("b", None),
        _ => ok(event("c")),
    })
    .await;
    let client = builder(&service.url())
        .header("X-Tenant", "seven")
        .header(String::from("TrackingID"), String::from("EXPORT_1"))
        .user_agent("exporter/2.0 (tests)")
        .build()
        .unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, ["a", "b"]);
    within(client.get("c")).await.unwrap();
    assert_eq!(service.header("x-tenant").await, ["seven"; 4]);
    assert_eq!(service.header("trackingid").await, ["EXPORT_1"; 4]);
    assert_eq!(service.header("user-agent").await, ["exporter/2.0 (tests)"; 4]);
    assert_eq!(service.header("authorization").await, vec![format!("Bearer {TOKEN}"); 4]);
}

#[tokio::test]
async fn a_client_names_itself_unless_told_otherwise() {
    let service = Service::list(&["a"]).await;
    read(service.client().list(ListEvents::new())).await;
    let names = service.header("user-agent").await;
    assert!(names[0].contains("webex-events"), "{names:?}");
    assert_eq!(service.requests().await[0].method.as_str(), "GET");
}

#[tokio::test]
async fn compression_is_requested_unless_it_is_off() {
    let service = Service::list(&["a"]).await;
    read(service.client().list(ListEvents::new())).await;
    let plain = builder(&service.url()).gzip(false).build().unwrap();
    read(plain.list(ListEvents::new())).await;
    let accepted = service.header("accept-encoding").await;
    assert!(accepted[0].contains("gzip"), "{accepted:?}");
    assert!(!accepted[1].contains("gzip"), "{accepted:?}");
}

/// A page with the event `a` and much white space: 220 bytes that decompress to 100,098.
const PACKED: &str = "H4sIAAAAAAACA+3IMQrCQBCG0avI1CqbiII5h5ViEeIiFqJkYyEhdzcW3sHiPaaY/xvjNuR7ieY0xu0STbSxjD6Xx6vv8jzv\
uZT2mstch/fzW7o+t0O+zOH3NVGnerdK1SptD2nfpDTfuqo3x5jOCwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAOBvTR8M8JaF\
AocBAA==";
const UNPACKED: usize = 100_098;

fn packed() -> ResponseTemplate {
    ok(STANDARD.decode(PACKED).unwrap()).append_header("Content-Encoding", "gzip")
}

#[tokio::test]
async fn a_compressed_page_is_decompressed() {
    let service = Service::start(|_| packed()).await;
    let mut events = service.client().list(ListEvents::new());
    assert_eq!(read(&mut events).await, ["a"]);
    assert_eq!(usize::try_from(events.stats().bytes).unwrap(), UNPACKED);
}

#[tokio::test]
async fn a_damaged_compressed_page_is_requested_again() {
    let service = Service::start(|call| match call.n {
        0 => {
            let half = STANDARD.decode(PACKED).unwrap()[..110].to_vec();
            ok(half).append_header("Content-Encoding", "gzip")
        }
        _ => packed(),
    })
    .await;
    assert_eq!(read(service.client().list(ListEvents::new())).await, ["a"]);
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn the_limit_of_a_page_is_inclusive_and_not_retried() {
    let text = page("a b c");
    let bytes = text.len();
    let plain = text.clone();
    let whole = Served::start(move |_, _| http(200, &[], &plain)).await;
    let chunked = Served::start(move |_, _| {
        let (one, two) = text.split_at(70);
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        format!("{head}{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len()).into_bytes()
    })
    .await;
    for served in [whole, chunked] {
        let list = |limit| {
            let client = builder(&served.url()).max_page_bytes(limit).build().unwrap();
            client.list(ListEvents::new())
        };
        assert_eq!(read(list(bytes)).await, ["a", "b", "c"]);
        assert_eq!(read(list(bytes + 1)).await, ["a", "b", "c"]);
        for limit in [1, 69, 70, 71, bytes - 1] {
            let before = served.connections();
            assert_eq!(read(list(limit)).await, ["Decode 200"], "{limit} of {bytes}");
            assert_eq!(served.connections(), before + 1);
        }
    }
}

#[tokio::test]
async fn the_limit_of_a_page_counts_unpacked_bytes() {
    let service = Service::start(|_| packed().append_header("TrackingID", "ROUTER_1")).await;
    let list = |limit| builder(&service.url()).max_page_bytes(limit).build().unwrap().list(ListEvents::new());
    assert_eq!(read(list(UNPACKED)).await, ["a"]);
    let long = error(&mut list(UNPACKED - 1)).await;
    assert_eq!((kind(&long), long.status()), ("Decode 200".into(), Some(200)));
    assert_eq!(long.tracking_id(), Some("ROUTER_1"));
    assert!(!long.is_transient());
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn a_page_that_is_too_long_is_not_read_to_its_end() {
    let wire = Wire::bind().await;
    let client = builder(&wire.url()).max_page_bytes(1000).build().unwrap();
    let mut events = client.list(ListEvents::new());
    let server = async {
        let (mut connection, _) = wire.request().await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000000000\r\n\r\n").await;
        connection.send(" ".repeat(4000)).await;
        connection.closed().await;
    };
    let (item, ()) = within(async { tokio::join!(events.next(), server) }).await;
    assert_eq!(kind(&item.unwrap().unwrap_err()), "Decode 200");
}

#[tokio::test]
async fn a_set_proxy_is_used() {
    let proxy = Served::start(|n, _| http(200, &[], if n == 0 { page("a") } else { event("b") })).await;
    let client = builder("http://127.0.0.1:9/v1").proxy(proxy.origin()).build().unwrap();
    assert_eq!(read(client.list(ListEvents::new().page_size(3))).await, ["a"]);
    assert_eq!(within(client.get("b")).await.unwrap().id(), "b");
    assert_eq!(proxy.targets(), ["http://127.0.0.1:9/v1/events?max=3", "http://127.0.0.1:9/v1/events/b"]);
}

#[tokio::test]
async fn a_proxy_gets_a_tunnel_and_no_token_for_https() {
    let proxy = Served::start(|_, _| http(403, &[], "")).await;
    let client = Client::builder()
        .token(TOKEN)
        .retry(webex_events::RetryPolicy::never())
        .proxy(proxy.origin())
        .build()
        .unwrap();
    assert_eq!(read(client.list(ListEvents::new())).await, ["Transport"]);
    let heads = proxy.heads();
    assert!(heads[0].text.starts_with("CONNECT webexapis.com:443 "), "{}", heads[0].text);
    assert!(!heads[0].text.contains(TOKEN));
}

#[test]
fn a_value_that_is_not_a_proxy_is_refused() {
    for url in ["", "http://", "http://[", "::"] {
        refused(&settings().proxy(url).build(), url);
    }
}

const ROOT: &[u8] = b"-----BEGIN CERTIFICATE-----
MIIBjjCCATWgAwIBAgIUVqXwh5JijL0BF8JtGTQsGYbBgVAwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRZXhhbXBsZSB0ZXN0IHJvb3QwIBcNMjYxMTI0MDIwNDQ0WhgP
MjEyNjEwMzEwMjA0NDRaMBwxGjAYBgNVBAMMEWV4YW1wbGUgdGVzdCByb290MFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEIlq3hqv5NsQU66KrfSA4mXYR+NxRwwNY
Gds0rbw+DDd2C1nukuYKH6IFfGH9O2m+g6L86OqiKrOKrI4P4PGvx6NTMFEwHQYD
VR0OBBYEFO8bFzFdwG9Vi4GjupkLRcldkeBLMB8GA1UdIwQYMBaAFO8bFzFdwG9V
i4GjupkLRcldkeBLMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIg
I6qxmqC4sxE79KntCkTmA51j71/PRKiqRK70aDPTw2cCIC9Gx3z6e2QkAmlH6NV3
TxBGlgqu40Wokkbd1Na+kzWz
-----END CERTIFICATE-----
";

#[test]
fn an_invalid_root_certificate_is_refused() {
    for pem in [
        &b""[..],
        b"certificate",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        &ROOT[..ROOT.len() / 2],
    ] {
        refused(&settings().root_certificate(pem).build(), &String::from_utf8_lossy(pem));
    }
    if cfg!(feature = "tls") {
        assert!(settings().root_certificate(ROOT).build().is_ok());
        assert!(settings().root_certificate(&[ROOT, ROOT].concat()).build().is_ok());
    }
}

#[test]
fn an_http_client_is_built_outside_of_a_runtime() {
    let client = settings().connect_timeout(Duration::from_secs(1)).build().unwrap();
    let events = client.list(ListEvents::new());
    assert!(events.cursor().is_some());
    drop((events, client));
}

// ---- get ----

#[tokio::test]
async fn an_id_is_encoded_as_one_segment() {
    for (id, target) in [
        ("Y2lzY29zcGFyazovL3VzL0VWRU5ULzE", "/v1/events/Y2lzY29zcGFyazovL3VzL0VWRU5ULzE"),
        ("a/b", "/v1/events/a%2Fb"),
        ("../rooms", "/v1/events/..%2Frooms"),
        ("a/../b", "/v1/events/a%2F..%2Fb"),
        ("a%2Fb", "/v1/events/a%252Fb"),
        ("%2e%2e", "/v1/events/%252e%252e"),
        ("a?b=c", "/v1/events/a%3Fb%3Dc"),
        ("a#b", "/v1/events/a%23b"),
        ("a b", "/v1/events/a%20b"),
        ("a\nb\r\n", "/v1/events/a%0Ab%0D%0A"),
        ("a\\b", "/v1/events/a%5Cb"),
        ("é☃😀", "/v1/events/%C3%A9%E2%98%83%F0%9F%98%80"),
        ("...", "/v1/events/..."),
        (" ", "/v1/events/%20"),
        ("\0", "/v1/events/%00"),
        ("a;b", "/v1/events/a%3Bb"),
    ] {
        let served = Served::start(|_, _| http(200, &[], event("a"))).await;
        assert_eq!(within(served.client().get(id)).await.unwrap().id(), "a");
        assert_eq!(served.targets(), [target], "{id:?}");
    }
}

#[tokio::test]
async fn an_id_that_would_name_another_resource_is_not_sent() {
    let service = Service::list(&["a"]).await;
    for id in ["", ".", ".."] {
        let error = within(service.client().get(id)).await.unwrap_err();
        assert_eq!(kind(&error), "Query", "{id:?}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn an_event_is_got_as_it_is() {
    let text = "\n { \"type\" : \"created\",\"id\":\"a\",\"id\":\"b\", \"resource\":\"messages\",\"created\":\"2026-01-05T09:00:00.123Z\"}  ";
    let service = Service::start(move |_| ok(text)).await;
    let event = within(service.client().get("b")).await.unwrap();
    assert_eq!((event.id(), event.raw()), ("b", text.trim()));
}

#[tokio::test]
async fn a_200_that_is_not_an_event_is_an_error_and_not_retried() {
    for (text, is_json) in [
        ("<html>", false),
        ("{}{}", false),
        ("{}", true),
        ("null", true),
        ("[]", true),
        (&*page("a"), true),
        (&*bad(1), true),
    ] {
        let text = text.to_owned();
        let shown = text.clone();
        let service = Service::start(move |_| ok(text.clone()).append_header("TrackingID", "T_1")).await;
        let error = within(service.client().get("a")).await.unwrap_err();
        // The design names no kind for JSON that isn't an event.
        match &error {
            Error::Decode { .. } => {
                assert_eq!((error.status(), error.tracking_id()), (Some(200), Some("T_1")));
            }
            Error::Item(item) if is_json => assert_eq!(item.raw(), shown),
            other => panic!("{shown:?} gives {other:?}"),
        }
        assert_eq!(service.count(), 1, "{shown:?}");
    }
}

#[tokio::test]
async fn invalid_utf_8_is_not_an_event() {
    let service = Service::start(|_| {
        ok(event("a")
            .replace("\"a\"", "\"?\"")
            .into_bytes()
            .iter()
            .map(|&b| if b == b'?' { 0xff } else { b })
            .collect::<Vec<u8>>())
    })
    .await;
    assert!(within(service.client().get("a")).await.is_err());
}

#[tokio::test]
async fn clones_share_a_client() {
    let service = Service::list(&["a"]).await;
    let client = service.client();
    let clone = client.clone();
    drop(client);
    assert_eq!(read(clone.list(ListEvents::new())).await, ["a"]);
    let query = ListEvents::new();
    let [one, two] = [clone.list(query.clone()), clone.list(query)];
    assert_eq!(read(one.chain(two)).await, labels("a a"));
}

#[tokio::test]
async fn a_stream_outlives_its_client() {
    let service = Service::list(&["a", "b"]).await;
    let events = service.client().list(ListEvents::new());
    assert_eq!(read(events).await, ["a", "b"]);
    let text = body(&[event("c")]);
    let service = Service::start(move |_| ok(text.clone())).await;
    let events = tokio::spawn(read(service.client().list(ListEvents::new())));
    assert_eq!(within(events).await.unwrap(), ["c"]);
}
