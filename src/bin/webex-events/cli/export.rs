//! The options of `export`, some of which `follow` shares.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};
use webex_events::{EventType, ListEvents, Resource};

use crate::{
    archive::Codec,
    cli::{
        Connection, Watch,
        help::{EXIT_CODES, EXPORT, TOKEN},
        open::Open,
        values::{TimeArg, span, when},
    },
    error::Failure,
};

#[derive(Args, Debug)]
#[command(after_help = format!("{TOKEN}\n\n{EXIT_CODES}"), after_long_help = format!("{EXPORT}\n\n{TOKEN}\n\n{EXIT_CODES}"))]
pub(crate) struct ExportArgs {
    /// Output: a file, a folder (with --slice, or a / at its end), or - for stdout
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    pub(crate) output: PathBuf,

    /// Events created at or after this time: 90m, 12h, 7d or 2w ago, a date, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) from: Option<TimeArg>,

    /// Events created before this time, in the same forms; the default is now
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) to: Option<TimeArg>,

    #[command(flatten)]
    pub(crate) filters: Filters,

    /// Maximum number of events
    #[arg(long, value_name = "N")]
    pub(crate) take: Option<usize>,

    /// Number of pages to read ahead while others are written
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(..=16))]
    pub(crate) prefetch: u8,

    /// Length of a slice, for a folder: one file per slice, aligned to 1970 in UTC; the default is 6h
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) slice: Option<Duration>,

    /// Number of slices to read concurrently, for a folder
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) concurrency: NonZeroUsize,

    #[command(flatten)]
    pub(crate) commits: Commits,

    /// JSON file that describes the run; written at the end, complete or not
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,

    /// Export from a simulated service with this number of events, without an account; 10000 unless set
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10000")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    #[arg(conflicts_with_all = ["token_file", "oauth_store", "proxy"])]
    pub(crate) sandbox: Option<u32>,

    #[command(flatten)]
    pub(crate) watch: Watch,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The filters of a list.
#[derive(Args, Clone, Debug)]
pub(crate) struct Filters {
    /// Events about this kind of resource
    #[arg(long, value_name = "NAME", value_parser = Open(Resource::KNOWN))]
    pub(crate) resource: Option<Resource>,

    /// Events of this type
    #[arg(long = "type", value_name = "NAME", value_parser = Open(EventType::KNOWN))]
    pub(crate) event_type: Option<EventType>,

    /// Accept names for --resource and --type that this version doesn't know
    #[arg(long)]
    allow_unknown: bool,

    /// Events caused by this person
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) actor_id: Option<String>,

    /// Events per page, 1 to 1000; the default is 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    page_size: Option<u16>,
}

/// The options for writing files.
#[derive(Args, Clone, Debug)]
pub(crate) struct Commits {
    /// Compression of the output
    #[arg(long, value_name = "METHOD", value_enum)]
    pub(crate) compress: Option<Codec>,

    /// Interval between commits to disk; 0s commits after each page
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = span)]
    pub(crate) commit_every: Duration,
}

impl Filters {
    /// Checks what clap can't check.
    pub(super) fn check(&self) -> Result<(), Failure> {
        known("resource", self.resource.as_ref(), Resource::KNOWN, self.allow_unknown)?;
        known("type", self.event_type.as_ref(), EventType::KNOWN, self.allow_unknown)
    }

    /// A query with these filters and no time range.
    pub(crate) fn query(&self) -> ListEvents {
        let mut query = ListEvents::new();
        if let Some(resource) = &self.resource {
            query = query.resource(resource);
        }
        if let Some(event_type) = &self.event_type {
            query = query.event_type(event_type);
        }
        if let Some(id) = &self.actor_id {
            query = query.actor_id(id);
        }
        if let Some(events) = self.page_size {
            query = query.page_size(events);
        }
        query
    }
}

fn known<T: AsRef<str> + PartialEq>(
    name: &str,
    given: Option<&T>,
    known: &[T],
    allow_unknown: bool,
) -> Result<(), Failure> {
    match given {
        Some(given) if !allow_unknown && !known.contains(given) => {
            let given = given.as_ref();
            let known: Vec<_> = known.iter().map(AsRef::as_ref).collect();
            let known = known.join(", ");
            Err(Failure::usage(format!(
                "{given:?} is not a {name} that this version knows ({known}); if the service knows it, add --allow-unknown"
            )))
        }
        _ => Ok(()),
    }
}
