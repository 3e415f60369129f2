//! The clock of a sandbox: the system's time, shifted or stopped.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use chrono::Utc;

use crate::sync::lock;

#[derive(Clone, Copy, Debug)]
enum ClockMode {
    /// This number of milliseconds ahead of the system's clock.
    Running(i64),
    /// Stopped at this time.
    Stopped(i64),
}

/// The system's time, or a time that was set.
#[derive(Debug)]
pub(super) struct SandboxClock {
    mode: Mutex<ClockMode>,
    started: Instant,
    /// Milliseconds by which it was moved forward.
    advanced: AtomicU64,
}

impl SandboxClock {
    pub(super) fn new(stopped_at: Option<i64>) -> Self {
        let mode = stopped_at.map_or(ClockMode::Running(0), ClockMode::Stopped);
        Self { mode: Mutex::new(mode), started: Instant::now(), advanced: AtomicU64::new(0) }
    }

    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        match *lock(&self.mode) {
            ClockMode::Running(ahead) => Utc::now().timestamp_millis().saturating_add(ahead),
            ClockMode::Stopped(now) => now,
        }
    }

    pub(super) fn set(&self, now: i64) {
        *lock(&self.mode) = ClockMode::Stopped(now);
    }

    /// The real time since the start, and the time by which the clock was moved forward.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed().saturating_add(Duration::from_millis(self.advanced.load(Relaxed)))
    }

    pub(super) fn advance(&self, by: Duration) {
        self.advanced.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX >> 1), Relaxed);
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        match &mut *lock(&self.mode) {
            ClockMode::Running(millis) | ClockMode::Stopped(millis) => *millis = millis.saturating_add(by),
        }
    }
}
