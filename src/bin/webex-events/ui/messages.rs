//! Messages on stderr, one per line, and the data of short commands on stdout. Events are written by `run/sink/`.
//!
//! A message that can't be written is dropped, so that a run whose output is complete doesn't fail because of it. Data
//! that can't be written is an error: everything on stdout, and malformed items that have no file.

use std::{
    io::{self, Write},
    sync::OnceLock,
};

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::{AnsiColor, Style};
use chrono::{SecondsFormat, Utc};
use clap::builder::StyledStr;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::standard;
use crate::error::{Failure, one_line};

/// The format of messages on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// The form in which progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ProgressForm {
    /// A line that changes on a terminal, otherwise new lines.
    #[default]
    Auto,
    Lines,
    Off,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

#[derive(Debug)]
struct Settings {
    format: Format,
    quiet: bool,
    progress: ProgressForm,
    /// Hidden until a run shows it.
    bar: ProgressBar,
}

/// Sets the format of messages. Before that it is text.
pub(crate) fn set(format: Format, quiet: bool, progress: ProgressForm) {
    let _ = SETTINGS.set(Settings { format, quiet, progress, bar: ProgressBar::hidden() });
}

pub(crate) fn progress() -> ProgressForm {
    SETTINGS.get().map(|settings| settings.progress).unwrap_or_default()
}

/// Sets when messages have colours. Until then, and with `Auto`, terminals and the environment decide.
pub(crate) fn set_color(color: clap::ColorChoice) {
    match color {
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    }
    .write_global();
}

/// Returns true if text for this stream may have colours.
pub(crate) fn has_colours(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// `word` in bold and in this colour, if the stream shows colours.
pub(crate) fn label(word: &str, colour: AnsiColor, stream: &impl RawStream) -> String {
    let style = Style::new().bold().fg_color(Some(colour.into()));
    if has_colours(stream) { format!("{style}{word}{style:#}") } else { word.to_owned() }
}

/// The progress line, above which everything else is written.
pub(crate) fn bar() -> ProgressBar {
    SETTINGS.get().map_or_else(ProgressBar::hidden, |settings| settings.bar.clone())
}

pub(crate) fn is_quiet() -> bool {
    SETTINGS.get().is_some_and(|settings| settings.quiet)
}

/// Writes the reason why the program fails.
pub(crate) fn error(message: &str) {
    line(
        "ERROR",
        &format!("{} {}", label("error:", AnsiColor::Red, &io::stderr()), one_line(message)),
        message,
        Map::new(),
    );
}

/// Writes a warning, even with `--quiet`.
pub(crate) fn warning(message: &str, fields: Map<String, Value>) {
    line("WARN", &warning_text(message), message, fields);
}

fn warning_text(message: &str) -> String {
    format!("{} {}", label("warning:", AnsiColor::Yellow, &io::stderr()), one_line(message))
}

/// Writes a note, unless `--quiet` is set.
pub(crate) fn note(message: &str, fields: Map<String, Value>) {
    if !is_quiet() {
        line("INFO", &one_line(message), message, fields);
    }
}

pub(crate) fn format() -> Format {
    SETTINGS.get().map(|settings| settings.format).unwrap_or_default()
}

/// Writes a malformed item to stderr, as a warning.
pub(crate) fn malformed(item: Map<String, Value>) -> io::Result<()> {
    let message = format!("malformed item: {}", json!(item));
    let line = rendered("WARN", &warning_text(&message), &message, item);
    bar().suspend(|| standard::error()?.write_all(line.as_bytes()))
}

/// Writes to stdout immediately.
pub(crate) fn data(bytes: &[u8]) -> Result<(), Failure> {
    to_stdout(|| io::stdout().lock().write_all(bytes))
}

/// Writes text with styles to stdout, without them if stdout shows none.
pub(crate) fn styled(text: &StyledStr) -> Result<(), Failure> {
    let text = if has_colours(&io::stdout()) { text.ansi().to_string() } else { text.to_string() };
    data(text.as_bytes())
}

/// Lets `write` write to stdout, and flushes it. A reader that has closed stdout is no failure.
pub(crate) fn to_stdout(write: impl FnOnce() -> io::Result<()>) -> Result<(), Failure> {
    let written = standard::output().and_then(|_| write()).and_then(|()| io::stdout().flush());
    match written {
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

fn line(level: &str, text: &str, message: &str, fields: Map<String, Value>) {
    stderr(rendered(level, text, message, fields).as_bytes());
}

/// One line, as text or in the format of the logs.
fn rendered(level: &str, text: &str, message: &str, mut fields: Map<String, Value>) -> String {
    let json = format() == Format::Json;
    if json {
        fields.insert("message".to_owned(), message.into());
        let timestamp = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let line =
            json!({"timestamp": timestamp, "level": level, "fields": fields, "target": "webex_events"});
        format!("{line}\n")
    } else {
        format!("{text}\n")
    }
}
