//! `Mask`: removes secrets from texts that the service sent, before anybody sees them.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

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

/// The length of a prefix of a secret that is too short to be masked where a text ends within the secret.
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
        let read = Reading::new(text);
        let mut at = 0;
        while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
            let end = self.secrets.iter().filter_map(|secret| end_of(secret, &read, at)).max();
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

/// A text, and what is known of the characters in it.
struct Reading<'a> {
    text: &'a str,
    /// The result of [`chars_at`](Self::chars_at) by position and depth: without it, the time to read a text of nested
    /// escapes would grow with the power of their depth.
    known: RefCell<HashMap<(usize, u8), Chars>>,
}

/// Characters, each with the position after it.
type Chars = Rc<[(char, usize)]>;

impl<'a> Reading<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, known: RefCell::default() }
    }

    /// Every character that can begin at `at`, in a form that is encoded up to `depth` times.
    fn chars_at(&self, at: usize, depth: u8) -> Chars {
        let Some(first) = self.text.get(at..).and_then(|rest| rest.chars().next()) else {
            return Rc::default();
        };
        let plain = (first, at + first.len_utf8());
        // Each escape begins with one of these, also if that is escaped itself.
        if depth == 0 || !matches!(first, '\\' | '%' | '&') {
            return if first == '+' { Rc::new([plain, (' ', at + 1)]) } else { Rc::new([plain]) };
        }
        if let Some(known) = self.known.borrow().get(&(at, depth)) {
            return Rc::clone(known);
        }
        let within = Escaped { read: self, depth: depth - 1 };
        let mut chars = vec![plain];
        for &(c, at) in &*self.chars_at(at, depth - 1) {
            match c {
                '\\' => within.json(at, &mut chars),
                '%' => within.url(at, &mut chars),
                '&' => within.html(at, &mut chars),
                _ => {}
            }
        }
        chars.sort_unstable();
        chars.dedup();
        let chars: Chars = chars.into();
        self.known.borrow_mut().insert((at, depth), Rc::clone(&chars));
        chars
    }
}

/// The end of `secret` in the text if it begins at `at`. The end of the text counts if the text breaks off within
/// the secret.
fn end_of(secret: &str, read: &Reading<'_>, at: usize) -> Option<usize> {
    let mut ends = vec![at];
    for (known, c) in secret.chars().enumerate() {
        let next = read_char(c, &ends, read, DEPTH);
        if next.is_empty() {
            let breaks_off = |&end: &usize| {
                let rest = read.text.get(end..).unwrap_or_default();
                rest.is_empty() || is_part_of_an_escape(rest)
            };
            return (known >= HARMLESS && ends.iter().any(breaks_off)).then_some(read.text.len());
        }
        ends = next;
    }
    ends.last().copied()
}

/// Returns true if `rest` can be the beginning of one escaped character.
fn is_part_of_an_escape(rest: &str) -> bool {
    let is_of_escapes =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'\\' | b'%' | b'&' | b'#' | b';');
    rest.starts_with(['\\', '%', '&']) && rest.len() <= LONGEST_ESCAPE && rest.bytes().all(is_of_escapes)
}

/// Each position at which `c` can end if it begins at one of `positions`.
fn read_char(c: char, positions: &[usize], read: &Reading<'_>, depth: u8) -> Vec<usize> {
    let mut ends = Vec::new();
    for &at in positions {
        ends.extend(read.chars_at(at, depth).iter().filter(|(known, _)| *known == c).map(|(_, end)| *end));
    }
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// The escapes of a character after their first character. Their own characters can be escaped up to `depth` times.
#[derive(Clone, Copy)]
struct Escaped<'a> {
    read: &'a Reading<'a>,
    depth: u8,
}

