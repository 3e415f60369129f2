//! The clock that a sandbox goes by.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::Utc;

#[derive(Clone, Copy, Debug)]
enum Reading {
    /// So many milliseconds ahead of the system's.
    Running(i64),
    Standing(i64),
}

/// The system's time, or a time that was set.
#[derive(Debug)]
pub(super) struct Clock(Mutex<Reading>);

impl Clock {
    pub(super) fn new(standing: Option<i64>) -> Self {
        Self(Mutex::new(standing.map_or(Reading::Running(0), Reading::Standing)))
    }

    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Reading::Running(ahead) => Utc::now().timestamp_millis().saturating_add(ahead),
            Reading::Standing(now) => now,
        }
    }

    pub(super) fn set(&self, now: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Reading::Standing(now);
    }

    pub(super) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Reading::Running(millis) | Reading::Standing(millis) => *millis = millis.saturating_add(by),
        }
    }
}
