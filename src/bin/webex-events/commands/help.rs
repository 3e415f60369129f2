//! `help`: the help of a command, or the exit codes.

use crate::{
    cli::{
        self,
        help::{EXIT_CODES, EXIT_CODES_TOPIC},
    },
    error::Failure,
    ui::messages,
};

pub(crate) fn run(topic: Option<&str>) -> Result<(), Failure> {
    if topic == Some(EXIT_CODES_TOPIC) {
        return messages::data(format!("{EXIT_CODES}\n").as_bytes());
    }
    let mut command = cli::command();
    // Sets the names of the subcommands as they are on the command line.
    command.build();
    let command = match topic.and_then(|topic| command.find_subcommand_mut(topic)) {
        Some(subcommand) => subcommand,
        None => &mut command,
    };
    messages::styled(&command.render_long_help())
}
