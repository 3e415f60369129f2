//! `export`: a list of events, written as NDJSON.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Map;
use webex_events::{Stats, sandbox::Sandbox};

use crate::{
    archive::{
        Archive, ArchiveKind, ArchiveMeta, ArchiveWarning, Checksum, Codec, Destination, FileEntry, Layout,
        ListProgress, WriteOptions,
    },
    cli::{
        ExportArgs,
        values::{TimeArg, time},
    },
    commands::{Context, sandbox, verify},
    error::{Code, Failure},
    metrics::Metrics,
    run::{
        driver::{self, Driven, Driver},
        extend::{self, Extension},
        output::Output,
        plan::SlicePlan,
        range::{self, Range, seconds},
        request::{self, must_fit},
        roles,
        sink::{ArchiveSink, Sink, StreamSink},
        slices,
        source::{ListRequest, ListSource, SliceSource},
        stop_reason::StopReason,
        summary::RunSummary,
    },
    service::{self, Connected},
    ui::{eta::Covered, human::counted, messages},
};

const SLICE: Duration = Duration::from_secs(6 * 3600);
/// The number of the last ids of a file that are remembered at least, so that no event is written twice.
const MEMORY: usize = 200_000;

/// The summary of a run that has ended, and its failure.
type Outcome = Result<(RunSummary, Result<(), Failure>), Failure>;

pub(crate) async fn run(export: &ExportArgs, context: &mut Context) -> Result<(), Failure> {
    // Refuse an impossible range before anything is created.
    Range::at(Utc::now(), export.from, export.to)?;
    let started = Utc::now();
    let is_range = export.from.is_some() || export.extend || export.repair;
    let output = Output::of(&export.output, export.slice.is_some(), is_range, &mut context.shutdown).await?;
    roles::check(&output, &export.connection, export.summary.as_deref(), None)?;
    if !matches!(output, Output::Folder(_)) && (export.extend || export.repair) {
        let option = if export.extend { "--extend" } else { "--repair" };
        return Err(Failure::usage(format!(
            "{option} needs a folder: give one with -o, with a / at its end if it is new"
        )));
    }
    let (summary, result) = match output {
        Output::Stream(stream, name) => to_stream(export, context, stream, name).await?,
        Output::File(path) => to_file(export, context, path).await?,
        Output::Folder(path) => to_folder(export, context, path).await?,
    };
    let written = summary.write(export.summary.as_deref(), started, &result);
    result.and(written)
}

async fn to_stream(export: &ExportArgs, context: &mut Context, file: File, name: String) -> Outcome {
    if export.commits.compress.is_some() {
        return Err(Failure::usage(format!("--compress needs a file or folder, and {name} is neither")));
    }
    let meta = request::of_export(export, ArchiveKind::File, None);
    let mut service = Service::start(export, context, Utc::now()).await?;
    let range = list_range(export, context, &mut service).await?;
    let sink = Sink::Stream(Box::new(StreamSink::new(file, name)));
    Ok(read_lists(export, context, &service, &meta, range, sink, None).await)
}

async fn to_file(export: &ExportArgs, context: &mut Context, path: PathBuf) -> Outcome {
    let meta = ArchiveMeta {
        compress: compression(&export.output, export.commits.compress)?,
        ..request::of_export(export, ArchiveKind::File, None)
    };
    let destination = Destination::claim(Layout::File(path), ArchiveKind::File)?;
    if let Some(ledger) = destination.ledger() {
        must_fit(destination.layout().root(), &ledger.meta, &meta)?;
    }
    if destination.warning() == Some(ArchiveWarning::OwnerNotKept) {
        messages::warning(
            &format!(
                "owner or group of {} can't be kept: the new file belongs to you, and fewer users can read it",
                destination.layout().display()
            ),
            Map::new(),
        );
    }
    let begun = destination.ledger().map_or_else(Utc::now, |ledger| ledger.meta.begun);
    let mut service = Service::start(export, context, begun).await?;
    let range = if let Some(ledger) = destination.ledger() {
        ListRange { range: Range::of_meta(&ledger.meta), uses_machine_time: false }
    } else {
        let ListRange { mut range, uses_machine_time } = list_range(export, context, &mut service).await?;
        if export.to.is_some() && !range.is_long_past(Utc::now()) {
            range = range.must_be_past(service.time(export, context).await?)?;
        }
        ListRange { range, uses_machine_time }
    };
    let codec = meta.compress;
    let meta = ArchiveMeta { from: range.range.from, to: range.range.to, begun, ..meta };
    // The summary contains the SHA-256.
    let checksum = if export.summary.is_some() { Checksum::Sha256 } else { Checksum::Crc32 };
    let archive = destination.open(meta.clone(), WriteOptions { codec, checksum, memory: Some(MEMORY) })?;
    let earlier = archive.complete().first().or(archive.open_files().next()).cloned();
    let sink = Sink::Archive(Box::new(ArchiveSink::new(archive, codec, export.commits.commit_every)));
    context.shutdown.allow_slow();
    Ok(read_lists(export, context, &service, &meta, range, sink, earlier).await)
}

