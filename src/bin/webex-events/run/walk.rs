//! One walk through a list, from page to page, into a stream or a file.

use std::{io, time::Duration};

use chrono::{TimeDelta, Utc};
use serde_json::Map;
use webex_events::{
    Client, Cursor, Error, Event, LinkErrorKind, ListEvents, Page, Pages, Result as ListResult, Stats,
};

use crate::{
    error::Code,
    run::{
        next::{next, ready},
        request::Range,
        sink::Sink,
        writer::Broken,
    },
    ui::{messages, progress::Progress, shutdown::Stop},
};

/// How far this machine's clock may be ahead of the service's: the service tells whole seconds.
const AHEAD: TimeDelta = TimeDelta::seconds(2);
/// So often in a run a walk may begin anew because its cursors don't last.
const RESTARTS: u32 = 3;

/// Why an export ends before its list does.
#[derive(Debug)]
pub(crate) enum Halt {
    Service(Error),
    Output(io::Error),
    Signal(Code),
    /// The writer has an error to tell.
    Broken,
}

impl From<Broken> for Halt {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

/// What is walked through.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) client: &'a Client,
    pub(crate) filters: ListEvents,
    pub(crate) range: Range,
    /// Whether the range's beginning goes by this machine's clock, and nothing was written since.
    pub(crate) is_relative: bool,
    /// Where an earlier run has got to.
    pub(crate) cursor: Option<Cursor>,
    /// How many events there may be, and how many there are already.
    pub(crate) take: Option<usize>,
    pub(crate) taken: usize,
    pub(crate) prefetch: usize,
}

/// Where in the list a walk is, and why it may have to begin anew.
struct Position {
    pages: Pages,
    /// Whether it began at a cursor, and no page has come since.
    is_brought: bool,
    /// Whether what was written before is to be replaced by what comes.
    is_anew: bool,
    restarts: u32,
    /// What walks did that were given up.
    given_up: Stats,
}

/// How a walk went.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) stats: Stats,
    /// Whether it came to the end of the list.
    pub(crate) is_whole: bool,
    pub(crate) result: Result<(), Halt>,
}

impl Position {
    fn stats(&self) -> Stats {
        self.given_up + self.pages.stats()
    }
}

impl Walk<'_> {
    /// Walks to the end.
    pub(crate) async fn run(mut self, sink: &mut Sink, progress: &mut Progress, stop: &mut Stop) -> Walked {
        let cursor = self.cursor.take();
        let mut at = Position {
            is_brought: cursor.is_some(),
            pages: self.pages(cursor.as_ref()),
            is_anew: false,
            restarts: 0,
            given_up: Stats::default(),
        };
        let result = loop {
            match self.step(&mut at, sink, progress, stop).await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(halt) => break Err(halt),
            }
        };
        Walked { stats: at.stats(), is_whole: result.is_ok() && at.pages.cursor().is_none(), result }
    }

    fn pages(&self, cursor: Option<&Cursor>) -> Pages {
        let events = match cursor {
            Some(cursor) => self.client.resume(cursor),
            None => self.client.list(self.range.of(self.filters.clone())),
        };
        let events = events.prefetch(self.prefetch);
        match self.take {
            Some(n) => events.take(n.saturating_sub(self.taken)).pages(),
            None => events.pages(),
        }
    }

    /// One page. Returns whether there are more. A page that has begun is written whole.
    async fn step(
        &mut self,
        at: &mut Position,
        sink: &mut Sink,
        progress: &mut Progress,
        stop: &mut Stop,
    ) -> Result<bool, Halt> {
        if let Some(code) = stop.asked() {
            return Err(Halt::Signal(code));
        }
        let page = if let Some(page) = ready(&mut at.pages).await {
            page
        } else {
            sink.idle()?;
            wait(at, sink, progress, stop).await?
        };
        let page = match page {
            None => return Ok(false),
            Some(Ok(page)) => page,
            Some(Err(error)) if at.restarts < RESTARTS && sink.can_start_over() && is_stale(&error, at) => {
                messages::note(
                    &format!("note: the place is gone ({error}): reading from the beginning"),
                    Map::new(),
                );
                at.restarts += 1;
                self.begin_anew(at);
                return Ok(true);
            }
            Some(Err(error)) => return Err(Halt::Service(error)),
        };
        if std::mem::take(&mut self.is_relative)
            && let Some(ahead) = self.ahead()
        {
            let seconds = ahead.num_seconds();
            messages::warning(
                &format!(
                    "this machine's clock is {seconds} s ahead of the service's: --from goes by the service's"
                ),
                Map::new(),
            );
            self.range.from = self.range.from.and_then(|from| from.checked_sub_signed(ahead));
            sink.set_from(self.range.from).await?;
            self.begin_anew(at);
            return Ok(true);
        }
        at.is_brought = false;
        let created = page.items.iter().rev().find_map(|item| item.as_ref().ok()).map(Event::created);
        sink.page(page, at.stats().pages, std::mem::take(&mut at.is_anew)).await?;
        progress.duplicates = sink.totals().duplicates;
        progress.page(&at.stats(), created);
        Ok(true)
    }

    fn begin_anew(&mut self, at: &mut Position) {
        self.taken = 0;
        at.given_up = at.stats();
        at.pages = self.pages(None);
        (at.is_brought, at.is_anew) = (false, true);
    }

    /// How far this machine's clock is ahead of the service's, if that is worth a word.
    fn ahead(&self) -> Option<TimeDelta> {
        let ahead = Utc::now() - self.client.service_time()?;
        (ahead > AHEAD).then_some(ahead)
    }
}

/// Whether it helps to read from the beginning: the service doesn't know the place any more.
fn is_stale(error: &Error, at: &Position) -> bool {
    match error {
        Error::Cursor { .. } => true,
        // The cursor is of the same service at another port, or of a sandbox that is gone.
        Error::Link { kind: LinkErrorKind::CrossOrigin, .. } => at.is_brought,
        Error::Api(answer) => at.pages.stats().pages > 0 && matches!(answer.status(), 400 | 404 | 410),
        _ => false,
    }
}

/// The next page, unless a signal comes before it.
async fn wait(
    at: &mut Position,
    sink: &mut Sink,
    progress: &Progress,
    stop: &mut Stop,
) -> Result<Option<ListResult<Page>>, Halt> {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            biased;
            code = stop.wait() => return Err(Halt::Signal(code)),
            page = next(&mut at.pages) => return Ok(page),
            _ = seconds.tick() => sink.tick()?,
        }
        progress.tick(&at.stats());
    }
}
