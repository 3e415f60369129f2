//! Prints the messages of one day.
//!
//! ```sh
//! cargo run --features sandbox --example messages
//! ```
//!
//! For the real service replace the two lines of the sandbox with `Client::from_env()?`, which reads
//! `WEBEX_ACCESS_TOKEN`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "examples print")]

use chrono::{TimeDelta, Utc};
use futures::TryStreamExt;
use webex_events::{Client, ListEvents, Resource, sandbox::Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().events(5_000).start().await?;
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;

    let yesterday = Utc::now() - TimeDelta::days(1);
    let mut events = client.list(ListEvents::new().resource(Resource::Messages).from(yesterday));
    while let Some(event) = events.try_next().await? {
        let data = event.data()?;
        let who = data.person_email.as_deref().unwrap_or("somebody");
        let text = data.text.as_deref().unwrap_or("(no text)");
        println!("{} {:8} {who}: {text}", event.created(), event.event_type());
    }

    // `None` comes only after a page without a next link, so the list is complete here.
    let stats = events.stats();
    eprintln!("{} messages on {} pages", stats.events, stats.pages);
    Ok(())
}
