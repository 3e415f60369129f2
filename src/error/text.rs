//! Texts for errors: one line each, without query strings.

use std::{borrow::Cow, error::Error as StdError, fmt, io};

use super::Error;

/// Writes the tracking id and the number of attempts, but not in the alternate form (`{:#}`).
pub(super) fn write_origin(
    f: &mut fmt::Formatter<'_>,
    tracking_id: Option<&str>,
    attempts: u32,
) -> fmt::Result {
    if f.alternate() {
        return Ok(());
    }
    match (tracking_id.map(|id| printable(id, 100)), attempts) {
        (None, 0 | 1) => Ok(()),
        (None, n) => write!(f, " ({n} attempts)"),
        (Some(id), 0 | 1) => write!(f, " (tracking id {id})"),
        (Some(id), n) => write!(f, " (tracking id {id}, {n} attempts)"),
    }
}

/// The reason why a request is sent again, which is the same for each attempt: the error without its tracking id and its
/// number of attempts, and the innermost source of a failed exchange.
pub(crate) fn retry_cause(error: &Error) -> String {
    match error {
        Error::Api(api) => format!("{api:#}"),
        Error::Transport(transport) => format!("{transport:#}{}", root_cause(error)),
        _ => error.to_string(),
    }
}

/// The innermost source of a failed exchange, after a colon, without the number that the system has for it. Empty for
/// any other error.
pub(crate) fn root_cause(error: &Error) -> String {
    let Error::Transport(error) = error else { return String::new() };
    let Some(mut cause) = StdError::source(&**error) else { return String::new() };
    while let Some(source) = cause.source() {
        cause = source;
    }
    let mut text = printable(&cause.to_string(), 300);
    if let Some(number) = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
        text.truncate(text.strip_suffix(&format!(" (os error {number})")).map_or(text.len(), str::len));
    }
    format!(": {text}")
}

pub(super) fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("")
}

/// Returns at most `limit` characters of `text`, on one line and without the query strings of its URLs.
pub(super) fn printable(text: &str, limit: usize) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    without_queries(text).trim().chars().map(line).take(limit).collect()
}

/// Replaces the query string of each URL in `text` by `?…`: page URLs hold cursors and person ids.
pub(crate) fn without_queries(text: &str) -> Cow<'_, str> {
    if !text.contains('?') {
        return Cow::Borrowed(text);
    }
    let ends_url = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')');
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(ends_url) {
        match word.find('?') {
            Some(query) if word[..query].contains(['/', '\\']) => {
                out.push_str(&word[..query]);
                out.push_str("?…");
                out.extend(word.chars().next_back().filter(|&c| ends_url(c)));
            }
            _ => out.push_str(word),
        }
    }
    Cow::Owned(out)
}
