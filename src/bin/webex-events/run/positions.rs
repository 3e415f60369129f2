//! The positions of a follower: a checkpoint for each of its lists.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use webex_events::Checkpoint;

/// The checkpoints of a follower's lists, in the order of its request. There is at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Positions {
    first: Checkpoint,
    others: Vec<Checkpoint>,
}

impl Positions {
    /// The positions of `first` and `others`.
    pub(crate) fn new(first: Checkpoint, others: impl IntoIterator<Item = Checkpoint>) -> Self {
        Self { first, others: others.into_iter().collect() }
    }

    /// All lists at this instant.
    pub(crate) fn at(instant: DateTime<Utc>, lists: usize) -> Self {
        let first = Checkpoint::at(instant);
        Self { others: vec![first.clone(); lists.saturating_sub(1)], first }
    }

    /// Reads what [`stored`](Self::stored) returned for this number of lists.
    pub(crate) fn read(stored: &Value, lists: usize) -> serde_json::Result<Self> {
        if lists <= 1 {
            return Ok(Self::new(serde_json::from_value(stored.clone())?, []));
        }
        let mut checkpoints: Vec<Checkpoint> = serde_json::from_value(stored.clone())?;
        if checkpoints.len() != lists {
            let found = checkpoints.len();
            return Err(serde::de::Error::custom(format!("it has {found} lists and should have {lists}")));
        }
        Ok(Self { first: checkpoints.remove(0), others: checkpoints })
    }

    /// The form in the ledger: the checkpoint, or an array of several.
    pub(crate) fn stored(&self) -> Value {
        if self.others.is_empty() { json!(self.first) } else { self.each().map(|one| json!(one)).collect() }
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = &Checkpoint> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Positions from which all events that were created at or after this instant are yielded again. A list that hasn't
    /// settled up to it is read from where it has.
    pub(crate) fn rewound(&self, to: DateTime<Utc>) -> Self {
        let rewound = |checkpoint: &Checkpoint| Checkpoint::at(checkpoint.settled().min(to));
        Self { first: rewound(&self.first), others: self.others.iter().map(rewound).collect() }
    }

    /// The instant up to which all lists have settled: no event that was created before it comes any more.
    pub(crate) fn settled(&self) -> DateTime<Utc> {
        self.others.iter().map(Checkpoint::settled).fold(self.first.settled(), DateTime::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_were_stored_and_for_no_other_number_of_lists() {
        let at = |text: &str| Checkpoint::at(text.parse().unwrap());
        let one = Positions::new(at("2026-01-05T09:00:00Z"), []);
        assert_eq!(
            one.stored(),
            json!(at("2026-01-05T09:00:00Z")),
            "as it was before there were several lists"
        );
        assert_eq!(Positions::read(&one.stored(), 1).unwrap(), one);
        let two = Positions::new(at("2026-01-05T09:00:00Z"), [at("2026-01-05T08:00:00Z")]);
        assert_eq!(Positions::read(&two.stored(), 2).unwrap(), two);
        assert_eq!(two.settled(), at("2026-01-05T08:00:00Z").settled());
        let rewound = two.rewound("2026-01-05T08:30:00Z".parse().unwrap());
        assert_eq!(rewound, Positions::new(at("2026-01-05T08:30:00Z"), [at("2026-01-05T08:00:00Z")]));
        for (stored, lists) in [(one.stored(), 2), (two.stored(), 1), (two.stored(), 3), (json!([]), 2)] {
            assert!(Positions::read(&stored, lists).is_err(), "{stored} {lists}");
        }
    }
}
