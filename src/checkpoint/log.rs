//! A list that only grows, and that its clones share.

use std::{mem, sync::Arc};

/// Number of entries that are copied at most when a clone is added to.
const CHUNK: usize = 32;

/// A list of full chunks, of which each points to the one before it, and a last one that is filled. A clone costs
/// two counters, however long the list is, and adding to it copies no more than the last chunk.
#[derive(Clone, Debug)]
pub(super) struct SharedLog<T> {
    full: Option<Arc<Chunk<T>>>,
    last: Arc<Vec<T>>,
    len: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    entries: Arc<Vec<T>>,
    before: Option<Arc<Self>>,
}

impl<T> Default for SharedLog<T> {
    fn default() -> Self {
        Self { full: None, last: Arc::default(), len: 0 }
    }
}

impl<T: Clone> SharedLog<T> {
    pub(super) fn push(&mut self, entry: T) {
        let last = Arc::make_mut(&mut self.last);
        last.push(entry);
        self.len += 1;
        if last.len() == CHUNK {
            let entries = mem::take(&mut self.last);
            self.full = Some(Arc::new(Chunk { entries, before: self.full.take() }));
        }
    }
}

impl<T> SharedLog<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The entries in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut chunks = vec![&self.last];
        let mut next = self.full.as_deref();
        while let Some(chunk) = next {
            chunks.push(&chunk.entries);
            next = chunk.before.as_deref();
        }
        chunks.into_iter().rev().flat_map(|entries| entries.iter())
    }
}

impl<T: Clone> FromIterator<T> for SharedLog<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut log = Self::default();
        entries.into_iter().for_each(|entry| log.push(entry));
        log
    }
}

/// Without this, a long list would be dropped by a recursion as deep as it has chunks.
impl<T> Drop for Chunk<T> {
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(chunk) = next {
            next = Arc::into_inner(chunk).and_then(|mut chunk| chunk.before.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_pace_and_the_pauses() {
        let mut log: SharedLog<usize> = (0..100).collect();
        let mut other = log.clone();
        log.push(100);
        other.push(200);
        assert!(log.iter().copied().eq(0..=100) && log.len() == 101);
        assert!(other.iter().copied().eq((0..100).chain([200])));
        assert!(Arc::ptr_eq(log.full.as_ref().unwrap(), other.full.as_ref().unwrap()));
    }

    #[test]
    fn a_long_list_is_dropped_without_a_deep_recursion() {
        let log: SharedLog<usize> = (0..1_000_000).collect();
        assert_eq!(log.iter().count(), 1_000_000);
        drop(log);
    }
}
