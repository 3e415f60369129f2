//! `follow`: events as they come, by the hour into a folder, or to stdout.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Map;
use tokio::time::Instant;
use webex_events::{Checkpoint, Error, Event, Follow, Result as ListResult, Stats};

use crate::{
    cli::{self, LogFormat, values::When},
    commands::follow::{pause::Pause, sink::Sink},
    error::{Came, Code, Failure, chain},
    metrics::Metrics,
    run::{
        next::{next, ready},
        outcome::AGAIN,
        output::Output,
        request::{self, Range, seconds},
        roles,
        walk::Halt,
    },
    service::{self, Connected},
    ui::{
        logging, messages,
        progress::{Progress, counted},
        shutdown::Stop,
    },
};

mod folder;
mod pause;
mod sink;
mod stdout;

/// At most so many items are taken in before they are written.
const BATCH: usize = 1000;

pub(crate) async fn run(follow: Box<cli::Follow>, format: LogFormat, mut stop: Stop) -> Result<(), Failure> {
    // What can't be in any case is said before anything is done.
    Range::at(Utc::now(), follow.from, None)?;
    let output = Output::of(&follow.output, false, true)?;
    roles::check(&output, &follow.connection, None, follow.checkpoint.as_deref())?;
    let connected = service::service(&follow.connection)?;
    let metrics = Metrics::start(&follow.watch).await?;
    let (sink, checkpoint) = match output {
        Output::File(path) if path.exists() => {
            return Err(Failure::usage(format!(
                "{} is a file: follow needs a folder, or - for stdout",
                path.display()
            )));
        }
        Output::Folder(path) | Output::File(path) => {
            let writing = folder::open(&follow, &connected, &mut stop, path).await?;
            stop.be_patient();
            writing
        }
        Output::Stream(file, _) => stdout::open(&follow, &connected, &mut stop, file).await?,
    };
    let query = follow.filters.query();
    let events = connected.client.follow(query, checkpoint).every(follow.every).settle(follow.settle);
    let progress = Progress::start(format, sink.is_stdout()).watched(&metrics, &connected);
    Following { events, sink, progress, pause: Pause::default(), told: None }.run(&mut stop).await
}

/// When the first run begins: what the words mean by the service's clock, or now.
async fn beginning(
    follow: &cli::Follow,
    connected: &Connected,
    stop: &mut Stop,
) -> Result<DateTime<Utc>, Failure> {
    if let Some(When::At(instant)) = follow.from {
        return Ok(instant);
    }
    let now = request::service_now(connected, &follow.filters.query(), stop).await?;
    let from = Range::at(now, follow.from, None)?.from;
    Ok(from.unwrap_or(seconds(now)))
}

struct Following {
    events: Follow,
    sink: Sink,
    progress: Progress,
    pause: Pause,
    /// The checkpoint that was sent last.
    told: Option<Checkpoint>,
}

impl Following {
    async fn run(mut self, stop: &mut Stop) -> Result<(), Failure> {
        let halt = match self.follow(stop).await {
            Ok(never) => match never {},
            Err(halt) => halt,
        };
        logging::stop();
        self.progress.end();
        let halt = self.sink.end().await.map_or_else(Halt::Output, |()| halt);
        self.conclude(halt)
    }

    async fn follow(&mut self, stop: &mut Stop) -> Result<std::convert::Infallible, Halt> {
        let mut first = None;
        loop {
            if let Some(code) = stop.asked() {
                return Err(Halt::Signal(code));
            }
            let (items, error) = self.gather(first.take()).await;
            self.write(items).await?;
            match error {
                Some(error) => self.wait_out(error, stop).await?,
                None => first = self.wait(stop).await?,
            }
        }
    }

    /// What there is without waiting, and the error that ends it, if one does.
    async fn gather(&mut self, first: Option<Item>) -> (Vec<Item>, Option<Error>) {
        let mut items = Vec::new();
        let mut item = first;
        loop {
            match item.take() {
                Some(Err(error)) if !matches!(error, Error::Item(_)) => return (items, Some(error)),
                Some(item) => items.push(item),
                None => {}
            }
            if items.len() >= BATCH {
                return (items, None);
            }
            match ready(&mut self.events).await {
                Some(Some(next)) => item = Some(next),
                _ => return (items, None),
            }
        }
    }

