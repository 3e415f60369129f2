//! `FollowState`: what a follower does until its next item.

use super::{
    handout::{AfterHandout, Handout},
    round::FollowRound,
};
use crate::{error::Error, stats::Stats, stream::Pages, timer::Timer};

pub(super) enum FollowState {
    /// A round is due.
    Due,
    Reading(Box<FollowRound>),
    /// The round was read, and the clocks disagree.
    Confirming(Box<Confirmation>),
    HandingOut(Box<Handout>),
    Waiting(Timer),
    /// The last round is over, and this is to be returned.
    Failing(Error),
    /// An error was returned. The round can continue if the error was transient.
    Failed(Option<Box<FollowRound>>),
}

/// A list of one event, for its `Date`.
pub(super) struct Confirmation {
    pub(super) round: Box<FollowRound>,
    pub(super) pages: Pages,
    /// Number of requests that may follow.
    pub(super) left: u8,
}

impl FollowState {
    /// Continues after an error that was returned. Returns true if there was one.
    pub(super) fn resume(&mut self) -> bool {
        let Self::Failed(round) = self else { return false };
        *self = match round.take() {
            Some(mut round) => {
                round.pages.resume();
                Self::Reading(round)
            }
            None => Self::Due,
        };
        true
    }

    /// The work for the round that isn't over.
    pub(super) fn cost(&self) -> Stats {
        match self {
            Self::Reading(round) | Self::Failed(Some(round)) => round.cost(),
            Self::HandingOut(handout) => match &handout.then {
                AfterHandout::Read(round) => round.cost(),
                AfterHandout::Close(_) => Stats::default(),
            },
            Self::Confirming(confirmation) => confirmation.round.cost(),
            Self::Due | Self::Waiting(_) | Self::Failing(_) | Self::Failed(None) => Stats::default(),
        }
    }
}
