//! `follow`: writes new events as they come, to a folder with a file for each hour, or to stdout.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde_json::Map;
use webex_events::Stats;

use crate::{
    archive::{
        ArchiveKind, ArchiveMeta, Checksum, Destination, FileLock, Layout, Ledger, Slicing, WriteOptions,
    },
    cli::{self, values::TimeArg},
    commands::Context,
    error::{Code, Failure},
    metrics::Metrics,
    run::{
        driver::{self, Driven, Driver},
        output::Output,
        positions::Positions,
        range::{self, Range},
        request::{self, must_fit},
        restart::{self, PagePosition, Pauses, Reaction},
        roles,
        sink::{ArchiveSink, CheckpointFile, Sink, StreamSink},
        slices,
        source::FollowSource,
        stop_reason::StopReason,
    },
    service::{self, Connected},
    ui::messages,
};

/// The slices of a folder: one for each hour.
const HOURS: Slicing = Slicing { seconds: 3600, is_aligned: true, margin_ms: 0 };

pub(crate) async fn run(follow: &cli::FollowArgs, context: &mut Context) -> Result<(), Failure> {
    // Refuse an impossible range before anything is created.
    Range::at(Utc::now(), follow.from, None)?;
    let output = Output::of(&follow.output, false, true, &mut context.shutdown).await?;
    roles::check(&output, &follow.connection, None, follow.checkpoint.as_deref())?;
    let connected = service::connect(&follow.connection, &mut context.renewal)?;
    let metrics = Metrics::start(&follow.watch).await?;
    let (sink, positions) = match output {
        Output::File(path) if path.exists() => {
            return Err(Failure::usage(format!(
                "{} is a file: follow needs a folder, or - for stdout",
                path.display()
            )));
        }
        Output::Folder(path) | Output::File(path) => {
            let opened = to_folder(follow, context, &connected, path).await?;
            context.shutdown.allow_slow();
            opened
        }
        Output::Stream(file, name) => to_stream(follow, context, &connected, file, name).await?,
    };
    let lists = follow.filters.lists().into_iter().zip(positions.each());
    let events = lists.map(|(query, checkpoint)| {
        let name = slices::list_name(&query);
        let events = connected.client.follow(query, checkpoint.clone());
        (name, events.every(follow.every).settle(follow.settle))
    });
    let source = FollowSource::new(events, positions.clone());
    let driver = Driver::new(source, sink, &mut context.shutdown, &metrics, &connected);
    let Driven { source, ended, mut summary, .. } = driver.run().await;
    summary.followed = Some((source.settled(), source.lag()));
    summary.conclude(ended)
}

