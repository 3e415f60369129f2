//! `verify` finds each kind of damage, and `plan` shows the slices of an export.

use std::{fs, path::Path, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;
use webex_events::sandbox::{Sandbox, SandboxBuilder, When};

use crate::support::{Ended, Running, Service, TOKEN, folder, names, program, run, run_alone, until};

const RANGE: [&str; 4] = ["--from", "2026-01-01", "--to", "2026-01-03"];

fn two_days() -> SandboxBuilder {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    Sandbox::builder().events(200).period(at("2026-01-01T00:00:00Z"), at("2026-01-03T00:00:00Z"))
}

fn export(service: &Service, name: &str, arguments: &[&str]) -> std::process::Command {
    let mut command = service.export(["-o", name, "--slice", "12h", "--page-size", "10"]);
    command.args(RANGE).args(arguments);
    command
}

fn exported(builder: SandboxBuilder, arguments: &[&str]) -> (TempDir, String, Service) {
    let service = Service::start(builder);
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    run(export(&service, &name, arguments)).success();
    (folder, name, service)
}

fn verify(name: &str) -> Ended {
    run_alone(["verify", name])
}

fn against(service: &Service, name: &str) -> Ended {
    let mut command = program(["verify", name, "--against-service", "--base-url", service.base_url()]);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN);
    run(command)
}

#[track_caller]
fn finds(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} isn't in {:?}", ended.stderr);
    }
    assert!(ended.stderr.lines().last().unwrap().starts_with("error: "), "{}", ended.stderr);
}

#[test]
fn a_sound_folder_is_reported_in_one_line() {
    for arguments in [[].as_slice(), &["--compress", "zstd"], &["--compress", "gzip"]] {
        let (_folder, name, service) = exported(two_days().malformed_every(50), arguments);
        for ended in [verify(&name), against(&service, &name)] {
            assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
            assert_eq!(ended.stdout.lines().count(), 1);
            assert!(ended.stdout.contains("196 events in 4 files"), "{}", ended.stdout);
        }
    }
}

#[test]
fn each_kind_of_damage_is_found_and_named() {
    let (_folder, name, _service) = exported(two_days().malformed_every(50), &[]);
    let second = Path::new(&name).join("events_20260101T120000Z_20260102T000000Z.ndjson");
    let third = Path::new(&name).join("events_20260102T000000Z_20260102T120000Z.ndjson");
    let text = fs::read_to_string(&second).unwrap();
    let (first_line, rest) = text.split_once('\n').unwrap();
    let of_third = fs::read_to_string(&third).unwrap();
    let foreign = of_third.lines().next().unwrap();
    let last = rest.trim_end().rsplit_once('\n').unwrap().1;
    for (damaged, word) in [
        (None, "it is missing"),
        (Some(text.trim_end().to_owned()), "B and should be"),
        (Some(format!("{text}\n")), "B and should be"),
        (Some(String::new()), "B and should be"),
        (Some(text.replacen("\"resource\"", "\"resourze\"", 1)), "line 1 is not an event"),
        (Some(text.replacen("created\":\"2026", "created\":\"2025", 1)), "outside of the file's range"),
        (Some(text.replacen("\"id\":\"Y", "\"id\":\"X", 1)), "its checksum doesn't match"),
        (Some(format!("{foreign}\n{rest}")), "of another line"),
        (Some(format!("{last}\n{rest}")), "of another line"),
        (Some(rest.to_owned()), "B and should be"),
    ] {
        match &damaged {
            Some(damaged) => fs::write(&second, damaged).unwrap(),
            None => fs::remove_file(&second).unwrap(),
        }
        finds(&verify(&name), 74, &["events_20260101T120000Z", "failed verification"]);
        if damaged.as_ref().is_none_or(|damaged| damaged.len() == text.len() || word.contains("bytes")) {
            finds(&verify(&name), 74, &[word]);
        }
    }
    assert!(!first_line.is_empty());
    fs::write(&second, &text).unwrap();
    let malformed = names(&name).into_iter().find(|file| file.ends_with(".malformed")).unwrap();
    let malformed = Path::new(&name).join(malformed);
    let kept = fs::read_to_string(&malformed).unwrap();
    fs::write(&malformed, kept.replacen("raw", "war", 1)).unwrap();
    finds(&verify(&name), 74, &[".malformed", "checksum"]);
    fs::write(&malformed, kept).unwrap();
    fs::write(Path::new(&name).join("events_x.ndjson"), "").unwrap();
    finds(&verify(&name), 74, &["events_x.ndjson", "no entry"]);
    fs::remove_file(Path::new(&name).join("events_x.ndjson")).unwrap();
    assert_eq!(verify(&name).code, 0);
    let ledger = Path::new(&name).join("ledger.json");
    let whole = fs::read_to_string(&ledger).unwrap();
    fs::write(&ledger, &whole[..whole.len() - 5]).unwrap();
    finds(&verify(&name), 74, &["ledger.json is damaged"]);
    fs::remove_file(&ledger).unwrap();
    finds(&verify(&name), 74, &["no ledger.json"]);
}

