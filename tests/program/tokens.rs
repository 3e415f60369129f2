//! Tokens from files that are replaced, and renewed tokens.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
};

use serde_json::Value;
use tempfile::TempDir;
use webex_events::sandbox::{Response, Route, Sandbox, When};

use crate::{
    stub::{Reply, Stub, answer, page},
    support::{Ended, Running, Service, TOKEN, folder, names, program, run, until},
};

/// A service that sends the reply for each request, numbered from 0, and records the tokens. Returns its address.
fn serve(mut reply: impl FnMut(usize) -> Reply + Send + 'static) -> (String, Receiver<String>) {
    let (sender, tokens) = mpsc::channel();
    let mut numbers = 0..;
    let stub = Stub::responding(move |head| {
        let (_, token) = head.header("authorization").unwrap().split_once(' ').unwrap();
        let _ = sender.send(token.to_owned());
        reply(numbers.next().unwrap())
    });
    (stub.base_url, tokens)
}

/// The page with this number.
fn paged(number: usize, count: usize) -> Reply {
    let link = if number + 1 < count {
        format!("link: </v1/events?cursor={number}>; rel=\"next\"\r\n")
    } else {
        String::new()
    };
    answer(200, link, page(&[&format!("event-{number}")]))
}

fn refusal() -> Reply {
    answer(401, "", "{}")
}

fn token_file() -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join("token");
    fs::write(&path, "token-0\n").unwrap();
    (folder, path)
}

fn export(base_url: &str, options: &[&str]) -> Command {
    let mut command = program(["export", "--from", "1d", "--prefetch", "0", "--base-url", base_url]);
    command.args(options);
    command
}

fn export_by_file(base_url: &str, path: &std::path::Path) -> Ended {
    run(export(base_url, &["--token-file", path.to_str().unwrap()]))
}

#[test]
fn each_request_has_the_current_token_of_the_file() {
    let (_folder, path) = token_file();
    let file = path.clone();
    let (base_url, tokens) = serve(move |number| {
        fs::write(&file, format!("token-{}\n", number + 1)).unwrap();
        paged(number, 3)
    });
    let ended = export_by_file(&base_url, &path);
    ended.success();
    assert_eq!(ended.stdout.lines().count(), 3);
    assert_eq!(tokens.try_iter().collect::<Vec<_>>(), ["token-0", "token-1", "token-2"]);
}

#[test]
fn a_token_file_may_have_a_byte_order_mark_and_blank_lines() {
    for text in ["token-0\n", "token-0\r\n", "\n  token-0 \n\n", "\u{feff}token-0\r\n", "\u{feff}\ntoken-0"] {
        let (_folder, path) = token_file();
        fs::write(&path, text).unwrap();
        let (base_url, tokens) = serve(|number| paged(number, 0));
        export_by_file(&base_url, &path).success();
        assert_eq!(tokens.try_iter().collect::<Vec<_>>(), ["token-0"], "{text:?}");
    }
}

#[test]
fn an_invalid_token_file_is_refused_without_a_request() {
    for text in ["", "\u{feff}\n", "token-0\u{200b}\n", "token-0\nsecond\n", "Bearer token-0"] {
        let (_folder, path) = token_file();
        fs::write(&path, text).unwrap();
        let (base_url, tokens) = serve(|number| paged(number, 0));
        let ended = export_by_file(&base_url, &path);
        assert!(ended.code == 78 && !ended.stderr.contains("token-0"), "{text:?}: {}", ended.stderr);
        assert_eq!(tokens.try_iter().count(), 0, "{text:?}");
    }
}

#[test]
fn a_rejected_token_is_read_again() {
    let (_folder, path) = token_file();
    let file = path.clone();
    let (base_url, tokens) = serve(move |number| {
        fs::write(&file, "token-1").unwrap();
        if number == 0 { refusal() } else { paged(number, 0) }
    });
    export_by_file(&base_url, &path).success();
    assert_eq!(tokens.try_iter().collect::<Vec<_>>(), ["token-0", "token-1"]);
}

#[test]
fn the_same_token_is_tried_only_once_more() {
    let (_folder, path) = token_file();
    let (base_url, tokens) = serve(|_| refusal());
    let ended = export_by_file(&base_url, &path);
    assert!(ended.code == 77 && ended.stderr.contains("get a new token"), "{}", ended.stderr);
    assert_eq!(tokens.try_iter().count(), 2);
}

#[test]
fn a_token_file_can_be_missing_for_a_moment() {
    let (_folder, path) = token_file();
    let file = path.clone();
    let (base_url, tokens) = serve(move |number| {
        match number {
            0 => fs::remove_file(&file).unwrap(),
            1 => fs::write(&file, "").unwrap(),
            _ => fs::write(&file, "token-1").unwrap(),
        }
        paged(number, 4)
    });
    let ended = export_by_file(&base_url, &path);
    ended.success();
    assert_eq!(tokens.try_iter().collect::<Vec<_>>(), ["token-0", "token-0", "token-0", "token-1"]);
    let warnings =
        ended.stderr.lines().filter(|line| line.contains("continuing with the previous token")).count();
    assert_eq!(warnings, 1, "{}", ended.stderr);
}

