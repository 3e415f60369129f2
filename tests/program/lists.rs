//! Several lists in one export: one for each resource and type.

use std::{collections::HashSet, fs, path::Path, process::Command, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;
use webex_events::{
    Event,
    sandbox::{Response, Sandbox, When},
};

use crate::{
    stub::{Stub, answer, page},
    support::{
        Running, Service, TOKEN, export_from, exported, folder, names, program, run, run_alone, sorted, until,
    },
};

const LISTS: [&str; 4] = ["--resource", "messages,memberships", "--type", "created"];
const RANGE: [&str; 4] = ["--from", "2026-01-01", "--to", "2026-01-03"];

/// 400 events in two days.
fn service() -> Service {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let period = (at("2026-01-01T00:00:00Z"), at("2026-01-03T00:00:00Z"));
    Service::start(Sandbox::builder().events(400).period(period.0, period.1).seed(7))
}

/// The lines of one list.
fn list(service: &Service, resource: &str, event_type: &str) -> Vec<String> {
    let is_listed = |line: &&str| {
        let event = Event::from_json(*line).unwrap();
        event.resource().as_str() == resource && event.event_type().as_str() == event_type
    };
    service.lines().lines().filter(is_listed).map(str::to_owned).collect()
}

/// The lines of both lists of [`LISTS`], one after the other.
fn expected(service: &Service) -> Vec<String> {
    [list(service, "messages", "created"), list(service, "memberships", "created")].concat()
}

fn output(name: &str) -> (TempDir, String) {
    let folder = folder();
    let name = folder.path().join(name).to_str().unwrap().to_owned();
    (folder, name)
}

/// An export with small pages, one request at a time.
fn export(service: &Service, name: &str) -> Command {
    let mut command =
        service.export(["-o", name, "--page-size", "5", "--concurrency", "1", "--prefetch", "0"]);
    command.args(RANGE).args(LISTS).args(["--commit-every", "0s", "--attempts", "1"]);
    command
}

fn state(path: &str) -> Value {
    fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The number of pages that a ledger has, of all lists.
fn pages(state: &Value) -> u64 {
    state["files"].as_array().into_iter().flatten().filter_map(|file| file["pages"].as_u64()).sum()
}

/// Kills an export of which this number of pages is committed, after `others` other requests, and runs it again.
/// Returns the number of responses that it got, in both runs.
fn killed_after(service: &Service, count: u64, others: u64, name: &str, state_path: &str) -> u64 {
    service.latency(When::at(count + others..1000), Duration::from_secs(3600));
    let running = Running::start(export(service, name));
    until("a commit", || pages(&state(state_path)) == count);
    running.kill();
    service.clear_faults();
    let between = service.counts().requests;
    run(export(service, name)).success();
    count + others + service.counts().requests - between
}

#[test]
fn the_lists_of_a_file_come_one_after_the_other_in_the_order_given() {
    let service = service();
    let (_folder, name) = output("f");
    run(export(&service, &name)).success();
    assert_eq!(fs::read_to_string(&name).unwrap().lines().collect::<Vec<_>>(), expected(&service));

    let mut command = service.export(["--resource", "memberships", "--resource", "messages"]);
    command.args(["--type", "deleted,created", "--from", "2026-01-01", "--to", "2026-01-03"]);
    let ended = run(command);
    let lists = [
        ("memberships", "deleted"),
        ("memberships", "created"),
        ("messages", "deleted"),
        ("messages", "created"),
    ];
    let lists = lists.map(|(resource, event_type)| list(&service, resource, event_type)).concat();
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), lists);
    assert!(ended.success().starts_with(&format!("complete: {} events", lists.len())), "{}", ended.stderr);
}

#[test]
fn a_value_that_is_given_twice_is_one_list() {
    let service = service();
    let mut command = service.export(["--resource", "messages,messages", "--resource", "messages"]);
    command.args(RANGE);
    run(command).success();
    assert_eq!(service.counts().requests, 1);
}

