//! Files against the service.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use webex_events::{Checkpoint, Client, Error, ListEvents, Page, Slice, SliceItem, sandbox::Sandbox};

use super::{
    files::{self, FolderCheck},
    problem,
    ranges::{TimeSpan, find, runs},
    warning,
};
use crate::{
    archive::{ArchiveKind, ArchiveMeta, FileEntry, Layout, Ledger},
    cli::{self, values::time},
    commands::{Context, sandbox},
    error::{Code, Failure, reason},
    run::{
        range::{Range, hour},
        request,
    },
    service::{self, Renewal},
    ui::shutdown::Shutdown,
};

const HOUR: TimeDelta = TimeDelta::hours(1);
/// A list begins this long before its files, as the slices of an export do.
const MARGIN: TimeDelta = TimeDelta::seconds(60);

/// What a comparison found.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) problems: u64,
    /// The exit codes of files that the service couldn't list.
    pub(super) not_listed: Vec<Code>,
}

/// Lists the ranges of all files again, and compares ids both ways.
pub(super) async fn compare(
    options: &cli::Verify,
    context: &mut Context,
    place: &Layout,
    state: &Ledger,
    check: &mut FolderCheck,
) -> Result<Compared, Failure> {
    let (client, _sandbox) = client(options, place, state, &mut context.renewal).await?;
    let bounds = Range::at(Utc::now(), options.from, options.to)?;
    let mut comparison = Comparison::new(state, bounds, place, check)?;
    let mut ranges = comparison.all();
    // First each run of adjacent files as one range, because a list that has the same seams as the export
    // would lack the same events. Then the files of the runs that can't be listed, each by itself.
    while !ranges.is_empty() {
        ranges = comparison.list(&client, options, &mut context.shutdown, ranges).await?;
    }
    Ok(comparison.conclude(place, state))
}

/// A range that a file is for, as far as it is to be compared.
#[derive(Debug)]
struct Target<'a> {
    span: TimeSpan,
    /// None for an hour in which a follower had no events.
    entry: Option<&'a FileEntry>,
    /// The file, or the range.
    name: String,
    result: Listing,
}

#[derive(Debug, PartialEq, Eq)]
enum Listing {
    Pending,
    Listed,
    Failed(Failure),
}

struct Comparison<'a> {
    /// Oldest first.
    targets: Vec<Target<'a>>,
    spans: Vec<TimeSpan>,
    query: ListEvents,
    /// No list begins before.
    earliest: Option<DateTime<Utc>>,
    /// Events that no file has, by id, with the instant and the index of the file that they belong to.
    missing: BTreeMap<String, (DateTime<Utc>, usize)>,
    check: &'a mut FolderCheck,
}

impl<'a> Comparison<'a> {
    fn new(
        state: &'a Ledger,
        bounds: Range,
        place: &Layout,
        check: &'a mut FolderCheck,
    ) -> Result<Self, Failure> {
        let about = &state.meta;
        // A follower that began within an hour left out what came before.
        let from = bounds.from.into_iter().chain(about.from).max();
        let mut targets = Vec::new();
        for (span, entry) in spans(state) {
            let Some(span) = span.within(from, bounds.to) else { continue };
            // Files with a problem are reported already.
            if entry.is_some_and(|entry| !check.file(&entry.name).is_some_and(files::FileCheck::is_sound)) {
                continue;
            }
            let name = match entry {
                Some(entry) => place.content_path(entry).display().to_string(),
                None => format!("{} to {}", time(span.start), time(span.end)),
            };
            targets.push(Target { span, entry, name, result: Listing::Pending });
        }
        let spans = targets.iter().map(|target| target.span).collect();
        let query = filters(about)?;
        Ok(Self { targets, spans, query, earliest: about.from, missing: BTreeMap::new(), check })
    }

    fn all(&self) -> Vec<std::ops::Range<usize>> {
        runs(&self.spans)
    }

    /// Lists these ranges of files. Returns the files that remain to be listed by themselves.
    async fn list(
        &mut self,
        client: &Client,
        options: &cli::Verify,
        shutdown: &mut Shutdown,
        ranges: Vec<std::ops::Range<usize>>,
    ) -> Result<Vec<std::ops::Range<usize>>, Failure> {
        let mut by_slice = HashMap::new();
        for range in ranges {
            by_slice.extend(self.slice(&range)?.map(|slice| (slice, range)));
        }
        let mut slices: Vec<_> = by_slice.keys().cloned().collect();
        slices.sort_by_key(Slice::start);
        let mut stream = client.list_slices(slices, options.concurrency);
        let mut remaining = Vec::new();
        loop {
            let item = tokio::select! {
                biased;
                code = shutdown.wait() => return Err(Failure::new(code, "stopped before everything was compared")),
                item = stream.next() => item,
            };
            match item {
                None => return Ok(remaining),
                Some(Ok(SliceItem::Page { page, .. })) => self.page(&page),
                Some(Ok(SliceItem::Closed { slice, .. })) => {
                    let range = by_slice.get(&slice).cloned().unwrap_or_default();
                    self.set(range, || Listing::Listed);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    let failure = Failure::from(&error);
                    if stops_everything(&error, stream.stats().pages) {
                        return Err(failure);
                    }
                    let range = stream.skip_failed().and_then(|slice| by_slice.get(&slice).cloned());
                    let range = range.unwrap_or_default();
                    if range.len() > 1 {
                        remaining.extend(range.map(|index| index..index + 1));
                    } else {
                        self.set(range, || Listing::Failed(Failure::new(failure.code, &failure.message)));
                    }
                }
            }
        }
    }

