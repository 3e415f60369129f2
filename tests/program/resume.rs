//! An export into one file resumes after every kind of interruption.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::Value;
use tempfile::TempDir;
use webex_events::sandbox::{Response, Sandbox, When};

use crate::{
    stub::{NEXT, Stub, answer, page},
    support::{Running, Service, export_from, folder, names, run, run_alone, until},
};

fn file() -> (TempDir, PathBuf, String) {
    let folder = folder();
    let path = folder.path().join("f");
    let name = path.to_str().unwrap().to_owned();
    (folder, path, name)
}

fn service() -> Service {
    Service::start(Sandbox::builder().events(100))
}

/// Runs an export with pages of ten events until this number of pages is committed, and kills it.
fn kill_after(service: &Service, pages: u64, name: &str, arguments: &[&str]) {
    let hour = Duration::from_secs(3600);
    service.latency(When::at(pages..1000), hour);
    let mut command = service.export(["--page-size", "10", "--commit-every", "0s", "-o", name]);
    command.args(arguments);
    let running = Running::start(command);
    let cursor = format!("{name}.cursor");
    let committed = format!("\"pages\":{pages},");
    until("a commit", || fs::read_to_string(&cursor).is_ok_and(|text| text.contains(&committed)));
    running.kill();
    service.clear_faults();
}

#[test]
fn after_a_kill_it_resumes_with_the_next_page() {
    for pages in 1..=9 {
        let service = service();
        let (folder, path, name) = file();
        kill_after(&service, pages, &name, &[]);
        assert_eq!(names(&folder), ["f.cursor", "f.lock", "f.part"]);
        let before = service.counts().requests;
        let ended = run(service.export(["--page-size", "10", "-o", &name]));
        assert!(ended.success().starts_with("complete: 100 events"), "{}", ended.stderr);
        assert!(fs::read_to_string(&path).unwrap() == service.lines());
        assert_eq!(names(&folder), ["f"]);
        assert_eq!(service.counts().requests - before, 10 - pages, "killed after page {pages}");
    }
}

#[test]
fn uncommitted_bytes_are_truncated() {
    let service = service();
    let (folder, path, name) = file();
    kill_after(&service, 3, &name, &[]);
    let part = folder.path().join("f.part");
    let text = fs::read_to_string(&part).unwrap();
    fs::write(&part, text + "{\"id\":\"of the page that was under way").unwrap();
    run(service.export(["--page-size", "10", "-o", &name])).success();
    assert!(fs::read_to_string(&path).unwrap() == service.lines());
}

#[test]
fn an_export_resumes_after_a_failure_as_after_a_signal() {
    let service = service();
    let (_folder, path, name) = file();
    let export = || service.export(["--page-size", "10", "--attempts", "1", "-o", &name]);
    service.fail(When::at([2]), Response::status(503).retry_after(0));
    let ended = run(export());
    assert_eq!(ended.code, 75, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("20 events are in") && ended.stderr.contains("give the same command again")
    );
    service.clear_faults();
    service.latency(When::at([2]), Duration::from_secs(3600));
    let running = Running::start(export());
    let part = format!("{name}.part");
    until("two more pages", || {
        fs::read_to_string(&part).is_ok_and(|text| text.lines().count() == 40 && text.ends_with('\n'))
    });
    #[cfg(unix)]
    {
        running.signal("TERM");
        let ended = running.end();
        assert_eq!(ended.code, 143);
        assert!(ended.stderr.contains("40 events") && ended.stderr.contains("to resume"), "{}", ended.stderr);
    }
    #[cfg(not(unix))]
    running.kill();
    service.clear_faults();
    run(export()).success();
    assert!(fs::read_to_string(&path).unwrap() == service.lines());
}

#[test]
fn an_invalid_cursor_restarts_the_list_without_duplicates() {
    for status in [400, 404, 410] {
        let service = service();
        let (folder, path, name) = file();
        kill_after(&service, 4, &name, &[]);
        service.fail(When::at([0]), Response::status(status));
        let ended = run(service.export(["--page-size", "10", "-o", &name]));
        ended.success();
        assert!(ended.stderr.contains("reading from the beginning"), "{}", ended.stderr);
        assert!(fs::read_to_string(&path).unwrap() == service.lines());
        assert_eq!(names(&folder), ["f"]);
    }
}

