//! `Stats`: the work of a stream so far.

use std::{
    ops::Add,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde::Serialize;

/// The work of a stream so far. The numbers never decrease.
///
/// It implements `Serialize`, for logs: a map with the names of the fields, and `waited` in the form that serde
/// gives a [`Duration`] (`secs`, `nanos`).
///
/// ```
/// # use futures::TryStreamExt;
/// # use webex_events::{Client, ListEvents, Result};
/// # async fn example(client: Client) -> Result<()> {
/// let mut events = client.list(ListEvents::new());
/// while events.try_next().await?.is_some() {}
/// let stats = events.stats();
/// println!("{} events in {} requests, {:?} of waits", stats.events, stats.requests, stats.waited);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Pages that were yielded, even if they are empty.
    pub pages: u64,
    /// Events that were yielded.
    pub events: u64,
    /// Malformed items that were yielded, each as an [`Error::Item`](crate::Error::Item).
    pub malformed: u64,
    /// Events that the service listed for a [`Slice`](crate::Slice) although they were created outside of the
    /// slice and its margin. They are not yielded. A follower counts events that were created more than a minute
    /// before the range that it requested, each once as long as it remembers them: after 100,000 such events it
    /// counts every further one each time that a round lists it. For other streams the number is 0.
    ///
    /// Such an event either has a wrong `created` (the year 1, for example), or was stored later than the
    /// margin allows for: then a larger [`Slices::margin`](crate::Slices::margin) makes sure that it is
    /// yielded by the slice that it belongs to. One event can be counted by several slices.
    pub outside: u64,
    /// Requests that were sent, retries and read-ahead included.
    pub requests: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Decompressed bytes of the bodies of pages.
    pub bytes: u64,
    /// Time spent waiting: for the rate limit, in pauses, and between attempts. For lists that are read
    /// concurrently it is the sum, which can exceed the time that has passed.
    pub waited: Duration,
}

impl Add for Stats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            pages: self.pages + other.pages,
            events: self.events + other.events,
            malformed: self.malformed + other.malformed,
            outside: self.outside + other.outside,
            requests: self.requests + other.requests,
            retries: self.retries + other.retries,
            bytes: self.bytes + other.bytes,
            waited: self.waited.saturating_add(other.waited),
        }
    }
}

/// The counters that are kept where pages are fetched.
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

    /// `stats` with the counters of this meter.
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
