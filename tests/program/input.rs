//! Invalid input: one line with the reason and advice, an exit code, and no file.

use std::fs;

use crate::support::{TOKEN, folder, names, program, run, run_alone};

/// Runs it in an empty folder, which must stay empty.
#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let folder = folder();
    let mut command = program(arguments);
    command.env("WEBEX_ACCESS_TOKEN", TOKEN).current_dir(folder.path());
    let ended = run(command);
    let (actual, line) = ended.failure();
    assert_eq!((actual, ended.stdout.as_str()), (code, ""), "{arguments:?}: {line}");
    assert!(line.starts_with("error: "), "{line}");
    for word in words {
        assert!(line.contains(word), "{arguments:?}: {word:?} isn't in {line:?}");
    }
    assert!(names(&folder).is_empty(), "{arguments:?}");
}

#[test]
fn a_wrong_argument_is_a_usage_error() {
    for (arguments, words) in [
        (vec!["frobnicate"], vec!["frobnicate", "webex-events --help"]),
        (vec!["export", "-o", "f", "--frobnicate"], vec!["--frobnicate", "webex-events export --help"]),
        (vec!["export", "-o", "f", "extra"], vec!["extra", "--help"]),
        (vec!["export", "-o", "f", "--page-size", "0"], vec!["--page-size", "1 and 1000"]),
        (vec!["export", "-o", "f", "--page-size", "1001"], vec!["--page-size", "1 and 1000"]),
        (vec!["export", "-o", "f", "--take", "-1"], vec!["-1"]),
        (
            vec!["export", "-o", "f", "--from", "tomorrow"],
            vec!["--from", "7d", "\"7 days ago\"", "yesterday", "2026-01-05", "UTC"],
        ),
        (vec!["export", "-o", "f", "--to", "-7d"], vec!["--to", "7d"]),
        (vec!["export", "-o", "f", "--from", "99999999w"], vec!["--from", "later"]),
        (vec!["export", "-o", "f", "--rate-limit", "0"], vec!["--rate-limit", "300/m"]),
        (vec!["export", "-o", "f", "--actor-id", ""], vec!["--actor-id"]),
        (vec!["export", "-o", "f", "--log-format", "xml"], vec!["text", "json"]),
        (vec!["export", "-o", "f", "--sandbox", "many"], vec!["--sandbox", "many"]),
        (vec!["export", "-o", "f", "--attempts", "0"], vec!["--attempts"]),
        (vec!["get"], vec!["<ID>", "webex-events get --help"]),
        (vec!["get", ""], vec!["<ID>"]),
        (vec!["get", "."], vec!["id"]),
        (vec!["sandbox", "--addr", "0.0.0.0:0"], vec!["127.0.0.1:0"]),
        (vec!["completions", "cobol"], vec!["bash", "zsh"]),
    ] {
        refused(&arguments, 2, &words);
    }
}

#[test]
fn a_token_is_not_an_argument() {
    refused(&["export", "-o", "f", "--token", TOKEN], 2, &["--token", "--token-file"]);
    refused(&["export", "-o", "f", &format!("--token={TOKEN}")], 2, &["--token"]);
}

#[test]
fn an_unknown_resource_is_refused_with_a_list_of_known_ones() {
    let words = ["whiteboards", "messages", "call_records", "--allow-unknown"];
    refused(&["export", "-o", "f", "--resource", "whiteboards"], 2, &words);
    refused(&["export", "-o", "f", "--resource", "Messages"], 2, &["Messages", "messages"]);
    refused(&["export", "-o", "f", "--type", "archived"], 2, &["archived", "deleted", "--allow-unknown"]);
}

#[test]
fn a_misspelt_name_is_refused_with_the_one_that_it_probably_means() {
    for (option, given, meant) in [
        ("--resource", "message", "messages"),
        ("--resource", "Messages", "messages"),
        ("--resource", "rooms,membership", "memberships"),
        ("--resource", "callrecords", "call_records"),
        ("--type", "create", "created"),
        ("--type", "deletd", "deleted"),
    ] {
        for command in ["export", "plan"] {
            refused(&[command, "--from", "7d", option, given], 2, &[&format!("did you mean {meant}?")]);
        }
    }
    let ended = run_alone(["plan", "--from", "7d", "--resource", "xyz"]);
    assert!(!ended.stderr.contains("did you mean"), "{}", ended.stderr);
}

#[test]
fn a_parameter_with_an_option_of_its_own_is_refused_and_the_option_is_named() {
    for (param, option) in [
        ("resource=rooms", "--resource"),
        ("type=created", "--type"),
        ("actorId=a", "--actor-id"),
        ("from=2026-01-01", "--from"),
        ("to=2026-01-01", "--to"),
        ("max=5", "--page-size"),
        ("Max=5", "--page-size"),
        ("max", "NAME=VALUE"),
    ] {
        refused(&["export", "-o", "f", "--param", param], 2, &["--param", option]);
    }
}

