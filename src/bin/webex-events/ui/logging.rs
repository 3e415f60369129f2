//! The library's log lines, on stderr.

use std::{
    env,
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use serde_json::Map;
use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::ui::messages::{self, Format};

/// Starts logging at the level of `RUST_LOG`, or else of warnings, or of `-v` and `-vv`.
pub(crate) fn start(verbose: u8) {
    let default = match verbose {
        0 if messages::is_quiet() => "error",
        0 => "warn",
        1 => "warn,webex_events=debug",
        _ => "warn,webex_events=trace",
    };
    let filter = filter(default).unwrap_or_else(|error| {
        messages::warning(
            &format!("RUST_LOG can't be read ({error}); the log level is `{default}`"),
            Map::new(),
        );
        EnvFilter::new(default)
    });
    let colours = messages::has_colours(&io::stderr());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(|| Stderr);
    match messages::format() {
        Format::Text => logs.init(),
        Format::Json => logs.json().init(),
    }
}

fn filter(default: &str) -> Result<EnvFilter, ParseError> {
    let wanted = env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    EnvFilter::builder().parse(if wanted.trim().is_empty() { default } else { &wanted })
}

/// Stops logging.
pub(crate) fn stop() {
    STOPPED.store(true, Relaxed);
}

static STOPPED: AtomicBool = AtomicBool::new(false);

struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !STOPPED.load(Relaxed) {
            messages::stderr(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
