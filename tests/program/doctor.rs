//! `doctor`: one line per check, and the exit code of the first failure.

use std::{collections::BTreeMap, fs, net::TcpListener};

use chrono::{TimeDelta, Utc};
use serde_json::Value;
use webex_events::sandbox::{Response, Sandbox, SandboxBuilder, When};

use crate::{
    stub::{Stub, answer},
    support::{Ended, Service, TOKEN, folder, names, program, run, run_alone},
};

const CHECKS: [&str; 7] = ["settings", "service", "token", "access", "clock", "reach", "rate-limit"];

fn doctor(base_url: &str, arguments: &[&str]) -> Ended {
    let mut command = program(["doctor", "--base-url", base_url]);
    command.args(arguments).env("WEBEX_ACCESS_TOKEN", TOKEN);
    run(command)
}

/// The results for such a service, and the number of requests.
fn with(builder: SandboxBuilder) -> (Ended, u64) {
    let service = Service::start(builder);
    (doctor(service.base_url(), &[]), service.counts().requests)
}

/// Checks the outcome of a check, and that its line contains these words.
#[track_caller]
fn found(ended: &Ended, check: &str, outcome: &str, words: &[&str]) {
    let start = format!("{outcome:<5} {check:<10} ");
    let line = ended.stdout.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no {start:?} in\n{}", ended.stdout));
    for word in words {
        assert!(line.contains(word), "{word:?} isn't in {line:?}");
    }
}

#[test]
fn every_check_succeeds_if_all_is_well() {
    let folder = folder();
    let ended = run_alone(["doctor", "--sandbox", "-o", folder.path().to_str().unwrap()]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    for check in CHECKS.into_iter().chain(["output", "fsync", "rename", "lock"]) {
        found(&ended, check, "ok", &[]);
    }
    assert!(ended.stdout.lines().last().unwrap().contains("space"));
    assert_eq!(ended.stdout.lines().count(), CHECKS.len() + 5);
    assert!(names(&folder).is_empty(), "it leaves nothing behind");
}

#[test]
fn the_environment_does_not_disturb_a_sandbox() {
    let mut command = program(["doctor", "--sandbox"]);
    command.env("WEBEX_BASE_URL", "http://127.0.0.1:1/v1").env("WEBEX_ACCESS_TOKEN", "");
    let ended = run(command);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    found(&ended, "settings", "ok", &["sandbox"]);
}

#[test]
fn the_checks_send_few_requests() {
    let (ended, requests) = with(Sandbox::builder().events(10));
    assert_eq!((ended.code, requests), (0, 3));
    let (ended, requests) = with(Sandbox::builder().events(10).fail(When::always(), Response::status(503)));
    assert_eq!((ended.code, requests), (69, 1));
}

#[test]
fn without_a_token_the_service_is_not_checked() {
    let ended = run_alone(["doctor"]);
    assert_eq!(ended.failure(), (78, "error: 1 of 7 checks failed: settings"));
    found(&ended, "settings", "fail", &["WEBEX_ACCESS_TOKEN", "--token-file"]);
    found(&ended, "token", "skip", &[]);
}

#[test]
fn an_unreachable_service_differs_from_one_that_fails() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ended = doctor(&format!("http://127.0.0.1:{port}/v1"), &[]);
    assert_eq!(ended.failure().0, 69);
    found(&ended, "service", "fail", &["refused", "--base-url"]);
    found(&ended, "clock", "skip", &[]);
    for (reply, words) in [
        (answer(503, "", ""), ["503", "try again later"]),
        (answer(404, "", ""), ["404", "--base-url"]),
        (answer(200, "Content-Type: text/html\r\n", "<html>sign in"), ["sign in", "--proxy"]),
    ] {
        let ended = doctor(&Stub::start(vec![reply]).base_url, &[]);
        assert_eq!(ended.failure().0, 69);
        found(&ended, "service", "fail", &words);
        found(&ended, "token", "skip", &[]);
    }
}

#[test]
fn a_refused_token_differs_from_one_without_permission() {
    let (ended, _) = with(Sandbox::builder().fail(When::always(), Response::status(401)));
    assert_eq!(ended.failure(), (77, "error: 1 of 7 checks failed: token"));
    found(&ended, "service", "ok", &[]);
    found(&ended, "token", "fail", &["401", "expired", "set WEBEX_ACCESS_TOKEN"]);
    found(&ended, "clock", "ok", &[]);

    let (ended, _) = with(Sandbox::builder().fail(When::always(), Response::status(403)));
    assert_eq!(ended.failure(), (77, "error: 1 of 7 checks failed: access"));
    found(&ended, "token", "ok", &["accepted"]);
    found(&ended, "access", "fail", &["403", "spark-compliance:events_read", "compliance officer"]);
    found(&ended, "reach", "skip", &[]);
}

