//! A `select!` loop that follows events until Ctrl-C, and says how to continue.
//!
//! ```sh
//! cargo run --features sandbox --example shutdown
//! ```
//!
//! Every stream of this crate terminates only after `next` has returned `None`, so a loop of `futures::select!`
//! may end on `None` or on `complete`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "examples print")]

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::{FutureExt, StreamExt};
use webex_events::{Checkpoint, Client, Error, ListEvents, sandbox::Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Half of these events lie in the past, the others arrive during the next ten minutes.
    let now = Utc::now();
    let ten_minutes = TimeDelta::minutes(10);
    let sandbox = Sandbox::builder().events(400).period(now - ten_minutes, now + ten_minutes).start().await?;
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;

    let start = Checkpoint::at(now - ten_minutes);
    let mut events = client.follow(ListEvents::new(), start).every(Duration::from_secs(2));
    // Ctrl-C ends it; so does a minute, so that the example ends by itself.
    let mut interrupted = Box::pin(tokio::signal::ctrl_c().fuse());
    let mut limit = Box::pin(tokio::time::sleep(Duration::from_secs(60)).fuse());
    loop {
        futures::select! {
            item = events.next() => match item {
                Some(Ok(event)) => println!("{} {} {}", event.created(), event.resource(), event.id()),
                Some(Err(Error::Item(item))) => eprintln!("not an event: {}", item.raw()),
                // The next poll waits before it requests the page again.
                Some(Err(error)) if error.is_transient() => {
                    eprintln!("{error}");
                    events.resume();
                }
                Some(Err(error)) => return Err(error.into()),
                None => break,
            },
            _ = interrupted => break,
            () = limit => break,
        }
    }
    // Covers the events that were printed and nothing else.
    let checkpoint = serde_json::to_vec(&events.checkpoint())?;
    eprintln!("stored {} bytes of checkpoint, to continue from", checkpoint.len());
    Ok(())
}
