//! Resources other than events, under the same base URL.

use serde::de::DeserializeOwned;
use url::Url;

use super::{Shared, body::Undecodable, mask};
use crate::{
    error::{Error, Result},
    json::Scanner,
    stats::Meter,
    transport,
};

impl Shared {
    /// Fetches the resource at `path`, relative to the base URL.
    pub(crate) async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let base = self.events.as_str().strip_suffix("events").unwrap_or(self.events.as_str());
        let json = self.request(under(base, path)?, None, &Meter::default(), checked).await?;
        serde_json::from_slice(&json.body).map_err(|error| {
            // The text of the error can repeat values of the body.
            let reason =
                format!("it is JSON of another form at line {}, column {}", error.line(), error.column());
            let text = String::from_utf8_lossy(&json.body).into_owned();
            let fault = Undecodable { text, reason: reason.into(), is_truncated: false };
            fault.error(&json.response, &mask(&json.response.url, &json.token, &json.url), 1)
        })
    }
}

/// The URL of `path` under `base`, which ends in a slash.
///
/// # Errors
///
/// [`Error::Query`] if it leads elsewhere, or would not be sent byte for byte.
fn under(base: &str, path: &str) -> Result<Url> {
    let refused = |reason: &str| Err(Error::query(format!("the path {reason}")));
    let relative = path.strip_prefix('/').unwrap_or(path);
    let first_segment = relative.split(['/', '?', '#']).next().unwrap_or_default();
    if first_segment.is_empty() {
        return refused("names no resource under the base URL");
    }
    if relative == path && first_segment.contains(':') {
        return refused("is a URL of its own: it must be relative to the base URL");
    }
    if relative.contains('#') {
        return refused("has a fragment, which is never sent");
    }
    let text = format!("{base}{relative}");
    match Url::parse(&text) {
        Ok(url) if url.as_str() == text => transport::uri(&url).map(|_| url),
        _ => refused("would not be sent as it is: it has dot segments or characters to be percent-encoded"),
    }
}

/// Checks that a body is JSON.
fn checked(body: Vec<u8>) -> Result<Vec<u8>, Undecodable> {
    let text = String::from_utf8_lossy(&body);
    let mut scanner = Scanner::new(&text);
    match scanner.value().and_then(|_| scanner.end()) {
        Ok(()) => Ok(body),
        Err(error) => Err(Undecodable {
            is_truncated: error.is_early_end(),
            reason: error.into(),
            text: text.into_owned(),
        }),
    }
}
