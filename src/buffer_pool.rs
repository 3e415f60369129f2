//! Buffers that are reused from one page to the next.

use std::{fmt, sync::Mutex};

use crate::sync::lock;

/// The number of buffers that are kept: one page is read while another is being fetched.
const BUFFERS: usize = 2;

/// A longer buffer is not kept. A page of 1,000 events has about a megabyte.
const LONGEST: usize = 4 << 20;

/// The buffers of dropped pages, for later pages.
///
/// Without the pool each body is memory that the system hands out and clears again: for pages of 100 events that
/// takes longer than decoding them.
#[derive(Debug, Default)]
pub(crate) struct BufferPool(Mutex<Vec<Vec<u8>>>);

impl BufferPool {
    /// Returns an empty buffer with room for this number of bytes.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        let mut buffer = lock(&self.0).pop().unwrap_or_default();
        buffer.reserve_exact(bytes);
        buffer
    }
}

/// Takes buffers back. Behind a trait, so that an event, which leads to it, can be the key of a map: by its type
/// alone, a lock would look like a part of the key.
pub(crate) trait TakesBack: fmt::Debug + Send + Sync {
    /// Keeps a buffer that is no longer needed, if there is room for it.
    fn give(&self, buffer: Vec<u8>);
}

impl TakesBack for BufferPool {
    fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() > LONGEST {
            return;
        }
        buffer.clear();
        let mut kept = lock(&self.0);
        if kept.len() < BUFFERS {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_reused_empty_and_with_its_capacity() {
        let spare = BufferPool::default();
        let mut buffer = spare.take(100);
        buffer.extend_from_slice(&[1; 100]);
        let room = (buffer.as_ptr(), buffer.capacity());
        spare.give(buffer);
        let again = spare.take(50);
        assert_eq!((again.as_ptr(), again.capacity(), again.len()), (room.0, room.1, 0));
        assert!(spare.take(50).capacity() >= 50);
    }

    #[test]
    fn little_is_kept() {
        let spare = BufferPool::default();
        spare.give(Vec::with_capacity(LONGEST + 1));
        assert_eq!(spare.take(0).capacity(), 0);
        for _ in 0..=BUFFERS {
            spare.give(Vec::with_capacity(10));
        }
        let kept = (0..=BUFFERS).filter(|_| spare.take(0).capacity() > 0).count();
        assert_eq!(kept, BUFFERS);
    }
}
