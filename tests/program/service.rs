//! A broken service: the error's kind, status and tracking id, the progress, and advice.

use std::net::TcpListener;

use webex_events::sandbox::{LinkFault, Response, Sandbox, When};

use crate::{
    stub::{NEXT, Stub, answer, page},
    support::{Ended, Service, export_from, run, run_alone},
};

#[track_caller]
fn fails(ended: &Ended, code: i32, words: &[&str]) {
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert_eq!(ended.code, code, "{last}");
    assert!(last.starts_with("error: "), "{last}");
    for word in words {
        assert!(last.contains(word), "{word:?} isn't in {last:?}");
    }
}

#[test]
fn a_service_that_can_not_be_reached_is_unavailable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ended = run(export_from(&format!("http://127.0.0.1:{port}/v1"), ["--attempts", "1"]));
    fails(&ended, 69, &["Connection refused", "no event was written", "--base-url"]);
}

#[test]
fn a_service_that_fails_from_the_start_is_unavailable() {
    let service =
        Service::start(Sandbox::builder().fail(When::always(), Response::status(503).retry_after(0)));
    let ended = run(service.export(["--attempts", "3"]));
    fails(&ended, 69, &["503", "tracking id", "3 attempts", "no event was written", "2 retries"]);
    assert_eq!((ended.stdout.as_str(), service.counts().requests), ("", 3));
}

#[test]
fn a_temporary_failure_within_the_list_advises_another_run() {
    let service = Service::start(
        Sandbox::builder().events(100).fail(When::at(2..100), Response::status(502).retry_after(0)),
    );
    let ended = run(service.export(["--page-size", "10", "--attempts", "2"]));
    fails(
        &ended,
        75,
        &[
            "502",
            "20 events are in stdout, which isn't the whole list",
            "2 pages",
            "give the same command again",
        ],
    );
    let whole = service.lines();
    assert!(whole.starts_with(&ended.stdout) && ended.stdout.lines().count() == 20);
}

#[test]
fn a_rate_limit_with_too_long_a_pause_reports_its_length() {
    let service = Service::start(
        Sandbox::builder().events(10).fail(When::always(), Response::status(429).retry_after(7200)),
    );
    let ended = run(service.export([] as [&str; 0]));
    fails(&ended, 69, &["429", "7200 s", "--max-wait 7200s"]);
    assert_eq!(service.counts().requests, 1);
}

#[test]
fn temporary_errors_are_retried() {
    let service = Service::start(
        Sandbox::builder()
            .events(200)
            .fail(When::every(3), Response::status(500).retry_after(0))
            .empty_pages(2),
    );
    let ended = run(service.export(["--page-size", "20"]));
    assert!(ended.success().starts_with("complete: 200 events"), "{}", ended.stderr);
    assert!(ended.stdout == service.lines());
}

#[test]
fn a_refusal_names_the_missing_permission() {
    for (status, body, words) in [
        (401, "{}", ["401", "get a new token"]),
        (403, r#"{"message":"no"}"#, ["403", "spark-compliance:events_read"]),
        (403, "authorized to search within past 90 days", ["403", "later --from"]),
    ] {
        let stub = Stub::start(vec![answer(status, "TrackingID: T_7\r\n", body)]);
        fails(&run(export_from(&stub.base_url, [] as [&str; 0])), 77, &words);
        let stub =
            Stub::start(vec![answer(200, NEXT, page(&["a"])), answer(status, "TrackingID: T_7\r\n", body)]);
        let ended = run(export_from(&stub.base_url, [] as [&str; 0]));
        fails(&ended, 77, &["T_7", "1 event is in stdout"]);
    }
}

#[test]
fn a_response_that_is_not_a_page_is_an_error() {
    let stub = Stub::start(vec![
        answer(200, NEXT, page(&["a"])),
        answer(200, "TrackingID: T_7\r\nContent-Type: text/html\r\n", "<html>\nsign in"),
    ]);
    let ended = run(export_from(&stub.base_url, [] as [&str; 0]));
    fails(&ended, 69, &["200", "T_7", "text/html", "<html>", "1 event is in stdout"]);
}

#[test]
fn a_link_that_must_not_be_followed_is_unavailable() {
    for (fault, word) in [
        (LinkFault::Foreign, "foreign origin"),
        (LinkFault::Malformed, "can't be read"),
        (LinkFault::Ambiguous, "two different"),
        (LinkFault::Cycle(0), "already read"),
    ] {
        let service = Service::start(Sandbox::builder().events(100).links(When::at([1]), fault));
        let ended = run(service.export(["--page-size", "10"]));
        fails(&ended, 69, &["the service sent", word, "20 events are in stdout"]);
        assert_eq!(ended.stdout.lines().count(), 20);
    }
}

#[test]
fn a_truncated_body_is_a_transport_error() {
    let service = Service::start(Sandbox::builder().events(10).cut_bodies(When::always(), 0.5));
    fails(&run(service.export(["--attempts", "1"])), 69, &["the response broke off", "no event was written"]);
}

#[test]
fn texts_of_the_service_stay_on_one_line_without_control_characters() {
    let body = "{\"message\":\"a\\nb\\u001b[31m https://x/y?cursor=SECRET\"}";
    let stub = Stub::start(vec![answer(400, "", body)]);
    let ended = run(export_from(&stub.base_url, ["--from", "7d"]));
    let (code, line) = ended.failure();
    assert_eq!(code, 69);
    assert!(!line.contains(['\u{1b}', '\n']) && !line.contains("SECRET"), "{line}");
}

#[test]
fn get_of_an_unknown_event_is_an_error() {
    let service = Service::start(Sandbox::builder().events(1));
    let mut command = crate::support::program(["get", "nope", "--base-url", service.base_url()]);
    command.env("WEBEX_ACCESS_TOKEN", crate::support::TOKEN);
    fails(&run(command), 69, &["404", "tracking id", "check"]);
}

#[test]
fn the_help_of_a_command_names_the_exit_codes() {
    for arguments in [["export", "--help"].as_slice(), &["export", "-h"], &["help", "get"]] {
        let ended = run_alone(arguments);
        assert_eq!(ended.code, 0);
        for code in ["0", "2", "69", "74", "75", "77", "78", "130", "143"] {
            let stands = ended.stdout.split_whitespace().any(|word| word == code);
            assert!(stands, "{code} isn't in the help of {arguments:?}");
        }
    }
}
