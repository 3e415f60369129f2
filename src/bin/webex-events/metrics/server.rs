//! The HTTP server for `--metrics`. Its clients can use only a bounded number of connections for a bounded time.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

use crate::metrics::{SharedSnapshot, text::CONTENT_TYPE as METRICS};

/// The limits for clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The maximum number of connections. A further connection closes the oldest one.
    pub(super) connections: usize,
    /// The maximum time for receiving the head of a request.
    pub(super) head: Duration,
    /// The maximum time of a connection.
    pub(super) connection: Duration,
}

pub(super) const LIMITS: Limits =
    Limits { connections: 16, head: Duration::from_secs(5), connection: Duration::from_secs(10) };

/// The maximum length of the head of a request: the smallest limit that hyper accepts.
const LONGEST_HEAD: usize = 8 << 10;
const TEXT: &str = "text/plain; charset=utf-8";

/// Serves until the task is aborted, which also closes its connections.
pub(super) async fn serve(listener: TcpListener, shared: Arc<SharedSnapshot>, limits: Limits) {
    let mut connections = JoinSet::new();
    let mut by_age: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        // Accepting fails temporarily, for example without free file handles.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        by_age.retain(|connection| !connection.is_finished());
        // Every request gets its response immediately, so the oldest connection is idle.
        if by_age.len() >= limits.connections
            && let Some(oldest) = by_age.pop_front()
        {
            oldest.abort();
        }
        let shared = Arc::clone(&shared);
        by_age.push_back(connections.spawn(async move {
            let handler = service_fn(move |request| {
                let response = respond(&request, &shared);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head)
                .max_buf_size(LONGEST_HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), handler);
            // Nobody can be told if the connection fails.
            let _ = tokio::time::timeout(limits.connection, connection).await;
        }));
    }
}

fn respond(request: &Request<Incoming>, shared: &SharedSnapshot) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n".to_owned());
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let now = Instant::now();
    match request.uri().path() {
        "/metrics" => reply(StatusCode::OK, METRICS, shared.text(now)),
        "/healthz" => match shared.health(now) {
            Ok(()) => reply(StatusCode::OK, TEXT, "ok\n".to_owned()),
            Err(reason) => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{reason}\n")),
        },
        _ => reply(StatusCode::NOT_FOUND, TEXT, "see /metrics and /healthz\n".to_owned()),
    }
}

fn reply(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
