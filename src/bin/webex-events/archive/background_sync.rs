//! Drafts on their way to disk, while others are written.

use std::{
    io,
    thread::{self, JoinHandle},
};

use super::{Totals, ledger::Entry, part_file::Draft};

/// Drafts to which nothing is added any more, in a thread that waits for the disk.
#[derive(Debug)]
pub(super) struct Sealing {
    thread: JoinHandle<(Vec<Draft>, io::Result<()>)>,
    names: Vec<String>,
    /// What the state file is to say of them meanwhile: their last commits.
    pub(super) committed: Vec<Entry>,
    pub(super) totals: Totals,
}

impl Sealing {
    pub(super) fn begin(mut drafts: Vec<Draft>) -> Self {
        let names = drafts.iter().map(|draft| draft.entry.name.clone()).collect();
        let committed = drafts.iter().filter_map(|draft| draft.committed.clone()).collect();
        let mut totals = Totals::default();
        for draft in &drafts {
            totals.count(&draft.entry, draft.bytes());
        }
        let thread = thread::spawn(move || {
            let result = seal(drafts.iter_mut().collect());
            (drafts, result)
        });
        Self { thread, names, committed, totals }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|sealing| sealing == name)
    }

    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the disk, and gives the drafts back whatever became of them.
    pub(super) fn end(self) -> (Vec<Draft>, io::Result<()>) {
        self.thread.join().unwrap_or_else(|_| (Vec::new(), Err(broken())))
    }
}

/// So many at a time.
const SIDE_BY_SIDE: usize = 16;

/// Brings drafts to disk, side by side: a disk takes several at once faster than one after another.
pub(super) fn seal(mut drafts: Vec<&mut Draft>) -> io::Result<()> {
    drafts.chunks_mut(SIDE_BY_SIDE).try_for_each(|drafts| {
        thread::scope(|scope| {
            let threads: Vec<_> = drafts.iter_mut().map(|draft| scope.spawn(|| draft.seal())).collect();
            let ended = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(broken())));
            ended.fold(Ok(()), Result::and)
        })
    })
}

fn broken() -> io::Error {
    io::Error::other("a thread that waits for the disk has broken down")
}
