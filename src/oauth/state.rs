//! `TokenState`: what is known of the tokens, and what to do next. The table is in `oauth.rs`.
//!
//! Nothing here reads a clock, a file or the network.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::{
    renewal_error::RenewalError,
    tokens::{Tokens, Validity},
};
use crate::token::Token;

pub(super) type RenewalResult = Result<Token, RenewalError>;

/// The result of a renewal; none while it is in progress.
pub(super) type RenewalReceiver = watch::Receiver<Option<RenewalResult>>;

/// No token lasts longer, and a clock can't hold every later instant.
const LONGEST_BACKOFF: Duration = Duration::from_secs(365 * 86_400);

/// The number of tokens that are kept beside those of the file. Each can cost one refused grant.
const PREVIOUS: usize = 4;

#[derive(Debug)]
pub(super) struct TokenState {
    /// The tokens in use.
    held: Tokens,
    /// True if the access token was rejected, whatever its expiry.
    rejected: bool,
    phase: Phase,
    /// The tokens that others from the file have displaced, and that were not refused. The latest is last.
    previous: Vec<Previous>,
    /// The refresh token of the file, if it was refused and previous tokens are used instead.
    refused_in_file: Option<Token>,
    /// After renewals ahead of time that failed: their number, and until when there is no other.
    backoff: Option<(u32, Instant)>,
    pub(super) pending: Option<RenewalReceiver>,
}

/// The relation of the tokens in use to the file and to the service.
#[derive(Debug)]
enum Phase {
    /// The file has them, as far as is known.
    Stored,
    /// A grant gave newer ones, which the file doesn't have yet. They must not be used before: a crash would
    /// lose the only good refresh token.
    Unstored { tokens: Tokens, access_is_new: bool },
    /// The service refused the refresh token. It isn't sent again.
    Refused(RenewalError),
}

#[derive(Debug)]
struct Previous {
    tokens: Tokens,
    rejected: bool,
    is_stored: bool,
}

/// The next step of a renewal.
#[derive(Debug)]
pub(super) enum RenewalStep {
    /// This access token can be used.
    Done(Token),
    /// Write these to the file: they exist only in memory.
    Store(Tokens),
    /// Request new tokens with these.
    Grant(Tokens),
    /// Only another refresh token can help.
    Fail(RenewalError),
}

impl TokenState {
    pub(super) fn new(held: Tokens) -> Self {
        Self {
            held,
            rejected: false,
            phase: Phase::Stored,
            previous: Vec::new(),
            refused_in_file: None,
            backoff: None,
            pending: None,
        }
    }

    /// The renewal in progress. One whose thread has ended without a result isn't.
    pub(super) fn in_progress(&self) -> Option<RenewalReceiver> {
        self.pending.clone().filter(|pending| pending.has_changed().is_ok())
    }