/// The compression of a file, which its name can say.
fn compression(path: &Path, option: Option<Codec>) -> Result<Codec, Failure> {
    match (option, Codec::of_name(path)) {
        (Some(option), Some(named)) if option != named => Err(Failure::usage(format!(
            "the name of {} says {}, and --compress says {}; omit --compress, or choose a name with {}",
            path.display(),
            named.name(),
            option.name(),
            option.suffix()
        ))),
        (option, named) => Ok(option.or(named).unwrap_or_default()),
    }
}

/// The range of the lists of one output.
#[derive(Clone, Copy, Debug)]
struct ListRange {
    range: Range,
    /// True if its start is relative to this machine's time, so that it may have to be corrected.
    uses_machine_time: bool,
}

/// The range of the lists of one output. A relative end and a day are by the service's clock. Several lists have an end,
/// so that all of them have the same.
async fn list_range(
    export: &ExportArgs,
    context: &mut Context,
    service: &mut Service,
) -> Result<ListRange, Failure> {
    if export.from.is_none() && !service.is_sandbox {
        messages::note("note: without --from the service chooses where the list begins", Map::new());
    }
    let has_several = export.filters.lists().len() > 1;
    let is_by_service = (has_several && export.to.is_none())
        || matches!(export.from, Some(TimeArg::Midnight(_)))
        || matches!(export.to, Some(TimeArg::Ago(_) | TimeArg::Midnight(_)));
    let now = if is_by_service { service.time(export, context).await? } else { Utc::now() };
    let mut range = Range::at(now, export.from, export.to)?;
    if has_several && range.to.is_none() {
        range = Range { to: Some(range::past(now)), ..range }.must_be_past(now)?;
    }
    let uses_machine_time = matches!(export.from, Some(TimeArg::Ago(_))) && !is_by_service;
    Ok(ListRange { range, uses_machine_time })
}

/// Reads the lists of one output to their ends, from the position of an earlier run.
async fn read_lists(
    export: &ExportArgs,
    context: &mut Context,
    service: &Service,
    meta: &ArchiveMeta,
    ListRange { range, uses_machine_time }: ListRange,
    sink: Sink,
    earlier: Option<FileEntry>,
) -> (RunSummary, Result<(), Failure>) {
    let taken = earlier.as_ref().map_or(0, |entry| entry.events - entry.ahead.min(entry.events));
    let taken = usize::try_from(taken).unwrap_or(usize::MAX);
    let lists = export.filters.lists();
    let state = |list| earlier.as_ref().map_or(ListProgress::Unread, |entry| entry.list(list));
    let position =
        (0..lists.len()).map(|list| (list, state(list))).find(|(_, state)| *state != ListProgress::Whole);
    let is_read = position.is_none();
    let is_enough = export.take.is_some_and(|take| taken >= take && earlier.is_some());
    let request = ListRequest {
        client: service.connected.client.clone(),
        lists,
        range,
        is_relative: uses_machine_time && earlier.is_none(),
        take: export.take,
        taken,
        prefetch: export.prefetch.into(),
        is_file: matches!(sink, Sink::Archive(_)),
    };
    let source = match position {
        Some((list, ListProgress::Partial(cursor))) if !is_enough => {
            ListSource::new(request, list, Some(cursor))
        }
        Some((list, _)) if !is_enough => ListSource::new(request, list, None),
        _ => ListSource::read(request),
    };
    let driver = Driver::new(source, sink, &mut context.shutdown, &service.metrics, &service.connected);
    let Driven { source, sink, ended, mut summary } = driver.run().await;
    summary.range = sink.archive().map_or(range, |archive| Range::of_meta(archive.meta()));
    summary.options = request::options(meta);
    summary.is_complete &= is_read || (source.is_whole() && !is_enough);
    service.count_into(&mut summary.stats);
    let result = summary.conclude(ended);
    (summary, result)
}

