//! `webex-events`: exports Webex compliance events from the command line.

use std::{env, io, process::ExitCode};

use serde_json::Map;

use crate::{
    cli::{Cli, Command, Unparsed},
    commands::{
        Context, completions, doctor, export, follow, get, help, login, logout, man, plan, sandbox, verify,
    },
    error::{Code, Failure, reason},
    service::PendingRenewal,
    ui::{logging, messages, shutdown::Shutdown},
};

mod archive;
mod cli;
mod commands;
mod error;
mod metrics;
mod process;
mod run;
mod service;
mod ui;

fn main() -> ExitCode {
    let failure = match start() {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    match failure.code {
        Code::Interrupted => messages::warning(&format!("interrupted: {}", failure.message), Map::new()),
        Code::Terminated => messages::warning(&format!("terminated: {}", failure.message), Map::new()),
        _ => messages::error(&failure.message),
    }
    failure.code.into()
}

fn start() -> Result<ExitCode, Failure> {
    process::survive_file_size_limit().map_err(|error| no_room(&error))?;
    let arguments: Vec<_> = env::args_os().collect();
    let color = cli::color(&arguments);
    messages::set_color(color);
    match cli::parse(&arguments, color) {
        Ok(cli) => run(cli)?,
        // Help because there were no arguments.
        Err(Unparsed::Shown(text)) if text.use_stderr() => {
            let _ = text.print();
            return Ok(Code::Usage.into());
        }
        Err(Unparsed::Shown(text)) => messages::to_stdout(|| text.print())?,
        Err(Unparsed::Refused(failure)) => return Err(failure),
    }
    Ok(ExitCode::SUCCESS)
}

fn run(cli: Cli) -> Result<(), Failure> {
    messages::set(cli.log_format.into(), cli.quiet, cli.progress.into());
    match &cli.command {
        Command::Completions { shell } => return completions::run(*shell),
        Command::Man(args) => return man::run(args),
        Command::Help { topic } => return help::run(topic.as_deref()),
        Command::Plan(plan) => return plan::run(plan),
        Command::Logout(logout) => return logout::run(logout),
        _ => {}
    }
    logging::start(cli.verbose);
    let runtime = process::runtime().map_err(|error| no_room(&error))?;
    let result = runtime.block_on(async {
        let shutdown = Shutdown::listen().map_err(|error| {
            Failure::new(Code::Unavailable, format!("signals can't be listened to: {}", reason(&error)))
        })?;
        let mut context = Context { shutdown, renewal: PendingRenewal::default() };
        let result = match cli.command {
            Command::Export(export) => export::run(&export, &mut context).await,
            Command::Doctor(doctor) => doctor::run(*doctor, &mut context).await,
            Command::Get(get) => get::run(*get, &mut context).await,
            Command::Login(login) => login::run(*login, &mut context).await,
            Command::Sandbox(sandbox) => sandbox::run(*sandbox, &mut context).await,
            Command::Follow(follow) => follow::run(&follow, &mut context).await,
            Command::Verify(verify) => verify::run(*verify, &mut context).await,
            Command::Plan(_)
            | Command::Logout(_)
            | Command::Completions { .. }
            | Command::Man(_)
            | Command::Help { .. } => Ok(()),
        };
        context.renewal.finish().await;
        result
    });
    // Don't wait for background work, such as looking up a name: nobody needs its result.
    runtime.shutdown_background();
    result
}

fn no_room(error: &io::Error) -> Failure {
    Failure::new(
        Code::Unavailable,
        format!(
            "the system has no room for the program's threads or signals: {}; raise the limit of processes",
            reason(error)
        ),
    )
}
