//! `ArchiveMeta`: the request, and the instants that it meant when the first run started.

use std::{collections::BTreeMap, fmt, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use webex_events::ListEvents;

use super::codec::Codec;

/// The part of a ledger that is the same in all runs of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ArchiveMeta {
    pub(crate) kind: ArchiveKind,
    pub(crate) request: StoredRequest,
    /// The instants that the request meant when the first run started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slicing: Option<Slicing>,
    /// The time in seconds for which late events were waited for: reading began at least this long after `to`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) waited_s: u64,
    pub(crate) compress: Codec,
    /// The start of the first run. A sandbox has its last event at this instant.
    pub(crate) begun: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ArchiveKind {
    /// One list in one file.
    File,
    /// One file for each slice of a range.
    Export,
    /// A follower: one file for each hour without an end, or a checkpoint without files.
    Follow,
}

impl fmt::Display for ArchiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "an export into a file",
            Self::Export => "an export into a folder",
            Self::Follow => "a follower",
        })
    }
}

/// The division of a range into slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slicing {
    pub(crate) seconds: u64,
    /// True if slices start at multiples of their length, counted from 1970. Otherwise they are counted from the
    /// start of the range.
    pub(crate) is_aligned: bool,
    /// The margin that each slice requests at both ends of its range.
    pub(crate) margin_ms: u64,
}

impl Slicing {
    pub(crate) fn length(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// A request as the ledger stores it. A later run must have the same one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredRequest {
    /// The filters in the form that [`ListEvents`] has in JSON, without its range and page size. A filter of
    /// [`ALTERNATIVES`] with several values is an array of them.
    pub(crate) query: Map<String, Value>,
    /// As given: an instant, or an age such as `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    /// The largest number of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) take: Option<u64>,
    /// The URL of another service than the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    /// The number of events of the sandbox that is exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sandbox: Option<u64>,
}

/// A part of a request that differs between two runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) field: RequestField,
    pub(crate) in_ledger: Option<String>,
    pub(crate) requested: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RequestField {
    /// A filter, by its name in the query.
    Filter(String),
    From,
    To,
    /// The length of a slice, in seconds.
    Slice,
    Take,
    Compress,
    Service,
    Sandbox,
}

/// The parts of a query that aren't filters.
const NO_FILTERS: [&str; 3] = ["from", "to", "max"];
/// The filters that can have several values. There is a list for each combination, the first filter first.
const ALTERNATIVES: [&str; 2] = ["resource", "type"];

impl StoredRequest {
    /// A request with the filters of this query, without its range and page size.
    pub(crate) fn of(query: &ListEvents) -> Self {
        let query = match serde_json::to_value(query) {
            Ok(Value::Object(query)) => query,
            _ => Map::new(),
        };
        let is_filter = |name: &str, value: &Value| {
            let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            !NO_FILTERS.contains(&name) && !is_empty
        };
        let query = query.into_iter().filter(|(name, value)| is_filter(name, value)).collect();
        Self { query, ..Self::default() }
    }

    /// The same request for all of these lists, which must have every combination of their alternatives.
    pub(crate) fn of_lists(lists: &[ListEvents]) -> Self {
        let lists: Vec<_> = lists.iter().map(Self::of).collect();
        let mut request = lists.first().cloned().unwrap_or_default();
        for name in ALTERNATIVES {
            let mut values: Vec<Value> = Vec::new();
            for value in lists.iter().filter_map(|list| list.query.get(name)) {
                if !values.contains(value) {
                    values.push(value.clone());
                }
            }
            if values.len() > 1 {
                request.query.insert(name.to_owned(), values.into());
            }
        }
        request
    }

    /// The queries of its lists, in their order, without a range.
    pub(crate) fn lists(&self) -> serde_json::Result<Vec<ListEvents>> {
        let mut queries = vec![self.query.clone()];
        for name in ALTERNATIVES {
            let Some(Value::Array(values)) = self.query.get(name) else { continue };
            let with = |query: &Map<String, Value>, value: &Value| {
                let mut query = query.clone();
                query.insert(name.to_owned(), value.clone());
                query
            };
            queries =
                queries.iter().flat_map(|query| values.iter().map(move |value| with(query, value))).collect();
        }
        queries.into_iter().map(|query| serde_json::from_value(Value::Object(query))).collect()
    }

    /// The number of its lists.
    pub(crate) fn list_count(&self) -> usize {
        let alternatives = ALTERNATIVES.iter().filter_map(|name| self.query.get(*name)?.as_array());
        alternatives.map(Vec::len).product()
    }

    /// A request as version 1 of the format stored it: by the names of options. Their form of `--slice` and
    /// `--compress` isn't needed, since the ledger has both by themselves.
    pub(crate) fn from_options(options: &BTreeMap<String, String>) -> Self {
        let mut query = ListEvents::new();
        if let Some(resource) = options.get("--resource") {
            query = query.resource(resource.as_str());
        }
        if let Some(event_type) = options.get("--type") {
            query = query.event_type(event_type.as_str());
        }
        if let Some(id) = options.get("--actor-id") {
            query = query.actor_id(id);
        }
        Self {
            from: options.get("--from").cloned(),
            to: options.get("--to").cloned(),
            take: options.get("--take").and_then(|take| take.parse().ok()),
            service: options.get("--base-url").cloned(),
            sandbox: options.get("--sandbox").and_then(|events| events.parse().ok()),
            ..Self::of(&query)
        }
    }

