//! What was asked for: in words, which later runs must repeat, and as instants, which stay as they were.

use std::{collections::BTreeMap, net::IpAddr, path::Path, time::Duration};

use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};
use serde_json::Map;
use url::{Host, Url};
use webex_events::ListEvents;

use crate::{
    archive::{ArchiveKind, ArchiveMeta, Codec, Difference, RequestField, Slicing, StoredRequest},
    cli::{
        Connection, Export, Filters,
        values::{When, words},
    },
    error::{Code, Failure},
    run::next::next,
    service::Connected,
    ui::{messages, shutdown::Stop},
};

/// Clocks that are further apart than this are worth a word.
const APART: TimeDelta = TimeDelta::minutes(1);

/// The arguments that decide what comes out, by name.
pub(crate) type Asked = BTreeMap<String, String>;

/// What an export is asked for.
pub(crate) fn asked(export: &Export) -> Asked {
    let mut asked = of_all(&export.filters, export.commits.compress, &export.connection);
    let mut add = |name: &str, value: Option<String>| {
        asked.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("--from", export.from.map(|from| from.to_string()));
    add("--to", export.to.map(|to| to.to_string()));
    add("--slice", export.slice.map(words));
    if let Some(events) = export.sandbox {
        add("--sandbox", Some(events.to_string()));
        asked.remove("--base-url");
    }
    asked
}

/// What every command that writes is asked for.
pub(crate) fn of_all(filters: &Filters, compress: Option<Codec>, connection: &Connection) -> Asked {
    let mut asked = Asked::new();
    let mut add = |name: &str, value: Option<String>| {
        asked.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("--resource", filters.resource.as_ref().map(ToString::to_string));
    add("--type", filters.event_type.as_ref().map(ToString::to_string));
    add("--actor-id", filters.actor_id.clone());
    add("--compress", compress.map(|codec| codec.name().to_owned()));
    asked.extend(of_connection(connection));
    asked
}

/// Which service is asked.
pub(crate) fn of_connection(connection: &Connection) -> Asked {
    let service = connection.base_url.as_deref().map(service);
    service.map(|service| ("--base-url".to_owned(), service)).into_iter().collect()
}

/// A service by its name. One on this machine, such as a tunnel, may be at another port each time.
fn service(url: &str) -> String {
    let is_loopback = Url::parse(url).is_ok_and(|url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    });
    if is_loopback { "of this machine".to_owned() } else { url.trim_end_matches('/').to_owned() }
}

/// The request in the form that a ledger stores, without the instants that it means.
pub(crate) fn meta(
    kind: ArchiveKind,
    asked: &Asked,
    slicing: Option<Slicing>,
    compress: Codec,
) -> ArchiveMeta {
    let request = StoredRequest::from_options(asked);
    ArchiveMeta { kind, request, from: None, to: None, slicing, compress, begun: Utc::now() }
}

/// Refuses to continue an output with another request than it was begun with.
pub(crate) fn must_fit(path: &Path, was: &ArchiveMeta, is: &ArchiveMeta) -> Result<(), Failure> {
    let differences = was.differences(is);
    if differences.is_empty() {
        return Ok(());
    }
    let differences: Vec<_> = differences.iter().map(difference).collect();
    Err(Failure::usage(format!(
        "{} was begun by another command: {}; give the same one again, or choose another output with -o",
        path.display(),
        differences.join(", ")
    )))
}

/// A difference in the words of the command line.
fn difference(difference: &Difference) -> String {
    let option = match &difference.field {
        RequestField::Filter(name) => match name.as_str() {
            "actorId" => "--actor-id".to_owned(),
            name => format!("--{name}"),
        },
        RequestField::From => "--from".to_owned(),
        RequestField::To => "--to".to_owned(),
        RequestField::Slice => "--slice".to_owned(),
        RequestField::Take => "--take".to_owned(),
        RequestField::Compress => "--compress".to_owned(),
        RequestField::Service => "--base-url".to_owned(),
        RequestField::Sandbox => "--sandbox".to_owned(),
    };
    let value = |value: &String| match (&difference.field, value.parse()) {
        (RequestField::Slice, Ok(seconds)) => words(Duration::from_secs(seconds)),
        _ => value.clone(),
    };
    match (difference.in_ledger.as_ref().map(value), difference.requested.as_ref().map(value)) {
        (Some(was), Some(is)) => format!("{option} was {was} and now is {is}"),
        (Some(was), None) => format!("{option} {was} is missing"),
        (None, is) => format!("{option} {} is new", is.unwrap_or_default()),
    }
}

/// What time it is by the service's clock, found out by asking for one event.
pub(crate) async fn service_now(
    connected: &Connected,
    filters: &ListEvents,
    stop: &mut Stop,
) -> Result<DateTime<Utc>, Failure> {
    let mut page = connected.client.list(filters.clone()).take(1).pages();
    tokio::select! {
        biased;
        code = stop.wait() => return Err(Failure::new(code, "stopped before anything came")),
        page = next(&mut page) => {
            if let Some(Err(error)) = page {
                return Err(Failure::of(&error, None));
            }
        }
    }
    let now = connected.client.service_time().ok_or_else(|| {
        Failure::new(
            Code::Unavailable,
            "the service doesn't say what time it is, and without that no relative time can be told",
        )
    })?;
    let ahead = Utc::now() - now;
    if ahead.abs() > APART {
        let (seconds, side) =
            (ahead.abs().num_seconds(), if ahead > TimeDelta::zero() { "ahead of" } else { "behind" });
        // One of them is wrong. If it is the service's, an empty list of the wrong days would look complete.
        messages::warning(
            &format!(
                "this machine's clock is {seconds} s {side} the service's, by which it is {}: \
                 relative times go by the service's",
                now.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
            Map::new(),
        );
    }
    Ok(now)
}

/// A time range, as far as it is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) to: Option<DateTime<Utc>>,
}

impl Range {
    /// What the words mean at this moment: relative times count back from it, in whole seconds.
    pub(crate) fn at(now: DateTime<Utc>, from: Option<When>, to: Option<When>) -> Result<Self, Failure> {
        let instant = |name, when: Option<When>| {
            let Some(when) = when else { return Ok::<_, Failure>(None) };
            let instant = when
                .instant(seconds(now))
                .ok_or_else(|| Failure::usage(format!("{name} lies before all time; choose a later one")))?;
            Ok(Some(instant))
        };
        let (from, to) = (instant("--from", from)?, instant("--to", to)?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(Failure::usage(format!(
                "--from {from} isn't before --to {to}; choose an earlier --from"
            )));
        }
        Ok(Self { from, to })
    }

    pub(crate) fn of(self, mut query: ListEvents) -> ListEvents {
        if let Some(from) = self.from {
            query = query.from(from);
        }
        if let Some(to) = self.to {
            query = query.to(to);
        }
        query
    }
}

/// Rounded down, so that names of files are short and nothing is left out.
pub(crate) fn seconds(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.duration_trunc(TimeDelta::seconds(1)).unwrap_or(instant)
}

/// The beginning of the hour.
pub(crate) fn hour(instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let seconds = instant.timestamp();
    DateTime::from_timestamp(seconds - seconds.rem_euclid(3600), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_of_this_machine_may_move() {
        for (url, name) in [
            ("http://127.0.0.1:41234/v1", "of this machine"),
            ("http://localhost/v1", "of this machine"),
            ("http://[::1]:1/v1", "of this machine"),
            ("https://api-usgov.webex.com/v1/", "https://api-usgov.webex.com/v1"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(service(url), name);
        }
    }

    #[test]
    fn each_difference_is_named() {
        let meta = |pairs: &[(&str, &str)], slice| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let slicing = Some(Slicing { seconds: slice, is_aligned: true, margin_ms: 1 });
            meta(ArchiveKind::Export, &pairs.collect(), slicing, Codec::None)
        };
        let was = meta(&[("--from", "7d"), ("--resource", "rooms")], 3600);
        must_fit(Path::new("d"), &was, &was.clone()).unwrap();
        let is = meta(&[("--from", "8d"), ("--type", "created")], 7200);
        let failure = must_fit(Path::new("d"), &was, &is).unwrap_err();
        for part in [
            "--from was 7d and now is 8d",
            "--resource rooms is missing",
            "--type created is new",
            "--slice was 1h and now is 2h",
        ] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
    }

    #[test]
    fn every_instant_has_an_hour() {
        for (instant, expected) in [
            ("2026-01-15T12:59:59.999Z", "2026-01-15T12:00:00Z"),
            ("2026-01-15T12:00:00Z", "2026-01-15T12:00:00Z"),
            ("1969-12-31T23:30:00Z", "1969-12-31T23:00:00Z"),
            ("0001-01-01T00:00:00.5Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:00:00Z"),
        ] {
            assert_eq!(hour(instant.parse().unwrap()), expected.parse().ok(), "{instant}");
        }
    }

    #[test]
    fn relative_times_are_whole_seconds_and_fixed_ones_are_malformed_record() {
        let now = "2026-01-15T12:00:00.789Z".parse().unwrap();
        let fixed = "2026-01-15T11:00:00.123Z".parse().unwrap();
        let range =
            Range::at(now, Some(When::Ago(Duration::from_secs(86_400))), Some(When::At(fixed))).unwrap();
        assert_eq!(range, Range { from: "2026-01-14T12:00:00Z".parse().ok(), to: Some(fixed) });
        assert!(Range::at(now, Some(When::At(fixed)), Some(When::At(fixed))).is_err());
    }
}
