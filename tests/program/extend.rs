//! `export --extend`: a folder that grows with each run.

use std::{fs, path::Path, process::Command, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;
use webex_events::{
    Event,
    sandbox::{Response, Sandbox, When},
};

use crate::{
    resume::decompressed,
    support::{
        Running, Service, export_from, exported, folder, names, program, run, run_alone, sorted, until,
    },
    timeline::Timeline,
};

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-01-{text}Z").parse().unwrap()
}

/// 480 events in four days. The service's clock is in the middle of the second day.
fn service() -> Service {
    let period = (at("01T00:00:00"), at("05T00:00:00"));
    Service::start(Sandbox::builder().events(480).period(period.0, period.1).now(at("02T13:00:00")))
}

fn output() -> (TempDir, String) {
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    (folder, name)
}

/// A daily export, with a file per day.
fn daily(service: &Service, name: &str, arguments: &[&str]) -> Command {
    let fixed = ["-o", name, "--slice", "24h", "--page-size", "10", "--attempts", "1"];
    service.export([fixed.as_slice(), &["--from", "36h"], arguments].concat())
}

fn ledger(name: &str) -> Value {
    serde_json::from_slice(&fs::read(Path::new(name).join("ledger.json")).unwrap()).unwrap()
}

fn data(name: &str) -> Vec<String> {
    names(name).into_iter().filter(|name| name.starts_with("events_")).collect()
}

