//! A command, its service, and its lives.

use std::{
    cell::OnceCell,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    rc::Rc,
    thread,
};

use chrono::SecondsFormat;
use fastrand::Rng;
use tempfile::TempDir;
use webex_events::{EventType, sandbox::SandboxBuilder};

pub(crate) use self::life::{Outcome, Signal};
use crate::{
    follow,
    moment::Pace,
    remains::{Committed, Remains},
    seeds,
    support::{Service, TOKEN, folder, program, run},
    weather::{Fault, Period, Weather},
    whole::{self, Expected},
};

mod life;

/// The kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    Follow,
}

/// One command that must end with all events, whatever happens to its processes.
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) weather: Weather,
    pub(crate) service: Service,
    pub(crate) range: Period,
    /// A prefix of the command, such as one that sets a limit.
    pub(crate) before: Option<String>,
    /// The compression of the files.
    pub(crate) codec: &'static str,
    /// The settings of the service, for restarting it.
    pub(crate) builder: SandboxBuilder,
    /// True if it reads a list for each type of event, which have all events together.
    pub(crate) has_lists: bool,
    /// The name of the one file, if there is one.
    pub(crate) file: String,
    home: TempDir,
    arguments: Vec<String>,
    pace: Pace,
    committed: Committed,
    /// The events of the service, if they are known and final.
    expected: OnceCell<Rc<Expected>>,
    lives: u32,
    /// The number of times that the refresh token was lost and a new authorization was necessary.
    pub(crate) reauthorized: u32,
}

impl Job {
    /// A command of this kind, with options from its seed.
    pub(crate) fn new(kind: Kind, seed: u64, weather: Weather, builder: Builder) -> Self {
        let Builder { mut rng, service, range, codec, arguments } = builder;
        let mut job = Self {
            kind,
            seed,
            range,
            before: None,
            codec,
            has_lists: false,
            file: "f".to_owned(),
            home: folder(),
            arguments: Vec::new(),
            pace: Pace::default(),
            committed: Committed::default(),
            expected: OnceCell::new(),
            lives: 0,
            reauthorized: 0,
            rng: rng.fork(),
            weather,
            builder: service.clone(),
            service: Service::start(service),
        };
        let name = if kind == Kind::Follow { "follow" } else { "export" };
        job.arguments = [name, "--base-url", job.service.base_url(), "-o"].map(str::to_owned).into();
        job.arguments.push(job.out().to_str().unwrap().to_owned());
        let instant =
            |instant: chrono::DateTime<chrono::Utc>| instant.to_rfc3339_opts(SecondsFormat::Millis, true);
        job.arguments.extend(["--from".to_owned(), instant(job.range.0)]);
        if kind != Kind::Follow {
            job.arguments.extend(["--to".to_owned(), instant(job.range.1)]);
        }
        job.arguments.extend(arguments);
        if job.weather.has(Fault::Tokens) {
            let credentials = job.credentials();
            job.arguments.extend(credentials);
            fs::create_dir(job.store().parent().unwrap()).unwrap();
            fs::write(job.store(), job.service.refresh_token().unwrap()).unwrap();
        }
        if kind == Kind::File {
            fs::create_dir(job.output_folder()).unwrap();
        }
        job
    }

    /// The folder that contains only the job's files.
    pub(crate) fn output_folder(&self) -> PathBuf {
        self.home.path().join("out")
    }

    /// The value of `-o`.
    pub(crate) fn out(&self) -> PathBuf {
        if self.kind == Kind::File { self.output_folder().join(&self.file) } else { self.output_folder() }
    }

    /// The state file.
    pub(crate) fn state(&self) -> PathBuf {
        if self.kind == Kind::File {
            self.output_folder().join(format!("{}.cursor", self.file))
        } else {
            self.output_folder().join("ledger.json")
        }
    }

    /// The options for renewed tokens.
    fn credentials(&self) -> [String; 4] {
        let store = self.store().to_str().unwrap().to_owned();
        ["--oauth-store".to_owned(), store, "--client-id".to_owned(), self.service.client_id()]
    }