    /// Writes items with the checkpoint behind them, which moves on without any too.
    async fn write(&mut self, items: Vec<Item>) -> Result<(), Halt> {
        let checkpoint = self.events.checkpoint();
        if items.is_empty() && self.told.as_ref() == Some(&checkpoint) {
            return Ok(());
        }
        self.sink.round(items, &checkpoint).await?;
        self.told = Some(checkpoint);
        self.tell();
        Ok(())
    }

    /// Waits for the next item. None if something else is to be looked at first.
    async fn wait(&mut self, stop: &mut Stop) -> Result<Option<Item>, Halt> {
        let tick = tokio::time::sleep(Duration::from_secs(1));
        let item = tokio::select! {
            biased;
            code = stop.wait() => return Err(Halt::Signal(code)),
            item = next(&mut self.events) => item,
            () = tick => None,
        };
        if let Some(Ok(_)) = &item {
            self.pause = Pause::default();
        }
        self.tick()?;
        Ok(item)
    }

    /// Waits until it is worth trying again, unless it never is.
    async fn wait_out(&mut self, error: Error, stop: &mut Stop) -> Result<(), Halt> {
        let pages = self.events.stats().pages;
        if !passes(&error) && !is_stale(&error, pages) {
            return Err(Halt::Service(error));
        }
        let wait = self.pause.next(pages, error.retry_after());
        messages::warning(
            &format!("{}; trying again in {} s", chain(&error), wait.as_secs()),
            Map::from_iter([("wait_s".to_owned(), wait.as_secs().into())]),
        );
        let end = Instant::now() + wait;
        while Instant::now() < end {
            let tick = end.min(Instant::now() + Duration::from_secs(1));
            tokio::select! {
                biased;
                code = stop.wait() => return Err(Halt::Signal(code)),
                () = tokio::time::sleep_until(tick) => self.tick()?,
            }
        }
        self.events.resume();
        Ok(())
    }

    fn tick(&mut self) -> Result<(), Halt> {
        self.sink.tick()?;
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        self.progress.follows(&self.events.stats(), self.events.lag(), self.events.is_caught_up());
    }

    fn conclude(&self, halt: Halt) -> Result<(), Failure> {
        let stats: Stats = self.events.stats();
        let checkpoint = self.events.checkpoint();
        let far = format!(
            "{} in this run, {}; settled up to {}, {} s behind",
            counted(stats.events, "event"),
            self.sink.place(),
            checkpoint.settled().to_rfc3339_opts(SecondsFormat::Secs, true),
            self.events.lag().as_secs()
        );
        match halt {
            Halt::Service(error) => {
                let came = Came { far: &far, with_events: true };
                Err(Failure::of(&error, Some(came)))
            }
            Halt::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Halt::Output(error) => Err(Failure::new(
                Code::Output,
                format!("{} can't be written: {error}; {far}; make room; {AGAIN}", self.sink.name()),
            )),
            Halt::Broken => Err(Failure::new(Code::Output, format!("{} can't be written", self.sink.name()))),
            Halt::Signal(code) if self.sink.can_go_on() => Err(Failure::new(code, format!("{far}; {AGAIN}"))),
            Halt::Signal(code) => Err(Failure::new(code, far)),
        }
    }
}

/// Whether an error ends by itself, for one who has all the time: everything but a refusal, and what was
/// asked wrongly.
fn passes(error: &Error) -> bool {
    error.is_transient() || matches!(error, Error::Decode(_) | Error::Link { .. } | Error::Cursor { .. })
}

/// Whether the service has forgotten its place in the middle of a list: the round begins anew.
fn is_stale(error: &Error, pages: u64) -> bool {
    matches!(error, Error::Api(answer) if pages > 0 && matches!(answer.status(), 400 | 404 | 410))
}

type Item = ListResult<Event>;
