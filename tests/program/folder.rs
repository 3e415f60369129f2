//! Exports into a folder: one file per slice, a ledger, and resuming.

use std::{fs, path::Path, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;
use webex_events::{
    Event,
    sandbox::{Response, Sandbox, When},
};

use crate::{
    resume::decompressed,
    support::{Running, Service, exported, folder, names, run, run_alone, sorted, until},
};

const RANGE: [&str; 4] = ["--from", "2026-01-01", "--to", "2026-01-03"];

/// 400 events in two days.
fn service() -> Service {
    Service::start(two_days().seed(7))
}

fn two_days() -> webex_events::sandbox::SandboxBuilder {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    Sandbox::builder().events(400).period(at("2026-01-01T00:00:00Z"), at("2026-01-03T00:00:00Z"))
}

fn output() -> (TempDir, String) {
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    (folder, name)
}

fn export(service: &Service, name: &str, arguments: &[&str]) -> std::process::Command {
    let mut command = service.export(["-o", name, "--slice", "6h", "--page-size", "10", "--attempts", "1"]);
    command.args(RANGE).args(arguments);
    command
}

fn ledger(name: &str) -> Value {
    serde_json::from_slice(&fs::read(Path::new(name).join("ledger.json")).unwrap()).unwrap()
}

/// The number of files that are complete and have their names.
fn complete(name: &str) -> usize {
    let path = Path::new(name).join("ledger.json");
    let in_ledger = fs::read_to_string(path).map_or(0, |text| text.matches("\"complete\"").count());
    in_ledger.min(names(name).iter().filter(|name| name.ends_with(".ndjson")).count())
}

#[track_caller]
fn has_all(service: &Service, name: &str) {
    assert!(sorted(exported(name)) == sorted(service.lines().lines()), "each event once, as it came");
    assert!(names(name).iter().all(|name| name == "ledger.json" || name.ends_with(".ndjson")));
}

/// Runs an export until this many slices are complete, and kills it.
fn kill_after(service: &Service, slices: usize, name: &str) {
    // A slice has 5 pages, or 6 if its margin adds one.
    service.latency(When::at(6 * slices as u64 + 3..1000), Duration::from_secs(3600));
    let running = Running::start(export(service, name, &["--concurrency", "1", "--commit-every", "0s"]));
    until("complete slices, and one that is open with a cursor", || {
        let ledger = || fs::read_to_string(Path::new(name).join("ledger.json")).unwrap_or_default();
        Path::new(name).exists() && complete(name) >= slices && ledger().contains("\"cursor\"")
    });
    running.kill();
    service.clear_faults();
}

#[test]
fn each_event_is_in_the_file_of_its_slice() {
    let service = service();
    let (_folder, name) = output();
    let ended = run(export(&service, &name, &["--concurrency", "3"]));
    assert!(ended.success().starts_with("complete: 400 events, "), "{}", ended.stderr);
    assert!(ended.stderr.contains(" 8 files in "), "{}", ended.stderr);
    has_all(&service, &name);
    let ledger = ledger(&name);
    let files = ledger["files"].as_array().unwrap();
    assert_eq!(files.len(), 8);
    assert_eq!(files[0]["name"], "events_20260101T000000Z_20260101T060000Z.ndjson");
    for file in files {
        let text = fs::read_to_string(Path::new(&name).join(file["name"].as_str().unwrap())).unwrap();
        assert_eq!(file["events"], text.lines().count());
        assert_eq!(file["bytes"], text.len());
        let at = |key: &str| file[key].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
        for line in text.lines() {
            let created = Event::from_json(line).unwrap().created();
            assert!((at("start")..at("end")).contains(&created), "{created} in {file}");
        }
    }
}

#[test]
fn a_rerun_of_a_complete_export_does_nothing() {
    let service = service();
    let (_folder, name) = output();
    run(export(&service, &name, &[])).success();
    let before: Vec<_> =
        names(&name).iter().map(|file| fs::read(Path::new(&name).join(file)).unwrap()).collect();
    let requests = service.counts().requests;
    let ended = run(export(&service, &name, &[]));
    assert!(ended.success().starts_with("complete already: 400 events"), "{}", ended.stderr);
    assert_eq!(service.counts().requests, requests);
    let after: Vec<_> =
        names(&name).iter().map(|file| fs::read(Path::new(&name).join(file)).unwrap()).collect();
    assert!(before == after);
    fs::remove_file(Path::new(&name).join("events_20260101T060000Z_20260101T120000Z.ndjson")).unwrap();
    let ended = run(export(&service, &name, &[]));
    let (code, line) = ended.failure();
    assert!(code == 74 && line.contains("20260101T060000Z") && line.contains("it is missing"), "{line}");
}

#[test]
fn after_a_kill_it_resumes_and_requests_no_closed_slice_again() {
    for slices in [1, 3, 6] {
        let service = service();
        let (_folder, name) = output();
        kill_after(&service, slices, &name);
        let before = service.requests().len();
        let complete = complete(&name);
        run(export(&service, &name, &[])).success();
        has_all(&service, &name);
        let requested = service.requests().len() - before;
        assert!(requested <= 6 * (8 - complete), "{requested} requests for {} slices", 8 - complete);
        assert!(!Path::new(&name).join("ledger.lock").exists());
    }
}

#[cfg(unix)]
#[test]
fn a_signal_commits_and_prints_how_to_resume() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let service = service();
        let (_folder, name) = output();
        service.latency(When::at(16..1000), Duration::from_secs(3600));
        let running =
            Running::start(export(&service, &name, &["--concurrency", "2", "--commit-every", "1h"]));
        until("all that comes", || service.counts().requests >= 16);
        running.signal(signal);
        let ended = running.end();
        let (actual, line) = ended.failure();
        assert_eq!(actual, code);
        assert!(
            line.contains("give the same command again to resume") && line.contains("of 8 slices"),
            "{line}"
        );
        let ledger = ledger(&name);
        let events: u64 =
            ledger["files"].as_array().unwrap().iter().map(|file| file["events"].as_u64().unwrap()).sum();
        assert!(line.contains(&format!("{events} events are in")), "{line}");
        service.clear_faults();
        run(export(&service, &name, &[])).success();
        has_all(&service, &name);
    }
}

