//! `export`: a list of events, written as NDJSON.

use chrono::{DateTime, Utc};
use webex_events::sandbox::Sandbox;

use crate::{
    cli::{Export, LogFormat},
    commands::sandbox,
    error::Failure,
    metrics::Metrics,
    run::{outcome::Outcome, output::Output, request::Range, roles, summary},
    service::{self, Connected},
    ui::shutdown::Stop,
};

mod file;
mod folder;

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
    roles::check(&output, &export.connection, export.summary.as_deref(), None)?;
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
            Some(events) => Some(sandbox::plain(events, until).await?),
            None => None,
        };
        let connected = match &sandbox {
            Some(sandbox) => service::sandbox(sandbox, &export.connection)?,
            None => service::service(&export.connection)?,
        };
        let metrics = Metrics::start(&export.watch).await?;
        Ok(Self { connected, metrics, is_sandbox: sandbox.is_some(), _sandbox: sandbox })
    }
}
