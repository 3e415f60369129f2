//! `--summary`: what a run came to, as JSON. Events, bytes and files are those of all runs of the export;
//! pages, requests, retries and waits those of this one.

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use webex_events::Stats;

use crate::{
    archive::{FileEntry, Stage, Totals, fs},
    error::{Code, Failure},
    run::request::Range,
};

/// What there is to say.
#[derive(Debug)]
pub(crate) struct Report {
    /// The arguments that decided what came out.
    pub(crate) asked: BTreeMap<String, String>,
    pub(crate) range: Range,
    pub(crate) output: String,
    /// Whether it is the whole list.
    pub(crate) is_complete: bool,
    /// Of all runs.
    pub(crate) totals: Totals,
    /// Of this run.
    pub(crate) stats: Stats,
    pub(crate) files: Vec<FileEntry>,
}

/// Writes the summary of a run that has ended this way, if one is wanted.
pub(crate) fn write(
    path: Option<&Path>,
    started: DateTime<Utc>,
    report: &Report,
    result: &Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let text = format!("{:#}\n", value(started, report, result));
    fs::write_whole(path, text.as_bytes()).map_err(|error| {
        Failure::new(
            Code::Output,
            format!("{} can't be written: {error}; choose another place with --summary", path.display()),
        )
    })
}

fn value(started: DateTime<Utc>, report: &Report, result: &Result<(), Failure>) -> Value {
    let Report { totals, stats, .. } = report;
    let why = match result {
        Err(failure) => Value::from(failure.message.clone()),
        Ok(()) if report.is_complete => Value::Null,
        Ok(()) => "as many as asked for".into(),
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": time(started),
        "ended": time(Utc::now()),
        "complete": report.is_complete,
        "why_not": why,
        "exit_code": result.as_ref().map_or_else(|failure| failure.code as i32, |()| 0),
        "output": report.output,
        "asked": report.asked,
        "range": {"from": report.range.from.map(time), "to": report.range.to.map(time)},
        "events": totals.events,
        "malformed": totals.malformed,
        "duplicates_dropped": totals.duplicates,
        "events_with_field_errors": totals.partial,
        "events_outside": stats.outside,
        "bytes": totals.bytes,
        "pages": stats.pages,
        "requests": stats.requests,
        "retries": stats.retries,
        "waited_seconds": stats.waited.as_secs_f64(),
        "bytes_received": stats.bytes,
        "files": report.files.iter().map(file).collect::<Vec<_>>(),
    })
}

fn file(entry: &FileEntry) -> Value {
    json!({
        "name": entry.name,
        "complete": entry.stage == Stage::Complete,
        "start": entry.start.map(time),
        "end": entry.end.map(time),
        "events": entry.events,
        "malformed": entry.malformed_items(),
        "duplicates_dropped": entry.duplicates,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
    })
}

fn time(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
