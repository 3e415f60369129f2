//! `ListEvents`: the query of a list.

use chrono::{DateTime, Datelike, Duration, DurationRound, SecondsFormat, Utc};
use url::Url;

use crate::{
    error::{Error, Result},
    event::{EventType, Resource},
};

mod stored;

/// The query of a list: filters, range and page size. It is a plain value, without a client.
///
/// Everything is optional. Without [`from`](Self::from) the service chooses the start, some weeks ago;
/// this is undocumented, so set it if it matters. Without [`to`](Self::to) the list
/// ends at the time of its first page. It is undocumented too whether the range includes its two instants.
///
/// Every format of serde stores it as a map of what is set, by the names of the service's parameters. A stored query
/// with an unknown member is refused, because ignoring it could list other events.
///
/// ```
/// use chrono::{TimeDelta, Utc};
/// use webex_events::{EventType, ListEvents, Resource};
///
/// let deleted_this_week = ListEvents::new()
///     .resource(Resource::Messages)
///     .event_type(EventType::Deleted)
///     .from(Utc::now() - TimeDelta::days(7));
/// assert_eq!(deleted_this_week, deleted_this_week.clone());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use = "a query is sent by `Client::list`"]
pub struct ListEvents {
    resource: Option<Resource>,
    event_type: Option<EventType>,
    actor_id: Option<String>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    page_size: Option<u16>,
    params: Vec<(String, String)>,
}

/// The most events that a page can have, which is the default.
const CEILING: u16 = 1000;

/// The parameters that have setters of their own.
const OWN: [&str; 6] = ["resource", "type", "actorId", "from", "to", "max"];

impl ListEvents {
    /// A query for all events of all resources.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists only events of this resource. For [`Resource::ConvergedRecordings`] the parameter that the
    /// service requires with it, `serviceType=calling`, is sent too, unless [`param`](Self::param)
    /// sets another.
    pub fn resource(mut self, resource: impl Into<Resource>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Lists only events of this type.
    pub fn event_type(mut self, event_type: impl Into<EventType>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Lists only events of actions by this person. An empty id makes the list end with [`Error::Query`].
    pub fn actor_id(mut self, id: impl Into<String>) -> Self {
        self.actor_id = Some(id.into());
        self
    }

    /// Lists only events after this instant, which is sent in UTC, rounded down to the millisecond.
    ///
    /// It must lie before [`to`](Self::to), or the list ends with [`Error::Query`]. An instant more than 90 days
    /// ago needs the Pro Pack; without it, the service refuses the list
    /// ([`is_beyond_retention`](Error::is_beyond_retention)).
    pub fn from(mut self, instant: DateTime<Utc>) -> Self {
        self.from = Some(instant);
        self
    }

    /// Lists only events before this instant, which is sent in UTC, rounded up to the millisecond.
    ///
    /// The service refuses an instant in the future; to list up to now, don't set it.
    pub fn to(mut self, instant: DateTime<Utc>) -> Self {
        self.to = Some(instant);
        self
    }

    /// Sets the number of events of a page (`max`), 1 to 1,000; any other number makes the list end
    /// with [`Error::Query`]. The default is 1,000. To limit the number of events that are listed, use
    /// [`EventStream::take`](crate::EventStream::take).
    pub fn page_size(mut self, events: u16) -> Self {
        self.page_size = Some(events);
        self
    }

    /// Adds a parameter that this crate has no setter for. One that has a setter makes the list
    /// end with [`Error::Query`].
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push((name.into(), value.into()));
        self
    }

    /// The same query with pages of at most `events`.
    pub(crate) fn limited_to(&self, events: usize) -> Option<Self> {
        let events = u16::try_from(events).unwrap_or(CEILING).max(1);
        (events < self.page_size.unwrap_or(CEILING)).then(|| Self { page_size: Some(events), ..self.clone() })
    }

    /// The same query with half the page size; `None` if that can't be halved.
    pub(crate) fn halved(&self) -> Option<Self> {
        let half = self.page_size.unwrap_or(CEILING) / 2;
        (half > 0).then(|| Self { page_size: Some(half), ..self.clone() })
    }

    /// Returns whether `to` is set.
    pub(crate) fn has_end(&self) -> bool {
        self.to.is_some()
    }

    /// Returns `from` and `to`, if both are set.
    pub(crate) fn range(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        Some((self.from?, self.to?))
    }

    /// The same query without `from` and `to`.
    pub(crate) fn unbounded(&self) -> Self {
        Self { from: None, to: None, ..self.clone() }
    }

    /// Returns whether both list the same events, in pages of any size.
    pub(crate) fn is_same_list(&self, other: &Self) -> bool {
        Self { page_size: other.page_size, ..self.clone() } == *other
    }

    /// The URL of the first page, where `events` is the URL of the list without a query.
    pub(crate) fn url(&self, events: &Url) -> Result<Url> {
        self.check()?;
        let mut url = events.clone();
        {
            let mut query = url.query_pairs_mut();
            let mut add = |name: &str, value: Option<&str>| {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            };
            add("resource", self.resource.as_ref().map(Resource::as_str));
            add("type", self.event_type.as_ref().map(EventType::as_str));
            add("actorId", self.actor_id.as_deref());
            add("from", self.from.map(|from| wire_time(floor(from))).as_deref());
            add("to", self.to.map(|to| wire_time(ceil(to))).as_deref());
            add("max", Some(&self.page_size.unwrap_or(CEILING).to_string()));
            if self.resource == Some(Resource::ConvergedRecordings) && !self.has_param("serviceType") {
                add("serviceType", Some("calling"));
            }
            for (name, value) in &self.params {
                add(name, Some(value));
            }
        }
        Ok(url)
    }

    fn has_param(&self, name: &str) -> bool {
        self.params.iter().any(|(other, _)| other == name)
    }

    /// Checks that the query can be sent.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(size) = self.page_size
            && !(1..=CEILING).contains(&size)
        {
            return Err(Error::query(format!("a page size of {size} isn't in 1..=1000")));
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(Error::query(format!("`from` ({from:?}) isn't before `to` ({to:?})")));
        }
        for time in [self.from, self.to].into_iter().flatten() {
            if !(1..=9998).contains(&time.year()) {
                return Err(Error::query(format!("the year of {time:?} hasn't four digits")));
            }
        }
        if self.actor_id.as_deref().is_some_and(|id| id.trim().is_empty()) {
            return Err(Error::query("the actor id is empty"));
        }
        for (name, _) in &self.params {
            if name.is_empty() {
                return Err(Error::query("a parameter has no name"));
            }
            if OWN.contains(&name.as_str()) {
                return Err(Error::query(format!("the parameter `{name}` has a setter of its own")));
            }
        }
        Ok(())
    }
}

