//! `Mask`: removes secrets from texts that the service sent, before anybody sees them.

use percent_encoding::percent_decode_str;
use url::{Url, form_urlencoded};

use crate::token::Token;

/// The secrets of one request that no error, log line or `Debug` output may show: its tokens, and the query of its URL.
///
/// A service can repeat a request in its response. It then often encodes it: with the escapes of JSON, HTML or
/// URLs, or with several of them on top of each other. A secret is found in each of these forms, up to
/// [`DEPTH`] encodings deep. It is replaced by `…`.
///
/// A text must be masked before it is shortened: half a secret is not recognized in the middle of a text. At its
/// end it is, because a body can be cut there by a limit or a broken connection.
#[derive(Clone, Default)]
pub(crate) struct Mask {
    secrets: Vec<Box<str>>,
}

/// The number of encodings that can lie on top of each other.
const DEPTH: u8 = 3;

/// The first characters of a secret that are no secret yet, where a text ends within it.
const HARMLESS: usize = 4;

/// The longest form of one character, which a text can end within: an escape takes up to 8 characters, and each of these
/// can be escaped again, [`DEPTH`] times in all.
const LONGEST_ESCAPE: usize = 512;

/// A shorter secret would mask every other word, and protects nothing.
const SHORTEST: usize = 3;

/// Parameters whose values are no secret by themselves, and that a message may well be about.
const PLAIN: [&str; 6] = ["from", "to", "max", "resource", "type", "serviceType"];

impl Mask {
    /// Hides a token, a client secret or the like.
    pub(crate) fn token(mut self, token: &Token) -> Self {
        self.hide(token.secret());
        self
    }

    /// Hides the query of `url`: as a whole, and the value of each parameter that can be personal or a cursor.
    pub(crate) fn query(mut self, url: &Url) -> Self {
        let Some(query) = url.query() else { return self };
        self.hide(query);
        let decoded = percent_decode_str(query).decode_utf8_lossy();
        self.hide(&decoded);
        self.hide(&decoded.replace('+', " "));
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !PLAIN.contains(&&*name) && value.chars().count() >= HARMLESS {
                self.hide(&value);
            }
        }
        self
    }

    fn hide(&mut self, secret: &str) {
        let is_long_enough = secret.chars().nth(SHORTEST - 1).is_some();
        if is_long_enough && !self.secrets.iter().any(|known| **known == *secret) {
            self.secrets.push(secret.into());
        }
    }

    /// Returns `text` with `…` instead of each secret.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
            let end = self.secrets.iter().filter_map(|secret| end_of(secret, text, at)).max();
            if let Some(end) = end {
                masked.push('…');
                at = end;
            } else {
                masked.push(first);
                at += first.len_utf8();
            }
        }
        masked
    }
}

/// The end of `secret` in `text` if it begins at `at`. The end of the text counts if the text breaks off within
/// the secret.
fn end_of(secret: &str, text: &str, at: usize) -> Option<usize> {
    let mut ends = vec![at];
    for (known, c) in secret.chars().enumerate() {
        let mut next = Vec::new();
        for &end in &ends {
            after_char(c, text, end, DEPTH, &mut next);
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            let breaks_off = |&end: &usize| {
                let rest = text.get(end..).unwrap_or_default();
                rest.is_empty() || is_part_of_an_escape(rest)
            };
            return (known >= HARMLESS && ends.iter().any(breaks_off)).then_some(text.len());
        }
        ends = next;
    }
    ends.last().copied()
}

/// Whether `rest` can be the beginning of one escaped character.
fn is_part_of_an_escape(rest: &str) -> bool {
    let is_of_escapes =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'\\' | b'%' | b'&' | b'#' | b';');
    rest.starts_with(['\\', '%', '&']) && rest.len() <= LONGEST_ESCAPE && rest.bytes().all(is_of_escapes)
}