#[test]
fn cursors_that_expire_during_the_list_restart_it() {
    let service = service();
    let (_folder, path, name) = file();
    service.fail(When::at([5]), Response::status(404));
    let ended = run(service.export(["--page-size", "10", "-o", &name]));
    assert!(ended.success().contains("15 pages"), "{}", ended.stderr);
    assert!(fs::read_to_string(&path).unwrap() == service.lines());
}

#[test]
fn an_export_stops_if_every_cursor_expires_and_keeps_its_events() {
    let service = service();
    let (folder, _, name) = file();
    service.fail(When::every(3), Response::status(404));
    let ended = run(service.export(["--page-size", "10", "-o", &name]));
    assert_eq!(ended.code, 69, "{}", ended.stderr);
    assert_eq!(names(&folder), ["f.cursor", "f.part"]);
    service.clear_faults();
    run(service.export(["--page-size", "10", "-o", &name])).success();
    assert!(fs::read_to_string(folder.path().join("f")).unwrap() == service.lines());
}

#[test]
fn an_event_that_is_listed_twice_is_written_once_and_counted() {
    let stub = Stub::start(vec![answer(200, NEXT, page(&["a", "b"])), answer(200, "", page(&["b", "c"]))]);
    let (_folder, path, name) = file();
    let ended = run(export_from(&stub.base_url, ["-o", &name]));
    assert!(ended.success().contains("3 events") && ended.stderr.contains("1 duplicate dropped"));
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 3);
}

#[test]
fn the_name_of_a_file_chooses_its_compression() {
    let service = service();
    for (suffix, option, how) in [
        (".gz", None, Some("gzip")),
        (".zst", None, Some("zstd")),
        (".ZST", Some("zstd"), Some("zstd")),
        (".ndjson", Some("gzip"), Some("gzip")),
        (".ndjson", None, None),
        (".gz.ndjson", None, None),
    ] {
        let (_folder, _, name) = file();
        let name = format!("{name}{suffix}");
        let arguments = option.map_or(Vec::new(), |option| vec!["--compress", option]);
        kill_after(&service, 2, &name, &arguments);
        let mut command = service.export(["--page-size", "10", "-o", &name]);
        command.args(&arguments);
        run(command).success();
        let bytes = fs::read(&name).unwrap();
        let text =
            how.map_or_else(|| String::from_utf8(bytes.clone()).unwrap(), |how| decompressed(how, &bytes));
        assert!(text == service.lines(), "{name}");
    }
}

#[test]
fn a_compression_that_contradicts_the_name_of_the_file_is_refused() {
    for (suffix, option) in [("zst", "gzip"), ("gz", "zstd")] {
        let (folder, _, name) = file();
        let name = format!("{name}.ndjson.{suffix}");
        let ended = run_alone(["export", "--sandbox", "10", "-o", &name, "--compress", option]);
        let (code, line) = ended.failure();
        assert!(code == 2 && line.contains("omit --compress") && line.contains(option), "{line}");
        assert!(names(&folder).is_empty());
    }
}

#[test]
fn take_counts_the_events_of_all_runs() {
    let service = service();
    let (_folder, path, name) = file();
    kill_after(&service, 3, &name, &["--take", "35"]);
    let ended = run(service.export(["--page-size", "10", "--take", "35", "-o", &name]));
    assert!(ended.success().starts_with("as many as requested: 35 events"), "{}", ended.stderr);
    let text = fs::read_to_string(path).unwrap();
    assert!(text.lines().count() == 35 && service.lines().starts_with(&text));
}

