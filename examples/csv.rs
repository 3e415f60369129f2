//! Writes a table of calls as CSV to stdout.
//!
//! ```sh
//! cargo run --features sandbox --example csv > calls.csv
//! ```

use std::io;

use futures::TryStreamExt;
use webex_events::{Client, ListEvents, Resource, sandbox::Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().events(5_000).start().await?;
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;

    let mut table = csv::Writer::from_writer(io::stdout());
    table.write_record(["id", "started", "direction", "answered", "seconds", "calling", "called"])?;
    let mut events = client.list(ListEvents::new().resource(Resource::CallRecords));
    while let Some(event) = events.try_next().await? {
        let data = event.data()?;
        table.write_record([
            event.id(),
            &data.call_start_time.map_or_else(String::new, |time| time.to_rfc3339()),
            data.call_direction.as_deref().unwrap_or_default(),
            &data.is_call_answered.map_or_else(String::new, |is| is.to_string()),
            &data.call_duration_seconds.map_or_else(String::new, |seconds| seconds.to_string()),
            data.calling_number.as_deref().unwrap_or_default(),
            data.called_number.as_deref().unwrap_or_default(),
        ])?;
    }
    table.flush()?;
    Ok(())
}