    /// One slice over all of these files. Its own range begins earlier, by the margin: events that lie before
    /// the files are passed over.
    fn slice(&self, range: &std::ops::Range<usize>) -> Result<Option<Slice>, Failure> {
        let (Some(first), Some(last)) = (self.spans.get(range.start), self.spans.get(range.end - 1)) else {
            return Ok(None);
        };
        let start = first.start.checked_sub_signed(MARGIN).unwrap_or(first.start);
        let start = self.earliest.map_or(start, |earliest| start.max(earliest).min(first.start));
        let query = self.query.clone().from(start).to(last.end);
        let slices = query.slices(Duration::MAX)?;
        Ok(slices.aligned_to(start).next())
    }

    fn page(&mut self, page: &Page) {
        for event in page.items.iter().flatten() {
            let Some(index) = find(&self.spans, event.created()) else { continue };
            if !self.check.ids.list(event.id()) {
                self.missing.insert(event.id().to_owned(), (event.created(), index));
            }
        }
    }

    fn set(&mut self, range: std::ops::Range<usize>, result: impl Fn() -> Listing) {
        for target in self.targets.get_mut(range).into_iter().flatten() {
            target.result = result();
        }
    }

    /// Reports everything that differs, and what couldn't be compared.
    fn conclude(mut self, place: &Layout, state: &Ledger) -> Compared {
        let mut compared = Compared::default();
        let missing = std::mem::take(&mut self.missing);
        for (id, (created, index)) in &missing {
            if let Some(target) = self.targets.get(*index).filter(|target| target.result == Listing::Listed) {
                compared.problems += 1;
                problem(&format!(
                    "{}: the service has an event that the file lacks: {id}, created at {}",
                    target.name,
                    time(*created)
                ));
            }
        }
        for target in &self.targets {
            match &target.result {
                Listing::Listed => match self.gone(place, state, target) {
                    Ok(ids) => {
                        compared.problems += ids.len() as u64;
                        for id in ids {
                            problem(&format!(
                                "{}: the service doesn't give an event any more that the file has: {id}",
                                target.name
                            ));
                        }
                    }
                    Err(error) => {
                        compared.problems += 1;
                        problem(&format!("{}: {}", target.name, reason(&error)));
                    }
                },
                Listing::Failed(failure) => {
                    compared.not_listed.push(failure.code);
                    warning(&format!("{}: not compared: {}", target.name, failure.message));
                }
                Listing::Pending => {}
            }
        }
        compared
    }

    /// The ids in a file that the service didn't list, sorted.
    fn gone(&self, place: &Layout, state: &Ledger, target: &Target<'_>) -> std::io::Result<Vec<String>> {
        let Some(entry) = target.entry else { return Ok(Vec::new()) };
        let listed = self.check.file(&entry.name).map_or(0, |file| self.check.ids.listed_of(file.number));
        if listed == entry.events {
            return Ok(Vec::new());
        }
        let mut gone = Vec::new();
        files::each_event(place, entry, state.meta.compress, |event| {
            if target.span.contains(event.created()) && !self.check.ids.is_listed(event.id()) {
                gone.push(event.id().to_owned());
            }
        })?;
        gone.sort();
        Ok(gone)
    }
}

/// Whether an error concerns every other request too: a refused token, and a 403 to the very first request
/// unless it is about its range alone.
fn stops_everything(error: &Error, pages: u64) -> bool {
    let is_forbidden = error.is_forbidden() && !error.is_beyond_retention();
    error.is_auth() || matches!(error, Error::Config(_)) || (pages == 0 && is_forbidden)
}

/// The ranges that files are for: the complete slices of an export, and the hours that a follower is done with,
/// even those without a file.
fn spans(state: &Ledger) -> Vec<(TimeSpan, Option<&FileEntry>)> {
    let whole = state.files.iter().filter(|entry| entry.is_complete());
    let mut files: Vec<_> = whole.filter_map(|entry| Some((files::span(entry)?, Some(entry)))).collect();
    files.sort_by_key(|(span, _)| span.start);
    if state.meta.kind == ArchiveKind::Export {
        return files;
    }
    let by_start: HashMap<_, _> = files.into_iter().map(|(span, entry)| (span.start, entry)).collect();
    let settled = || {
        let checkpoint = serde_json::from_value::<Checkpoint>(state.checkpoint.clone()?).ok()?;
        hour(checkpoint.settled())
    };
    let (Some(mut start), Some(end)) = (state.meta.from.and_then(hour), settled()) else {
        return Vec::new();
    };
    let mut hours = Vec::new();
    while start < end {
        hours.push((TimeSpan { start, end: start + HOUR }, by_start.get(&start).copied().flatten()));
        start += HOUR;
    }
    hours
}

/// The filters of the export or the follower.
fn filters(about: &ArchiveMeta) -> Result<ListEvents, Failure> {
    about.request.query().map_err(|error| {
        Failure::new(Code::Output, format!("the request in the ledger can't be read: {error}"))
    })
}

/// A client of the service that the files are from.
async fn client(
    options: &cli::Verify,
    place: &Layout,
    state: &Ledger,
    renewal: &mut Renewal,
) -> Result<(Client, Option<Sandbox>), Failure> {
    let was = &state.meta.request;
    if let Some(events) = was.sandbox.and_then(|events| u32::try_from(events).ok()) {
        let sandbox = sandbox::plain(events, state.meta.begun).await?;
        let client = service::sandbox(&sandbox, &options.connection)?.client;
        return Ok((client, Some(sandbox)));
    }
    if was.service != request::service(&options.connection) {
        let name = was.service.clone().unwrap_or_else(|| "the default".to_owned());
        return Err(Failure::usage(format!(
            "{} was exported from another service ({name}): give its --base-url",
            place.display()
        )));
    }
    Ok((service::connect(&options.connection, renewal)?.client, None))
}