#[test]
fn another_command_is_refused_and_changes_nothing() {
    let service = service();
    let (folder, _, name) = file();
    kill_after(&service, 3, &name, &["--from", "60d"]);
    let before = fs::read(folder.path().join("f.cursor")).unwrap();
    let requests = service.counts().requests;
    for (arguments, word) in [
        (["--from", "61d"].as_slice(), "--from was 60d and now is 61d"),
        (&[], "--from 60d is missing"),
        (&["--from", "60d", "--resource", "rooms"], "--resource rooms is new"),
        (&["--from", "60d", "--to", "1d"], "--to 1d is new"),
        (&["--from", "60d", "--compress", "gzip"], "--compress gzip is new"),
        (&["--from", "60d", "--take", "7"], "--take 7 is new"),
    ] {
        let mut command = service.export(["-o", &name]);
        command.args(arguments);
        let ended = run(command);
        let (code, line) = ended.failure();
        assert_eq!(code, 2, "{line}");
        assert!(line.contains(word) && line.contains("another command"), "{line}");
    }
    assert_eq!(fs::read(folder.path().join("f.cursor")).unwrap(), before);
    assert_eq!(service.counts().requests, requests);
    // The same instant in another form is the same command.
    run(service.export(["-o", &name, "--from", "1440h"])).success();
}

#[test]
fn a_range_that_ends_in_the_future_is_refused_and_leaves_nothing() {
    let service = service();
    let (folder, _, name) = file();
    let future = (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let ended = run(service.export(["-o", &name, "--to", &future]));
    assert!(ended.code == 2 && ended.stderr.contains("in the future"), "{}", ended.stderr);
    assert!(names(&folder).is_empty());
}

#[test]
fn a_range_that_ended_long_ago_needs_no_request_for_the_time_of_the_service() {
    let service = service();
    let (_folder, _, name) = file();
    run(service.export(["-o", &name, "--from", "2026-01-05", "--to", "2026-01-06"])).success();
    assert_eq!(service.counts().requests, 1);
}

#[test]
fn a_second_process_on_one_file_is_refused() {
    let service = service();
    let (_folder, path, name) = file();
    service.latency(When::at([1]), Duration::from_secs(3600));
    let export = || service.export(["--page-size", "10", "--commit-every", "0s", "-o", &name]);
    let running = Running::start(export());
    until("a page", || fs::metadata(format!("{name}.cursor")).is_ok());
    let ended = run(export());
    let (code, line) = ended.failure();
    assert!(code == 75 && line.contains("another process is writing"), "{line}");
    running.kill();
    service.clear_faults();
    run(export()).success();
    assert!(fs::read_to_string(&path).unwrap() == service.lines());
}

#[test]
fn a_damaged_state_is_refused_with_advice() {
    let service = service();
    let (folder, path, name) = file();
    kill_after(&service, 3, &name, &[]);
    let (cursor, part) = (folder.path().join("f.cursor"), folder.path().join("f.part"));
    let (state, text) = (fs::read_to_string(&cursor).unwrap(), fs::read_to_string(&part).unwrap());
    let cut = state[..state.len() / 2].to_owned();
    let edited = state.replace("\"events\":30", "\"events\":20");
    for (damaged, word) in [(cut.as_str(), "cut off"), (&edited, "changed"), ("", "cut off")] {
        fs::write(&cursor, damaged).unwrap();
        let ended = run(service.export(["-o", &name]));
        let (code, line) = ended.failure();
        assert_eq!(code, 74, "{line}");
        assert!(line.contains("f.cursor is damaged") && line.contains(word), "{line}");
        assert!(line.contains("to start from the beginning"), "{line}");
        assert_eq!(fs::read_to_string(&part).unwrap(), text, "nothing is lost");
    }
    fs::write(&cursor, &state).unwrap();
    fs::write(&part, &text[..text.len() / 2]).unwrap();
    let ended = run(service.export(["-o", &name]));
    assert!(ended.failure().0 == 74 && ended.stderr.contains("f.part is damaged"), "{}", ended.stderr);
    fs::write(&part, &text).unwrap();
    run(service.export(["--page-size", "10", "-o", &name])).success();
    assert!(fs::read_to_string(path).unwrap() == service.lines());
}

#[test]
fn a_compressed_export_survives_kills() {
    for (how, tool) in [("gzip", "gzip"), ("zstd", "zstd")] {
        let service = service();
        let (folder, path, name) = file();
        kill_after(&service, 2, &name, &["--compress", how]);
        kill_after(&service, 3, &format!("{name}2"), &["--compress", how]);
        let part = fs::read(folder.path().join("f.part")).unwrap();
        assert_eq!(decompressed(how, &part).lines().count(), 20, "a part is a file of {tool}");
        run(service.export(["--page-size", "10", "--compress", how, "-o", &name])).success();
        assert!(decompressed(how, &fs::read(path).unwrap()) == service.lines());
    }
}

pub(crate) fn decompressed(how: &str, file: &[u8]) -> String {
    let text = match how {
        "gzip" => std::io::read_to_string(flate2::read::MultiGzDecoder::new(file)),
        _ => zstd::decode_all(file).map(|text| String::from_utf8(text).unwrap()),
    };
    text.unwrap()
}

#[test]
fn a_fast_clock_loses_no_event() {
    let hour = chrono::TimeDelta::hours(1);
    // The service's clock is an hour behind this machine's.
    let now = chrono::Utc::now() - hour;
    let service = Service::start(Sandbox::builder().events(120).period(now - hour, now).now(now));
    let (_folder, path, name) = file();
    let ended = run(service.export(["--page-size", "50", "--from", "1h", "-o", &name]));
    ended.success();
    assert!(ended.stderr.contains("ahead of the service's"), "{}", ended.stderr);
    let lines = fs::read_to_string(path).unwrap();
    // All except those in the fraction of a second that the service's time lacks.
    assert!(lines.lines().count() >= 119, "{}", lines.lines().count());
    let ended = run(service.export(["--from", "1h"]));
    assert!(ended.stdout.lines().count() >= 119, "to stdout too");
}

#[test]
fn a_sandbox_of_its_own_is_the_same_in_each_run() {
    let (_folder, path, name) = file();
    let arguments = ["export", "--sandbox", "3000", "--page-size", "100", "-o", &name];
    let running = Running::start({
        let mut command = crate::support::program(arguments);
        command.args(["--commit-every", "0s", "--rate-limit", "20/s"]);
        command
    });
    until("a commit", || fs::metadata(format!("{name}.cursor")).is_ok());
    running.kill();
    let ended = run_alone(arguments);
    assert!(ended.success().starts_with("complete: 3,000 events"), "{}", ended.stderr);
    let text = fs::read_to_string(path).unwrap();
    let ids: std::collections::HashSet<_> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].to_string()).collect();
    assert_eq!((ids.len(), text.lines().count()), (3000, 3000));
}

