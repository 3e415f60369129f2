//! `webex-events`: exports Webex compliance events from the command line.

use std::{env, io, process::ExitCode};

use serde_json::Map;
use tokio::runtime::{Builder, Runtime};

use crate::{
    cli::{Cli, Command, Unparsed},
    commands::{Context, completions, doctor, export, follow, get, plan, sandbox, verify},
    error::{Code, Failure},
    service::Renewal,
    ui::{logging, messages, shutdown::Shutdown},
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
    messages::set(cli.log_format.into(), cli.quiet);
    if let Command::Completions { shell } = cli.command {
        return completions::run(shell);
    }
    if let Command::Plan(plan) = &cli.command {
        return plan::run(plan);
    }
    logging::start();
    let runtime = runtime().map_err(|error| {
        Failure::new(Code::Unavailable, format!("the system has no room for the program: {error}"))
    })?;
    let result = runtime.block_on(async {
        let shutdown = Shutdown::listen().map_err(|error| {
            Failure::new(Code::Unavailable, format!("signals can't be listened to: {error}"))
        })?;
        let mut context = Context { shutdown, renewal: Renewal::default() };
        let result = match cli.command {
            Command::Export(export) => export::run(&export, &mut context).await,
            Command::Doctor(doctor) => doctor::run(*doctor, &mut context).await,
            Command::Get(get) => get::run(*get, &mut context).await,
            Command::Sandbox(sandbox) => sandbox::run(*sandbox, &mut context).await,
            Command::Follow(follow) => follow::run(&follow, &mut context).await,
            Command::Verify(verify) => verify::run(*verify, &mut context).await,
            Command::Plan(_) | Command::Completions { .. } => Ok(()),
        };
        context.renewal.finish().await;
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
