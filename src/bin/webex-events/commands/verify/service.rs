//! Comparison of files with the service.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use webex_events::{Client, Error, ListEvents, Page, Slice, SliceItem, sandbox::Sandbox};

use super::{
    files::{self, FolderCheck},
    ranges::{TimeSpan, find, runs},
};
use crate::{
    archive::{ArchiveKind, ArchiveMeta, FileEntry, Layout, Ledger},
    cli::{self, values::time},
    commands::{Context, sandbox},
    error::{Code, Failure, reason},
    run::{
        positions::Positions,
        range::{Range, hour},
        request, slices,
    },
    service::{self, Connected, PendingRenewal},
    ui::shutdown::Shutdown,
};

pub(super) const HOUR: TimeDelta = TimeDelta::hours(1);
/// A list begins this long before its files and ends this long after them, at least, as the slices of an export do.
pub(super) const MARGIN: Duration = Duration::from_secs(900);

/// The number of bytes of events that are kept for a repair. Files that lack more are read again.
const ROOM: usize = 64 << 20;

/// The result of a comparison.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) problems: Vec<String>,
    /// The ranges in which the service has events that the files lack.
    pub(super) missing: Vec<MissingRange>,
    /// Files that the service couldn't list, with the exit code of the failure.
    pub(super) not_listed: Vec<(Code, String)>,
}

/// A range that lacks events.
#[derive(Debug)]
pub(super) struct MissingRange {
    /// The name of the file; `None` for an hour in which a follower had no events.
    pub(super) name: Option<String>,
    pub(super) start: DateTime<Utc>,
    /// The events; `None` if they are too many to be kept.
    pub(super) events: Option<Vec<String>>,
}

/// Lists the ranges of all files again, and compares ids both ways.
pub(super) async fn compare(
    options: &cli::VerifyArgs,
    context: &mut Context,
    layout: &Layout,
    state: &Ledger,
    check: &mut FolderCheck,
) -> Result<Compared, Failure> {
    let (connected, _sandbox) = connect(options, layout, state, &mut context.renewal).await?;
    let client = connected.client;
    let bounds = Range::at(Utc::now(), options.from, options.to)?;
    let room = if options.repair { ROOM } else { 0 };
    let mut comparison = Comparison::new(state, bounds, layout, check, room)?;
    let mut ranges = comparison.all();
    // First list each run of adjacent files as one range: a list with the same boundaries as the export could lack
    // the same events. Then list the files of the runs that failed, each separately.
    while !ranges.is_empty() {
        ranges = comparison.list(&client, options, &mut context.shutdown, ranges).await?;
    }
    Ok(comparison.conclude(layout, state))
}

/// The part of a file's range that is compared.
#[derive(Debug)]
struct Target<'a> {
    span: TimeSpan,
    /// `None` for an hour in which a follower had no events.
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
    /// The query of each list of the request.
    lists: Vec<ListEvents>,
    /// The earliest start of a list.
    earliest: Option<DateTime<Utc>>,
    /// The time by which a list begins before its files and ends after them.
    margin: TimeDelta,
    /// Events that no file has, by id, with the instant and the index of the file that they belong to.
    missing: BTreeMap<String, (DateTime<Utc>, usize)>,
    /// The texts of these events by the index of the file, for a repair.
    kept: BTreeMap<usize, Vec<String>>,
    /// The number of bytes of events that can still be kept.
    room: usize,
    check: &'a mut FolderCheck,
}

impl<'a> Comparison<'a> {
    fn new(
        state: &'a Ledger,
        bounds: Range,
        layout: &Layout,
        check: &'a mut FolderCheck,
        room: usize,
    ) -> Result<Self, Failure> {
        let meta = &state.meta;
        // A follower that started within an hour doesn't have the earlier events of that hour.
        let from = bounds.from.into_iter().chain(meta.from).max();
        let mut targets = Vec::new();
        for (span, entry) in spans(state) {
            let Some(span) = span.within(from, bounds.to) else { continue };
            // Files with a problem are reported already.
            if entry.is_some_and(|entry| !check.file(&entry.name).is_some_and(files::FileCheck::is_sound)) {
                continue;
            }
            let name = match entry {
                Some(entry) => layout.content_path(entry).display().to_string(),
                None => format!("{} to {}", time(span.start), time(span.end)),
            };
            targets.push(Target { span, entry, name, result: Listing::Pending });
        }
        let spans = targets.iter().map(|target| target.span).collect();
        let lists = lists(meta)?;
        let margin = meta.slicing.map(|slicing| slices::with_margin(slicing, MARGIN).margin_ms);
        let margin = margin.and_then(|millis| TimeDelta::try_milliseconds(i64::try_from(millis).ok()?));
        let margin = margin.unwrap_or_default();
        Ok(Self {
            targets,
            spans,
            lists,
            earliest: meta.from,
            margin,
            missing: BTreeMap::new(),
            kept: BTreeMap::new(),
            room,
            check,
        })
    }

