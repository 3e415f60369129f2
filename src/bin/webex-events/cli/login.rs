//! The options of `login` and `logout`.

use std::{num::NonZeroU16, path::PathBuf, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};

use crate::cli::{Connection, values::span};

/// The scope that the events API needs.
const SCOPE: &str = "spark-compliance:events_read";

#[derive(Args, Debug)]
#[command(mut_arg("oauth_store", |arg| arg.required(true).help("File to store the tokens in; an old one is replaced")))]
#[command(mut_arg("client_id", |arg| arg.help("Client id of the integration; or set WEBEX_CLIENT_ID")))]
#[command(mut_arg("token_file", |arg| arg.hide(true)), mut_arg("rate_limit", |arg| arg.hide(true)))]
#[command(mut_arg("attempts", |arg| arg.hide(true)), mut_arg("max_wait", |arg| arg.hide(true)))]
#[command(mut_arg("header", |arg| arg.hide(true)))]
pub(crate) struct LoginArgs {
    /// Scope to request; can be repeated
    #[arg(long, value_name = "SCOPE", default_value = SCOPE, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) scope: Vec<String>,

    /// Port for the redirect URI http://127.0.0.1:PORT/callback, which the integration must have
    #[arg(long, value_name = "PORT", default_value = "8930")]
    pub(crate) redirect_port: NonZeroU16,

    /// Open the page on any machine, and paste the URL that it leads to, or its code
    #[arg(long)]
    pub(crate) no_browser: bool,

    /// Enter a code on another device; nothing is pasted
    #[arg(long, conflicts_with_all = ["no_browser", "redirect_port"])]
    pub(crate) device: bool,

    /// Longest wait for the decision: 90s, 10m
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = span)]
    pub(crate) timeout: Duration,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Args, Debug)]
pub(crate) struct LogoutArgs {
    /// File with the tokens, which is removed with its lock
    #[arg(long, value_name = "FILE")]
    pub(crate) oauth_store: PathBuf,
}
