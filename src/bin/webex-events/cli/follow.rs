//! What to follow, and where to.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::cli::{
    Connection, Filters, Watch,
    export::Commits,
    help::{EXIT_CODES, FOLLOW, TOKEN},
    values::{When, span, when},
};

#[derive(Args, Debug)]
#[command(after_help = format!("{TOKEN}\n\n{EXIT_CODES}"), after_long_help = format!("{FOLLOW}\n\n{TOKEN}\n\n{EXIT_CODES}"))]
pub(crate) struct Follow {
    /// Where to: a folder, which gets a file an hour, or - for stdout
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) output: PathBuf,

    /// Begin then, in the first run: 90m, 12h, 7d or 2w ago, a date, or RFC 3339; the default is now
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) from: Option<When>,

    /// How late events may come: so much is read again each time
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = span)]
    pub(crate) settle: Duration,

    /// How often to ask for new ones
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    pub(crate) every: Duration,

    /// To stdout: keep the place in this file, and go on there
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
