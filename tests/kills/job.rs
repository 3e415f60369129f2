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
use webex_events::sandbox::SandboxBuilder;

pub(crate) use self::life::{Fate, Signal};
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

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    Follow,
}

/// One command that is to end with everything, whatever happens to its processes.
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) weather: Weather,
    pub(crate) service: Service,
    pub(crate) range: Period,
    /// What goes before the program's name, such as a limit on what it may do.
    pub(crate) before: Option<String>,
    /// How the files are compressed.
    pub(crate) codec: &'static str,
    /// What the service is made of, to start it anew.
    pub(crate) builder: SandboxBuilder,
    /// The name of the one file, if there is one.
    pub(crate) file: String,
    home: TempDir,
    arguments: Vec<String>,
    pace: Pace,
    committed: Committed,
    /// Once it is known, unless more comes.
    expected: OnceCell<Rc<Expected>>,
    lives: u32,
    /// How often the refresh token was lost, so that somebody had to authorize anew.
    pub(crate) authorized_anew: u32,
}

impl Job {
    /// A command of this kind, as its seed says.
    pub(crate) fn new(kind: Kind, seed: u64, weather: Weather, builder: Builder) -> Self {
        let Builder { mut rng, service, range, codec, arguments } = builder;
        let mut job = Self {
            kind,
            seed,
            range,
            before: None,
            codec,
            file: "f".to_owned(),
            home: folder(),
            arguments: Vec::new(),
            pace: Pace::default(),
            committed: Committed::default(),
            expected: OnceCell::new(),
            lives: 0,
            authorized_anew: 0,
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
            fs::create_dir(job.place()).unwrap();
        }
        job
    }

    /// The folder in which the job's files are, and nothing else.
    pub(crate) fn place(&self) -> PathBuf {
        self.home.path().join("out")
    }

    /// What is given with `-o`.
    pub(crate) fn out(&self) -> PathBuf {
        if self.kind == Kind::File { self.place().join(&self.file) } else { self.place() }
    }

    /// The state file.
    pub(crate) fn state(&self) -> PathBuf {
        if self.kind == Kind::File {
            self.place().join(format!("{}.cursor", self.file))
        } else {
            self.place().join("ledger.json")
        }
    }

    /// The options for tokens that renew themselves.
    fn credentials(&self) -> [String; 4] {
        let store = self.store().to_str().unwrap().to_owned();
        ["--oauth-store".to_owned(), store, "--client-id".to_owned(), self.service.client_id()]
    }

    fn store(&self) -> PathBuf {
        self.home.path().join("tokens/store.json")
    }

    /// Gives an option another value, or a value at all.
    pub(crate) fn set(&mut self, option: &str, value: &str) {
        match self.arguments.iter().position(|argument| argument == option) {
            Some(at) => value.clone_into(&mut self.arguments[at + 1]),
            None => self.arguments.extend([option.to_owned(), value.to_owned()]),
        }
    }

    /// Lets files be compressed like this, and not as its seed says.
    pub(crate) fn compress(&mut self, codec: &'static str) {
        if let Some(at) = self.arguments.iter().position(|argument| argument == "--compress") {
            self.arguments.drain(at..at + 2);
        }
        if codec != "none" {
            self.set("--compress", codec);
        }
        self.codec = codec;
    }

    /// What the last life has said.
    pub(crate) fn last_said(&self) -> String {
        self.said(self.lives)
    }

    fn said(&self, life: u32) -> String {
        fs::read_to_string(self.said_path(life)).unwrap_or_default()
    }

