//! A test of one's own pipeline, with the sandbox as the service that misbehaves.
//!
//! ```sh
//! cargo run --features sandbox --example pipeline_test
//! ```
//!
//! In a project the body of `main` is a `#[tokio::test]`, and `webex-events` with the feature `sandbox` is one of its
//! dev-dependencies.

#![expect(clippy::print_stdout, reason = "examples print")]

use std::{collections::BTreeSet, time::Duration};

use futures::StreamExt;
use webex_events::{
    Client, Error, ListEvents, Result, RetryPolicy,
    sandbox::{Response, Sandbox, When},
};

/// The pipeline under test: it collects ids, and must survive whatever the service does.
async fn pipeline(client: &Client) -> Result<(BTreeSet<String>, usize)> {
    let mut events = client.list(ListEvents::new().page_size(100));
    let (mut ids, mut malformed) = (BTreeSet::new(), 0);
    while let Some(item) = events.next().await {
        match item {
            Ok(event) => {
                ids.insert(event.id().to_owned());
            }
            Err(Error::Item(_)) => malformed += 1,
            Err(error) if error.is_transient() => events.resume(),
            Err(error) => return Err(error),
        }
    }
    Ok((ids, malformed))
}

#[tokio::main]
async fn main() -> Result<()> {
    let sandbox = Sandbox::builder()
        .events(1_000)
        .seed(7)
        .fail(When::every(4), Response::status(503))
        .cut_bodies(When::every(5), 0.5)
        .malformed_every(300)
        .start()
        .await?;
    let quick = RetryPolicy::default().backoff(Duration::from_millis(1), Duration::from_millis(5));
    let client =
        Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).retry(quick).build()?;

    let (ids, malformed) = pipeline(&client).await?;

    let expected: BTreeSet<_> = sandbox.event_ids().into_iter().collect();
    assert_eq!(ids.len() + malformed, expected.len(), "nothing is lost, nothing is invented");
    assert!(ids.is_subset(&expected));
    assert!(malformed > 0, "the fault was met");
    println!("{} events and {malformed} malformed items, over {:?}", ids.len(), sandbox.counts());
    Ok(())
}
