//! The items that a round has to yield, oldest first.

use std::{time::Instant, vec};

use chrono::{DateTime, Utc};

use super::{progress::FollowProgress, round::FollowRound};
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

/// The result of a round that was read to its last page.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundEnd {
    pub(super) began: Instant,
    /// The upper bound of the round; none if it reached up to now.
    pub(super) to: Option<DateTime<Utc>>,
    /// The instants to which mark and settled may move; none if the clocks support no instant.
    pub(super) bounds: Option<RoundBounds>,
    /// The clocks disagree.
    pub(super) is_doubtful: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RoundBounds {
    /// The events created before this were listed, as far as they had arrived.
    pub(super) end: DateTime<Utc>,
    /// The events created before this had arrived.
    pub(super) horizon: DateTime<Utc>,
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
