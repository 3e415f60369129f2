//! What to export, and where to.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};
use webex_events::{EventType, ListEvents, Resource};

use crate::{
    archive::Codec,
    cli::{
        Connection, Watch,
        help::{EXIT_CODES, EXPORT, TOKEN},
        open::Open,
        values::{When, span, when},
    },
    error::Failure,
};

#[derive(Args, Debug)]
#[command(after_help = format!("{TOKEN}\n\n{EXIT_CODES}"), after_long_help = format!("{EXPORT}\n\n{TOKEN}\n\n{EXIT_CODES}"))]
pub(crate) struct Export {
    /// Where to: a file, a folder (with --slice, or a / at its end), or - for stdout
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    pub(crate) output: PathBuf,

    /// Only events since then: 90m, 12h, 7d or 2w ago, a date, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) from: Option<When>,

    /// Only events before then, in the same forms; the default is now
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) to: Option<When>,

    #[command(flatten)]
    pub(crate) filters: Filters,

    /// At most so many events
    #[arg(long, value_name = "N")]
    pub(crate) take: Option<usize>,

    /// Read so many pages ahead while others are written
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(..=16))]
    pub(crate) prefetch: u8,

    /// Into a folder: one file for each slice of this length, counted from 1970 in UTC; the default is 6h
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) slice: Option<Duration>,

    /// Into a folder: read so many slices at once
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) concurrency: NonZeroUsize,

    #[command(flatten)]
    pub(crate) commits: Commits,

    /// Write a JSON file at the end, complete or not, that says what was done
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,

    /// Export from a simulated service of so many events, with no account: 10000, unless it says
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10000")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    #[arg(conflicts_with_all = ["token_file", "oauth_store", "proxy"])]
    pub(crate) sandbox: Option<u32>,

    #[command(flatten)]
    pub(crate) watch: Watch,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// Which events.
#[derive(Args, Clone, Debug)]
pub(crate) struct Filters {
    /// Only events about this
    #[arg(long, value_name = "NAME", value_parser = Open(Resource::KNOWN))]
    pub(crate) resource: Option<Resource>,

    /// Only events of this type
    #[arg(long = "type", value_name = "NAME", value_parser = Open(EventType::KNOWN))]
    pub(crate) event_type: Option<EventType>,

    /// Let --resource and --type be names that this version doesn't know
    #[arg(long)]
    allow_unknown: bool,

    /// Only what this person did
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) actor_id: Option<String>,

    /// Ask for so many events at a time, 1 to 1000; the default is 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    page_size: Option<u16>,
}

/// How files are written.
#[derive(Args, Clone, Debug)]
pub(crate) struct Commits {
    /// Compress what is written
    #[arg(long, value_name = "HOW", value_enum)]
    pub(crate) compress: Option<Codec>,

    /// Bring what came to disk so often; 0s is after each page
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = span)]
    pub(crate) commit_every: Duration,
}

impl Filters {
    /// What clap can't say.
    pub(super) fn check(&self) -> Result<(), Failure> {
        known("resource", self.resource.as_ref(), Resource::KNOWN, self.allow_unknown)?;
        known("type", self.event_type.as_ref(), EventType::KNOWN, self.allow_unknown)
    }

    /// The query of these, of all times.
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
                "{given:?} is no {name} that this version knows ({known}); if the service does, add --allow-unknown"
            )))
        }
        _ => Ok(()),
    }
}