#[test]
fn a_rejected_token_without_its_file_is_an_error() {
    let (_folder, path) = token_file();
    let file = path.clone();
    let (base_url, _tokens) = serve(move |_| {
        let _ = fs::remove_file(&file);
        refusal()
    });
    let ended = export_by_file(&base_url, &path);
    assert_eq!(ended.code, 78, "{}", ended.stderr);
    assert!(ended.stderr.contains(path.to_str().unwrap()) && ended.stderr.contains("can't be read"));
}

#[cfg(unix)]
#[test]
fn a_token_can_come_through_a_pipe() {
    let (base_url, tokens) = serve(|number| paged(number, 2));
    let mut command = export(&base_url, &["--token-file", "/dev/stdin"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"token-0\n").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(tokens.try_iter().collect::<Vec<_>>(), ["token-0", "token-0"]);
}

/// A client of the sandbox that has its refresh token in a file.
struct Integration {
    service: Service,
    folder: TempDir,
}

impl Integration {
    fn start(builder: webex_events::sandbox::SandboxBuilder) -> Self {
        let service = Service::start(builder);
        let this = Self { service, folder: folder() };
        fs::write(this.store(), this.service.refresh_token().unwrap()).unwrap();
        this
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store.json")
    }

    fn stored(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.store()).unwrap()).unwrap()
    }

    /// A command with all options that it needs.
    fn command(&self, name: &str, options: &[&str]) -> Command {
        let store = self.store();
        let mut command = program([name, "--base-url", self.service.base_url()]);
        command.args(["--oauth-store", store.to_str().unwrap(), "--client-id", &self.service.client_id()]);
        command.args(options).env("WEBEX_CLIENT_SECRET", self.service.client_secret());
        command
    }

    /// Runs the program to its end, and checks that no message contains a secret.
    fn run(&self, command: Command) -> Ended {
        let secrets = [self.service.client_secret(), self.service.refresh_token().unwrap_or_default()];
        let ended = run(command);
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{}", ended.stderr);
        }
        ended
    }
}

#[test]
fn a_refresh_token_is_enough() {
    let integration = Integration::start(Sandbox::builder().events(100).rotate_refresh_tokens(true));
    for renewals in [1, 1] {
        let ended = integration.run(integration.command("export", &[]));
        ended.success();
        assert!(ended.stdout == integration.service.lines());
        assert_eq!(
            integration.service.counts().refreshes,
            renewals,
            "the second run has its token from the first"
        );
        assert_eq!(integration.stored()["refresh_token"], integration.service.refresh_token().unwrap());
    }
}

#[test]
fn a_token_that_is_rejected_within_a_list_is_renewed() {
    let builder = Sandbox::builder().events(100).fail(When::every(3), Response::status(401));
    let integration = Integration::start(builder.rotate_refresh_tokens(true));
    let ended = integration.run(integration.command("export", &["--page-size", "10"]));
    ended.success();
    assert!(ended.stdout == integration.service.lines());
    assert!(integration.service.counts().refreshes > 3);
}

#[test]
fn the_command_that_the_sandbox_prints_works() {
    if cfg!(unix) {
        let folder = folder();
        let mut running = Running::start(program(["sandbox", "--events", "150", "--oauth"]));
        let lines: Vec<_> = (0..10).map(|_| running.line()).collect();
        let mut shell = Command::new("sh");
        shell.args(["-c", &lines[8..].concat()]).current_dir(folder.path()).stderr(Stdio::piped());
        run(shell).success();
        let text = fs::read_to_string(folder.path().join("events.ndjson")).unwrap();
        assert_eq!(text.lines().count(), 150);
    }
}

#[test]
fn the_client_credentials_come_from_files_or_variables() {
    let integration = Integration::start(Sandbox::builder().events(10));
    let secret = integration.folder.path().join("secret");
    fs::write(&secret, integration.service.client_secret() + "\n").unwrap();
    let store = integration.store();
    let mut command = export(integration.service.base_url(), &["--oauth-store", store.to_str().unwrap()]);
    command.args(["--client-secret-file", secret.to_str().unwrap()]);
    // Each of these is a contradiction.
    command.env("WEBEX_CLIENT_SECRET", "wrong").env("WEBEX_ACCESS_TOKEN", TOKEN);
    command.env("WEBEX_CLIENT_ID", integration.service.client_id());
    integration.run(command).success();
    assert_eq!(integration.service.counts().refreshes, 1);
}

