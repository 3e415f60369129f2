//! One pass over JSON text (RFC 8259) that finds the positions of values, without building them.
//!
//! It accepts and refuses exactly what `serde_json::value::RawValue` does, in linear time and without
//! recursion. A property test and a fuzz target compare the two.

use std::{fmt, ops::Range};

use memchr::memchr2;

mod quoted;

pub(crate) use quoted::Quoted;

/// Reads `text` from front to back.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// The number of the block of [`BLOCK`] bytes that `specials` is about.
    block: usize,
    /// One bit for each byte of the block that can't occur in a string by itself. The mask of a block is computed once and
    /// used for all strings in it: most strings are short, so a search for each would cost more.
    specials: u64,
}

/// The number of bytes in a block, one for each bit of a mask.
const BLOCK: usize = u64::BITS as usize;

/// Text that isn't JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    what: &'static str,
    at: usize,
    is_early_end: bool,
}

impl SyntaxError {
    /// Returns whether the text is the beginning of JSON, and only its end is missing.
    pub(crate) fn is_early_end(self) -> bool {
        self.is_early_end
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for SyntaxError {}

type Result<T, E = SyntaxError> = std::result::Result<T, E>;

/// The kind of a value, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    /// A number, `true` or `false`.
    Scalar,
    Null,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, block: usize::MAX, specials: 0 }
    }

    /// Skips a byte order mark at the start of the text, which RFC 8259 section 8.1 lets a reader ignore.
    pub(crate) fn skip_byte_order_mark(&mut self) {
        const MARK: &str = "\u{feff}";
        if self.at == 0 && self.text.starts_with(MARK) {
            self.at = MARK.len();
        }
    }

    /// The position of the next byte to be read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The text at `range`.
    pub(crate) fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    /// Skips white space and returns the kind of the next value, by its first byte.
    pub(crate) fn peek(&mut self) -> Result<Kind> {
        match self.next_byte()? {
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::Array),
            b'"' => Ok(Kind::String),
            b'n' => Ok(Kind::Null),
            _ => Ok(Kind::Scalar),
        }
    }

    /// Reads an object: `member` gets each key and must read its value.
    pub(crate) fn object<E: From<SyntaxError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Quoted<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "expected an object")?;
        if self.next_byte()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "expected `:`")?;
            member(self, key)?;
            match self.next_byte()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("expected `,` or `}`").into()),
            }
        }
    }

    /// Reads an array: `item` must read each item.
    pub(crate) fn array<E: From<SyntaxError>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[', "expected an array")?;
        if self.next_byte()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            match self.next_byte()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("expected `,` or `]`").into()),
            }
        }
    }

    /// Steps into an array. Returns true if it is empty, and then steps over it.
    pub(crate) fn open_array(&mut self) -> Result<bool> {
        self.expect(b'[', "expected an array")?;
        let is_empty = self.next_byte()? == b']';
        self.at += usize::from(is_empty);
        Ok(is_empty)
    }

    /// Steps over what follows an item of an array. Returns true if that is the array's end.
    pub(crate) fn separator(&mut self) -> Result<bool> {
        let is_last = match self.next_byte()? {
            b',' => false,
            b']' => true,
            _ => return Err(self.error("expected `,` or `]`")),
        };
        self.at += 1;
        Ok(is_last)
    }

    /// Steps over an item of an array that starts at `start` and isn't JSON because of `error`, up to the separator
    /// after it, and returns its extent. In strings everything may occur but their own end.
    ///
    /// # Errors
    ///
    /// `error`, if the item's strings and brackets do not close.
    #[cold]
    pub(crate) fn skip_item(&mut self, start: usize, error: SyntaxError) -> Result<Range<usize>> {
        self.at = start;
        self.skip_space();
        let start = self.at;
        let mut open = Nesting::default();
        let mut end = start;
        loop {
            let Some(byte) = self.byte() else { return Err(error) };
            match (byte, open.top()) {
                (b',' | b']', None) => return Ok(start..end),
                (b'"', _) => {
                    self.at += 1;
                    self.skip_rest_of_string().ok_or(error)?;
                }
                (b'{' | b'[', _) => {
                    open.push(byte == b'{');
                    self.at += 1;
                }
                (b'}', Some(true)) | (b']', Some(false)) => {
                    open.pop();
                    self.at += 1;
                }
                (b'}' | b']', _) => return Err(error),
                (b' ' | b'\n' | b'\r' | b'\t', _) => {
                    self.skip_space();
                    continue;
                }
                _ => self.at += 1,
            }
            end = self.at;
        }
    }

    /// Steps over the rest of a string, whatever it contains.
    fn skip_rest_of_string(&mut self) -> Option<()> {
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let at = memchr2(b'"', b'\\', rest)?;
            let is_end = rest.get(at) == Some(&b'"');
            // Together with the byte that the backslash escapes.
            self.at += at + if is_end { 1 } else { 2 };
            if is_end {
                return Some(());
            }
        }
    }

    /// Reads a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Quoted<'a>> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        self.at = self.special();
        let escaped = self.byte() != Some(b'"');
        if escaped {
            self.rest_of_string()?;
        }
        let inner = start..self.at;
        self.at += 1;
        Ok(Quoted { inner, text: self.text, escaped })
    }

    /// Steps to the quote that ends a string.
    #[cold]
    fn rest_of_string(&mut self) -> Result<()> {
        loop {
            match self.byte() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.error("a control character in a string")),
                None => return Err(self.error("the text ends in a string")),
            }
            self.at = self.special();
        }
    }

    /// Reads a value of any kind and returns its extent.
    pub(crate) fn value(&mut self) -> Result<Range<usize>> {
        self.next_byte()?;
        let start = self.at;
        let mut open = Nesting::default();
        loop {
            if open.top() == Some(true) {
                self.key()?;
            }
            match self.next_byte()? {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    if self.enter(b'}') {
                        open.push(true);
                        continue;
                    }
                }
                b'[' => {
                    if self.enter(b']') {
                        open.push(false);
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            loop {
                let Some(object) = open.top() else { return Ok(start..self.at) };
                match (self.next_byte()?, object) {
                    (b',', _) => {
                        self.at += 1;
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        open.pop();
                    }
                    (_, true) => return Err(self.error("expected `,` or `}`")),
                    (_, false) => return Err(self.error("expected `,` or `]`")),
                }
            }
        }
    }

    /// Checks that only white space follows.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error("text after the end")) }
    }

    /// The position of the next byte that can't occur in a string by itself, or the end of the text.
    #[inline]
    fn special(&mut self) -> usize {
        let mut at = self.at;
        loop {
            if at / BLOCK != self.block {
                self.look_through(at / BLOCK);
            }
            let rest = self.specials >> (at % BLOCK);
            if rest != 0 {
                return at + rest.trailing_zeros() as usize;
            }
            at = (self.block + 1) * BLOCK;
        }
    }

    #[inline(never)]
    fn look_through(&mut self, block: usize) {
        let rest = self.text.as_bytes().get(block * BLOCK..).unwrap_or_default();
        self.block = block;
        self.specials = if let Some(whole) = rest.first_chunk() {
            specials(whole)
        } else {
            // Padded with zeros, which are control characters: so the end of the text is special too.
            let mut padded = [0; BLOCK];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            specials(&padded)
        };
    }

    /// Steps into an object or array, or over it if it is empty.
    fn enter(&mut self, close: u8) -> bool {
        self.at += 1;
        let inside = self.at;
        self.skip_space();
        if self.byte() == Some(close) {
            self.at += 1;
            return false;
        }
        self.at = inside;
        true
    }

    #[inline]
    fn key(&mut self) -> Result<()> {
        self.string()?;
        self.expect(b':', "expected `:`")
    }

    /// Steps over an escape, from its backslash.
    fn escape(&mut self) -> Result<()> {
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.byte().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.error("an invalid escape"));
                    }
                }
                self.at += 1;
            }
            _ => return Err(self.error("an invalid escape")),
        }
        Ok(())
    }

    fn scalar(&mut self) -> Result<()> {
        match self.byte() {
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.error("expected a value")),
        }
    }

    fn word(&mut self, word: &str) -> Result<()> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        self.at += rest.iter().zip(word.as_bytes()).take_while(|(byte, expected)| byte == expected).count();
        Err(self.error("expected a value"))
    }

    fn number(&mut self) -> Result<()> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        if self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.error("a number that begins with 0"));
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<()> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// Returns the next byte that isn't white space, without stepping over it.
    fn next_byte(&mut self) -> Result<u8> {
        self.skip_space();
        self.byte().ok_or_else(|| self.error("the text ends too early"))
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<()> {
        if self.next_byte()? == byte {
            self.at += 1;
            return Ok(());
        }
        Err(self.error(what))
    }

    #[cold]
    fn error(&self, what: &'static str) -> SyntaxError {
        SyntaxError { what, at: self.at, is_early_end: self.at >= self.text.len() }
    }
}

/// The mask of the bytes that are a quote, a backslash or a control character: the lowest bit for the first byte.
/// The compiler turns the comparison into vector instructions, without `unsafe`.
fn specials(block: &[u8; BLOCK]) -> u64 {
    // A multiplication gathers the lowest bits of eight bytes in the highest byte, where no two of them overlap.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let marks = block.map(|byte| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\'));
    let (words, _) = marks.as_chunks();
    let bytes = words.iter().map(|&word| u64::from_le_bytes(word).wrapping_mul(GATHER) >> 56);
    bytes.rev().fold(0, |bits, byte| bits << 8 | byte)
}

/// The open brackets: one bit for each level, 1 for a brace. From the 65th level the bits are on the heap, so that
/// nesting of any depth needs no recursion.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    bits: u64,
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        if self.depth.is_multiple_of(64) && self.depth > 0 {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth.is_multiple_of(64) && self.depth > 0 {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}

#[cfg(test)]
mod tests;
