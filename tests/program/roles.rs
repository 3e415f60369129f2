//! Each file has one role.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

#[cfg(unix)]
use crate::support::in_shell;
use crate::support::{Ended, TOKEN, folder, program, run};

/// Nothing listens at this address: each of these commands is refused before a request.
const SERVICE: &str = "http://127.0.0.1:1/v1";

fn with_token(arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN).env("WEBEX_BASE_URL", SERVICE).env("WEBEX_CLIENT_ID", "id");
    command
}

/// Every file below `folder`, with its content.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

/// Checks that the command is refused as wrong usage, and that no file is written.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str]) {
    let before = contents(folder);
    let ended = run(with_token(arguments));
    let (code, line) = ended.failure();
    assert!(
        code == 2 && line.contains("choose another path for one of them"),
        "{arguments:?}: {code} {line}"
    );
    assert_eq!(contents(folder), before, "{arguments:?}");
}

#[test]
fn no_two_options_name_the_same_file() {
    let folder = folder();
    let path = folder.path().join("f");
    let name = path.to_str().unwrap();
    let export = ["export", "--from", "2026-01-01", "--to", "2026-01-02"];
    let follow = ["follow", "-o", "-"];
    for (command, options) in [
        (export.as_slice(), ["-o", "--summary", "--token-file", "--root-certificate"].as_slice()),
        (&export, &["-o", "--summary", "--oauth-store", "--client-secret-file", "--root-certificate"]),
        (&follow, &["--checkpoint", "--token-file", "--root-certificate"]),
        (&follow, &["--checkpoint", "--oauth-store", "--client-secret-file", "--root-certificate"]),
        (&["get", "x"], &["--oauth-store", "--client-secret-file", "--root-certificate"]),
        (&["doctor"], &["--oauth-store", "--client-secret-file", "--root-certificate"]),
    ] {
        for (at, first) in options.iter().enumerate() {
            for second in &options[at + 1..] {
                fs::write(&path, "a secret\n").unwrap();
                let mut arguments = command.to_vec();
                arguments.extend([first, name, second, name]);
                if *first == "--client-secret-file" || *second == "--client-secret-file" {
                    let store = folder.path().join("store");
                    fs::write(&store, "refresh").unwrap();
                    let store = store.to_str().unwrap();
                    if !arguments.contains(&"--oauth-store") {
                        arguments.extend(["--oauth-store", store]);
                    }
                    refused(folder.path(), &arguments);
                } else {
                    refused(folder.path(), &arguments);
                }
            }
        }
    }
}

#[test]
fn no_option_names_a_file_beside_another() {
    let folder = folder();
    let name = folder.path().join("f").to_str().unwrap().to_owned();
    for (arguments, suffixes) in [
        (
            ["export", "--token-file", "SECRET", "-o", &name].as_slice(),
            [".part", ".cursor", ".cursor.tmp", ".lock", ".malformed", ".malformed.part"].as_slice(),
        ),
        (&["export", "--token-file", "SECRET", "--summary", &name], &[".tmp"]),
        (&["follow", "-o", "-", "--token-file", "SECRET", "--checkpoint", &name], &[".tmp", ".lock"]),
        (&["get", "x", "--root-certificate", "SECRET", "--oauth-store", &name], &[".new", ".lock"]),
    ] {
        for suffix in suffixes {
            let secret = format!("{name}{suffix}");
            fs::write(&secret, "a secret\n").unwrap();
            let arguments: Vec<_> =
                arguments.iter().map(|word| if *word == "SECRET" { &secret } else { *word }).collect();
            refused(folder.path(), &arguments);
            fs::remove_file(&secret).unwrap();
        }
    }
}

#[test]
fn no_option_names_a_file_of_the_ledger() {
    let folder = folder();
    let name = folder.path().join("out").to_str().unwrap().to_owned();
    fs::create_dir(&name).unwrap();
    for file in ["ledger.json", "ledger.json.tmp", "ledger.lock", "events_x.ndjson.part"] {
        let secret = format!("{name}/{file}");
        fs::write(&secret, "a secret\n").unwrap();
        for arguments in [
            ["export", "--from", "7d", "-o", &name, "--summary", &secret].as_slice(),
            &["export", "--from", "7d", "-o", &name, "--token-file", &secret],
            &["follow", "-o", &name, "--token-file", &secret],
            &["verify", &name, "--oauth-store", &secret],
        ] {
            refused(folder.path(), arguments);
        }
        fs::remove_file(&secret).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn no_two_options_name_the_same_file_by_links() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("token"), "a secret\n").unwrap();
    fs::hard_link(at("token"), at("hard")).unwrap();
    std::os::unix::fs::symlink("token", at("soft")).unwrap();
    for link in ["hard", "soft"] {
        refused(folder.path(), &["export", "-o", &at(link), "--token-file", &at("token")]);
        refused(folder.path(), &["export", "--summary", &at(link), "--token-file", &at("token")]);
    }
    std::os::unix::fs::symlink("new", at("dangling")).unwrap();
    let ended = run(with_token(&["export", "-o", &at("new"), "--summary", &at("dangling")]));
    assert!(ended.code == 2 && !folder.path().join("new").exists(), "{ended:?}");
}

