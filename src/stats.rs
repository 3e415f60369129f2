//! `Stats`: what a stream has done so far.

use std::{
    ops::Add,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What a stream has done so far. Only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Pages that have reached the reader, empty ones too.
    pub pages: u64,
    /// Events handed out.
    pub events: u64,
    /// Malformed items handed out, each as an [`Error::Item`](crate::Error::Item).
    pub malformed: u64,
    /// Requests sent, retries and read-ahead included.
    pub requests: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Bytes of the bodies of pages, unpacked.
    pub bytes: u64,
    /// Time spent waiting: for the pace, in pauses, and between attempts. Of lists that are read side by side
    /// it is the sum, which can be more than the time that has passed.
    pub waited: Duration,
}

impl Add for Stats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            pages: self.pages + other.pages,
            events: self.events + other.events,
            malformed: self.malformed + other.malformed,
            requests: self.requests + other.requests,
            retries: self.retries + other.retries,
            bytes: self.bytes + other.bytes,
            waited: self.waited.saturating_add(other.waited),
        }
    }
}

/// The part of the counting that is done where pages are fetched.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    requests: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
    waited_micros: AtomicU64,
}

impl Meter {
    pub(crate) fn request(&self, attempt: u32) {
        self.requests.fetch_add(1, Relaxed);
        if attempt > 1 {
            self.retries.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn body(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn wait(&self, time: Duration) {
        self.waited_micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// `stats` with this meter's part filled in.
    pub(crate) fn read(&self, stats: Stats) -> Stats {
        Stats {
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            waited: Duration::from_micros(self.waited_micros.load(Relaxed)),
            ..stats
        }
    }
}
