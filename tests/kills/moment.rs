//! The moment of a kill, in terms of the program's progress.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use fastrand::Rng;

/// The time without a request after which the program counts as waiting.
const STALLED: Duration = Duration::from_millis(1500);
/// The longest normal time between two requests.
const LONGEST: Duration = Duration::from_millis(20);

/// A moment to wait for. A share is a share of the usual time to the next request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// After this share of the time from the start to the first request.
    Start(f64),
    /// After this number of requests, and the share.
    Requests(u64, f64),
    /// The growth of a file after this number of requests, and the share.
    Growth(u64, f64),
    /// The replacement of the state file after this number of requests, and the share.
    Commit(u64, f64),
    /// The final name of a file after this number of requests, and the share.
    Name(u64, f64),
    /// The commit of all events, as determined by the job.
    All,
    /// The end of the program.
    Never,
}

impl Moment {
    /// Any except the last two. Moments in requests are within the first `span`.
    pub(crate) fn draw(rng: &mut Rng, span: u64) -> Self {
        let (after, share) = (rng.u64(0..=span), 2.0 * rng.f64());
        let brief = if rng.bool() { 0.0 } else { share };
        match rng.u8(0..12) {
            0 => Self::Start(share / 2.0),
            1..=4 => Self::Requests(after, share),
            5..=6 => Self::Growth(after, brief),
            7..=9 => Self::Commit(after, brief),
            _ => Self::Name(after, brief),
        }
    }
}

/// The speed of the program on this machine, measured in its earlier lives.
#[derive(Debug)]
pub(crate) struct Pace {
    start: Duration,
    request: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { start: Duration::from_millis(20), request: Duration::from_millis(2) }
    }
}

/// A run that is observed until its moment has come.
#[derive(Debug)]
pub(crate) struct Watch {
    moment: Moment,
    began: Instant,
    /// The number of requests before this run.
    before: u64,
    served: u64,
    /// The times of the first and the last request.
    first: Option<Instant>,
    last: Instant,
    names: usize,
    /// The length of all files when growth began to count.
    length: Option<u64>,
    /// The time at which the condition of the moment was met.
    met: Option<Instant>,
}

impl Watch {
    /// `before` is the number of earlier requests.
    pub(crate) fn new(moment: Moment, before: u64, out: &Path) -> Self {
        let began = Instant::now();
        let names = names(out);
        Self { moment, began, before, served: 0, first: None, last: began, names, length: None, met: None }
    }

    /// The number of requests of the life.
    pub(crate) fn served(&self) -> u64 {
        self.served
    }

    /// True if the next look must follow immediately.
    pub(crate) fn is_near(&self) -> bool {
        match self.moment {
            Moment::Start(_) => true,
            Moment::Requests(after, _) => self.served >= after,
            Moment::Growth(after, _) | Moment::Commit(after, _) | Moment::Name(after, _) => {
                self.served >= after
            }
            Moment::All | Moment::Never => false,
        }
    }

    /// Returns true if the moment has come. `served` is the number of requests in all.
    pub(crate) fn is_over(&mut self, served: u64, state: &Path, out: &Path, pace: &mut Pace) -> bool {
        let now = Instant::now();
        let served = served.saturating_sub(self.before);
        if served > self.served {
            self.served = served;
            self.last = now;
            let first = *self.first.get_or_insert_with(|| {
                pace.start = (pace.start * 3 + (now - self.began)) / 4;
                now
            });
            if served > 1 {
                let each = (now - first) / u32::try_from(served - 1).unwrap_or(u32::MAX);
                pace.request = ((pace.request * 3 + each) / 4).min(LONGEST);
            }
        }
        if matches!(self.moment, Moment::Never) {
            return false;
        }
        if now - self.last > STALLED.max(3 * pace.start) {
            return true;
        }
        let wait = match self.moment {
            Moment::Start(share) => return now >= self.began + pace.start.mul_f64(share),
            Moment::Requests(after, share) => (self.served >= after).then_some(share),
            Moment::Growth(after, share) => {
                let is_met = self.served >= after && {
                    let before = *self.length.get_or_insert_with(|| length(out));
                    length(out) > before
                };
                (is_met || self.is_late(after)).then_some(share)
            }
            Moment::Commit(after, share) => {
                let is_met = self.served >= after && is_being_replaced(state);
                (is_met || self.is_late(after)).then_some(share)
            }
            Moment::Name(after, share) => {
                let is_met = self.served >= after && names(out) > self.names;
                (is_met || self.is_late(after)).then_some(share)
            }
            Moment::All | Moment::Never => None,
        };
        if let (Some(share), None) = (wait, self.met) {
            self.met = Some(now + pace.request.mul_f64(share));
        }
        self.met.is_some_and(|met| now >= met)
    }

    /// Returns true if the moment doesn't seem to come.
    fn is_late(&self, after: u64) -> bool {
        self.served >= after + 8
    }
}

fn is_being_replaced(state: &Path) -> bool {
    let mut name = state.as_os_str().to_owned();
    name.push(".tmp");
    fs::metadata(name).is_ok()
}

/// The total length of all part files.
fn length(out: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(out) else { return 0 };
    let drafts = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().as_encoded_bytes().ends_with(b".part"));
    drafts.filter_map(|entry| entry.metadata().ok()).map(|draft| draft.len()).sum()
}

/// The number of files with their final names.
fn names(out: &Path) -> usize {
    let Ok(entries) = fs::read_dir(out) else { return 0 };
    let is_final = |name: &std::ffi::OsStr| {
        let name = name.as_encoded_bytes();
        ![b".part".as_slice(), b".tmp", b".lock", b".cursor"].iter().any(|end| name.ends_with(end))
    };
    entries.filter_map(Result::ok).filter(|entry| is_final(&entry.file_name())).count()
}
