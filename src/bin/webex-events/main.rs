//! `webex-events`: exports Webex compliance events from the command line.

use std::{env, io, process::ExitCode};

use serde_json::Map;
use tokio::runtime::{Builder, Runtime};

use crate::{
    cli::{Cli, Command, Unparsed},
    commands::{completions, doctor, export, follow, get, plan, sandbox, verify},
    error::{Code, Failure},
    ui::{logging, messages, shutdown::Stop},
};

mod archive;
mod cli;
mod commands;
mod error;
mod metrics;
mod run;
mod service;
mod ui;

fn main() -> ExitCode {
    let result = match cli::parse(env::args_os().collect()) {
        Ok(cli) => run(cli),
        Err(Unparsed::Shown(text)) => {
            let _ = text.print();
            return ExitCode::from(u8::try_from(text.exit_code()).unwrap_or(2));
        }
        Err(Unparsed::Refused(failure)) => Err(failure),
    };
    let Err(failure) = result else { return ExitCode::SUCCESS };
    match failure.code {
        Code::Interrupted => messages::warning(&format!("interrupted: {}", failure.message), Map::new()),
        Code::Terminated => messages::warning(&format!("terminated: {}", failure.message), Map::new()),
        _ => messages::error(&failure.message),
    }
    failure.code.into()
}

fn run(cli: Cli) -> Result<(), Failure> {
    messages::set(cli.log_format, cli.quiet);
    if let Command::Completions { shell } = cli.command {
        return completions::run(shell);
    }
    if let Command::Plan(plan) = &cli.command {
        return plan::run(plan);
    }
    logging::start(cli.log_format);
    let runtime = runtime().map_err(|error| {
        Failure::new(Code::Unavailable, format!("the system has no room for the program: {error}"))
    })?;
    let result = runtime.block_on(async {
        let stop = Stop::listen().map_err(|error| {
            Failure::new(Code::Unavailable, format!("signals can't be listened to: {error}"))
        })?;
        let result = match cli.command {
            Command::Export(export) => export::run(export, cli.log_format, stop).await,
            Command::Doctor(doctor) => doctor::run(*doctor, cli.log_format, stop).await,
            Command::Get(get) => get::run(*get, stop).await,
            Command::Sandbox(sandbox) => sandbox::run(*sandbox, stop).await,
            Command::Follow(follow) => follow::run(follow, cli.log_format, stop).await,
            Command::Verify(verify) => verify::run(*verify, stop).await,
            Command::Plan(_) | Command::Completions { .. } => Ok(()),
        };
        service::renewed().await;
        result
    });
    // What still goes on, such as looking up a name, is of no use any more.
    runtime.shutdown_background();
    result
}

/// The main thread writes, which may block; everything else goes on in these.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
