//! Messages and logs on stderr.

use serde_json::Value;
use webex_events::sandbox::{Response, Sandbox, When};

use crate::support::{Service, run, run_alone};

const RETRIED: [&str; 0] = [];

fn flaky() -> Service {
    Service::start(Sandbox::builder().events(100).fail(When::next(1), Response::status(503).retry_after(0)))
}

#[test]
fn the_last_line_is_a_summary() {
    let ended = run_alone(["export", "--sandbox", "2500", "-o", "/dev/null"]);
    let last = ended.success();
    for word in
        ["complete", "2,500 events, 2.3", "3 pages", "3 requests", " MiB in 0", " s, written to /dev/null; "]
    {
        assert!(last.contains(word), "{word:?} isn't in {last:?}");
    }
}

#[test]
fn a_pipe_sees_no_progress() {
    let ended = run_alone(["export", "--sandbox", "5000"]);
    ended.success();
    assert!(!ended.stderr.contains(['\r', '\u{1b}']), "{:?}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1);
}

#[test]
fn quiet_prints_only_errors() {
    assert_eq!(run_alone(["export", "--sandbox", "10", "--quiet"]).stderr, "");
    let ended = run(flaky().export(["--quiet"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(run_alone(["export", "--quiet"]).failure().0, 78);
}

#[test]
fn without_from_one_note_says_that_the_service_chooses() {
    let service = Service::start(Sandbox::builder().events(1));
    let count = |arguments: &[&str]| run(service.export(arguments)).stderr.matches("--from").count();
    assert_eq!((count(&[]), count(&["--from", "7d"]), count(&["--quiet"])), (1, 0, 0));
}

#[test]
fn retries_are_logged_at_the_level_of_rust_log() {
    assert!(run(flaky().export(RETRIED)).stderr.contains("trying again"));
    let service = flaky();
    let mut command = service.export(RETRIED);
    command.env("RUST_LOG", "error");
    assert!(!run(command).stderr.contains("trying again"));
}

#[test]
fn an_invalid_log_filter_does_not_stop_the_run() {
    let mut command = crate::support::program(["export", "--sandbox", "1"]);
    command.env("RUST_LOG", "a=b=c");
    let ended = run(command);
    ended.success();
    assert!(ended.stderr.contains("RUST_LOG can't be read"), "{}", ended.stderr);
}

#[test]
fn logs_of_every_level_contain_no_token_and_no_query_string() {
    let service = flaky();
    let mut command = service.export(["--actor-id", "PERSONAL", "--page-size", "30"]);
    command.env("RUST_LOG", "trace");
    let ended = run(command);
    ended.success();
    assert!(ended.stderr.contains("DEBUG") && !ended.stderr.contains("PERSONAL"), "{}", ended.stderr);
}

#[test]
fn with_json_every_line_is_json() {
    let ended = run(flaky().export(["--log-format", "json"]));
    ended.success();
    let lines: Vec<Value> =
        ended.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["INFO", "WARN", "INFO"]);
    let last = &lines[2]["fields"];
    assert_eq!(
        (&last["events"], &last["complete"], &last["retries"]),
        (&100.into(), &true.into(), &1.into())
    );

    let ended = run_alone(["export", "--log-format", "json"]);
    let line: Value = serde_json::from_str(ended.failure().1).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert!(line["fields"]["message"].as_str().unwrap().contains("WEBEX_ACCESS_TOKEN"));
}