#[test]
fn the_error_of_a_wrong_clock_is_reported() {
    let (ended, _) = with(Sandbox::builder().now(Utc::now() - TimeDelta::hours(1)));
    assert_eq!(ended.failure(), (78, "error: 1 of 7 checks failed: clock"));
    found(&ended, "clock", "fail", &["ahead of", "--from"]);
    let (ended, _) = with(Sandbox::builder().now(Utc::now() + TimeDelta::hours(1)));
    found(&ended, "clock", "fail", &["behind"]);
    let (ended, _) = with(Sandbox::builder().now(Utc::now() - TimeDelta::seconds(30)));
    assert_eq!(ended.code, 0);
    found(&ended, "clock", "warn", &["ahead of"]);
}

#[test]
fn the_reach_of_lists_is_measured_by_the_services_clock() {
    for (builder, outcome, words) in [
        (Sandbox::builder(), "ok", "has the Pro Pack"),
        (Sandbox::builder().retention(90), "ok", "needs the Pro Pack"),
        (Sandbox::builder().retention(30), "warn", "later --from"),
        (Sandbox::builder().retention(90).now(Utc::now() - TimeDelta::days(400)), "ok", "needs the Pro Pack"),
    ] {
        found(&with(builder).0, "reach", outcome, &[words]);
    }
}

#[test]
fn a_rate_limit_is_detected() {
    let limit = |at| Sandbox::builder().fail(When::at([at]), Response::status(429).retry_after(17));
    let (ended, requests) = with(limit(0));
    assert_eq!((ended.failure(), requests), ((69, "error: 1 of 7 checks failed: rate-limit"), 1));
    found(&ended, "rate-limit", "fail", &["17 s"]);
    found(&ended, "token", "skip", &[]);
    let (ended, _) = with(limit(1));
    assert_eq!(ended.code, 0);
    found(&ended, "rate-limit", "warn", &["--rate-limit"]);
    found(&ended, "reach", "warn", &["429"]);
}

#[test]
fn an_impossible_output_is_a_separate_failure() {
    let folder = folder();
    let there = folder.path().join("f");
    fs::write(&there, "kept").unwrap();
    let below = there.join("g");
    let missing = folder.path().join("a/b");
    for (path, word) in [(&below, "can't be written"), (&missing, "create it")] {
        let ended = run_alone(["doctor", "--sandbox", "-o", path.to_str().unwrap()]);
        assert_eq!(ended.failure(), (74, "error: 1 of 8 checks failed: output"));
        found(&ended, "output", "fail", &[word, "-o"]);
    }
    let ended = run_alone(["doctor", "--sandbox", "-o", there.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "a file that is there is to be replaced");
    found(&ended, "output", "ok", &[folder.path().to_str().unwrap()]);
    assert_eq!((names(&folder), fs::read(&there).unwrap()), (vec!["f".to_owned()], b"kept".to_vec()));
}

#[test]
fn an_output_that_does_not_exist_yet_can_be_created() {
    let folder = folder();
    let ended = run_alone(["doctor", "--sandbox", "-o", folder.path().join("archive").to_str().unwrap()]);
    found(&ended, "output", "ok", &["archive can be created in", folder.path().to_str().unwrap()]);
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn the_first_failure_gives_the_exit_code() {
    let service = Service::start(Sandbox::builder().fail(When::always(), Response::status(401)));
    let ended = doctor(service.base_url(), &["-o", "missing/f"]);
    assert_eq!(ended.failure(), (77, "error: 2 of 8 checks failed: token, output"));
}

#[cfg(unix)]
#[test]
fn a_token_that_other_users_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let service = Service::start(Sandbox::builder().events(10));
    let folder = folder();
    let path = folder.path().join("token");
    let name = path.to_str().unwrap();
    fs::write(&path, TOKEN).unwrap();
    for (mode, outcome) in [(0o644, "warn"), (0o600, "ok")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let ended = run(program(["doctor", "--base-url", service.base_url(), "--token-file", name]));
        assert_eq!(ended.code, 0);
        found(&ended, "settings", outcome, &[name]);
        assert_eq!(ended.stdout.contains("chmod 600"), outcome == "warn");
    }
}

#[test]
fn quiet_prints_only_problems() {
    let ended = run_alone(["doctor", "--sandbox", "--quiet"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    let ended = run_alone(["doctor", "--quiet"]);
    assert_eq!((ended.failure().0, ended.stdout.lines().count()), (78, 1));
}

#[test]
fn json_is_one_object_per_line() {
    let service = Service::start(Sandbox::builder().fail(When::always(), Response::status(401)));
    let ended = doctor(service.base_url(), &["--log-format", "json"]);
    let verdicts: BTreeMap<String, Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect(line))
        .map(|verdict| (verdict["check"].as_str().unwrap().to_owned(), verdict))
        .collect();
    assert_eq!(verdicts.len(), CHECKS.len());
    assert_eq!(verdicts["settings"]["outcome"], "ok");
    assert_eq!(verdicts["settings"]["advice"], Value::Null);
    assert_eq!(verdicts["token"]["outcome"], "fail");
    assert!(verdicts["token"]["found"].as_str().unwrap().contains("401"));
    assert!(verdicts["token"]["advice"].as_str().unwrap().contains("get a new one"));
    serde_json::from_str::<Value>(ended.failure().1).unwrap();
}