#[test]
fn a_summary_says_if_the_export_is_complete() {
    let service = service();
    let (folder, _, name) = file();
    let summary = folder.path().join("s.json");
    let export = || {
        service.export([
            "--page-size",
            "10",
            "--attempts",
            "1",
            "-o",
            &name,
            "--summary",
            summary.to_str().unwrap(),
        ])
    };
    let read = || serde_json::from_slice::<Value>(&fs::read(&summary).unwrap()).unwrap();
    service.fail(When::at([2]), Response::status(503).retry_after(0));
    assert_eq!(run(export()).code, 75);
    let part = read();
    assert_eq!(
        (&part["complete"], &part["events"], &part["exit_code"]),
        (&false.into(), &20.into(), &75.into())
    );
    assert!(part["why_not"].as_str().unwrap().contains("503"), "{part}");
    service.clear_faults();
    run(export()).success();
    let whole = read();
    assert_eq!((&whole["complete"], &whole["events"]), (&true.into(), &100.into()));
    assert_eq!(whole["requests"], 8);
    let sha256 = whole["files"][0]["sha256"].as_str().unwrap();
    if let Ok(output) = std::process::Command::new("sha256sum").arg(&name).output() {
        assert!(String::from_utf8(output.stdout).unwrap().starts_with(sha256), "{whole}");
    }
}

#[test]
fn compression_and_slices_need_a_file_and_a_folder() {
    for (arguments, word) in [
        (["--compress", "zstd"], "--compress needs a file or folder"),
        (["--slice", "6h"], "--slice needs a folder"),
    ] {
        let ended = run_alone([["export", "--sandbox", "10"].as_slice(), &arguments].concat());
        let (code, line) = ended.failure();
        assert!(code == 2 && line.contains(word), "{line}");
    }
}