    pub(super) fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.held.expires_at
    }

    fn validity(&self, now: DateTime<Utc>) -> Validity {
        if self.rejected { Validity::Unusable } else { self.held.validity(now) }
    }

    /// A request came back with 401.
    pub(super) fn on_rejected(&mut self, rejected: &Token) {
        self.rejected |= self.held.access.as_ref() == Some(rejected);
    }

    /// The access token, if a renewal isn't necessary or can't succeed now.
    pub(super) fn usable(&self, utc: DateTime<Utc>, now: Instant) -> Option<Token> {
        let is_due = matches!(self.phase, Phase::Unstored { .. }) || self.validity(utc) == Validity::Due;
        let waits =
            matches!(self.phase, Phase::Refused(_)) || self.backoff.is_some_and(|(_, until)| now < until);
        self.unexpired(utc).filter(|_| !is_due || waits)
    }

    /// The access token, if the service should accept it.
    pub(super) fn unexpired(&self, utc: DateTime<Utc>) -> Option<Token> {
        self.held.access.clone().filter(|_| self.validity(utc) != Validity::Unusable)
    }

    /// Takes over the tokens that another process, or a person, has written to the file.
    pub(super) fn on_file(&mut self, tokens: Tokens) {
        let is_unstored = matches!(&self.phase, Phase::Unstored { tokens: ours, .. } if tokens.same_as(ours));
        // Tokens that were written without being synced are still to be stored.
        if is_unstored || tokens.same_as(&self.held) || self.refused_in_file.as_ref() == Some(&tokens.refresh)
        {
            return;
        }
        self.refused_in_file = None;
        if tokens.refresh != self.held.refresh {
            let previous = match std::mem::replace(&mut self.phase, Phase::Stored) {
                Phase::Refused(_) => None,
                Phase::Stored => {
                    Some(Previous { tokens: self.held.clone(), rejected: self.rejected, is_stored: true })
                }
                Phase::Unstored { tokens, access_is_new } => {
                    Some(Previous { rejected: self.rejected && !access_is_new, tokens, is_stored: false })
                }
            };
            self.previous.extend(previous);
            if self.previous.len() > PREVIOUS {
                // The oldest but one: the oldest may be the last that is known to work.
                self.previous.remove(1);
            }
        }
        self.rejected &= tokens.access == self.held.access;
        self.held = tokens;
    }

    pub(super) fn next_step(&self, utc: DateTime<Utc>) -> RenewalStep {
        match (&self.phase, &self.held.access) {
            (Phase::Unstored { tokens, .. }, _) => RenewalStep::Store(tokens.clone()),
            (_, Some(token)) if self.validity(utc) == Validity::Good => RenewalStep::Done(token.clone()),
            (Phase::Refused(error), _) => RenewalStep::Fail(error.clone()),
            (Phase::Stored, _) => RenewalStep::Grant(self.held.clone()),
        }
    }

    /// A grant gave these tokens. `access_is_new` is false if it gave a refresh token only.
    pub(super) fn on_granted(&mut self, tokens: Tokens, access_is_new: bool) {
        self.phase = Phase::Unstored { tokens, access_is_new };
    }

    /// The file has the granted tokens now.
    pub(super) fn on_stored(&mut self) {
        if let Phase::Unstored { tokens, access_is_new } = std::mem::replace(&mut self.phase, Phase::Stored) {
            self.held = tokens;
            self.rejected &= !access_is_new;
            self.previous.clear();
            self.refused_in_file = None;
        }
    }

    /// The service refused the refresh token permanently. Returns whether previous tokens replace it.
    pub(super) fn on_refused(&mut self, error: &RenewalError) -> bool {
        let Some(Previous { tokens, rejected, is_stored }) = self.previous.pop() else {
            self.phase = Phase::Refused(error.clone());
            return false;
        };
        if self.refused_in_file.is_none() {
            self.refused_in_file = Some(self.held.refresh.clone());
        }
        if !is_stored {
            self.phase = Phase::Unstored { tokens: tokens.clone(), access_is_new: !rejected };
        }
        (self.held, self.rejected) = (tokens, rejected);
        true
    }

    /// A renewal has ended. One ahead of time that failed is repeated after a while.
    pub(super) fn on_finished(&mut self, result: &RenewalResult, now: Instant) {
        self.pending = None;
        let Err(error) = result else {
            self.backoff = None;
            return;
        };
        let failures = self.backoff.map_or(0, |(failures, _)| failures);
        let wait = backoff(failures).max(error.retry_after().unwrap_or_default()).min(LONGEST_BACKOFF);
        self.backoff = now.checked_add(wait).map(|until| (failures.saturating_add(1), until));
    }
}

/// The time until the next renewal ahead of time, after this many failures and one more.
fn backoff(failures: u32) -> Duration {
    Duration::from_secs(30).saturating_mul(1 << failures.min(4)).min(Duration::from_secs(300))
}

#[cfg(test)]
mod tests;