#[test]
fn a_header_that_the_program_sets_is_refused_and_no_value_is_shown() {
    for (header, words) in [
        (format!("Authorization=Bearer {TOKEN}"), ["authorization", "--token-file"]),
        (format!("HOST={TOKEN}"), ["host", "--base-url"]),
        (format!("content-length={TOKEN}"), ["content-length", "omit"]),
        (format!("Transfer-Encoding={TOKEN}"), ["transfer-encoding", "omit"]),
        (format!("connection={TOKEN}"), ["connection", "omit"]),
        (TOKEN.to_owned(), ["--header", "NAME=VALUE"]),
        (format!("={TOKEN}"), ["--header", "NAME=VALUE"]),
    ] {
        for command in ["export", "follow"] {
            refused(&[command, "-o", "f", "--header", &header], 2, &words);
        }
        refused(&["get", "x", "--header", &header], 2, &words);
    }
    refused(&["export", "-o", "f", "--header", "a b=c"], 78, &["header name"]);
    refused(&["export", "-o", "f", "--header", &format!("a={TOKEN}\n")], 78, &["can't be sent"]);
}

#[test]
fn from_must_be_before_to() {
    for (from, to) in [("2026-02-01", "2026-01-01"), ("2026-01-01", "2026-01-01"), ("1h", "2h")] {
        refused(&["export", "-o", "f", "--from", from, "--to", to], 2, &["--from", "before --to"]);
    }
}

#[test]
fn the_sandbox_is_a_service_of_its_own() {
    refused(&["export", "--sandbox", "-o", "f", "--base-url", "http://127.0.0.1:1/v1"], 2, &["--base-url"]);
    refused(&["export", "--sandbox", "-o", "f", "--token-file", "t"], 2, &["--token-file"]);
}

#[test]
fn a_missing_token_is_reported_with_the_ways_to_set_one() {
    let folder = folder();
    for (token, words) in [
        (None, ["WEBEX_ACCESS_TOKEN", "--token-file"].as_slice()),
        (Some(" \n"), &["WEBEX_ACCESS_TOKEN", "empty"]),
        (Some("two words"), &["token", "spaces"]),
    ] {
        for arguments in [["export", "-o", "f"].as_slice(), &["get", "x"]] {
            let mut command = program(arguments);
            command.current_dir(folder.path());
            if let Some(token) = token {
                command.env("WEBEX_ACCESS_TOKEN", token);
            }
            let ended = run(command);
            let (code, line) = ended.failure();
            assert_eq!(code, 78, "{line}");
            assert!(words.iter().all(|word| line.contains(word)), "{line}");
            assert!(!line.contains("two"), "{line}");
            let offers_sandbox = token.is_none() && arguments[0] == "export";
            assert_eq!(
                line.contains("--sandbox"),
                offers_sandbox,
                "advice offers only options that exist: {line}"
            );
        }
    }
    assert!(names(&folder).is_empty());
}

#[test]
fn a_token_file_must_be_readable_text() {
    let folder = folder();
    let file = |name: &str, content: &[u8]| {
        fs::write(folder.path().join(name), content).unwrap();
        folder.path().join(name).display().to_string()
    };
    let (empty, binary) = (file("empty", b"\n"), file("binary", b"\xff\xfe"));
    let spaced = file("spaced", format!("Bearer {TOKEN}\n").as_bytes());
    for (path, word) in [
        ("missing", "can't be read"),
        (".", "can't be read"),
        (&empty, "empty"),
        (&binary, "text"),
        (&spaced, "Bearer"),
    ] {
        refused(&["export", "-o", "f", "--token-file", path], 78, &[word, "token"]);
    }
}

#[test]
fn invalid_settings_are_refused() {
    let folder = folder();
    let pem = folder.path().join("pem");
    fs::write(&pem, "no certificate").unwrap();
    let pem = pem.to_str().unwrap();
    for (arguments, word) in [
        (["--base-url", "http://webexapis.com/v1"], "base URL"),
        (["--base-url", "webexapis.com"], "base URL"),
        (["--base-url", ""], "base URL"),
        (["--proxy", "::"], "proxy"),
        (["--root-certificate", "missing"], "--root-certificate"),
        (["--root-certificate", pem], "certificate"),
    ] {
        refused(&[["export", "-o", "f"].as_slice(), &arguments].concat(), 78, &[word]);
    }
}

#[test]
fn an_output_that_can_not_be_written_is_refused() {
    refused(
        &["export", "--sandbox", "10", "-o", "missing/f"],
        74,
        &["missing/f", "no folder missing", "create it"],
    );
    refused(&["export", "--sandbox", "10", "-o", "."], 74, &["is a folder", "give a file"]);
    refused(&["export", "--sandbox", "10", "-o", ""], 2, &["--output"]);
    refused(&["export", "--sandbox", "10", "-o", &"x".repeat(300)], 74, &["can't be written"]);
}

#[cfg(unix)]
#[test]
fn a_file_is_not_a_folder() {
    refused(&["export", "--sandbox", "10", "-o", "/dev/null/f"], 74, &["/dev/null/f", "can't be written"]);
}

#[test]
fn a_read_only_file_is_not_changed() {
    let folder = folder();
    let path = folder.path().join("f");
    fs::write(&path, "old").unwrap();
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    let ended = run_alone(["export", "--sandbox", "10", "-o", path.to_str().unwrap()]);
    assert_eq!(ended.failure().0, 74);
    assert_eq!((names(&folder), fs::read(&path).unwrap()), (vec!["f".to_owned()], b"old".to_vec()));
}

#[test]
fn without_arguments_there_is_help() {
    let ended = run_alone::<&str>([]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("Usage: webex-events"), "{}", ended.stderr);
}
