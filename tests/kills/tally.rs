//! The instants that the kills have hit.

use fastrand::Rng;

use crate::{job::Job, remains::Remains, seeds, weather::Weather};

/// The number of kills per test. There are three tests.
const KILLS: usize = 40;
/// The number of kills per job, and the number of requests within which each happens.
const EACH: (usize, u64) = (8, 14);

/// Counts over the jobs of a test.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) jobs: usize,
    /// Processes that ran when they were killed.
    pub(crate) kills: usize,
    /// Kills after a page was committed.
    after_a_commit: usize,
    /// Lives that had read and committed a part of a list.
    in_mid_file: usize,
    /// Lives that had uncommitted bytes, or were writing the state file.
    in_mid_write: usize,
    /// Lives with complete files, perhaps without their final names.
    with_an_unnamed_file: usize,
    /// Lives that ended by themselves because of a fault.
    pub(crate) given_up: usize,
    pub(crate) reauthorized: u32,
}

impl Tally {
    pub(crate) fn killed(&mut self, remains: &Remains) {
        self.kills += 1;
        self.after_a_commit += usize::from(remains.has_page());
        self.in_mid_file += usize::from(remains.is_in_mid_file());
        self.in_mid_write += usize::from(remains.has_tail() || remains.has_draft_of_state());
        self.with_an_unnamed_file += usize::from(remains.has_unnamed());
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.jobs += other.jobs;
        self.kills += other.kills;
        self.after_a_commit += other.after_a_commit;
        self.in_mid_file += other.in_mid_file;
        self.in_mid_write += other.in_mid_write;
        self.with_an_unnamed_file += other.with_an_unnamed_file;
        self.given_up += other.given_up;
        self.reauthorized += other.reauthorized;
    }

    /// Checks that this number of kills was made, at instants of every kind.
    #[track_caller]
    pub(crate) fn assert(&self, kills: usize) {
        eprintln!("{self:?}");
        assert!(self.kills >= kills, "{self:?}");
        // A single repeated job may be a special one.
        if kills >= 20 {
            assert!(self.has_each_kind(), "{self:?}");
        }
    }

    /// Returns true if enough kills were at an instant of each kind.
    fn has_each_kind(&self) -> bool {
        self.after_a_commit * 2 >= self.kills
            && self.in_mid_file * 4 >= self.kills
            && self.in_mid_write * 8 >= self.kills
    }
}

/// Runs jobs, each of its seed and weather, until there were enough kills.
#[track_caller]
pub(crate) fn run(job: impl Fn(u64, Weather) -> Job) {
    let (first, kills) = (seeds::first(), seeds::kills(KILLS));
    let mut tally = Tally::default();
    for seed in first.. {
        let weather = Weather::draw(&mut Rng::with_seed(!seed));
        job(seed, weather).survive(EACH.0, EACH.1, &mut tally);
        // Kills at random instants can miss a kind by chance: up to twice as many are made then.
        if tally.kills >= kills && (tally.has_each_kind() || tally.kills >= 2 * kills) {
            break;
        }
        assert!(seed - first < 10 + kills as u64, "it is hardly ever killed: {tally:?}");
    }
    tally.assert(kills);
}