/// ISO 8601 in UTC with milliseconds and `Z`, as the reference gives it (section 1.1).
fn wire_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn floor(time: DateTime<Utc>) -> DateTime<Utc> {
    // Fails outside the years 1677 to 2262 only, where nothing is sent to the nanosecond anyway.
    time.duration_trunc(Duration::milliseconds(1)).unwrap_or(time)
}

fn ceil(time: DateTime<Utc>) -> DateTime<Utc> {
    let floor = floor(time);
    if floor == time { time } else { floor + Duration::milliseconds(1) }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn url(query: &ListEvents) -> Result<String> {
        let url = query.url(&Url::parse("https://webexapis.com/v1/events").unwrap())?;
        Ok(url.query().unwrap_or_default().to_owned())
    }

    fn at(nanos: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 1, 5, 9, 0, 0).unwrap() + Duration::nanoseconds(nanos.into())
    }

    #[test]
    fn every_setter_reaches_the_wire() {
        let query = ListEvents::new()
            .resource("messages")
            .event_type(EventType::Deleted)
            .actor_id("Y2lz")
            .from(at(0))
            .to(at(5_000_000))
            .page_size(7)
            .param("hasAttachments", "a b&c");
        assert_eq!(
            url(&query).unwrap(),
            "resource=messages&type=deleted&actorId=Y2lz&from=2026-01-05T09%3A00%3A00.000Z\
             &to=2026-01-05T09%3A00%3A00.005Z&max=7&hasAttachments=a+b%26c"
        );
    }

    #[test]
    fn a_page_is_as_large_as_it_can_be_by_default() {
        assert_eq!(url(&ListEvents::new()).unwrap(), "max=1000");
    }

    #[test]
    fn a_window_is_rounded_outwards() {
        let query = url(&ListEvents::new().from(at(1_999_999)).to(at(2_000_001))).unwrap();
        assert!(query.contains("00.001Z&to=") && query.contains("00.003Z"), "{query}");
    }

    #[test]
    fn converged_recordings_bring_their_service_type() {
        let recordings = ListEvents::new().resource(Resource::ConvergedRecordings);
        assert!(url(&recordings).unwrap().ends_with("&serviceType=calling"));
        let other = url(&recordings.param("serviceType", "other")).unwrap();
        assert!(other.ends_with("serviceType=other") && !other.contains("calling"), "{other}");
    }

    #[test]
    fn impossible_values_are_refused_and_shown() {
        let far = DateTime::<Utc>::MAX_UTC;
        for (query, shown) in [
            (ListEvents::new().page_size(0), "0"),
            (ListEvents::new().page_size(1001), "1001"),
            (ListEvents::new().from(at(0)).to(at(0)), "2026-01-05"),
            (ListEvents::new().from(at(1)).to(at(0)), "2026-01-05"),
            (ListEvents::new().from(far), "four digits"),
            (ListEvents::new().actor_id(" "), "actor"),
            (ListEvents::new().param("", "x"), "name"),
            (ListEvents::new().param("max", "5"), "max"),
        ] {
            let error = url(&query).unwrap_err();
            assert!(matches!(&error, Error::Query(text) if text.contains(shown)), "{error}");
        }
    }

    #[test]
    fn a_limit_never_makes_a_page_larger() {
        for (size, events, expected) in [
            (None, 5, Some(5)),
            (Some(3), 5, None),
            (Some(9), 5, Some(5)),
            (Some(5), 5, None),
            (None, 1000, None),
            (None, 1 << 20, None),
            (None, 0, Some(1)),
        ] {
            let query = ListEvents { page_size: size, ..ListEvents::new() };
            assert_eq!(query.limited_to(events).map(|query| query.page_size), expected.map(Some));
        }
    }

    #[test]
    fn halving_ends_at_one() {
        let mut query = ListEvents::new();
        let sizes: Vec<_> = std::iter::from_fn(|| {
            query = query.halved()?;
            query.page_size
        })
        .collect();
        assert_eq!(sizes, [500, 250, 125, 62, 31, 15, 7, 3, 1]);
    }
}
