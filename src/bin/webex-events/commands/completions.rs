//! `completions`: a completion script for a shell.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{
    cli::Cli,
    error::{Code, Failure},
    ui::messages,
};

pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "webex-events", &mut script);
    match messages::data(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Output, format!("stdout can't be written: {error}")))
        }
        _ => Ok(()),
    }
}