/// Without an end, a later list would have newer events than an earlier one.
#[test]
fn several_lists_end_at_the_same_instant() {
    let service = service();
    run(service.export(["--from", "2026-01-01", "--resource", "messages,rooms,memberships"])).success();
    let ends: HashSet<_> = service.requests()[1..]
        .iter()
        .map(|request| request.target.split('&').find(|part| part.starts_with("to=")).map(str::to_owned))
        .collect();
    assert!(ends.len() == 1 && !ends.contains(&None), "{ends:?}");
}

#[test]
fn a_file_resumes_in_each_list_after_a_kill_at_any_page() {
    let service = service();
    let (_folder, name) = output("whole");
    run(export(&service, &name)).success();
    let whole = fs::read_to_string(&name).unwrap();
    let all = service.counts().requests;
    assert!(all > 10, "{all}");
    for count in 1..all {
        let (folder, name) = output("f");
        let requests = killed_after(&service, count, 0, &name, &format!("{name}.cursor"));
        assert!(fs::read_to_string(&name).unwrap() == whole, "killed after {count} pages");
        assert_eq!(requests, all, "killed after {count} pages");
        assert_eq!(names(&folder), ["f"]);
    }
}

#[test]
fn a_folder_resumes_in_each_list_after_a_kill_at_any_page() {
    let service = service();
    let (_folder, name) = output("whole/");
    run(export(&service, &name)).success();
    let all = service.counts().requests;
    let slices = names(&name).len() - 1;
    assert!(slices == 8 && all > 16, "{slices} {all}");
    for count in (1..all - 1).step_by(3).chain(all - 3..all - 1) {
        let (_folder, again) = output("out/");
        // The first request is for the service's time.
        let requests = killed_after(&service, count, 1, &again, &format!("{again}ledger.json"));
        assert_eq!(requests, all, "killed after {count} pages");
        assert_eq!(names(&again), names(&name));
        for file in names(&again).iter().filter(|file| file.ends_with(".ndjson")) {
            let text = |folder: &str| fs::read_to_string(Path::new(folder).join(file)).unwrap();
            assert!(text(&again) == text(&name), "killed after {count} pages: {file}");
        }
    }
}

#[test]
fn concurrent_lists_of_a_folder_resume_after_a_kill_at_any_page() {
    let service = service();
    let export = |name: &str| {
        let mut command = service.export(["-o", name, "--page-size", "5", "--concurrency", "6"]);
        command.args(RANGE).args(LISTS).args(["--commit-every", "0s", "--attempts", "1", "--slice", "12h"]);
        command
    };
    for count in [1, 2, 3, 5, 8, 13, 17] {
        let (_folder, name) = output("out/");
        service.latency(When::at(count + 1..1000), Duration::from_secs(3600));
        let running = Running::start(export(&name));
        until("a commit", || pages(&state(&format!("{name}ledger.json"))) == count);
        running.kill();
        service.clear_faults();
        let ended = run(export(&name));
        assert!(!ended.success().contains("duplicate"), "nothing is listed twice: {}", ended.stderr);
        assert_eq!(sorted(exported(&name)), sorted(expected(&service)), "killed after {count} pages");
    }
}

