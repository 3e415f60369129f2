//! The fixtures of all tests: event texts, pages, a scripted service, a server that is driven byte by
//! byte, and clients that don't wait between attempts.
//!
//! Everything that could hang is bounded by [`within`].

mod wire;

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt};
use webex_events::{Client, ClientBuilder, Error, Event, Result, RetryPolicy};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

pub(crate) use self::wire::{Connection, Served, Wire, http, refusing};

/// A token with characters that other texts escape.
pub(crate) const TOKEN: &str = "ToKeN/s3cr3t+0123456789.abc==";

// ---- texts ----

/// The smallest text that is an event.
pub(crate) fn event(id: &str) -> String {
    event_with(id, "")
}

/// An event with further members, such as `,"appId":"null"`.
pub(crate) fn event_with(id: &str, members: &str) -> String {
    format!(
        r#"{{"id":"{id}","resource":"messages","type":"created","created":"2026-01-05T09:00:00.123Z"{members}}}"#
    )
}

/// An item that isn't an event.
pub(crate) fn bad(n: usize) -> String {
    format!(r#"{{"bad":{n}}}"#)
}

/// Items from a line such as `"a b !1 c"`: an event for each word, a malformed item for `!`.
pub(crate) fn items(line: &str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| match word.strip_prefix('!') {
            Some(n) => bad(n.parse().unwrap()),
            None => event(word),
        })
        .collect()
}

/// The same words as [`label`] gives them.
pub(crate) fn labels(line: &str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| match word.strip_prefix('!') {
            Some(n) => format!("!{}", bad(n.parse().unwrap())),
            None => word.to_owned(),
        })
        .collect()
}

/// The body of a page.
pub(crate) fn body(items: &[String]) -> String {
    format!(r#"{{"items":[{}]}}"#, items.join(","))
}

/// The body of a page, from a line as for [`items`].
pub(crate) fn page(line: &str) -> String {
    body(&items(line))
}

// ---- reading ----

/// Fails instead of hanging.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

/// An item in a word: an event's id, `!` and the text of a malformed item, or the kind of an error.
pub(crate) fn label(item: &Result<Event>) -> String {
    match item {
        Ok(event) => event.id().to_owned(),
        Err(Error::Item(item)) => format!("!{}", item.raw()),
        Err(error) => kind(error),
    }
}

/// The kind of an error in a word.
pub(crate) fn kind(error: &Error) -> String {
    match error {
        Error::Api(error) => format!("Api {}", error.status()),
        Error::Transport { .. } => "Transport".to_owned(),
        Error::Decode { .. } => format!("Decode {}", error.status().unwrap()),
        Error::Item(_) => "Item".to_owned(),
        Error::Link { .. } => format!("Link {:?}", error.link_kind().unwrap()),
        Error::Cursor { .. } => "Cursor".to_owned(),
        Error::Query(..) => "Query".to_owned(),
        Error::Config(..) => "Config".to_owned(),
        Error::Clock { .. } => "Clock".to_owned(),
        other => panic!("an error of a new kind: {other:?}"),
    }
}

/// All items of a stream, as labels. A stream that never ends fails.
pub(crate) async fn read(stream: impl Stream<Item = Result<Event>> + Unpin) -> Vec<String> {
    read_up_to(20_000, stream).await
}

pub(crate) async fn read_up_to(
    limit: usize,
    stream: impl Stream<Item = Result<Event>> + Unpin,
) -> Vec<String> {
    let mut stream = stream;
    let mut read = Vec::new();
    while let Some(item) = within(stream.next()).await {
        read.push(label(&item));
        assert!(read.len() <= limit, "it doesn't end");
    }
    read
}

/// The next `n` items, as labels.
pub(crate) async fn read_some(
    n: usize,
    stream: &mut (impl Stream<Item = Result<Event>> + Unpin),
) -> Vec<String> {
    let mut read = Vec::new();
    for _ in 0..n {
        read.push(label(&within(stream.next()).await.expect("it ended early")));
    }
    read
}

/// The next item, which must be an error.
pub(crate) async fn error(stream: &mut (impl Stream<Item = Result<Event>> + Unpin)) -> Error {
    match within(stream.next()).await {
        Some(Err(error)) => error,
        other => panic!("no error but {other:?}"),
    }
}

/// Lets everything else that is ready run for a while.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

// ---- clients ----

/// The default policy without its waits.
pub(crate) fn hasty() -> RetryPolicy {
    RetryPolicy::default().backoff(Duration::ZERO, Duration::ZERO)
}

pub(crate) fn builder(base: &str) -> ClientBuilder {
    Client::builder().base_url(base).token(TOKEN).retry(hasty())
}

pub(crate) fn client(base: &str) -> Client {
    builder(base).build().unwrap()
}

// ---- a scripted service ----

/// A service that responds by a script and keeps the requests.
pub(crate) struct Service {
    server: MockServer,
    arrivals: Arc<Mutex<Vec<Instant>>>,
}

/// A request, as a script sees it.
pub(crate) struct Call<'a> {
    /// The number of earlier requests.
    pub(crate) n: usize,
    /// Its parameter `cursor`; empty if it has none.
    pub(crate) cursor: String,
    /// The base URL.
    pub(crate) base: &'a str,
    pub(crate) request: &'a Request,
}

