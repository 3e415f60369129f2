//! `--metrics`: the state of a run, for Prometheus and for health checks.
//!
//! The run publishes a [`RunSnapshot`] after each step, and a scrape gets the latest one. So neither waits for the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
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
    process::lock,
    ui::messages,
};

mod server;
mod text;

/// The state of a run at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunSnapshot {
    pub(crate) stats: Stats,
    /// The number of responses by status.
    pub(crate) responses: BTreeMap<u16, u64>,
    /// Events that were listed again and dropped.
    pub(crate) duplicates: u64,
    /// The time since the instant up to which all events were read. `None` for an export.
    pub(crate) lag: Option<Duration>,
    /// Slices that are being read.
    pub(crate) open_slices: usize,
    /// The time at which the access token expires, if it is known.
    pub(crate) token_expiry: Option<DateTime<Utc>>,
}

/// The server of a run's snapshots, if there is one. It ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Option<Arc<Served>>);

impl Metrics {
    /// Starts the server if `--metrics` is given, and prints its address.
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
        let shared = Arc::new(SharedSnapshot::new(watch.max_lag));
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared), LIMITS)).abort_handle();
        let url = format!("http://{address}/metrics");
        let fields = Map::from_iter([("metrics".to_owned(), url.as_str().into())]);
        messages::note(&format!("metrics: {url}"), fields);
        Ok(Self(Some(Arc::new(Served { shared, server }))))
    }

    /// Publishes a snapshot. Without a server, `snapshot` isn't called.
    pub(crate) fn update(&self, snapshot: impl FnOnce() -> RunSnapshot) {
        if let Some(served) = &self.0 {
            served.shared.publish(snapshot(), Instant::now());
        }
    }
}

#[derive(Debug)]
struct Served {
    shared: Arc<SharedSnapshot>,
    server: AbortHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The latest snapshot, and the lag, or time since the last page, above which the run is unhealthy.
#[derive(Debug)]
struct SharedSnapshot {
    max_lag: Option<Duration>,
    latest: Mutex<Latest>,
}

#[derive(Clone, Debug)]
struct Latest {
    snapshot: RunSnapshot,
    published_at: Instant,
    /// The time of the last page, or the start of the run.
    page_at: Instant,
}

impl SharedSnapshot {
    fn new(max_lag: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            max_lag,
            latest: Mutex::new(Latest { snapshot: RunSnapshot::default(), published_at: now, page_at: now }),
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        lock(&self.latest)
    }

    fn publish(&self, snapshot: RunSnapshot, now: Instant) {
        let mut latest = self.latest();
        let has_page = snapshot.stats.pages > latest.snapshot.stats.pages;
        let page_at = if has_page { now } else { latest.page_at };
        *latest = Latest { snapshot, published_at: now, page_at };
    }

    fn text(&self, now: Instant) -> String {
        let latest = self.latest().clone();
        text::of(&latest.snapshot, latest.lag(now))
    }

    /// Fails with a reason if the run isn't healthy.
    fn health(&self, now: Instant) -> Result<(), String> {
        let Some(max) = self.max_lag else { return Ok(()) };
        let latest = self.latest();
        let (lag, reason) = match latest.lag(now) {
            Some(lag) => (lag, "reading lags by"),
            None => (now.saturating_duration_since(latest.page_at), "no page has arrived for"),
        };
        if lag <= max {
            return Ok(());
        }
        Err(format!("{reason} {} s, more than {} s", lag.as_secs(), max.as_secs()))
    }
}

impl Latest {
    /// The lag, which grows while the run publishes no snapshot.
    fn lag(&self, now: Instant) -> Option<Duration> {
        self.snapshot.lag.map(|lag| lag.saturating_add(now.saturating_duration_since(self.published_at)))
    }
}

#[cfg(test)]
mod tests;