    fn said_path(&self, life: u32) -> PathBuf {
        self.home.path().join(format!("said.{life}"))
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

    /// What lies on disk.
    #[track_caller]
    pub(crate) fn remains(&self) -> Remains {
        Remains::read(&self.state(), (self.kind == Kind::File).then_some(self.file.as_str()))
    }

    /// Looks at what a life has left: what was committed must be there, and good. Returns it.
    #[track_caller]
    pub(crate) fn look(&mut self) -> Remains {
        let remains = self.remains();
        let committed = remains.check(&self.expected(), self.codec);
        if self.kind == Kind::File && !remains.has_state() && !self.committed.is_empty() {
            // It is gone with the last step, and only with that one.
            whole::check(self);
        } else if !self.weather.has(Fault::Cursors) {
            committed.has_all_of(&self.committed);
        }
        self.committed = committed;
        remains
    }

    /// Renames the files of an export that was stopped in the middle, as a person may. It continues under the new name.
    pub(crate) fn rename(&mut self) {
        let names = names(&self.place());
        let is_there = |suffix: &str| names.contains(&format!("{}{suffix}", self.file));
        if self.kind != Kind::File || !is_there(".part") || !is_there(".cursor") {
            return;
        }
        let new = format!("{}{}", ["f", "F", "other", "part"][self.rng.usize(0..4)], self.lives);
        for name in &names {
            let suffix = name.strip_prefix(&self.file).unwrap();
            fs::rename(self.place().join(name), self.place().join(format!("{new}{suffix}"))).unwrap();
        }
        self.committed.rename(&self.file, &new);
        self.file = new;
        let out = self.out().to_str().unwrap().to_owned();
        self.set("-o", &out);
    }

    /// Something that happens while the program runs, or while it doesn't.
    pub(crate) fn strike(&mut self) {
        self.weather.strike(&mut self.rng, &self.service);
        if self.kind == Kind::Follow && self.service.now() < self.range.1 {
            follow::pass_time(&mut self.rng, &self.service);
        }
    }

    /// Whether everything is committed that there is by now.
    fn has_all(&self, expected: &Expected) -> bool {
        let remains = self.remains();
        let events: u64 = remains.entries().iter().map(|entry| entry.events).sum();
        events == expected.events.len() as u64 && remains.has_malformed() != expected.malformed.is_empty()
    }

    /// What was not committed by now.
    fn missing(&self) -> String {
        let (remains, expected) = (self.remains(), self.expected());
        let lines = remains.lines(self.codec);
        let missing: Vec<_> = expected.events.iter().filter(|(_, line)| !lines.contains(line)).collect();
        format!("{} are missing, the first of them {:?}", missing.len(), missing.first())
    }

    /// What is wrong with ending like this, if anything is. Puts it right, where the service's fault can
    /// only be put right by a person.
    pub(crate) fn excuse(&mut self, code: i32) -> Result<(), String> {
        let is_excused = match code {
            // Fifteen percent of all answers are faults, and there may be one attempt only.
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
                // It was killed between the service's word and its own, which nobody can help.
                self.authorized_anew += 1;
                fs::write(self.store(), token).unwrap();
            }
        }
        Ok(())
    }

    /// What there is to be got.
    pub(crate) fn expected(&self) -> Rc<Expected> {
        let range = (self.kind == Kind::Folder).then_some(self.range);
        let now = || Rc::new(Expected::of(&self.service, range));
        if self.kind == Kind::Follow { now() } else { Rc::clone(self.expected.get_or_init(now)) }
    }

    /// The program's own word on a folder: whether it is sound, and whether it is complete.
    #[track_caller]
    pub(crate) fn verify(&self, against_service: bool) -> i32 {
        if self.kind == Kind::File {
            return 0;
        }
        let mut command = program(["verify", self.place().to_str().unwrap()]);
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

    /// That it has ended with everything.
    #[track_caller]
    pub(crate) fn is_whole(&mut self) {
        self.look();
        whole::check(self);
        self.service.clear_faults();
        assert_eq!(self.verify(false), 0);
        if !self.weather.has(Fault::Items) {
            assert_eq!(self.verify(true), 0);
        }
        let said: String = (0..=self.lives).map(|life| self.said(life)).collect();
        for secret in [TOKEN.to_owned(), self.service.client_secret(), self.service.refresh_token().unwrap()]
        {
            assert!(!said.contains(&secret), "a secret is shown");
        }
    }
}

/// What a job is made of.
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

/// What is in a folder, by name; nothing if there is none.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    if folder.is_dir() { crate::support::names(folder) } else { Vec::new() }
}
