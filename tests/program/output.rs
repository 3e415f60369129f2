//! Outputs of an export, and their state after a failure.

use std::{collections::HashSet, fs, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use webex_events::{Event, sandbox::Sandbox};

use crate::{
    stub::{NEXT, Reply, Stub, answer, event, page},
    support::{Running, Service, export_from, folder, names, run, run_alone},
};

fn file() -> (TempDir, PathBuf, String) {
    let folder = folder();
    let path = folder.path().join("events.ndjson");
    let name = path.to_str().unwrap().to_owned();
    (folder, path, name)
}

#[test]
fn the_first_command_of_the_readme_works() {
    let (folder, path, name) = file();
    for _ in 0..2 {
        let ended = run_alone(["export", "--sandbox", "10000", "-o", &name]);
        assert!(ended.success().starts_with("complete: 10,000 events"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
        assert_eq!(names(&folder), ["events.ndjson"]);
        let text = fs::read_to_string(&path).unwrap();
        let ids: HashSet<_> =
            text.lines().map(|line| Event::from_json(line).unwrap().id().to_owned()).collect();
        assert_eq!((ids.len(), text.lines().count()), (10_000, 10_000));
    }
}

#[test]
fn each_line_is_an_event_byte_for_byte() {
    let service = Service::start(Sandbox::builder().events(2500));
    let to_stdout = run(service.export(["--from", "60d"]));
    to_stdout.success();
    assert!(to_stdout.stdout == service.lines());
    let (_folder, path, name) = file();
    run(service.export(["--from", "60d", "--prefetch", "0", "-o", &name])).success();
    assert!(fs::read_to_string(path).unwrap() == service.lines());
}

#[test]
fn line_breaks_between_tokens_do_not_break_lines() {
    let pretty = "{\r\n  \"id\": \"a\\n\",\n  \"resource\": \"rooms\",\n  \"type\": \"created\",\n  \"created\": \"2026-01-05T09:00:00Z\"\n}";
    let body = format!("{{\"items\":[\n{pretty},\n{}]}}", event("b"));
    let stub = Stub::start(vec![answer(200, "", body)]);
    let ended = run(export_from(&stub.base_url, [] as [&str; 0]));
    ended.success();
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(lines, [pretty.replace(['\r', '\n'], " ").as_str(), &event("b")]);
    assert_eq!(serde_json::from_str::<Value>(lines[0]).unwrap()["id"], "a\n");
}

#[test]
fn a_list_without_events_is_an_empty_file() {
    let (folder, path, name) = file();
    run_alone(["export", "--sandbox", "0", "-o", &name]).success();
    assert_eq!((names(&folder).len(), fs::read(path).unwrap().len()), (1, 0));
}

#[test]
fn a_failure_leaves_the_old_file_and_a_part_with_its_cursor() {
    let (folder, path, name) = file();
    fs::write(&path, "old\n").unwrap();
    let failing = || vec![answer(200, NEXT, page(&["a", "b"])), answer(400, "", "{}")];
    let stub = Stub::start(failing());
    let ended = run(export_from(&stub.base_url, ["-o", &name]));
    assert_eq!(ended.code, 69);
    assert_eq!(names(&folder), ["events.ndjson", "events.ndjson.cursor", "events.ndjson.part"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old\n");
    let part = folder.path().join("events.ndjson.part");
    assert_eq!(fs::read_to_string(&part).unwrap(), format!("{}\n{}\n", event("a"), event("b")));
    assert!(ended.stderr.contains("2 events are in") && ended.stderr.contains("isn't the whole list"));

    // A service at another port doesn't know the cursor, so the list restarts.
    let stub = Stub::start(vec![answer(200, "", page(&["c"]))]);
    run(export_from(&stub.base_url, ["-o", &name])).success();
    assert_eq!(names(&folder), ["events.ndjson"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", event("c")));
}

#[test]
fn a_failure_before_the_first_event_leaves_no_file_of_its_own() {
    let (folder, _, name) = file();
    let stub = Stub::start(vec![answer(401, "", "{}")]);
    run(export_from(&stub.base_url, ["-o", &name]));
    assert!(names(&folder).is_empty());

    let part = folder.path().join("events.ndjson.part");
    fs::write(&part, "earlier\n").unwrap();
    let ended = run(export_from(&stub.base_url, ["-o", &name]));
    assert!(ended.stderr.contains("no event was written"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&part).unwrap(), "earlier\n");
}

#[test]
fn a_reader_sees_events_while_the_next_page_is_waited_for() {
    let stub = Stub::start(vec![answer(200, NEXT, page(&["a"])), Reply::Silence]);
    let mut running = Running::start(export_from(&stub.base_url, [] as [&str; 0]));
    assert_eq!(running.line(), format!("{}\n", event("a")));
}

#[test]
fn a_closed_pipe_ends_an_export_without_an_error() {
    let mut running = Running::start({
        let mut command = crate::support::program(["export", "--sandbox", "20000"]);
        command.env("RUST_LOG", "warn");
        command
    });
    assert!(running.line().ends_with("}\n"));
    running.close_stdout();
    let ended = running.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn a_file_keeps_its_permissions() {
    let (_folder, path, name) = file();
    fs::write(&path, "old").unwrap();
    let before = fs::metadata(&path).unwrap().permissions();
    run_alone(["export", "--sandbox", "1", "-o", &name]).success();
    assert_eq!(fs::metadata(&path).unwrap().permissions(), before);
}

#[cfg(unix)]
mod unix {
    use std::{
        fs::File,
        io::{Read, Seek},
        os::unix::fs::{PermissionsExt, symlink},
        process::{Command, Stdio},
        thread,
    };

    use super::*;
    use crate::support::program;

    #[test]
    fn a_device_is_written_directly() {
        let ended = run_alone(["export", "--sandbox", "100", "-o", "/dev/null"]);
        assert!(ended.success().contains("written to /dev/null"), "{}", ended.stderr);
        assert!(!PathBuf::from("/dev/null.part").exists());
        let ended = run_alone(["export", "--sandbox", "100", "-o", "/dev/stdout"]);
        ended.success();
        assert_eq!(ended.stdout.lines().count(), 100);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_output_error() {
        let ended = run_alone(["export", "--sandbox", "100", "-o", "/dev/full"]);
        let (code, line) = ended.failure();
        assert_eq!(code, 74);
        assert!(
            line.contains("/dev/full can't be written") && line.contains("no event was written"),
            "{line}"
        );
    }

    #[test]
    fn a_fifo_gets_the_events() {
        let folder = folder();
        let path = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let reader = thread::spawn({
            let path = path.clone();
            move || fs::read_to_string(path).unwrap()
        });
        run_alone(["export", "--sandbox", "1000", "-o", path.to_str().unwrap()]).success();
        assert_eq!(reader.join().unwrap().lines().count(), 1000);
        assert_eq!(names(&folder), ["fifo"]);
    }

    #[test]
    fn a_link_is_kept_and_its_file_is_replaced() {
        let folder = folder();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        symlink("file", &link).unwrap();
        run_alone(["export", "--sandbox", "10", "-o", link.to_str().unwrap()]).success();
        assert_eq!(names(&folder), ["file", "link"]);
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 10);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_redirected_stdout_is_not_truncated() {
        let mut file = tempfile::tempfile().unwrap();
        let stdout = |file: &File| Stdio::from(file.try_clone().unwrap());
        for _ in 0..2 {
            let mut command = program(["export", "--sandbox", "10"]);
            command.stdout(stdout(&file));
            run(command).success();
        }
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 20);
    }

    #[test]
    fn a_full_disk_leaves_whole_lines() {
        let (folder, path, name) = file();
        let program = env!("CARGO_BIN_EXE_webex-events");
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 1500; exec \"$0\" \"$@\"", program]);
        shell.args(["export", "--sandbox", "10000", "-o", &name]);
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        let ended = run(shell);
        let (code, line) = ended.failure();
        assert_eq!(code, 74, "{line}");
        assert!(!path.exists());
        let text = fs::read_to_string(folder.path().join("events.ndjson.part")).unwrap();
        let lines = text.lines().count();
        assert!(lines > 0 && text.ends_with('\n'));
        assert!(text.lines().all(|line| Event::from_json(line).is_ok()));
        assert!(
            line.contains(&format!("{lines} events are in")) && line.contains("limit of the size"),
            "{line}"
        );
    }
}
