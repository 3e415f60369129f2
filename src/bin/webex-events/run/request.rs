//! The request of a run. A later run of the same output must have the same request.

use std::{collections::BTreeMap, net::IpAddr, path::Path, time::Duration};

use chrono::Utc;
use url::{Host, Url};

use crate::{
    archive::{ArchiveKind, ArchiveMeta, Codec, Difference, RequestField, Slicing, StoredRequest},
    cli::{Connection, ExportArgs, FollowArgs, values::words},
    error::Failure,
};

/// A request as command line options: values by the names of the options.
pub(crate) type Options = BTreeMap<String, String>;

/// The request of an export, without its instants. `slicing` is `Some` for a folder.
pub(crate) fn of_export(export: &ExportArgs, kind: ArchiveKind, slicing: Option<Slicing>) -> ArchiveMeta {
    let request = StoredRequest {
        from: export.from.map(|from| from.to_string()),
        to: export.to.map(|to| to.to_string()),
        take: export.take.and_then(|take| u64::try_from(take).ok()),
        service: if export.sandbox.is_some() { None } else { service(&export.connection) },
        sandbox: export.sandbox.map(u64::from),
        ..StoredRequest::of_lists(&export.filters.lists())
    };
    meta(kind, request, slicing, export.commits.compress.unwrap_or_default())
}

/// The request of a follower. `slicing` is `Some` for a folder.
pub(crate) fn of_follower(follow: &FollowArgs, slicing: Option<Slicing>) -> ArchiveMeta {
    let service = service(&follow.connection);
    let request = StoredRequest { service, ..StoredRequest::of_lists(&follow.filters.lists()) };
    meta(ArchiveKind::Follow, request, slicing, follow.commits.compress.unwrap_or_default())
}

fn meta(kind: ArchiveKind, request: StoredRequest, slicing: Option<Slicing>, compress: Codec) -> ArchiveMeta {
    ArchiveMeta { kind, request, from: None, to: None, slicing, waited_s: 0, compress, begun: Utc::now() }
}

/// The service, if it isn't the default. The port of one on this machine, such as a tunnel, can differ from run to run
/// and is ignored.
pub(crate) fn service(connection: &Connection) -> Option<String> {
    connection.base_url.as_deref().map(service_name)
}

fn service_name(url: &str) -> String {
    let is_loopback = Url::parse(url).is_ok_and(|url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    });
    if is_loopback { "of this machine".to_owned() } else { url.trim_end_matches('/').to_owned() }
}

/// Refuses to resume an output with a request that differs from its first one.
pub(crate) fn must_fit(path: &Path, was: &ArchiveMeta, is: &ArchiveMeta) -> Result<(), Failure> {
    let differences: Vec<_> = was.differences(is).iter().map(difference).collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} was started by another command: {}; give the arguments of that command, or choose another output with -o",
        path.display(),
        differences.join(", ")
    )))
}

/// The options of a request.
pub(crate) fn options(meta: &ArchiveMeta) -> Options {
    let nothing = ArchiveMeta {
        request: StoredRequest::default(),
        slicing: None,
        compress: Codec::None,
        ..meta.clone()
    };
    let differences = nothing.differences(meta).into_iter();
    differences.filter_map(|part| Some((option(&part.field), value(&part.field, &part.requested?)))).collect()
}

fn difference(difference: &Difference) -> String {
    let option = option(&difference.field);
    let value = |text: &Option<String>| text.as_deref().map(|text| value(&difference.field, text));
    match (value(&difference.in_ledger), value(&difference.requested)) {
        (Some(was), Some(is)) => format!("{option} was {was} and now is {is}"),
        (Some(was), None) => format!("{option} {was} is missing"),
        (None, is) => format!("{option} {} is new", is.unwrap_or_default()),
    }
}

fn option(field: &RequestField) -> String {
    match field {
        RequestField::Filter(name) if name == "actorId" => "--actor-id".to_owned(),
        RequestField::Filter(name) if name == "params" => "--param".to_owned(),
        RequestField::Filter(name) => format!("--{name}"),
        RequestField::From => "--from".to_owned(),
        RequestField::To => "--to".to_owned(),
        RequestField::Slice => "--slice".to_owned(),
        RequestField::Take => "--take".to_owned(),
        RequestField::Compress => "--compress".to_owned(),
        RequestField::Service => "--base-url".to_owned(),
        RequestField::Sandbox => "--sandbox".to_owned(),
    }
}

fn value(field: &RequestField, text: &str) -> String {
    match (field, text.parse()) {
        (RequestField::Slice, Ok(seconds)) => words(Duration::from_secs(seconds)),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use webex_events::ListEvents;

    use super::*;

    #[test]
    fn the_port_of_a_service_on_this_machine_can_change() {
        for (url, name) in [
            ("http://127.0.0.1:41234/v1", "of this machine"),
            ("http://localhost/v1", "of this machine"),
            ("http://[::1]:1/v1", "of this machine"),
            ("https://api-usgov.webex.com/v1/", "https://api-usgov.webex.com/v1"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(service_name(url), name);
        }
    }

    fn export(query: &ListEvents, from: &str, seconds: u64) -> ArchiveMeta {
        let request = StoredRequest { from: Some(from.to_owned()), ..StoredRequest::of(query) };
        let slicing = Some(Slicing { seconds, is_aligned: true, margin_ms: 1 });
        meta(ArchiveKind::Export, request, slicing, Codec::None)
    }

    #[test]
    fn each_difference_is_named() {
        let was = export(&ListEvents::new().resource("rooms"), "7d", 3600);
        must_fit(Path::new("d"), &was, &was).unwrap();
        let is = export(&ListEvents::new().event_type("created"), "8d", 7200);
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
    fn a_request_is_shown_as_options() {
        let options = options(&export(&ListEvents::new().actor_id("me"), "7d", 3600));
        let expected = [("--actor-id", "me"), ("--from", "7d"), ("--slice", "1h")];
        assert_eq!(options, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
