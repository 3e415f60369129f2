//! The process: its threads, and the signal of a limit.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

/// The main thread drives the run; these do everything else that doesn't block.
const WORKERS: usize = 2;
/// The writer, a name that is looked up, and a token that is read.
const BLOCKING: usize = 3;
/// Files that are brought to disk, and a renewal of tokens.
const OTHERS: usize = 2;
/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(1 << 32);

/// Starts the runtime with all threads that a run can't do without.
///
/// # Errors
///
/// The system has no room for them.
pub(crate) fn runtime() -> io::Result<Runtime> {
    // For a thread that the system doesn't give, tokio panics, or waits without end.
    try_threads(WORKERS + BLOCKING + OTHERS)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_keep_alive(FOREVER)
        .enable_all()
        .build()?;
    // Threads that exist don't have to be started when the system may have none left.
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..BLOCKING {
        let gate = Arc::clone(&gate);
        runtime.spawn_blocking(move || drop(gate.lock()));
    }
    drop(closed);
    Ok(runtime)
}

/// Finds out whether the system has room for `count` threads more.
fn try_threads(count: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let start = |_| thread::Builder::new().spawn_scoped(scope, || drop(gate.lock()));
        let threads: io::Result<Vec<_>> = (0..count).map(start).collect();
        drop(closed);
        // The scope itself doesn't wait until the system has them back.
        for thread in threads? {
            let _ = thread.join();
        }
        Ok(())
    })
}

/// Makes a write beyond the limit of file sizes an error of that write. By default its signal, SIGXFSZ, kills the
/// process.
#[cfg(unix)]
pub(crate) fn survive_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).map(drop)
}

/// There is no such signal here.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
pub(crate) fn survive_file_size_limit() -> io::Result<()> {
    Ok(())
}