    fn all(&self) -> Vec<std::ops::Range<usize>> {
        runs(&self.spans)
    }

    /// Lists these ranges of files. Returns the files that remain to be listed by themselves.
    async fn list(
        &mut self,
        client: &Client,
        options: &cli::VerifyArgs,
        shutdown: &mut Shutdown,
        ranges: Vec<std::ops::Range<usize>>,
    ) -> Result<Vec<std::ops::Range<usize>>, Failure> {
        let mut by_slice = HashMap::new();
        // The lists of each range that are left to read, and the ranges of which one couldn't be listed.
        let mut pending = HashMap::new();
        let mut failed = HashSet::new();
        for range in ranges {
            let slices = self.slices(&range)?;
            pending.insert(range.start, slices.len());
            by_slice.extend(slices.into_iter().map(|slice| (slice, range.clone())));
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
                    let left = pending.entry(range.start).or_insert(1);
                    *left -= 1;
                    if *left == 0 {
                        self.set(range, || Listing::Listed);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    let failure = Failure::from(&error);
                    if stops_everything(&error, stream.stats().pages, client.responses().is_empty()) {
                        return Err(failure);
                    }
                    let range = stream.skip_failed().and_then(|slice| by_slice.get(&slice).cloned());
                    let range = range.unwrap_or_default();
                    if !failed.insert(range.start) {
                        continue;
                    }
                    if range.len() > 1 {
                        remaining.extend(range.map(|index| index..index + 1));
                    } else {
                        self.set(range, || Listing::Failed(Failure::new(failure.code, &failure.message)));
                    }
                }
            }
        }
    }

    /// One slice of each list over all of these files. It starts earlier by the margin; events before the files are
    /// ignored.
    fn slices(&self, range: &std::ops::Range<usize>) -> Result<Vec<Slice>, Failure> {
        let (Some(first), Some(last)) = (self.spans.get(range.start), self.spans.get(range.end - 1)) else {
            return Ok(Vec::new());
        };
        let start = first.start.checked_sub_signed(self.margin).unwrap_or(first.start);
        let start = self.earliest.map_or(start, |earliest| start.max(earliest).min(first.start));
        let mut all = Vec::new();
        for list in &self.lists {
            let slices = list.clone().from(start).to(last.end).slices(Duration::MAX)?;
            let slices = slices.margin(self.margin.to_std().unwrap_or_default());
            all.extend(slices.aligned_to(start).next());
        }
        Ok(all)
    }

    fn page(&mut self, page: &Page) {
        for event in page.items.iter().flatten() {
            let Some(index) = find(&self.spans, event.created()) else { continue };
            if self.check.ids.list(event.id()) {
                continue;
            }
            let is_new = self.missing.insert(event.id().to_owned(), (event.created(), index)).is_none();
            if is_new && let Some(room) = self.room.checked_sub(event.raw().len()) {
                self.room = room;
                self.kept.entry(index).or_default().push(event.raw().to_owned());
            }
        }
    }

    fn set(&mut self, range: std::ops::Range<usize>, result: impl Fn() -> Listing) {
        for target in self.targets.get_mut(range).into_iter().flatten() {
            target.result = result();
        }
    }

    /// Reports all differences, and the ranges that couldn't be compared.
    fn conclude(mut self, layout: &Layout, state: &Ledger) -> Compared {
        let mut compared = Compared::default();
        let missing = std::mem::take(&mut self.missing);
        for (id, (created, index)) in &missing {
            if let Some(target) = self.targets.get(*index).filter(|target| target.result == Listing::Listed) {
                compared.problems.push(format!(
                    "{}: the service has an event that the file lacks: {id}, created at {}",
                    target.name,
                    time(*created)
                ));
            }
        }
        let mut lacking: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, index) in missing.values() {
            *lacking.entry(*index).or_default() += 1;
        }
        for (index, number) in lacking {
            if let Some(target) = self.targets.get(index).filter(|target| target.result == Listing::Listed) {
                let events = self.kept.remove(&index).filter(|events| events.len() == number);
                let name = target.entry.map(|entry| entry.name.clone());
                compared.missing.push(MissingRange { name, start: target.span.start, events });
            }
        }
        for target in &self.targets {
            match &target.result {
                Listing::Listed => match self.gone(layout, state, target) {
                    Ok(ids) => {
                        for id in ids {
                            compared.problems.push(format!(
                                "{}: the service no longer lists an event that the file has: {id}",
                                target.name
                            ));
                        }
                    }
                    Err(error) => compared.problems.push(format!("{}: {}", target.name, reason(&error))),
                },
                Listing::Failed(failure) => {
                    let text = format!("{}: not compared: {}", target.name, failure.message);
                    compared.not_listed.push((failure.code, text));
                }
                Listing::Pending => {}
            }
        }
        compared
    }

    /// The ids in a file that the service didn't list, sorted.
    fn gone(&self, layout: &Layout, state: &Ledger, target: &Target<'_>) -> std::io::Result<Vec<String>> {
        let Some(entry) = target.entry else { return Ok(Vec::new()) };
        let listed = self.check.file(&entry.name).map_or(0, |file| self.check.ids.listed_of(file.number));
        if listed == entry.events {
            return Ok(Vec::new());
        }
        let mut gone = Vec::new();
        files::each_event(layout, entry, state.meta.compress, |event| {
            if target.span.contains(event.created()) && !self.check.ids.is_listed(event.id()) {
                gone.push(event.id().to_owned());
            }
        })?;
        gone.sort();
        Ok(gone)
    }
}

