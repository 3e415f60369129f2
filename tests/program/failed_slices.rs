//! A slice that can't be read doesn't stop the others.

use std::{fs, path::Path, process::Command};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;
use webex_events::sandbox::{Response, Sandbox, When};

use crate::support::{Ended, Service, exported, folder, names, run, run_alone, sorted};

/// Two days of events, with one page for each of 48 slices.
fn service() -> Service {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let period = (at("2026-01-01T00:00:00Z"), at("2026-01-03T00:00:00Z"));
    Service::start(Sandbox::builder().events(480).period(period.0, period.1))
}

fn output() -> (TempDir, String) {
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    (folder, name)
}

/// Slices of an hour, one after another: the first request is for the service's time, and the n-th after it for
/// the n-th slice.
fn export(service: &Service, name: &str, arguments: &[&str]) -> Command {
    let mut command = service.export(["-o", name, "--slice", "1h", "--concurrency", "1", "--attempts", "1"]);
    command.args(["--from", "2026-01-01", "--to", "2026-01-03"]).args(arguments);
    command
}

fn ledger(name: &str) -> Value {
    serde_json::from_slice(&fs::read(Path::new(name).join("ledger.json")).unwrap()).unwrap()
}

fn files(name: &str) -> usize {
    names(name).iter().filter(|name| name.ends_with(".ndjson")).count()
}

fn lines<'a>(ended: &'a Ended, words: &str) -> Vec<&'a str> {
    ended.stderr.lines().filter(|line| line.contains(words)).collect()
}

