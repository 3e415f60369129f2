//! `follow -o -`: lines after restarts, checkpoints, and readers that close the pipe.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tempfile::TempDir;
use webex_events::{
    Event,
    sandbox::{Response, Sandbox, When},
};

use crate::support::{Running, Service, TOKEN, export_from, folder, names, program, run, sorted, until};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn service() -> Service {
    let (start, end) = (at("2026-01-05T08:00:00Z"), at("2026-01-05T12:00:00Z"));
    Service::start(Sandbox::builder().events(400).period(start, end).now(at("2026-01-05T10:00:00Z")))
}

fn checkpoint() -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join("checkpoint.json");
    (folder, path)
}

fn follow(service: &Service, arguments: &[&str]) -> Command {
    let mut command = program(["follow", "--base-url", service.base_url(), "-o", "-", "--every", "0s"]);
    command.args(arguments).env("WEBEX_ACCESS_TOKEN", TOKEN);
    command
}

fn keeping(checkpoint: &Path) -> [&str; 4] {
    ["--from", "2026-01-05", "--checkpoint", checkpoint.to_str().unwrap()]
}

/// Starts a follower that appends to a file, as a shell's `>>` does.
fn append(mut command: Command, file: &Path) -> Running {
    command.stdout(Stdio::from(OpenOptions::new().append(true).create(true).open(file).unwrap()));
    Running::start(command)
}

fn last_id(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(Event::from_json(text.lines().last()?).ok()?.id().to_owned())
}

fn has(checkpoint: &Path, id: &str) -> bool {
    fs::read_to_string(checkpoint).is_ok_and(|text| text.contains(id))
}

#[cfg(unix)]
#[test]
fn a_run_starts_with_a_newline_after_a_kill_but_not_after_a_clean_end() {
    let service = service();
    let (folder, checkpoint_file) = checkpoint();
    let file = folder.path().join("out.ndjson");
    let running = append(follow(&service, &keeping(&checkpoint_file)), &file);
    until("all", || last_id(&file).is_some_and(|id| has(&checkpoint_file, &id)));
    running.kill();
    // The kill came in the middle of a line.
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.starts_with('\n'), "there was no run before");
    fs::write(&file, format!("{text}{{\"id\":\"cut o")).unwrap();

    service.set_now(at("2026-01-05T11:00:00Z"));
    let before = service.event_ids().len();
    let running = append(follow(&service, &keeping(&checkpoint_file)), &file);
    let count = || {
        let text = fs::read_to_string(&file).unwrap();
        text.lines().filter(|line| Event::from_json(*line).is_ok()).count()
    };
    until("all", || count() >= before && last_id(&file).is_some_and(|id| has(&checkpoint_file, &id)));
    running.signal("TERM");
    assert_eq!(running.end().code, 143);
    let text = fs::read_to_string(&file).unwrap();
    let whole: Vec<_> = text.lines().filter(|line| Event::from_json(*line).is_ok()).collect();
    assert!(sorted(whole) == sorted(service.lines().lines()), "a reader of lines gets every event");
    assert!(text.contains("{\"id\":\"cut o\n"));

    let length = text.len();
    service.set_now(at("2026-01-05T12:00:00Z"));
    let running = append(follow(&service, &keeping(&checkpoint_file)), &file);
    until("more", || fs::metadata(&file).unwrap().len() > length as u64);
    running.kill();
    assert!(!fs::read_to_string(&file).unwrap()[length..].starts_with('\n'), "the last line was completed");
}

#[cfg(unix)]
#[test]
fn a_follower_ends_when_the_reader_closes_the_pipe_even_without_events() {
    let service = service();
    let mut running = Running::start(follow(&service, &["--from", "2026-01-05"]));
    for _ in 0..service.event_ids().len() {
        running.line();
    }
    // No event comes from now on.
    running.close_stdout();
    let ended = running.end();
    // The sandbox has another time, which causes a warning.
    assert!(ended.code == 0 && !ended.stderr.contains("error"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn an_export_ends_when_the_reader_closes_the_pipe_while_it_waits_for_a_page() {
    let service = Service::start(Sandbox::builder().events(100));
    service.latency(When::at([1]), Duration::from_secs(3600));
    let mut running = Running::start(service.export(["--page-size", "10"]));
    running.line();
    running.close_stdout();
    assert_eq!(running.end().code, 0);
}

#[test]
fn a_checkpoint_belongs_to_one_process_and_one_kind() {
    let service = service();
    let (folder, checkpoint_file) = checkpoint();
    let running = Running::start(follow(&service, &keeping(&checkpoint_file)));
    until("a checkpoint", || checkpoint_file.exists());
    let ended = run(follow(&service, &keeping(&checkpoint_file)));
    assert!(ended.code == 75 && ended.stderr.contains("another process"), "{}", ended.stderr);
    running.kill();
    // An export must not use it as its own state.
    let name = folder.path().join("f");
    fs::rename(&checkpoint_file, folder.path().join("f.cursor")).unwrap();
    let ended = run(export_from(service.base_url(), ["-o", name.to_str().unwrap()]));
    assert!(ended.code == 2 && ended.stderr.contains("a follower"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn the_first_start_waits_for_a_service_with_a_temporary_failure() {
    let service = service();
    service.fail(When::next(1), Response::status(503).retry_after(0));
    let mut running = Running::start(follow(&service, &["--attempts", "1"]));
    running.wait_for_message("trying again in 30 s");
    running.signal("TERM");
    assert_eq!(running.end().code, 143);
}

#[test]
fn a_path_that_can_not_be_written_is_refused_before_the_first_request() {
    let service = service();
    let folder = folder();
    let long = folder.path().join("x".repeat(256));
    let missing = folder.path().join("missing/out");
    for path in [long.to_str().unwrap(), missing.to_str().unwrap()] {
        for arguments in [vec!["export", "-o", path], vec!["follow", "-o", path]] {
            let mut command = program(arguments);
            command.args(["--base-url", service.base_url(), "--from", "1d"]).env("WEBEX_ACCESS_TOKEN", TOKEN);
            let ended = run(command);
            assert_eq!(ended.code, 74, "{}", ended.stderr);
        }
        let mut command = follow(&service, &["--checkpoint", path]);
        command.args(["--from", "1d"]);
        let ended = run(command);
        assert_eq!(ended.code, 74, "{}", ended.stderr);
    }
    assert_eq!(service.counts().requests, 0);
    assert!(names(&folder).is_empty(), "{:?}", names(&folder));
}
