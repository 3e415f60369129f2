//! `SyncAhead`: brings a file to disk while more is written to it, so that a commit has less to wait for.

use std::{
    fs::File,
    io,
    thread::{self, JoinHandle},
};

/// The number of bytes after which a sync starts.
const STEP: u64 = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct SyncAhead {
    /// The number of bytes since the last sync has started.
    bytes: u64,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl SyncAhead {
    /// Counts bytes that were written to `file`. Starts a sync of the file if they are many and none is running.
    ///
    /// Fails if the previous sync has failed.
    pub(super) fn wrote(&mut self, file: &File, bytes: usize) -> io::Result<()> {
        self.bytes += bytes as u64;
        if self.bytes < STEP || self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        self.end()?;
        self.bytes = 0;
        // Without a handle or a thread, the commit has more to wait for, and nothing else changes.
        if let Ok(file) = file.try_clone() {
            self.thread = thread::Builder::new().name("sync".to_owned()).spawn(move || file.sync_data()).ok();
        }
        Ok(())
    }

    /// Waits for the sync that is running, if there is one.
    ///
    /// The system reports a failed write to one sync only: if this one got the error, the commit's own wouldn't.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a thread that waits for the disk has panicked")))
    }

    /// Pretends that a sync has failed.
    #[cfg(test)]
    pub(super) fn fail(&mut self) {
        self.bytes = STEP;
        self.thread = Some(thread::spawn(|| Err(io::Error::other("the disk is broken"))));
    }
}
