//! `Checkpoint`: the position of a follower.

use std::{collections::BTreeMap, fmt, sync::Arc};

use chrono::{DateTime, Utc};

use self::log::SharedLog;
use crate::fingerprint::Fingerprint;

mod log;
mod stored;

/// The position of a [`Follow`](crate::Follow), to be stored and continued from.
///
/// It covers the events that were yielded and nothing else: if it is stored after an event was processed, the next
/// follower continues after that event. It holds an instant, and the ids of the events that were yielded and lie in
/// the time that is read again, because events arrive late: with the default of five minutes and 100,000 events a
/// day, about 350 ids. A malformed item has no id; of it the checkpoint holds a hash (the first 128 bits of the
/// SHA-256 of its bytes) for as long as it is listed. It holds no token and no URL.
///
/// Cloning it takes constant time, and storing it takes time in proportion to the ids. It is stored in any format
/// of serde. The stored form has a version. The earlier form, without a version, is read only from self-describing
/// formats such as JSON. Anything else is an error, and never read as an empty checkpoint.
///
/// ```
/// use webex_events::Checkpoint;
///
/// let checkpoint = Checkpoint::at("2026-01-05T09:00:00Z".parse()?);
/// let stored = serde_json::to_string(&checkpoint)?;
/// assert_eq!(serde_json::from_str::<Checkpoint>(&stored)?, checkpoint);
/// assert!(serde_json::from_str::<Checkpoint>("{}").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Checkpoint {
    /// The events created before this have been yielded, as far as they had arrived.
    mark: DateTime<Utc>,
    /// Reading continues here: no event created before this is yielded any more.
    settled: DateTime<Utc>,
    /// The events that were yielded, each with the latest `created` that it was listed with. What lies before
    /// `settled` is not part of the value. An id may be repeated; the latest instant counts.
    seen: SharedLog<(DateTime<Utc>, Arc<str>)>,
    /// The malformed items that were yielded, each with the instant up to which the latest round that listed it was
    /// read, because nobody knows when they were created. Otherwise as `seen`.
    malformed: SharedLog<(DateTime<Utc>, Fingerprint)>,
}

impl Checkpoint {
    /// A checkpoint at this instant: every event that was created then or later is yielded, and none that was
    /// created before.
    #[must_use]
    pub fn at(instant: DateTime<Utc>) -> Self {
        Self { mark: instant, settled: instant, seen: SharedLog::default(), malformed: SharedLog::default() }
    }

    /// The instant at which reading continues. No event that was created before it is yielded any more.
    #[must_use]
    pub fn settled(&self) -> DateTime<Utc> {
        self.settled
    }

    pub(crate) fn mark(&self) -> DateTime<Utc> {
        self.mark
    }

    /// The ids of the events that were yielded.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (DateTime<Utc>, &Arc<str>)> {
        self.seen.iter().filter(|(instant, _)| *instant >= self.settled).map(|(instant, id)| (*instant, id))
    }

    /// The malformed items that were yielded.
    pub(crate) fn malformed(&self) -> impl Iterator<Item = (DateTime<Utc>, Fingerprint)> {
        self.malformed.iter().copied().filter(|(instant, _)| *instant >= self.settled)
    }

    /// Adds an event that was yielded.
    pub(crate) fn note(&mut self, created: DateTime<Utc>, id: Arc<str>) {
        self.seen.push((created, id));
    }

    /// Adds a malformed item that was yielded, in this round or before, and is listed by a round up to `end`.
    pub(crate) fn note_malformed(&mut self, item: Fingerprint, end: DateTime<Utc>) {
        self.malformed.push((end, item));
    }

    /// Every event created before `to` has been yielded, as far as it had arrived, and those created before
    /// `horizon` had. Neither instant moves back.
    pub(crate) fn advance(&mut self, to: DateTime<Utc>, horizon: DateTime<Utc>) {
        self.mark = self.mark.max(to);
        self.settled = self.settled.max(to.min(horizon));
    }

    /// Number of entries that are kept, those before `settled` included.
    pub(crate) fn entries(&self) -> usize {
        self.seen.len() + self.malformed.len()
    }

    /// Replaces the entries by those that are part of the value.
    pub(crate) fn compact(
        &mut self,
        seen: impl Iterator<Item = (DateTime<Utc>, Arc<str>)>,
        malformed: impl Iterator<Item = (DateTime<Utc>, Fingerprint)>,
    ) {
        self.seen = seen.collect();
        self.malformed = malformed.collect();
    }
}

/// Each entry with its latest instant.
fn latest<K: Ord>(entries: impl Iterator<Item = (DateTime<Utc>, K)>) -> BTreeMap<K, DateTime<Utc>> {
    let mut latest = BTreeMap::new();
    for (instant, key) in entries {
        let known = latest.entry(key).or_insert(instant);
        *known = instant.max(*known);
    }
    latest
}

/// The checkpoint at this instant, as [`Checkpoint::at`].
impl From<DateTime<Utc>> for Checkpoint {
    fn from(instant: DateTime<Utc>) -> Self {
        Self::at(instant)
    }
}

impl PartialEq for Checkpoint {
    fn eq(&self, other: &Self) -> bool {
        (self.mark, self.settled) == (other.mark, other.settled)
            && latest(self.seen()) == latest(other.seen())
            && latest(self.malformed()) == latest(other.malformed())
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("mark", &self.mark)
            .field("settled", &self.settled)
            .field("seen", &self.seen().count())
            .field("malformed", &self.malformed().count())
            .finish()
    }
}

#[cfg(test)]
mod tests;
