//! The seams for other people's systems, as a crate of one's own uses them: an HTTP service that records requests,
//! tokens from a function, a cursor with each event, and another resource of the API.
//!
//! ```sh
//! cargo run --features sandbox --example seams
//! ```

#![expect(clippy::print_stdout, reason = "examples print")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use bytes::Bytes;
use futures::{TryStreamExt, future::BoxFuture};
use serde::Deserialize;
use webex_events::{
    Client, Cursor, HttpBody, HttpService, ListEvents, Token, TransportError, TransportErrorKind,
    sandbox::Sandbox, token_fn,
};

/// Sends requests with the application's own `reqwest` client, and keeps their paths.
#[derive(Debug)]
struct Recording {
    client: reqwest::Client,
    paths: Arc<Mutex<Vec<String>>>,
}

fn failed(error: reqwest::Error) -> TransportError {
    let kind = if error.is_timeout() { TransportErrorKind::TimedOut } else { TransportErrorKind::Other };
    // A page's URL is nothing for logs.
    TransportError::with_kind(kind, "the request failed", error.without_url())
}

impl HttpService for Recording {
    fn call(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<HttpBody>, TransportError>> {
        Box::pin(async move {
            if let Ok(mut paths) = self.paths.lock() {
                paths.push(request.uri().path().to_owned());
            }
            let request = reqwest::Request::try_from(request).map_err(failed)?;
            let mut received = self.client.execute(request).await.map_err(failed)?;
            let mut response = http::Response::builder().status(received.status());
            if let Some(headers) = response.headers_mut() {
                *headers = std::mem::take(received.headers_mut());
            }
            let body = HttpBody::from_stream(received.bytes_stream().map_err(failed));
            response.body(body).map_err(|error| TransportError::new("the response is invalid", error))
        })
    }
}

#[derive(Deserialize)]
struct OneEvent {
    id: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Arc::new(Sandbox::builder().events(2_500).start().await?);
    let (paths, renewals) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicU32::new(0)));

    // The library follows redirects, decompresses and checks origins itself: the service must do neither.
    let own = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_gzip().build()?;
    let (vault, counter) = (Arc::clone(&sandbox), Arc::clone(&renewals));
    let client = Client::builder()
        .base_url(sandbox.base_url())
        .http_service(Recording { client: own, paths: Arc::clone(&paths) })
        .token_source(token_fn(move |rejected: Option<Token>| {
            let (vault, counter) = (Arc::clone(&vault), Arc::clone(&counter));
            async move {
                counter.fetch_add(u32::from(rejected.is_some()), Relaxed);
                Ok(Token::from(vault.token()))
            }
        }))
        .build()?;

    // The position after an event comes with it, for consumers that finish events out of order.
    let mut events = client.list(ListEvents::new()).with_cursors();
    let (mut first, mut tenth): (Option<String>, Option<Cursor>) = (None, None);
    let mut count = 0;
    while let Some((event, cursor)) = events.try_next().await? {
        count += 1;
        first.get_or_insert_with(|| event.id().to_owned());
        if count == 10 {
            tenth = cursor;
        }
    }
    let cursor = tenth.ok_or("the list has more than ten events")?;
    let rest = client.resume(&cursor).try_fold(0, |n, _| async move { Ok(n + 1) }).await?;
    assert_eq!((count, rest), (2_500, 2_490));

    // Any other resource under the base URL, with the same token, pace, pauses, retries and limits.
    let id = first.ok_or("the list has events")?;
    let one: OneEvent = client.get_json(&format!("events/{id}")).await?;
    assert_eq!(one.id, id);
    // A path that leaves the base URL is refused, and nothing is sent.
    assert!(client.get_json::<OneEvent>("../../elsewhere").await.is_err());

    let sent = paths.lock().map_or(0, |paths| paths.len());
    println!("{count} events, {sent} requests, {} renewals", renewals.load(Relaxed));
    assert_eq!(sent as u64, sandbox.counts().requests);
    Ok(())
}