#[test]
fn missing_credentials_are_reported_with_the_ways_to_set_them() {
    let (folder, path) = token_file();
    let store = path.to_str().unwrap();
    let missing = folder.path().join("missing");
    let missing = missing.to_str().unwrap();
    let base = ["--oauth-store", store];
    for (options, secret, words) in [
        (base.as_slice(), true, ["WEBEX_CLIENT_ID", "--client-id"]),
        (
            &[&base[..], &["--client-id", "c"]].concat(),
            false,
            ["WEBEX_CLIENT_SECRET", "--client-secret-file"],
        ),
        (
            &[&base[..], &["--client-id", "c", "--client-secret-file", missing]].concat(),
            false,
            [missing, "--client-secret-file"],
        ),
        (&["--oauth-store", missing, "--client-id", "c"], true, [missing, "refresh token"]),
    ] {
        for name in ["export", "doctor"] {
            let mut command = program([name]);
            command.args(options);
            if secret {
                command.env("WEBEX_CLIENT_SECRET", "s");
            }
            let ended = run(command);
            let text = format!("{}{}", ended.stdout, ended.stderr);
            assert_eq!(ended.code, 78, "{text}");
            assert!(words.iter().all(|word| text.contains(word)), "{words:?} aren't in {text}");
        }
    }
}

#[test]
fn contradictions_are_usage_errors() {
    for (options, word) in [
        (["--oauth-store", "a", "--token-file", "b"].as_slice(), "--token-file"),
        (&["--client-id", "c"], "--oauth-store"),
        (&["--client-secret-file", "c"], "--oauth-store"),
        (&["--sandbox", "--oauth-store", "a"], "--oauth-store"),
        (&["--client-secret", TOKEN], "--client-secret-file"),
        (&["--oauth-store", "a", "--client-id", ""], "--client-id"),
    ] {
        for name in ["export", "doctor"] {
            let mut command = program([name]);
            command.args(options);
            let ended = run(command);
            let (code, line) = ended.failure();
            assert!(code == 2 && line.contains(word), "{options:?}: {line}");
        }
    }
}

#[test]
fn a_refused_renewal_gives_advice() {
    let integration = Integration::start(Sandbox::builder().events(10));
    let mut command = integration.command("export", &[]);
    command.env("WEBEX_CLIENT_SECRET", "wrong");
    let ended = integration.run(command);
    assert!(ended.code == 77 && ended.stderr.contains("check the client id and secret"), "{}", ended.stderr);
    integration.service.revoke_refresh_token();
    let ended = integration.run(integration.command("export", &[]));
    assert!(ended.code == 77 && ended.stderr.contains("log in again"), "{}", ended.stderr);
    let ended = integration.run(integration.command("doctor", &[]));
    assert_eq!(ended.failure(), (77, "error: 1 of 7 checks failed: token"));
    let line = ended.stdout.lines().find(|line| line.starts_with("fail  token")).unwrap();
    assert!(line.contains("renewed") && line.contains("store.json"), "{line}");
}

#[test]
fn a_store_that_can_not_be_written_is_an_output_error() {
    let integration = Integration::start(Sandbox::builder().events(10));
    fs::create_dir(integration.folder.path().join("store.json.lock")).unwrap();
    let before = names(&integration.folder);
    let ended = integration.run(integration.command("export", &[]));
    assert!(ended.code == 74 && ended.stderr.contains("--oauth-store"), "{}", ended.stderr);
    assert_eq!((names(&integration.folder), integration.service.counts().refreshes), (before, 0));
    let ended = integration.run(integration.command("doctor", &[]));
    assert_eq!(ended.failure(), (74, "error: 1 of 7 checks failed: token"));
}

#[test]
fn the_doctor_knows_when_the_token_expires() {
    let integration = Integration::start(Sandbox::builder().events(10));
    let ended = integration.run(integration.command("doctor", &[]));
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    let stored = integration.stored();
    let expiry = stored["expires_at"].as_str().unwrap();
    let line = ended.stdout.lines().find(|line| line.starts_with("ok    token")).unwrap();
    assert!(line.contains(&expiry[..16]), "{line} {expiry}");
    assert!(ended.stdout.contains("which renews it"), "{}", ended.stdout);
}

#[cfg(unix)]
#[test]
fn a_signal_while_a_token_is_renewed_loses_neither_token() {
    // The service has replaced the refresh token before its response arrives.
    let replies = When::always().on(Route::AccessToken);
    let builder = Sandbox::builder().events(100).rotate_refresh_tokens(true).slow_bodies(replies, 1000);
    let integration = Integration::start(builder);
    let folder = folder();
    let output = folder.path().join("f");
    let running = Running::start(integration.command("export", &["-o", output.to_str().unwrap()]));
    until("a renewal", || integration.service.counts().refreshes > 0);
    running.signal("TERM");
    assert_eq!(running.end().code, 143);
    assert_eq!(integration.stored()["refresh_token"], integration.service.refresh_token().unwrap());
}
