//! Completion in bash, fish and zsh.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_webex-events");

/// A folder with the completion script of a shell, and the program itself.
fn folder(shell: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(PROGRAM, folder.path().join("webex-events")).unwrap();
    let script = Command::new(PROGRAM).args(["completions", shell]).output().unwrap();
    assert!(script.status.success());
    fs::write(folder.path().join("_webex-events"), script.stdout).unwrap();
    fs::create_dir(folder.path().join("archive")).unwrap();
    folder
}

/// The output of a script, run by this shell in that folder.
fn output(shell: &str, arguments: &[&str], folder: &Path) -> String {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let output = Command::new(shell)
        .args(arguments)
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder)
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{shell} is not installed: {error}"));
    assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The completions that bash offers for the last word.
fn bash(line: &str) -> Vec<String> {
    let folder = folder("bash");
    // What bash itself does when Tab is pressed.
    let script = r#"
        source ./_webex-events
        complete -p webex-events > /dev/null || exit 1
        function=$(complete -p webex-events | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_LINE=$1
        COMP_POINT=${#1}
        read -ra COMP_WORDS <<< "$1"
        [[ $1 == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        "$function" webex-events "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let text = output("bash", &["--norc", "-c", script, "bash", line], folder.path());
    text.lines().map(str::to_owned).collect()
}

fn fish(line: &str) -> Vec<String> {
    let folder = folder("fish");
    let script = "source ./_webex-events; complete -C $argv[1]";
    let text = output("fish", &["--no-config", "-c", script, line], folder.path());
    text.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

/// Presses Tab in an interactive zsh, and returns all that it shows.
fn zsh(line: &str) -> String {
    let folder = folder("zsh");
    let script = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell 'PS1="" PS2="" RPS1=""; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D'
        zpty -w shell 'bindkey "^I" list-choices; zstyle ":completion:*" list-prompt ""; LISTMAX=1000; echo re''ady'
        zpty -r shell text '*ready*' || exit 1
        zpty -w -n shell "$1"$'\t'
        zpty -w -n shell $'\C-u'"exit"$'\n'
        while zpty -r shell text; do print -rn -- "$text"; done"#;
    output("zsh", &["-f", "-c", script, "zsh", line], folder.path())
}

fn has(offered: &[String], wanted: &[&str]) {
    for name in wanted {
        assert!(offered.iter().any(|offer| offer == name), "{name} is not offered: {offered:?}");
    }
}

fn check(offered: impl Fn(&str) -> Vec<String>) {
    has(&offered("webex-events "), &["export", "follow", "doctor", "help"]);
    has(&offered("webex-events exp"), &["export"]);
    has(&offered("webex-events export --re"), &["--resource"]);
    has(&offered("webex-events export --from 7d --ty"), &["--type"]);
    has(&offered("webex-events export --type "), &["created", "deleted"]);
    has(&offered("webex-events export --from 7d --resource mes"), &["messages"]);
    has(&offered("webex-events follow --compress "), &["zstd", "gzip"]);
    has(&offered("webex-events --quiet export --resource roo"), &["rooms"]);
    has(&offered("webex-events completions "), &["bash", "fish", "zsh"]);
    has(&offered("webex-events help ex"), &["export", "exit-codes"]);
    has(&offered("webex-events man exp"), &["export"]);
}

#[test]
#[ignore = "needs bash"]
fn bash_completes_options_and_values_after_a_subcommand() {
    check(bash);
}

#[test]
#[ignore = "needs bash"]
fn bash_offers_no_placeholder_of_an_argument() {
    for line in ["webex-events verify ", "webex-events get ", "webex-events man "] {
        let offered = bash(line);
        assert!(!offered.iter().any(|offer| offer.starts_with(['<', '['])), "{line}: {offered:?}");
    }
}

#[test]
#[ignore = "needs fish"]
fn fish_completes_options_and_values_after_a_subcommand() {
    check(fish);
    has(&fish("webex-events verify arch"), &["archive/"]);
}

#[test]
#[ignore = "needs zsh"]
fn zsh_completes_options_and_values_after_a_subcommand() {
    for (line, offer) in [
        ("webex-events export --re", "--resource"),
        ("webex-events export --from 7d --resource m", "meetingMessages"),
        ("webex-events export --type ", "deleted"),
        ("webex-events help ex", "exit-codes"),
    ] {
        let shown = zsh(line);
        assert!(shown.contains(offer), "{line}: {shown:?}");
    }
}
