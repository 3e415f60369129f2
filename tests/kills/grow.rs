//! A folder that grows and is damaged, while the programs that extend and repair it are killed.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use chrono::{SecondsFormat, TimeDelta};
use fastrand::Rng;
use tempfile::TempDir;
use webex_events::sandbox::{Sandbox, When};

use crate::{
    export::{codec, commit_every},
    moment::{Moment, Pace, Watch},
    remains::{Remains, unpacked},
    seeds,
    support::{Service, TOKEN, folder, names, program, run},
    weather::{Period, period},
    whole::Expected,
};

const EVENTS: usize = 500;
/// The number of times that the folder is extended, and some files in it damaged.
const ROUNDS: u32 = 4;
/// The number of kills in each run, and the number of requests within which each happens.
const KILLS: (usize, u64) = (5, 8);
/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(120);

struct Folder {
    rng: Rng,
    service: Service,
    out: PathBuf,
    from: Period,
    codec: &'static str,
    compress: &'static [&'static str],
    pace: Pace,
    kills: usize,
    _home: TempDir,
}

impl Folder {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let from = period();
        let (codec, compress) = codec(&mut rng);
        let sandbox = Sandbox::builder()
            .seed(rng.u64(..))
            .events(EVENTS)
            .period(from.0, from.1)
            .now(from.0 + TimeDelta::hours(8))
            .latency(When::always(), Duration::from_millis(rng.u64(1..4)));
        let (home, service) = (folder(), Service::start(sandbox));
        let (out, pace) = (home.path().join("out"), Pace::default());
        Self { rng, service, out, from, codec, compress, pace, kills: 0, _home: home }
    }

    fn command(&mut self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.args(["--base-url", self.service.base_url()]).env("WEBEX_ACCESS_TOKEN", TOKEN);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn export(&mut self) -> Command {
        let (out, from) = (self.out.to_str().unwrap().to_owned(), self.from.0);
        let from = from.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut command = self.command(&["export", "-o", &out, "--from", &from, "--slice", "5h", "--extend"]);
        command.args(["--page-size", "15", "--commit-every", commit_every(&mut self.rng)]);
        command.args(["--concurrency", ["1", "3"][self.rng.usize(0..2)]]).args(self.compress);
        command
    }

    fn repair(&mut self) -> Command {
        let out = self.out.to_str().unwrap().to_owned();
        self.command(&["verify", &out, "--repair", "--against-service"])
    }

    /// Runs a command until it succeeds, and kills it some times before.
    fn survive(&mut self, command: impl Fn(&mut Self) -> Command) {
        for life in 0.. {
            let moment = if life < KILLS.0 { Moment::draw(&mut self.rng, KILLS.1) } else { Moment::Never };
            let command = command(self);
            let before = self.visible();
            match self.live(command, moment) {
                None => {
                    self.kills += 1;
                    let after = self.visible();
                    assert!(before.is_subset(&after), "a reader misses events");
                }
                Some(0) => break,
                Some(code) => panic!("exit code {code}"),
            }
        }
        self.is_whole();
    }

    /// Runs a command until the moment. Returns its exit code if it ends before.
    fn live(&mut self, mut command: Command, moment: Moment) -> Option<i32> {
        let served = |service: &Service| service.counts().requests;
        let state = self.out.join("ledger.json");
        let mut watch = Watch::new(moment, served(&self.service), &self.out);
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(status.code().expect("an exit code"));
            }
            if watch.is_over(served(&self.service), &state, &self.out, &mut self.pace) {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
            assert!(began.elapsed() < DEADLINE, "the program didn't end");
            if watch.is_near() {
                thread::yield_now();
            } else {
                thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// The sound events in files with final names, and in complete ones that get them next.
    fn visible(&self) -> HashSet<String> {
        let state = self.out.join("ledger.json");
        if !state.exists() {
            return HashSet::new();
        }
        let remains = Remains::read(&state, None);
        let complete = remains.entries().iter().filter(|entry| entry.stage == "complete");
        let unnamed = complete.map(|entry| format!("{}.part", entry.name));
        let named = self.data().into_iter();
        let text = |name: String| {
            // What is damaged has no events.
            let bytes = fs::read(self.out.join(name)).unwrap_or_default();
            std::panic::catch_unwind(|| unpacked(self.codec, &bytes)).unwrap_or_default()
        };
        let expected = Expected::of(&self.service, None);
        let texts = unnamed.chain(named).map(text);
        let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.filter(|line| expected.has(line)).collect()
    }

    /// The files that a reader takes for data.
    fn data(&self) -> Vec<String> {
        let is_data = |name: &String| {
            let is_part = Path::new(name).extension().is_some_and(|extension| extension == "part");
            name.starts_with("events_") && name.contains(".ndjson") && !is_part
        };
        names(&self.out).into_iter().filter(is_data).collect()
    }

    /// Each event up to the end of the range is in the files once.
    fn is_whole(&self) {
        let remains = Remains::read(&self.out.join("ledger.json"), None);
        assert!(remains.entries().iter().all(|entry| entry.stage == "complete"));
        let to = remains.entries().iter().filter_map(|entry| entry.range.clone()).map(|range| range.1).max();
        let to = to.unwrap().parse().unwrap();
        let expected = Expected::of(&self.service, Some((self.from.0, to)));
        remains.check(&expected, self.codec);
        let events: u64 = remains.entries().iter().map(|entry| entry.events).sum();
        assert_eq!(events, expected.events.len() as u64, "all of them");
        let entries: Vec<_> = remains.entries().iter().map(|entry| entry.name.clone()).collect();
        assert_eq!(self.data(), entries, "nothing else looks like data");
        let ended = run(program([Path::new("verify"), &self.out]));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }

    /// Lets some time pass, in which events arrive late.
    fn pass_time(&mut self) {
        let now = self.service.now() + TimeDelta::minutes(self.rng.i64(20..600));
        let late = self.service.now() - TimeDelta::minutes(self.rng.i64(1..14));
        self.service.push(late);
        self.service.set_now(now.min(self.from.1));
    }

    /// Removes, cuts or changes a file, or lets an event arrive that is too late for any export.
    fn damage(&mut self) {
        let data = self.data();
        let path = self.out.join(&data[self.rng.usize(0..data.len())]);
        let mut bytes = fs::read(&path).unwrap();
        match self.rng.u8(0..4) {
            0 => return fs::remove_file(&path).unwrap(),
            1 => bytes.truncate(bytes.len() / 2),
            2 if !bytes.is_empty() => {
                let at = self.rng.usize(0..bytes.len());
                bytes[at] ^= 1;
            }
            _ => {
                let first = self.from.0 + TimeDelta::minutes(self.rng.i64(0..400));
                self.service.push(first);
            }
        }
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn a_folder_that_is_extended_and_repaired_has_each_event_once_after_kills() {
    let first = seeds::first();
    let mut kills = 0;
    for seed in first..first + 3 {
        let mut folder = Folder::new(seed);
        for _ in 0..ROUNDS {
            folder.survive(Folder::export);
            for _ in 0..=folder.rng.u8(0..2) {
                folder.damage();
            }
            folder.survive(Folder::repair);
            folder.pass_time();
        }
        kills += folder.kills;
    }
    assert!(kills > 25, "only {kills} kills");
}
