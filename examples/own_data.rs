//! Own types for `data`, and a field that this crate has no name for.
//!
//! ```sh
//! cargo run --features sandbox --example own_data
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "examples print")]

use futures::TryStreamExt;
use serde::Deserialize;
use webex_events::{Client, ListEvents, Resource, Result, sandbox::Sandbox};

/// Only what this program needs. Times and numbers have the types that it wants.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Membership {
    person_email: Option<String>,
    #[serde(default)]
    is_moderator: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let sandbox = Sandbox::builder().events(5_000).start().await?;
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;

    let mut events = client.list(ListEvents::new().resource(Resource::Memberships));
    let mut moderators = 0;
    while let Some(event) = events.try_next().await? {
        let membership: Membership = event.data_as()?;
        moderators += u32::from(membership.is_moderator);
        // The text of `data` itself, byte for byte, for whatever has no type.
        assert!(event.data_raw().starts_with('{'));
        if let (true, Some(person)) = (membership.is_moderator, membership.person_email) {
            println!("{} {person} moderates", event.created());
        }
    }
    eprintln!("{moderators} moderators in {} events", events.stats().events);
    Ok(())
}
