//! A clock that a test of the whole client moves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures_core::future::BoxFuture;
use tokio::sync::watch;

use super::Clock;

/// A monotonic clock and a time of day, both of which stand still until they are moved. Clones are one clock.
///
/// A sleep ends when the clock has been moved far enough.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<watch::Sender<ManualTime>>);

#[derive(Clone, Copy, Debug)]
struct ManualTime {
    now: Instant,
    utc: DateTime<Utc>,
}

impl ManualClock {
    /// A clock with this time of day.
    #[must_use]
    pub fn new(utc: DateTime<Utc>) -> Self {
        Self(Arc::new(watch::Sender::new(ManualTime { now: Instant::now(), utc })))
    }

    /// Moves both clocks.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|reading| {
            reading.now += by;
            reading.utc += by;
        });
    }

    /// Sets the time of day, in either direction. The monotonic clock stays.
    pub fn set_utc(&self, utc: DateTime<Utc>) {
        self.0.send_modify(|reading| reading.utc = utc);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.0.borrow().now
    }

    fn utc(&self) -> DateTime<Utc> {
        self.0.borrow().utc
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let mut readings = self.0.subscribe();
        let end = self.now().checked_add(wait);
        Box::pin(async move {
            let is_over = |reading: &ManualTime| end.is_some_and(|end| reading.now >= end);
            if readings.wait_for(is_over).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}
