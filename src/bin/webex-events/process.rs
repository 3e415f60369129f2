//! The process: its threads, its locks, and the signal of the file size limit.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

/// Threads for tasks that don't block. The main thread drives the run.
const WORKERS: usize = 2;
/// Threads for the writer, for looking up a name, and for reading a token.
const BLOCKING: usize = 3;
/// Threads for syncing files to disk, and for renewing tokens.
const OTHERS: usize = 2;
/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(1 << 32);

/// Starts the runtime with all threads that a run needs.
///
/// # Errors
///
/// The system refuses to start that many threads.
pub(crate) fn runtime() -> io::Result<Runtime> {
    // Tokio panics or waits forever if it can't start a thread.
    try_threads(WORKERS + BLOCKING + OTHERS)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_keep_alive(FOREVER)
        .enable_all()
        .build()?;
    // Start the blocking threads now: the system may refuse them later.
    let gate = Arc::new(Mutex::new(()));
    let closed = lock(&gate);
    for _ in 0..BLOCKING {
        let gate = Arc::clone(&gate);
        runtime.spawn_blocking(move || drop(gate.lock()));
    }
    drop(closed);
    Ok(runtime)
}

/// Locks a mutex, even if a thread that held it has panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that the system can start `count` more threads.
fn try_threads(count: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let closed = lock(&gate);
        let start = |_| thread::Builder::new().spawn_scoped(scope, || drop(gate.lock()));
        let threads: io::Result<Vec<_>> = (0..count).map(start).collect();
        drop(closed);
        // The scope itself doesn't wait until the system has released them.
        for thread in threads? {
            let _ = thread.join();
        }
        Ok(())
    })
}

/// Makes a write beyond the file size limit return an error. By default the signal SIGXFSZ kills the process.
#[cfg(unix)]
pub(crate) fn survive_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).map(drop)
}

/// This system has no such signal.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
pub(crate) fn survive_file_size_limit() -> io::Result<()> {
    Ok(())
}
