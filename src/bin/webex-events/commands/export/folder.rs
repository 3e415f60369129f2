//! A file a slice, several slices at once, into a folder with a ledger.

use std::{path::PathBuf, time::Duration};

use chrono::{TimeDelta, Utc};
use serde_json::Map;
use webex_events::{Error, LinkErrorKind, SliceItem, SliceStream, Stats};

use crate::{
    archive::{
        Archive, ArchiveKind, ArchiveMeta, Checksum, Codec, Destination, FileEntry, Layout, Stage,
        WriteOptions,
    },
    cli::values::words,
    commands::export::{Job, Service},
    error::Failure,
    run::{
        names,
        next::next,
        outcome::{self, Outcome},
        plan::{self, Plan},
        request::{self, Asked, Range, must_fit, seconds},
        slices,
        summary::Report,
        tally::Tally,
        walk::Halt,
        writer::{Command, Piece, Writer},
    },
    ui::{eta::Covered, logging, messages, progress::Progress},
};

const SLICE: Duration = Duration::from_secs(6 * 3600);
/// How far behind the service's own time what is known of it can be.
const BEHIND: TimeDelta = TimeDelta::seconds(2);

pub(super) async fn to_folder(job: &mut Job, path: PathBuf) -> Result<Outcome, Failure> {
    let export = &job.export;
    if export.from.is_none() {
        return Err(Failure::usage("an export into a folder needs --from"));
    }
    if export.take.is_some() {
        return Err(Failure::usage("--take is for one file: an export into a folder is of a whole range"));
    }
    let length = export.slice.unwrap_or(SLICE);
    let mut asked = request::asked(export);
    asked.insert("--slice".to_owned(), words(length));
    let codec = export.commits.compress.unwrap_or_default();
    let meta = request::meta(ArchiveKind::Export, &asked, Some(slices::slicing(length)), codec);
    let mut found = Destination::claim(Layout::Folder(path), ArchiveKind::Export)?;
    if let Some(state) = found.ledger()
        && let Err(failure) = must_fit(found.layout().root(), &state.meta, &meta)
        && !found.forget_empty()
    {
        return Err(failure);
    }
    let begun = found.ledger().map_or_else(|| seconds(Utc::now()), |state| state.meta.begun);
    let service = Service::start(export, begun).await?;
    let range = match found.ledger() {
        Some(state) => Range { from: state.meta.from, to: state.meta.to },
        None => range(job, &service).await?,
    };
    let slicing = found.ledger().map_or(meta.slicing, |ledger| ledger.meta.slicing);
    let meta = ArchiveMeta { from: range.from, to: range.to, slicing, begun, ..meta };
    // A range that can't be sliced is refused before anything is written.
    let slices = slices::of(&meta, job.export.filters.query())?;
    let store = found.open(meta, WriteOptions { codec, checksum: Checksum::Sha256, memory: None })?;
    let plan = Plan::new(slices, &store);
    job.stop.be_patient();
    Ok(read(job, &service, asked, range, store, plan).await)
}

/// What the words mean now, by the service's clock.
async fn range(job: &mut Job, service: &Service) -> Result<Range, Failure> {
    let filters = job.export.filters.query();
    let now = request::service_now(&service.connected, &filters, &mut job.stop).await?;
    let range = Range::at(now, job.export.from, job.export.to)?;
    let range = Range { to: Some(range.to.unwrap_or(seconds(now))), ..range };
    if let (Some(from), Some(to)) = (range.from, range.to) {
        if to > now + BEHIND {
            return Err(Failure::usage(format!(
                "--to {to} lies in the future: for the service it is {}; leave --to out to export up to now",
                seconds(now)
            )));
        }
        if from >= to {
            return Err(Failure::usage(format!(
                "--from {from} isn't in the past: for the service it is {}; choose an earlier --from",
                seconds(now)
            )));
        }
    }
    Ok(range)
}