#[test]
fn a_temporary_failure_of_the_service_advises_another_run() {
    let service = service();
    let (_folder, name) = output();
    service.fail(When::at(20..1000), Response::status(503).retry_after(0));
    let ended = run(export(&service, &name, &[]));
    assert_eq!(ended.code, 75, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the same command tries them again") && ended.stderr.contains("slices closed"),
        "{}",
        ended.stderr
    );
    service.clear_faults();
    run(export(&service, &name, &[])).success();
    has_all(&service, &name);
}

#[test]
fn a_slice_whose_cursor_is_invalid_restarts() {
    let service = service();
    let (_folder, name) = output();
    kill_after(&service, 2, &name);
    service.expire_cursors();
    let ended = run(export(&service, &name, &[]));
    ended.success();
    assert!(ended.stderr.contains("restarting the slice"), "{}", ended.stderr);
    has_all(&service, &name);
    // Also within a list, with several concurrent slices.
    let (_folder, name) = output();
    service.fail(When::at([9]), Response::status(404));
    let ended = run(export(&service, &name, &["--concurrency", "4"]));
    ended.success();
    assert_eq!(ended.stderr.matches("restarting the slice").count(), 1, "{}", ended.stderr);
    has_all(&service, &name);
}

#[test]
fn another_command_is_refused_and_changes_nothing() {
    let service = service();
    let (_folder, name) = output();
    kill_after(&service, 1, &name);
    let before = fs::read(Path::new(&name).join("ledger.json")).unwrap();
    for (arguments, word) in [
        (["--from", "2026-01-01", "--slice", "6h"].as_slice(), "--to 2026-01-03T00:00:00Z is missing"),
        (&["--from", "2026-01-02", "--to", "2026-01-03", "--slice", "6h"], "--from was"),
        (&["--from", "2026-01-01", "--to", "2026-01-03", "--slice", "3h"], "--slice was 6h and now is 3h"),
        (&["--from", "2026-01-01", "--to", "2026-01-03", "--resource", "rooms"], "--resource rooms is new"),
        (&["--from", "2026-01-01", "--to", "2026-01-03", "--type", "created"], "--type created is new"),
        (&["--from", "2026-01-01", "--to", "2026-01-03", "--actor-id", "me"], "--actor-id me is new"),
        (&["--from", "2026-01-01", "--to", "2026-01-03", "--compress", "zstd"], "--compress zstd is new"),
    ] {
        let mut command = service.export(["-o", &name]);
        command.args(arguments);
        let ended = run(command);
        let (code, line) = ended.failure();
        assert!(code == 2 && line.contains(word), "{line}");
    }
    assert!(fs::read(Path::new(&name).join("ledger.json")).unwrap() == before);
    // Options for reading may change, and 6h is the default slice.
    let mut command = service.export(["-o", &name, "--page-size", "100", "--concurrency", "8"]);
    command.args(RANGE);
    run(command).success();
    has_all(&service, &name);
}

