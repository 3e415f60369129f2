//! The `Link` headers of a page (RFC 8288), which are untrusted: a link that can't be read, is
//! ambiguous, leads to another origin or would be sent altered is an error, and no request.

mod cycle;
mod parse;
mod target;
#[cfg(test)]
mod tests;

use std::str;

use url::{Position, Url};

use self::parse::{Link, Parser, Relations};
pub(crate) use self::{cycle::CycleDetector, target::AllowedOrigins};
use crate::error::{Error, LinkErrorKind, Result};

/// The links of one page that a list follows.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) next: Option<Url>,
    /// Lists don't follow it, so an invalid one is ignored.
    pub(crate) prev: Option<Url>,
}

/// The most different links of the types `next` and `prev` that a page may have, including those with an anchor
/// elsewhere. To resolve one takes as long as the page's URL is, which may be as long as the header.
const MOST_LINKS: usize = 64;

/// Reads all `Link` headers of one response, in order; `page` is the URL that the response came from.
///
/// Takes time linear in the length of the headers and of `page`: each byte is read a fixed number of times, and at most
/// [`MOST_LINKS`] links are resolved.
///
/// # Errors
///
/// [`Error::Link`]: a header can't be parsed, so that it could hide the next page; there are more than [`MOST_LINKS`]
/// links; two `next` links differ; or the `next` link is one that `origins` refuses.
pub(crate) fn links(
    headers: impl IntoIterator<Item = impl AsRef<[u8]>>,
    page: &Url,
    origins: &AllowedOrigins,
) -> Result<Links> {
    let mut next = None;
    let mut prev = Ok(None);
    let mut resolved = Resolved::default();
    let headers: Vec<_> = headers.into_iter().collect();
    for (line, header) in (1..).zip(&headers) {
        let mut parser = Parser::new(header.as_ref());
        while let Some(link) = parser.link().map_err(|fault| fault.in_line(line))? {
            let relations = link.relations().map_err(|fault| fault.in_line(line))?;
            if relations == Relations::default() || resolved.has(&link, relations) {
                continue;
            }
            if resolved.is_full() {
                let detail = format!("there are more than {MOST_LINKS} different links to pages");
                if relations.next {
                    return Err(malformed(detail));
                }
                prev = Err(malformed(detail));
                continue;
            }
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
            resolved.0.push((link, relations));
        }
    }
    Ok(Links { next, prev: prev.unwrap_or_default() })
}

/// The links that have been resolved, as written.
#[derive(Default)]
struct Resolved<'a>(Vec<(Link<'a>, Relations)>);

impl<'a> Resolved<'a> {
    fn has(&self, link: &Link<'a>, relations: Relations) -> bool {
        let is_same = |(other, of): &(Link<'a>, Relations)| {
            *of == relations && other.target == link.target && other.anchor == link.anchor
        };
        self.0.iter().any(is_same)
    }

    fn is_full(&self) -> bool {
        self.0.len() == MOST_LINKS
    }
}

/// Resolves `link` against `page`; `None` if it is about something else (RFC 8288 section 3.2).
fn resolve(link: &Link<'_>, page: &Url, origins: &AllowedOrigins) -> Result<Option<Url>> {
    if let Some(anchor) = &link.anchor {
        let about = str::from_utf8(anchor).ok().and_then(|anchor| page.join(anchor).ok());
        let about = about
            .ok_or_else(|| malformed(format!("its anchor is not a URI reference: {}", redacted(anchor))))?;
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
fn redacted(target: &[u8]) -> String {
    let target = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let target = target.rsplit(|&byte| byte == b'@').next().unwrap_or_default();
    target.escape_ascii().take(120).map(char::from).collect()
}
