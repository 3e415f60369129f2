//! `IdIndex`: the ids in the files, and which of them the service has listed.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

/// Ids by two independent 64-bit hashes with keys of this process, because the ids of a large archive would not
/// fit into memory.
#[derive(Debug, Default)]
pub(super) struct IdIndex {
    keys: [RandomState; 2],
    known: HashMap<u128, KnownId>,
    /// The number of listed ids by file.
    listed: HashMap<u32, u64>,
}

#[derive(Clone, Copy, Debug)]
struct KnownId {
    file: u32,
    is_listed: bool,
}

impl IdIndex {
    fn hash(&self, id: &str) -> u128 {
        let [first, second] = self.keys.each_ref().map(|key| u128::from(key.hash_one(id)));
        first << 64 | second
    }

    /// Adds an id of a file. Returns true if it is new.
    pub(super) fn add(&mut self, id: &str, file: u32) -> bool {
        let hash = self.hash(id);
        self.known.insert(hash, KnownId { file, is_listed: false }).is_none()
    }

    /// Forgets the ids of a file, which is to be read again.
    pub(super) fn forget(&mut self, file: u32) {
        self.known.retain(|_, known| known.file != file);
        self.listed.remove(&file);
    }

    /// Marks an id as listed by the service. Returns true if a file has it.
    pub(super) fn list(&mut self, id: &str) -> bool {
        let hash = self.hash(id);
        let Some(known) = self.known.get_mut(&hash) else { return false };
        if !known.is_listed {
            known.is_listed = true;
            *self.listed.entry(known.file).or_default() += 1;
        }
        true
    }

    pub(super) fn is_listed(&self, id: &str) -> bool {
        self.known.get(&self.hash(id)).is_some_and(|known| known.is_listed)
    }

    /// The number of ids of this file that were listed.
    pub(super) fn listed_of(&self, file: u32) -> u64 {
        self.listed.get(&file).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_over_all_files() {
        let mut index = IdIndex::default();
        assert!(index.add("a", 1) && index.add("b", 2));
        assert!(!index.add("a", 1) && !index.add("b", 1));
    }

    #[test]
    fn an_id_counts_as_listed_once() {
        let mut index = IdIndex::default();
        index.add("a", 1);
        index.add("b", 1);
        assert!(!index.is_listed("a") && index.list("a") && index.list("a") && index.is_listed("a"));
        assert!(!index.list("c") && !index.is_listed("c"));
        assert_eq!((index.listed_of(1), index.listed_of(2)), (1, 0));
    }

    #[test]
    fn a_file_that_is_read_again_has_no_ids_from_before() {
        let mut index = IdIndex::default();
        index.add("a", 1);
        index.add("b", 2);
        index.list("a");
        index.forget(1);
        assert!(!index.is_listed("a") && index.add("a", 3));
        assert!(!index.add("b", 3));
    }
}
