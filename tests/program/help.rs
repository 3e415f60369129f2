//! `--help` in a terminal.

use crate::support::{program, run};

#[test]
fn the_help_fits_into_80_columns() {
    for arguments in [
        ["--help"].as_slice(),
        &["help", "exit-codes"],
        &["follow", "--help"],
        &["plan", "--help"],
        &["verify", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
        &["help", "--help"],
        &["export", "--help"],
        &["get", "--help"],
        &["doctor", "--help"],
        &["sandbox", "--help"],
        &["login", "--help"],
        &["logout", "--help"],
        &["export", "-h"],
        &["doctor", "-h"],
        &["sandbox", "-h"],
        &["login", "-h"],
    ] {
        let mut command = program(arguments);
        command.env("COLUMNS", "80");
        let ended = run(command);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        for line in ended.stdout.lines() {
            assert!(line.chars().count() <= 80, "{arguments:?}: {line:?}");
        }
    }
}

#[test]
fn the_main_help_fits_into_24_lines_with_the_commands_at_its_end() {
    for arguments in [["--help"].as_slice(), &["-h"], &["help"]] {
        let help = run(program(arguments)).stdout;
        assert!(help.lines().count() <= 23, "{help}");
        let end = help.split_once("Commands:\n").unwrap().1;
        for command in
            ["export", "follow", "plan", "verify", "get", "doctor", "login", "sandbox", "man", "help"]
        {
            assert!(end.contains(&format!("\n  {command} ")) || end.starts_with(&format!("  {command} ")));
        }
    }
}

#[test]
fn the_help_of_a_command_is_the_same_in_both_forms_and_ends_with_examples() {
    for command in [
        "export",
        "follow",
        "plan",
        "verify",
        "get",
        "doctor",
        "login",
        "logout",
        "sandbox",
        "completions",
        "man",
    ] {
        let help = run(program([command, "--help"])).stdout;
        assert_eq!(run(program(["help", command])).stdout, help);
        let end = help.split_once("\nExamples:\n").unwrap().1;
        assert!(end.starts_with("  webex-events ") && end.contains("help exit-codes"), "{end}");
    }
}

#[test]
fn the_exit_codes_are_a_topic_of_the_help_and_a_section_of_each_manual_page() {
    let text = run(program(["help", "exit-codes"])).stdout;
    assert!(text.contains("\n   75  stopped") && text.contains("\n  143  terminated"), "{text}");
    let folder = crate::support::folder();
    let path = folder.path().join("man1");
    let ended = run(program(["man".as_ref(), "--dir".as_ref(), path.as_os_str()]));
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
    let names = crate::support::names(&path);
    assert!(names.contains(&"webex-events.1".to_owned()), "{names:?}");
    for name in names {
        let page = std::fs::read_to_string(path.join(&name)).unwrap();
        assert!(page.contains("EXIT STATUS") && page.contains("  75  stopped"), "{name}");
        if let Some(command) = name.strip_suffix(".1").unwrap().strip_prefix("webex-events-") {
            assert_eq!(run(program(["man", command])).stdout, page);
            assert!(page.contains(&format!("webex\\-events {command}")), "{name}");
        }
    }
}

#[test]
fn colours_are_where_they_are_wanted() {
    let is_coloured = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = program(arguments);
        for (name, value) in variables {
            command.env(name, value);
        }
        let ended = run(command);
        (ended.stdout + &ended.stderr).contains('\u{1b}')
    };
    for arguments in [["export", "--help"].as_slice(), &["help", "export"], &["export", "-o", "x", "-q"]] {
        let with = |color| [arguments, &["--color", color]].concat();
        assert!(!is_coloured(arguments, &[]), "{arguments:?}: a pipe");
        assert!(is_coloured(arguments, &[("CLICOLOR_FORCE", "1")]), "{arguments:?}");
        assert!(is_coloured(&with("always"), &[("NO_COLOR", "1")]), "{arguments:?}");
        assert!(!is_coloured(&with("never"), &[("CLICOLOR_FORCE", "1")]), "{arguments:?}");
    }
    assert_eq!(run(program(["get", "x", "--color", "red"])).failure().0, 2);
}

#[test]
fn verbose_logs_each_request() {
    let stderr = |arguments: &[&str]| {
        run(program([&["export", "--sandbox", "1", "-o", "/dev/null"], arguments].concat())).stderr
    };
    assert!(!stderr(&[]).contains("DEBUG"));
    assert!(stderr(&["-v"]).contains("DEBUG"));
    assert_eq!(run(program(["export", "-q", "-v"])).failure().0, 2);
}

#[test]
fn every_way_to_a_token_is_in_the_help_and_no_secret_is_an_argument() {
    for command in ["export", "get", "doctor"] {
        let help = run(program([command, "--help"])).stdout;
        for name in [
            "WEBEX_ACCESS_TOKEN",
            "--token-file <FILE>",
            "--oauth-store <FILE>",
            "--client-id <ID>",
            "WEBEX_CLIENT_ID",
            "--client-secret-file <FILE>",
            "WEBEX_CLIENT_SECRET",
        ] {
            assert!(help.contains(name), "{command}: {name}");
        }
        assert!(!help.contains("--client-secret <") && !help.contains("--token <"), "{command}");
    }
}
