//! The schedule of commits: a pure decision.
//!
//! A commit writes the whole ledger, which has a line for each file. Therefore finished files share a commit, and wait in
//! proportion to the duration of the last one: commits take at most a fixed share of the time for any number of files.

use std::time::{Duration, Instant};

/// The pause before a commit of finished files, as a multiple of the duration of the last commit.
const PAUSE: u32 = 4;

/// The scope of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitScope {
    Nothing,
    /// Only the files that are finished.
    Finished,
    /// Everything.
    All,
}

/// The times of the last commits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    every: Duration,
    /// The time of the last commit of everything, or the start of the run.
    all_at: Instant,
    ended: Instant,
    took: Duration,
}

impl Schedule {
    /// Everything is committed at this interval.
    pub(crate) fn new(every: Duration, now: Instant) -> Self {
        Self { every, all_at: now, ended: now, took: Duration::ZERO }
    }

    /// The commit that is due. `has_finished`: files are finished and not committed as such.
    pub(crate) fn due(&self, now: Instant, has_finished: bool) -> CommitScope {
        if now.saturating_duration_since(self.all_at) >= self.every {
            CommitScope::All
        } else if has_finished && now.saturating_duration_since(self.ended) >= self.took * PAUSE {
            CommitScope::Finished
        } else {
            CommitScope::Nothing
        }
    }

    /// A commit has been made.
    pub(crate) fn made(&mut self, commit: CommitScope, begun: Instant, ended: Instant) {
        if commit == CommitScope::All {
            self.all_at = ended;
        }
        (self.ended, self.took) = (ended, ended.saturating_duration_since(begun));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_due_at_the_interval_and_for_finished_files_after_a_share_of_the_last_one() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut schedule = Schedule::new(Duration::from_secs(2), start);
        // The last commit took 100 ms and ended at 1100.
        schedule.made(CommitScope::Finished, at(1000), at(1100));
        for (millis, has_finished, expected) in [
            (1100, false, CommitScope::Nothing),
            (1499, true, CommitScope::Nothing),
            (1500, true, CommitScope::Finished),
            (1999, false, CommitScope::Nothing),
            (2000, false, CommitScope::All),
            (2000, true, CommitScope::All),
        ] {
            assert_eq!(schedule.due(at(millis), has_finished), expected, "{millis} {has_finished}");
        }
        schedule.made(CommitScope::All, at(2000), at(2010));
        assert_eq!(schedule.due(at(4009), false), CommitScope::Nothing, "the interval restarts");
        assert_eq!(schedule.due(at(4010), false), CommitScope::All);
    }

    #[test]
    fn an_interval_of_zero_commits_after_each_command() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Duration::ZERO, now);
        assert_eq!(schedule.due(now, false), CommitScope::All);
        schedule.made(CommitScope::All, now, now + Duration::from_secs(1));
        assert_eq!(schedule.due(now + Duration::from_secs(1), false), CommitScope::All);
    }

    #[test]
    fn the_first_finished_file_is_committed_immediately() {
        let now = Instant::now();
        assert_eq!(Schedule::new(Duration::from_secs(2), now).due(now, true), CommitScope::Finished);
    }
}
