//! `--metrics`: how a run goes, for Prometheus and for whoever asks whether it is well.
//!
//! The run puts up a [`Reading`] whenever it has news; whoever asks gets the latest one. So a scrape
//! never waits for the run, nor the run for a scrape.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::Map;
use tokio::{net::TcpListener, task::AbortHandle};
use webex_events::Stats;

use crate::{
    cli::Watch,
    error::{Failure, reason},
    metrics::server::LIMITS,
    ui::messages,
};

mod server;
mod text;

/// What can be told of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) stats: Stats,
    /// How many answers of each status there were.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// Events that came twice and were written once.
    pub(crate) duplicates: u64,
    /// How far behind now everything was read; none for a run that doesn't go up to now.
    pub(crate) lag: Option<Duration>,
    /// Slices that are being read.
    pub(crate) open_slices: usize,
    /// When the access token expires, if that is known.
    pub(crate) token_expiry: Option<DateTime<Utc>>,
}

/// Where the readings of a run are served, if they are. It ends with its last clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Option<Arc<Served>>);

impl Metrics {
    /// Serves from now on, if that is asked for, and says where.
    pub(crate) async fn start(watch: &Watch) -> Result<Self, Failure> {
        let Some(address) = watch.addr else { return Ok(Self(None)) };
        let cant = |error: std::io::Error| {
            Failure::settings(format!(
                "metrics can't be served on {address}: {}; choose another address with --metrics",
                reason(&error)
            ))
        };
        let listener = TcpListener::bind(address).await.map_err(cant)?;
        let address = listener.local_addr().map_err(cant)?;
        let board = Arc::new(Board::new(watch.max_lag));
        let server = tokio::spawn(server::serve(listener, Arc::clone(&board), LIMITS)).abort_handle();
        let url = format!("http://{address}/metrics");
        let fields = Map::from_iter([("metrics".to_owned(), url.as_str().into())]);
        messages::note(&format!("metrics: {url}"), fields);
        Ok(Self(Some(Arc::new(Served { board, server }))))
    }

    /// Puts up what `reading` gives, which isn't called when nothing is served.
    pub(crate) fn update(&self, reading: impl FnOnce() -> Reading) {
        if let Some(served) = &self.0 {
            served.board.put(reading(), Instant::now());
        }
    }
}

#[derive(Debug)]
struct Served {
    board: Arc<Board>,
    server: AbortHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The latest reading, and how to judge it.
#[derive(Debug)]
struct Board {
    max_lag: Option<Duration>,
    latest: Mutex<Latest>,
}

#[derive(Clone, Debug)]
struct Latest {
    reading: Reading,
    put_at: Instant,
    /// When a page came last, or the run began.
    page_at: Instant,
}

impl Board {
    fn new(max_lag: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            max_lag,
            latest: Mutex::new(Latest { reading: Reading::default(), put_at: now, page_at: now }),
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, reading: Reading, now: Instant) {
        let mut latest = self.latest();
        let has_page = reading.stats.pages > latest.reading.stats.pages;
        let page_at = if has_page { now } else { latest.page_at };
        *latest = Latest { reading, put_at: now, page_at };
    }

    fn text(&self, now: Instant) -> String {
        let latest = self.latest().clone();
        text::of(&latest.reading, latest.lag(now))
    }

    /// Whether all is well, or else what isn't.
    fn health(&self, now: Instant) -> Result<(), String> {
        let Some(max) = self.max_lag else { return Ok(()) };
        let latest = self.latest();
        let (lag, what) = match latest.lag(now) {
            Some(lag) => (lag, "reading lies behind by"),
            None => (now.saturating_duration_since(latest.page_at), "no page has come for"),
        };
        if lag <= max {
            return Ok(());
        }
        Err(format!("{what} {} s, more than {} s", lag.as_secs(), max.as_secs()))
    }
}

impl Latest {
    /// It grows while nothing is heard of the run.
    fn lag(&self, now: Instant) -> Option<Duration> {
        self.reading.lag.map(|lag| lag.saturating_add(now.saturating_duration_since(self.put_at)))
    }
}

#[cfg(test)]
mod tests;
