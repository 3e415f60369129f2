//! The options of `plan` and `verify`.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum, builder::PossibleValue};

use crate::{
    archive::Codec,
    cli::{
        Connection, ListNames,
        values::{Rate, TimeArg, rate, span, when},
    },
};

impl ValueEnum for Codec {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Gzip, Self::Zstd]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let value = PossibleValue::new(self.name());
        match self {
            Self::None => None,
            Self::Gzip => Some(value.help("RFC 1952")),
            Self::Zstd => Some(value.help("RFC 8878")),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    /// Start of the range (UTC): 7d, "7 days ago", yesterday, a date, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true, required_unless_present = "output")]
    pub(crate) from: Option<TimeArg>,

    /// Folder of an export: show what the same export still has to read
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,

    /// Show an export with --extend
    #[arg(long, conflicts_with = "to")]
    pub(crate) extend: bool,

    /// Longest delay of an event, for --extend
    #[arg(long, value_name = "SPAN", default_value = "15m", value_parser = span)]
    pub(crate) settle: Duration,

    /// End of the range, in the same forms; the default is now
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) to: Option<TimeArg>,

    #[command(flatten)]
    pub(crate) names: ListNames,

    /// Length of a slice; slices start at multiples of it, counted from 1970 in UTC
    #[arg(long, value_name = "SPAN", default_value = "6h", value_parser = span)]
    pub(crate) slice: Duration,

    /// Compression of the files, which is part of their names
    #[arg(long, value_name = "METHOD", value_enum)]
    pub(crate) compress: Option<Codec>,

    /// Events per page, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) page_size: u16,

    /// Expected number of events per day
    #[arg(long, value_name = "N")]
    pub(crate) events_per_day: Option<NonZeroU32>,

    /// Number of requests: 300 or 300/m (per minute), 10/s (per second)
    #[arg(long, value_name = "RATE", default_value = "300/m", value_parser = rate)]
    pub(crate) rate_limit: Rate,

    /// Print JSON to stdout; docs/json.md lists its fields
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Folder of an export or a follower
    pub(crate) folder: PathBuf,

    /// List the events again, and compare them with the files
    #[arg(long)]
    pub(crate) against_service: bool,

    /// Export missing and damaged files again, and those that lack events; the old files are kept
    #[arg(long)]
    pub(crate) repair: bool,

    /// Compare events created at or after this time (UTC): 7d, yesterday, a date, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true, requires = "against_service")]
    pub(crate) from: Option<TimeArg>,

    /// Compare events created before this time, in the same forms
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true, requires = "against_service")]
    pub(crate) to: Option<TimeArg>,

    /// Print JSON to stdout; docs/json.md lists its fields
    #[arg(long)]
    pub(crate) json: bool,

    /// Number of ranges that are listed concurrently
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) concurrency: NonZeroUsize,

    #[command(flatten)]
    pub(crate) connection: Connection,
}
