//! The one loop that reads and writes. It ends when the source ends, by a signal, or by an error that stops the run.

use std::{future::poll_fn, io, task::Poll, time::Duration};

use futures_util::StreamExt;
use serde_json::Map;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use webex_events::{Error, Result as ListResult};

use crate::{
    archive::FailedSlice,
    cli::values::time,
    error::{Code, describe},
    metrics::{Metrics, RunSnapshot},
    run::{
        restart::{Pauses, Reaction},
        sink::Sink,
        source::{Source, Step},
        stop_reason::StopReason,
        summary::RunSummary,
    },
    service::Connected,
    ui::{human, logging, messages, progress::Progress, shutdown::Shutdown},
};

const SECOND: Duration = Duration::from_secs(1);

/// A source and a sink, with the progress line and the metrics.
#[derive(Debug)]
pub(crate) struct Driver<'a, S> {
    source: S,
    sink: Sink,
    shutdown: &'a mut Shutdown,
    progress: Progress,
    metrics: &'a Metrics,
    connected: &'a Connected,
    pauses: Pauses,
    failed: Vec<(FailedSlice, Code)>,
}

/// The result of a run, with its source and sink.
#[derive(Debug)]
pub(crate) struct Driven<S> {
    pub(crate) source: S,
    pub(crate) sink: Sink,
    pub(crate) ended: Result<(), StopReason>,
    /// The parts of the summary that are the same for every command.
    pub(crate) summary: RunSummary,
}

impl<'a, S: Source> Driver<'a, S> {
    pub(crate) fn new(
        source: S,
        sink: Sink,
        shutdown: &'a mut Shutdown,
        metrics: &'a Metrics,
        connected: &'a Connected,
    ) -> Self {
        let progress = Progress::start(sink.is_stdout());
        let pauses = Pauses::default();
        Self { source, sink, shutdown, progress, metrics, connected, pauses, failed: Vec::new() }
    }

    /// Reads and writes until the end, and commits everything that was received.
    pub(crate) async fn run(mut self) -> Driven<S> {
        let ended = self.drive().await;
        logging::stop();
        self.progress.end();
        let written = self.sink.end().await;
        let ended = match (ended, written) {
            (Ok(()) | Err(StopReason::WriterGone), Err(error)) => Err(StopReason::Output(error)),
            // Report that events aren't in the files, even if another error came first.
            (Err(_), Err(error)) if matches!(self.sink, Sink::Archive(_)) => Err(StopReason::Output(error)),
            (ended, _) => ended,
        };
        let summary = RunSummary {
            totals: self.sink.totals(),
            stats: self.source.stats(),
            took: self.progress.elapsed(),
            is_complete: ended.is_ok() && self.failed.is_empty(),
            why_not: ended.as_ref().err().and_then(why_not),
            is_resumable: self.sink.is_resumable(),
            list: self.source.list_name(),
            name: self.sink.name(),
            part_name: self.sink.part_name(),
            malformed_name: self.sink.malformed_name(),
            files: self.sink.files(),
            failed: self.failed,
            ..RunSummary::default()
        };
        Driven { source: self.source, sink: self.sink, ended, summary }
    }

    async fn drive(&mut self) -> Result<(), StopReason> {
        let mut seconds = tokio::time::interval(SECOND);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some(code) = self.shutdown.requested() {
                return Err(StopReason::Signal(code));
            }
            let step = if let Poll::Ready(step) = self.poll_once().await {
                step
            } else {
                self.sink.idle()?;
                self.wait(&mut seconds).await?
            };
            match step {
                None => return Ok(()),
                Some(Ok(step)) => self.sink.write(step).await?,
                Some(Err(error)) => self.react(error).await?,
            }
            self.show();
        }
    }

    /// The next step, if it is ready.
    async fn poll_once(&mut self) -> Poll<Option<ListResult<Step>>> {
        poll_fn(|cx| Poll::Ready(self.source.poll_next_unpin(cx))).await
    }

    /// The next step, unless a signal comes first, or the reader closes the output.
    async fn wait(&mut self, seconds: &mut Interval) -> Result<Option<ListResult<Step>>, StopReason> {
        loop {
            tokio::select! {
                biased;
                code = self.shutdown.wait() => return Err(StopReason::Signal(code)),
                step = self.source.next() => return Ok(step),
                () = self.sink.closed() => return Err(closed()),
                _ = seconds.tick() => self.tick()?,
            }
        }
    }

    async fn react(&mut self, error: Error) -> Result<(), StopReason> {
        match self.source.react(&error) {
            Reaction::Stop => return Err(StopReason::Service(error)),
            Reaction::StartOver => messages::note(&self.source.start_over(&error), Map::new()),
            Reaction::SetAside => {
                let Some((slice, code)) = self.source.set_aside(&error) else {
                    return Err(StopReason::Service(error));
                };
                self.sink.set_aside(&slice).await?;
                warn_of_slice(&slice);
                self.failed.push((slice, code));
            }
            Reaction::BackOff => {
                let pause = self.pauses.next(self.source.stats().pages, error.retry_after());
                warn_of_pause(&error, pause);
                self.pause(pause).await?;
                self.source.resume();
            }
        }
        Ok(())
    }

    async fn pause(&mut self, pause: Duration) -> Result<(), StopReason> {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            let tick = end.min(Instant::now() + SECOND);
            tokio::select! {
                biased;
                code = self.shutdown.wait() => return Err(StopReason::Signal(code)),
                () = self.sink.closed() => return Err(closed()),
                () = tokio::time::sleep_until(tick) => self.tick()?,
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), StopReason> {
        self.sink.tick()?;
        self.show();
        Ok(())
    }

    fn show(&mut self) {
        let duplicates = self.sink.totals().duplicates;
        self.source.show(&mut self.progress);
        let (source, connected) = (&self.source, self.connected);
        self.metrics.update(|| RunSnapshot {
            duplicates,
            responses: connected.client.responses(),
            token_expiry: connected.origin.expires_at(),
            ..source.reading()
        });
    }
}

/// The reason why a run is neither complete nor failed.
fn why_not(reason: &StopReason) -> Option<&'static str> {
    match reason {
        StopReason::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Some("the reader of the output has closed it")
        }
        _ => None,
    }
}

/// The error of a write to a closed pipe.
fn closed() -> StopReason {
    StopReason::Output(io::ErrorKind::BrokenPipe.into())
}

pub(crate) fn warn_of_pause(error: &Error, pause: Duration) {
    messages::warning(
        &format!("{}; trying again in {}", describe(error), human::span(pause)),
        Map::from_iter([("wait_s".to_owned(), pause.as_secs().into())]),
    );
}

/// Warns that a slice isn't exported.
pub(crate) fn warn_of_slice(slice: &FailedSlice) {
    let (start, end) = (time(slice.start), time(slice.end));
    let fields = [("start", start.as_str()), ("end", &end), ("error", &slice.message)];
    messages::warning(
        &format!("the slice from {start} to {end} can't be read: {}", slice.message),
        fields.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect(),
    );
}
