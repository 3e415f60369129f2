//! A wait that a stream polls, on any runtime.

use std::{
    fmt,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_core::future::BoxFuture;
use tokio::runtime::{Handle, Id};

use crate::{
    clock::Clock,
    error::{Result, TransportError},
};

/// The runtime that a poll happens in.
///
/// # Errors
///
/// A transient error if there is none: tokio's timers and sockets would panic.
pub(crate) fn current_runtime() -> Result<Id> {
    let handle = Handle::try_current();
    handle.map(|handle| handle.id()).map_err(|error| TransportError::new("no tokio runtime", error).into())
}

/// A wait from one instant on. Its runtime may end before it does: on another one, it waits for the rest.
pub(crate) struct Timer {
    begun: Instant,
    wait: Duration,
    /// The sleep of the runtime that polled last.
    sleep: Option<(Id, BoxFuture<'static, ()>)>,
}

impl Timer {
    pub(crate) fn new(begun: Instant, wait: Duration) -> Self {
        Self { begun, wait, sleep: None }
    }

    pub(crate) fn poll(&mut self, clock: &dyn Clock, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let runtime = current_runtime()?;
        let rest = self.wait.saturating_sub(clock.now().saturating_duration_since(self.begun));
        if rest.is_zero() {
            return Poll::Ready(Ok(()));
        }
        let sleep = match self.sleep.take() {
            Some(sleep) if sleep.0 == runtime => sleep,
            _ => (runtime, clock.sleep(rest)),
        };
        let (_, sleep) = self.sleep.insert(sleep);
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("begun", &self.begun).field("wait", &self.wait).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt;
    use tokio::runtime::Builder;

    use super::*;
    use crate::clock::System;

    #[test]
    fn a_wait_is_continued_on_another_runtime_when_its_own_has_ended() {
        let runtime = || Builder::new_current_thread().enable_time().build().unwrap();
        let mut timer = Timer::new(System.now(), Duration::from_millis(30));
        let first = runtime().block_on(async { poll_fn(|cx| timer.poll(&System, cx)).now_or_never() });
        assert!(first.is_none());
        let orphaned = poll_fn(|cx| timer.poll(&System, cx)).now_or_never();
        assert!(orphaned.unwrap().unwrap_err().is_transient());
        runtime().block_on(poll_fn(|cx| timer.poll(&System, cx))).unwrap();
    }
}