/// The day is that of the first run.
#[test]
fn yesterday_stays_the_same_day_in_a_later_run() {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    for suffix in ["f", "out/"] {
        let service = Service::start(
            Sandbox::builder()
                .events(200)
                .period(at("2026-01-01T00:00:00Z"), at("2026-01-03T00:00:00Z"))
                .now(at("2026-01-03T10:00:00Z")),
        );
        let (_folder, name) = output(suffix);
        let arguments =
            ["-o", &name, "--from", "yesterday", "--to", "today", "--page-size", "5", "--commit-every", "0s"];
        service.latency(When::at(10..1000), Duration::from_secs(3600));
        let running = Running::start(service.export(arguments));
        let path = if suffix == "f" { format!("{name}.cursor") } else { format!("{name}ledger.json") };
        until("some pages", || pages(&state(&path)) > 2);
        running.kill();
        service.clear_faults();
        assert_eq!(state(&path)["meta"]["request"]["from"], "yesterday");
        service.set_now(at("2026-01-04T10:00:00Z"));
        run(service.export(arguments)).success();
        let lines = if suffix == "f" {
            fs::read_to_string(&name).unwrap().lines().map(str::to_owned).collect()
        } else {
            exported(&name)
        };
        let is_of_the_day = |line: &&str| {
            let created = Event::from_json(*line).unwrap().created();
            (at("2026-01-02T00:00:00Z")..at("2026-01-03T00:00:00Z")).contains(&created)
        };
        assert_eq!(sorted(lines), sorted(service.lines().lines().filter(is_of_the_day)));
    }
}

#[test]
fn concurrent_lists_of_a_slice_go_into_its_one_file() {
    let service = service();
    let (_folder, name) = output("out/");
    let mut command = service.export(["-o", &name, "--page-size", "3", "--concurrency", "8"]);
    command.args(RANGE).args(LISTS);
    let ended = run(command);
    assert!(ended.success().contains(" 8 files in "), "{}", ended.stderr);
    assert_eq!(sorted(exported(&name)), sorted(expected(&service)));
    run_alone(["verify", &name]).success();
}

#[test]
fn an_export_of_several_lists_is_extended_and_repaired() {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let period = (at("2026-01-01T00:00:00Z"), at("2026-01-05T00:00:00Z"));
    let builder = Sandbox::builder().events(800).period(period.0, period.1).now(at("2026-01-02T13:00:00Z"));
    let service = Service::start(builder);
    let (_folder, name) = output("out/");
    let extend = || {
        let mut command = service.export(["-o", &name, "--slice", "12h", "--extend", "--settle", "1h"]);
        command.args(["--from", "36h", "--page-size", "5"]).args(LISTS);
        run(command)
    };
    extend().success();
    service.set_now(at("2026-01-04T13:00:00Z"));
    extend().success();
    let is_in = |line: &String| {
        let created = Event::from_json(line.as_str()).unwrap().created();
        (at("2026-01-01T01:00:00Z")..at("2026-01-04T12:00:00Z")).contains(&created)
    };
    let expected: Vec<_> = expected(&service).into_iter().filter(is_in).collect();
    assert_eq!(sorted(exported(&name)), sorted(expected.clone()));

    let damaged = Path::new(&name).join("events_20260102T000000Z_20260102T120000Z.ndjson");
    fs::write(&damaged, "").unwrap();
    let mut command = program(["verify", &name, "--repair", "--base-url", service.base_url()]);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN);
    assert_eq!(run(command).code, 0);
    assert_eq!(sorted(exported(&name)), sorted(expected));
    assert_eq!(run(program(["verify", &name])).code, 0);
}

