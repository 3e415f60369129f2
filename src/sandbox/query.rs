//! The parameters of a list, their bounds, and the links that repeat them.

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};
use url::form_urlencoded::{self, Serializer};

use super::{json, store::Store};
use crate::event::{EventType, Resource};

/// The inclusion of the instants `from` and `to` in the list that they bound.
///
/// The service doesn't document it: its reference has "after" and "before" for `/events`, and an inclusive
/// `from` with an exclusive `to` for similar lists. A client should be correct with each of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bounds {
    /// `from` is included, `to` isn't. The default.
    #[default]
    HalfOpen,
    /// Both are included.
    Inclusive,
    /// Neither is included.
    Exclusive,
}

impl Bounds {
    /// The first and the last millisecond within.
    pub(super) fn apply(self, from: Option<QueryTime>, to: Option<QueryTime>, now: i64) -> (i64, i64) {
        let first = from.map_or(i64::MIN, |from| match self {
            Self::HalfOpen | Self::Inclusive => from.millis.saturating_add(from.has_submillis.into()),
            Self::Exclusive => from.millis.saturating_add(1),
        });
        let last = to.map_or(now, |to| match self {
            Self::Inclusive => to.millis,
            Self::HalfOpen | Self::Exclusive => to.millis.saturating_sub((!to.has_submillis).into()),
        });
        (first, last)
    }
}

/// A time in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct QueryTime {
    pub(super) millis: i64,
    /// True if the time is a fraction of a millisecond after `millis`.
    pub(super) has_submillis: bool,
}

impl QueryTime {
    fn parse(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
        let has_submillis = time.timestamp_subsec_nanos() % 1_000_000 != 0;
        Some(Self { millis: time.timestamp_millis(), has_submillis })
    }
}

/// The parameters of a request for a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Query {
    pub(super) resource: Option<String>,
    pub(super) event_type: Option<String>,
    pub(super) actor_id: Option<String>,
    pub(super) service_type: Option<String>,
    pub(super) from: Option<QueryTime>,
    pub(super) to: Option<QueryTime>,
    pub(super) max: usize,
}

impl Query {
    /// Reads a query string: the query, and a cursor if it has one. An error names the parameter.
    pub(super) fn parse(text: &str) -> Result<(Self, Option<String>), &'static str> {
        let mut query = Self {
            resource: None,
            event_type: None,
            actor_id: None,
            service_type: None,
            from: None,
            to: None,
            max: 100,
        };
        let mut cursor = None;
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "resource" => query.resource = Some(value),
                "type" => query.event_type = Some(value),
                "actorId" => query.actor_id = Some(value),
                "serviceType" => query.service_type = Some(value),
                "from" => query.from = Some(QueryTime::parse(&value).ok_or("from")?),
                "to" => query.to = Some(QueryTime::parse(&value).ok_or("to")?),
                "max" => {
                    query.max = value.parse().ok().filter(|max| (1..=1000).contains(max)).ok_or("max")?;
                }
                "cursor" => cursor = Some(value),
                _ => {}
            }
        }
        Ok((query, cursor))
    }

    /// Returns the message of the service's 400 for an invalid query. `to` is checked only without a cursor: in the link
    /// of an older page it is the time of the first request.
    pub(super) fn check(&self, store: &Store, now: i64, has_cursor: bool) -> Result<(), String> {
        let invalid = |name| Err(format!("Invalid value for parameter: {name}"));
        let known = |name: &str| !matches!(Resource::from(name), Resource::Unknown(_));
        if self.resource.as_ref().is_some_and(|name| !known(name) && !store.knows_resource(name)) {
            return invalid("resource");
        }
        let known = |name: &str| !matches!(EventType::from(name), EventType::Unknown(_));
        if self.event_type.as_ref().is_some_and(|name| !known(name) && !store.knows_type(name)) {
            return invalid("type");
        }
        if self.actor_id.as_deref() == Some("") {
            return invalid("actorId");
        }
        match (self.resource.as_deref(), self.service_type.as_deref()) {
            (_, Some("calling")) => {}
            (_, Some(_)) => return invalid("serviceType"),
            (Some("convergedRecordings"), None) => {
                return Err("Required parameter 'serviceType' is not present".to_owned());
            }
            _ => {}
        }
        if has_cursor {
            return Ok(());
        }
        if self.to.is_some_and(|to| to > QueryTime { millis: now, has_submillis: false }) {
            return Err("'to' cannot be set to a future date relative to the current time".to_owned());
        }
        if self.from.zip(self.to).is_some_and(|(from, to)| from > to) {
            return Err("'from' must not be later than 'to'".to_owned());
        }
        Ok(())
    }

    /// True if the query has a `from` and a `to`, and they include this instant.
    pub(super) fn covers(&self, instant: DateTime<Utc>) -> bool {
        let millis = instant.timestamp_millis();
        let range = self.from.zip(self.to);
        range.is_some_and(|(from, to)| (from.millis..=to.millis).contains(&millis))
    }

    /// The query string of a link to another page of this list.
    pub(super) fn with_cursor(&self, cursor: &str) -> String {
        let mut pairs = Serializer::new(String::new());
        pairs.append_pair("cursor", cursor);
        for (name, time) in [("from", self.from), ("to", self.to)] {
            if let Some(time) = time {
                pairs.append_pair(name, &json::time(time.millis));
            }
        }
        pairs.append_pair("max", &self.max.to_string());
        for (name, value) in [
            ("resource", &self.resource),
            ("type", &self.event_type),
            ("actorId", &self.actor_id),
            ("serviceType", &self.service_type),
        ] {
            if let Some(value) = value {
                pairs.append_pair(name, value);
            }
        }
        pairs.finish()
    }

    /// A hash by which a cursor recognizes its query.
    pub(super) fn hash_value(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_a_round_trip_through_a_link() {
        let text = "max=7&resource=messages&from=2026-01-05T09:00:00.000Z&unknown=1&cursor=c";
        let (query, cursor) = Query::parse(text).unwrap();
        assert_eq!(
            (query.max, query.resource.as_deref(), cursor.as_deref()),
            (7, Some("messages"), Some("c"))
        );
        let again = Query::parse(&query.with_cursor("d")).unwrap();
        assert_eq!(again, (query, Some("d".to_owned())));
    }

    #[test]
    fn values_out_of_bounds_name_their_parameter() {
        for (text, name) in [
            ("max=0", "max"),
            ("max=1001", "max"),
            ("max=null", "max"),
            ("from=yesterday", "from"),
            ("to=", "to"),
            ("from=2026-01-05T09:00:00+00:00", "from"), // a bare plus is a space
        ] {
            assert_eq!(Query::parse(text), Err(name), "{text}");
        }
    }

    #[test]
    fn bounds_differ_only_in_their_instants() {
        let at = |millis| Some(QueryTime { millis, has_submillis: false });
        let part = |millis| Some(QueryTime { millis, has_submillis: true });
        for (bounds, expected) in
            [(Bounds::HalfOpen, (5, 8)), (Bounds::Inclusive, (5, 9)), (Bounds::Exclusive, (6, 8))]
        {
            assert_eq!(bounds.apply(at(5), at(9), 0), expected);
            assert_eq!(bounds.apply(part(5), part(9), 0), (6, 9));
            assert_eq!(bounds.apply(None, None, 7), (i64::MIN, 7));
        }
    }
}
