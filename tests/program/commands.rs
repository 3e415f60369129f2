//! `get`, `sandbox`, `completions`, help and version.

use std::process::{Command, Stdio};

use webex_events::sandbox::Sandbox;

use crate::support::{Running, Service, TOKEN, folder, program, run, run_alone};

#[test]
fn get_writes_only_the_event() {
    let service = Service::start(Sandbox::builder().events(10));
    for id in service.event_ids() {
        let mut command = program(["get", &id, "--base-url", service.base_url()]);
        command.env("WEBEX_ACCESS_TOKEN", TOKEN);
        let ended = run(command);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        assert_eq!(ended.stdout, service.event_text(&id).unwrap() + "\n");
    }
}

#[test]
fn the_sandbox_prints_a_command_line_that_works() {
    let folder = folder();
    let mut running = Running::start(program(["sandbox", "--events", "1500", "--token", "it's me"]));
    assert!(running.line().starts_with("base URL: http://127.0.0.1:"));
    assert_eq!(running.line(), "token: it's me\n");
    running.line();
    drop(running);

    let mut running = Running::start(program(["sandbox", "--events", "1500", "--fail-every", "2"]));
    let (url, token) = (running.line(), running.line());
    running.line();
    let export = running.line();
    assert!(export.contains(url.trim_start_matches("base URL: ").trim()), "{export}");
    assert!(export.contains(token.trim_start_matches("token: ").trim()), "{export}");
    if cfg!(unix) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &export]).current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        run(shell).success();
        let text = std::fs::read_to_string(folder.path().join("events.ndjson")).unwrap();
        assert_eq!(text.lines().count(), 1500);
    }
}

#[test]
fn a_sandbox_on_a_used_port_is_an_error() {
    let service = Service::start(Sandbox::builder().events(1));
    let ended = run_alone(["sandbox", "--addr", &service.local_addr().to_string()]);
    let (code, line) = ended.failure();
    assert!(code == 78 && line.contains("can't listen") && line.contains("--addr"), "{line}");
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = run_alone(["completions", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        assert!(ended.stdout.contains("allow-unknown"), "{shell}");
        let offers_names = matches!(shell, "bash" | "fish" | "zsh");
        assert_eq!(ended.stdout.contains("call_records"), offers_names, "{shell}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let ended = run_alone(["--version"]);
    assert_eq!(ended.stdout, concat!("webex-events ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let mut command = program(["export", "--help"]);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN);
    let ended = run(command);
    assert!(ended.code == 0 && ended.stdout.contains("WEBEX_ACCESS_TOKEN"), "{}", ended.stdout);
}