async fn to_folder(export: &ExportArgs, context: &mut Context, path: PathBuf) -> Outcome {
    if export.from.is_none() {
        return Err(Failure::usage("an export into a folder needs --from"));
    }
    if export.take.is_some() {
        return Err(Failure::usage(
            "--take is for one file: an export into a folder covers a whole range; omit --take, or give a file with -o",
        ));
    }
    let mut slicing = slices::slicing(export.slice.unwrap_or(SLICE));
    if export.extend {
        slicing = slices::with_margin(slicing, export.settle);
    }
    let mut meta = request::of_export(export, ArchiveKind::Export, Some(slicing));
    let mut destination = Destination::claim(Layout::Folder(path), ArchiveKind::Export)?;
    if let Some(ledger) = destination.ledger() {
        if export.extend {
            // An extension replaces the end that the first command had.
            meta.request.to.clone_from(&ledger.meta.request.to);
        }
        if let Err(failure) = must_fit(destination.layout().root(), &ledger.meta, &meta)
            && !destination.forget_empty()
        {
            return Err(failure);
        }
    }
    if export.repair {
        verify::damaged(&mut destination)?;
    }
    let begun = destination.ledger().map_or_else(|| seconds(Utc::now()), |ledger| ledger.meta.begun);
    let mut service = Service::start(export, context, begun).await?;
    let now = if destination.ledger().is_none() || export.extend {
        Some(service.time(export, context).await?)
    } else {
        None
    };
    if let (Some(now), Some(ledger)) = (now, destination.ledger()) {
        let to = extend::end(range::past(now), export.settle);
        if let Some(Extension { meta, failed, files }) = Extension::of(ledger, to, export.settle)? {
            destination.reread(&files, |ledger| (ledger.meta, ledger.failed) = (meta, failed))?;
        }
    }
    let range = match (destination.ledger(), now) {
        (Some(ledger), _) => Range::of_meta(&ledger.meta),
        (None, now) => first_range(export, now.unwrap_or_else(Utc::now))?,
    };
    let stored = destination.ledger().map(|ledger| (ledger.meta.slicing, ledger.meta.waited_s));
    let waited_s = if export.extend { export.settle.as_secs() } else { 0 };
    let (slicing, waited_s) = stored.unwrap_or((meta.slicing, waited_s));
    let meta = ArchiveMeta { from: range.from, to: range.to, slicing, waited_s, begun, ..meta };
    // A range that can't be sliced is refused before anything is written.
    let slices = slices::of_lists(&meta, export.filters.lists())?;
    let options = WriteOptions { codec: meta.compress, checksum: Checksum::Sha256, memory: None };
    let archive = destination.open(meta, options)?;
    let plan = SlicePlan::new(slices, &archive);
    context.shutdown.allow_slow();
    Ok(read_slices(export, context, &service, archive, plan).await)
}

/// The range of the first run of an export into a folder, by the service's clock.
fn first_range(export: &ExportArgs, now: DateTime<Utc>) -> Result<Range, Failure> {
    let range = Range::at(now, export.from, export.to)?;
    if !export.extend {
        return Range { to: Some(range.to.unwrap_or(range::past(now))), ..range }.must_be_past(now);
    }
    let to = extend::end(range::past(now), export.settle);
    match range.from {
        Some(from) if from >= to => Err(Failure::usage(format!(
            "--from {} isn't before {}, the service's time less --settle; choose an earlier --from",
            time(from),
            time(to)
        ))),
        _ => Ok(Range { to: Some(to), ..range }),
    }
}

