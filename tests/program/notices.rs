//! Messages about pauses, retries and a service that can't be reached.

use webex_events::sandbox::{Response, Sandbox, When};

use crate::support::{Ended, Service, TOKEN, export_from, folder, program, run};

/// No program listens on this port.
const UNUSED: &str = "http://127.0.0.1:1/v1";

fn count(ended: &Ended, words: &str) -> usize {
    ended.stderr.lines().filter(|line| line.contains(words)).count()
}

#[test]
fn a_pause_of_the_service_is_reported_once_for_all_slices() {
    let service = Service::start(
        Sandbox::builder().events(400).fail(When::at([3]), Response::status(429).retry_after(2)),
    );
    let folder = folder();
    let path = folder.path().join("d").display().to_string();
    let ended = run(service.export(["--from", "29d", "--slice", "1d", "--concurrency", "8", "-o", &path]));
    ended.success();
    assert_eq!(count(&ended, "429"), 1, "{}", ended.stderr);
    let line = ended.stderr.lines().find(|line| line.contains("429")).unwrap();
    assert!(line.starts_with("paused by the service until ") && line.ends_with(" UTC (429)"), "{line}");
}

#[test]
fn a_retry_is_reported_once_for_each_cause() {
    let service = Service::start(
        Sandbox::builder()
            .events(100)
            .fail(When::at([1, 2, 3]), Response::status(503).retry_after(0))
            .fail(When::at([5]), Response::status(502).retry_after(0)),
    );
    let ended = run(service.export(["--page-size", "20"]));
    ended.success();
    assert_eq!((count(&ended, "503"), count(&ended, "502")), (1, 1), "{}", ended.stderr);
    let line = ended.stderr.lines().find(|line| line.contains("503")).unwrap();
    let start = "warning: the service responded with 503 Service Unavailable; trying again in ";
    assert!(line.starts_with(start), "{line}");
}

#[test]
fn commands_give_up_early_if_the_service_has_never_responded() {
    let folder = folder();
    let path = folder.path().join("f").display().to_string();
    let mut get = program(["get", "x", "--base-url", UNUSED]);
    get.env("WEBEX_ACCESS_TOKEN", TOKEN);
    let export = |arguments: [&str; 4]| export_from(UNUSED, arguments);
    for command in [export(["-o", &path, "--from", "1d"]), export(["-o", &path, "--to", "1d"]), get] {
        let ended = run(command);
        assert_eq!(ended.code, 69, "{ended:?}");
        assert_eq!(count(&ended, "no connection to the service: Connection refused; trying again"), 1);
        let last = ended.stderr.lines().last().unwrap();
        assert!(last.contains("Connection refused (3 attempts)"), "{last}");
        assert!(last.contains("nothing listens at the address of --base-url"), "{last}");
    }
}

#[test]
fn a_comparison_with_a_service_that_has_never_responded_ends_after_its_first_range() {
    let service = Service::start(Sandbox::builder().events(400));
    let folder = folder();
    let path = folder.path().join("d").display().to_string();
    run(service.export(["--from", "29d", "--slice", "1d", "-o", &path])).success();
    let mut verify = program(["verify", &path, "--against-service", "--base-url", UNUSED]);
    verify.env("WEBEX_ACCESS_TOKEN", TOKEN);
    let ended = run(verify);
    assert_eq!((ended.code, count(&ended, "not compared")), (69, 0), "{}", ended.stderr);
    assert!(ended.stderr.lines().last().unwrap().contains("(3 attempts)"), "{}", ended.stderr);
}

#[test]
fn attempts_hold_as_given_even_if_the_service_has_never_responded() {
    let ended = run(export_from(UNUSED, ["--attempts", "4"]));
    assert!(ended.stderr.contains("(4 attempts)"), "{}", ended.stderr);
}

#[test]
fn a_service_that_has_responded_once_gets_all_attempts() {
    let service = Service::start(Sandbox::builder().events(100).drop_connections(When::at(1..5)));
    run(service.export(["--page-size", "20"])).success();
}

#[cfg(unix)]
#[test]
fn a_pipe_that_nobody_reads_is_waited_for_until_a_signal() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let name = pipe.display().to_string();
    let mut running = crate::support::Running::start(program(["export", "--sandbox", "10", "-o", &name]));
    assert_eq!(running.stderr_line(), format!("waiting until a program reads from {name}"));
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_eq!(
        ended.stderr,
        format!("warning: interrupted: no program has read from {name}; nothing was written\n")
    );
}
