//! Limits of the system: threads, and the size of files.

use std::fs;

use crate::support::{folder, in_shell, names, program, run};

#[test]
fn threads_that_can_not_be_started_are_an_error() {
    for arguments in [["export", "--sandbox", "10"].as_slice(), &["doctor", "--sandbox"], &["sandbox"]] {
        let mut command = program(arguments);
        // The system can't allocate a stack of this size.
        command.env("RUST_MIN_STACK", (1_u64 << 50).to_string());
        let ended = run(command);
        let (code, line) = ended.failure();
        assert!(code == 69 && line.contains("threads"), "{arguments:?}: {code} {line}");
    }
}

#[test]
fn a_file_over_the_limit_of_file_sizes_is_an_output_error() {
    let folder = folder();
    let path = folder.path().join("f");
    let command = program(["export", "--sandbox", "5000", "-o", path.to_str().unwrap()]);
    let ended = run(in_shell(&command, "ulimit -f 64; ", ""));
    assert!(ended.code == 74 && ended.stderr.contains("too large"), "{ended:?}");
    assert!(!path.exists());
    // Without the limit, it continues.
    run(command).success();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5000);
    assert_eq!(names(&folder), ["f"]);
}

#[test]
fn a_redirected_stdout_over_the_limit_of_file_sizes_is_an_output_error() {
    let folder = folder();
    let path = folder.path().join("f");
    for arguments in [["--help"].as_slice(), &["completions", "bash"], &["export", "--sandbox", "10"]] {
        let redirection = format!("> '{}'", path.display());
        let ended = run(in_shell(&program(arguments), "ulimit -f 0; ", &redirection));
        let (code, line) = (ended.code, ended.stderr.lines().last().unwrap_or_default());
        assert!(code == 74 && line.contains("stdout"), "{arguments:?}: {code} {line}");
    }
}
