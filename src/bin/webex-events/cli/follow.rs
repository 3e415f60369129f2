//! The options of `follow`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::cli::{
    Connection, Filters, Watch,
    export::Commits,
    values::{TimeArg, span, when},
};

#[derive(Args, Debug)]
pub(crate) struct FollowArgs {
    /// Output: a folder, with a file for each hour, or - for stdout
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) output: PathBuf,

    /// Start of the first run (UTC): 7d, "7 days ago", yesterday, a date, or RFC 3339; the default is now
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) from: Option<TimeArg>,

    /// Longest delay of an event: this period is read again each time
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = span)]
    pub(crate) settle: Duration,

    /// Interval between requests for new events
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    pub(crate) every: Duration,

    /// Checkpoint file for stdout: a later run resumes from it
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) filters: Filters,

    #[command(flatten)]
    pub(crate) commits: Commits,

    #[command(flatten)]
    pub(crate) watch: Watch,

    #[command(flatten)]
    pub(crate) connection: Connection,
}