/// Adds to `ends` each position at which `c`, written at `at` in one of its forms, can end.
fn after_char(c: char, text: &str, at: usize, depth: u8, ends: &mut Vec<usize>) {
    let Some(rest) = text.get(at..) else { return };
    if rest.starts_with(c) {
        ends.push(at + c.len_utf8());
    } else if c == ' ' && rest.starts_with('+') {
        ends.push(at + 1);
    }
    // Each escape begins with one of these, also if that is escaped itself.
    if depth == 0 || !rest.starts_with(['\\', '%', '&']) {
        return;
    }
    let within = Escaped { text, depth: depth - 1 };
    within.json(c, at, ends);
    within.url(c, at, ends);
    within.html(c, at, ends);
}

/// The escapes of one character, whose own characters can be escaped up to `depth` times.
#[derive(Clone, Copy)]
struct Escaped<'a> {
    text: &'a str,
    depth: u8,
}

impl Escaped<'_> {
    /// `\/`, `\u002f`, and JavaScript's `\x2f`.
    fn json(self, c: char, at: usize, ends: &mut Vec<usize>) {
        let escape = self.literal("\\", &[at]);
        for &at in &escape {
            after_char(c, self.text, at, self.depth, ends);
        }
        if escape.is_empty() {
            return;
        }
        let mut units = [0; 2];
        let mut positions = vec![at];
        for unit in c.encode_utf16(&mut units) {
            positions = self.literal(&format!("\\u{unit:04x}"), &positions);
        }
        ends.extend(positions);
        if c.is_ascii() {
            ends.extend(self.literal(&format!("\\x{:02x}", u32::from(c)), &[at]));
        }
    }

    /// `%2F`.
    fn url(self, c: char, at: usize, ends: &mut Vec<usize>) {
        let mut bytes = [0; 4];
        let mut positions = vec![at];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            positions = self.literal(&format!("%{byte:02x}"), &positions);
        }
        ends.extend(positions);
    }

    /// `&#47;`, `&#x2F;` and `&sol;`. HTML accepts them without the semicolon, too.
    fn html(self, c: char, at: usize, ends: &mut Vec<usize>) {
        let start = self.literal("&", &[at]);
        if start.is_empty() {
            return;
        }
        let code = u32::from(c);
        let mut found = Vec::new();
        for (prefix, digits) in [("#", code.to_string()), ("#x", format!("{code:x}"))] {
            let mut positions = self.literal(prefix, &start);
            for _ in 0..8 {
                found.extend(self.literal(&digits, &positions));
                positions = self.literal("0", &positions);
            }
        }
        for (_, name) in ENTITIES.iter().filter(|(of, _)| *of == c) {
            found.extend(self.literal(name, &start));
        }
        ends.extend(self.literal(";", &found));
        ends.extend(found);
    }

    /// The positions at which `word`, in any case, ends if it begins at one of `positions`.
    fn literal(self, word: &str, positions: &[usize]) -> Vec<usize> {
        let mut positions = positions.to_vec();
        for c in word.chars() {
            let mut next = Vec::new();
            for &at in &positions {
                after_char(c, self.text, at, self.depth, &mut next);
                if c.is_ascii_lowercase() {
                    after_char(c.to_ascii_uppercase(), self.text, at, self.depth, &mut next);
                }
            }
            next.sort_unstable();
            next.dedup();
            positions = next;
        }
        positions
    }
}

/// The named characters of HTML that are visible ASCII.
const ENTITIES: [(char, &str); 34] = [
    ('&', "amp"),
    ('<', "lt"),
    ('>', "gt"),
    ('"', "quot"),
    ('\'', "apos"),
    ('/', "sol"),
    ('=', "equals"),
    ('+', "plus"),
    ('?', "quest"),
    (':', "colon"),
    (';', "semi"),
    ('.', "period"),
    (',', "comma"),
    ('_', "lowbar"),
    ('%', "percnt"),
    ('!', "excl"),
    ('#', "num"),
    ('$', "dollar"),
    ('(', "lpar"),
    (')', "rpar"),
    ('*', "ast"),
    ('@', "commat"),
    ('[', "lsqb"),
    ('[', "lbrack"),
    ('\\', "bsol"),
    (']', "rsqb"),
    (']', "rbrack"),
    ('^', "hat"),
    ('`', "grave"),
    ('{', "lcub"),
    ('{', "lbrace"),
    ('|', "verbar"),
    ('}', "rcub"),
    ('}', "rbrace"),
];

#[cfg(test)]
mod tests;
