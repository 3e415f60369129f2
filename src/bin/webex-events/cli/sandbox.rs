//! The options of `sandbox`.

use std::{net::SocketAddr, num::NonZeroU64, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};

use crate::cli::{
    help::{EXIT_CODES, SANDBOX},
    values::{Rate, When, rate, span, when},
};

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{SANDBOX}\n\n{EXIT_CODES}"))]
pub(crate) struct Sandbox {
    /// How many events it has
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    pub(crate) events: u32,

    /// Spread the events from then on: 7d ago, a date, or RFC 3339; the default is 30 days before --to
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) from: Option<When>,

    /// Spread them up to then; the default is now, and those of a later time come as it comes
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) to: Option<When>,

    /// Where it listens; port 0 is any that is free
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(crate) addr: SocketAddr,

    /// What the events follow from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// List the events in no order
    #[arg(long)]
    pub(crate) shuffled: bool,

    /// Refuse a list that begins so many days back, as the service does with 90
    #[arg(long, value_name = "DAYS")]
    pub(crate) retention: Option<u32>,

    /// Compress what it answers
    #[arg(long)]
    pub(crate) gzip: bool,

    #[command(flatten)]
    pub(crate) access: Access,

    #[command(flatten)]
    pub(crate) faults: Faults,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct Access {
    /// The token that it accepts, which isn't a secret; without one it makes one up
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) token: Option<String>,

    /// Let a token expire after so long: 30s, 90m, 12h
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "14d")]
    pub(crate) token_lifetime: Duration,

    /// Print what a client needs to get new tokens
    #[arg(long)]
    pub(crate) oauth: bool,

    /// Replace the refresh token with each new token
    #[arg(long)]
    pub(crate) rotate_refresh_tokens: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Faults")]
pub(crate) struct Faults {
    /// Wait so many milliseconds before each answer
    #[arg(long, value_name = "MS", default_value_t = 0, hide_default_value = true)]
    pub(crate) latency_ms: u64,

    /// Send bodies at so many bytes a second
    #[arg(long, value_name = "BYTES_PER_SECOND")]
    pub(crate) slow: Option<NonZeroU64>,

    /// Respond with 429 above this rate of requests: 300 (per minute), 300/m or 10/s
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate_limit: Option<Rate>,

    /// Respond with 503 to every N-th list request
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) fail_every: u64,

    /// Respond with 401 to every N-th list request, although its token is valid
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) unauthorized_every: u64,

    /// Close the connection of every N-th list request without an answer
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) drop_every: u64,

    /// Break off the body of every N-th list request
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) cut_every: u64,

    /// Make every N-th event malformed
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) malformed_every: u64,

    /// Put so many empty pages between pages with events
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) empty_pages: u32,

    /// Let a cursor expire once it was used so many times
    #[arg(long, value_name = "N")]
    pub(crate) cursor_uses: Option<u32>,

    /// Let a cursor expire so long after it was given out
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) cursor_lifetime: Option<Duration>,

    /// Have so many more events, in the same span of time, that come late: no list has them at first
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, requires = "late_every")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    pub(crate) late: u32,

    /// Let one of these come in behind every N-th list request
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, requires = "late")]
    pub(crate) late_every: u64,
}
