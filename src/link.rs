//! The `Link` headers of a page (RFC 8288), which nobody vouches for: what can't be read, is
//! ambiguous, leads elsewhere or would not be sent as it stands is an error, and no request.

mod cycle;
mod parse;
mod target;
#[cfg(test)]
mod tests;

use std::str;

use url::{Position, Url};

use self::parse::{Link, Parser};
pub(crate) use self::{cycle::CycleDetector, target::AllowedOrigins};
use crate::error::{Error, LinkErrorKind, Result};

/// The links of one page that matter to a walk.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) next: Option<Url>,
    /// Nothing follows it, so that a bad one is none.
    pub(crate) prev: Option<Url>,
}

/// Reads all `Link` headers of one answer, in order; `page` is the URL that the answer came from.
///
/// Each byte is looked at a fixed number of times, whatever comes. URLs are parsed only for links of
/// the types `next` and `prev`, each in time of its own length and that of `page`.
///
/// # Errors
///
/// [`Error::Link`]: a header isn't sound, so that it could hide the next page; two `next` links differ;
/// or the `next` link is one that `origins` refuses.
pub(crate) fn links(
    headers: impl IntoIterator<Item = impl AsRef<[u8]>>,
    page: &Url,
    origins: &AllowedOrigins,
) -> Result<Links> {
    let mut next = None;
    let mut prev = Ok(None);
    for (line, header) in (1..).zip(headers) {
        let mut parser = Parser::new(header.as_ref());
        while let Some(link) = parser.link().map_err(|fault| fault.in_line(line))? {
            let relations = link.relations().map_err(|fault| fault.in_line(line))?;
            let add_to = |seen: Option<Url>| match resolve(&link, page, origins)? {
                Some(found) if seen.as_ref().is_some_and(|seen| *seen != found) => {
                    let detail = format!("the second at byte {} of header line {line}", link.at);
                    Err(Error::link(LinkErrorKind::Ambiguous, detail))
                }
                found => Ok(found.or(seen)),
            };
            if relations.next {
                next = add_to(next)?;
            }
            if relations.prev {
                prev = prev.and_then(add_to);
            }
        }
    }
    Ok(Links { next, prev: prev.unwrap_or_default() })
}

/// Where `link` leads from `page`; nowhere if it is about something else (RFC 8288 section 3.2).
fn resolve(link: &Link<'_>, page: &Url, origins: &AllowedOrigins) -> Result<Option<Url>> {
    if let Some(anchor) = &link.anchor {
        let about = str::from_utf8(anchor).ok().and_then(|anchor| page.join(anchor).ok());
        let about = about
            .ok_or_else(|| malformed(format!("its anchor is not a URI reference: {}", shown(anchor))))?;
        if about[..Position::AfterQuery] != page[..Position::AfterQuery] {
            return Ok(None);
        }
    }
    origins.resolve(link.target, Some(page)).map(Some)
}

fn malformed(detail: String) -> Error {
    Error::link(LinkErrorKind::Malformed, detail)
}

/// A target as errors show it: one short line, without query and user info.
fn shown(target: &[u8]) -> String {
    let target = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let target = target.rsplit(|&byte| byte == b'@').next().unwrap_or_default();
    target.escape_ascii().take(120).map(char::from).collect()
}