/// Reads and writes all slices that aren't closed, and tells how it went.
async fn read(
    job: &mut Job,
    service: &Service,
    asked: Asked,
    range: Range,
    store: Archive,
    plan: Plan,
) -> Outcome {
    let (slices, closed) = plan.count();
    let was_complete = slices == closed && store.open_files().next().is_none();
    let place = store.layout().clone();
    let read: Vec<_> = store.open_files().filter(|entry| plan::is_read(entry)).cloned().collect();
    let writer = Writer::start(store, job.export.commits.commit_every);
    let mut reading = Reading {
        codec: job.export.commits.compress.unwrap_or_default(),
        slices: service.connected.client.list_slices(Vec::new(), job.export.concurrency),
        stats: Stats::default(),
        covered: Covered::new(slices, closed, range.from.zip(range.to)),
        progress: Progress::start(job.format, false).watched(&service.metrics, &service.connected),
        plan,
        writer,
    };
    let ended = match reading.finish_read(read).await {
        Ok(()) => reading.run(job, service).await,
        Err(halt) => Err(halt),
    };
    logging::stop();
    reading.progress.end();
    let stats = reading.stats();
    let Reading { writer, progress, .. } = reading;
    let (store, written) = writer.end().await;
    let ended = written.map_err(Halt::Output).and(ended);
    let files = store.as_ref().map(Archive::files).unwrap_or_default();
    let closed = files.iter().filter(|file| file.stage == Stage::Complete).count();
    let name = place.display();
    let tally = Tally {
        totals: store.as_ref().map(Archive::totals).unwrap_or_default(),
        stats,
        took: progress.elapsed(),
        is_complete: ended.is_ok(),
        was_complete,
        files: Some((closed, slices)),
        malformed_name: place.path("*.malformed").display().to_string(),
        part_name: name.clone(),
        name,
    };
    let is_complete = ended.is_ok();
    let result = match ended {
        Ok(()) => {
            tally.sum_up();
            Ok(())
        }
        Err(halt) => outcome::failure(halt, &tally, true),
    };
    let report = Report { asked, range, output: tally.name, is_complete, totals: tally.totals, stats, files };
    Outcome { report, result }
}

struct Reading {
    codec: Codec,
    plan: Plan,
    slices: SliceStream,
    /// Of streams that were given up because a slice had to begin anew.
    stats: Stats,
    writer: Writer,
    covered: Covered,
    progress: Progress,
}

impl Reading {
    /// Gives files their names whose last page an earlier run has written.
    async fn finish_read(&mut self, read: Vec<FileEntry>) -> Result<(), Halt> {
        for entry in read {
            self.writer.send(Command::Finish(Box::new(entry))).await?;
        }
        Ok(())
    }

    async fn run(&mut self, job: &mut Job, service: &Service) -> Result<(), Halt> {
        let concurrency = job.export.concurrency;
        self.slices = service.connected.client.list_slices(self.plan.rest(), concurrency);
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        loop {
            let item = tokio::select! {
                biased;
                code = job.stop.wait() => return Err(Halt::Signal(code)),
                item = next(&mut self.slices) => item,
                _ = seconds.tick() => {
                    self.writer.tick()?;
                    self.tick();
                    continue;
                }
            };
            match item {
                None => return Ok(()),
                Some(Ok(item)) => self.item(item).await?,
                Some(Err(error)) => {
                    self.start_over(error)?;
                    self.slices = service.connected.client.list_slices(self.plan.rest(), concurrency);
                }
            }
            self.tick();
        }
    }

    async fn item(&mut self, item: SliceItem) -> Result<(), Halt> {
        match item {
            SliceItem::Page { slice, page } => {
                let anew = self.plan.page(&slice, &page);
                if let Some(span) = plan::span(&page.items) {
                    self.covered.page((slice.start(), slice.end()), span);
                }
                let file = names::entry(slice.start(), slice.end(), self.codec);
                let cursor = page.cursor().cloned();
                let piece = Piece { file, items: page.items, cursor, anew };
                self.writer.send(Command::Page(Box::new(piece))).await?;
            }
            SliceItem::Closed { slice, .. } => {
                self.plan.close(&slice);
                self.covered.close((slice.start(), slice.end()));
                let file = names::entry(slice.start(), slice.end(), self.codec);
                self.writer.send(Command::Finish(Box::new(file))).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets the slice that failed begin anew, if that helps: the service doesn't know its place any more.
    fn start_over(&mut self, error: Error) -> Result<(), Halt> {
        let Some(slice) = self.slices.failed() else { return Err(Halt::Service(error)) };
        let is_stale = match &error {
            Error::Cursor { .. } => true,
            // The cursor is of the same service at another port, or of a sandbox that is gone.
            Error::Link { kind: LinkErrorKind::CrossOrigin, .. } => !self.plan.has_page(slice),
            Error::Api(answer) => self.plan.has_page(slice) && matches!(answer.status(), 400 | 404 | 410),
            _ => false,
        };
        if !is_stale || !self.plan.begin_anew(slice) {
            return Err(Halt::Service(error));
        }
        messages::note(
            &format!(
                "note: the place in the slice from {} is gone ({error}): reading it anew",
                slice.start()
            ),
            Map::new(),
        );
        self.covered.forget((slice.start(), slice.end()));
        self.stats = self.stats();
        Ok(())
    }

    fn stats(&self) -> Stats {
        self.stats + self.slices.stats()
    }

    fn tick(&mut self) {
        let (stats, open) = (self.stats(), self.slices.open());
        self.progress.duplicates = self.writer.totals().duplicates;
        self.progress.slices(&stats, &mut self.covered, open);
    }
}
