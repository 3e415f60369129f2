//! `verify`: compares the files in a folder with its ledger, and with the service.

use std::time::Duration;

use serde_json::Map;
use webex_events::ListEvents;

use crate::{
    archive::{ArchiveKind, Layout, Ledger},
    cli::{self, values::time},
    commands::{
        Context,
        verify::{files::FolderCheck, ranges::TimeSpan, report::VerifyReport},
    },
    error::{Code, Failure},
    run::{roles, slices},
    ui::messages,
};

mod files;
mod index;
mod ranges;
mod repair;
mod report;
mod service;

pub(crate) use self::repair::damaged;

/// The number of times that files are read again because the ledger changed, or is about to.
const REREADS: u32 = 20;
/// The pause before that, if the ledger is the same: files and ledger don't change in the same instant.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn run(options: cli::VerifyArgs, context: &mut Context) -> Result<(), Failure> {
    if options.folder.is_file() {
        return Err(Failure::usage(format!(
            "{} is a file: give the folder of an export or a follower",
            options.folder.display()
        )));
    }
    roles::check_reader(Some(&options.folder), &options.connection)?;
    let layout = Layout::Folder(options.folder.clone());
    let mut state = ledger(&layout)?;
    let (mut check, kind) = (FolderCheck::default(), state.meta.kind);
    if options.repair {
        repair::damaged_files(&options, context, &layout, kind, &mut check).await?;
        state = ledger(&layout)?;
    }
    check.update(&layout, &state);
    // A concurrent export changes the files, so an apparent problem may be gone with the current ledger.
    for _ in 0..REREADS {
        if check.problems().next().is_none() {
            break;
        }
        let newer = ledger(&layout)?;
        if newer == state {
            if !layout.is_locked() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        state = newer;
        check.update(&layout, &state);
    }
    let mut compared = None;
    if options.against_service {
        let mut result = service::compare(&options, context, &layout, &state, &mut check).await?;
        if options.repair && !result.missing.is_empty() {
            for text in &result.problems {
                messages::warning(text, Map::new());
            }
            repair::missing_events(&options, context, &layout, kind, result.missing).await?;
            state = ledger(&layout)?;
            check.update(&layout, &state);
            result = service::compare(&options, context, &layout, &state, &mut check).await?;
        }
        compared = Some(result);
    }
    let mut report = VerifyReport::new(options.json);
    check.problems().for_each(|text| report.problem(text));
    let gaps = gaps(&state)?;
    for gap in &gaps {
        report.missing(gap.start, gap.end, None);
    }
    for slice in &state.failed {
        let reason = if slice.is_beyond_retention { "beyond retention" } else { &slice.message };
        report.missing(slice.start, slice.end, Some(reason));
    }
    report.are_gaps_lost = gaps.is_empty() && state.failed.iter().all(|slice| slice.is_beyond_retention);
    report.is_locked = report.has_problems() && layout.is_locked();
    report.advice = report::advice(kind, options.repair);
    (report.folder, report.range) = (layout.display(), range(&state));
    (report.from, report.to) = (state.meta.from, state.meta.to);
    (report.files, report.events) = (check.count(), check.events());
    if let Some(compared) = compared {
        compared.problems.iter().for_each(|text| report.problem(text));
        for (code, text) in compared.not_listed {
            report.not_listed(code, text);
        }
        report.is_compared = true;
    }
    report.end()
}

fn ledger(layout: &Layout) -> Result<Ledger, Failure> {
    layout.read()?.ok_or_else(|| {
        let name = layout.display();
        let found = if layout.root().exists() { "has no ledger.json" } else { "doesn't exist" };
        Failure::new(Code::Output, format!("{name} {found}: give the folder of an export or a follower"))
    })
}

/// The range of the files, in words.
fn range(state: &Ledger) -> String {
    match (state.meta.kind, state.meta.from, state.meta.to) {
        (ArchiveKind::Follow, Some(from), _) => format!("followed from {}", time(from)),
        (_, Some(from), Some(to)) => format!("complete from {} to {}", time(from), time(to)),
        _ => "complete".to_owned(),
    }
}

/// The parts of the range that have no complete file, except the slices that an export has tried and couldn't read. Of a
/// follower's hours, only those whose repair was interrupted are known to be incomplete.
fn gaps(state: &Ledger) -> Result<Vec<TimeSpan>, Failure> {
    let meta = &state.meta;
    if meta.kind == ArchiveKind::Follow {
        let repaired = state.files.iter().filter(|file| !file.is_complete() && file.replaces.is_some());
        return Ok(ranges::gaps(repaired.filter_map(files::span), |_| false));
    }
    let (ArchiveKind::Export, Some(_)) = (meta.kind, meta.slicing) else { return Ok(Vec::new()) };
    let slices = slices::of(meta, ListEvents::new())?;
    let spans = slices.map(|slice| TimeSpan { start: slice.start(), end: slice.end() });
    let closed: std::collections::HashSet<_> =
        state.files.iter().filter(|file| file.is_complete()).filter_map(files::span).collect();
    let is_failed =
        |span: &TimeSpan| state.failed.iter().any(|slice| (slice.start, slice.end) == (span.start, span.end));
    Ok(ranges::gaps(spans, |span| closed.contains(span) || is_failed(span)))
}