/// Returns true if an error affects every other request too: a refused token, or a 403 to the very first request
/// unless it is only about the range, or a service that has never responded.
fn stops_everything(error: &Error, pages: u64, is_unreached: bool) -> bool {
    let is_forbidden = error.is_forbidden() && !error.is_beyond_retention();
    let is_unreached = is_unreached && matches!(error, Error::Transport(_));
    error.is_auth() || matches!(error, Error::Config(_)) || (pages == 0 && is_forbidden) || is_unreached
}

/// The ranges to compare: the complete slices of an export, or the hours that a follower has completed, even those
/// without a file.
fn spans(state: &Ledger) -> Vec<(TimeSpan, Option<&FileEntry>)> {
    let whole = state.files.iter().filter(|entry| entry.is_complete());
    let mut files: Vec<_> = whole.filter_map(|entry| Some((files::span(entry)?, Some(entry)))).collect();
    files.sort_by_key(|(span, _)| span.start);
    if state.meta.kind == ArchiveKind::Export {
        return files;
    }
    let by_start: HashMap<_, _> = files.into_iter().map(|(span, entry)| (span.start, entry)).collect();
    let settled = || {
        let positions = Positions::read(state.checkpoint.as_ref()?, state.meta.request.list_count()).ok()?;
        hour(positions.settled())
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

/// The lists of the export or the follower.
pub(super) fn lists(meta: &ArchiveMeta) -> Result<Vec<ListEvents>, Failure> {
    meta.request.lists().map_err(|error| {
        Failure::new(
            Code::Output,
            format!("the request in the ledger can't be read: {error}; restore ledger.json from a copy"),
        )
    })
}

/// Connects to the service that the files were exported from.
pub(super) async fn connect(
    options: &cli::VerifyArgs,
    layout: &Layout,
    state: &Ledger,
    renewal: &mut PendingRenewal,
) -> Result<(Connected, Option<Sandbox>), Failure> {
    let was = &state.meta.request;
    if let Some(events) = was.sandbox.and_then(|events| u32::try_from(events).ok()) {
        let sandbox = sandbox::plain(events, state.meta.begun).await?;
        return Ok((service::sandbox(&sandbox, &options.connection)?, Some(sandbox)));
    }
    if was.service != request::service(&options.connection) {
        let origin = match was.service.as_deref() {
            Some(url) if url.contains("://") => format!("the service {url}; give it with --base-url"),
            Some(on_this_machine) => format!("a service {on_this_machine}; give its URL with --base-url"),
            None => "the default service; omit --base-url, and unset WEBEX_BASE_URL".to_owned(),
        };
        return Err(Failure::usage(format!("{} was exported from {origin}", layout.display())));
    }
    Ok((service::connect(&options.connection, renewal)?, None))
}
