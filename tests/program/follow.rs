//! `follow`: every event once, in files per hour, after stops and kills.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;
use webex_events::{
    Event,
    sandbox::{Response, Sandbox, When},
};

use crate::{
    resume::decompressed,
    support::{Ended, Running, Service, TOKEN, folder, names, program, run, run_alone, sorted, until},
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Events of four hours. The service's clock is at the end of the second hour.
fn service() -> Service {
    let (start, end) = (at("2026-01-05T08:00:00Z"), at("2026-01-05T12:00:00Z"));
    Service::start(Sandbox::builder().events(400).period(start, end).now(at("2026-01-05T10:00:00Z")))
}

fn output() -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join("out");
    (folder, path)
}

fn follow(service: &Service, output: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = program(["follow", "--base-url", service.base_url(), "-o", output.to_str().unwrap()]);
    command.args(["--every", "0s", "--commit-every", "0s", "--from", "2026-01-05"]).args(arguments);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN);
    command
}

/// Everything that is in the folder, under final and temporary names.
fn written(folder: &Path) -> Vec<String> {
    let files =
        names(folder).into_iter().filter(|name| name.contains(".ndjson") && !name.contains("malformed"));
    let text = |name: String| fs::read_to_string(folder.join(name)).unwrap_or_default();
    files.flat_map(|name| text(name).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn committed(folder: &Path) -> u64 {
    let Ok(text) = fs::read(folder.join("ledger.json")) else { return 0 };
    let ledger: Value = serde_json::from_slice(&text).unwrap();
    let files = ledger["files"].as_array().unwrap();
    files.iter().map(|file| file["events"].as_u64().unwrap()).sum()
}

fn count(service: &Service) -> u64 {
    service.event_ids().len() as u64
}

#[track_caller]
fn has_all(service: &Service, folder: &Path) {
    assert!(sorted(written(folder)) == sorted(service.lines().lines()), "each event once, as it came");
    let ended = run_alone(["verify", folder.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[cfg(unix)]
fn stop(running: Running) -> Ended {
    running.signal("TERM");
    running.end()
}

#[cfg(unix)]
#[test]
fn events_go_into_the_file_of_their_hour_as_they_come() {
    let service = service();
    let (_folder, out) = output();
    let running = Running::start(follow(&service, &out, &[]));
    until("the first two hours", || committed(&out) == count(&service));
    service.set_now(at("2026-01-05T11:30:00Z"));
    until("another hour and a half", || committed(&out) == count(&service));
    // An event that is late by less than five minutes.
    service.push(at("2026-01-05T11:26:00Z"));
    until("the late one", || committed(&out) == count(&service));
    let ended = stop(running);
    assert_eq!(ended.code, 143);
    assert!(ended.stderr.contains("to resume"), "{}", ended.stderr);
    has_all(&service, &out);
    let hours = names(&out);
    assert_eq!(hours[0], "events_20260105T080000Z_20260105T090000Z.ndjson");
    assert!(hours[2].ends_with("T110000Z.ndjson"), "it is over: {hours:?}");
    assert!(hours[3].ends_with("T120000Z.ndjson.part"), "it isn't: {hours:?}");
    for name in &hours[..4] {
        let text = fs::read_to_string(out.join(name)).unwrap();
        let start = at(&format!("2026-01-05T{}:00:00Z", &name[16..18]));
        let range = start..start + TimeDelta::hours(1);
        assert!(
            text.lines().all(|line| range.contains(&Event::from_json(line).unwrap().created())),
            "{name}"
        );
    }
}

#[test]
fn after_several_kills_each_event_is_in_the_files_once() {
    let service = service();
    let (_folder, out) = output();
    for minute in (0..120).step_by(10) {
        service.set_now(at("2026-01-05T10:00:00Z") + TimeDelta::minutes(minute));
        let running = Running::start(follow(&service, &out, &["--page-size", "7"]));
        // Roughly in the middle of the events.
        let enough = committed(&out) + 1 + u64::try_from(minute).unwrap() % 7;
        until("some of it", || committed(&out) >= enough.min(count(&service)));
        running.kill();
    }
    let running = Running::start(follow(&service, &out, &[]));
    until("all of it", || committed(&out) == count(&service));
    running.kill();
    has_all(&service, &out);
}

#[cfg(unix)]
#[test]
fn a_quiet_period_advances_the_checkpoint_and_completes_hours() {
    let service = Service::start(
        Sandbox::builder()
            .events(50)
            .period(at("2026-01-05T08:00:00Z"), at("2026-01-05T08:30:00Z"))
            .now(at("2026-01-05T09:00:00Z")),
    );
    let (_folder, out) = output();
    let running = Running::start(follow(&service, &out, &["--compress", "zstd"]));
    until("all", || committed(&out) == 50);
    assert!(!out.join("events_20260105T080000Z_20260105T090000Z.ndjson.zst").exists());
    service.set_now(at("2026-01-05T15:00:00Z"));
    let file = out.join("events_20260105T080000Z_20260105T090000Z.ndjson.zst");
    until("the name", || file.exists());
    let ended = stop(running);
    assert!(ended.stderr.contains("settled up to 2026-01-05T14:5"), "{}", ended.stderr);
    assert_eq!(decompressed("zstd", &fs::read(file).unwrap()).lines().count(), 50);
}

#[cfg(unix)]
#[test]
fn a_temporary_error_is_retried_and_a_refusal_ends_it() {
    let service = service();
    let (_folder, out) = output();
    let running = Running::start(follow(&service, &out, &["--attempts", "1"]));
    until("all", || committed(&out) == count(&service));
    service.fail(When::next(1), Response::status(503).retry_after(0));
    // A signal ends the wait.
    until("a fault", || service.requests().iter().any(|request| request.status == Some(503)));
    let ended = stop(running);
    assert_eq!(ended.code, 143, "{}", ended.stderr);

    service.set_token("another");
    let ended = run(follow(&service, &out, &[]));
    assert_eq!(ended.code, 77, "{}", ended.stderr);
    assert!(ended.stderr.contains("get a new token"), "{}", ended.stderr);
    service.set_token(TOKEN);
    service.set_now(at("2026-01-05T11:00:00Z"));
    let running = Running::start(follow(&service, &out, &[]));
    until("all", || committed(&out) == count(&service));
    stop(running);
    has_all(&service, &out);
}

#[cfg(unix)]
#[test]
fn a_cursor_that_expires_within_a_round_does_not_end_it() {
    for status in [400, 404, 410] {
        let service = service();
        let (_folder, out) = output();
        service.fail(When::at([3]), Response::status(status));
        let running = Running::start(follow(&service, &out, &["--page-size", "10"]));
        until("a fault", || service.requests().iter().any(|request| request.status == Some(status)));
        // It waits before it reads the round again, and a signal ends the wait.
        let ended = stop(running);
        assert_eq!(ended.code, 143, "{}", ended.stderr);
        let running = Running::start(follow(&service, &out, &[]));
        until("all", || committed(&out) == count(&service));
        stop(running);
        has_all(&service, &out);
    }
}

/// The result of `verify` for a folder and the service.
#[cfg(unix)]
fn verify_against(service: &Service, out: &Path) -> Ended {
    let mut command = program(["verify", out.to_str().unwrap(), "--against-service"]);
    command.args(["--base-url", service.base_url()]).env("WEBEX_ACCESS_TOKEN", TOKEN);
    run(command)
}

#[cfg(unix)]
#[test]
fn events_before_the_start_of_a_follower_are_not_compared() {
    let service = service();
    let (_folder, out) = output();
    let mut command = program(["follow", "--base-url", service.base_url(), "-o", out.to_str().unwrap()]);
    command.args(["--every", "0s", "--from", "2026-01-05T08:30:00Z"]).env("WEBEX_ACCESS_TOKEN", TOKEN);
    let running = Running::start(command);
    until("an hour", || out.join("events_20260105T080000Z_20260105T090000Z.ndjson").exists());
    stop(running);
    let ended = verify_against(&service, &out);
    assert!(ended.code == 0 && ended.stdout.contains("the same that the service has"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn a_follower_and_the_service_have_the_same_events() {
    let service = service();
    let (_folder, out) = output();
    let running = Running::start(follow(&service, &out, &[]));
    until("all", || committed(&out) == count(&service));
    stop(running);
    let ended = verify_against(&service, &out);
    assert!(ended.code == 0 && ended.stdout.contains("the same that the service has"), "{}", ended.stderr);
    // An event that is much too late.
    let late = service.push(at("2026-01-05T08:10:00Z"));
    let ended = verify_against(&service, &out);
    assert!(ended.code == 74 && ended.stderr.contains(&late), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn a_follower_on_stdout_keeps_a_checkpoint_in_a_file() {
    let service = service();
    let folder = folder();
    let checkpoint = folder.path().join("checkpoint.json");
    let keeping = ["--checkpoint", checkpoint.to_str().unwrap()];
    let mut lines = Vec::new();
    for now in ["2026-01-05T10:00:00Z", "2026-01-05T11:00:00Z"] {
        service.set_now(at(now));
        let expected = service.event_ids().len();
        let mut running = Running::start(follow(&service, Path::new("-"), &keeping));
        while lines.len() < expected {
            lines.push(running.line().trim_end().to_owned());
        }
        // The events are flushed before the checkpoint is stored.
        let kept = || fs::read_to_string(&checkpoint).unwrap();
        let last = Event::from_json(lines.last().unwrap().as_str()).unwrap();
        until("the checkpoint after it", || kept().contains(last.id()));
        assert_eq!(stop(running).code, 143);
    }
    assert!(sorted(lines) == sorted(service.lines().lines()));
    let text = fs::read_to_string(&checkpoint).unwrap();
    fs::write(&checkpoint, &text[..text.len() / 2]).unwrap();
    let ended = run(follow(&service, Path::new("-"), &keeping));
    let (code, line) = ended.failure();
    assert!(
        code == 74 && line.contains("checkpoint.json is damaged") && line.contains("restore it"),
        "{line}"
    );
}

const LISTS: [&str; 4] = ["--resource", "messages,memberships,rooms", "--type", "created"];

/// The events of these lists that the service has now.
fn listed(service: &Service) -> Vec<String> {
    let is_listed = |line: &&str| {
        let event = Event::from_json(*line).unwrap();
        ["messages", "memberships", "rooms"].contains(&event.resource().as_str())
            && event.event_type().as_str() == "created"
    };
    service.lines().lines().filter(is_listed).map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn several_lists_are_followed_and_after_kills_each_event_is_in_the_files_once() {
    let service = service();
    let (_folder, out) = output();
    for minute in (0..120).step_by(15) {
        service.set_now(at("2026-01-05T10:00:00Z") + TimeDelta::minutes(minute));
        let running =
            Running::start(follow(&service, &out, &[&LISTS, ["--page-size", "7"].as_slice()].concat()));
        let enough = committed(&out) + 1 + u64::try_from(minute).unwrap() % 7;
        until("some of it", || committed(&out) >= enough.min(listed(&service).len() as u64));
        running.kill();
    }
    // There are events left for a last run, which handles signals when it has written them.
    service.set_now(at("2026-01-05T12:00:00Z"));
    let running = Running::start(follow(&service, &out, &LISTS));
    until("all of it", || committed(&out) == listed(&service).len() as u64);
    running.kill();
    assert_eq!(sorted(written(&out)), sorted(listed(&service)));
    let ledger: Value = serde_json::from_slice(&fs::read(out.join("ledger.json")).unwrap()).unwrap();
    assert_eq!((&ledger["webex-events"], ledger["checkpoint"].as_array().unwrap().len()), (&3.into(), 3));
    let ended = verify_against(&service, &out);
    assert!(ended.code == 0 && ended.stdout.contains("the same that the service has"), "{}", ended.stderr);
    let ended = run(follow(&service, &out, &LISTS[..2]));
    assert!(ended.failure().0 == 2 && ended.stderr.contains("--type created is missing"), "{}", ended.stderr);
}

/// A round of the longest list covers only a part of the time, and the other lists wait for it.
#[cfg(unix)]
#[test]
fn lists_of_different_lengths_are_caught_up_with_together() {
    let (start, end) = (at("2025-12-01T00:00:00Z"), at("2026-01-05T10:00:00Z"));
    let service = Service::start(Sandbox::builder().events(30_000).period(start, end).now(end));
    let (_folder, out) = output();
    let mut command = program(["follow", "--base-url", service.base_url(), "-o", out.to_str().unwrap()]);
    command.args(["--every", "0s", "--from", "2025-12-01"]).args(LISTS).env("WEBEX_ACCESS_TOKEN", TOKEN);
    let running = Running::start(command);
    let listed = sorted(listed(&service));
    until("all of it", || committed(&out) == listed.len() as u64);
    stop(running);
    assert!(sorted(written(&out)) == listed);
}

#[cfg(unix)]
#[test]
fn an_error_of_one_list_does_not_end_the_others() {
    let service = service();
    let (_folder, out) = output();
    service.fail(When::at([3]), Response::status(503).retry_after(0));
    let running = Running::start(follow(&service, &out, &[&LISTS, ["--attempts", "2"].as_slice()].concat()));
    until("all of it", || committed(&out) == listed(&service).len() as u64);
    stop(running);
    assert_eq!(sorted(written(&out)), sorted(listed(&service)));
}

#[cfg(unix)]
#[test]
fn several_lists_on_stdout_have_one_checkpoint_file() {
    let service = service();
    let folder = folder();
    let checkpoint = folder.path().join("checkpoint.json");
    let arguments = [&LISTS, ["--checkpoint", checkpoint.to_str().unwrap()].as_slice()].concat();
    let mut lines = Vec::new();
    for now in ["2026-01-05T10:00:00Z", "2026-01-05T11:00:00Z"] {
        service.set_now(at(now));
        let expected = listed(&service);
        let mut running = Running::start(follow(&service, Path::new("-"), &arguments));
        while lines.len() < expected.len() {
            lines.push(running.line().trim_end().to_owned());
        }
        assert_eq!(stop(running).code, 143);
        assert_eq!(sorted(lines.clone()), sorted(expected));
    }
}

#[test]
fn invalid_options_of_follow_are_refused() {
    let service = service();
    let (folder, out) = output();
    let file = folder.path().join("f");
    fs::write(&file, "").unwrap();
    for (output, arguments, word) in [
        (file.as_path(), [].as_slice(), "is a file"),
        (&out, &["--checkpoint", "c"], "--checkpoint is for stdout"),
        (Path::new("-"), &["--compress", "zstd"], "--compress needs a folder"),
        (&out, &["--to", "1d"], "--to"),
        (&out, &["--resource", "whiteboards"], "whiteboards"),
    ] {
        let ended = run(follow(&service, output, arguments));
        let (code, line) = ended.failure();
        assert!(code == 2 && line.contains(word), "{line}");
    }
    assert_eq!(names(&folder), ["f"]);
    let running = Running::start(follow(&service, &out, &[]));
    until("all", || committed(&out) == count(&service));
    let ended = run(follow(&service, &out, &[]));
    assert!(ended.failure().0 == 75 && ended.stderr.contains("another process"), "{}", ended.stderr);
    running.kill();
    let ended = run(follow(&service, &out, &["--resource", "rooms"]));
    assert!(ended.failure().0 == 2 && ended.stderr.contains("--resource rooms is new"), "{}", ended.stderr);
    let export = ["-o", out.to_str().unwrap(), "--from", "2026-01-05", "--to", "2026-01-06"];
    let ended = run(service.export(export));
    assert!(ended.failure().0 == 2 && ended.stderr.contains("belongs to a follower"), "{}", ended.stderr);
}
