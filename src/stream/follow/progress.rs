//! The items that a follower has yielded: its checkpoint, and an index of it.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};

use crate::{checkpoint::Checkpoint, event::Event, fingerprint::Fingerprint};

/// Stale entries are dropped once there are more of them than others, but not while there are this few.
const FEW: usize = 64;

/// The checkpoint is shared with its clones, so entries can only be added; the index finds entries. An id is
/// remembered with the latest `created` that it was listed with, because the service may list an event again with
/// another one, and a follower reads again from an instant.
#[derive(Debug)]
pub(super) struct FollowProgress {
    checkpoint: Checkpoint,
    seen: HashMap<Arc<str>, DateTime<Utc>>,
    malformed: HashMap<Fingerprint, DateTime<Utc>>,
}

impl FollowProgress {
    pub(super) fn new(checkpoint: Checkpoint) -> Self {
        let (mut seen, mut malformed) = (HashMap::new(), HashMap::new());
        for (instant, id) in checkpoint.seen() {
            remember(&mut seen, Arc::clone(id), instant);
        }
        for (instant, item) in checkpoint.malformed() {
            remember(&mut malformed, item, instant);
        }
        Self { checkpoint, seen, malformed }
    }

    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub(super) fn mark(&self) -> DateTime<Utc> {
        self.checkpoint.mark()
    }

    /// Returns whether the event was yielded. If it is now listed with a later `created`, it is remembered for longer.
    pub(super) fn is_known(&mut self, event: &Event) -> bool {
        let created = event.created();
        let Some((id, _)) = self.seen.get_key_value(event.id()).filter(|(_, known)| **known < created) else {
            return self.has(event);
        };
        let id = Arc::clone(id);
        self.seen.insert(Arc::clone(&id), created);
        self.checkpoint.note(created, id);
        true
    }

    pub(super) fn has(&self, event: &Event) -> bool {
        self.seen.contains_key(event.id())
    }

    pub(super) fn has_malformed(&self, item: Fingerprint) -> bool {
        self.malformed.contains_key(&item)
    }

    /// Notes that the event was yielded.
    pub(super) fn note(&mut self, event: &Event) {
        let id: Arc<str> = event.id().into();
        self.checkpoint.note(event.created(), Arc::clone(&id));
        self.seen.insert(id, event.created());
    }

    /// Notes that the malformed item was yielded, in this round or before, and is listed by a round up to `end`.
    pub(super) fn note_malformed(&mut self, item: Fingerprint, end: DateTime<Utc>) {
        if remember(&mut self.malformed, item, end) {
            self.checkpoint.note_malformed(item, end);
        }
    }

    /// Moves the checkpoint, as [`Checkpoint::advance`].
    pub(super) fn advance(&mut self, to: DateTime<Utc>, horizon: DateTime<Utc>) {
        self.checkpoint.advance(to, horizon);
    }

    /// Forgets the entries of items that are not read again.
    pub(super) fn forget_settled(&mut self) {
        let settled = self.checkpoint.settled();
        self.seen.retain(|_, instant| *instant >= settled);
        self.malformed.retain(|_, instant| *instant >= settled);
        if self.checkpoint.entries() > 2 * (self.seen.len() + self.malformed.len()) + FEW {
            let seen = self.seen.iter().map(|(id, instant)| (*instant, Arc::clone(id)));
            let malformed = self.malformed.iter().map(|(item, instant)| (*instant, *item));
            self.checkpoint.compact(seen, malformed);
        }
    }
}

/// Keeps the later instant. Returns whether it is a new one.
fn remember<K: Eq + std::hash::Hash>(
    known: &mut HashMap<K, DateTime<Utc>>,
    key: K,
    instant: DateTime<Utc>,
) -> bool {
    let before = known.get(&key).copied();
    if before >= Some(instant) {
        return false;
    }
    known.insert(key, instant);
    true
}
