//! Follows events into `SQLite`: the rows and the checkpoint are written in one transaction.
//!
//! ```sh
//! cargo run --features sandbox --example sqlite
//! ```
//!
//! Because they are committed together, a crash at any instant leaves a checkpoint that covers exactly the rows in
//! the table. Each event is then in it exactly once.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "examples print")]

use chrono::{TimeDelta, Utc};
use futures::StreamExt;
use rusqlite::{Connection, OptionalExtension, params};
use webex_events::{Checkpoint, Client, Error, Event, ListEvents, sandbox::Sandbox};

/// The number of events after which the rows are committed while the follower catches up.
const BATCH: usize = 500;

fn commit(
    database: &mut Connection,
    events: &mut Vec<Event>,
    checkpoint: &Checkpoint,
) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    {
        let mut insert = transaction.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4)")?;
        for event in events.drain(..) {
            insert.execute(params![
                event.id(),
                event.created().to_rfc3339(),
                event.resource().as_str(),
                event.raw()
            ])?;
        }
    }
    let text = serde_json::to_string(checkpoint)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    transaction.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?1)", [text])?;
    transaction.commit()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = Utc::now();
    let sandbox = Sandbox::builder().events(3_000).period(now - TimeDelta::hours(2), now).start().await?;
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;

    let mut database = Connection::open_in_memory()?;
    database.execute_batch(
        "CREATE TABLE events (id TEXT PRIMARY KEY, created TEXT, resource TEXT, raw TEXT);
         CREATE TABLE checkpoint (only INTEGER PRIMARY KEY, value TEXT);",
    )?;
    let stored: Option<String> =
        database.query_row("SELECT value FROM checkpoint", [], |row| row.get(0)).optional()?;
    let checkpoint = match stored {
        Some(text) => serde_json::from_str(&text)?,
        None => Checkpoint::at(now - TimeDelta::hours(2)),
    };

    let mut follower = client.follow(ListEvents::new(), checkpoint);
    let mut batch = Vec::new();
    // A real follower has no end. This one stops when it has caught up.
    while !follower.is_caught_up() {
        match follower.next().await {
            Some(Ok(event)) => batch.push(event.into_owned()),
            Some(Err(Error::Item(item))) => eprintln!("not an event: {}", item.raw()),
            Some(Err(error)) if error.is_transient() => follower.resume(),
            Some(Err(error)) => return Err(error.into()),
            None => break,
        }
        if batch.len() == BATCH {
            commit(&mut database, &mut batch, &follower.checkpoint())?;
        }
    }
    commit(&mut database, &mut batch, &follower.checkpoint())?;

    let rows: i64 = database.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
    println!("{rows} rows");
    Ok(())
}