#[test]
fn the_others_are_exported_and_a_rerun_tries_only_the_one_that_failed() {
    let undecodable = Response::status(200).body("text/html", "<html>a login page</html>");
    for (answer, code) in [
        (undecodable, 69),
        (Response::status(400), 69),
        (Response::status(403), 77),
        (Response::status(503).retry_after(0), 75),
    ] {
        let service = service();
        let (folder, name) = output();
        let summary = folder.path().join("summary.json");
        service.fail(When::at([10]), answer);
        let ended = run(export(&service, &name, &["--summary", summary.to_str().unwrap()]));
        assert_eq!(ended.code, code, "{}", ended.stderr);
        let line = "the slice from 2026-01-01T09:00:00Z to 2026-01-01T10:00:00Z can't be read: ";
        assert_eq!(lines(&ended, line).len(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("1 of 48 slices can't be read"), "{}", ended.stderr);
        assert_eq!(files(&name), 47);
        let failed = &ledger(&name)["failed"];
        assert_eq!(failed.as_array().unwrap().len(), 1, "{failed}");
        assert_eq!(failed[0]["start"], "2026-01-01T09:00:00Z");
        let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
        assert_eq!((&summary["complete"], &summary["exit_code"]), (&false.into(), &code.into()));
        assert_eq!(summary["failed"][0]["start"], "2026-01-01T09:00:00Z");

        let ended = run_alone(["verify", &name]);
        assert_eq!(ended.code, 75, "{}", ended.stderr);
        assert_eq!(lines(&ended, "not exported: 2026-01-01T09:00:00Z to").len(), 1, "{}", ended.stderr);
        assert!(lines(&ended, "not exported yet: ").is_empty(), "it was tried: {}", ended.stderr);
        assert!(ended.stderr.contains("1 gap"), "{}", ended.stderr);

        service.clear_faults();
        let before = service.counts().requests;
        run(export(&service, &name, &[])).success();
        assert_eq!(service.counts().requests - before, 1);
        assert!(sorted(exported(&name)) == sorted(service.lines().lines()));
        assert!(ledger(&name)["failed"].as_array().is_none_or(Vec::is_empty));
    }
}

#[test]
fn hours_that_the_service_still_has_are_exported_and_those_before_are_not_tried_again() {
    let now = Utc::now();
    let (start, end) = (now - TimeDelta::days(4), now);
    let service = Service::start(Sandbox::builder().events(400).period(start, end).retention(2));
    let (_folder, name) = output();
    let export = || {
        let mut command = service.export(["-o", &name, "--slice", "12h", "--concurrency", "1"]);
        command.args(["--from", "3d"]);
        run(command)
    };
    let ended = export();
    assert_eq!(ended.code, 77, "{}", ended.stderr);
    let failed = lines(&ended, "can't be read: the service responded with 403").len();
    assert!((2..=3).contains(&failed), "{}", ended.stderr);
    assert!(files(&name) >= 4);
    let before = service.counts().requests;
    let ended = export();
    assert_eq!(ended.code, 77, "an incomplete export doesn't look complete: {}", ended.stderr);
    assert_eq!(
        lines(&ended, "can't be read: the service responded with 403").len(),
        failed,
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("the service no longer has"), "{}", ended.stderr);
    assert_eq!(service.counts().requests, before);
    let ended = run_alone(["verify", &name]);
    assert_eq!(ended.code, 75, "{}", ended.stderr);
    assert_eq!(lines(&ended, ": beyond retention").len(), failed, "{}", ended.stderr);
    assert!(ended.stderr.contains("doesn't have what is missing any more"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("run the same export again"), "it can't help: {}", ended.stderr);
}

/// Every run stopped at it, so that nothing was ever exported.
#[test]
fn a_first_slice_that_is_refused_is_set_aside_if_the_service_has_responded_before() {
    let service = service();
    let (_folder, name) = output();
    service.fail(When::at([1]), Response::status(403));
    let ended = run(export(&service, &name, &[]));
    assert_eq!(ended.code, 77, "{}", ended.stderr);
    assert_eq!(lines(&ended, "the slice from 2026-01-01T00:00:00Z").len(), 1, "{}", ended.stderr);
    assert_eq!(files(&name), 47);
}

#[test]
fn the_exit_code_is_that_of_the_worst_failure() {
    let service = service();
    let (_folder, name) = output();
    service.fail(When::at([5]), Response::status(503).retry_after(0));
    service.fail(When::at([7]), Response::status(403));
    service.fail(When::at([9]), Response::status(400));
    let ended = run(export(&service, &name, &[]));
    assert_eq!(ended.code, 77, "{}", ended.stderr);
    assert!(ended.stderr.contains("3 of 48 slices can't be read"), "{}", ended.stderr);
    assert_eq!(files(&name), 45);
}

#[test]
fn an_error_that_affects_every_slice_stops_the_run() {
    for (number, status, code) in [(10, 401, 77), (0, 403, 77)] {
        let service = service();
        let (_folder, name) = output();
        service.fail(When::at(number..1000), Response::status(status));
        let ended = run(export(&service, &name, &[]));
        assert_eq!(ended.code, code, "{}", ended.stderr);
        // A 401 is tried once more with another token.
        assert!(service.counts().requests <= number + 2, "{}", service.counts().requests);
    }
    // In a rerun, the first request is for a slice.
    let service = service();
    let (_folder, name) = output();
    service.fail(When::at([10]), Response::status(400));
    assert_eq!(run(export(&service, &name, &[])).code, 69);
    service.clear_faults();
    service.fail(When::next(1), Response::status(403));
    let ended = run(export(&service, &name, &[]));
    assert_eq!(ended.code, 77, "{}", ended.stderr);
    assert!(lines(&ended, "the slice from").is_empty(), "{}", ended.stderr);
}

#[test]
fn a_failed_service_ends_the_run_and_the_rerun_starts_with_the_slices_that_were_not_tried() {
    let service = service();
    let (_folder, name) = output();
    service.fail(When::at(1..1000), Response::status(503).retry_after(0));
    let ended = run(export(&service, &name, &[]));
    assert_eq!(ended.code, 69, "{}", ended.stderr);
    assert_eq!(lines(&ended, "the slice from").len(), 8, "{}", ended.stderr);
    service.clear_faults();
    let before = service.requests().len();
    run(export(&service, &name, &[])).success();
    assert!(sorted(exported(&name)) == sorted(service.lines().lines()));
    let target = |number: usize| service.requests()[number].target.clone();
    // The margin before 08:00, the ninth slice.
    assert!(target(before).contains("from=2026-01-01T07"), "{}", target(before));
    assert!(target(before + 40).contains("from=2026-01-01T00"), "{}", target(before + 40));
}

#[test]
fn a_folder_without_content_can_be_used_by_another_command() {
    let service = service();
    let (_folder, name) = output();
    service.fail(When::at(1..1000), Response::status(400));
    assert_eq!(run(export(&service, &name, &["--actor-id", "nobody"])).code, 69);
    service.clear_faults();
    run(export(&service, &name, &[])).success();
    assert!(sorted(exported(&name)) == sorted(service.lines().lines()));
    let ended = run(export(&service, &name, &["--actor-id", "nobody"]));
    assert!(ended.code == 2 && ended.stderr.contains("--actor-id nobody is new"), "{}", ended.stderr);
    let ended = run_alone(["verify", &name]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn a_summary_may_be_in_the_folder_that_the_export_makes() {
    let service = service();
    let (_folder, name) = output();
    let summary = Path::new(&name).join("summary.json");
    for _ in 0..2 {
        run(export(&service, &name, &["--summary", summary.to_str().unwrap()])).success();
        let summary: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
        assert_eq!(summary["complete"], true);
    }
    assert_eq!(run_alone(["verify", &name]).code, 0);
}