/// The start of the first run: `--from` by the service's clock, or now. Waits after temporary errors, as every later
/// round does.
async fn beginning(
    follow: &cli::FollowArgs,
    context: &mut Context,
    connected: &Connected,
) -> Result<DateTime<Utc>, Failure> {
    if let Some(TimeArg::At(instant)) = follow.from {
        return Ok(instant);
    }
    let filters = follow.filters.lists().into_iter().next().unwrap_or_default();
    let mut pauses = Pauses::default();
    loop {
        let time =
            range::service_time(&connected.client, &filters, &mut context.shutdown, &mut Stats::default())
                .await;
        let error = match time {
            Ok(now) => {
                let now = range::past(now);
                return Ok(Range::at(now, follow.from, None)?.from.unwrap_or(now));
            }
            Err(StopReason::Service(error))
                if restart::of_follower(&error, PagePosition::First) == Reaction::BackOff =>
            {
                error
            }
            Err(reason) => return Err(reason.at_start()),
        };
        let pause = pauses.next(0, error.retry_after());
        driver::warn_of_pause(&error, pause);
        tokio::select! {
            biased;
            code = context.shutdown.wait() => return Err(StopReason::Signal(code).at_start()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Opens the folder, which is created if it is missing, at the checkpoint of an earlier run.
async fn to_folder(
    follow: &cli::FollowArgs,
    context: &mut Context,
    connected: &Connected,
    path: PathBuf,
) -> Result<(Sink, Positions), Failure> {
    if follow.checkpoint.is_some() {
        return Err(Failure::usage(
            "--checkpoint is for stdout: a folder has its checkpoint in ledger.json; omit --checkpoint",
        ));
    }
    let destination = Destination::claim(Layout::Folder(path), ArchiveKind::Follow)?;
    let meta = request::of_follower(follow, Some(HOURS));
    if let Some(ledger) = destination.ledger() {
        must_fit(destination.layout().root(), &ledger.meta, &meta)?;
    }
    let from = match destination.ledger().and_then(|ledger| ledger.meta.from) {
        Some(from) => from,
        None => beginning(follow, context, connected).await?,
    };
    let codec = meta.compress;
    let options = WriteOptions { codec, checksum: Checksum::Sha256, memory: None };
    let store = destination.open(ArchiveMeta { from: Some(from), ..meta }, options)?;
    let positions = stored(
        store.checkpoint(),
        (from, follow.filters.lists().len()),
        &store.layout().ledger_path(),
        "follow into another folder, with --from",
    )?;
    if store.open_files().any(|entry| entry.replaces.is_some()) {
        let text = format!(
            "a repair of {} was interrupted: give `verify --repair` again when this run has ended",
            store.layout().display()
        );
        messages::warning(&text, Map::new());
    }
    let sink = ArchiveSink::new(store, codec, follow.commits.commit_every);
    Ok((Sink::Archive(Box::new(sink)), positions))
}

/// Writes to stdout from the checkpoint that an earlier run has stored.
async fn to_stream(
    follow: &cli::FollowArgs,
    context: &mut Context,
    connected: &Connected,
    file: File,
    name: String,
) -> Result<(Sink, Positions), Failure> {
    if follow.commits.compress.is_some() {
        return Err(Failure::usage("--compress needs a folder, and stdout isn't one"));
    }
    let sink = StreamSink::new(file, name);
    let Some(path) = &follow.checkpoint else {
        let from = beginning(follow, context, connected).await?;
        let positions = Positions::at(from, follow.filters.lists().len());
        return Ok((Sink::Stream(Box::new(sink)), positions));
    };
    let lock = FileLock::beside(path)?;
    let meta = request::of_follower(follow, None);
    let old = Ledger::read(path)?;
    if let Some(ledger) = &old {
        ledger.expect_kind(ArchiveKind::Follow, path)?;
        must_fit(path, &ledger.meta, &meta)?;
    }
    let from = match &old {
        Some(ledger) => ledger.meta.from.unwrap_or_default(),
        None => beginning(follow, context, connected).await?,
    };
    let positions = stored(
        old.as_ref().and_then(|ledger| ledger.checkpoint.as_ref()),
        (from, follow.filters.lists().len()),
        path,
        "start from the beginning with another --checkpoint and --from",
    )?;
    let meta = ArchiveMeta { from: Some(from), ..meta };
    let file = CheckpointFile::new(path.clone(), lock, meta, old.as_ref());
    let sink = sink.with_checkpoint(file, &positions)?;
    Ok((Sink::Stream(Box::new(sink)), positions))
}

/// The positions in a state file, or `lists` positions at `from` if there are none.
fn stored(
    checkpoint: Option<&serde_json::Value>,
    (from, lists): (DateTime<Utc>, usize),
    path: &Path,
    advice: &str,
) -> Result<Positions, Failure> {
    match checkpoint {
        Some(checkpoint) => Positions::read(checkpoint, lists).map_err(|error| {
            Failure::new(
                Code::Output,
                format!("the checkpoint in {} can't be read: {error}; {advice}", path.display()),
            )
        }),
        None => Ok(Positions::at(from, lists)),
    }
}