#[test]
fn an_incomplete_folder_is_sound_and_its_gaps_are_reported() {
    let service = Service::start(two_days());
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    service.latency(When::at(9..1000), Duration::from_secs(3600));
    let running = Running::start(export(&service, &name, &["--concurrency", "1", "--commit-every", "0s"]));
    let ledger = Path::new(&name).join("ledger.json");
    until("a page of the second slice", || {
        fs::read_to_string(&ledger)
            .is_ok_and(|text| text.contains("\"stage\":\"open\"") && text.contains("_20260102T000000Z"))
    });
    running.kill();
    service.clear_faults();
    for ended in [verify(&name), against(&service, &name)] {
        finds(&ended, 75, &["not exported yet: 2026-01-01T12:00:00Z to 2026-01-03T00:00:00Z", "1 gap"]);
    }
    run(export(&service, &name, &[])).success();
    assert_eq!(verify(&name).code, 0);
}

#[test]
fn a_problem_beside_a_running_export_advises_to_verify_again() {
    let service = Service::start(two_days());
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    service.latency(When::at(9..1000), Duration::from_secs(3600));
    let running = Running::start(export(&service, &name, &["--concurrency", "1", "--commit-every", "0s"]));
    let first = Path::new(&name).join("events_20260101T000000Z_20260101T120000Z.ndjson");
    until("a file", || first.exists());
    let ended = verify(&name);
    finds(&ended, 75, &["is sound, but not complete"]);
    fs::write(&first, "").unwrap();
    finds(&verify(&name), 75, &["B and should be", "1 problem", "another process is writing it"]);
    running.kill();
    finds(&verify(&name), 74, &["B and should be", "1 problem"]);
}

#[test]
fn a_closed_pipe_ends_verify_without_an_error() {
    let (_folder, name, _service) = exported(two_days(), &[]);
    let mut running = Running::start(program(["verify", &name]));
    running.close_stdout();
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn the_service_is_compared_both_ways() {
    let (_folder, name, service) = exported(two_days().late_events(3), &[]);
    let late = service.release_late(2);
    let ended = against(&service, &name);
    finds(&ended, 74, &["2 problems", "the service has an event that the file lacks"]);
    assert!(late.iter().all(|id| ended.stderr.contains(id)), "{}", ended.stderr);
    // Another service with other events in the same range.
    let other = Service::start(two_days().seed(1).events(10));
    let ended = against(&other, &name);
    finds(&ended, 74, &["no longer lists an event that the file has", "210 problems"]);
}

#[test]
fn a_folder_without_an_export_is_refused() {
    let folder = folder();
    let file = folder.path().join("f");
    fs::write(&file, "").unwrap();
    finds(&verify(file.to_str().unwrap()), 2, &["is a file"]);
    finds(&verify(folder.path().to_str().unwrap()), 74, &["no ledger.json"]);
    finds(&verify("missing"), 74, &["doesn't exist"]);
}

#[test]
fn a_sandbox_of_its_own_can_be_compared() {
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    run_alone(["export", "--sandbox", "500", "-o", &name, "--from", "40d", "--slice", "10d"]).success();
    let ended = run_alone(["verify", &name, "--against-service"]);
    assert!(ended.code == 0 && ended.stdout.contains("the same that the service has"), "{}", ended.stderr);
}

#[test]
fn a_plan_sends_nothing_and_names_what_an_export_writes() {
    let ended = run_alone([["plan", "--slice", "12h", "--rate-limit", "60"].as_slice(), &RANGE].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(
        ended.stdout.ends_with(
            "4 slices of up to 12h: at least 4 requests, which take at least 3 s at 60 per minute\n"
        )
    );
    let ended = run_alone([["plan", "--slice", "12h", "--json"].as_slice(), &RANGE].concat());
    let plan: Value = serde_json::from_str(&ended.stdout).unwrap();
    let planned: Vec<_> =
        plan["slices"].as_array().unwrap().iter().map(|slice| slice["name"].as_str().unwrap()).collect();
    let (_folder, name, _service) = exported(two_days(), &[]);
    let written = names(&name);
    assert_eq!(planned, written[..4]);
    assert_eq!(plan["least_requests"], 4);
    for (arguments, word) in [
        (["plan"].as_slice(), "--from"),
        (&["plan", "--from", "2026-01-02", "--to", "2026-01-01"], "before --to"),
        (&["plan", "--from", "1d", "--slice", "0s"], "millisecond"),
    ] {
        let ended = run_alone(arguments);
        assert!(ended.failure().0 == 2 && ended.stderr.contains(word), "{}", ended.stderr);
    }
}
