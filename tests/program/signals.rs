//! Interrupts.

use std::{fs, process::Stdio};

use crate::{
    stub::{NEXT, Reply, Stub, answer, event, page},
    support::{Running, TOKEN, export_from, folder, names, program},
};

/// Two events, and then a service that doesn't respond.
fn stuck() -> Stub {
    Stub::start(vec![answer(200, NEXT, page(&["a", "b"])), Reply::Silence])
}

#[test]
fn a_signal_keeps_the_events_and_reports_their_number() {
    for (signal, code, word) in [("INT", 130, "interrupted"), ("TERM", 143, "terminated")] {
        let folder = folder();
        let path = folder.path().join("f");
        let stub = stuck();
        let running = Running::start(export_from(
            &stub.base_url,
            ["--from", "7d", "--quiet", "-o", path.to_str().unwrap()],
        ));
        // Both pages were requested, so the program has started.
        stub.request();
        stub.request();
        running.signal(signal);
        let ended = running.end();
        let (actual, line) = ended.failure();
        assert_eq!(actual, code);
        assert!(line.contains(word) && line.contains("2 events are in"), "{line}");
        assert!(line.contains("f.part, which isn't the whole list"), "{line}");
        assert!(line.contains("give the same command again to resume"), "{line}");
        assert_eq!(names(&folder), ["f.cursor", "f.part"]);
        let part = fs::read_to_string(folder.path().join("f.part")).unwrap();
        assert_eq!(part, format!("{}\n{}\n", event("a"), event("b")));
    }
}

#[test]
fn a_signal_before_the_first_event_leaves_nothing() {
    let folder = folder();
    let path = folder.path().join("f");
    let stub = Stub::start(vec![Reply::Silence]);
    let running = Running::start(export_from(&stub.base_url, ["--from", "7d", "-o", path.to_str().unwrap()]));
    stub.request();
    running.signal("INT");
    let ended = running.end();
    assert!(ended.code == 130 && ended.stderr.contains("no event was written"), "{ended:?}");
    assert!(names(&folder).is_empty());
}

#[test]
fn a_signal_flushes_stdout() {
    let stub = stuck();
    let running = Running::start(export_from(&stub.base_url, [] as [&str; 0]));
    stub.request();
    stub.request();
    running.signal("INT");
    let ended = running.end();
    assert_eq!((ended.code, ended.stdout.lines().count()), (130, 2));
}

#[test]
fn a_second_signal_ends_a_blocked_write() {
    let mut command = program(["export", "--sandbox", "20000"]);
    command.stdout(Stdio::piped());
    let mut running = Running::start(command);
    // It has started writing, and this pipe can't hold everything.
    running.line();
    running.signal("INT");
    running.signal("TERM");
    let ended = running.end();
    assert!(matches!(ended.code, 130 | 143), "{}", ended.stderr);
    assert!(ended.stderr.contains("isn't the whole list"), "{}", ended.stderr);
}

/// A terminal and a wrapper that forwards signals send two signals for one Ctrl-C.
#[test]
fn the_same_signal_within_a_moment_is_one_request() {
    // On a busy machine the two signals may arrive too far apart.
    let is_one = || {
        let mut running = Running::start(program(["export", "--sandbox", "20000"]));
        // It has started writing, and this pipe can't hold everything.
        running.line();
        running.signal_twice("INT");
        let ended = running.end();
        assert_eq!(ended.code, 130, "{}", ended.stderr);
        !ended.stderr.contains("in the middle of a write")
    };
    assert!((0..5).any(|_| is_one()));
}

#[test]
fn get_and_sandbox_end_on_a_signal() {
    let stub = Stub::start(vec![Reply::Silence]);
    let mut command = program(["get", "x", "--base-url", &stub.base_url]);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN);
    let running = Running::start(command);
    stub.request();
    running.signal("TERM");
    assert_eq!(running.end().code, 143);

    let mut running = Running::start(program(["sandbox", "--events", "1"]));
    running.line();
    running.signal("INT");
    let ended = running.end();
    assert!(ended.code == 130 && ended.stderr.contains("0 requests"), "{ended:?}");
}