    fn store(&self) -> PathBuf {
        self.home.path().join("tokens/store.json")
    }

    /// Sets the value of an option.
    pub(crate) fn set(&mut self, option: &str, value: &str) {
        match self.arguments.iter().position(|argument| argument == option) {
            Some(at) => value.clone_into(&mut self.arguments[at + 1]),
            None => self.arguments.extend([option.to_owned(), value.to_owned()]),
        }
    }

    /// Reads a list for each type of event instead of one of all events.
    pub(crate) fn split(mut self) -> Self {
        let types: Vec<_> = EventType::KNOWN.iter().map(EventType::as_str).collect();
        self.set("--type", &types.join(","));
        self.has_lists = true;
        self
    }

    /// Sets the compression, instead of the one from the seed.
    pub(crate) fn compress(&mut self, codec: &'static str) {
        if let Some(at) = self.arguments.iter().position(|argument| argument == "--compress") {
            self.arguments.drain(at..at + 2);
        }
        if codec != "none" {
            self.set("--compress", codec);
        }
        self.codec = codec;
    }

    /// The messages of the last run.
    pub(crate) fn last_log(&self) -> String {
        self.log(self.lives)
    }

    fn log(&self, life: u32) -> String {
        fs::read_to_string(self.log_path(life)).unwrap_or_default()
    }

    fn log_path(&self, life: u32) -> PathBuf {
        self.home.path().join(format!("log.{life}"))
    }

