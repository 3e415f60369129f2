//! Exports the spans of a list with OpenTelemetry, here to stdout.
//!
//! ```sh
//! cargo run --features sandbox --example opentelemetry
//! ```
//!
//! A real program replaces the exporter of `opentelemetry-stdout` with that of `opentelemetry-otlp`.

use futures::TryStreamExt;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use webex_events::{
    Client, ListEvents,
    sandbox::{Response, Sandbox, When},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(opentelemetry_stdout::SpanExporter::default())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("example"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;

    // The second request fails once, so that an attempt is sent again.
    let failure = Response::status(503).retry_after(0);
    let sandbox = Sandbox::builder().events(1_500).fail(When::at([1]), failure).start().await?;
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;
    let mut events = client.list(ListEvents::new());
    while events.try_next().await?.is_some() {}

    provider.shutdown()?;
    Ok(())
}
