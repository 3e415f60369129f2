//! The targets of links: only allowed origins, and only URLs that are sent byte for byte as given.

use std::str;

use http::{Uri, uri::PathAndQuery};
use url::{Origin, Position, Url};

use super::{
    malformed,
    parse::{is_scheme, is_uri_byte},
    redacted,
};
use crate::error::{Error, LinkErrorKind, Result};

/// The origins that the token may be sent to: the base URL's and the allowed ones.
#[derive(Clone, Debug)]
pub(crate) struct AllowedOrigins(Vec<Origin>);

impl AllowedOrigins {
    pub(crate) fn new(base: &Url) -> Self {
        Self(vec![base.origin()])
    }

    pub(crate) fn add(&mut self, origin: &Url) {
        self.0.push(origin.origin());
    }

    /// Returns whether `url` has one of these origins and no user info. Only http and https are allowed:
    /// a `blob:` URL, for example, has the origin of the URL that it wraps.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && self.0.contains(&url.origin())
    }

    /// Admits a URL from outside, such as a cursor's.
    ///
    /// # Errors
    ///
    /// [`Error::Link`] if it isn't an absolute URL that is sent byte for byte as given
    /// (`Malformed`), or has another origin (`CrossOrigin`).
    pub(crate) fn admit(&self, target: &str) -> Result<Url> {
        self.resolve(target.as_bytes(), None)
    }

    /// Resolves `target` against `page` and admits the result.
    pub(super) fn resolve(&self, target: &[u8], page: Option<&Url>) -> Result<Url> {
        let bad = |what: &str| malformed(format!("its target {what}: {}", redacted(target)));
        let foreign = |what: &str| {
            Error::link(LinkErrorKind::CrossOrigin, format!("its target has {what}: {}", redacted(target)))
        };
        let text = match str::from_utf8(target) {
            Ok(text) if target.iter().all(|&byte| is_uri_byte(byte)) => text,
            _ => return Err(bad("has bytes that no URI has")),
        };
        let Reference { scheme, authority, path_and_query } =
            Reference::split(text).ok_or_else(|| bad("has a colon where only a scheme's can be"))?;
        if scheme.is_some_and(|scheme| !is_http(scheme)) {
            return Err(foreign("a scheme other than http and https"));
        }
        let expected = match (scheme, authority, page) {
            (_, Some(""), _) | (Some(_), None, _) => return Err(bad("has no host")),
            (None, _, None) => return Err(bad("is not absolute")),
            (_, Some(authority), _) if authority.contains('@') => return Err(foreign("user info")),
            // Compared as written, since `url` has other spellings of a host (`%77ebexapis.com`) too.
            (_, Some(authority), _) if !self.has_host(without_port(authority)) => {
                return Err(foreign("another host"));
            }
            (_, Some(_), _) => path_and_query.to_owned(),
            (None, None, Some(page)) => merge(page, path_and_query),
        };
        let url = page.map_or_else(|| Url::parse(text), |page| page.join(text));
        let url = url.map_err(|error| bad(&format!("is not a URL, {error}")))?;
        if !self.allows(&url) {
            return Err(foreign("another scheme or port"));
        }
        // A fragment is never sent, and `url` normalizes some paths and queries: `/a/../b`, `/%2e/`,
        // `'` in a query.
        let sent = &url[Position::BeforePath..Position::AfterQuery];
        let uri = Uri::try_from(url.as_str()).map_err(|error| bad(&format!("can't be sent, {error}")))?;
        if sent != expected || uri.path_and_query().map(PathAndQuery::as_str) != Some(sent) {
            return Err(bad("would not be sent as it is"));
        }
        Ok(url)
    }

    fn has_host(&self, text: &str) -> bool {
        self.0.iter().any(|origin| {
            matches!(origin, Origin::Tuple(_, host, _) if host.to_string().eq_ignore_ascii_case(text))
        })
    }
}

/// The parts of a URI reference (RFC 3986 section 4.1). No link may have a fragment, so it isn't split off.
struct Reference<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path_and_query: &'a str,
}

impl<'a> Reference<'a> {
    /// Returns `None` if the first segment has a colon that isn't a scheme's (section 4.2).
    fn split(text: &'a str) -> Option<Self> {
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => (Some(scheme), rest),
            _ => (None, text),
        };
        if !scheme.is_none_or(|scheme| is_scheme(scheme.as_bytes())) {
            return None;
        }
        let (authority, path_and_query) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, rest) = first_segment(rest);
                (Some(authority), rest)
            }
            None => (None, rest),
        };
        Some(Self { scheme, authority, path_and_query })
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

fn without_port(authority: &str) -> &str {
    authority.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':').unwrap_or(authority)
}

fn first_segment(text: &str) -> (&str, &str) {
    text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()))
}

/// The path and query of a relative reference (RFC 3986 section 5.2). Only dot segments at its start are resolved;
/// others are kept, so that the reference is refused because it would not be sent as it is.
fn merge(page: &Url, reference: &str) -> String {
    if reference.is_empty() {
        return page[Position::BeforePath..Position::AfterQuery].to_owned();
    }
    if reference.starts_with('/') {
        return reference.to_owned();
    }
    if reference.starts_with('?') {
        return format!("{}{reference}", page.path());
    }
    let (mut folder, mut rest) = (parent(page.path()), reference);
    loop {
        let (segment, after) = first_segment(rest);
        match segment {
            "." => {}
            ".." => folder = parent(folder),
            _ => return format!("{folder}/{rest}"),
        }
        rest = after.strip_prefix('/').unwrap_or(after);
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