#[test]
fn a_second_process_on_one_folder_is_refused() {
    let service = service();
    let (_folder, name) = output();
    service.latency(When::at(9..1000), Duration::from_secs(3600));
    let running = Running::start(export(&service, &name, &["--commit-every", "0s"]));
    until("a page", || {
        fs::read_to_string(format!("{name}/ledger.json")).is_ok_and(|text| text.contains("events_"))
    });
    let ended = run(export(&service, &name, &[]));
    let (code, line) = ended.failure();
    assert!(code == 75 && line.contains("another process is writing"), "{line}");
    running.kill();
    service.clear_faults();
    run(export(&service, &name, &[])).success();
    has_all(&service, &name);
}

#[test]
fn a_damaged_ledger_is_refused_with_advice() {
    let service = service();
    let (_folder, name) = output();
    kill_after(&service, 2, &name);
    let path = Path::new(&name).join("ledger.json");
    let whole = fs::read_to_string(&path).unwrap();
    let cut = whole[..whole.len() * 2 / 3].to_owned();
    let edited = whole.replacen("\"stage\":\"complete\"", "\"stage\":\"open\"", 1);
    for (damaged, word) in
        [(cut.as_str(), "cut off"), (&edited, "changed"), ("", "cut off"), ("{}", "cut off")]
    {
        fs::write(&path, damaged).unwrap();
        let before = names(&name);
        let ended = run(export(&service, &name, &[]));
        let (code, line) = ended.failure();
        assert!(code == 74 && line.contains("ledger.json is damaged") && line.contains(word), "{line}");
        assert!(line.contains("restore it"), "{line}");
        assert_eq!(
            before,
            [names(&name), vec!["ledger.lock".to_owned()]]
                .concat()
                .into_iter()
                .take(before.len())
                .collect::<Vec<_>>()
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }
    fs::remove_file(&path).unwrap();
    let ended = run(export(&service, &name, &[]));
    assert!(ended.failure().0 == 74 && ended.stderr.contains("move it away"), "{}", ended.stderr);
    fs::write(&path, &whole).unwrap();
    run(export(&service, &name, &[])).success();
    has_all(&service, &name);
}

#[test]
fn compressed_files_can_be_read_by_their_tools() {
    for (how, suffix) in [("gzip", ".gz"), ("zstd", ".zst")] {
        let service = service();
        let (_folder, name) = output();
        run(export(&service, &name, &["--compress", how, "--commit-every", "0s"])).success();
        let files = names(&name).into_iter().filter(|file| file.ends_with(&format!(".ndjson{suffix}")));
        let texts = files.map(|file| decompressed(how, &fs::read(Path::new(&name).join(file)).unwrap()));
        let lines: Vec<_> =
            texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        assert!(sorted(lines) == sorted(service.lines().lines()));
    }
}

#[test]
fn malformed_items_are_kept_beside_their_slices() {
    let service = Service::start(two_days().malformed_every(10));
    let (_folder, name) = output();
    let ended = run(export(&service, &name, &[]));
    assert!(ended.success().contains("MALFORMED"), "{}", ended.stderr);
    assert_eq!(exported(&name).len(), 360);
    let kept: Vec<Value> = names(&name)
        .into_iter()
        .filter(|file| file.ends_with(".ndjson.malformed"))
        .flat_map(|file| {
            let text = fs::read_to_string(Path::new(&name).join(file)).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()
        })
        .collect();
    // A malformed item at the boundary of two slices is in both files, because its time is unknown.
    assert!((40..=48).contains(&kept.len()), "{}", kept.len());
    assert!(kept.iter().all(|item| item["raw"].is_string()));
}

#[test]
fn relative_times_use_the_clock_of_the_service() {
    let hour = TimeDelta::hours(1);
    // The service's clock is an hour behind this machine's.
    let now = Utc::now() - hour;
    let service = Service::start(Sandbox::builder().events(120).period(now - hour, now).now(now));
    let (_folder, name) = output();
    let arguments = ["-o", &name, "--slice", "10m", "--from", "2h"];
    let ended = run(service.export(arguments));
    ended.success();
    assert!(ended.stderr.contains("ahead of the service's, by which it is"), "{}", ended.stderr);
    assert!(exported(&name).len() >= 119, "all but those of the last second: {}", exported(&name).len());
    // In a later run the same arguments mean the same range.
    service.set_now(Utc::now());
    let ended = run(service.export(arguments));
    assert!(ended.success().starts_with("complete already"), "{}", ended.stderr);
}

#[test]
fn options_that_do_not_fit_a_folder_are_refused() {
    let service = service();
    let (folder, name) = output();
    let future = (Utc::now() + TimeDelta::days(1)).to_rfc3339();
    for (arguments, code, word) in [
        (["--slice", "6h", "--take", "5", "--from", "1d"].as_slice(), 2, "--take"),
        (&["--slice", "6h"], 2, "needs --from"),
        (&["--slice", "6h", "--from", "1d", "--to", &future], 2, "in the future"),
        (&["--slice", "6h", "--from", &future], 2, "in the past"),
        (&["--slice", "0s", "--from", "1d"], 2, "millisecond"),
        (&["--slice", "6", "--from", "1d"], 2, "--slice"),
        (&["--concurrency", "0", "--from", "1d"], 2, "--concurrency"),
    ] {
        let mut command = service.export(["-o", &name]);
        command.args(arguments);
        let ended = run(command);
        let (actual, line) = ended.failure();
        assert!(actual == code && line.contains(word), "{line}");
        assert!(names(&folder).is_empty());
    }
    fs::write(folder.path().join("out"), "a file").unwrap();
    let ended = run(export(&service, &name, &[]));
    assert!(ended.failure().0 == 74 && ended.stderr.contains("is not a folder"), "{}", ended.stderr);
    let ended = run(export(&service, &format!("{name}2/deep"), &[]));
    assert!(ended.failure().0 == 74 && ended.stderr.contains("there is no folder"), "{}", ended.stderr);
}

#[test]
fn a_path_with_a_slash_at_its_end_is_a_folder() {
    let service = service();
    let (folder, name) = output();
    let mut command = service.export(["-o", &format!("{name}/")]);
    command.args(RANGE);
    run(command).success();
    has_all(&service, &name);
    assert_eq!(names(&folder), ["out"]);
}

#[test]
fn a_service_that_refuses_from_the_start_leaves_nothing() {
    let service = service();
    let (folder, name) = output();
    service.set_token("another");
    let ended = run(export(&service, &name, &[]));
    assert_eq!(ended.code, 77, "{}", ended.stderr);
    assert!(names(&folder).is_empty());
}

#[cfg(unix)]
#[test]
fn a_folder_that_can_not_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o555)).unwrap();
    // Not even root can write there.
    let is_root = fs::write(folder.path().join("probe"), "").is_ok();
    let name = if is_root { "/proc" } else { folder.path().to_str().unwrap() };
    let ended = run(export(&service(), name, &[]));
    let (code, line) = ended.failure();
    assert!(code == 74 && line.contains(&format!("{name} can't be written")), "{line}");
}

