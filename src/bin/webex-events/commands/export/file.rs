//! One walk into one file, which a later run can go on with, or into a stream.

use std::{fs::File, path::PathBuf};

use chrono::Utc;
use serde_json::Map;

use crate::{
    archive::{
        Archive, ArchiveKind, ArchiveMeta, ArchiveWarning, Checksum, Destination, FileEntry, Layout,
        WriteOptions,
    },
    cli::values::When,
    commands::export::{Job, Service},
    error::Failure,
    run::{
        outcome::{self, Outcome},
        request::{self, Asked, Range, must_fit},
        sink::Sink,
        summary::Report,
        tally::Tally,
        walk::{Halt, Walk},
    },
    ui::{logging, messages, progress::Progress},
};

/// So many ids of a file are remembered for certain, so that none is written twice.
const MEMORY: usize = 200_000;

pub(super) async fn to_stream(job: &mut Job, file: File, name: String) -> Result<Outcome, Failure> {
    if job.export.commits.compress.is_some() {
        return Err(Failure::usage(format!("--compress needs a file or folder, and {name} is neither")));
    }
    let asked = request::asked(&job.export);
    let service = Service::start(&job.export, Utc::now()).await?;
    let range = range(job, &service).await?;
    Ok(walk(job, &service, asked, range, Sink::stream(file, name), None).await)
}

pub(super) async fn to_file(job: &mut Job, path: PathBuf) -> Result<Outcome, Failure> {
    let asked = request::asked(&job.export);
    let codec = job.export.commits.compress.unwrap_or_default();
    let meta = request::meta(ArchiveKind::File, &asked, None, codec);
    let found = Destination::claim(Layout::File(path), ArchiveKind::File)?;
    if let Some(state) = found.ledger() {
        must_fit(found.layout().root(), &state.meta, &meta)?;
    }
    if found.warning() == Some(ArchiveWarning::OwnerNotKept) {
        messages::warning(
            &format!(
                "owner or group of {} can't be kept: the new file belongs to you, and fewer can read it",
                found.layout().display()
            ),
            Map::new(),
        );
    }
    let begun = found.ledger().map_or_else(Utc::now, |state| state.meta.begun);
    let service = Service::start(&job.export, begun).await?;
    let range = match found.ledger() {
        Some(state) => Range { from: state.meta.from, to: state.meta.to },
        None => range(job, &service).await?,
    };
    let meta = ArchiveMeta { from: range.from, to: range.to, begun, ..meta };
    // The summary has it.
    let checksum = if job.export.summary.is_some() { Checksum::Sha256 } else { Checksum::Crc32 };
    let store = found.open(meta, WriteOptions { codec, checksum, memory: Some(MEMORY) })?;
    let earlier = store.complete().first().or(store.open_files().next()).cloned();
    let entry = FileEntry::new(store.layout().file_name(), None);
    let sink = Sink::file(store, entry, job.export.commits.commit_every);
    job.stop.be_patient();
    Ok(walk(job, &service, asked, range, sink, earlier).await)
}

/// What the words mean now. A relative end goes by the service's clock.
async fn range(job: &mut Job, service: &Service) -> Result<Range, Failure> {
    let export = &job.export;
    if export.from.is_none() && !service.is_sandbox {
        messages::note("note: without --from the service chooses where the list begins", Map::new());
    }
    let now = match export.to {
        Some(When::Ago(_)) => {
            request::service_now(&service.connected, &export.filters.query(), &mut job.stop).await?
        }
        _ => Utc::now(),
    };
    Range::at(now, export.from, export.to)
}

/// Walks to the end, from where an earlier run has got to, and tells how it went.
async fn walk(
    job: &mut Job,
    service: &Service,
    asked: Asked,
    range: Range,
    mut sink: Sink,
    earlier: Option<FileEntry>,
) -> Outcome {
    let export = &job.export;
    let taken = earlier.as_ref().map_or(0, |entry| entry.events - entry.ahead.min(entry.events));
    let taken = usize::try_from(taken).unwrap_or(usize::MAX);
    // With its last page behind it, all that is left is to give it its name.
    let is_read = earlier.as_ref().is_some_and(|entry| entry.pages > 0 && entry.cursor.is_none());
    let is_enough = export.take.is_some_and(|take| taken >= take && earlier.is_some());
    let mut progress =
        Progress::start(job.format, sink.is_stdout()).watched(&service.metrics, &service.connected);
    let mut tally = Tally { is_complete: is_read, ..Tally::default() };
    let ended = if is_read || is_enough {
        Ok(())
    } else {
        let walk = Walk {
            client: &service.connected.client,
            filters: export.filters.query(),
            range,
            is_relative: matches!(export.from, Some(When::Ago(_))) && earlier.is_none(),
            cursor: earlier.and_then(|entry| entry.cursor),
            take: export.take,
            taken,
            prefetch: export.prefetch.into(),
        };
        let walked = walk.run(&mut sink, &mut progress, &mut job.stop).await;
        (tally.stats, tally.is_complete) = (walked.stats, walked.is_whole);
        walked.result
    };
    logging::stop();
    progress.end();
    let written = sink.end(ended.is_ok()).await;
    let ended = match (ended, written) {
        (Ok(()) | Err(Halt::Broken), Err(error)) => Err(Halt::Output(error)),
        // Whatever else went wrong, what is in the file isn't what was said.
        (Err(_), Err(error)) if sink.can_start_over() => Err(Halt::Output(error)),
        (ended, _) => ended,
    };
    tally.took = progress.elapsed();
    tally.totals = sink.totals();
    (tally.name, tally.part_name) = (sink.name(), sink.part_name());
    tally.malformed_name = sink.malformed_name();
    let is_done = ended.is_ok();
    let result = match ended {
        Ok(()) => {
            tally.sum_up();
            Ok(())
        }
        Err(halt) => outcome::failure(halt, &tally, sink.can_start_over()),
    };
    let files = sink.store().map(Archive::files).unwrap_or_default();
    let report = Report {
        asked,
        range: sink.store().map_or(range, |store| Range { from: store.meta().from, to: store.meta().to }),
        output: tally.name,
        is_complete: is_done && tally.is_complete,
        totals: tally.totals,
        stats: tally.stats,
        files,
    };
    Outcome { report, result }
}