#[test]
fn a_ledger_of_a_later_version_is_refused_with_the_advice_to_update() {
    let service = service();
    let (_folder, name) = output("out/");
    run(export(&service, &name)).success();
    let path = Path::new(&name).join("ledger.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen(":3,", ":4,", 1)).unwrap();
    let ended = run(export(&service, &name));
    let (code, line) = ended.failure();
    assert_eq!(code, 74);
    assert!(
        line.contains("has version 4 of the format") && line.contains("later version of webex-events"),
        "{line}"
    );
}

/// An older version would resume or verify one of the lists as if it were all.
#[test]
fn an_older_version_refuses_a_ledger_with_several_lists_and_reads_one_with_a_single_list() {
    let service = service();
    for (resources, version, stored) in [
        ("messages", 2, "\"messages\"".to_owned()),
        ("messages,rooms", 3, "[\"messages\",\"rooms\"]".to_owned()),
    ] {
        let (_folder, name) = output("out/");
        let mut command = service.export(["-o", &name, "--resource", resources]);
        command.args(RANGE);
        run(command).success();
        let state = state(&format!("{name}ledger.json"));
        assert_eq!(state["webex-events"], version);
        assert_eq!(state["meta"]["request"]["query"]["resource"].to_string(), stored);
    }
}

#[test]
fn an_error_names_the_list_that_it_ended() {
    let service = service();
    let (_folder, name) = output("f.ndjson");
    let mut command = service.export(["-o", &name, "--resource", "rooms,unknown", "--allow-unknown"]);
    command.args(RANGE);
    let ended = run(command);
    let (code, line) = ended.failure();
    assert!(code == 69 && line.contains("error: unknown: the service responded"), "{line}");
    let lists = ["--resource", "rooms,unknown", "--allow-unknown", "--from", "2026-01-01"];
    let mut command = program(["follow", "--base-url", service.base_url(), "-o", "-", "--attempts", "1"]);
    command.args(lists).env("WEBEX_ACCESS_TOKEN", TOKEN);
    let ended = run(command);
    assert!(ended.stderr.contains("error: unknown: the service responded"), "{}", ended.stderr);
}

#[test]
fn another_set_of_lists_is_refused() {
    let service = service();
    let (_folder, name) = output("out/");
    run(export(&service, &name)).success();
    for (resources, words) in [
        ("messages", "--resource was messages,memberships and now is messages"),
        ("memberships,messages", "--resource was messages,memberships and now is memberships,messages"),
    ] {
        let mut command = service.export(["-o", &name, "--resource", resources, "--type", "created"]);
        command.args(RANGE);
        let ended = run(command);
        let (code, line) = ended.failure();
        assert!(code == 2 && line.contains(words), "{line}");
    }
    let ended = run(export(&service, &name));
    assert!(ended.success().starts_with("complete already"), "{}", ended.stderr);
}

#[test]
fn an_event_that_two_lists_have_is_written_once() {
    let stub =
        || Stub::start(vec![answer(200, "date: Mon, 05 Jan 2026 12:00:00 GMT\r\n", page(&["a", "b"]))]);
    for (suffix, file) in [("f", "f"), ("out/", "out/events_20260105T060000Z_20260105T120000Z.ndjson")] {
        let (folder, name) = output(suffix);
        let stub = stub();
        let mut command = export_from(&stub.base_url, ["-o", &name, "--resource", "messages,rooms"]);
        command.args(["--from", "2026-01-05T06:00:00Z", "--to", "2026-01-05T12:00:00Z"]);
        let ended = run(command);
        assert!(ended.success().contains("2 duplicates dropped"), "{}", ended.stderr);
        assert_eq!(fs::read_to_string(folder.path().join(file)).unwrap().lines().count(), 2);
    }
}

#[test]
fn a_cursor_that_is_invalid_in_the_second_list_restarts_all_lists_of_the_output() {
    for (suffix, note) in [("f", "reading from the beginning"), ("out/", "restarting the slice")] {
        let service = service();
        let (_folder, name) = output(suffix);
        let mut command = export(&service, &name);
        if suffix == "out/" {
            command.args(["--slice", "2d"]);
        }
        let first = list(&service, "messages", "created").len() as u64;
        // The second page of the second list; the first request of an export into a folder is for the time.
        let number = first.div_ceil(5) + 1 + u64::from(suffix == "out/");
        service.fail(When::at([number]), Response::status(404));
        let ended = run(command);
        ended.success();
        assert_eq!(ended.stderr.matches(note).count(), 1, "{}", ended.stderr);
        let lines = if suffix == "f" {
            fs::read_to_string(&name).unwrap().lines().map(str::to_owned).collect()
        } else {
            exported(&name)
        };
        assert_eq!(sorted(lines), sorted(expected(&service)));
    }
}

#[test]
fn a_cursor_that_is_invalid_in_one_of_several_concurrent_lists_loses_and_repeats_nothing() {
    let service = service();
    for number in [9, 12, 18, 25, 33] {
        let (_folder, name) = output("out/");
        let export = || {
            let mut command =
                service.export(["-o", &name, "--page-size", "3", "--concurrency", "8", "--slice", "12h"]);
            command.args(RANGE).args(LISTS);
            run(command)
        };
        service.fail(When::at([number]), Response::status(404));
        if export().code != 0 {
            // It was the first page of a list, which has no cursor.
            export().success();
        }
        assert_eq!(sorted(exported(&name)), sorted(expected(&service)), "{number}");
        run_alone(["verify", &name]).success();
        service.clear_faults();
    }
}

#[test]
fn a_list_that_fails_fails_its_slice_and_the_next_run_reads_only_that_list() {
    let service = service();
    let (_folder, name) = output("out/");
    let export = || {
        let mut command = service.export(["-o", &name, "--concurrency", "1", "--attempts", "1"]);
        command.args(RANGE).args(LISTS);
        command
    };
    // The second list of the second slice.
    service.fail(When::at([4]), Response::status(400));
    let ended = run(export());
    assert_eq!(ended.code, 69, "{}", ended.stderr);
    assert!(ended.stderr.contains("can't be read: memberships created: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 of 8 slices can't be read"), "{}", ended.stderr);
    service.clear_faults();
    let before = service.counts().requests;
    run(export()).success();
    assert_eq!(service.counts().requests - before, 1);
    assert_eq!(sorted(exported(&name)), sorted(expected(&service)));
}

#[test]
fn the_maximum_number_of_events_counts_all_lists() {
    let service = service();
    let first = list(&service, "messages", "created").len();
    for take in [3, first, first + 7] {
        let (_folder, name) = output("f");
        let mut command = export(&service, &name);
        command.args(["--take", &take.to_string()]);
        let ended = run(command);
        assert!(ended.success().starts_with("as many as requested"), "{}", ended.stderr);
        let text = fs::read_to_string(&name).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected(&service)[..take]);
    }
    let (_folder, name) = output("f");
    let mut command = export(&service, &name);
    command.args(["--take", "1000"]);
    assert!(run(command).success().starts_with("complete: "));
}

