//! `verify --repair` and `export --repair`: missing and damaged files, and missing events, are exported again.

use std::{fs, path::Path, process::Command, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;
use webex_events::sandbox::{Response, Sandbox, SandboxBuilder, When};

use crate::{
    resume::decompressed,
    support::{
        Ended, Running, Service, TOKEN, exported, folder, names, program, run, run_alone, sorted, until,
    },
};

const SECOND: &str = "events_20260101T120000Z_20260102T000000Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn two_days() -> SandboxBuilder {
    Sandbox::builder().events(200).period(at("2026-01-01T00:00:00Z"), at("2026-01-03T00:00:00Z"))
}

fn export(service: &Service, name: &str, arguments: &[&str]) -> Command {
    let mut command = service.export(["-o", name, "--slice", "12h", "--page-size", "10", "--attempts", "1"]);
    command.args(["--from", "2026-01-01", "--to", "2026-01-03"]).args(arguments);
    command
}

/// Four complete files.
fn complete(builder: SandboxBuilder, arguments: &[&str]) -> (TempDir, String, Service) {
    let service = Service::start(builder);
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    run(export(&service, &name, arguments)).success();
    (folder, name, service)
}

fn repair(service: &Service, name: &str, arguments: &[&str]) -> Command {
    let mut command =
        program(["verify", name, "--repair", "--attempts", "1", "--base-url", service.base_url()]);
    command.args(arguments).env("WEBEX_ACCESS_TOKEN", TOKEN);
    command
}

fn ledger(name: &str) -> Value {
    serde_json::from_slice(&fs::read(Path::new(name).join("ledger.json")).unwrap()).unwrap()
}

fn replaced(name: &str) -> Vec<String> {
    names(name).into_iter().filter(|name| name.contains("replaced")).collect()
}