/// Each event that the service has and that was created in this range is in the files once, and nothing else.
#[track_caller]
fn has(service: &Service, name: &str, from: &str, to: &str) {
    let is_in = |line: &&str| (at(from)..at(to)).contains(&Event::from_json(*line).unwrap().created());
    let lines = service.lines();
    assert!(sorted(exported(name)) == sorted(lines.lines().filter(is_in)), "each event once, as it came");
    let ended = run_alone(["verify", name]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn each_run_continues_up_to_the_time_of_the_service_less_the_settling_time() {
    let service = service();
    let (_folder, name) = output();
    run(daily(&service, &name, &["--extend"])).success();
    assert_eq!(
        data(&name),
        [
            "events_20260101T010000Z_20260102T000000Z.ndjson",
            "events_20260102T000000Z_20260102T124500Z.ndjson"
        ]
    );
    has(&service, &name, "01T01:00:00", "02T12:45:00");
    service.set_now(at("03T13:00:00"));
    let (before, events) = (service.requests().len(), exported(&name).len());
    let ended = run(daily(&service, &name, &["--extend"]));
    ended.success();
    let new = exported(&name).len() - events;
    assert!(ended.stderr.contains(&format!("{new} events new in")), "{}", ended.stderr);
    assert!(ended.stderr.contains("now ends at 2026-01-03T12:45:00Z"), "{}", ended.stderr);
    assert_eq!(
        data(&name),
        [
            "events_20260101T010000Z_20260102T000000Z.ndjson",
            "events_20260102T000000Z_20260103T000000Z.ndjson",
            "events_20260103T000000Z_20260103T124500Z.ndjson"
        ]
    );
    let first = |request: &str| request.contains("from=2026-01-01T0");
    assert!(!service.requests()[before..].iter().any(|request| first(&request.target)), "only what is new");
    has(&service, &name, "01T01:00:00", "03T12:45:00");
}

#[test]
fn an_event_that_arrived_late_is_not_missed() {
    let service = service();
    let (_folder, name) = output();
    // A first run without --extend ends now, when some events have yet to arrive.
    run(daily(&service, &name, &[])).success();
    assert_eq!(ledger(&name)["meta"]["to"], "2026-01-02T13:00:00Z");
    service.push(at("02T12:59:00"));
    service.push(at("02T12:47:00"));
    service.set_now(at("02T14:00:00"));
    let ended = run(daily(&service, &name, &["--extend"]));
    ended.success();
    assert!(!ended.stderr.contains("duplicate"), "{}", ended.stderr);
    has(&service, &name, "01T01:00:00", "02T13:45:00");
    let last = &ledger(&name)["files"][1];
    assert_eq!(
        (&last["duplicates"], &last["ahead"], &last["replaces"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    service.push(at("02T13:44:00"));
    service.set_now(at("02T14:20:00"));
    run(daily(&service, &name, &["--extend", "--settle", "20m"])).success();
    has(&service, &name, "01T01:00:00", "02T14:00:00");
}

/// The service deletes events, too.
#[test]
fn an_event_that_the_service_no_longer_has_stays_in_the_file() {
    let service = service();
    let (_folder, name) = output();
    run(daily(&service, &name, &["--extend"])).success();
    let before = exported(&name);
    let period = (at("02T12:00:00"), at("03T12:00:00"));
    let other = Service::start(
        Sandbox::builder().events(10).seed(3).period(period.0, period.1).now(at("03T12:00:00")),
    );
    run(daily(&other, &name, &["--extend"])).success();
    let after = exported(&name);
    assert!(before.iter().all(|line| after.contains(line)) && after.len() > before.len());
    assert_eq!(run_alone(["verify", &name]).code, 0);
}

/// Most organizations can list 90 days.
#[test]
fn the_last_file_stays_complete_if_the_service_no_longer_has_its_range() {
    let service = service();
    let (_folder, name) = output();
    run(daily(&service, &name, &["--extend"])).success();
    let before = names(&name);
    let files = ledger(&name)["files"].as_array().unwrap().clone();
    let (start, now) = (at("01T00:00:00"), at("02T13:00:00") + TimeDelta::days(100));
    let later = Sandbox::builder().events(480).period(start, at("05T00:00:00")).now(now).retention(90);
    let service = Service::start(later);
    // The second time, it isn't even tried.
    for _ in 0..2 {
        let ended = run(daily(&service, &name, &["--extend"]));
        assert_eq!(ended.code, 77, "{}", ended.stderr);
        let ledger = ledger(&name);
        let now = ledger["files"].as_array().unwrap();
        assert!(files.iter().all(|file| now.contains(file)));
        assert!(now.iter().all(|file| file["stage"] == "complete"));
        assert_eq!(ledger["failed"][0]["start"], "2026-01-02T00:00:00Z");
        assert_eq!(ledger["failed"][0]["end"], "2026-01-03T00:00:00Z");
        let after = names(&name);
        assert!(before.iter().all(|file| after.contains(file)));
        assert!(!after.iter().any(|file| file.contains(".part")), "{after:?}");
        let ended = run_alone(["verify", &name]);
        assert!(
            ended.code == 75 && ended.stderr.contains("not exported: 2026-01-02T00:00:00Z"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_run_with_nothing_new_succeeds_and_says_so() {
    let service = service();
    let (_folder, name) = output();
    run(daily(&service, &name, &["--extend"])).success();
    for arguments in [["--extend"].as_slice(), &["--extend", "--settle", "1h"]] {
        let ended = run(daily(&service, &name, arguments));
        assert!(ended.success().starts_with("complete already"), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("nothing new") && ended.stderr.contains("it ends at 2026-01-02T12:45:00Z"),
            "{}",
            ended.stderr
        );
    }
    service.set_now(at("02T13:00:05"));
    let ended = run(daily(&service, &name, &["--extend"]));
    assert!(
        ended.success().starts_with("complete: ") && ended.stderr.contains("nothing new"),
        "{}",
        ended.stderr
    );
    has(&service, &name, "01T01:00:00", "02T12:45:05");
}

#[test]
fn without_it_a_complete_folder_says_where_it_ends_and_how_to_get_newer_events() {
    let service = service();
    let (_folder, name) = output();
    run(daily(&service, &name, &[])).success();
    let ended = run(daily(&service, &name, &[]));
    ended.success();
    assert!(ended.stderr.contains("ends at 2026-01-02T13:00:00Z; add --extend"), "{}", ended.stderr);
}

#[test]
fn a_folder_with_a_fixed_end_can_be_extended_and_an_end_contradicts_it() {
    let service = service();
    let (_folder, name) = output();
    let fixed = |arguments: &[&str]| {
        let mut command = service.export(["-o", &name, "--slice", "24h", "--from", "2026-01-01"]);
        command.args(arguments);
        run(command)
    };
    fixed(&["--to", "2026-01-02T06:00:00Z"]).success();
    let ended = fixed(&["--to", "2026-01-02", "--extend"]);
    assert!(ended.failure().0 == 2 && ended.stderr.contains("--extend"), "{}", ended.stderr);
    fixed(&["--extend"]).success();
    has(&service, &name, "01T00:00:00", "02T12:45:00");
    fixed(&[]).success();
    let ended = fixed(&["--to", "2026-01-02T06:00:00Z"]);
    assert!(
        ended.failure().0 == 2 && ended.stderr.contains("--to 2026-01-02T06:00:00Z is new"),
        "{}",
        ended.stderr
    );
}

#[test]
fn it_needs_a_folder_and_a_start_before_its_end() {
    let service = service();
    let (folder, name) = output();
    for (arguments, word) in [
        (["--extend", "--from", "1d"].as_slice(), "--extend needs a folder"),
        (&["--repair", "--from", "1d"], "--repair needs a folder"),
        (&["--extend", "--from", "1d", "-o", &name], "--extend needs a folder"),
        (&["--extend", "--from", "10m", "--slice", "1h", "-o", &name], "less --settle"),
        (&["--extend", "-o", folder.path().to_str().unwrap()], "needs --from"),
        (&["--extend", "--take", "5", "--from", "1d"], "--take"),
    ] {
        let mut command = service.export(["--attempts", "1"]);
        command.args(arguments);
        let ended = run(command);
        assert!(ended.code == 2 && ended.stderr.contains(word), "{}", ended.stderr);
        assert!(names(&folder).is_empty());
    }
}

#[test]
fn a_folder_with_several_lists_is_extended() {
    let service = service();
    let (_folder, name) = output();
    let lists = ["--extend", "--resource", "messages,rooms", "--type", "created"];
    run(daily(&service, &name, &lists)).success();
    service.set_now(at("03T13:00:00"));
    run(daily(&service, &name, &lists)).success();
    let (from, to) = (at("01T01:00:00"), at("03T12:45:00"));
    let lines = service.lines();
    let is_in = |line: &&str| {
        let event = Event::from_json(*line).unwrap();
        let (resource, kind) = (event.resource().as_ref(), event.event_type().as_ref());
        ["messages", "rooms"].contains(&resource)
            && kind == "created"
            && (from..to).contains(&event.created())
    };
    assert!(sorted(exported(&name)) == sorted(lines.lines().filter(is_in)));
    assert!(exported(&name).len() > 5);
    assert_eq!(run_alone(["verify", &name]).code, 0);
}

#[test]
fn a_damaged_last_file_is_repaired_and_extended_by_one_command() {
    let service = service();
    let (_folder, name) = output();
    run(daily(&service, &name, &["--extend"])).success();
    let last = Path::new(&name).join("events_20260102T000000Z_20260102T124500Z.ndjson");
    fs::write(&last, "damaged").unwrap();
    service.set_now(at("03T13:00:00"));
    let ended = run(daily(&service, &name, &["--extend"]));
    assert!(ended.code == 74 && ended.stderr.contains("--repair"), "{}", ended.stderr);
    let ended = run(daily(&service, &name, &["--extend", "--repair"]));
    ended.success();
    assert!(ended.stderr.contains("now ends at 2026-01-03T12:45:00Z"), "{}", ended.stderr);
    has(&service, &name, "01T01:00:00", "03T12:45:00");
    let kept = Path::new(&name).join("events_20260102T000000Z_20260102T124500Z.replaced-1");
    assert_eq!(fs::read(kept).unwrap(), b"damaged");
}

/// After a kill, the command with --extend and the one without it continue, and so does one on a later day.
#[test]
fn after_a_kill_any_of_the_commands_resumes() {
    for (resume, to) in
        [(["--extend"].as_slice(), "03T12:45:00"), (&[], "03T12:45:00"), (&["--extend"], "04T12:45:00")]
    {
        let service = service();
        let (_folder, name) = output();
        run(daily(&service, &name, &["--extend", "--compress", "zstd"])).success();
        let before = text(&name);
        service.set_now(at("03T13:00:00"));
        // The service's time, and four pages of the day that is read again.
        service.latency(When::at(5..1000), Duration::from_secs(3600));
        let all = ["--extend", "--compress", "zstd", "--commit-every", "0s", "--concurrency", "1"];
        let running = Running::start(daily(&service, &name, &all));
        until("a page of the day that is read again", || {
            let ledger = fs::read_to_string(Path::new(&name).join("ledger.json")).unwrap();
            ledger.contains("\"cursor\"")
        });
        assert!(text(&name) == before, "readers still find everything");
        running.kill();
        service.clear_faults();
        assert_eq!(run_alone(["verify", &name]).code, 75);
        if to.starts_with("04") {
            service.set_now(at("04T13:00:00"));
        }
        run(daily(&service, &name, &[resume, &["--compress", "zstd"]].concat())).success();
        let is_in =
            |line: &&str| (at("01T01:00:00")..at(to)).contains(&Event::from_json(*line).unwrap().created());
        assert!(sorted(text(&name)) == sorted(service.lines().lines().filter(is_in)), "{resume:?} {to}");
        assert_eq!(run_alone(["verify", &name]).code, 0);
        assert!(data(&name).iter().all(|name| name.ends_with(".ndjson.zst")));
    }
}

/// The lines of all complete files, which are compressed.
fn text(name: &str) -> Vec<String> {
    let files = data(name).into_iter().filter(|name| name.ends_with(".ndjson.zst"));
    let text = files.map(|file| decompressed("zstd", &fs::read(Path::new(name).join(file)).unwrap()));
    text.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn a_service_that_can_not_be_reached_changes_nothing() {
    let service = service();
    let (_folder, name) = output();
    run(daily(&service, &name, &["--extend"])).success();
    let before = fs::read(Path::new(&name).join("ledger.json")).unwrap();
    service.set_now(at("03T13:00:00"));
    service.fail(When::always(), Response::status(503).retry_after(0));
    assert_eq!(run(daily(&service, &name, &["--extend"])).code, 69);
    assert!(fs::read(Path::new(&name).join("ledger.json")).unwrap() == before);
    service.clear_faults();
    run(daily(&service, &name, &["--extend"])).success();
    has(&service, &name, "01T01:00:00", "03T12:45:00");
}

/// Without the limit it extended the folder up to now, and never looked for late events again.
#[test]
fn a_settling_time_that_no_event_is_older_than_extends_nothing() {
    let service = service();
    let (_folder, name) = output();
    run(daily(&service, &name, &["--extend"])).success();
    let (before, files) = (ledger(&name), data(&name));
    let ended = run(daily(&service, &name, &["--extend", "--settle", "18446744073709551615s"]));
    assert!(ended.code == 0 && ended.stderr.contains("nothing new"), "{}", ended.stderr);
    assert_eq!((ledger(&name), data(&name)), (before, files));
    let plan = ["plan", "-o", &name, "--extend", "--settle", "18446744073709551615s"];
    assert_eq!(run(program(plan)).stdout, "nothing is left to read\n");
}

#[test]
fn a_plan_shows_what_an_extended_folder_still_has_to_read() {
    let now = Utc::now();
    let day = TimeDelta::days(1);
    let service = Service::start(Sandbox::builder().events(100).period(now - day * 4, now).now(now - day));
    let (_folder, name) = output();
    run(service.export(["-o", &name, "--slice", "24h", "--from", "2d", "--extend"])).success();
    let plan = |arguments: &[&str]| {
        let ended = run(program([["plan", "--json", "-o", &name].as_slice(), arguments].concat()));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        serde_json::from_str::<Value>(&ended.stdout).unwrap()
    };
    assert_eq!(plan(&[])["slices"].as_array().unwrap().len(), 0, "it is complete");
    let extended = plan(&["--extend"]);
    let planned: Vec<_> = extended["slices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slice| slice["name"].as_str().unwrap().to_owned())
        .collect();
    service.set_now(Utc::now());
    run(service.export(["-o", &name, "--slice", "24h", "--from", "2d", "--extend"])).success();
    let written = data(&name);
    assert!(!planned.is_empty() && planned.len() <= 3, "{planned:?}");
    // The last file ends some moments later than planned.
    let (_, whole) = planned.split_last().unwrap();
    assert!(whole.iter().all(|name| written.contains(name)), "{planned:?} {written:?}");
    assert_eq!(run(program(["plan", "-o", &name])).stdout, "nothing is left to read\n");
    let ended = run(program(["plan", "-o", "missing"]));
    assert!(ended.failure().0 == 2 && ended.stderr.contains("needs --from"), "{}", ended.stderr);
}

/// Nothing documents whether the service lists events by the time of their creation or of their storage.
#[test]
fn an_event_that_is_stored_late_is_in_the_file_of_its_slice_if_the_service_lists_by_storage() {
    let now = Utc::now();
    let six_hours = 6 * 3600;
    let recent = (now - TimeDelta::hours(2)).timestamp();
    let boundary = DateTime::from_timestamp(recent - recent.rem_euclid(six_hours), 0).unwrap();
    let event = |id: &str, minutes: i64, late: i64| {
        let created = boundary + TimeDelta::minutes(minutes);
        (id.to_owned(), created, created + TimeDelta::minutes(late))
    };
    let events = vec![event("early", -30, 0), event("late", -1, 10), event("next", 5, 0)];
    let stub = Timeline { events }.serve(|_, _| None);
    let (_folder, name) = output();
    let from = (now - TimeDelta::hours(30)).to_rfc3339();
    let arguments = ["-o", &name, "--from", &from, "--slice", "6h", "--attempts", "1", "--extend"];
    let ended = run(export_from(&stub.base_url, arguments));
    ended.success();
    assert_eq!(exported(&name).len(), 3, "{}", ended.stderr);
}
