//! The clock of a sandbox: the system's time, shifted or stopped.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::Utc;

#[derive(Clone, Copy, Debug)]
enum ClockMode {
    /// This number of milliseconds ahead of the system's clock.
    Running(i64),
    /// Stopped at this time.
    Stopped(i64),
}

/// The system's time, or a time that was set.
#[derive(Debug)]
pub(super) struct SandboxClock(Mutex<ClockMode>);

impl SandboxClock {
    pub(super) fn new(stopped_at: Option<i64>) -> Self {
        Self(Mutex::new(stopped_at.map_or(ClockMode::Running(0), ClockMode::Stopped)))
    }

    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            ClockMode::Running(ahead) => Utc::now().timestamp_millis().saturating_add(ahead),
            ClockMode::Stopped(now) => now,
        }
    }

    pub(super) fn set(&self, now: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ClockMode::Stopped(now);
    }

    pub(super) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            ClockMode::Running(millis) | ClockMode::Stopped(millis) => *millis = millis.saturating_add(by),
        }
    }
}