#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing_that_was_committed() {
    let service = service();
    let (_folder, name) = output();
    let program = env!("CARGO_BIN_EXE_webex-events");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 60; exec \"$0\" \"$@\"", program]);
    shell.args([
        "export",
        "--base-url",
        service.base_url(),
        "-o",
        &name,
        "--slice",
        "6h",
        "--page-size",
        "10",
    ]);
    shell.args(RANGE).args(["--concurrency", "2"]).env("WEBEX_ACCESS_TOKEN", crate::support::TOKEN);
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let ended = run(shell);
    let (code, line) = ended.failure();
    assert!(
        code == 74 && line.contains("give the same command again, or choose another path with -o"),
        "{line}"
    );
    let before = service.requests().len();
    run(export(&service, &name, &[])).success();
    has_all(&service, &name);
    assert!(service.requests().len() - before < 48, "what was committed isn't requested again");
}

#[test]
fn a_summary_names_each_file() {
    let (folder, name) = output();
    let summary = folder.path().join("s.json");
    let mut arguments = vec!["export", "--sandbox", "500", "-o", &name, "--from", "60d", "--slice", "10d"];
    arguments.extend(["--summary", summary.to_str().unwrap()]);
    run_alone(&arguments).success();
    let summary: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
    assert_eq!((&summary["complete"], &summary["events"]), (&true.into(), &500.into()));
    assert_eq!(summary["asked"]["--from"], "60d");
    let files = summary["files"].as_array().unwrap();
    assert!((6..=7).contains(&files.len()), "slices start at multiples of their length");
    assert!(files.iter().all(|file| file["sha256"].as_str().unwrap().len() == 64));
    let range = |key: &str| summary["range"][key].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(range("to") - range("from"), TimeDelta::days(60));
}

/// The count once lacked the first request, for the service's time.
#[test]
fn a_summary_counts_every_request_of_its_run() {
    let service = Service::start(
        Sandbox::builder().events(50).fail(When::next(1), Response::status(503).retry_after(0)),
    );
    let folder = folder();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    run(service.export(["--from", "7d", "-o", &at("out"), "--slice", "7d", "--summary", &at("s.json")]))
        .success();
    let summary: Value = serde_json::from_slice(&fs::read(at("s.json")).unwrap()).unwrap();
    assert_eq!(summary["requests"], service.counts().requests);
    assert_eq!(summary["retries"], 1);
}