/// Reads and writes all slices that are left.
async fn read_slices(
    export: &ExportArgs,
    context: &mut Context,
    service: &Service,
    archive: Archive,
    plan: SlicePlan,
) -> (RunSummary, Result<(), Failure>) {
    let (slices, done) = plan.count();
    let was_complete = slices == done && archive.open_files().next().is_none();
    let (range, options) = (Range::of_meta(archive.meta()), request::options(archive.meta()));
    let before = archive.totals().events;
    let lost: Vec<_> = archive.failed().filter(|slice| slice.is_beyond_retention).cloned().collect();
    let covered = Covered::new(slices, done, range.from.zip(range.to));
    let client = service.connected.client.clone();
    let source = SliceSource::new(client, export.concurrency, plan, covered, service.spent.pages == 0);
    let codec = archive.meta().compress;
    let sink = Sink::Archive(Box::new(ArchiveSink::new(archive, codec, export.commits.commit_every)));
    let driver = Driver::new(source, sink, &mut context.shutdown, &service.metrics, &service.connected);
    let Driven { ended, mut summary, .. } = driver.run().await;
    for slice in lost {
        driver::warn_of_slice(&slice);
        summary.failed.push((slice, Code::Refused));
    }
    summary.is_complete &= summary.failed.is_empty();
    // A slice that has become longer can't be read, and its file is the old one.
    let is_read = |file: &&FileEntry| {
        file.is_complete() && !summary.failed.iter().any(|(slice, _)| Some(slice.start) == file.start)
    };
    let complete = summary.files.iter().filter(is_read).count();
    summary = RunSummary { options, range, was_complete, slices: Some((complete, slices)), ..summary };
    service.count_into(&mut summary.stats);
    if let (true, Some(to)) = (summary.is_complete, range.to) {
        note_end(export, to, summary.totals.events - before.min(summary.totals.events), was_complete);
    }
    let result = summary.conclude(ended);
    (summary, result)
}

/// Says up to which instant an export is complete, unless the command has just said so itself.
fn note_end(export: &ExportArgs, to: DateTime<Utc>, new: u64, was_complete: bool) {
    let (output, to) = (export.output.display(), time(to));
    let text = match (export.extend, was_complete, new) {
        (false, true, _) if export.to.is_none() => {
            format!("{output} ends at {to}; add --extend to export newer events")
        }
        (true, true, _) | (true, _, 0) => {
            format!("nothing new in {output}: it ends at {to}, and younger events are left to the next run")
        }
        (true, false, new) if !export.repair => {
            format!("{} new in {output}, which now ends at {to}", counted(new, "event"))
        }
        (true, ..) => format!("{output} now ends at {to}"),
        _ => return,
    };
    messages::note(&text, Map::new());
}

/// The service that events are exported from.
struct Service {
    connected: Connected,
    metrics: Metrics,
    is_sandbox: bool,
    /// Statistics of the requests for the service's time.
    spent: Stats,
    _sandbox: Option<Sandbox>,
}

impl Service {
    /// A sandbox has its last event at the instant `until`.
    async fn start(
        export: &ExportArgs,
        context: &mut Context,
        until: DateTime<Utc>,
    ) -> Result<Self, Failure> {
        let sandbox = match export.sandbox {
            Some(events) => Some(sandbox::plain(events, until).await?),
            None => None,
        };
        let connected = match &sandbox {
            Some(sandbox) => service::sandbox(sandbox, &export.connection)?,
            None => service::connect(&export.connection, &mut context.renewal)?,
        };
        let metrics = Metrics::start(&export.watch).await?;
        Ok(Self {
            connected,
            metrics,
            is_sandbox: sandbox.is_some(),
            spent: Stats::default(),
            _sandbox: sandbox,
        })
    }

    async fn time(&mut self, export: &ExportArgs, context: &mut Context) -> Result<DateTime<Utc>, Failure> {
        let filters = export.filters.lists().into_iter().next().unwrap_or_default();
        let client = &self.connected.client;
        let time = range::service_time(client, &filters, &mut context.shutdown, &mut self.spent);
        time.await.map_err(StopReason::at_start)
    }

    /// Adds the requests that were sent before the run. They yielded no page of the run.
    fn count_into(&self, stats: &mut Stats) {
        stats.requests += self.spent.requests;
        stats.retries += self.spent.retries;
        stats.waited += self.spent.waited;
        stats.bytes += self.spent.bytes;
    }
}
