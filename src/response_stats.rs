//! `ResponseStats`: the number of a client's responses by status, and the service's time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use chrono::{DateTime, Utc};

use crate::{
    service_clock::{DateReading, Observation, ServiceClock},
    sync::lock,
};

/// The statistics of the responses to a client and its clones.
#[derive(Debug, Default)]
pub(crate) struct ResponseStats(Mutex<ResponseRecord>);

#[derive(Debug, Default)]
struct ResponseRecord {
    by_status: BTreeMap<u16, u64>,
    clock: ServiceClock,
}

impl ResponseStats {
    pub(crate) fn count(&self, status: u16) {
        *self.record().by_status.entry(status).or_default() += 1;
    }

    /// Returns true if there was no response yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.record().by_status.is_empty()
    }

    pub(crate) fn by_status(&self) -> BTreeMap<u16, u64> {
        self.record().by_status.clone()
    }

    /// Evaluates the `Date` of a response.
    pub(crate) fn observe(&self, reading: DateReading) -> Option<Observation> {
        self.record().clock.observe(reading)
    }

    /// The service's time, if a second clock or three responses support it.
    pub(crate) fn service_time(&self, at: Instant) -> Option<DateTime<Utc>> {
        self.record().clock.time(at)
    }

    /// The same, if three responses have agreed on it.
    pub(crate) fn confirmed_time(&self, at: Instant) -> Option<DateTime<Utc>> {
        let record = self.record();
        record.clock.is_confirmed().then(|| record.clock.time(at))?
    }

    /// The latest time that any response has claimed, believed or not.
    pub(crate) fn claimed_time(&self, at: Instant) -> Option<DateTime<Utc>> {
        self.record().clock.claimed(at)
    }

    fn record(&self) -> MutexGuard<'_, ResponseRecord> {
        lock(&self.0)
    }
}