impl Escaped<'_> {
    /// `\/`, `\u002f`, and JavaScript's `\x2f`.
    fn json(self, at: usize, chars: &mut Vec<(char, usize)>) {
        chars.extend(self.read.chars_at(at, self.depth).iter());
        for (unit, end) in self.number(16, 4, &self.literal("u", &[at])) {
            chars.extend(char::from_u32(unit).map(|c| (c, end)));
            if (0xd800..0xdc00).contains(&unit) {
                let seconds = self.number(16, 4, &self.literal("\\u", &[end]));
                chars.extend(
                    seconds.into_iter().filter(|(low, _)| (0xdc00..0xe000).contains(low)).filter_map(
                        |(low, end)| {
                            let c = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                            char::from_u32(c).map(|c| (c, end))
                        },
                    ),
                );
            }
        }
        let ascii = self.number(16, 2, &self.literal("x", &[at])).into_iter();
        chars.extend(ascii.filter_map(|(code, end)| Some((char::from_u32(code)?, end))));
    }

    /// `%2F`.
    fn url(self, at: usize, chars: &mut Vec<(char, usize)>) {
        let byte = |at: usize| self.number(16, 2, &[at]);
        // The bits of a character so far, the bytes that follow, and the position.
        let mut begun: Vec<(u32, u8, usize)> = Vec::new();
        for (first, end) in byte(at) {
            match first {
                0..0x80 => chars.extend(char::from_u32(first).map(|c| (c, end))),
                0xc0..0xe0 => begun.push((first & 0x1f, 1, end)),
                0xe0..0xf0 => begun.push((first & 0x0f, 2, end)),
                0xf0..0xf8 => begun.push((first & 0x07, 3, end)),
                _ => {}
            }
        }
        while let Some((bits, left, at)) = begun.pop() {
            let next = self.literal("%", &[at]).into_iter().flat_map(byte);
            for (byte, end) in next.filter(|(byte, _)| byte & 0xc0 == 0x80) {
                let bits = bits << 6 | (byte & 0x3f);
                if left > 1 {
                    begun.push((bits, left - 1, end));
                } else {
                    chars.extend(char::from_u32(bits).map(|c| (c, end)));
                }
            }
        }
    }

    /// `&#47;`, `&#x2F;` and `&sol;`. HTML accepts them without the semicolon, too.
    fn html(self, at: usize, chars: &mut Vec<(char, usize)>) {
        let mut found = Vec::new();
        let hash = self.literal("#", &[at]);
        let hexadecimal = self.literal("x", &hash);
        for (radix, mut digits) in [(10, hash), (16, hexadecimal)] {
            for _ in 0..ZEROS {
                for length in 1..=MOST_DIGITS {
                    let numbers = self.number(radix, length, &digits);
                    if numbers.is_empty() {
                        break;
                    }
                    found.extend(
                        numbers.into_iter().filter_map(|(code, end)| Some((char::from_u32(code)?, end))),
                    );
                }
                digits = self.literal("0", &digits);
            }
        }
        for (c, name) in ENTITIES {
            found.extend(self.literal(name, &[at]).into_iter().map(|end| (c, end)));
        }
        for (c, end) in found {
            chars.extend(self.literal(";", &[end]).into_iter().map(|end| (c, end)));
            chars.push((c, end));
        }
    }

    /// The positions at which `word`, in any case, ends if it begins at one of `positions`.
    fn literal(self, word: &str, positions: &[usize]) -> Vec<usize> {
        let mut positions = positions.to_vec();
        for c in word.chars() {
            if positions.is_empty() {
                break;
            }
            let mut next = read_char(c, &positions, self.read, self.depth);
            if c.is_ascii_lowercase() {
                next.extend(read_char(c.to_ascii_uppercase(), &positions, self.read, self.depth));
            }
            positions = next;
        }
        positions
    }

    /// The numbers of exactly `length` digits that begin at one of `positions`, with their ends.
    fn number(self, radix: u32, length: u8, positions: &[usize]) -> Vec<(u32, usize)> {
        let mut numbers: Vec<_> = positions.iter().map(|at| (0_u32, *at)).collect();
        for _ in 0..length {
            let longer = numbers.iter().flat_map(|&(number, at)| {
                let chars = self.read.chars_at(at, self.depth);
                let digits: Vec<_> =
                    chars.iter().filter_map(|(c, end)| Some((c.to_digit(radix)?, *end))).collect();
                digits
                    .into_iter()
                    .map(move |(digit, end)| (number.saturating_mul(radix).saturating_add(digit), end))
            });
            numbers = longer.collect();
        }
        numbers
    }
}

/// The most zeros before a number in HTML, and one more.
const ZEROS: usize = 8;

/// The most digits of a character's number after its zeros.
const MOST_DIGITS: u8 = 7;

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
