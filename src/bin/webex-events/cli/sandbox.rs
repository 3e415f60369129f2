//! The options of `sandbox`.

use std::{net::SocketAddr, num::NonZeroU64, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};

use crate::cli::values::{Rate, TimeArg, rate, span, when};

#[derive(Args, Debug)]
pub(crate) struct SandboxArgs {
    /// Number of events
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    pub(crate) events: u32,

    /// Time of the first event: 7d, a date, or RFC 3339; the default is 30 days before --to
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) from: Option<TimeArg>,

    /// Time of the last event; the default is now. Events in the future are listed once their time has come
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) to: Option<TimeArg>,

    /// Address to listen on; port 0 selects a free port
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(crate) addr: SocketAddr,

    /// Seed of the random events
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// List the events in shuffled order
    #[arg(long)]
    pub(crate) shuffled: bool,

    /// Number of days that lists can reach back; earlier lists are refused, as by the service with 90
    #[arg(long, value_name = "DAYS")]
    pub(crate) retention: Option<u32>,

    /// Compress responses
    #[arg(long)]
    pub(crate) gzip: bool,

    #[command(flatten)]
    pub(crate) access: TokenArgs,

    #[command(flatten)]
    pub(crate) faults: FaultArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct TokenArgs {
    /// Access token to accept, which isn't a secret; the default is a generated one
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) token: Option<String>,

    /// Lifetime of an access token: 30s, 90m, 12h
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "14d")]
    pub(crate) token_lifetime: Duration,

    /// Print what a client needs to renew tokens
    #[arg(long)]
    pub(crate) oauth: bool,

    /// Replace the refresh token with each new token
    #[arg(long)]
    pub(crate) rotate_refresh_tokens: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Faults")]
pub(crate) struct FaultArgs {
    /// Delay of each response, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0, hide_default_value = true)]
    pub(crate) latency_ms: u64,

    /// Speed of response bodies, in bytes per second
    #[arg(long, value_name = "BYTES_PER_SECOND")]
    pub(crate) slow: Option<NonZeroU64>,

    /// Respond with 429 to requests above this rate: 300 or 300/m (per minute), 10/s (per second)
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate_limit: Option<Rate>,

    /// Respond to every N-th list request with 503
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) fail_every: u64,

    /// Respond to every N-th list request with 401, although its token is valid
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) unauthorized_every: u64,

    /// Close the connection of every N-th list request without a response
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) drop_every: u64,

    /// Cut off the response body of every N-th list request
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) cut_every: u64,

    /// Make every N-th event malformed
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) malformed_every: u64,

    /// Number of empty pages between pages with events
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) empty_pages: u32,

    /// Number of uses after which a cursor expires
    #[arg(long, value_name = "N")]
    pub(crate) cursor_uses: Option<u32>,

    /// Lifetime of a cursor
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) cursor_lifetime: Option<Duration>,

    /// Number of additional late events in the same time range, which are not listed at first
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, requires = "late_every")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    pub(crate) late: u32,

    /// Add one late event after every N-th list request
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, requires = "late")]
    pub(crate) late_every: u64,
}
