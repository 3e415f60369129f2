//! `Checkpoint`: how far a follower has got.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How far [`Client::follow`](crate::Client::follow) has got, to be stored and come back to.
///
/// It covers what was handed out and nothing else: stored after an event was processed, it makes the next
/// follower begin behind that event. It holds an instant, and the ids of the events that were handed
/// out of the time that is still read again, since events come late: with the default of five minutes and
/// 100,000 events a day that is some 350 ids. Of a malformed item, which has none, it holds the text for as
/// long as it is listed. It holds no token and no URL.
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
    /// The events that were handed out of the time from `settled` on, by the instants of their creation.
    seen: BTreeSet<(DateTime<Utc>, Box<str>)>,
    /// The malformed items that were handed out, and up to where the latest round with them was read.
    /// Nobody knows when they were created.
    malformed: BTreeMap<Box<str>, DateTime<Utc>>,
}

impl Checkpoint {
    /// Begins at this instant: everything that was created then or later is handed out, and nothing
    /// that was created before.
    #[must_use]
    pub fn at(instant: DateTime<Utc>) -> Self {
        Self { mark: instant, settled: instant, seen: BTreeSet::new(), malformed: BTreeMap::new() }
    }

    /// Where reading begins again. Nothing that was created before this is handed out any more.
    #[must_use]
    pub fn settled(&self) -> DateTime<Utc> {
        self.settled
    }

    pub(crate) fn mark(&self) -> DateTime<Utc> {
        self.mark
    }

    pub(crate) fn has(&self, created: DateTime<Utc>, id: &str) -> bool {
        self.seen.contains(&(created, id.into()))
    }

    /// Whether the malformed item with this text was handed out.
    pub(crate) fn has_malformed(&self, raw: &str) -> bool {
        self.malformed.contains_key(raw)
    }

    /// This event was handed out.
    pub(crate) fn note(&mut self, created: DateTime<Utc>, id: &str) {
        self.seen.insert((created, id.into()));
    }

    /// The malformed item with this text was handed out, in this round or before, and a round up to `end`
    /// has it.
    pub(crate) fn note_malformed(&mut self, raw: &str, end: DateTime<Utc>) {
        let listed = self.malformed.entry(raw.into()).or_insert(end);
        *listed = end.max(*listed);
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

    /// The same at the end of a round.
    pub(crate) fn close(&mut self, to: DateTime<Utc>, horizon: DateTime<Utc>) {
        self.advance(to, horizon);
        self.malformed.retain(|_, listed| *listed >= self.settled);
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
    fn a_malformed_item_is_remembered_for_as_long_as_it_is_listed() {
        let mut checkpoint = Checkpoint::at(at(0));
        for end in [10, 20, 15] {
            checkpoint.note_malformed("{}", at(end));
            checkpoint.close(at(end), at(end));
            assert!(checkpoint.has_malformed("{}") && !checkpoint.has_malformed("[]"), "{end}");
        }
        checkpoint.close(at(30), at(20));
        assert!(checkpoint.has_malformed("{}"));
        checkpoint.close(at(30), at(21));
        assert!(!checkpoint.has_malformed("{}"));
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
        checkpoint.note_malformed("{\"id\":7}", at(12));
        let text = serde_json::to_string(&checkpoint).unwrap();
        assert_eq!(serde_json::from_str::<Checkpoint>(&text).unwrap(), checkpoint);
        for end in 0..text.len() {
            assert!(serde_json::from_str::<Checkpoint>(&text[..end]).is_err());
        }
        let later = text.replacen('{', "{\"later\":1,", 1);
        assert!(serde_json::from_str::<Checkpoint>(&later).is_err());
    }
}
