//! `Quoted`: a string of a JSON text, and its escapes.

use std::{borrow::Cow, ops::Range};

use memchr::memchr;

/// A string as written between its quotes.
#[derive(Clone, Debug)]
pub(crate) struct Quoted<'a> {
    pub(crate) inner: Range<usize>,
    pub(super) text: &'a str,
    pub(super) escaped: bool,
}

impl<'a> Quoted<'a> {
    /// The value of the string; `None` if an escape is half a surrogate pair.
    #[inline]
    pub(crate) fn value(&self) -> Option<Cow<'a, str>> {
        if self.escaped {
            return self.unescaped();
        }
        self.text.get(self.inner.clone()).map(Cow::Borrowed)
    }

    #[cold]
    fn unescaped(&self) -> Option<Cow<'a, str>> {
        let mut rest = self.text.get(self.inner.clone())?;
        let mut value = String::with_capacity(rest.len());
        while let Some(at) = memchr(b'\\', rest.as_bytes()) {
            let (plain, escape) = rest.split_at_checked(at)?;
            let (char, after) = unescape(escape.get(1..)?)?;
            value.push_str(plain);
            value.push(char);
            rest = after;
        }
        value.push_str(rest);
        Some(Cow::Owned(value))
    }

    /// Returns whether the string has no escapes, so that its text is its value.
    pub(crate) fn is_plain(&self) -> bool {
        !self.escaped
    }
}

/// The character of an escape whose backslash precedes `text`, and the text after the escape.
fn unescape(text: &str) -> Option<(char, &str)> {
    let (kind, rest) = text.split_at_checked(1)?;
    let char = match kind {
        "b" => '\u{8}',
        "f" => '\u{c}',
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        "u" => return unescape_utf16(rest),
        itself => itself.chars().next()?,
    };
    Some((char, rest))
}

/// The same for `\u`: four digits, or twice that for the two halves of a surrogate pair.
fn unescape_utf16(text: &str) -> Option<(char, &str)> {
    let unit = |text: &'_ str| u16::from_str_radix(text.get(..4)?, 16).ok();
    let (first, rest) = (unit(text)?, text.get(4..)?);
    if let Some(char) = char::from_u32(first.into()) {
        return Some((char, rest));
    }
    let rest = rest.strip_prefix("\\u")?;
    let char = char::decode_utf16([first, unit(rest)?]).next()?.ok()?;
    Some((char, rest.get(4..)?))
}
