//! Pages with at-least-once processing: finish a page, then store its cursor.
//!
//! ```sh
//! cargo run --features sandbox --example at_least_once
//! ```
//!
//! This is the pattern for a sink that handles many events concurrently. A cursor after each event would say too
//! much: the event before it may still be in flight. A page is a natural unit: all its events are handled, and
//! only then is the cursor after it stored. After a crash the last page is read again, so an event can be
//! handled twice, and none is missed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "examples print")]

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use futures::{StreamExt, TryStreamExt, stream};
use webex_events::{Client, Cursor, Error, Event, ListEvents, sandbox::Sandbox};

/// Stands for a request to another system. It must tolerate an event that it has seen before.
async fn handle(event: Event) -> io::Result<()> {
    tokio::task::yield_now().await;
    println!("{}", event.id());
    Ok(())
}

fn stored(path: &Path) -> Result<Option<Cursor>, Box<dyn std::error::Error>> {
    match fs::read_to_string(path) {
        Ok(line) => Ok(Some(line.trim().parse()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the file in one step, so that a crash leaves the old cursor or the new one.
fn store(path: &Path, cursor: &Cursor) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, cursor.to_string())?;
    fs::File::open(&temporary)?.sync_all()?;
    fs::rename(temporary, path)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().events(2_500).start().await?;
    let client = Client::builder().base_url(sandbox.base_url()).token(sandbox.token()).build()?;
    let path: PathBuf = std::env::temp_dir().join(format!("at-least-once-{}.cursor", std::process::id()));

    let events = match stored(&path)? {
        Some(cursor) => client.resume(&cursor),
        None => client.list(ListEvents::new().page_size(500)),
    };
    let mut pages = events.pages();
    while let Some(page) = pages.try_next().await? {
        let after = page.cursor().cloned();
        stream::iter(page)
            .map(|item| async {
                match item {
                    Ok(event) => handle(event).await,
                    // An item that is not an event has its position and its bytes; the list continues.
                    Err(Error::Item(item)) => {
                        eprintln!("not an event: {}", item.raw());
                        Ok(())
                    }
                    Err(error) => Err(io::Error::other(error)),
                }
            })
            .buffer_unordered(16)
            .try_collect::<()>()
            .await?;
        match after {
            Some(cursor) => store(&path, &cursor)?,
            None => fs::remove_file(&path).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?,
        }
    }
    eprintln!("complete: {} events", pages.stats().events);
    Ok(())
}
