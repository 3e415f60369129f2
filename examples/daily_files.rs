//! Writes a file for each day, several days concurrently.
//!
//! ```sh
//! cargo run --features sandbox --example daily_files
//! ```
//!
//! The program `webex-events export -o FOLDER --slice 24h` does this with a ledger, resumes after a crash, and can
//! verify the result. This example shows the library's part of it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "examples print")]

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufWriter, Write},
    num::NonZeroUsize,
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use futures::TryStreamExt;
use webex_events::{Client, Error, ListEvents, SliceItem, sandbox::Sandbox};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = Utc::now();
    let sandbox = Sandbox::builder().events(20_000).period(now - TimeDelta::days(7), now).start().await?;
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;
    let folder = std::env::temp_dir().join(format!("daily-files-{}", std::process::id()));
    fs::create_dir_all(&folder)?;

    // Half-open, consecutive slices: each event of the range is in exactly one.
    let slices = ListEvents::new().from(now - TimeDelta::days(7)).to(now).slices(DAY)?;
    let mut stream = client.list_slices(slices, NonZeroUsize::MIN.saturating_add(3));
    let mut open = HashMap::new();
    while let Some(item) = stream.try_next().await? {
        match item {
            SliceItem::Page { slice, page } => {
                let name = folder.join(format!("{}.ndjson", slice.start().format("%Y-%m-%d")));
                let part = name.with_extension("part");
                let (file, _) = match open.entry(slice.start()) {
                    std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::hash_map::Entry::Vacant(entry) => {
                        entry.insert((BufWriter::new(File::create(&part)?), (part, name)))
                    }
                };
                for item in page {
                    match item {
                        Ok(event) => writeln!(file, "{}", event.raw())?,
                        Err(Error::Item(item)) => eprintln!("not an event: {}", item.raw()),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            // Only now is the slice complete, so only now does its file get its name.
            SliceItem::Closed { slice, stats } => {
                if let Some((file, (part, name))) = open.remove(&slice.start()) {
                    file.into_inner()?.sync_all()?;
                    fs::rename(part, &name)?;
                    println!("{} {} events", name.display(), stats.events);
                }
            }
            _ => {}
        }
    }
    Ok(())
}
