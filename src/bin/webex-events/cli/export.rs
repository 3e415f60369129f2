//! The options of `export`, some of which `follow` shares.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};
use webex_events::{EventType, ListEvents, Resource};

use crate::{
    archive::Codec,
    cli::{
        Connection, Watch,
        open::Open,
        values::{TimeArg, param, span, when},
    },
    error::Failure,
};

/// The least similarity of a name that is suggested, from 0 to 1.
const SIMILAR: f64 = 0.7;

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Output: a file, a folder (with --slice, or a / at its end), or - for stdout
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    pub(crate) output: PathBuf,

    /// Events created at or after this time (UTC): 7d, "7 days ago", yesterday, a date, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) from: Option<TimeArg>,

    /// Events created before this time, in the same forms; the default is now
    #[arg(long, value_name = "TIME", value_parser = when, allow_hyphen_values = true)]
    pub(crate) to: Option<TimeArg>,

    /// Continue a folder up to now, less --settle
    #[arg(long, conflicts_with_all = ["to", "take"])]
    pub(crate) extend: bool,

    /// Longest delay of an event, for --extend: younger events are left to the next run
    #[arg(long, value_name = "SPAN", default_value = "15m", value_parser = span)]
    pub(crate) settle: Duration,

    /// Check a folder's files, and export again those that are missing or damaged
    #[arg(long)]
    pub(crate) repair: bool,

    #[command(flatten)]
    pub(crate) filters: Filters,

    /// Maximum number of events
    #[arg(long, value_name = "N")]
    pub(crate) take: Option<usize>,

    /// Number of pages to read ahead while others are written
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(..=16))]
    pub(crate) prefetch: u8,

    /// Length of a slice, for a folder: one file per slice; the default is 6h
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) slice: Option<Duration>,

    /// Number of slices to read concurrently, for a folder; each list of a slice counts
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

/// The resources and types: each combination is a list of its own.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ListNames {
    /// Events about this kind of resource; several, separated by commas, are listed one by one
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = Open(Resource::KNOWN))]
    resource: Vec<Resource>,

    /// Events of this type; several, separated by commas, are listed one by one
    #[arg(long = "type", value_name = "NAME", value_delimiter = ',', value_parser = Open(EventType::KNOWN))]
    event_type: Vec<EventType>,

    /// Accept names for --resource and --type that this version doesn't know
    #[arg(long)]
    allow_unknown: bool,
}

/// The filters of the lists.
#[derive(Args, Clone, Debug)]
pub(crate) struct Filters {
    #[command(flatten)]
    names: ListNames,

    /// Events caused by this person
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) actor_id: Option<String>,

    /// Additional parameter of each list, which this version has no option for
    #[arg(long, value_name = "NAME=VALUE", value_parser = param)]
    param: Vec<(String, String)>,

    /// Events per page, 1 to 1000; the default is 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    page_size: Option<u16>,
}

/// The options for writing files.
#[derive(Args, Clone, Debug)]
pub(crate) struct Commits {
    /// Compression of the output; unless set, the name of a single file decides (.gz, .zst), otherwise none
    #[arg(long, value_name = "METHOD", value_enum)]
    pub(crate) compress: Option<Codec>,

    /// Interval between commits to disk; 0s commits after each page
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = span)]
    pub(crate) commit_every: Duration,
}

impl ListNames {
    /// Checks what clap can't check.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.allow_unknown {
            return Ok(());
        }
        known("resource", &self.resource, Resource::KNOWN)?;
        known("type", &self.event_type, EventType::KNOWN)
    }

    /// A query for each resource and each type, in the order given.
    pub(crate) fn lists(&self, query: ListEvents) -> Vec<ListEvents> {
        let lists = each(vec![query], &self.resource, |query, resource| query.resource(resource));
        each(lists, &self.event_type, |query, event_type| query.event_type(event_type))
    }
}

impl Filters {
    /// Checks what clap can't check.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.names.check()
    }

    /// The queries with these filters and no time range.
    pub(crate) fn lists(&self) -> Vec<ListEvents> {
        let mut query = ListEvents::new();
        if let Some(id) = &self.actor_id {
            query = query.actor_id(id);
        }
        if let Some(events) = self.page_size {
            query = query.page_size(events);
        }
        for (name, value) in &self.param {
            query = query.param(name, value);
        }
        self.names.lists(query)
    }
}

/// Each query with each of these values, which are without repetitions then; the same queries if there is no value.
fn each<T>(
    queries: Vec<ListEvents>,
    values: &[T],
    set: impl Fn(ListEvents, &T) -> ListEvents,
) -> Vec<ListEvents> {
    if values.is_empty() {
        return queries;
    }
    let mut all = Vec::new();
    for query in &queries {
        for value in values {
            let query = set(query.clone(), value);
            if !all.contains(&query) {
                all.push(query);
            }
        }
    }
    all
}

fn known<T: AsRef<str> + PartialEq>(name: &str, given: &[T], known: &[T]) -> Result<(), Failure> {
    let Some(unknown) = given.iter().find(|given| !known.contains(given)) else { return Ok(()) };
    let unknown = unknown.as_ref();
    let known: Vec<_> = known.iter().map(AsRef::as_ref).collect();
    let similar = similar(unknown, &known).map_or(String::new(), |name| format!(" (did you mean {name}?)"));
    let known = known.join(", ");
    Err(Failure::usage(format!(
        "{unknown:?} is not a {name} that this version knows{similar}: known are {known}; if the service knows it, add --allow-unknown"
    )))
}

/// The known name that an unknown one most probably means, by the measure that clap uses for its own suggestions.
fn similar<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    let by_similarity = known.iter().map(|name| (strsim::jaro(&unknown, name), *name));
    let best = by_similarity.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(similarity, _)| *similarity > SIMILAR).map(|(_, name)| name)
}