/// The folder is as if nothing had ever happened to it, except for the files that are kept.
#[track_caller]
fn is_sound(name: &str, service: &Service) {
    let ended = run_alone(["verify", name]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    assert!(sorted(exported(name)) == sorted(service.lines().lines()), "each event once, as it came");
}

#[test]
fn a_damaged_and_a_missing_file_are_exported_again() {
    let (_folder, name, service) = complete(two_days(), &[]);
    let at = |file: &str| Path::new(&name).join(file);
    let damaged = at(&format!("{SECOND}.ndjson"));
    let garbage = fs::read_to_string(&damaged).unwrap().replacen("\"id\":\"Y", "\"id\":\"X", 1);
    fs::write(&damaged, &garbage).unwrap();
    fs::remove_file(at("events_20260102T000000Z_20260102T120000Z.ndjson")).unwrap();
    let before = service.requests().len();
    let ended = run(repair(&service, &name, &[]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("is sound: 200 events in 4 files"), "{}", ended.stdout);
    for words in ["checksum doesn't match", "it is missing", "reading 2 files again"] {
        assert!(ended.stderr.contains(words), "{words} isn't in {}", ended.stderr);
    }
    assert_eq!(replaced(&name), [format!("{SECOND}.replaced-1")]);
    assert_eq!(fs::read_to_string(at(&format!("{SECOND}.replaced-1"))).unwrap(), garbage);
    let requests = service.requests();
    let other =
        |target: &str| target.contains("from=2026-01-01T00") || target.contains("from=2026-01-02T11:59");
    assert!(!requests[before..].iter().any(|request| other(&request.target)), "only those two");
    is_sound(&name, &service);
    // A second time, the kept file gets another name.
    fs::write(&damaged, "").unwrap();
    assert_eq!(run(repair(&service, &name, &[])).code, 0);
    assert_eq!(replaced(&name), [format!("{SECOND}.replaced-1"), format!("{SECOND}.replaced-2")]);
    is_sound(&name, &service);
}

/// Opening a pipe waits for another process.
#[cfg(unix)]
#[test]
fn a_file_whose_name_a_pipe_or_a_folder_has_is_exported_again() {
    let (_folder, name, service) = complete(two_days(), &[]);
    let file = Path::new(&name).join(format!("{SECOND}.ndjson"));
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert_eq!(run_alone(["verify", &name]).code, 74);
    let ended = run(repair(&service, &name, &[]));
    assert!(ended.code == 0 && ended.stderr.contains("isn't a regular file"), "{}", ended.stderr);
    is_sound(&name, &service);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(run(repair(&service, &name, &[])).code, 0);
    is_sound(&name, &service);
    // A folder with the name of an unfinished file is in nobody's way.
    fs::create_dir(file.with_extension("ndjson.part")).unwrap();
    is_sound(&name, &service);
}

#[test]
fn a_sound_folder_is_left_alone() {
    let (_folder, name, service) = complete(two_days(), &[]);
    let before = fs::read(Path::new(&name).join("ledger.json")).unwrap();
    let requests = service.counts().requests;
    let ended = run(repair(&service, &name, &[]));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(service.counts().requests, requests, "the service isn't needed");
    assert!(fs::read(Path::new(&name).join("ledger.json")).unwrap() == before);
    assert!(!names(&name).contains(&"ledger.lock".to_owned()));
}

#[test]
fn an_export_repairs_its_folder_before_it_continues() {
    let (_folder, name, service) = complete(two_days(), &[]);
    fs::write(Path::new(&name).join(format!("{SECOND}.ndjson")), "short").unwrap();
    let ended = run(export(&service, &name, &[]));
    let (code, line) = ended.failure();
    assert!(code == 74 && line.contains("--repair"), "{line}");
    let ended = run(export(&service, &name, &["--repair"]));
    assert!(ended.success().starts_with("complete: 200 events"), "{}", ended.stderr);
    assert_eq!(replaced(&name), [format!("{SECOND}.replaced-1")]);
    is_sound(&name, &service);
    let ended = run(export(&service, &name, &["--repair"]));
    assert!(ended.success().starts_with("complete already"), "{}", ended.stderr);
}

#[test]
fn compressed_files_and_malformed_items_are_repaired() {
    for how in ["gzip", "zstd"] {
        let (_folder, name, service) = complete(two_days().malformed_every(50), &["--compress", how]);
        let files = names(&name);
        let suffix = if how == "gzip" { "gz" } else { "zst" };
        let events = files.iter().find(|file| file.starts_with(SECOND)).unwrap();
        assert!(events.ends_with(suffix));
        let malformed = files.iter().rfind(|file| file.ends_with(".malformed")).unwrap();
        let at = |file: &str| Path::new(&name).join(file);
        let mut bytes = fs::read(at(events)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(at(events), &bytes).unwrap();
        fs::write(at(malformed), "").unwrap();
        let ended = run(repair(&service, &name, &[]));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(fs::read(at(&format!("{SECOND}.replaced-1.{suffix}"))).unwrap() == bytes);
        let data = names(&name).into_iter().filter(|file| file.ends_with(&format!(".ndjson.{suffix}")));
        let texts: Vec<_> = data.map(|file| decompressed(how, &fs::read(at(&file)).unwrap())).collect();
        let lines = texts.iter().flat_map(|text| text.lines());
        assert!(sorted(lines) == sorted(service.lines().lines().filter(|line| line.starts_with("{\"id\""))));
        assert_eq!(names(&name).iter().filter(|file| !file.contains("replaced")).count(), files.len());
        assert_eq!(run_alone(["verify", &name]).code, 0);
    }
}

#[test]
fn missing_events_are_added_to_those_that_a_file_has() {
    let (_folder, name, service) = complete(two_days().late_events(3), &[]);
    let before = exported(&name);
    let late = service.release_late(2);
    let ended = run(repair(&service, &name, &["--against-service"]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("the same that the service has"), "{}", ended.stdout);
    assert!(late.iter().all(|id| ended.stderr.contains(id)), "{}", ended.stderr);
    let after = exported(&name);
    assert!(after.len() == before.len() + 2 && before.iter().all(|line| after.contains(line)));
    assert!(!replaced(&name).is_empty());
    is_sound(&name, &service);
    assert!(ledger(&name)["files"].as_array().unwrap().iter().all(|file| file["duplicates"].is_null()));
}

/// The slices of a repair that was killed are open, and the old files still have their names.
fn killed(service: &Service, name: &str) {
    service.latency(When::always(), Duration::from_secs(3600));
    let running = Running::start(repair(service, name, &[]));
    until("a file that is read again", || {
        fs::read_to_string(Path::new(name).join("ledger.json")).unwrap().contains("\"replaces\"")
    });
    running.kill();
    service.clear_faults();
}

#[test]
fn a_repair_that_was_killed_continues_with_any_of_the_commands() {
    for number in 0..3 {
        let (_folder, name, service) = complete(two_days(), &[]);
        let damaged = Path::new(&name).join(format!("{SECOND}.ndjson"));
        let garbage = "x".repeat(100);
        fs::write(&damaged, &garbage).unwrap();
        killed(&service, &name);
        assert_eq!(fs::read_to_string(&damaged).unwrap(), garbage, "it keeps its name until it is replaced");
        let ended = run_alone(["verify", &name]);
        assert!(ended.code == 75 && ended.stderr.contains("run the same export again"), "{}", ended.stderr);
        let ended = match number {
            0 => run(repair(&service, &name, &[])),
            1 => run(export(&service, &name, &[])),
            _ => run(export(&service, &name, &["--repair"])),
        };
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(
            fs::read_to_string(Path::new(&name).join(format!("{SECOND}.replaced-1"))).unwrap(),
            garbage
        );
        is_sound(&name, &service);
    }
}

#[test]
fn events_that_a_repair_has_added_are_there_even_if_it_is_killed_after_that() {
    let (_folder, name, service) = complete(two_days().late_events(1), &[]);
    let before = exported(&name).len();
    service.release_late(1);
    // The comparison takes one page, and the comparison after the repair another one.
    service.latency(When::at(1..1000), Duration::from_secs(3600));
    let running = Running::start(repair(&service, &name, &["--against-service"]));
    until("the missing event", || {
        let ledger = ledger(&name);
        let files = ledger["files"].as_array().unwrap();
        let events: u64 = files.iter().map(|file| file["events"].as_u64().unwrap()).sum();
        events > before as u64 && files.iter().all(|file| file["replaces"].is_null())
    });
    running.kill();
    service.clear_faults();
    let ended = run(repair(&service, &name, &["--against-service"]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(exported(&name).len(), before + 1);
    is_sound(&name, &service);
    assert_eq!(replaced(&name).len(), 1);
}

#[test]
fn a_service_that_fails_leaves_the_repair_to_another_run() {
    let (_folder, name, service) = complete(two_days(), &[]);
    fs::remove_file(Path::new(&name).join(format!("{SECOND}.ndjson"))).unwrap();
    service.fail(When::always(), Response::status(503).retry_after(0));
    let ended = run(repair(&service, &name, &[]));
    assert!([69, 75].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
    service.clear_faults();
    let ended = run_alone(["verify", &name]);
    assert!(
        ended.code == 75 && ended.stderr.contains("not exported: 2026-01-01T12:00:00Z"),
        "{}",
        ended.stderr
    );
    assert_eq!(run(repair(&service, &name, &[])).code, 0);
    is_sound(&name, &service);
}

/// Most organizations can list 90 days, and an archive may be older.
#[test]
fn a_file_that_the_service_no_longer_has_can_be_restored_from_a_copy() {
    let (_folder, name, service) = complete(two_days(), &[]);
    let path = Path::new(&name).join(format!("{SECOND}.ndjson"));
    let copy = fs::read(&path).unwrap();
    let ledger = fs::read(Path::new(&name).join("ledger.json")).unwrap();
    fs::remove_file(&path).unwrap();
    let text = r#"{"message":"User is only authorized to search within past 90 days."}"#;
    service.fail(When::always(), Response::status(403).body("application/json", text));
    let ended = run(repair(&service, &name, &[]));
    assert_eq!(ended.code, 77, "{}", ended.stderr);
    fs::write(&path, copy).unwrap();
    let ended = run(repair(&service, &name, &[]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("1 file restored from a copy"), "{}", ended.stderr);
    assert!(fs::read(Path::new(&name).join("ledger.json")).unwrap() == ledger);
    is_sound(&name, &service);
}

#[test]
fn what_the_service_can_not_restore_remains_a_problem() {
    let (_folder, name, service) = complete(two_days(), &[]);
    fs::write(Path::new(&name).join("events_x.ndjson"), "").unwrap();
    let ended = run(repair(&service, &name, &[]));
    assert!(ended.code == 74 && ended.stderr.contains("no entry"), "{}", ended.stderr);
    assert!(ended.stderr.contains("move away") && !ended.stderr.contains("add --repair"), "{}", ended.stderr);
    let ended = run_alone(["verify", &name]);
    assert!(ended.code == 74 && ended.stderr.contains("add --repair"), "{}", ended.stderr);
}

#[test]
fn a_damaged_part_of_an_interrupted_export_is_read_again() {
    let service = Service::start(two_days());
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    service.latency(When::at(9..1000), Duration::from_secs(3600));
    let running = Running::start(export(&service, &name, &["--concurrency", "1", "--commit-every", "0s"]));
    let part = Path::new(&name).join(format!("{SECOND}.ndjson.part"));
    until("a page of the second slice", || {
        fs::read_to_string(Path::new(&name).join("ledger.json"))
            .is_ok_and(|text| text.contains(SECOND) && text.contains("\"cursor\""))
    });
    running.kill();
    service.clear_faults();
    fs::write(&part, "short").unwrap();
    assert_eq!(run(export(&service, &name, &[])).code, 74);
    run(export(&service, &name, &["--repair"])).success();
    assert_eq!(fs::read(Path::new(&name).join(format!("{SECOND}.replaced-1"))).unwrap(), b"short");
    is_sound(&name, &service);
}

#[test]
fn a_folder_that_another_process_writes_is_not_repaired() {
    let service = Service::start(two_days());
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    service.latency(When::at(9..1000), Duration::from_secs(3600));
    let running = Running::start(export(&service, &name, &["--concurrency", "1", "--commit-every", "0s"]));
    until("a file", || Path::new(&name).join("events_20260101T000000Z_20260101T120000Z.ndjson").exists());
    let ended = run(repair(&service, &name, &[]));
    assert!(ended.code == 75 && ended.stderr.contains("another process"), "{}", ended.stderr);
    running.kill();
}

/// A follower's folder with four hours, of which the last one isn't over.
#[cfg(unix)]
fn followed() -> (TempDir, String, Service) {
    let (start, end) = (at("2026-01-05T08:00:00Z"), at("2026-01-05T12:00:00Z"));
    let now = at("2026-01-05T11:30:00Z");
    let service = Service::start(Sandbox::builder().events(400).period(start, end).now(now));
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    follow(&service, &name).code.eq(&143).then_some(()).unwrap();
    (folder, name, service)
}

/// Follows until everything is committed.
#[cfg(unix)]
fn follow(service: &Service, name: &str) -> Ended {
    let mut command = program(["follow", "--base-url", service.base_url(), "-o", name]);
    command.args(["--every", "0s", "--commit-every", "0s", "--from", "2026-01-05"]);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN);
    let running = Running::start(command);
    let all = service.event_ids().len() as u64;
    until("everything", || {
        let Ok(text) = fs::read(Path::new(name).join("ledger.json")) else { return false };
        let ledger: Value = serde_json::from_slice(&text).unwrap();
        let files = ledger["files"].as_array().unwrap();
        files.iter().map(|file| file["events"].as_u64().unwrap()).sum::<u64>() == all
    });
    running.signal("TERM");
    running.end()
}

/// The lines of all files, complete or not.
#[cfg(unix)]
fn lines(name: &str) -> Vec<String> {
    let files = names(name).into_iter().filter(|name| name.contains(".ndjson"));
    let text = |file: String| fs::read_to_string(Path::new(name).join(file)).unwrap();
    files.flat_map(|file| text(file).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[cfg(unix)]
#[test]
fn the_hours_of_a_follower_are_repaired() {
    let (_folder, name, service) = followed();
    let hour = |hour: u32| {
        Path::new(&name).join(format!("events_20260105T{hour:02}0000Z_20260105T{:02}0000Z.ndjson", hour + 1))
    };
    fs::write(hour(8), "damaged").unwrap();
    fs::remove_file(hour(9)).unwrap();
    let mut command = program(["follow", "--base-url", service.base_url(), "-o", &name]);
    command.args(["--from", "2026-01-05"]).env("WEBEX_ACCESS_TOKEN", TOKEN);
    let ended = run(command);
    let advice = format!("repair it with `webex-events verify --repair {name}`");
    assert!(ended.code == 74 && ended.stderr.contains(&advice), "{}", ended.stderr);
    let ended = run(repair(&service, &name, &["--against-service"]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(sorted(lines(&name)) == sorted(service.lines().lines()));
    assert_eq!(replaced(&name), ["events_20260105T080000Z_20260105T090000Z.replaced-1"]);
    // An event that came later than any follower waits for it.
    service.push(at("2026-01-05T09:10:00Z"));
    let ended = run(repair(&service, &name, &["--against-service"]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(sorted(lines(&name)) == sorted(service.lines().lines()));
    service.set_now(at("2026-01-05T12:30:00Z"));
    follow(&service, &name);
    assert!(sorted(lines(&name)) == sorted(service.lines().lines()));
    assert_eq!(run_alone(["verify", &name]).code, 0);
}

/// A follower that started within an hour doesn't have the earlier events of that hour.
#[cfg(unix)]
#[test]
fn the_first_hour_of_a_follower_is_repaired_from_its_start() {
    let (start, end) = (at("2026-01-05T08:00:00Z"), at("2026-01-05T12:00:00Z"));
    let sandbox = Sandbox::builder().events(400).period(start, end).now(at("2026-01-05T11:30:00Z"));
    let service = Service::start(sandbox);
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    let first = Path::new(&name).join("events_20260105T080000Z_20260105T090000Z.ndjson");
    let mut command = program(["follow", "--base-url", service.base_url(), "-o", &name, "--every", "0s"]);
    command.args(["--from", "2026-01-05T08:30:00Z"]).env("WEBEX_ACCESS_TOKEN", TOKEN);
    let running = Running::start(command);
    until("the first hour", || first.exists());
    running.signal("TERM");
    running.end();
    let before = sorted(fs::read_to_string(&first).unwrap().lines().map(str::to_owned));
    fs::write(&first, "damaged").unwrap();
    let ended = run(repair(&service, &name, &["--against-service"]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(sorted(fs::read_to_string(&first).unwrap().lines().map(str::to_owned)) == before);
}

#[cfg(unix)]
#[test]
fn an_hour_that_is_not_over_is_read_again_by_the_follower() {
    let (_folder, name, service) = followed();
    let part = Path::new(&name).join("events_20260105T110000Z_20260105T120000Z.ndjson.part");
    fs::write(&part, "damaged").unwrap();
    let ended = run(repair(&service, &name, &[]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("by the next run of follow"), "{}", ended.stderr);
    follow(&service, &name);
    assert!(sorted(lines(&name)) == sorted(service.lines().lines()));
    assert_eq!(replaced(&name), ["events_20260105T110000Z_20260105T120000Z.replaced-1"]);
    assert_eq!(run_alone(["verify", &name]).code, 0);
}

#[cfg(unix)]
#[test]
fn a_follower_does_not_finish_an_hour_whose_repair_was_interrupted() {
    let (_folder, name, service) = followed();
    let damaged = Path::new(&name).join("events_20260105T090000Z_20260105T100000Z.ndjson");
    fs::write(&damaged, "damaged").unwrap();
    service.fail(When::always(), Response::status(503).retry_after(0));
    assert_ne!(run(repair(&service, &name, &[])).code, 0);
    service.clear_faults();
    let ended = run_alone(["verify", &name]);
    assert!(ended.code == 75, "{}", ended.stderr);
    let mut command = program(["follow", "--base-url", service.base_url(), "-o", &name, "--every", "0s"]);
    command.args(["--commit-every", "0s", "--from", "2026-01-05"]).env("WEBEX_ACCESS_TOKEN", TOKEN);
    service.push(at("2026-01-05T11:29:00Z"));
    let running = Running::start(command);
    let last = Path::new(&name).join("events_20260105T110000Z_20260105T120000Z.ndjson.part");
    let before = fs::read_to_string(&last).unwrap().lines().count();
    until("the new event", || fs::read_to_string(&last).unwrap().lines().count() > before);
    running.signal("TERM");
    let ended = running.end();
    assert!(ended.stderr.contains("a repair of"), "{}", ended.stderr);
    assert_eq!(fs::read(&damaged).unwrap(), b"damaged");
    let ended = run_alone(["verify", &name]);
    assert!(ended.code == 75 && ended.stderr.contains("run verify with --repair"), "{}", ended.stderr);
    assert_eq!(run(repair(&service, &name, &[])).code, 0);
    assert!(sorted(lines(&name)) == sorted(service.lines().lines()));
}

/// The hour before isn't over either, and its late events are still to come.
#[cfg(unix)]
#[test]
fn a_follower_misses_no_late_event_when_it_reads_the_newest_hour_again() {
    let (_folder, name, service) = followed();
    service.push(at("2026-01-05T12:01:00Z"));
    service.set_now(at("2026-01-05T12:03:00Z"));
    follow(&service, &name);
    let part = Path::new(&name).join("events_20260105T120000Z_20260105T130000Z.ndjson.part");
    fs::remove_file(&part).unwrap();
    assert_eq!(run(repair(&service, &name, &[])).code, 0);
    service.push(at("2026-01-05T11:59:30Z"));
    follow(&service, &name);
    assert!(sorted(lines(&name)) == sorted(service.lines().lines()));
}
