//! The files of an export: each has one identity, one process, one role and private access rights.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use webex_events::sandbox::{Sandbox, When};

use crate::support::{Ended, Running, Service, TOKEN, exported, folder, names, program, run, sorted, until};

fn service() -> Service {
    Service::start(Sandbox::builder().events(100))
}

fn file() -> (TempDir, PathBuf, String) {
    let folder = folder();
    let path = folder.path().join("f");
    let name = path.to_str().unwrap().to_owned();
    (folder, path, name)
}

fn export(service: &Service, name: &str) -> Command {
    service.export(["--page-size", "10", "--commit-every", "0s", "-o", name])
}

/// Runs an export until some pages are committed.
fn running(service: &Service, name: &str) -> Running {
    service.latency(When::at(3..1000), std::time::Duration::from_secs(3600));
    let running = Running::start(export(service, name));
    let cursor = format!("{name}.cursor");
    until("a commit", || fs::read_to_string(&cursor).is_ok_and(|text| text.contains("\"pages\":3,")));
    running
}

/// The program once reported 100 events for a file with 70.
#[test]
fn an_export_whose_files_were_renamed_continues_under_the_new_name() {
    let service = service();
    let (folder, path, name) = file();
    running(&service, &name).kill();
    service.clear_faults();
    let new = folder.path().join("new");
    for suffix in ["part", "cursor"] {
        fs::rename(format!("{name}.{suffix}"), folder.path().join(format!("new.{suffix}"))).unwrap();
    }
    let before = service.counts().requests;
    let ended = run(export(&service, new.to_str().unwrap()));
    assert!(ended.success().starts_with("complete: 100 events"), "{}", ended.stderr);
    assert!(fs::read_to_string(&new).unwrap() == service.lines());
    assert_eq!(service.counts().requests - before, 7, "what was there is used");
    assert!(!path.exists());
}

#[test]
fn a_changed_byte_in_a_part_file_is_found() {
    let service = service();
    let (folder, _, name) = file();
    running(&service, &name).kill();
    service.clear_faults();
    let part = folder.path().join("f.part");
    let text = fs::read_to_string(&part).unwrap();
    let changed = text.replacen("\"created\":\"20", "\"created\":\"19", 1);
    assert!(changed.len() == text.len() && changed != text);
    fs::write(&part, &changed).unwrap();
    let ended = run(export(&service, &name));
    let (code, line) = ended.failure();
    assert!(code == 74 && line.contains("f.part is damaged: its checksum doesn't match"), "{line}");
    assert_eq!(fs::read_to_string(&part).unwrap(), changed);
}

#[test]
fn one_process_writes_a_file_and_leaves_no_lock() {
    let service = service();
    let (folder, _, name) = file();
    let first = running(&service, &name);
    let ended = run(export(&service, &name));
    let (code, line) = ended.failure();
    assert!(code == 75 && line.contains("another process is writing"), "{line}");
    first.kill();
    service.clear_faults();
    run(export(&service, &name)).success();
    assert_eq!(names(&folder), ["f"]);
}

#[test]
fn of_eight_exports_that_start_together_each_succeeds_or_is_refused() {
    let service = service();
    for _ in 0..3 {
        let folder = folder();
        let out = folder.path().join("out");
        let command = || service.export(["--from", "60d", "--slice", "10d", "-o", out.to_str().unwrap()]);
        let running: Vec<_> = (0..8).map(|_| Running::start(command())).collect();
        let ended: Vec<_> = running.into_iter().map(Running::end).collect();
        for ended in &ended {
            assert!(matches!(ended.code, 0 | 75), "{}: {}", ended.code, ended.stderr);
        }
        assert!(ended.iter().any(|ended| ended.code == 0));
        assert_eq!(sorted(exported(&out)), sorted(service.lines().lines()));
        assert!(!names(&out).contains(&"ledger.lock".to_owned()));
    }
}

