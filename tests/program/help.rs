//! `--help` in a terminal.

use crate::support::{program, run};

#[test]
fn the_help_fits_into_80_columns() {
    for arguments in [
        ["--help"].as_slice(),
        &["export", "--help"],
        &["get", "--help"],
        &["doctor", "--help"],
        &["sandbox", "--help"],
        &["export", "-h"],
        &["doctor", "-h"],
        &["sandbox", "-h"],
    ] {
        let mut command = program(arguments);
        command.env("COLUMNS", "80");
        let ended = run(command);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        for line in ended.stdout.lines() {
            assert!(line.chars().count() <= 80, "{arguments:?}: {line:?}");
        }
        assert!(ended.stdout.contains("\n  143  terminated"), "{arguments:?} has the exit codes");
    }
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
