//! Runs the program and a sandbox for it.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write},
    ops::Deref,
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use webex_events::sandbox::{Sandbox, SandboxBuilder};

/// The token of all tests. The program must not write it anywhere.
pub(crate) const TOKEN: &str = "NGRjZmQ5ZDAtNTI3Y2FtZWw";

/// A time limit that no test needs.
const DEADLINE: Duration = Duration::from_secs(120);

/// The program, without the settings of this process.
pub(crate) fn program<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webex-events"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in [
        "CLICOLOR_FORCE",
        "NO_COLOR",
        "RUST_LOG",
        "WEBEX_ACCESS_TOKEN",
        "WEBEX_BASE_URL",
        "WEBEX_CLIENT_ID",
        "WEBEX_CLIENT_SECRET",
    ] {
        command.env_remove(variable);
    }
    command
}

/// The result of the program.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The exit code, and the only line of stderr.
    #[track_caller]
    pub(crate) fn failure(&self) -> (i32, &str) {
        let line = self.stderr.strip_suffix('\n').expect("a line on stderr");
        assert!(!line.contains(['\n', '\r']), "one line: {line}");
        (self.code, line)
    }

    /// Checks that it succeeded, and returns its last line.
    #[track_caller]
    pub(crate) fn success(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        self.stderr.lines().last().unwrap_or_default()
    }
}

/// A program that runs. One that is dropped is ended.
pub(crate) struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<BufReader<ChildStderr>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Self { child, stdout: stdout.map(BufReader::new), stderr: stderr.map(BufReader::new) }
    }

    /// The next line of stdout.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// Waits for a line of stderr with these words. The result of its end lacks the lines up to there.
    #[track_caller]
    pub(crate) fn wait_for_message(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let length = self.stderr.as_mut().unwrap().read_line(&mut line).unwrap();
            assert!(length > 0, "stderr ended without: {words}");
        }
    }

    /// Writes to stdin, and closes it.
    pub(crate) fn paste(&mut self, text: impl AsRef<[u8]>) {
        let mut stdin = self.child.stdin.take().unwrap();
        stdin.write_all(text.as_ref()).unwrap();
    }

    /// The next line of stderr.
    pub(crate) fn stderr_line(&mut self) -> String {
        let bytes = self.stderr.as_mut().unwrap().bytes().map(Result::unwrap);
        let line: Vec<_> = bytes.take_while(|byte| *byte != b'\n').collect();
        String::from_utf8(line).unwrap()
    }

    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Sends a signal, and a moment later again.
    #[cfg(unix)]
    pub(crate) fn signal_twice(&self, name: &str) {
        let id = self.child.id().to_string();
        let script = "kill -$0 $1; sleep 0.02; kill -$0 $1";
        assert!(Command::new("sh").args(["-c", script, name, &id]).status().unwrap().success());
    }

    /// Kills it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let stdout = drain(self.stdout.take());
        let stderr = drain(self.stderr.take());
        let (Ok(stdout), Ok(stderr)) = (stdout.recv_timeout(DEADLINE), stderr.recv_timeout(DEADLINE)) else {
            self.child.kill().unwrap();
            panic!("the program didn't end");
        };
        let code = self.child.wait().unwrap().code().expect("an exit code");
        assert!(!stdout.contains(TOKEN) && !stderr.contains(TOKEN), "the token is shown");
        // Logs of the library may have it in a field.
        let mut messages = stderr.lines().filter(|line| !line.contains(" webex_events::"));
        assert!(
            !messages.any(|line| line.contains("(os error ")),
            "a number of the system is shown: {stderr}"
        );
        Ended { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drain(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut text).unwrap();
        }
        // A process that is stopped can end its output within a character.
        sender.send(String::from_utf8_lossy(&text).into_owned())
    });
    receiver
}

#[track_caller]
pub(crate) fn run(command: Command) -> Ended {
    Running::start(command).end()
}

/// The same command, started by a shell that runs `before` first and redirects as `redirections` say.
#[cfg(unix)]
pub(crate) fn in_shell(command: &Command, before: &str, redirections: &str) -> Command {
    let script = format!("{before}exec \"$0\" \"$@\" {redirections}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// The program without a token and a service.
#[track_caller]
pub(crate) fn run_alone<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    run(program(arguments))
}

/// An `export` from `base_url`, with the token.
pub(crate) fn export_from<S: AsRef<OsStr>>(
    base_url: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = program(["export", "--base-url", base_url]);
    command.args(arguments).env("WEBEX_ACCESS_TOKEN", TOKEN);
    command
}

/// A sandbox in this process.
pub(crate) struct Service {
    sandbox: Sandbox,
    _runtime: Runtime,
}

impl Service {
    pub(crate) fn start(builder: SandboxBuilder) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sandbox = runtime.block_on(builder.token(TOKEN).start()).unwrap();
        Self { sandbox, _runtime: runtime }
    }

    /// An `export` from it.
    pub(crate) fn export<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        export_from(self.base_url(), arguments)
    }

    /// The content of a complete export.
    pub(crate) fn lines(&self) -> String {
        let mut lines = String::new();
        self.for_each_item(|item| {
            lines.push_str(item);
            lines.push('\n');
        });
        lines
    }
}

impl Deref for Service {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

/// A folder for one test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The content of a folder, by name.
pub(crate) fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

/// Waits until a condition is true in another process.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "{what}: it never was");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The lines of all files of events in a folder, in the order of the files' names.
pub(crate) fn exported(folder: impl AsRef<Path>) -> Vec<String> {
    let is_of_events = |name: &String| name.ends_with(".ndjson");
    let files = names(&folder).into_iter().filter(is_of_events);
    let text = |name: String| fs::read_to_string(folder.as_ref().join(name)).unwrap();
    files.flat_map(|name| text(name).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The same lines, sorted.
pub(crate) fn sorted(lines: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    let mut lines: Vec<String> = lines.into_iter().map(Into::into).collect();
    lines.sort();
    lines
}
