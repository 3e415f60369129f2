//! Syncing files to disk while others are written.

use std::{
    io,
    sync::{Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use super::{ledger::FileEntry, part_file::PartFile, totals::Totals};

/// Finished files, and the thread that syncs them to disk.
#[derive(Debug)]
pub(super) struct BackgroundSync {
    thread: JoinHandle<(Vec<PartFile>, io::Result<()>)>,
    names: Vec<String>,
    /// Their entries in the ledger until the sync is done: those of their last commits.
    pub(super) committed: Vec<FileEntry>,
    pub(super) totals: Totals,
}

impl BackgroundSync {
    /// Starts the thread. Returns the files if the system can't start one.
    pub(super) fn start(mut parts: Vec<PartFile>) -> Result<Self, Vec<PartFile>> {
        let names = parts.iter().map(|part| part.entry.name.clone()).collect();
        let committed = parts.iter().filter_map(|part| part.committed.clone()).collect();
        let mut totals = Totals::default();
        for part in &parts {
            totals.count(&part.entry, part.bytes());
        }
        // Keep the files even if the thread can't be started.
        let (sender, receiver) = mpsc::channel::<Vec<PartFile>>();
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(move || {
            let mut parts = receiver.recv().unwrap_or_default();
            let result = seal(parts.iter_mut().collect());
            (parts, result)
        });
        let Ok(thread) = thread else { return Err(parts) };
        if let Err(error) = sender.send(std::mem::take(&mut parts)) {
            return Err(error.0);
        }
        Ok(Self { thread, names, committed, totals })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|syncing| syncing == name)
    }

    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the disk, and returns the files, even if it failed.
    pub(super) fn end(self) -> (Vec<PartFile>, io::Result<()>) {
        self.thread.join().unwrap_or_else(|_| (Vec::new(), Err(panicked())))
    }
}

/// The number of files that are synced concurrently.
const CONCURRENCY: usize = 16;

/// Syncs files to disk concurrently, which is faster than one after another.
pub(super) fn seal(parts: Vec<&mut PartFile>) -> io::Result<()> {
    let helpers = parts.len().min(CONCURRENCY).saturating_sub(1);
    let parts = Mutex::new(parts.into_iter());
    let work = || {
        loop {
            let next = parts.lock().unwrap_or_else(PoisonError::into_inner).next();
            match next {
                Some(part) => part.seal()?,
                None => return Ok(()),
            }
        }
    };
    thread::scope(|scope| {
        // This thread works too, so that it is no error if the system can't start the others.
        let helper = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(helper).collect();
        let result = work();
        let ended = helpers.into_iter().map(|helper| helper.join().unwrap_or_else(|_| Err(panicked())));
        ended.fold(result, Result::and)
    })
}

fn panicked() -> io::Error {
    io::Error::other("a thread that waits for the disk has panicked")
}
