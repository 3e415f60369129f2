//! What is said, and what isn't.

use serde_json::Value;
use webex_events::sandbox::{Response, Sandbox, When};

use crate::support::{Service, run, run_alone};

const RETRIED: [&str; 0] = [];

fn flaky() -> Service {
    Service::start(Sandbox::builder().events(100).fail(When::next(1), Response::status(503).retry_after(0)))
}

#[test]
fn the_last_line_sums_up() {
    let ended = run_alone(["export", "--sandbox", "2500", "-o", "/dev/null"]);
    let last = ended.success();
    for word in [
        "complete",
        "2500 events in /dev/null",
        "3 pages",
        "3 requests",
        "0 retries",
        "waited",
        "bytes",
        "took",
    ] {
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
fn quiet_leaves_nothing_but_errors() {
    assert_eq!(run_alone(["export", "--sandbox", "10", "--quiet"]).stderr, "");
    let ended = run(flaky().export(["--quiet"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(run_alone(["export", "--quiet"]).failure().0, 78);
}

#[test]
fn without_from_it_says_once_that_the_service_chooses() {
    let service = Service::start(Sandbox::builder().events(1));
    let count = |arguments: &[&str]| run(service.export(arguments)).stderr.matches("--from").count();
    assert_eq!((count(&[]), count(&["--from", "7d"]), count(&["--quiet"])), (1, 0, 0));
}

#[test]
fn retries_are_logged_and_rust_log_says_how_much() {
    assert!(run(flaky().export(RETRIED)).stderr.contains("trying again"));
    let service = flaky();
    let mut command = service.export(RETRIED);
    command.env("RUST_LOG", "error");
    assert!(!run(command).stderr.contains("trying again"));
}

#[test]
fn a_filter_that_can_not_be_read_is_no_reason_to_stop() {
    let mut command = crate::support::program(["export", "--sandbox", "1"]);
    command.env("RUST_LOG", "a=b=c");
    let ended = run(command);
    ended.success();
    assert!(ended.stderr.contains("RUST_LOG can't be read"), "{}", ended.stderr);
}

#[test]
fn at_the_finest_level_no_log_shows_the_token_or_a_query_string() {
    let service = flaky();
    let mut command = service.export(["--actor-id", "PERSONAL", "--page-size", "30"]);
    command.env("RUST_LOG", "trace");
    let ended = run(command);
    ended.success();
    assert!(ended.stderr.contains("DEBUG") && !ended.stderr.contains("PERSONAL"), "{}", ended.stderr);
}

#[test]
fn json_is_json_in_every_line() {
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
