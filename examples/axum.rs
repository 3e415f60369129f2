//! An HTTP handler that streams events as NDJSON, with axum.
//!
//! ```sh
//! cargo run --features sandbox --example axum
//! curl 'http://127.0.0.1:PORT/events?resource=messages'
//! ```
//!
//! The response is as lazy as the stream: if the reader stops reading, no further page is requested; if it closes the
//! connection, the stream is dropped, and with it the request in flight.

#![expect(clippy::print_stdout, reason = "examples print")]

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::header::CONTENT_TYPE,
    response::IntoResponse,
    routing::get,
};
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use webex_events::{Client, Error, ListEvents, sandbox::Sandbox};

#[derive(Deserialize)]
struct Parameters {
    resource: Option<String>,
}

async fn events(State(client): State<Client>, Query(parameters): Query<Parameters>) -> impl IntoResponse {
    let mut query = ListEvents::new();
    if let Some(resource) = parameters.resource {
        query = query.resource(resource);
    }
    let lines = client
        .list(query)
        // A malformed item is skipped here. Any other error breaks the response off, so that the reader
        // can't take a part of the list for the whole.
        .try_filter_map(|event| async move { Ok(Some(Bytes::from(format!("{}\n", event.raw())))) })
        .filter(|item| futures::future::ready(!matches!(item, Err(Error::Item(_)))));
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().events(10_000).start().await?;
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;

    let app = Router::new().route("/events", get(events)).with_state(client);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("curl 'http://{address}/events?resource=messages'");

    // The example asks itself, and ends. A server would wait for Ctrl-C instead.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        axum::serve(listener, app).with_graceful_shutdown(async { stopped.await.unwrap_or(()) }).await
    });
    let body = reqwest::get(format!("http://{address}/events?resource=messages")).await?.text().await?;
    println!("{} lines", body.lines().count());
    let _ = stop.send(());
    server.await??;
    Ok(())
}
