//! `Totals`: the sums over all files of an archive.

use std::ops::Add;

use super::ledger::FileEntry;

/// The sums over all files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) malformed: u64,
    pub(crate) duplicates: u64,
    /// Events with field errors, in this run.
    pub(crate) partial: u64,
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            bytes: self.bytes + other.bytes,
            malformed: self.malformed + other.malformed,
            duplicates: self.duplicates + other.duplicates,
            partial: self.partial + other.partial,
        }
    }
}

impl Totals {
    pub(super) fn count(&mut self, entry: &FileEntry, bytes: u64) {
        self.events += entry.events;
        self.bytes += bytes;
        self.malformed += entry.malformed_items();
        self.duplicates += entry.duplicates;
    }
}
