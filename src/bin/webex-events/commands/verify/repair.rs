//! `--repair`: ranges whose files are missing, damaged, or lack events are read again.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Map;
use webex_events::Event;

use super::{
    files::FolderCheck,
    service::{self, MissingRange},
};
use crate::{
    archive::{
        ArchiveKind, ArchiveMeta, Checksum, Destination, FileEntry, Layout, Ledger, Reread, WriteOptions,
    },
    cli::{VerifyArgs, Watch},
    commands::Context,
    error::{AGAIN, Code, Failure},
    metrics::Metrics,
    run::{
        driver::{Driven, Driver},
        names,
        plan::SlicePlan,
        positions::Positions,
        range::{Range, hour},
        sink::{ArchiveSink, Sink},
        slices,
        source::SliceSource,
        summary::RunSummary,
    },
    ui::{eta::Covered, human::counted, messages},
};

/// The interval between commits.
const COMMIT_EVERY: Duration = Duration::from_secs(2);

/// Checks the files of an export, and lets its next run read those again that are missing or damaged.
pub(crate) fn damaged(destination: &mut Destination) -> Result<(), Failure> {
    mark_damaged(destination, &mut FolderCheck::default())
}

/// Reads missing and damaged files again, and those whose repair was interrupted.
pub(super) async fn damaged_files(
    options: &VerifyArgs,
    context: &mut Context,
    layout: &Layout,
    kind: ArchiveKind,
    check: &mut FolderCheck,
) -> Result<(), Failure> {
    let mut destination = Destination::claim(layout.clone(), kind)?;
    mark_damaged(&mut destination, check)?;
    Box::pin(read(options, context, destination)).await
}

/// Adds missing events to files, each of which is replaced by one with the events of both. Files that lack too many are
/// read again.
///
/// The service may list an event by the time at which it was stored. Then the list of a slice lacks those that were
/// stored long after the slice, and the comparison, which lists longer ranges, has them.
pub(super) async fn missing_events(
    options: &VerifyArgs,
    context: &mut Context,
    layout: &Layout,
    kind: ArchiveKind,
    missing: Vec<MissingRange>,
) -> Result<(), Failure> {
    let mut destination = Destination::claim(layout.clone(), kind)?;
    let Some(ledger) = destination.ledger() else { return Ok(()) };
    let by_name: HashMap<_, _> = ledger.files.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    let (mut files, mut added) = (Vec::new(), Vec::new());
    for range in missing {
        let old = range.name.as_ref().map(|name| by_name.get(name.as_str()).copied());
        let new = match (old, hour(range.start)) {
            (Some(Some(old)), _) if old.is_complete() => again(old),
            (None, Some(start)) => an_hour(start, ledger),
            // Another process has changed it since the comparison.
            _ => continue,
        };
        let old = old.flatten();
        if old.is_none() && by_name.contains_key(new.name.as_str()) {
            // It is open, and read anyway.
            continue;
        }
        added.extend(range.events.map(|events| (new.clone(), events)));
        files.push(Reread { old: old.cloned(), new: Some(new), is_sound: true, is_kept: true });
    }
    let (meta, options_of_files) = (ledger.meta.clone(), write_options(ledger));
    destination.reread(&files, |_| ())?;
    note(files.len());
    let mut archive = destination.open(meta, options_of_files)?;
    let written = added.into_iter().try_for_each(|(file, events)| {
        archive.add(&file, events.into_iter().map(Event::from_json), None)?;
        archive.finish(&file)
    });
    let written = written.and_then(|()| archive.end());
    written.map_err(|error| Failure::unwritable(&layout.display(), &error, AGAIN))?;
    drop(archive);
    Box::pin(read(options, context, Destination::claim(layout.clone(), kind)?)).await
}

