//! The library's log lines, on stderr.

use std::{
    env,
    io::{self, Write},
};

use serde_json::Map;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::ui::{
    messages::{self, Format},
    notices::{self, Notices},
};

/// Starts logging at the level of `RUST_LOG`, or else of warnings, or of `-v` and `-vv`.
pub(crate) fn start(verbose: u8) {
    let wanted = env::var(EnvFilter::DEFAULT_ENV).ok().filter(|wanted| !wanted.trim().is_empty());
    let default = match verbose {
        0 if messages::is_quiet() => "error",
        // Retries are messages of the program.
        0 => "warn,webex_events::retry=off",
        1 => "warn,webex_events=debug",
        _ => "warn,webex_events=trace",
    };
    let filter = |text: &str| EnvFilter::builder().parse(text);
    let filter = filter(wanted.as_deref().unwrap_or(default)).unwrap_or_else(|error| {
        messages::warning(&format!("RUST_LOG can't be read ({error}), and is ignored"), Map::new());
        EnvFilter::new(default)
    });
    let colours = messages::has_colours(&io::stderr());
    let logs = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(|| Stderr);
    let logs = match messages::format() {
        Format::Text => logs.boxed(),
        Format::Json => logs.json().boxed(),
    };
    let reports_retries = wanted.is_none() && verbose == 0 && !messages::is_quiet();
    tracing_subscriber::registry()
        .with(Notices::new(reports_retries).with_filter(notices::targets()))
        .with(logs.with_filter(filter))
        .init();
}

/// Stops logging.
pub(crate) fn stop() {
    notices::stop();
}

struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !notices::is_stopped() {
            messages::stderr(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