    /// The command, always the same.
    pub(crate) fn command(&self) -> Command {
        let mut command = program(&self.arguments);
        if let Some(before) = &self.before {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{before}; exec \"$0\" \"$@\"")]).arg(command.get_program());
            shell.args(command.get_args()).stdin(Stdio::null());
            command = shell;
        }
        command.env("WEBEX_ACCESS_TOKEN", TOKEN).env("WEBEX_CLIENT_SECRET", self.service.client_secret());
        command
    }

    /// The files on disk.
    #[track_caller]
    pub(crate) fn remains(&self) -> Remains {
        Remains::read(&self.state(), (self.kind == Kind::File).then_some(self.file.as_str()))
    }

    /// Checks that a run has left all committed content intact, and returns that content.
    #[track_caller]
    pub(crate) fn look(&mut self) -> Remains {
        let remains = self.remains();
        let committed = remains.check(&self.expected(), self.codec);
        if self.kind == Kind::File && !remains.has_state() && !self.committed.is_empty() {
            // Only the last step but one removes the state file. The last one removes the lock.
            whole::check_after_kill(self);
        } else if !self.weather.has(Fault::Cursors) {
            committed.has_all_of(&self.committed);
        }
        self.committed = committed;
        remains
    }

    /// Renames the files of an interrupted export, as a user may do. It resumes under the new name.
    pub(crate) fn rename(&mut self) {
        let names = names(&self.output_folder());
        let is_there = |suffix: &str| names.contains(&format!("{}{suffix}", self.file));
        if self.kind != Kind::File || !is_there(".part") || !is_there(".cursor") {
            return;
        }
        let new = format!("{}{}", ["f", "F", "other", "part"][self.rng.usize(0..4)], self.lives);
        for name in &names {
            let suffix = name.strip_prefix(&self.file).unwrap();
            fs::rename(self.output_folder().join(name), self.output_folder().join(format!("{new}{suffix}")))
                .unwrap();
        }
        self.committed.rename(&self.file, &new);
        self.file = new;
        let out = self.out().to_str().unwrap().to_owned();
        self.set("-o", &out);
    }

    /// Something that happens during or between the lives of the program.
    pub(crate) fn strike(&mut self) {
        self.weather.strike(&mut self.rng, &self.service);
        if self.kind == Kind::Follow && self.service.now() < self.range.1 {
            follow::pass_time(&mut self.rng, &self.service);
        }
    }

    /// Returns true if every event of the service is committed.
    fn has_all(&self, expected: &Expected) -> bool {
        let remains = self.remains();
        let events: u64 = remains.entries().iter().map(|entry| entry.events).sum();
        events == expected.events.len() as u64 && remains.has_malformed() != expected.malformed.is_empty()
    }

    /// The events that are not committed yet.
    fn missing(&self) -> String {
        let (remains, expected) = (self.remains(), self.expected());
        let lines = remains.lines(self.codec);
        let missing: Vec<_> = expected.events.iter().filter(|(_, line)| !lines.contains(line)).collect();
        format!("{} are missing, the first of them {:?}", missing.len(), missing.first())
    }

    /// Returns an error if the program must not end with this code. Repairs a fault of the service that only a person
    /// can repair.
    pub(crate) fn excuse(&mut self, code: i32) -> Result<(), String> {
        let is_excused = match code {
            // Fifteen percent of all responses are faults, and there may be only one attempt.
            69 | 75 => {
                [Fault::Refusals, Fault::Breaks, Fault::Cursors].iter().any(|fault| self.weather.has(*fault))
            }
            77 => self.weather.has(Fault::Tokens),
            _ => false,
        };
        if !is_excused {
            return Err(format!("exit code {code}"));
        }
        if code == 77 {
            let token = self.service.refresh_token().unwrap();
            if !fs::read_to_string(self.store()).unwrap().contains(&token) {
                // It was killed after the service's response and before storing it, which no program can prevent.
                self.reauthorized += 1;
                fs::write(self.store(), token).unwrap();
            }
        }
        Ok(())
    }

    /// The events of the service.
    pub(crate) fn expected(&self) -> Rc<Expected> {
        let range = (self.kind == Kind::Folder).then_some(self.range);
        let now = || Rc::new(Expected::of(&self.service, range));
        if self.kind == Kind::Follow { now() } else { Rc::clone(self.expected.get_or_init(now)) }
    }

    /// The result of `verify` for a folder: if it is sound, and if it is complete.
    #[track_caller]
    pub(crate) fn verify(&self, against_service: bool) -> i32 {
        if self.kind == Kind::File {
            return 0;
        }
        let mut command = program(["verify", self.output_folder().to_str().unwrap()]);
        if against_service {
            command.args(["--against-service", "--base-url", self.service.base_url()]);
            if self.weather.has(Fault::Tokens) {
                command.args(self.credentials());
            }
            command.env("WEBEX_ACCESS_TOKEN", TOKEN).env("WEBEX_CLIENT_SECRET", self.service.client_secret());
        }
        let ended = run(command);
        assert!(matches!(ended.code, 0 | 75), "{}", ended.stderr);
        ended.code
    }

    /// Checks that it has ended with all events.
    #[track_caller]
    pub(crate) fn is_whole(&mut self) {
        self.look();
        whole::check(self);
        self.service.clear_faults();
        assert_eq!(self.verify(false), 0);
        if !self.weather.has(Fault::Items) {
            assert_eq!(self.verify(true), 0);
        }
        let log: String = (0..=self.lives).map(|life| self.log(life)).collect();
        for secret in [TOKEN.to_owned(), self.service.client_secret(), self.service.refresh_token().unwrap()]
        {
            assert!(!log.contains(&secret), "a secret is shown");
        }
    }
}

/// The settings of a job.
pub(crate) struct Builder {
    pub(crate) rng: Rng,
    pub(crate) service: SandboxBuilder,
    pub(crate) range: Period,
    pub(crate) codec: &'static str,
    pub(crate) arguments: Vec<String>,
}

impl Drop for Job {
    fn drop(&mut self) {
        if thread::panicking() {
            self.home.disable_cleanup(true);
            eprintln!(
                "the job of seed {} failed: webex-events {}\nits weather: {:?}\nits folder: {}\nto repeat it: {}",
                self.seed,
                self.arguments.join(" "),
                self.weather,
                self.home.path().display(),
                seeds::again(self.seed),
            );
        }
    }
}

/// The content of a folder, by name. Empty if there is no folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    if folder.is_dir() { crate::support::names(folder) } else { Vec::new() }
}
