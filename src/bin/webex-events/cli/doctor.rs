//! The options of `doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Connection;

#[derive(Args, Debug)]
#[command(mut_arg("attempts", |arg| arg.hide(true)), mut_arg("max_wait", |arg| arg.hide(true)))]
pub(crate) struct DoctorArgs {
    /// Output of an export: check that folder, or the folder of that file, too
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// Check a simulated service, without an account
    #[arg(long, conflicts_with_all = ["token_file", "oauth_store", "proxy"])]
    pub(crate) sandbox: bool,

    /// Print JSON to stdout; docs/json.md lists its fields
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) connection: Connection,
}