#[test]
fn verify_compares_every_list_with_the_service() {
    let service = service();
    let (_folder, name) = output("out/");
    run(export(&service, &name)).success();
    let verify = || {
        let mut command = program(["verify", &name, "--against-service", "--base-url", service.base_url()]);
        command.env("WEBEX_ACCESS_TOKEN", TOKEN);
        run(command)
    };
    let before = service.counts().requests;
    let ended = verify();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    assert_eq!(service.counts().requests - before, 2, "one list for each");
    for (resource, is_listed) in [("rooms", false), ("memberships", true)] {
        let late = format!(
            r#"{{"id":"late-{resource}","resource":"{resource}","type":"created","created":"2026-01-02T01:00:00.000Z","actorId":"a","orgId":"o","appId":"p","data":{{}}}}"#
        );
        service.push_json(&late).unwrap();
        let ended = verify();
        assert_eq!(ended.stderr.contains(&format!("late-{resource}")), is_listed, "{}", ended.stderr);
    }
}

#[test]
fn a_plan_counts_a_request_for_each_list() {
    let plan = |arguments: &[&str]| {
        let mut command = program(["plan", "--json"]);
        command.args(RANGE).args(arguments);
        let ended = run(command);
        serde_json::from_str::<Value>(&ended.stdout).unwrap()["least_requests"].as_u64()
    };
    assert_eq!(plan(&[]), Some(8));
    assert_eq!(plan(&LISTS), Some(16));
    assert_eq!(plan(&["--resource", "messages,rooms", "--type", "created,deleted"]), Some(32));
    assert_eq!(plan(&["--resource", "messages,rooms", "--events-per-day", "40000"]), Some(80));
}