#[cfg(unix)]
fn summary(arguments: &[&str], before: &str, redirections: &str) -> Ended {
    let mut all = vec!["export", "--sandbox", "10"];
    all.extend(arguments);
    let ended = run(in_shell(&program(all), before, redirections));
    assert_eq!(ended.code, 0, "{ended:?}");
    ended
}

#[cfg(unix)]
#[test]
fn a_summary_goes_into_a_named_pipe() {
    use std::{io::Read, os::unix::fs::FileTypeExt, thread};
    let folder = folder();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let opened = path.clone();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        fs::File::open(opened).unwrap().read_to_string(&mut text).unwrap();
        text
    });
    summary(&["--summary", path.to_str().unwrap()], "", "");
    let text = reader.join().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["events"], 10);
    assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
}

/// The summary was once renamed over the log.
#[cfg(target_os = "linux")]
#[test]
fn a_summary_to_dev_stdout_is_appended_to_the_file_that_stdout_is() {
    let folder = folder();
    let (log, out) = (folder.path().join("log"), folder.path().join("out"));
    fs::write(&log, "earlier\n").unwrap();
    let redirection = format!(">> '{}'", log.display());
    summary(&["-o", out.to_str().unwrap(), "--summary", "/dev/stdout"], "", &redirection);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("earlier\n{") && text.contains("\"events\": 10"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_pipe_has_one_role_by_whatever_name_it_is_given() {
    let folder = folder();
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        refused(folder.path(), &["export", "--from", "2026-01-01", "-o", "-", "--summary", name]);
    }
}

#[test]
fn a_summary_that_can_not_be_written_is_refused_with_the_name_of_its_option() {
    let folder = folder();
    let output = folder.path().join("f");
    for path in [folder.path().to_owned(), folder.path().join("none/summary")] {
        let arguments = ["export", "--from", "2026-01-01", "-o", output.to_str().unwrap(), "--summary"];
        let ended = run(with_token(&[arguments.as_slice(), &[path.to_str().unwrap()]].concat()));
        let (code, line) = ended.failure();
        assert!(code == 74 && line.ends_with("choose another path with --summary"), "{line}");
    }
}

#[test]
fn names_that_are_taken_by_folders_are_refused_before_a_request() {
    for suffix in [".part", ".malformed", ".malformed.part"] {
        let folder = folder();
        let output = folder.path().join("f");
        let taken = folder.path().join(format!("f{suffix}"));
        fs::create_dir(&taken).unwrap();
        let ended = run(with_token(&["export", "--from", "2026-01-01", "-o", output.to_str().unwrap()]));
        let (code, line) = ended.failure();
        assert!(code == 74 && line.contains(&format!("{} can't be written", taken.display())), "{line}");
    }
}

/// The program waited for their other ends.
#[cfg(unix)]
#[test]
fn names_that_are_taken_by_pipes_are_refused_before_a_request() {
    for (output, taken) in [("f", "f.part"), ("f", "f.cursor"), ("d/", "d/ledger.json")] {
        let folder = folder();
        fs::create_dir(folder.path().join("d")).unwrap();
        let taken = folder.path().join(taken);
        assert!(Command::new("mkfifo").arg(&taken).status().unwrap().success());
        let output = folder.path().join(output);
        let ended = run(with_token(&["export", "--from", "2026-01-01", "-o", output.to_str().unwrap()]));
        let (code, line) = ended.failure();
        assert!(code == 74 && line.contains("it isn't a regular file"), "{line}");
        let state = taken.to_str().unwrap();
        let ended = run(with_token(&["follow", "-o", "-", "--from", "2026-01-01", "--checkpoint", state]));
        let (code, line) = ended.failure();
        assert!(code == 74 && line.contains("it isn't a regular file"), "{line}");
    }
}
