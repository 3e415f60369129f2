//! A buffer for the lines of a stream.

use std::{
    fs::File,
    io::{self, Write},
    mem,
};

use crate::archive::single_line;

/// The size of a write.
const CHUNK: usize = 256 << 10;

/// A buffered writer that counts the lines that were written completely.
#[derive(Debug)]
pub(super) struct LineWriter {
    file: File,
    buffer: Vec<u8>,
    buffered: u64,
    written: u64,
    bytes: u64,
    is_broken: bool,
}

impl LineWriter {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            buffer: Vec::with_capacity(CHUNK + CHUNK / 4),
            buffered: 0,
            written: 0,
            bytes: 0,
            is_broken: false,
        }
    }

    /// Adds JSON text as a line.
    pub(super) fn push(&mut self, json: &str) -> io::Result<()> {
        self.buffer.extend_from_slice(single_line(json).as_bytes());
        self.buffer.push(b'\n');
        self.buffered += 1;
        if self.buffer.len() < CHUNK { Ok(()) } else { self.flush() }
    }

    /// Adds the end of a line, without counting one.
    pub(super) fn end_line(&mut self) {
        self.buffer.push(b'\n');
    }

    /// Returns true if a write has failed, so that the last line may be incomplete.
    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Writes the buffer, and clears it even if that fails.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let lines = mem::take(&mut self.buffered);
        let result = self.file.write_all(&self.buffer);
        self.is_broken |= result.is_err();
        if result.is_ok() {
            self.written += lines;
            self.bytes += self.buffer.len() as u64;
        }
        self.buffer.clear();
        result
    }

    /// The number of lines that were written completely.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// The number of bytes in these lines.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_counted_lines_are_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let mut lines = LineWriter::new(File::create(&path).unwrap());
        lines.push("1").unwrap();
        assert_eq!((lines.written(), lines.bytes()), (0, 0));
        lines.push(&"x".repeat(CHUNK)).unwrap();
        assert_eq!((lines.written(), lines.bytes()), (2, CHUNK as u64 + 3));
        assert_eq!(fs::metadata(&path).unwrap().len(), lines.bytes());
    }
}
