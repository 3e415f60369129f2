//! The options of `doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{
    Connection,
    help::{DOCTOR, EXIT_CODES, TOKEN},
};

#[derive(Args, Debug)]
#[command(after_help = format!("{TOKEN}\n\n{EXIT_CODES}"))]
#[command(mut_arg("attempts", |arg| arg.hide(true)), mut_arg("max_wait", |arg| arg.hide(true)))]
#[command(after_long_help = format!("{DOCTOR}\n\n{TOKEN}\n\n{EXIT_CODES}"))]
pub(crate) struct Doctor {
    /// Where an export would go: try that folder, or that of the file, too
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// Try it on a simulated service, with no account
    #[arg(long, conflicts_with_all = ["token_file", "oauth_store", "proxy"])]
    pub(crate) sandbox: bool,

    #[command(flatten)]
    pub(crate) connection: Connection,
}
