//! The requests that the arguments cause.

use std::{fs, time::Duration};

use webex_events::sandbox::{Bounds, Sandbox};

use crate::{
    stub::{NEXT, Stub, answer, page},
    support::{Service, TOKEN, export_from, folder, program, run},
};

#[track_caller]
fn targets(service: &Service, arguments: &[&str]) -> Vec<String> {
    run(service.export(arguments)).success();
    service.requests().into_iter().map(|request| request.target).collect()
}

fn service() -> Service {
    Service::start(Sandbox::builder().events(100).bounds(Bounds::HalfOpen))
}

#[test]
fn every_filter_is_sent() {
    let arguments = [
        "--resource",
        "messages",
        "--type",
        "created",
        "--actor-id",
        "A/1",
        "--page-size",
        "50",
        "--from",
        "2026-01-05",
        "--to",
        "2026-01-06T00:00:00+01:00",
    ];
    let targets = targets(&service(), &arguments);
    assert_eq!(
        targets,
        ["/v1/events?resource=messages&type=created&actorId=A%2F1&from=2026-01-05T00%3A00%3A00.000Z\
          &to=2026-01-05T23%3A00%3A00.000Z&max=50"]
    );
}

#[test]
fn additional_parameters_are_sent_and_are_part_of_the_request() {
    let service = service();
    let folder = folder();
    let name = format!("{}/", folder.path().join("out").display());
    let export = |params: &[&str]| {
        let mut command = service.export(["-o", &name, "--from", "2026-01-05", "--to", "2026-01-06"]);
        command.args(params.iter().flat_map(|param| ["--param", param]));
        run(command)
    };
    export(&["hasAttachments=a b", "new=1", "new=2"]).success();
    let target = service.requests().pop().unwrap().target;
    assert!(target.ends_with("&hasAttachments=a+b&new=1&new=2"), "{target}");
    let ended = export(&["new=1"]);
    let (code, line) = ended.failure();
    assert!(
        code == 2 && line.contains("--param was hasAttachments=a b,new=1,new=2 and now is new=1"),
        "{line}"
    );
    let mut command = program(["verify", &name, "--against-service", "--base-url", service.base_url()]);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN);
    let before = service.requests().len();
    run(command).success();
    let requests = service.requests();
    assert!(
        requests.len() > before && requests[before..].iter().all(|request| request.target.contains("&new=2"))
    );
}

/// A header may hold a secret, so that neither the ledger nor a message has its value.
#[test]
fn additional_headers_are_sent_and_not_stored() {
    let body = page(&["a"]);
    let too_long = format!("content-length: {}\r\n", body.len() + 1);
    let stub = Stub::start(vec![answer(200, NEXT, body.clone()), answer(200, too_long, body)]);
    let folder = folder();
    let name = folder.path().join("f");
    let mut command = export_from(&stub.base_url, ["-o", name.to_str().unwrap(), "--attempts", "1"]);
    command.args(["--header", "X-Gateway-Key=k3y=1", "--header", "x-trace=t"]);
    let ended = run(command);
    assert_eq!(ended.code, 75, "{}", ended.stderr);
    for head in [stub.head(), stub.head()] {
        assert_eq!((head.header("x-gateway-key"), head.header("x-trace")), (Some("k3y=1"), Some("t")));
    }
    let state = fs::read_to_string(folder.path().join("f.cursor")).unwrap().to_lowercase();
    assert!(!ended.stderr.contains("k3y") && !state.contains("k3y") && !state.contains("gateway"), "{state}");
}

#[test]
fn without_filters_none_is_sent() {
    assert_eq!(targets(&service(), &[]), ["/v1/events?max=1000"]);
}

#[test]
fn an_unknown_name_is_accepted_with_allow_unknown() {
    let service = service();
    let ended = run(service.export(["--resource", "whiteboards", "--type", "archived", "--allow-unknown"]));
    assert_eq!(ended.code, 69, "the sandbox knows no such resource: {}", ended.stderr);
    assert!(service.requests()[0].target.contains("resource=whiteboards&type=archived"));
}

#[test]
fn take_requests_no_more_pages_than_it_needs() {
    let service = service();
    let ended = run(service.export(["--take", "5"]));
    assert!(ended.success().starts_with("as many as requested: 5 events"), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 5);
    assert_eq!(service.requests().len(), 1);
    assert!(service.requests()[0].target.ends_with("max=5"));
    let ended = run(service.export(["--take", "0"]));
    ended.success();
    assert_eq!((ended.stdout.as_str(), service.requests().len()), ("", 1));
    let ended = run(service.export(["--take", "1000"]));
    assert!(ended.success().starts_with("complete: 100 events"), "{}", ended.stderr);
}

#[test]
fn a_rate_limit_spreads_the_requests() {
    let service = service();
    run(service.export(["--page-size", "50", "--rate-limit", "5/s", "--prefetch", "0"])).success();
    let at: Vec<_> = service.requests().iter().map(|request| request.at).collect();
    // The first request counts from when it was sent, and is logged when it has arrived.
    assert!(at.len() == 2 && at[0] + Duration::from_millis(100) <= at[1], "{at:?}");
}

#[test]
fn the_token_can_come_from_a_file() {
    let service = service();
    let folder = folder();
    let path = folder.path().join("token");
    fs::write(&path, format!("  {TOKEN}\r\n")).unwrap();
    let mut command = program(["export", "--token-file", path.to_str().unwrap()]);
    // The file has priority, and the address can come from the environment.
    command.env("WEBEX_ACCESS_TOKEN", "stale").env("WEBEX_BASE_URL", service.base_url());
    assert_eq!(run(command).stdout.lines().count(), 100);
    assert_eq!(service.counts().unauthorized, 0);
}

#[test]
fn the_environment_does_not_disturb_a_sandbox() {
    let service = service();
    let mut command = program(["export", "--sandbox", "-o", "-", "--take", "3"]);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN).env("WEBEX_BASE_URL", service.base_url());
    assert_eq!(run(command).stdout.lines().count(), 3);
    assert_eq!(service.counts().requests, 0);
}
