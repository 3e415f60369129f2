//! The body of a response, collected within its limit: gzip is decoded, and the length is checked.

use std::fmt;

use flate2::{Decompress, DecompressError, FlushDecompress, Status};
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING},
};

/// A fault of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// It exceeds the limit.
    TooLong,
    /// It has fewer or more bytes than `Content-Length` says.
    Length { expected: u64, received: u64 },
    /// The gzip stream ends before its last member does.
    IncompleteGzip,
    /// The bytes aren't gzip, or don't match their checksum.
    InvalidGzip,
    /// An encoding other than gzip, which was not requested.
    Encoding(String),
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("it exceeds the limit"),
            Self::Length { expected, received } => {
                write!(f, "its length is {received} bytes and not the {expected} of `Content-Length`")
            }
            Self::IncompleteGzip => f.write_str("its gzip data is incomplete"),
            Self::InvalidGzip => f.write_str("its gzip data is damaged"),
            Self::Encoding(encoding) => write!(f, "its encoding `{encoding}` was not requested"),
        }
    }
}

impl std::error::Error for BodyFault {}

/// The room that a buffer gets at a time, where its length isn't known.
const ROOM: usize = 16 << 10;

/// Collects the chunks of a body.
pub(super) struct Collector {
    bytes: Vec<u8>,
    limit: usize,
    received: u64,
    expected: Option<u64>,
    gzip: Option<Gunzip>,
}

impl Collector {
    /// For a body with these headers. `buffer` gives a buffer of a capacity.
    pub(super) fn new(
        headers: &HeaderMap,
        limit: usize,
        buffer: impl FnOnce(usize) -> Vec<u8>,
    ) -> Result<Self, BodyFault> {
        let gzip = is_gzip(headers)?.then(Gunzip::default);
        let expected = content_length(headers);
        let capacity = match (&gzip, expected) {
            (None, Some(length)) => usize::try_from(length).unwrap_or(limit).min(limit),
            _ => 0,
        };
        Ok(Self { bytes: buffer(capacity), limit, received: 0, expected, gzip })
    }

    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), BodyFault> {
        self.received = self.received.saturating_add(chunk.len() as u64);
        if let Some(expected) = self.expected.filter(|&expected| self.received > expected) {
            return Err(BodyFault::Length { expected, received: self.received });
        }
        if let Some(gzip) = &mut self.gzip {
            // Empty members add nothing to the bytes, so what arrives has a limit too: gzip adds less.
            let most = (self.limit + self.limit / 8 + (64 << 10)) as u64;
            gzip.write(chunk, &mut self.bytes, self.limit)?;
            return if self.received > most { Err(BodyFault::TooLong) } else { Ok(()) };
        }
        let room = self.limit - self.bytes.len();
        if let Some(fitting) = chunk.get(..room).filter(|_| chunk.len() > room) {
            self.bytes.extend_from_slice(fitting);
            return Err(BodyFault::TooLong);
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// Checks that the body is complete.
    pub(super) fn check(&self) -> Result<(), BodyFault> {
        match self.expected {
            Some(expected) if expected != self.received => {
                Err(BodyFault::Length { expected, received: self.received })
            }
            _ if self.gzip.as_ref().is_some_and(|gzip| !gzip.is_complete()) => Err(BodyFault::IncompleteGzip),
            _ => Ok(()),
        }
    }

    /// The bytes so far, at most as many as the limit.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.limit);
        // An event that is kept keeps the buffer.
        if self.bytes.capacity() / 4 > self.bytes.len() {
            self.bytes.shrink_to_fit();
        }
        self.bytes
    }
}

/// Decodes gzip (RFC 1952): any number of members, one after the other.
#[derive(Debug, Default)]
struct Gunzip {
    /// The member that has begun and not ended.
    member: Option<Box<Decompress>>,
    members: u64,
}

impl Gunzip {
    fn write(&mut self, chunk: &[u8], bytes: &mut Vec<u8>, limit: usize) -> Result<(), BodyFault> {
        let mut rest = chunk;
        loop {
            let member = match &mut self.member {
                Some(member) => member,
                None if rest.is_empty() => return Ok(()),
                None => {
                    self.members += 1;
                    self.member.insert(Box::new(Decompress::new_gzip(15)))
                }
            };
            if bytes.len() == bytes.capacity() {
                bytes.reserve(ROOM);
            }
            let before = (member.total_in(), bytes.len());
            let status = member
                .decompress_vec(rest, bytes, FlushDecompress::None)
                .map_err(|_: DecompressError| BodyFault::InvalidGzip)?;
            let read = usize::try_from(member.total_in() - before.0).unwrap_or(usize::MAX);
            rest = rest.get(read..).unwrap_or_default();
            if bytes.len() > limit {
                return Err(BodyFault::TooLong);
            }
            if status == Status::StreamEnd {
                self.member = None;
            } else if rest.is_empty() && bytes.len() < bytes.capacity() {
                return Ok(());
            } else if read == 0 && bytes.len() == before.1 {
                return Err(BodyFault::InvalidGzip);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.members > 0 && self.member.is_none()
    }
}

/// Returns whether the body is gzip (RFC 9110 section 8.4). An encoding on top of it is one too many.
fn is_gzip(headers: &HeaderMap) -> Result<bool, BodyFault> {
    let mut gzip = false;
    for line in headers.get_all(CONTENT_ENCODING) {
        let text = String::from_utf8_lossy(line.as_bytes());
        for encoding in text.split(',').map(str::trim) {
            match &*encoding.to_ascii_lowercase() {
                "" | "identity" => {}
                "gzip" | "x-gzip" if !gzip => gzip = true,
                _ => return Err(BodyFault::Encoding(text.escape_debug().take(40).collect())),
            }
        }
    }
    Ok(gzip)
}

/// The length that the headers give; a transfer encoding overrides it (RFC 9112 section 6.3).
fn content_length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