#[test]
fn a_checkpoint_is_used_by_one_process() {
    let service = service();
    let folder = folder();
    let checkpoint = folder.path().join("c.json");
    let follow = || {
        let mut command = program(["follow", "--from", "60d", "-o", "-", "--checkpoint"]);
        command.arg(&checkpoint).args(["--base-url", service.base_url()]).env("WEBEX_ACCESS_TOKEN", TOKEN);
        command
    };
    let mut first = Running::start(follow());
    first.line();
    let ended = run(follow());
    let (code, line) = ended.failure();
    assert!(code == 75 && line.contains("c.json"), "{line}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        until("a checkpoint", || checkpoint.exists());
        assert_eq!(fs::metadata(&checkpoint).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[track_caller]
fn refused(ended: &Ended, words: &str) {
    let (code, line) = ended.failure();
    assert!(code == 2 && line.contains(words), "{code}: {line}");
}

/// A summary once replaced its export, and an export its token.
#[test]
fn no_file_has_two_roles() {
    let service = service();
    let (folder, path, name) = file();
    let token = folder.path().join("token");
    fs::write(&token, TOKEN).unwrap();
    fs::write(&path, "old").unwrap();
    let run = |arguments: &[&str]| run(service.export(arguments));
    let around = format!("{}/./f", folder.path().display());
    refused(&run(&["-o", &name, "--summary", &around]), "the output and the summary");
    refused(&run(&["-o", &name, "--summary", &format!("{name}.part")]), "until it is complete");
    let token_name = token.to_str().unwrap();
    refused(&run(&["-o", token_name, "--token-file", token_name]), "the file with the token");
    refused(&run(&["--summary", token_name, "--token-file", token_name]), "the summary");
    assert_eq!((fs::read(&path).unwrap(), fs::read(&token).unwrap()), (b"old".to_vec(), TOKEN.into()));
    assert_eq!(names(&folder), ["f", "token"]);
    assert_eq!(service.counts().requests, 0);
}

#[test]
fn a_summary_that_can_not_be_written_is_refused_before_the_first_request() {
    let service = service();
    let (folder, _, name) = file();
    for summary in
        [folder.path().join("none/s"), folder.path().to_owned(), folder.path().join("s".repeat(300))]
    {
        let ended =
            run(service.export([Path::new("-o"), Path::new(&name), Path::new("--summary"), &summary]));
        assert_eq!(ended.failure().0, 74, "{}", ended.stderr);
    }
    let long = folder.path().join("f".repeat(245));
    assert_eq!(run(service.export([Path::new("-o"), &long])).failure().0, 74, "no room for .malformed.part");
    assert_eq!(service.counts().requests, 0);
    assert!(names(&folder).is_empty());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: impl AsRef<Path>) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_link_stays_a_link_even_if_its_file_is_missing() {
        let service = service();
        let folder = folder();
        let link = folder.path().join("link");
        symlink("file", &link).unwrap();
        for _ in 0..2 {
            run(export(&service, link.to_str().unwrap())).success();
            assert!(link.is_symlink());
            assert!(fs::read_to_string(folder.path().join("file")).unwrap() == service.lines());
            assert_eq!(names(&folder), ["file", "link"]);
        }
    }

    #[test]
    fn a_summary_is_written_to_a_device_and_through_a_link() {
        let service = service();
        let (folder, _, name) = file();
        run(service.export(["-o", &name, "--summary", "/dev/null"])).success();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let link = folder.path().join("link");
        symlink("summary", &link).unwrap();
        run(service.export(["-o", &name, "--summary", link.to_str().unwrap()])).success();
        assert!(link.is_symlink());
        let summary = fs::read_to_string(folder.path().join("summary")).unwrap();
        assert!(summary.contains("\"complete\": true"), "{summary}");
    }

    #[test]
    fn files_beside_a_private_file_are_private_while_it_is_exported() {
        let service = Service::start(Sandbox::builder().events(100).malformed_every(5));
        let (folder, path, name) = file();
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let running = running(&service, &name);
        let found = names(&folder);
        assert_eq!(found, ["f", "f.cursor", "f.lock", "f.malformed.part", "f.part"]);
        for name in found {
            assert_eq!(mode(folder.path().join(&name)), 0o600, "{name}");
        }
        running.kill();
        service.clear_faults();
        run(export(&service, &name));
        for name in ["f", "f.malformed"] {
            assert_eq!(mode(folder.path().join(name)), 0o600, "{name}");
        }
    }
}