    fn fields(&self) -> BTreeMap<RequestField, String> {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let own = [
            (RequestField::From, self.from.clone()),
            (RequestField::To, self.to.clone()),
            (RequestField::Take, number(self.take)),
            (RequestField::Service, self.service.clone()),
            (RequestField::Sandbox, number(self.sandbox)),
        ];
        let filters =
            self.query.iter().map(|(name, value)| (RequestField::Filter(name.clone()), Some(text(value))));
        filters.chain(own).filter_map(|(field, value)| Some((field, value?))).collect()
    }
}

impl ArchiveMeta {
    /// The differences between a later request and this one. Instants aren't compared: the first run fixes them.
    pub(crate) fn differences(&self, later: &Self) -> Vec<Difference> {
        let (was, is) = (self.fields(), later.fields());
        let fields: std::collections::BTreeSet<_> = was.keys().chain(is.keys()).collect();
        let differences = fields.into_iter().map(|field| Difference {
            field: field.clone(),
            in_ledger: was.get(field).cloned(),
            requested: is.get(field).cloned(),
        });
        differences.filter(|difference| difference.in_ledger != difference.requested).collect()
    }

    fn fields(&self) -> BTreeMap<RequestField, String> {
        let mut fields = self.request.fields();
        // The hours of a follower aren't an option.
        if let (ArchiveKind::Export, Some(slicing)) = (self.kind, self.slicing) {
            fields.insert(RequestField::Slice, slicing.seconds.to_string());
        }
        if self.compress != Codec::None {
            fields.insert(RequestField::Compress, self.compress.name().to_owned());
        }
        fields
    }
}

/// The text of a filter's value: alternatives and parameters are separated by commas, and the name and the value of a
/// parameter by `=`.
fn text(value: &Value) -> String {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let Some(values) = value.as_array() else { return one(value) };
    let each = values.iter().map(|value| match value.as_array() {
        Some(pair) => pair.iter().map(one).collect::<Vec<_>>().join("="),
        None => one(value),
    });
    each.collect::<Vec<_>>().join(",")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
pub(super) fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(request: StoredRequest) -> ArchiveMeta {
        ArchiveMeta {
            kind: ArchiveKind::Export,
            request,
            from: None,
            to: None,
            slicing: Some(Slicing { seconds: 3600, is_aligned: true, margin_ms: 1 }),
            waited_s: 0,
            compress: Codec::None,
            begun: "2026-01-05T09:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_request_is_stored_without_range_and_page_size() {
        let query = ListEvents::new().resource("rooms").actor_id("a").param("x", "y");
        let now = "2026-01-05T09:00:00Z".parse().unwrap();
        let stored = StoredRequest::of(&query.clone().from(now).to(now).page_size(7));
        assert_eq!((stored.lists().unwrap(), &stored), (vec![query.clone()], &StoredRequest::of(&query)));
        assert_eq!(stored.list_count(), 1);
    }

    #[test]
    fn several_lists_are_stored_as_alternatives_and_read_in_the_same_order() {
        let base = ListEvents::new().actor_id("a");
        let list = |resource: &str, event_type: &str| base.clone().resource(resource).event_type(event_type);
        let lists = [
            list("rooms", "deleted"),
            list("rooms", "created"),
            list("messages", "deleted"),
            list("messages", "created"),
        ];
        let stored = StoredRequest::of_lists(&lists);
        assert_eq!((stored.lists().unwrap().as_slice(), stored.list_count()), (lists.as_slice(), 4));
        let text =
            r#"{"query":{"actorId":"a","resource":["rooms","messages"],"type":["deleted","created"]}}"#;
        let value = serde_json::to_value(&stored).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
        let one = StoredRequest::of_lists(&lists[..1]);
        assert_eq!(one, StoredRequest::of(&lists[0]), "a single list has no alternatives");
    }

    #[test]
    fn options_of_version_1_are_the_same_request() {
        let options = [
            ("--resource", "rooms"),
            ("--type", "created"),
            ("--from", "7d"),
            ("--slice", "6h"),
            ("--sandbox", "100"),
            ("--base-url", "https://example.com"),
            ("follow", "by the hour"),
        ];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let expected = StoredRequest {
            from: Some("7d".to_owned()),
            sandbox: Some(100),
            service: Some("https://example.com".to_owned()),
            ..StoredRequest::of(&ListEvents::new().resource("rooms").event_type("created"))
        };
        assert_eq!(StoredRequest::from_options(&options), expected);
    }

    #[test]
    fn each_difference_is_named_by_its_field() {
        let request = |resource: &str, from: Option<&str>| StoredRequest {
            from: from.map(str::to_owned),
            ..StoredRequest::of(&ListEvents::new().resource(resource))
        };
        let was = meta(request("rooms", Some("7d")));
        assert!(was.differences(&was).is_empty());
        let is = ArchiveMeta {
            slicing: Some(Slicing { seconds: 60, is_aligned: true, margin_ms: 1 }),
            compress: Codec::Zstd,
            to: Some(was.begun),
            ..meta(request("files", None))
        };
        let found = was.differences(&is);
        let text = |text: &str| Some(text.to_owned());
        let difference = |field, in_ledger, requested| Difference { field, in_ledger, requested };
        assert_eq!(
            found,
            [
                difference(RequestField::Filter("resource".to_owned()), text("rooms"), text("files")),
                difference(RequestField::From, text("7d"), None),
                difference(RequestField::Slice, text("3600"), text("60")),
                difference(RequestField::Compress, None, text("zstd")),
            ]
        );
    }
}
