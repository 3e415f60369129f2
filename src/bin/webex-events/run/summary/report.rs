//! The file of `--summary`: a run as JSON.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::RunSummary;
use crate::{
    archive::{FailedSlice, FileEntry, Stage, fs},
    cli::values::time,
    error::{Code, Failure},
    run::roles,
};

impl RunSummary {
    /// Writes the file, if there is a path.
    pub(crate) fn write(
        &self,
        path: Option<&Path>,
        started: DateTime<Utc>,
        result: &Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(path) = path else { return Ok(()) };
        let text = format!("{:#}\n", self.json(started, result));
        fs::write_whole(path, text.as_bytes()).map_err(|error| {
            let name = path.display().to_string();
            Failure::unwritable(&name, &error, roles::SUMMARY_ELSEWHERE)
        })
    }

    fn json(&self, started: DateTime<Utc>, result: &Result<(), Failure>) -> Value {
        let Self { totals, stats, .. } = self;
        let why = match result {
            Err(failure) => Value::from(failure.message.clone()),
            Ok(()) if self.is_complete => Value::Null,
            Ok(()) => self.why_not.unwrap_or("as many as requested").into(),
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started": time(started),
            "ended": time(Utc::now()),
            "complete": self.is_complete,
            "why_not": why,
            "exit_code": result.as_ref().map_or_else(|failure| failure.code as i32, |()| 0),
            "output": self.name,
            "asked": self.options,
            "range": {"from": self.range.from.map(time), "to": self.range.to.map(time)},
            "events": totals.events,
            "malformed": totals.malformed,
            "duplicates_dropped": totals.duplicates,
            "events_with_field_errors": totals.partial,
            "bytes": totals.bytes,
            "pages": stats.pages,
            "requests": stats.requests,
            "retries": stats.retries,
            "waited_seconds": stats.waited.as_secs_f64(),
            "bytes_received": stats.bytes,
            "events_outside": stats.outside,
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "failed": self.failed.iter().map(failed).collect::<Vec<_>>(),
        })
    }
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

fn failed((slice, code): &(FailedSlice, Code)) -> Value {
    json!({
        "start": time(slice.start),
        "end": time(slice.end),
        "kind": slice.kind,
        "message": slice.message,
        "exit_code": *code as i32,
        "beyond_retention": slice.is_beyond_retention,
    })
}
