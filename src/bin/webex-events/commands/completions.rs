//! `completions`: a completion script for a shell.

use clap::builder::PossibleValue;
use clap_complete::Shell;

use crate::{cli, error::Failure, ui::messages};

pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "webex-events", &mut script);
    let text = String::from_utf8_lossy(&script);
    match shell {
        Shell::Bash => script = for_bash(&text).into_bytes(),
        Shell::Fish => script = for_fish(&text).into_bytes(),
        _ => {}
    }
    messages::data(&script)
}

/// Adds the values of arguments that aren't options: the generator leaves them out.
fn for_fish(script: &str) -> String {
    let mut script = script.to_owned();
    for command in cli::command().get_subcommands() {
        for argument in command.get_positionals() {
            let values = argument.get_possible_values();
            let values = values.iter().map(PossibleValue::get_name).collect::<Vec<_>>().join(" ");
            if !values.is_empty() {
                let condition = format!("__fish_webex_events_using_subcommand {}", command.get_name());
                script.extend(["complete -c webex-events -n \"", &condition, "\" -f -a \"", &values, "\"\n"]);
            }
        }
    }
    script
}

/// Corrects two faults of the generated script.
fn for_bash(script: &str) -> String {
    // The name of the program contains a hyphen, which the generator replaces in two ways: the script never found the
    // options of a subcommand.
    let mut script = script.replace("webex__subcmd__events", "webex__events");
    // The placeholder of an argument is no value of it. Without it, bash completes names of files.
    for command in cli::command().get_subcommands() {
        for argument in command.get_positionals() {
            for name in argument.get_value_names().into_iter().flatten() {
                script = script.replace(&format!(" <{name}>\""), "\"").replace(&format!(" [{name}]\""), "\"");
            }
        }
    }
    script
}
