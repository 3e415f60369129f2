//! `export`: a list of events, written as NDJSON.

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_core::Stream;
use serde_json::Map;
use webex_events::{Client, Error, ListEvents, Page, Pages, Result as ListResult};

use crate::{
    args::{Export, LogFormat},
    connect,
    export::tally::Tally,
    failure::{Came, Code, Failure},
    log,
    output::Output,
    progress::Progress,
    say, serve,
    signal::Stop,
    when::When,
};

mod tally;

/// Why an export ends before its list does.
enum Halt {
    Service(Error),
    Output(io::Error),
    Signal(Code),
}

pub(crate) async fn run(export: Box<Export>, format: LogFormat, mut stop: Stop) -> Result<(), Failure> {
    let query = query(&export)?;
    let mut output = Output::open(&export.output)?;
    let sandbox = match export.sandbox {
        Some(events) => Some(serve::plain(events).await?),
        None => None,
    };
    let client = match &sandbox {
        Some(sandbox) => connect::to_sandbox(sandbox, &export.connection)?,
        None => connect::to_service(&export.connection)?,
    };
    if export.from.is_none() && sandbox.is_none() {
        say::note("note: without --from the service chooses where the list begins", Map::new());
    }

    let mut pages = pages(&client, query, &export);
    let mut progress = Progress::start(format, output.is_stdout());
    let mut tally = Tally::default();
    let walked = walk(&mut pages, &mut output, &mut tally, &mut progress, &mut stop).await;
    log::stop();
    progress.end();
    let ended = walked.and_then(|()| output.commit().map_err(Halt::Output));
    tally.settle(pages.stats(), progress.elapsed(), pages.cursor().is_none());
    match ended {
        Ok(()) => {
            tally.sum_up(&output);
            Ok(())
        }
        Err(halt) => {
            output.abandon();
            failure(halt, &tally, &output)
        }
    }
}

fn query(export: &Export) -> Result<ListEvents, Failure> {
    let now = Utc::now();
    let instant = |name, when: Option<When>| {
        when.map(|when| {
            when.instant(now)
                .ok_or_else(|| Failure::usage(format!("{name} lies before all time; choose a later one")))
        })
        .transpose()
    };
    let (from, to) = (instant("--from", export.from)?, instant("--to", export.to)?);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(Failure::usage(format!(
            "--from {from} isn't before --to {to}; choose an earlier --from"
        )));
    }
    let mut query = ListEvents::new();
    if let Some(resource) = &export.resource {
        query = query.resource(resource);
    }
    if let Some(event_type) = &export.event_type {
        query = query.event_type(event_type);
    }
    if let Some(id) = &export.actor_id {
        query = query.actor_id(id);
    }
    if let Some(from) = from {
        query = query.from(from);
    }
    if let Some(to) = to {
        query = query.to(to);
    }
    if let Some(events) = export.page_size {
        query = query.page_size(events);
    }
    Ok(query)
}

fn pages(client: &Client, query: ListEvents, export: &Export) -> Pages {
    let events = client.list(query).prefetch(export.prefetch.into());
    match export.take {
        Some(n) => events.take(n).pages(),
        None => events.pages(),
    }
}

/// Writes page after page. A page that has begun is written whole.
async fn walk(
    pages: &mut Pages,
    output: &mut Output,
    tally: &mut Tally,
    progress: &mut Progress,
    stop: &mut Stop,
) -> Result<(), Halt> {
    loop {
        if let Some(code) = stop.asked() {
            return Err(Halt::Signal(code));
        }
        let page = if let Some(page) = ready(pages).await {
            page
        } else {
            output.flush().map_err(Halt::Output)?;
            wait(pages, progress, stop).await?
        };
        let Some(page) = page else { return Ok(()) };
        let created = write(page.map_err(Halt::Service)?, pages.stats().pages, output, tally);
        progress.page(&pages.stats(), created.map_err(Halt::Output)?);
    }
}

/// The next page, if there need be no waiting for it.
async fn ready(pages: &mut Pages) -> Option<Option<ListResult<Page>>> {
    poll_fn(|cx| match Pin::new(&mut *pages).poll_next(cx) {
        Poll::Ready(page) => Poll::Ready(Some(page)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The next page, unless a signal comes before it.
async fn wait(
    pages: &mut Pages,
    progress: &Progress,
    stop: &mut Stop,
) -> Result<Option<ListResult<Page>>, Halt> {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            biased;
            code = stop.wait() => return Err(Halt::Signal(code)),
            page = poll_fn(|cx| Pin::new(&mut *pages).poll_next(cx)) => return Ok(page),
            _ = seconds.tick() => {}
        }
        progress.tick(&pages.stats());
    }
}

/// Writes a page, and returns when its last event was created.
fn write(
    page: Page,
    number: u64,
    output: &mut Output,
    tally: &mut Tally,
) -> io::Result<Option<DateTime<Utc>>> {
    let mut created = None;
    for item in page {
        match item {
            Ok(event) => {
                output.event(&event)?;
                // Errors that can't be read are errors too.
                tally.partial += u64::from(event.errors().map_or(true, |errors| !errors.is_empty()));
                created = Some(event.created());
            }
            Err(Error::Item(item)) => {
                output.malformed(number, &item)?;
                tally.malformed += 1;
            }
            Err(error) => say::warning(&format!("an item can't be read: {error}"), Map::new()),
        }
    }
    Ok(created)
}

fn failure(halt: Halt, tally: &Tally, output: &Output) -> Result<(), Failure> {
    let far = tally.far(output);
    match halt {
        Halt::Service(error) => {
            Err(Failure::of(&error, Some(Came { far: &far, with_events: output.written() > 0 })))
        }
        // Whoever read along has had enough.
        Halt::Output(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Halt::Output(error) => Err(Failure::new(
            Code::Output,
            format!(
                "{} can't be written: {error}; {far}; make room, or choose another place with -o",
                output.name()
            ),
        )),
        Halt::Signal(code) => Err(Failure::new(code, far)),
    }
}
