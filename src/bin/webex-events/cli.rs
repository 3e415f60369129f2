//! The command line.

use std::{ffi::OsString, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{
    ArgAction, Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint,
    builder::NonEmptyStringValueParser, parser::ValueSource,
};
use clap_complete::Shell;

use crate::{
    cli::values::{Rate, rate, span},
    error::{self, Failure},
    ui::messages::{Format, ProgressForm},
};

mod credentials;
mod doctor;
mod export;
mod follow;
pub(crate) mod help;
mod login;
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
    login::{LoginArgs, LogoutArgs},
    runs::{PlanArgs, VerifyArgs},
    sandbox::SandboxArgs,
    watch::Watch,
};

/// Exports Webex compliance events.
#[derive(Debug, Parser)]
#[command(name = "webex-events", version, max_term_width = 100, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print only errors and warnings
    #[arg(long, short, global = true, display_order = 900, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    #[arg(help = "Log each request; -vv logs more. The variable RUST_LOG has priority")]
    #[arg(long, short, global = true, action = ArgAction::Count, display_order = 900)]
    pub(crate) verbose: u8,

    #[arg(help = "Colours in messages and help; NO_COLOR and CLICOLOR_FORCE are obeyed")]
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, display_order = 900)]
    pub(crate) color: ColorChoice,

    #[arg(help = "Progress on stderr: a line that changes, or a new line each minute")]
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, display_order = 900)]
    pub(crate) progress: ProgressMode,

    #[arg(help = "Format of messages on stderr")]
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t, display_order = 900)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    #[default]
    /// A line that changes on a terminal, otherwise a new line each minute
    Auto,
    /// A new line each minute
    Plain,
    /// None
    Off,
}

impl From<ProgressMode> for ProgressForm {
    fn from(mode: ProgressMode) -> Self {
        match mode {
            ProgressMode::Auto => Self::Auto,
            ProgressMode::Plain => Self::Lines,
            ProgressMode::Off => Self::Off,
        }
    }
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
    /// Write new events as they come, to a folder or to stdout
    Follow(Box<FollowArgs>),
    /// Show the slices and requests of an export; sends nothing
    Plan(PlanArgs),
    /// Check a folder against its ledger, and against the service
    Verify(Box<VerifyArgs>),
    /// Write one event by its id
    Get(Box<GetArgs>),
    /// Check whether an export would work, and give advice if not
    Doctor(Box<DoctorArgs>),
    /// Log in as a compliance officer, and store the tokens
    Login(Box<LoginArgs>),
    /// Remove the stored tokens
    Logout(LogoutArgs),
    /// Run a simulated service on this machine until interrupted
    Sandbox(Box<SandboxArgs>),
    /// Write a completion script for a shell
    Completions {
        /// Shell to generate completions for
        shell: Shell,
    },
    /// Write the manual pages
    Man(ManArgs),
    /// Show the help of a command, or the exit codes
    Help {
        /// A command, or `exit-codes`
        topic: Option<String>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Command to write the page of; the default is the page of the program
    #[arg(conflicts_with = "dir")]
    pub(crate) command: Option<String>,

    /// Folder to write all pages to
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    /// Id of the event
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) id: String,

    /// Print JSON to stdout, as without this option: the event as the service sent it
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The default number of attempts, once the service has responded.
pub(crate) const ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

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

    /// Maximum number of attempts per request; 10, or 3 until the service has responded once
    #[arg(long, value_name = "N")]
    pub(crate) attempts: Option<NonZeroU32>,

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

/// The command line, with the texts of its help.
pub(crate) fn command() -> clap::Command {
    help::add(Cli::command())
}

/// Reads the command line. `color` is the value of `--color`, which is needed before everything else is read.
pub(crate) fn parse(arguments: &[OsString], color: ColorChoice) -> Result<Cli, Unparsed> {
    let refuse = |error| refusal::of(error, arguments);
    let mut command = command().color(color);
    let matches = command.try_get_matches_from_mut(arguments).map_err(refuse)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(refuse)?;
    if let Some(subcommand) = matches.subcommand_name().and_then(|name| command.find_subcommand(name)) {
        let options =
            subcommand.get_arguments().filter(|option| !option.is_hide_set()).filter_map(clap::Arg::get_long);
        error::set_command(subcommand.get_name(), options.map(str::to_owned));
    }
    let source = matches.subcommand().and_then(|(name, matches)| {
        matches!(name, "doctor" | "export" | "follow" | "get" | "login" | "verify")
            .then(|| matches.value_source("base_url"))
            .flatten()
    });
    apply_environment(&mut cli.command, source).map_err(Unparsed::Refused)?;
    Ok(cli)
}

/// The value of `--color`, or the default if it is invalid: then the command line is refused.
pub(crate) fn color(arguments: &[OsString]) -> ColorChoice {
    let mut words = arguments.iter().filter_map(|argument| argument.to_str());
    while let Some(word) = words.next() {
        let value = if word == "--color" { words.next() } else { word.strip_prefix("--color=") };
        if let Some(value) = value {
            return ColorChoice::from_str(value, false).unwrap_or_default();
        }
        if word == "--" {
            break;
        }
    }
    ColorChoice::default()
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
            // A follower waits for a service that can't be reached.
            follow.connection.attempts.get_or_insert(ATTEMPTS);
            (&mut follow.connection, false)
        }
        Command::Get(get) => (&mut get.connection, false),
        Command::Doctor(doctor) => (&mut doctor.connection, doctor.sandbox),
        Command::Login(login) => (&mut login.connection, false),
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
        command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_is_valid() {
        for subcommand in command().get_subcommands().map(clap::Command::get_name) {
            let examples = help::text(subcommand).map_or("", |text| text.examples);
            assert_eq!(examples.is_empty(), subcommand == "help", "{subcommand}");
            for line in examples.replace("\\\n", " ").lines() {
                let words = line.split(['|', '>']).next().unwrap_or_default().split_whitespace();
                let words: Vec<_> = words.map(|word| OsString::from(word.trim_matches('"'))).collect();
                assert!(parse(&words, ColorChoice::Never).is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn each_time_that_the_help_gives_as_an_example_is_valid() {
        let mut examples = 0;
        for subcommand in command().get_subcommands() {
            let is_time = |arg: &&clap::Arg| arg.get_value_names().is_some_and(|names| names == ["TIME"]);
            for arg in subcommand.get_arguments().filter(is_time) {
                let help = arg.get_help().unwrap().to_string();
                let forms =
                    help.split(';').next().unwrap_or_default().rsplit(": ").next().unwrap_or_default();
                for form in forms.split(", ").map(|form| form.trim_matches('"')) {
                    if form.starts_with(|c: char| c.is_ascii_digit()) {
                        assert!(values::when(form).is_ok(), "{subcommand}: {help}");
                        examples += 1;
                    }
                }
            }
        }
        assert!(examples > 3);
    }

    #[test]
    fn the_colour_is_known_before_the_command_line_is_read() {
        let color = |line: &str| color(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(color("webex-events get --color never x"), ColorChoice::Never);
        assert_eq!(color("webex-events --color=always get"), ColorChoice::Always);
        assert_eq!(color("webex-events get -- --color=always"), ColorChoice::Auto);
        assert_eq!(color("webex-events get"), ColorChoice::Auto);
    }

    #[test]
    fn the_main_help_names_every_option_of_every_command() {
        let help = command().render_help().to_string();
        for option in Cli::command().get_arguments() {
            let name = option.get_long().unwrap();
            assert!(help.contains(&format!("--{name}")), "{name}");
        }
    }
}
