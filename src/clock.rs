//! `Clock`: the time, waiting and random jitter. Nothing else in the crate reads a clock.

use std::{
    fmt,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures_core::future::BoxFuture;

/// The source of time and chance for the rest of the crate, so that its decisions can be tested without waiting.
pub(crate) trait Clock: fmt::Debug + Send + Sync {
    fn now(&self) -> Instant;
    /// The time of day as this machine has it, right or wrong.
    fn utc(&self) -> DateTime<Utc>;
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()>;
    /// Returns a random number of at least 0 and less than 1.
    fn jitter(&self) -> f64;
}

/// The runtime's clock.
#[derive(Debug)]
pub(crate) struct System;

impl Clock for System {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn utc(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(wait))
    }

    fn jitter(&self) -> f64 {
        fastrand::f64()
    }
}

#[cfg(feature = "__internals")]
pub(crate) mod manual;

/// A clock for tests: sleeping moves it forward immediately, and the test sets `jitter`.
#[cfg(test)]
pub(crate) mod simulated {
    use std::sync::Mutex;

    use super::{BoxFuture, Clock, DateTime, Duration, Instant, Utc};

    #[derive(Debug)]
    pub(crate) struct Simulated {
        start: Instant,
        now: Mutex<Instant>,
        jitter: f64,
    }

    impl Simulated {
        pub(crate) fn new(jitter: f64) -> &'static Self {
            let start = Instant::now();
            Box::leak(Box::new(Self { start, now: Mutex::new(start), jitter }))
        }

        pub(crate) fn advance(&self, by: Duration) {
            *self.now.lock().unwrap() += by;
        }
    }

    impl Clock for &'static Simulated {
        fn now(&self) -> Instant {
            *self.now.lock().unwrap()
        }

        /// It was midnight when the clock was made, at the beginning of 2026.
        fn utc(&self) -> DateTime<Utc> {
            let midnight = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
            midnight + (self.now() - self.start)
        }

        fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
            let clock: &'static Simulated = self;
            Box::pin(async move { clock.advance(wait) })
        }

        fn jitter(&self) -> f64 {
            self.jitter
        }
    }
}
