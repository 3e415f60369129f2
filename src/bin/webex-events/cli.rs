//! The command line.

use std::{ffi::OsString, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser,
    parser::ValueSource,
};
use clap_complete::Shell;

use crate::{
    cli::{
        help::{EXIT_CODES, TOKEN},
        values::{Rate, rate, span},
    },
    error::Failure,
    ui::messages::Format,
};

mod credentials;
mod doctor;
mod export;
mod follow;
mod help;
mod open;
mod refusal;
mod runs;
mod sandbox;
pub(crate) mod values;
mod watch;

pub(crate) use self::{
    credentials::Credentials,
    doctor::DoctorArgs,
    export::{ExportArgs, Filters, ListNames},
    follow::FollowArgs,
    runs::{PlanArgs, VerifyArgs},
    sandbox::SandboxArgs,
    watch::Watch,
};

/// Exports Webex compliance events.
#[derive(Debug, Parser)]
#[command(name = "webex-events", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print only errors and warnings
    #[arg(long, short, global = true, display_order = 900)]
    pub(crate) quiet: bool,

    #[arg(help = "Format of messages on stderr; RUST_LOG sets the log level")]
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t, display_order = 900)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

impl From<LogFormat> for Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Export events as NDJSON, one per line
    Export(Box<ExportArgs>),
    /// Write new events as they come, to a folder with a file for each hour, or to stdout
    Follow(Box<FollowArgs>),
    /// Show the slices of an export into a folder and the number of requests; sends nothing
    Plan(PlanArgs),
    /// Check an exported folder against its ledger, and against the service
    Verify(Box<VerifyArgs>),
    /// Write one event by its id
    Get(Box<GetArgs>),
    /// Check whether an export would work, and give advice if not
    Doctor(Box<DoctorArgs>),
    /// Run a simulated service on this machine until interrupted
    Sandbox(Box<SandboxArgs>),
    /// Write a completion script for a shell
    Completions {
        /// Shell to generate completions for
        shell: Shell,
    },
}

#[derive(Args, Debug)]
#[command(after_help = format!("{TOKEN}\n\n{EXIT_CODES}"))]
pub(crate) struct GetArgs {
    /// Id of the event
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) id: String,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The connection to the service.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    #[arg(help = "Base URL of the service; the default is https://webexapis.com/v1")]
    #[arg(long, value_name = "URL", env = "WEBEX_BASE_URL", hide_env_values = true)]
    pub(crate) base_url: Option<String>,

    /// Maximum number of requests: 300 or 300/m (per minute), 10/s (per second)
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate_limit: Option<Rate>,

    /// Maximum number of attempts per request
    #[arg(long, value_name = "N", default_value = "10")]
    pub(crate) attempts: NonZeroU32,

    /// Longest pause that the service may request: 30s, 90m, 12h
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = span)]
    pub(crate) max_wait: Duration,

    /// Proxy for all requests; the default is the system's proxy setting
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,

    /// Additional trusted root certificates, in PEM format
    #[arg(long, value_name = "FILE")]
    pub(crate) root_certificate: Vec<PathBuf>,

    /// Additional header of each request, visible to other users of this machine; not stored
    #[arg(long, value_name = "NAME=VALUE")]
    header: Vec<String>,

    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

/// The headers that the program sets itself, each with the way to change it.
const OWN_HEADERS: [(&str, &str); 5] = [
    ("authorization", "the token is set by WEBEX_ACCESS_TOKEN, --token-file or --oauth-store"),
    ("host", "the host is set by --base-url"),
    ("content-length", "omit it"),
    ("transfer-encoding", "omit it"),
    ("connection", "omit it"),
];

impl Connection {
    /// The additional headers. An error shows no value, which may be a secret.
    pub(crate) fn headers(&self) -> Result<Vec<(&str, &str)>, Failure> {
        self.header.iter().map(|text| header(text)).collect()
    }
}

fn header(text: &str) -> Result<(&str, &str), Failure> {
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err(Failure::usage("a header isn't NAME=VALUE; give --header as NAME=VALUE"));
    };
    match OWN_HEADERS.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
        Some((name, advice)) => {
            Err(Failure::usage(format!("--header can't set {name}, which the program sets itself; {advice}")))
        }
        None => Ok((name, value)),
    }
}

/// The reason why there is nothing to run.
pub(crate) enum Unparsed {
    /// Help or version, which go to stdout.
    Shown(clap::Error),
    Refused(Failure),
}

pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Cli, Unparsed> {
    let subcommand = arguments.get(1).and_then(|argument| argument.to_str()).unwrap_or_default().to_owned();
    let refuse = |error| refusal::of(error, &subcommand);
    let matches = Cli::command().try_get_matches_from(arguments).map_err(refuse)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(refuse)?;
    let source = matches.subcommand().and_then(|(name, matches)| {
        matches!(name, "doctor" | "export" | "follow" | "get" | "verify")
            .then(|| matches.value_source("base_url"))
            .flatten()
    });
    apply_environment(&mut cli.command, source).map_err(Unparsed::Refused)?;
    Ok(cli)
}

/// Applies the rules that clap can't express: an option has priority over a variable, which may be empty.
fn apply_environment(command: &mut Command, base_url: Option<ValueSource>) -> Result<(), Failure> {
    let (connection, has_sandbox) = match command {
        Command::Export(export) => {
            export.filters.check()?;
            (&mut export.connection, export.sandbox.is_some())
        }
        Command::Follow(follow) => {
            follow.filters.check()?;
            (&mut follow.connection, false)
        }
        Command::Get(get) => (&mut get.connection, false),
        Command::Doctor(doctor) => (&mut doctor.connection, doctor.sandbox),
        Command::Verify(verify) => (&mut verify.connection, false),
        Command::Plan(plan) => return plan.names.check(),
        _ => return Ok(()),
    };
    connection.headers()?;
    let from_environment = base_url == Some(ValueSource::EnvVariable);
    if has_sandbox && !from_environment && connection.base_url.is_some() {
        return Err(Failure::usage("--sandbox has its own service; omit --base-url"));
    }
    if from_environment && (has_sandbox || connection.base_url.as_deref() == Some("")) {
        connection.base_url = None;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
