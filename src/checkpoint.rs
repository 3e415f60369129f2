//! `Checkpoint`: how far a follower has got.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How far [`Client::follow`](crate::Client::follow) has got, to be stored and come back to.
///
/// It covers what was handed out and nothing else: stored after an event was processed, it makes the next
/// follower begin behind that event. It holds an instant, and the ids of the events that were handed
/// out of the time that is still read again, since events come late: with the default of five minutes and
/// 100,000 events a day that is some 350 ids. It holds no token and no URL.
///
/// It is stored in any format of serde. What doesn't read as one is an error, and never taken for the
/// beginning.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// What was created before this has been handed out, as far as it had arrived.
    mark: DateTime<Utc>,
    settled: DateTime<Utc>,
    /// What was handed out of the time from `settled` on. An event stands under the instant of its
    /// creation, a malformed item under the end of the round that had it.
    seen: BTreeSet<(DateTime<Utc>, Box<str>)>,
}

impl Checkpoint {
    /// Begins at this instant: everything that was created then or later is handed out, and nothing
    /// that was created before.
    #[must_use]
    pub fn at(instant: DateTime<Utc>) -> Self {
        Self { mark: instant, settled: instant, seen: BTreeSet::new() }
    }

    /// Where reading begins again. Nothing that was created before this is handed out any more.
    #[must_use]
    pub fn settled(&self) -> DateTime<Utc> {
        self.settled
    }

    pub(crate) fn mark(&self) -> DateTime<Utc> {
        self.mark
    }

    pub(crate) fn has(&self, instant: DateTime<Utc>, key: &str) -> bool {
        self.seen.contains(&(instant, key.into()))
    }

    /// Whether a malformed item was handed out, of which nobody knows when it was created.
    pub(crate) fn has_anywhere(&self, key: &str) -> bool {
        self.seen.iter().any(|(_, seen)| **seen == *key)
    }

    /// What stands under this key was handed out.
    pub(crate) fn note(&mut self, instant: DateTime<Utc>, key: &str) {
        self.seen.insert((instant, key.into()));
    }

    /// Everything created before `to` has been handed out, as far as it had arrived, and what was created
    /// before `horizon` had.
    pub(crate) fn advance(&mut self, to: DateTime<Utc>, horizon: DateTime<Utc>) {
        self.mark = self.mark.max(to);
        let settled = to.min(horizon);
        if settled > self.settled {
            self.settled = settled;
            if self.seen.first().is_some_and(|(instant, _)| *instant < settled) {
                self.seen = self.seen.split_off(&(settled, Box::default()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_603_600 + second, 0).unwrap()
    }

    #[test]
    fn what_is_read_again_is_remembered_and_no_more() {
        let mut checkpoint = Checkpoint::at(at(0));
        for second in 0..10 {
            checkpoint.note(at(second), &second.to_string());
            checkpoint.advance(at(second), at(5));
        }
        assert_eq!((checkpoint.mark(), checkpoint.settled()), (at(9), at(5)));
        let remembered: Vec<_> = (0..10).filter(|&s| checkpoint.has(at(s), &s.to_string())).collect();
        assert_eq!(remembered, [5, 6, 7, 8, 9]);
        checkpoint.advance(at(20), at(20));
        assert_eq!(checkpoint.seen.len(), 0);
    }

    #[test]
    fn neither_the_mark_nor_the_horizon_moves_back() {
        let mut checkpoint = Checkpoint::at(at(10));
        checkpoint.advance(at(3), at(1));
        assert_eq!(checkpoint, Checkpoint::at(at(10)));
        checkpoint.advance(at(20), at(15));
        checkpoint.advance(at(19), at(14));
        assert_eq!((checkpoint.mark(), checkpoint.settled()), (at(20), at(15)));
    }

    #[test]
    fn what_is_cut_off_or_of_a_later_version_is_refused() {
        let mut checkpoint = Checkpoint::at(at(10));
        checkpoint.note(at(11), "Y2lz");
        let text = serde_json::to_string(&checkpoint).unwrap();
        assert_eq!(serde_json::from_str::<Checkpoint>(&text).unwrap(), checkpoint);
        for end in 0..text.len() {
            assert!(serde_json::from_str::<Checkpoint>(&text[..end]).is_err());
        }
        let later = text.replacen('{', "{\"later\":1,", 1);
        assert!(serde_json::from_str::<Checkpoint>(&later).is_err());
    }
}
