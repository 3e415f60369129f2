//! How the program gets its token.

use std::path::PathBuf;

use clap::{Args, builder::NonEmptyStringValueParser};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Token")]
pub(crate) struct Credentials {
    /// Read the access token from a file, again for each request, so that it can be replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Renew the access token by the refresh token in a file, which is kept up to date
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    pub(crate) oauth_store: Option<PathBuf>,

    #[arg(help = "The client id that the refresh token is for; or set WEBEX_CLIENT_ID")]
    #[arg(long, value_name = "ID", requires = "oauth_store", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) client_id: Option<String>,

    #[arg(help = "Read the client secret from a file; or set WEBEX_CLIENT_SECRET")]
    #[arg(long, value_name = "FILE", requires = "oauth_store")]
    pub(crate) client_secret_file: Option<PathBuf>,
}
