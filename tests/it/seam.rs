//! A client over an `HttpService` of the user's keeps the guarantees of the built-in one.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, future::BoxFuture, stream};
use http::{HeaderMap, Response};
use webex_events::{
    Client, ClientBuilder, Error, HttpBody, HttpService, ListEvents, OAuth, RetryPolicy, TransportError,
    TransportErrorKind,
};

use crate::support::{TOKEN, error, event, hasty, kind, page, read, within};

type Reply = Result<Response<HttpBody>, TransportError>;
type Script = dyn Fn(usize, &http::Request<Bytes>) -> Reply + Send + Sync;

/// A service that replies by a script and keeps the requests.
struct Double {
    script: Box<Script>,
    seen: Mutex<Vec<(String, HeaderMap)>>,
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Double")
    }
}

impl HttpService for Double {
    fn call(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Reply> {
        let n = {
            let mut seen = self.seen.lock().unwrap();
            seen.push((format!("{} {}", request.method(), request.uri()), request.headers().clone()));
            seen.len() - 1
        };
        let reply = (self.script)(n, &request);
        Box::pin(async move { reply })
    }
}

impl Double {
    fn new(script: impl Fn(usize, &http::Request<Bytes>) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { script: Box::new(script), seen: Mutex::default() })
    }

    fn builder(self: &Arc<Self>) -> ClientBuilder {
        Client::builder().token(TOKEN).retry(hasty()).http_service(Arc::clone(self))
    }

    fn client(self: &Arc<Self>) -> Client {
        self.builder().build().unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(request, _)| request.clone()).collect()
    }
}

/// A response with these headers.
fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response<HttpBody> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(HttpBody::from(Bytes::from(body.into()))).unwrap()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn list(client: &Client) -> impl Stream<Item = webex_events::Result<webex_events::Event>> + Unpin + use<> {
    client.list(ListEvents::new())
}

