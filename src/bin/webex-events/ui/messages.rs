//! The one place that writes to the terminal: data to stdout, everything else to stderr, a line each.
//!
//! Nothing here fails: a program whose stderr is gone still has its work to do.

use std::{
    io::{self, Write},
    sync::OnceLock,
};

use chrono::{SecondsFormat, Utc};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use crate::error::{Failure, one_line};

/// The form of what is written to stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

#[derive(Debug)]
struct Settings {
    format: Format,
    quiet: bool,
    /// Hidden, unless an export shows it.
    bar: ProgressBar,
}

/// Sets the form of what is said. Before that it is text.
pub(crate) fn set(format: Format, quiet: bool) {
    let _ = SETTINGS.set(Settings { format, quiet, bar: ProgressBar::hidden() });
}

/// The progress line, above which everything else is written.
pub(crate) fn bar() -> ProgressBar {
    SETTINGS.get().map_or_else(ProgressBar::hidden, |settings| settings.bar.clone())
}

pub(crate) fn is_quiet() -> bool {
    SETTINGS.get().is_some_and(|settings| settings.quiet)
}

/// Why the program fails.
pub(crate) fn error(message: &str) {
    line("ERROR", &format!("error: {}", one_line(message)), message, Map::new());
}

/// What must be known even with `--quiet`.
pub(crate) fn warning(message: &str, fields: Map<String, Value>) {
    line("WARN", &format!("warning: {}", one_line(message)), message, fields);
}

/// What is good to know.
pub(crate) fn note(message: &str, fields: Map<String, Value>) {
    if !is_quiet() {
        line("INFO", &one_line(message), message, fields);
    }
}

pub(crate) fn format() -> Format {
    SETTINGS.get().map(|settings| settings.format).unwrap_or_default()
}

/// Writes to stdout at once. A reader that has closed it has had enough, which is no failure.
pub(crate) fn data(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::stdout(&error)),
        _ => Ok(()),
    }
}

/// Writes to stderr, above the progress line.
pub(crate) fn stderr(bytes: &[u8]) {
    bar().suspend(|| {
        let _ = io::stderr().lock().write_all(bytes);
    });
}

/// One line, as text or in the form of the logs.
fn line(level: &str, text: &str, message: &str, mut fields: Map<String, Value>) {
    let json = format() == Format::Json;
    let line = if json {
        fields.insert("message".to_owned(), message.into());
        let timestamp = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        json!({"timestamp": timestamp, "level": level, "fields": fields, "target": "webex_events"})
            .to_string()
    } else {
        text.to_owned()
    };
    stderr(format!("{line}\n").as_bytes());
}
