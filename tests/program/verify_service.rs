//! `verify --against-service` lists the events with other boundaries than the export, and compares them.

use std::{fs, path::Path};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    stub::Stub,
    support::{Ended, TOKEN, export_from, exported, folder, program, run},
    timeline::{Timeline, bounds},
};

/// Two days with an event in each quarter of each, some of them stored after the end of their slice.
fn timeline() -> Timeline {
    Timeline::new(&[
        ("2026-01-01T01:00:00Z", 0),
        ("2026-01-01T05:59:59.500Z", 900),
        ("2026-01-01T06:00:00Z", 20),
        ("2026-01-01T11:59:59.990Z", 1500),
        ("2026-01-01T13:00:00Z", 0),
        ("2026-01-01T18:00:00.100Z", 100),
        ("2026-01-02T03:00:00Z", 0),
        ("2026-01-02T05:59:59.999Z", 2000),
    ])
}

const RANGE: [&str; 4] = ["--from", "2026-01-01", "--to", "2026-01-02T06:00:00Z"];

fn export(stub: &Stub, name: &str, arguments: &[&str]) -> Ended {
    let fixed = ["-o", name, "--slice", "6h", "--attempts", "1"];
    run(export_from(&stub.base_url, [&fixed, RANGE.as_slice(), arguments].concat()))
}

fn exported_folder() -> (TempDir, String) {
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    export(&timeline().serve(|_, _| None), &name, &[]).success();
    (folder, name)
}

fn against(stub: &Stub, name: &str, arguments: &[&str]) -> Ended {
    let fixed = ["verify", name, "--against-service", "--attempts", "1", "--base-url", &stub.base_url];
    let mut command = program([fixed.as_slice(), arguments].concat());
    command.env("WEBEX_ACCESS_TOKEN", TOKEN);
    run(command)
}

#[test]
fn an_export_loses_no_event_that_was_stored_after_the_end_of_its_slice() {
    let (_folder, name) = exported_folder();
    assert_eq!(exported(&name).len(), 8);
    let ended = against(&timeline().serve(|_, _| None), &name, &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.contains("8 events in 5 files, the same that the service has"), "{}", ended.stdout);
}

#[test]
fn adjacent_files_are_listed_as_one_range() {
    let (_folder, name) = exported_folder();
    let stub = timeline().serve(|_, _| None);
    assert_eq!(against(&stub, &name, &[]).code, 0);
    let (from, to) = bounds(&stub.request());
    assert_eq!((from.to_rfc3339().as_str(), (to - from).num_hours()), ("2026-01-01T00:00:00+00:00", 30));
    assert!(stub.is_quiet(), "one request is enough");
}

/// A ledger without a margin is from a version that had none. Its slices lacked events that were stored late.
#[test]
fn an_event_that_is_missing_at_the_boundary_of_two_files_is_found() {
    let (_folder, name) = exported_folder();
    let mut late = timeline();
    late.events.push((
        "late".to_owned(),
        "2026-01-01T17:59:59.999Z".parse().unwrap(),
        "2026-01-01T18:00:01Z".parse().unwrap(),
    ));
    let ended = against(&late.serve(|_, _| None), &name, &[]);
    assert_eq!(ended.code, 74);
    assert!(
        ended.stderr.contains("events_20260101T120000Z_20260101T180000Z.ndjson: the service has an event")
    );
    assert!(ended.stderr.contains("lacks: late, created at"), "{}", ended.stderr);
}

