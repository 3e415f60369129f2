//! The options for tokens.

use std::path::PathBuf;

use clap::{Args, builder::NonEmptyStringValueParser};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Token")]
pub(crate) struct Credentials {
    /// File with the access token, which is read before each request and can be replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// File with the refresh token, which renews the access token; each renewal replaces the file
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    pub(crate) oauth_store: Option<PathBuf>,

    #[arg(help = "Client id that the refresh token belongs to; or set WEBEX_CLIENT_ID")]
    #[arg(long, value_name = "ID", requires = "oauth_store", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) client_id: Option<String>,

    #[arg(help = "File with the client secret; or set WEBEX_CLIENT_SECRET")]
    #[arg(long, value_name = "FILE", requires = "oauth_store")]
    pub(crate) client_secret_file: Option<PathBuf>,
}
