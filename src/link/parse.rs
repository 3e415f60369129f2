//! The grammar of RFC 8288 section 3, read as its appendix B does, but never past a fault.

use std::borrow::Cow;

use super::malformed;
use crate::error::Error;

/// The parts of a link that a list needs.
#[derive(Debug)]
pub(super) struct Link<'a> {
    /// The position in the header at which the link starts.
    pub(super) at: usize,
    pub(super) target: &'a [u8],
    rel: Option<Cow<'a, [u8]>>,
    pub(super) anchor: Option<Cow<'a, [u8]>>,
}

/// The relation types of a link that a list needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relations {
    pub(super) next: bool,
    pub(super) prev: bool,
}

/// A fault of a header, with its position.
#[derive(Debug)]
pub(super) struct HeaderFault {
    what: &'static str,
    at: usize,
}

impl HeaderFault {
    pub(super) fn in_line(&self, line: usize) -> Error {
        malformed(format!("{} at byte {} of header line {line}", self.what, self.at))
    }
}

impl Link<'_> {
    /// A missing or empty `rel` has none: it names no type, so it can't hide the next page.
    pub(super) fn relations(&self) -> Result<Relations, HeaderFault> {
        let mut relations = Relations::default();
        let types = self.rel.as_deref().unwrap_or_default().split(u8::is_ascii_whitespace);
        for relation in types.filter(|relation| !relation.is_empty()) {
            if relation.eq_ignore_ascii_case(b"next") {
                relations.next = true;
            } else if relation.eq_ignore_ascii_case(b"prev") || relation.eq_ignore_ascii_case(b"previous") {
                relations.prev = true;
            } else if !is_relation_type(relation) {
                return Err(HeaderFault { what: "a rel that is no relation type, in the link", at: self.at });
            }
        }
        Ok(relations)
    }
}

/// A registered name, in which `_` is accepted too, or a URI.
fn is_relation_type(text: &[u8]) -> bool {
    let scheme = text.split(|&byte| byte == b':').next().unwrap_or_default();
    if scheme.len() < text.len() {
        return is_scheme(scheme) && text.iter().all(|&byte| is_uri_byte(byte));
    }
    let (letter, rest) = text.split_first().unwrap_or((&0, &[]));
    letter.is_ascii_alphabetic()
        && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// RFC 3986 section 3.1.
pub(super) fn is_scheme(text: &[u8]) -> bool {
    let (letter, rest) = text.split_first().unwrap_or((&0, &[]));
    letter.is_ascii_alphabetic()
        && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// RFC 3986 section 2.
pub(super) fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Reads the links of one header value, each byte once.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(header: &'a [u8]) -> Self {
        Self { rest: header, len: header.len() }
    }

    /// The next link; `None` at the header's end.
    pub(super) fn link(&mut self) -> Result<Option<Link<'a>>, HeaderFault> {
        self.take_while(|byte| is_space(byte) || byte == b',');
        let at = self.at();
        if self.rest.is_empty() {
            return Ok(None);
        }
        if !self.eat(b'<') {
            return Err(self.fault("no link"));
        }
        let target = self.take_while(|byte| byte != b'>');
        if !self.eat(b'>') {
            return Err(HeaderFault { what: "a < without its >", at });
        }
        let mut link = Link { at, target, rel: None, anchor: None };
        loop {
            self.take_while(is_space);
            match self.rest.first() {
                None | Some(b',') => return Ok(Some(link)),
                Some(b';') => self.take_while(|byte| is_space(byte) || byte == b';'),
                Some(_) => return Err(self.fault("neither ; nor ,")),
            };
            if matches!(self.rest.first(), None | Some(b',')) {
                continue;
            }
            let (name, value) = self.parameter()?;
            if name.eq_ignore_ascii_case(b"rel") {
                link.rel.get_or_insert(value);
            } else if name.eq_ignore_ascii_case(b"anchor") {
                link.anchor.get_or_insert(value);
            }
        }
    }

    /// A name and its value, which is empty if it is missing.
    fn parameter(&mut self) -> Result<(&'a [u8], Cow<'a, [u8]>), HeaderFault> {
        let name = self.take_while(is_token_byte);
        if name.is_empty() {
            return Err(self.fault("no parameter name"));
        }
        self.take_while(is_space);
        if !self.eat(b'=') {
            return Ok((name, Cow::default()));
        }
        self.take_while(is_space);
        let at = self.at();
        if self.eat(b'"') {
            let value = self.quoted().ok_or(HeaderFault { what: "a quote without its end", at })?;
            return Ok((name, value));
        }
        // Not only a token: appendix B reads up to the delimiter, as `type=text/html` needs. A quote or a bracket here
        // means that the start of a quoted value or the comma before the next link is missing.
        let value = self.take_while(|byte| !b";,\"<>".contains(&byte));
        if matches!(self.rest.first(), None | Some(b';' | b',')) {
            Ok((name, value.into()))
        } else {
            Err(self.fault("a quote or bracket in an unquoted value"))
        }
    }

    /// Returns the text up to the closing quote, without its backslashes; `None` if there is no closing quote.
    fn quoted(&mut self) -> Option<Cow<'a, [u8]>> {
        let mut text = Cow::Borrowed(self.plain());
        while !self.eat(b'"') {
            // The next byte is a backslash, or the header has ended.
            let (escaped, rest) = self.rest.get(1..)?.split_first()?;
            self.rest = rest;
            let text = text.to_mut();
            text.push(*escaped);
            text.extend(self.plain());
        }
        Some(text)
    }

    fn plain(&mut self) -> &'a [u8] {
        self.take_while(|byte| byte != b'"' && byte != b'\\')
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| !accept(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn eat(&mut self, byte: u8) -> bool {
        let rest = self.rest.strip_prefix(&[byte]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    fn fault(&self, what: &'static str) -> HeaderFault {
        HeaderFault { what, at: self.at() }
    }
}
