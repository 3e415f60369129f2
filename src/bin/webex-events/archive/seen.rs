//! `SeenIds`: the ids that a file contains.

use std::{
    collections::HashSet,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

use siphasher::sip128::SipHasher13;

/// Remembers ids by a 128-bit hash with a key of this process. Two ids collide with a probability of 2^-128 per pair, and
/// nobody can choose ids that collide.
///
/// With a limit, it remembers at least this number of the last ids and at most twice as many, in two generations: when
/// the newer one is full, the older one is dropped.
#[derive(Debug)]
pub(crate) struct SeenIds {
    hasher: SipHasher13,
    young: Hashes,
    old: Hashes,
    limit: Option<usize>,
}

type Hashes = HashSet<u128, BuildHasherDefault<Hashed>>;

/// Uses half of a hash as the hash of an entry.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(0, |half| u64::from_ne_bytes(*half));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl SeenIds {
    pub(super) fn new(limit: Option<usize>) -> Self {
        // The standard library has random keys, and no 128-bit hash.
        let [first, second] = [0, 1].map(|half| RandomState::new().hash_one(half));
        let hasher = SipHasher13::new_with_keys(first, second);
        Self { hasher, young: Hashes::default(), old: Hashes::default(), limit }
    }

    /// Adds an id. Returns true if it is new.
    pub(crate) fn insert(&mut self, id: &str) -> bool {
        let hash = self.hasher.hash(id.as_bytes()).as_u128();
        if self.old.contains(&hash) || !self.young.insert(hash) {
            return false;
        }
        if self.limit.is_some_and(|limit| self.young.len() >= limit) {
            self.old = std::mem::take(&mut self.young);
        }
        true
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once() {
        let mut seen = SeenIds::new(None);
        let new = ["a", "b", "a", "", "b", ""].map(|id| seen.insert(id));
        assert_eq!(new, [true, true, false, true, false, false]);
        seen.clear();
        assert!(seen.insert("a"));
    }

    #[test]
    fn with_a_limit_the_last_ids_are_remembered_in_bounded_memory() {
        let mut seen = SeenIds::new(Some(100));
        for n in 0..1000 {
            assert!(seen.insert(&n.to_string()));
            assert!(seen.young.len() + seen.old.len() <= 200);
            for last in (0..=n).rev().take(100) {
                assert!(!seen.insert(&last.to_string()), "{last} of {n}");
            }
        }
        assert!(seen.insert("0"), "it is long forgotten");
    }
}
