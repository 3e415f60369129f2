//! `export`: a list of events, written as NDJSON.

use chrono::{DateTime, Utc};
use webex_events::sandbox::Sandbox;

use crate::{
    args::{Export, LogFormat},
    connect::{self, Connected},
    export::{asked::Range, outcome::Outcome},
    failure::Failure,
    metrics::Metrics,
    output::Output,
    serve,
    signal::Stop,
    summary,
};

pub(crate) mod asked;
mod file;
mod folder;
pub(crate) mod lines;
pub(crate) mod names;
pub(crate) mod outcome;
mod plan;
mod sink;
mod tally;
pub(crate) mod walk;

/// What it takes to run an export.
struct Job {
    export: Box<Export>,
    format: LogFormat,
    stop: Stop,
}

pub(crate) async fn run(export: Box<Export>, format: LogFormat, stop: Stop) -> Result<(), Failure> {
    // What can't be in any case is said before anything is done.
    Range::at(Utc::now(), export.from, export.to)?;
    let started = Utc::now();
    let output = Output::of(&export.output, export.slice.is_some(), export.from.is_some())?;
    let mut job = Job { export, format, stop };
    let Outcome { report, result } = match output {
        Output::Stream(stream, name) => file::to_stream(&mut job, stream, name).await?,
        Output::File(path) => file::to_file(&mut job, path).await?,
        Output::Folder(path) => folder::to_folder(&mut job, path).await?,
    };
    let written = summary::write(job.export.summary.as_deref(), started, &report, &result);
    result.and(written)
}

/// The service that an export is from.
struct Service {
    connected: Connected,
    metrics: Metrics,
    is_sandbox: bool,
    _sandbox: Option<Sandbox>,
}

impl Service {
    /// A sandbox has its last event at this instant.
    async fn start(export: &Export, until: DateTime<Utc>) -> Result<Self, Failure> {
        let sandbox = match export.sandbox {
            Some(events) => Some(serve::plain(events, until).await?),
            None => None,
        };
        let connected = match &sandbox {
            Some(sandbox) => connect::sandbox(sandbox, &export.connection)?,
            None => connect::service(&export.connection)?,
        };
        let metrics = Metrics::start(&export.watch).await?;
        Ok(Self { connected, metrics, is_sandbox: sandbox.is_some(), _sandbox: sandbox })
    }
}