impl Call<'_> {
    /// A page, from a line as for [`items`], linked to the page with the cursor `next`.
    pub(crate) fn page(&self, line: &str, next: Option<&str>) -> ResponseTemplate {
        let response = ok(page(line));
        match next {
            Some(next) => response.append_header("Link", self.link(next)),
            None => response,
        }
    }

    /// The header for a next page.
    pub(crate) fn link(&self, cursor: &str) -> String {
        format!(r#"<{}/events?cursor={cursor}>; rel="next""#, self.base)
    }

    /// The parameter `max`.
    pub(crate) fn max(&self) -> Option<String> {
        parameter(&self.request.url, "max")
    }
}

fn parameter(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A 200.
pub(crate) fn ok(body: impl Into<Vec<u8>>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.into(), "application/json")
}

/// An error in the service's form.
pub(crate) fn refusal(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(
        r#"{"message":"no","errors":[{"description":"not today"}],"trackingId":"T_body"}"#,
        "application/json",
    )
}

impl Service {
    pub(crate) async fn start(
        script: impl Fn(&Call<'_>) -> ResponseTemplate + Send + Sync + 'static,
    ) -> Self {
        let server = MockServer::start().await;
        let base = format!("{}/v1", server.uri());
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&arrivals);
        let respond = move |request: &Request| {
            let n = {
                let mut log = log.lock().unwrap();
                log.push(Instant::now());
                log.len() - 1
            };
            let cursor = parameter(&request.url, "cursor").unwrap_or_default();
            script(&Call { n, cursor, base: &base, request })
        };
        Mock::given(any()).respond_with(respond).mount(&server).await;
        Self { server, arrivals }
    }

    /// Pages that link to each other in order, from lines as for [`items`]; `get` returns the requested event.
    pub(crate) async fn list(pages: &[&str]) -> Self {
        let pages: Vec<String> = pages.iter().map(|&line| line.to_owned()).collect();
        Self::start(move |call| {
            if let Some(id) = call.request.url.path().strip_prefix("/v1/events/") {
                return ok(event(id));
            }
            let at: usize = if call.cursor.is_empty() { 0 } else { call.cursor.parse().unwrap() };
            let next = (at + 1).to_string();
            call.page(&pages[at], (at + 1 < pages.len()).then_some(&*next))
        })
        .await
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("{}/v1", self.server.uri())
    }

    pub(crate) fn client(&self) -> Client {
        client(&self.url())
    }

    pub(crate) fn count(&self) -> usize {
        self.arrivals.lock().unwrap().len()
    }

    pub(crate) fn arrivals(&self) -> Vec<Instant> {
        self.arrivals.lock().unwrap().clone()
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }

    /// The cursor of each request, empty for a first page.
    pub(crate) async fn cursors(&self) -> Vec<String> {
        let requests = self.requests().await;
        requests.iter().map(|request| parameter(&request.url, "cursor").unwrap_or_default()).collect()
    }

    /// The parameter `max` of each request, `-` if it has none.
    pub(crate) async fn sizes(&self) -> Vec<String> {
        let requests = self.requests().await;
        requests.iter().map(|request| parameter(&request.url, "max").unwrap_or("-".into())).collect()
    }

    /// Each value of a header, one for each request; empty if it isn't there.
    pub(crate) async fn header(&self, name: &str) -> Vec<String> {
        let requests = self.requests().await;
        let value = |request: &Request| {
            request.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        requests.iter().map(value).collect()
    }

    /// A few round trips of another client. Any request that this client was about to send has been sent by
    /// then.
    pub(crate) async fn quiesce(&self) {
        let other = self.client();
        for _ in 0..5 {
            let _ = within(other.get("quiesce")).await;
            settle().await;
        }
    }

    /// The number of requests for pages.
    pub(crate) async fn page_count(&self) -> usize {
        let requests = self.requests().await;
        requests.iter().filter(|request| request.url.path() == "/v1/events").count()
    }
}
