//! Errors in one line, without what only the library's logs need.

use std::error::Error as StdError;

use webex_events::{Error, TransportError};

use super::reason;

/// An error of the library in one line: what failed, and why.
pub(crate) fn describe(error: &Error) -> String {
    match error {
        Error::Transport(transport) => one_line(&transport_text(transport)),
        Error::Link { .. } => one_line(&format!("the service sent {error}")),
        // Where the body isn't JSON at all, its first characters say more than the parser's error.
        Error::Decode(decode) if !decode.snippet().starts_with(['{', '[']) => one_line(&error.to_string()),
        _ => chain(error),
    }
}

/// A failed exchange, and its innermost cause: the levels between are those of the HTTP client.
fn transport_text(error: &TransportError) -> String {
    let text = error.to_string();
    let attempts = format!(" ({} attempts)", error.attempts());
    let (text, attempts) = match text.strip_suffix(&attempts) {
        Some(text) => (text, attempts.as_str()),
        None => (text.as_str(), ""),
    };
    let Some(mut cause) = error.source() else { return format!("{text}{attempts}") };
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = level(cause);
    format!("{text}: {}{attempts}", in_words(&cause))
}

/// The cause of a failed exchange, in words where the TLS library names a part of its code.
pub(crate) fn in_words(cause: &str) -> &str {
    match cause {
        _ if cause.contains("UnknownIssuer") => "the certificate's issuer isn't trusted",
        _ if cause.contains("corrupt message") => "the response isn't TLS",
        _ => cause,
    }
}

/// The error and its sources in one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = level(error);
    let mut source = error.source();
    while let Some(error) = source {
        let next = level(error);
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    one_line(&text)
}

/// One error of a chain.
fn level(error: &(dyn StdError + 'static)) -> String {
    error.downcast_ref().map_or_else(|| error.to_string(), reason)
}

/// `text` without each ` (os error 13)`.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => out.push_str(rest),
            _ => out.extend([" (os error ", part]),
        }
    }
    out
}

/// `text` without what would break the line or move the cursor, and without the system's numbers of errors.
pub(crate) fn one_line(text: &str) -> String {
    without_numbers(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
