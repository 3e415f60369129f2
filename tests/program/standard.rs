//! Standard output and standard error that are closed, full, or not read.

use std::{fs, io, process::Command};

use serde_json::Value;
use tempfile::TempDir;
use webex_events::sandbox::{Sandbox, SandboxBuilder};

use crate::support::{Ended, Service, TOKEN, folder, in_shell, names, program, run};

fn sandbox() -> SandboxBuilder {
    Sandbox::builder().events(50)
}

/// A command with the token and the service, if it takes them.
fn command(service: &Service, arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN).env("WEBEX_BASE_URL", service.base_url());
    command
}

/// An exported folder.
fn exported(service: &Service) -> (TempDir, String) {
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    run(command(service, &["export", "--from", "7d", "-o", &name, "--slice", "7d"])).success();
    (folder, name)
}

fn id(service: &Service) -> String {
    let mut id = String::new();
    service.for_each_item(|item| {
        serde_json::from_str::<Value>(item).unwrap()["id"].as_str().unwrap().clone_into(&mut id);
    });
    id
}

/// Runs each command that writes to stdout.
fn each(redirections: &str, check: impl Fn(&[&str], Ended)) {
    let service = Service::start(sandbox());
    let (_folder, name) = exported(&service);
    let id = id(&service);
    for arguments in [
        ["export", "--from", "7d"].as_slice(),
        &["follow", "-o", "-", "--from", "7d"],
        &["get", &id],
        &["plan", "--from", "7d"],
        &["plan", "--from", "7d", "--json"],
        &["verify", &name],
        &["doctor"],
        &["doctor", "--log-format", "json"],
        &["completions", "bash"],
        &["--help"],
        &["export", "--help"],
        &["--version"],
    ] {
        check(arguments, run(in_shell(&command(&service, arguments), "", redirections)));
    }
}

#[track_caller]
fn output_error(arguments: &[&str], ended: &Ended) {
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(ended.code == 74 && last.contains("stdout can't be written"), "{arguments:?}: {ended:?}");
}

#[test]
fn a_closed_stdout_is_an_output_error() {
    each(">&-", |arguments, ended| output_error(arguments, &ended));
}

#[test]
fn a_full_stdout_is_an_output_error() {
    each(">/dev/full", |arguments, ended| output_error(arguments, &ended));
}

#[test]
fn a_stdout_that_is_open_for_reading_only_is_an_output_error() {
    each("1</dev/null", |arguments, ended| output_error(arguments, &ended));
}

#[test]
fn a_follower_with_a_closed_stdout_does_not_touch_its_checkpoint() {
    let service = Service::start(sandbox());
    let folder = folder();
    let path = folder.path().join("checkpoint");
    let follow = command(
        &service,
        &["follow", "-o", "-", "--from", "7d", "--every", "0s", "--checkpoint", path.to_str().unwrap()],
    );
    output_error(&[], &run(in_shell(&follow, "", ">&-")));
    assert!(names(&folder).is_empty());
    // A follower with a checkpoint, whose reader closed the pipe.
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut first = command(
        &service,
        &["follow", "-o", "-", "--from", "7d", "--every", "0s", "--checkpoint", path.to_str().unwrap()],
    );
    first.stdout(writer);
    assert_eq!(run(first).code, 0);
    let before = fs::read(&path).unwrap();
    output_error(&[], &run(in_shell(&follow, "", ">&-")));
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn dev_null_opened_for_writing_is_an_output() {
    let service = Service::start(sandbox());
    let (_folder, name) = exported(&service);
    for arguments in [["export", "--from", "7d"].as_slice(), &["verify", &name], &["--version"]] {
        let ended = run(in_shell(&command(&service, arguments), "", ">/dev/null"));
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn a_file_is_written_with_all_three_closed() {
    let service = Service::start(sandbox());
    let folder = folder();
    let path = folder.path().join("f");
    let export = command(&service, &["export", "--from", "60d", "-o", path.to_str().unwrap()]);
    assert_eq!(run(in_shell(&export, "", "<&- >&- 2>&-")).code, 0);
    assert!(fs::read_to_string(&path).unwrap() == service.lines());
}

#[test]
fn a_complete_run_succeeds_even_if_stderr_can_not_be_written() {
    let service = Service::start(sandbox());
    for redirection in ["2>&-", "2>/dev/full", "2</dev/null"] {
        let mut export = command(&service, &["export", "--from", "60d"]);
        export.env("RUST_LOG", "info");
        let ended = run(in_shell(&export, "", redirection));
        assert_eq!(ended.code, 0, "{redirection}");
        assert!(ended.stdout == service.lines(), "{redirection}: nothing but events");
    }
}

/// When events go to stdout, stderr is the only output for malformed items.
#[test]
fn a_malformed_item_that_can_not_be_written_to_stderr_is_an_output_error() {
    let service = Service::start(sandbox().malformed_every(10));
    let code =
        |redirection| run(in_shell(&command(&service, &["export", "--from", "60d"]), "", redirection)).code;
    for redirection in ["2>&-", "2>/dev/full", "2</dev/null"] {
        assert_eq!(code(redirection), 74, "{redirection}");
    }
    assert_eq!(code("2>/dev/null"), 0);
}

#[test]
fn a_closed_reader_is_no_failure() {
    let service = Service::start(sandbox());
    let (_folder, name) = exported(&service);
    for arguments in [
        ["export", "--from", "7d"].as_slice(),
        &["verify", &name],
        &["doctor"],
        &["plan", "--from", "7d"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = command(&service, arguments);
        command.stdout(writer);
        let ended = run(command);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn the_summary_says_that_the_reader_closed_the_output() {
    let service = Service::start(sandbox());
    let folder = folder();
    let path = folder.path().join("summary.json");
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut export = command(&service, &["export", "--from", "60d", "--summary", path.to_str().unwrap()]);
    export.stdout(writer);
    assert_eq!(run(export).code, 0);
    let summary: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!((&summary["complete"], &summary["exit_code"]), (&false.into(), &0.into()));
    assert_eq!(summary["why_not"], "the reader of the output has closed it");
}
