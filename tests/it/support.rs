//! The fixtures of all tests: event texts, pages, a scripted service, a server that is driven byte by
//! byte, and clients that don't wait between attempts.
//!
//! Everything that could hang is bounded by [`within`].

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use webex_events::{Client, ClientBuilder, Error, Event, Result, RetryPolicy};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

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
        let answer = ok(page(line));
        match next {
            Some(next) => answer.append_header("Link", self.link(next)),
            None => answer,
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

// ---- a server that is driven byte by byte ----

/// A request's head as received.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) text: String,
    pub(crate) at: Instant,
}

impl Head {
    /// The request target, byte for byte.
    pub(crate) fn target(&self) -> &str {
        self.text.split(' ').nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.text.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut lines = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        lines.next().map(|(_, value)| value.trim())
    }
}

/// A complete response, after which the connection closes.
pub(crate) fn http(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let lines: String = headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n{lines}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A listener whose connections the test drives itself.
pub(crate) struct Wire {
    listener: TcpListener,
    address: SocketAddr,
}

pub(crate) struct Connection {
    stream: TcpStream,
}

impl Wire {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("{}/v1", self.origin())
    }

    pub(crate) fn client(&self) -> Client {
        client(&self.url())
    }

    pub(crate) async fn accept(&self) -> Connection {
        Connection { stream: within(self.listener.accept()).await.unwrap().0 }
    }

    /// The next connection and the head of its request.
    pub(crate) async fn request(&self) -> (Connection, Head) {
        let mut connection = self.accept().await;
        let head = connection.head().await;
        (connection, head)
    }

    /// Accepts a request and responds to it.
    pub(crate) async fn respond(&self, bytes: impl AsRef<[u8]>) -> Head {
        let (mut connection, head) = self.request().await;
        connection.send(bytes).await;
        head
    }

    /// Responds to every request by a script, each on a connection of its own.
    pub(crate) fn serve(self, script: impl Fn(usize, &Head) -> Vec<u8> + Send + Sync + 'static) -> Served {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, count, script) = (Arc::clone(&heads), Arc::clone(&connections), Arc::new(script));
        let (address, listener) = (self.address, self.listener);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                count.fetch_add(1, SeqCst);
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                tokio::spawn(async move {
                    let mut connection = Connection { stream };
                    let Some(head) = connection.try_head().await else { return };
                    let n = {
                        let mut log = log.lock().unwrap();
                        log.push(head.clone());
                        log.len() - 1
                    };
                    let answer = script(n, &head);
                    let _ = connection.stream.write_all(&answer).await;
                    let _ = connection.stream.shutdown().await;
                });
            }
        });
        Served { address, heads, connections, task }
    }
}

impl Connection {
    pub(crate) async fn head(&mut self) -> Head {
        within(self.try_head()).await.expect("no request came")
    }

    async fn try_head(&mut self) -> Option<Head> {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            text.push(self.stream.read_u8().await.ok()?);
        }
        Some(Head { text: String::from_utf8(text).unwrap(), at: Instant::now() })
    }

    /// The body of a request, by its head's length.
    pub(crate) async fn body(&mut self, head: &Head) -> String {
        let length = head.header("content-length").unwrap_or("0").parse().unwrap();
        let mut body = vec![0; length];
        within(self.stream.read_exact(&mut body)).await.unwrap();
        String::from_utf8(body).unwrap()
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
        within(self.stream.flush()).await.unwrap();
    }

    /// Returns when the other side has closed.
    pub(crate) async fn closed(&mut self) {
        let mut rest = [0; 64];
        while let Ok(1..) = within(self.stream.read(&mut rest)).await {}
    }
}

/// A [`Wire`] that serves in a task of its own.
pub(crate) struct Served {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<Head>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(script: impl Fn(usize, &Head) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Wire::bind().await.serve(script)
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("{}/v1", self.origin())
    }

    pub(crate) fn client(&self) -> Client {
        client(&self.url())
    }

    pub(crate) fn heads(&self) -> Vec<Head> {
        self.heads.lock().unwrap().clone()
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        self.heads().iter().map(|head| head.target().to_owned()).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}
