//! The items that a round has to yield, oldest first.

use std::vec;

use chrono::{DateTime, Utc};

use super::{
    progress::FollowProgress,
    round::{FollowRound, RoundEnd},
};
use crate::{
    error::{Error, Result},
    event::Event,
    fingerprint::Fingerprint,
};

/// The new items of a round, or of a part of it.
pub(super) struct Handout {
    malformed: vec::IntoIter<Error>,
    events: vec::IntoIter<Event>,
    /// The instant up to which the round is known to list malformed items.
    pub(super) listed_up_to: DateTime<Utc>,
    pub(super) then: AfterHandout,
}

/// The step after the last item.
pub(super) enum AfterHandout {
    /// The round has more pages.
    Read(Box<FollowRound>),
    Close(RoundEnd),
}

impl Handout {
    pub(super) fn new(
        malformed: Vec<Error>,
        mut events: Vec<Event>,
        listed_up_to: DateTime<Utc>,
        then: AfterHandout,
    ) -> Self {
        events.sort_by_key(Event::created);
        Self { malformed: malformed.into_iter(), events: events.into_iter(), listed_up_to, then }
    }

    /// The next item, which `progress` takes note of.
    pub(super) fn next(&mut self, progress: &mut FollowProgress) -> Option<Result<Event>> {
        if let Some(error) = self.malformed.next() {
            if let Error::Item(item) = &error {
                progress.note_malformed(Fingerprint::of(item.bytes()), self.listed_up_to);
            }
            return Some(Err(error));
        }
        // A list can contain the same event twice.
        let event = self.events.find(|event| !progress.has(event))?;
        progress.note(&event);
        if let AfterHandout::Close(RoundEnd { bounds: Some(bounds), .. }) = self.then {
            progress.advance(event.created().min(bounds.end), bounds.horizon);
        }
        Some(Ok(event))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.malformed.len() == 0 && self.events.len() == 0
    }
}