#[tokio::test]
async fn a_service_gets_each_request_as_it_is_to_be_sent() {
    let double = Double::new(|_, _| Ok(reply(200, &[], page("a"))));
    let client = double.builder().header("X-Tenant", "seven").user_agent("exporter/1").build().unwrap();
    assert_eq!(read(list(&client)).await, ["a"]);
    let (request, headers) = double.seen.lock().unwrap()[0].clone();
    assert_eq!(request, "GET https://webexapis.com/v1/events?max=1000");
    assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
    assert!(headers["authorization"].is_sensitive() && headers["x-tenant"].is_sensitive());
    for (name, value) in [
        ("x-tenant", "seven"),
        ("user-agent", "exporter/1"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
    ] {
        assert_eq!(headers[name], value);
    }
}

#[tokio::test]
async fn a_next_url_that_would_be_altered_never_reaches_the_service() {
    for next in ["https://webexapis.com/v1/events?x='", "https://webexapis.com/v1/../events"] {
        let double = Double::new(move |_, _| {
            let link = format!("<{next}>; rel=next");
            Ok(reply(200, &[("link", &link)], page("a")))
        });
        assert_eq!(read(list(&double.client())).await, ["a", "Link Malformed"]);
        assert_eq!(double.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_next_url_reaches_the_service_byte_for_byte() {
    let next = "https://webexapis.com/v1/events?cursor=a%2Fb%20c~!*()&x=%e2%82%ac&&=;$,+";
    let double = Double::new(move |n, _| {
        let link = format!("<{next}>; rel=next");
        let headers: &[_] = if n == 0 { &[("link", &*link)] } else { &[] };
        Ok(reply(200, headers, page("a")))
    });
    assert_eq!(read(list(&double.client())).await, ["a", "a"]);
    assert_eq!(double.requests()[1], format!("GET {next}"));
}

#[tokio::test]
async fn a_foreign_next_url_never_reaches_the_service() {
    let double =
        Double::new(|_, _| Ok(reply(200, &[("link", "<https://example.com/>; rel=next")], page("a"))));
    assert_eq!(read(list(&double.client())).await, ["a", "Link CrossOrigin"]);
    assert_eq!(double.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_followed_for_the_service() {
    let double = Double::new(|n, _| {
        Ok(match n {
            0 => reply(307, &[("location", "/v2/events?max=1")], ""),
            1 => reply(302, &[("location", "https://webexapis.com/v3/events")], ""),
            _ => reply(200, &[("link", "<next>; rel=prev")], page("a")),
        })
    });
    assert_eq!(read(list(&double.client())).await, ["a"]);
    assert_eq!(
        double.requests()[1..],
        ["GET https://webexapis.com/v2/events?max=1", "GET https://webexapis.com/v3/events"]
    );
    let seen = double.seen.lock().unwrap();
    assert!(seen.iter().all(|(_, headers)| headers["authorization"] == format!("Bearer {TOKEN}")));
}

#[tokio::test]
async fn a_redirect_that_leads_elsewhere_is_an_error() {
    for location in ["https://example.com/v1/events", "http://webexapis.com/", "https://u@webexapis.com/"] {
        let double = Double::new(move |_, _| Ok(reply(302, &[("location", location)], "")));
        assert_eq!(read(list(&double.client())).await, ["Api 302"], "{location}");
        assert_eq!(double.requests().len(), 1);
    }
}

#[tokio::test]
async fn redirects_end() {
    let double = Double::new(|_, _| Ok(reply(302, &[("location", "/v1/events")], "")));
    assert_eq!(read(list(&double.client())).await, ["Api 302"]);
    assert_eq!(double.requests().len(), 6);
}

#[tokio::test]
async fn gzip_is_decoded_for_the_service() {
    let double = Double::new(|_, _| Ok(reply(200, &[("content-encoding", "gzip")], gzip(&page("a b")))));
    assert_eq!(read(list(&double.client())).await, ["a", "b"]);
}

#[tokio::test]
async fn an_encoding_other_than_gzip_is_an_error_that_names_it() {
    for encoding in ["br", "zstd", "deflate", "gzip, gzip"] {
        let double = Double::new(move |_, _| Ok(reply(200, &[("content-encoding", encoding)], page("a"))));
        let refused = error(&mut list(&double.client())).await;
        assert_eq!(kind(&refused), "Decode 200");
        let reason = std::error::Error::source(&refused).unwrap().to_string();
        assert!(format!("{refused} {reason}").contains(encoding), "{refused}: {reason}");
    }
}

#[tokio::test]
async fn a_body_of_another_length_than_its_header_is_retried() {
    for length in [0, 1, page("a").len() - 1, page("a").len() + 1, 1 << 40] {
        let length = length.to_string();
        let double = Double::new(move |n, _| {
            let headers: &[_] = if n == 0 { &[("content-length", &*length)] } else { &[] };
            Ok(reply(200, headers, page("a")))
        });
        assert_eq!(read(list(&double.client())).await, ["a"]);
        assert_eq!(double.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_decoded_body_that_still_claims_to_be_gzip_is_an_error() {
    let double = Double::new(|_, _| Ok(reply(200, &[("content-encoding", "gzip")], page("a"))));
    let client = double.builder().retry(RetryPolicy::never()).build().unwrap();
    assert_eq!(read(list(&client)).await, ["Transport"]);
}

#[tokio::test]
async fn the_limit_of_a_page_holds_for_the_service() {
    let limit = page("a").len();
    let double = Double::new(|_, _| Ok(reply(200, &[("content-encoding", "gzip")], gzip(&page("a")))));
    assert_eq!(read(list(&double.builder().max_page_bytes(limit).build().unwrap())).await, ["a"]);
    let short = double.builder().max_page_bytes(limit - 1).build().unwrap();
    assert_eq!(read(list(&short)).await, ["Decode 200"]);
}

#[tokio::test]
async fn a_body_without_end_is_read_to_the_limit_only() {
    let pulled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pulled);
    let double = Double::new(move |_, _| {
        let count = Arc::clone(&count);
        let chunks = stream::repeat_with(move || {
            count.fetch_add(1, SeqCst);
            Ok(Bytes::from_static(&[b' '; 1000]))
        });
        Ok(Response::new(HttpBody::from_stream(chunks)))
    });
    let client = double.builder().max_page_bytes(10_000).build().unwrap();
    assert_eq!(read(list(&client)).await, ["Decode 200"]);
    assert_eq!(pulled.load(SeqCst), 11);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_retried() {
    let double = Double::new(|n, _| {
        let broken = TransportError::with_kind(TransportErrorKind::Other, "the cable was cut", "by a shark");
        let start = Bytes::from(page("a").as_bytes()[..20].to_vec());
        Ok(match n {
            0 => Response::new(HttpBody::from_stream(stream::iter([Ok(start), Err(broken)]))),
            _ => reply(200, &[], page("a")),
        })
    });
    assert_eq!(read(list(&double.client())).await, ["a"]);
    assert_eq!(double.requests().len(), 2);
}

#[tokio::test]
async fn a_failure_of_the_service_is_retried_and_keeps_its_kind() {
    let double = Double::new(|n, _| match n {
        0 | 2.. => Err(TransportError::with_kind(TransportErrorKind::Dns, "no such host", "webexapis.com")),
        _ => Ok(reply(200, &[], page("a"))),
    });
    assert_eq!(read(list(&double.client())).await, ["a"]);
    let failed = error(&mut list(&double.builder().retry(RetryPolicy::never()).build().unwrap())).await;
    let Error::Transport(failed) = failed else { panic!("{failed:?}") };
    assert_eq!((failed.kind(), failed.to_string()), (TransportErrorKind::Dns, "no such host".to_owned()));
}

/// A service that never replies, or whose body never ends.
#[derive(Debug)]
struct Silent {
    body: bool,
}

impl HttpService for Silent {
    fn call(&self, _: http::Request<Bytes>) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            if !self.body {
                std::future::pending::<()>().await;
            }
            let start = stream::iter([Ok(Bytes::from_static(b"{\"items\":["))]);
            Ok(Response::new(HttpBody::from_stream(start.chain(stream::pending()))))
        })
    }
}

#[tokio::test]
async fn the_time_limits_hold_for_the_service() {
    for body in [false, true] {
        let builder =
            || Client::builder().token(TOKEN).retry(RetryPolicy::never()).http_service(Silent { body });
        let short = Duration::from_millis(20);
        for client in [builder().read_timeout(short), builder().attempt_timeout(short)] {
            let failed = error(&mut list(&client.build().unwrap())).await;
            let Error::Transport(failed) = failed else { panic!("{failed:?}") };
            assert_eq!(failed.kind(), TransportErrorKind::TimedOut);
        }
    }
}

#[tokio::test]
async fn garbage_of_a_service_is_an_error() {
    for (status, name, value, expected) in [
        (206, "x", "", "Api 206"),
        (304, "x", "", "Api 304"),
        (999, "content-encoding", "br", "Api 999"),
        (200, "content-encoding", "\u{e9}", "Decode 200"),
        (200, "content-length", "many", "Decode 200"),
    ] {
        let double = Double::new(move |_, _| {
            let mut response = reply(status, &[], "garbage");
            let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
            response.headers_mut().insert(name, value);
            Ok(response)
        });
        let refused = error(&mut list(&double.client())).await;
        assert_eq!(kind(&refused), expected);
        assert!(!format!("{refused} {refused:?}").contains(TOKEN));
    }
}

#[tokio::test]
async fn a_204_says_so() {
    let double = Double::new(|_, _| Ok(reply(204, &[], "")));
    for refused in [error(&mut list(&double.client())).await, double.client().get("a").await.unwrap_err()] {
        assert!(refused.to_string().contains("204") && !refused.is_transient(), "{refused}");
    }
}

#[test]
fn settings_of_the_built_in_client_contradict_a_service() {
    let builder = || Client::builder().token(TOKEN).http_service(Silent { body: false });
    for (client, name) in [
        (builder().proxy("http://127.0.0.1:1"), "proxy"),
        (builder().connect_timeout(Duration::from_secs(1)), "connect_timeout"),
        (builder().root_certificate(b"pem"), "root_certificate"),
        (builder().client_identity(b"pem"), "client_identity"),
    ] {
        let refused = client.build().unwrap_err();
        assert!(matches!(&refused, Error::Config(text) if text.contains(name)), "{refused:?}");
    }
    builder().build().unwrap();
}

/// Says when its future is dropped.
#[derive(Debug, Default)]
struct Counted(Arc<AtomicUsize>);

impl HttpService for Counted {
    fn call(&self, _: http::Request<Bytes>) -> BoxFuture<'_, Reply> {
        struct Drops(Arc<AtomicUsize>);
        impl Drop for Drops {
            fn drop(&mut self) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let guard = Drops(Arc::clone(&self.0));
        Box::pin(async move {
            let _guard = guard;
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn dropping_a_list_drops_the_call() {
    let service = Counted::default();
    let drops = Arc::clone(&service.0);
    let client = Client::builder().token(TOKEN).http_service(service).build().unwrap();
    let mut events = client.list(ListEvents::new());
    assert!(futures::poll!(Pin::new(&mut events).next()).is_pending());
    assert_eq!(drops.load(SeqCst), 0);
    drop(events);
    assert_eq!(drops.load(SeqCst), 1);
}

#[tokio::test]
async fn oauth_sends_its_grants_through_the_same_service() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token.json");
    std::fs::write(&file, "r3fresh").unwrap();
    let double = Double::new(|_, request| {
        Ok(match request.method().as_str() {
            "POST" => {
                let form = String::from_utf8_lossy(request.body());
                assert!(form.contains("refresh_token=r3fresh") && form.contains("client_secret=s3cret"));
                let granted = r#"{"access_token":"n3w","refresh_token":"r3fresh","expires_in":9999}"#;
                reply(200, &[], granted)
            }
            _ => reply(200, &[], page("a")),
        })
    });
    let oauth = OAuth::new("id", "s3cret", &file).unwrap().http_service(Arc::clone(&double));
    let client = Client::builder().token_source(oauth).http_service(Arc::clone(&double)).build().unwrap();
    assert_eq!(read(list(&client)).await, ["a"]);
    assert_eq!(
        double.requests(),
        ["POST https://webexapis.com/v1/access_token", "GET https://webexapis.com/v1/events?max=1000"]
    );
    assert_eq!(double.seen.lock().unwrap()[1].1["authorization"], "Bearer n3w");
}

#[tokio::test]
async fn an_event_is_got_through_a_service() {
    let double = Double::new(|_, _| Ok(reply(200, &[], event("a"))));
    assert_eq!(within(double.client().get("a/b")).await.unwrap().id(), "a");
    assert_eq!(double.requests(), ["GET https://webexapis.com/v1/events/a%2Fb"]);
}