/// Lets the next run read the files again in which a problem was found.
fn mark_damaged(destination: &mut Destination, check: &mut FolderCheck) -> Result<(), Failure> {
    let restored = destination.take_back()?;
    if restored > 0 {
        messages::note(&format!("{} restored from a copy", counted(restored, "file")), Map::new());
    }
    let Some(ledger) = destination.ledger() else { return Ok(()) };
    check.update(destination.layout(), ledger);
    let mut files = Vec::new();
    // A follower reads the hours that aren't over by itself, from an earlier position.
    let mut rewind: Option<DateTime<Utc>> = None;
    for (old, problems) in check.damaged() {
        for text in problems {
            messages::warning(text, Map::new());
        }
        let is_current =
            ledger.meta.kind == ArchiveKind::Follow && !old.is_complete() && old.replaces.is_none();
        if is_current {
            rewind = rewind.into_iter().chain(old.start).min();
        }
        let new = (!is_current).then(|| again(old));
        files.push(Reread { old: Some(old.clone()), new, is_sound: false, is_kept: true });
    }
    if files.is_empty() {
        return Ok(());
    }
    let start = rewind.map(|start| ledger.meta.from.map_or(start, |from| start.max(from)));
    let stored = start.zip(ledger.checkpoint.as_ref());
    let rewound = stored.map(|(start, stored)| {
        let positions = Positions::read(stored, ledger.meta.request.list_count())?;
        Ok::<_, serde_json::Error>(positions.rewound(start).stored())
    });
    let rewound = rewound.transpose().map_err(|error| {
        let path = destination.layout().ledger_path();
        Failure::new(Code::Output, format!("the checkpoint in {} can't be read: {error}", path.display()))
    })?;
    destination.reread(&files, |ledger| {
        if rewound.is_some() {
            ledger.checkpoint = rewound;
        }
    })?;
    note(files.len());
    if rewind.is_some() {
        messages::note("the hours that aren't over are read again by the next run of follow", Map::new());
    }
    Ok(())
}

fn note(files: usize) {
    let text =
        format!("reading {} again; what is replaced is kept as *.replaced-N", counted(files as u64, "file"));
    messages::note(&text, Map::new());
}

/// The empty entry for the range of a file.
fn again(old: &FileEntry) -> FileEntry {
    FileEntry::new(old.name.clone(), old.start.zip(old.end))
}

/// The entry for an hour of a follower.
fn an_hour(start: DateTime<Utc>, ledger: &Ledger) -> FileEntry {
    names::entry(start, start + service::HOUR, ledger.meta.compress)
}

fn write_options(ledger: &Ledger) -> WriteOptions {
    WriteOptions { codec: ledger.meta.compress, checksum: Checksum::Sha256, memory: None }
}

/// Reads the ranges that are to be read again.
async fn read(options: &VerifyArgs, context: &mut Context, destination: Destination) -> Result<(), Failure> {
    let Some(ledger) = destination.ledger().cloned() else { return Ok(()) };
    let again: Vec<_> = ledger.files.iter().filter(|entry| entry.replaces.is_some()).collect();
    let (Some(first), Some(end)) = (
        again.iter().filter_map(|entry| entry.start).min(),
        again.iter().filter_map(|entry| entry.end).max(),
    ) else {
        return Ok(());
    };
    let starts: HashSet<_> = again.iter().filter_map(|entry| entry.start).collect();
    let (connected, _sandbox) =
        service::connect(options, destination.layout(), &ledger, &mut context.renewal).await?;
    let meta = ledger.meta.clone();
    // An export has its own slices, so that each file keeps its range. A follower can have begun within an hour.
    let (from, to, begun) = match meta.kind {
        ArchiveKind::Follow => (Some(first), Some(end), meta.from),
        _ => (meta.from, meta.to, None),
    };
    let slicing = meta.slicing.map(|slicing| slices::with_margin(slicing, service::MARGIN));
    let ranges = ArchiveMeta { from, to, slicing, ..meta.clone() };
    let slices = slices::of_lists(&ranges, service::lists(&meta)?)?;
    let (codec, range) = (meta.compress, Range::of_meta(&ranges));
    let archive = destination.open(meta, write_options(&ledger))?;
    let plan = SlicePlan::new(slices, &archive).only(&starts).from(begun);
    let (slices, done) = plan.count();
    context.shutdown.allow_slow();
    let metrics = Metrics::start(&Watch::default()).await?;
    let covered = Covered::new(slices, done, range.from.zip(range.to));
    let source = SliceSource::new(connected.client.clone(), options.concurrency, plan, covered, true);
    let sink = Sink::Archive(Box::new(ArchiveSink::new(archive, codec, COMMIT_EVERY)));
    let driver = Driver::new(source, sink, &mut context.shutdown, &metrics, &connected);
    let Driven { ended, summary, .. } = driver.run().await;
    if ended.is_ok() && summary.failed.is_empty() {
        return Ok(());
    }
    let complete = summary.files.iter().filter(|file| file.is_complete()).count();
    RunSummary { slices: Some((complete, slices)), ..summary }.conclude(ended)
}