#[test]
fn a_range_that_can_not_be_listed_is_reported_and_the_rest_is_compared() {
    let (_folder, name) = exported_folder();
    let mut timeline = timeline();
    timeline.events.remove(6);
    // Neither all files as one range, nor the second file.
    let second = "2026-01-01T05:45:00Z".parse::<DateTime<Utc>>().unwrap();
    let fails =
        move |from: DateTime<Utc>, to: DateTime<Utc>| to - from > TimeDelta::hours(7) || from == second;
    let stub = timeline.serve(move |from, to| fails(from, to).then_some(400));
    let ended = against(&stub, &name, &[]);
    assert_eq!(ended.code, 74, "a problem counts more: {}", ended.stderr);
    for part in [
        "events_20260101T060000Z_20260101T120000Z.ndjson: not compared: the service responded with",
        "events_20260102T000000Z_20260102T060000Z.ndjson: the service no longer lists an event that the file has: event-6",
        "1 problem",
    ] {
        assert!(ended.stderr.contains(part), "{part:?} isn't in {}", ended.stderr);
    }
    let stub = self::timeline().serve(move |from, to| fails(from, to).then_some(403));
    let ended = against(&stub, &name, &[]);
    assert_eq!(ended.code, 77, "a 403 for the first request is a 403 for all: {}", ended.stderr);
    let stub = self::timeline().serve(move |from, to| fails(from, to).then_some(500));
    let ended = against(&stub, &name, &[]);
    assert!(ended.code == 69 && ended.stderr.contains("1 range couldn't be compared"), "{}", ended.stderr);
}

#[test]
fn a_comparison_can_be_limited_to_a_part_of_the_time() {
    let (_folder, name) = exported_folder();
    let mut other = timeline();
    other.events.remove(0);
    other.events.push((
        "late".to_owned(),
        "2026-01-02T04:00:00Z".parse().unwrap(),
        "2026-01-02T04:00:00Z".parse().unwrap(),
    ));
    let stub = other.serve(|_, _| None);
    assert_eq!(against(&stub, &name, &[]).code, 74);
    let (from, to) = (["--from", "2026-01-01T02:00:00Z"], ["--to", "2026-01-02T03:30:00Z"]);
    assert_eq!(against(&stub, &name, &[from, to].concat()).code, 0);
    let ended = against(&stub, &name, &from);
    assert!(ended.code == 74 && ended.stderr.contains("1 problem"), "{}", ended.stderr);
    let ended = run(program(["verify", name.as_str(), "--from", "1d"]));
    assert!(ended.code == 2 && ended.stderr.contains("--against-service"), "{}", ended.stderr);
}

#[test]
fn events_outside_of_every_slice_are_counted_as_not_written() {
    let mut timeline = timeline();
    timeline.events.push((
        "year-one".to_owned(),
        "0001-01-01T00:00:00Z".parse().unwrap(),
        "2026-01-01T03:00:00Z".parse().unwrap(),
    ));
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    let summary = folder.path().join("summary.json");
    let ended = export(&timeline.serve(|_, _| None), &name, &["--summary", summary.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("warning: ") && ended.stderr.contains("1 EVENT NOT WRITTEN"),
        "{}",
        ended.stderr
    );
    let summary: Value = serde_json::from_str(&fs::read_to_string(summary).unwrap()).unwrap();
    assert_eq!((&summary["events_outside"], &summary["events"]), (&1.into(), &8.into()));
    assert!(Path::new(&name).join("ledger.json").exists() && exported(&name).len() == 8);
}

/// The service may list events by the time at which they were stored: a list of the slice alone lacks them.
#[test]
fn a_repair_adds_events_that_were_stored_long_after_the_end_of_their_slices() {
    let (_folder, name) = exported_folder();
    let mut late = timeline();
    let mut add = |id: &str, created: &str, stored: &str| {
        late.events.push((id.to_owned(), created.parse().unwrap(), stored.parse().unwrap()));
    };
    add("late", "2026-01-01T17:59:59.999Z", "2026-01-01T20:00:00Z");
    add("later", "2026-01-01T00:30:00Z", "2026-01-02T05:00:00Z");
    let stub = late.serve(|_, _| None);
    let ended = against(&stub, &name, &["--repair"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("10 events in 5 files, the same that the service has"), "{}", ended.stdout);
    assert_eq!(exported(&name).len(), 10);
    assert_eq!(against(&stub, &name, &[]).code, 0);
}
