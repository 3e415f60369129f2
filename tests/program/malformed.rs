//! Malformed items: they are kept and reported, and don't stop an export.

use std::fs;

use serde_json::Value;
use webex_events::sandbox::Sandbox;

use crate::{
    stub::{NEXT, Stub, answer},
    support::{Service, export_from, folder, names, run},
};

#[test]
fn malformed_items_are_written_beside_the_file() {
    let service = Service::start(Sandbox::builder().events(100).malformed_every(10));
    let folder = folder();
    let path = folder.path().join("f");
    let ended = run(service.export(["--page-size", "30", "-o", path.to_str().unwrap()]));
    let last = ended.success();
    assert!(last.contains("90 events") && last.contains("10 MALFORMED ITEMS"), "{last}");
    assert!(last.contains("f.malformed"), "{last}");
    assert_eq!(names(&folder), ["f", "f.malformed"]);

    let text = fs::read_to_string(folder.path().join("f.malformed")).unwrap();
    let kept: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut whole: Vec<_> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    for (number, item) in kept.iter().enumerate() {
        let position = number * 10 + 9;
        assert_eq!((&item["page"], &item["index"]), (&(position / 30 + 1).into(), &(position % 30).into()));
        assert!(item["error"].as_str().unwrap().contains("is not an event"));
        whole.insert(position, item["raw"].as_str().unwrap().to_owned());
    }
    assert_eq!(whole.join("\n") + "\n", service.lines());

    // A later export without malformed items removes the file.
    service.clear_faults();
    run(service.export(["-o", path.to_str().unwrap()])).success();
    assert_eq!(names(&folder), ["f"]);
}

#[test]
fn without_a_file_malformed_items_are_written_to_stderr() {
    let service = Service::start(Sandbox::builder().events(20).malformed_every(10));
    let ended = run(service.export(["--quiet"]));
    ended.success();
    assert_eq!(ended.stdout.lines().count(), 18);
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[..2].iter().all(|line| line.contains(r#""raw":"#)), "{lines:?}");
    assert!(lines[2].contains("2 MALFORMED ITEMS"), "{lines:?}");
}

#[test]
fn a_failed_export_keeps_the_malformed_items_of_the_complete_one() {
    let folder = folder();
    let path = folder.path().join("f");
    let name = path.to_str().unwrap();
    let bad = r#"{"items":[7]}"#;
    let stub = Stub::start(vec![answer(200, "", bad)]);
    run(export_from(&stub.base_url, ["-o", name])).success();
    let complete = fs::read(folder.path().join("f.malformed")).unwrap();
    let stub = Stub::start(vec![answer(200, NEXT, r#"{"items":[8]}"#), answer(400, "", "{}")]);
    let ended = run(export_from(&stub.base_url, ["-o", name]));
    assert!(ended.code == 69 && ended.stderr.contains("1 malformed"), "{}", ended.stderr);
    assert_eq!(names(&folder), ["f", "f.cursor", "f.malformed", "f.malformed.part", "f.part"]);
    assert_eq!(fs::read(folder.path().join("f.malformed")).unwrap(), complete);
}

#[test]
fn events_with_field_errors_are_counted() {
    let service = Service::start(Sandbox::builder().events(100).field_errors_every(25));
    let ended = run(service.export(["--quiet"]));
    assert!(ended.stdout == service.lines() && ended.stderr.is_empty());
    let ended = run(service.export([] as [&str; 0]));
    assert!(ended.success().contains("4 events with fields"), "{}", ended.stderr);
}

#[test]
fn bytes_that_are_not_utf8_are_kept_too() {
    let folder = folder();
    let path = folder.path().join("f");
    let stub = Stub::start(vec![answer(200, "", b"{\"items\":[\"Am\xe9rique\"]}")]);
    run(export_from(&stub.base_url, ["-o", path.to_str().unwrap()])).success();
    let kept: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("f.malformed")).unwrap()).unwrap();
    assert_eq!(
        (&kept["raw"], &kept["bytes"]),
        (&"\"Am\u{fffd}rique\"".into(), &"22416de9726971756522".into())
    );
}

#[test]
fn a_page_over_a_limit_is_refused_in_words() {
    let items = format!(r#"{{"items":[{}]}}"#, vec!["1"; 100_001].join(","));
    let stub = Stub::start(vec![answer(200, "", items)]);
    let ended = run(export_from(&stub.base_url, [] as [&str; 0]));
    assert_eq!(ended.code, 69, "{}", ended.stderr);
    assert!(ended.stderr.contains("more than 100000 items"), "{}", ended.stderr);
}
