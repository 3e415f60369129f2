//! Interrupts: the first one requests a clean end, and the second ends the process immediately.

use std::{
    future::pending,
    io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::Map;
use tokio::{sync::watch, time::Instant};

use crate::{error::Code, ui::messages};

/// The time that the run has to end after the first interrupt. It may be blocked in a write that nobody reads.
const GRACE: Duration = Duration::from_secs(5);
/// A terminal sends Ctrl-C to every process of the group, and some of those that start this one pass it on. The
/// same signal within this time is the same request.
const ECHO: Duration = Duration::from_millis(100);

/// A request to end the program, and the signal that it came by.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    requested: watch::Receiver<Option<Code>>,
    /// True if the run may take any time to end, until a second signal.
    is_patient: Arc<AtomicBool>,
}

impl Shutdown {
    /// Starts listening for signals. Must be called within the runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let (sender, requested) = watch::channel(None);
        let is_patient = Arc::new(AtomicBool::new(false));
        let patience = Arc::clone(&is_patient);
        tokio::spawn(async move {
            let code = signals.next().await;
            sender.send_replace(Some(code));
            let code = if patience.load(Relaxed) {
                signals.next_but(code).await
            } else {
                tokio::time::timeout(GRACE, signals.next_but(code)).await.unwrap_or(code)
            };
            messages::bar().finish_and_clear();
            let message = if patience.load(Relaxed) {
                "stopped immediately: what was committed stays, and the same command continues from there"
            } else {
                "stopped in the middle of a write: the output isn't the whole list"
            };
            messages::warning(message, Map::new());
            process::exit(code as i32);
        });
        Ok(Self { requested, is_patient })
    }

    /// Lets the run take any time to end: the output is a file, and a slow disk will finish the commit.
    pub(crate) fn allow_slow(&self) {
        self.is_patient.store(true, Relaxed);
    }

    pub(crate) fn requested(&self) -> Option<Code> {
        *self.requested.borrow()
    }

    /// Returns when the end of the program is requested.
    pub(crate) async fn wait(&mut self) -> Code {
        match self.requested.wait_for(Option::is_some).await.map(|code| *code) {
            Ok(Some(code)) => code,
            _ => pending().await,
        }
    }
}

impl Signals {
    /// The next signal that isn't an echo of `first`, which has just arrived.
    async fn next_but(&mut self, first: Code) -> Code {
        let echo_until = Instant::now() + ECHO;
        loop {
            let code = self.next().await;
            if code != first || Instant::now() >= echo_until {
                return code;
            }
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Code {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Code::Interrupted,
            Some(()) = self.terminate.recv() => Code::Terminated,
            else => pending().await,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Code {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Code::Interrupted,
            Err(_) => pending().await,
        }
    }
}
