//! `AppendFile`: one file under its temporary name, to which bytes are added.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    attributes::Attributes,
    codec::{Codec, Encoder},
    ledger::hex,
    sync_ahead::SyncAhead,
};

/// The checksum that is kept of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// Fast, and sufficient to detect damage.
    Crc32,
    /// Also for readers of the ledger.
    Sha256,
}

/// The checksums of the bytes so far.
#[derive(Clone, Debug)]
pub(super) struct Digests {
    crc32: Option<crc32fast::Hasher>,
    sha256: Option<Sha256>,
}

impl Digests {
    pub(super) fn new(kept: impl IntoIterator<Item = Checksum>) -> Self {
        let mut digests = Self { crc32: None, sha256: None };
        for checksum in kept {
            match checksum {
                Checksum::Crc32 => digests.crc32 = Some(crc32fast::Hasher::new()),
                Checksum::Sha256 => digests.sha256 = Some(Sha256::new()),
            }
        }
        digests
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(crc32) = &mut self.crc32 {
            crc32.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    pub(super) fn crc32(&self) -> Option<u32> {
        self.crc32.clone().map(crc32fast::Hasher::finalize)
    }

    pub(super) fn sha256(&self) -> Option<String> {
        self.sha256.clone().map(|sha256| hex(&sha256.finalize()))
    }

    /// Keeps only one of them.
    fn keep(&mut self, checksum: Checksum) {
        match checksum {
            Checksum::Crc32 => self.sha256 = None,
            Checksum::Sha256 => self.crc32 = None,
        }
    }
}

/// `NAME.part`: bytes are appended to it, and can be removed from its end.
#[derive(Debug)]
pub(super) struct AppendFile {
    path: PathBuf,
    /// `None` while it is closed.
    file: Option<File>,
    encoder: Encoder,
    digests: Digests,
    /// The length up to the last complete write.
    bytes: u64,
    /// True if the file has changed since the last sync.
    is_dirty: bool,
    /// True if a sync has failed. After that, the system no longer reports if a later sync succeeds.
    has_failed: bool,
    ahead: SyncAhead,
}

/// A point between two frames, to which the file can be rolled back.
#[derive(Clone, Debug)]
pub(super) struct Savepoint {
    bytes: u64,
    digests: Digests,
}

impl AppendFile {
    /// Creates an empty file with these attributes. Replaces the content of an existing one.
    pub(super) fn create(
        path: PathBuf,
        attributes: Attributes,
        codec: Codec,
        checksum: Checksum,
    ) -> io::Result<Self> {
        let file = attributes.create(&path)?;
        Ok(Self { is_dirty: true, ..Self::new(path, file, codec, Digests::new([checksum])) })
    }

    /// Opens the first `bytes` bytes of a file, and calls `show` for each of its lines. Truncates the file after them.
    ///
    /// `check` gets the checksums that `kept` names, before anything is cut off.
    ///
    /// Fails with [`io::ErrorKind::UnexpectedEof`] if there are fewer bytes.
    pub(super) fn reopen(
        path: PathBuf,
        (codec, checksum): (Codec, Checksum),
        bytes: u64,
        kept: impl IntoIterator<Item = Checksum>,
        line: impl FnMut(&[u8]) -> io::Result<()>,
        check: impl FnOnce(&Digests) -> io::Result<()>,
    ) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        if length < bytes {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("its length is {length} B and should be {bytes} B"),
            ));
        }
        let mut digests = Digests::new(kept.into_iter().chain([checksum]));
        read_hashed(&file, codec, bytes, |read| digests.update(read), line)?;
        check(&digests)?;
        digests.keep(checksum);
        let mut file = Self::new(path, file, codec, digests);
        file.rollback_to(&Savepoint { bytes, digests: file.digests.clone() })?;
        Ok(file)
    }

    fn new(path: PathBuf, file: File, codec: Codec, digests: Digests) -> Self {
        Self {
            path,
            file: Some(file),
            encoder: codec.encoder(),
            digests,
            bytes: 0,
            is_dirty: false,
            has_failed: false,
            ahead: SyncAhead::default(),
        }
    }

    /// Adds text. If that fails, the file has its previous content, perhaps with an incomplete frame after it.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let ready = self.encoder.push(text)?;
        let file = opened(&mut self.file, &self.path, self.bytes)?;
        write(file, ready, &mut self.digests, &mut self.bytes)?;
        self.is_dirty = true;
        let ahead = self.ahead.wrote(file, ready.len());
        self.has_failed |= ahead.is_err();
        ahead
    }

    /// Ends the frame, so that the file is valid if it ends here.
    pub(super) fn finish_frame(&mut self) -> io::Result<()> {
        let rest = self.encoder.finish()?;
        self.write_frame(&rest)
    }

    /// Gives an empty file a frame without text: tools refuse a compressed file of no bytes.
    pub(super) fn fill_empty(&mut self) -> io::Result<()> {
        if self.bytes > 0 {
            return Ok(());
        }
        let frame = self.encoder.empty_frame()?;
        self.write_frame(&frame)
    }

    fn write_frame(&mut self, frame: &[u8]) -> io::Result<()> {
        if frame.is_empty() {
            return Ok(());
        }
        let file = opened(&mut self.file, &self.path, self.bytes)?;
        self.is_dirty = true;
        write(file, frame, &mut self.digests, &mut self.bytes)
    }

    /// Syncs the file to disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.has_failed {
            return Err(io::Error::other("an earlier write to it has failed"));
        }
        if self.is_dirty {
            self.has_failed = true;
            self.ahead.end()?;
            opened(&mut self.file, &self.path, self.bytes)?.sync_data()?;
            (self.is_dirty, self.has_failed) = (false, false);
        }
        Ok(())
    }

    /// Syncs the file to disk and closes it until it is needed again.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.sync()?;
        self.file = None;
        Ok(())
    }

    /// The current point, or `None` within a frame.
    pub(super) fn savepoint(&self) -> Option<Savepoint> {
        let between_frames = self.encoder.is_between_frames();
        between_frames.then(|| Savepoint { bytes: self.bytes, digests: self.digests.clone() })
    }

    /// The point before the first byte.
    pub(super) fn start(&self) -> Savepoint {
        let Digests { crc32, sha256 } = &self.digests;
        let kept = [crc32.as_ref().map(|_| Checksum::Crc32), sha256.as_ref().map(|_| Checksum::Sha256)];
        Savepoint { bytes: 0, digests: Digests::new(kept.into_iter().flatten()) }
    }

    /// Removes everything that was added after a savepoint.
    pub(super) fn rollback_to(&mut self, point: &Savepoint) -> io::Result<()> {
        self.encoder.abandon();
        (self.bytes, self.digests) = (point.bytes, point.digests.clone());
        let file = opened(&mut self.file, &self.path, self.bytes)?;
        if file.metadata()?.len() != self.bytes {
            file.set_len(self.bytes)?;
            self.is_dirty = true;
        }
        file.seek(SeekFrom::Start(self.bytes)).map(drop)
    }

    #[cfg(test)]
    pub(super) fn break_sync(&mut self) {
        self.ahead.fail();
    }

    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    #[cfg(test)]
    pub(super) fn break_file(&mut self) {
        // A handle that can't be written, as if the disk were full.
        self.file = Some(File::open(&self.path).unwrap());
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn digests(&self) -> &Digests {
        &self.digests
    }
}

/// The handle of a file, which is opened at this length if it is closed.
fn opened<'a>(file: &'a mut Option<File>, path: &Path, length: u64) -> io::Result<&'a mut File> {
    if file.is_none() {
        let mut opened = OpenOptions::new().read(true).write(true).open(path)?;
        opened.seek(SeekFrom::Start(length))?;
        *file = Some(opened);
    }
    file.as_mut().ok_or_else(|| io::Error::other("a file is closed"))
}

fn write(file: &mut File, bytes: &[u8], digests: &mut Digests, length: &mut u64) -> io::Result<()> {
    file.write_all(bytes)?;
    digests.update(bytes);
    *length += bytes.len() as u64;
    Ok(())
}

/// Shows each line of the text in the first `bytes` of a file, without its line break, and hashes the bytes.
pub(crate) fn read(
    file: impl Read,
    codec: Codec,
    bytes: u64,
    hasher: Option<&mut Sha256>,
    line: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    match hasher {
        Some(hasher) => read_hashed(file, codec, bytes, |read| hasher.update(read), line),
        None => read_hashed(file, codec, bytes, |_| (), line),
    }
}

/// The same, with a function that is shown the bytes.
pub(super) fn read_hashed(
    file: impl Read,
    codec: Codec,
    bytes: u64,
    hash: impl FnMut(&[u8]),
    mut line: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut hashing = Hashing { file: file.take(bytes), hash, bytes: 0 };
    {
        let mut text = codec.decoder(&mut hashing)?;
        let mut buffer = Vec::new();
        while text.read_until(b'\n', &mut buffer)? > 0 {
            let Some(whole) = buffer.strip_suffix(b"\n") else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its last line has no end"));
            };
            line(whole)?;
            buffer.clear();
        }
    }
    // The decoder stops at the end of the last frame.
    io::copy(&mut hashing, &mut io::sink())?;
    if hashing.bytes < bytes {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("its length is {} B and should be {bytes} B", hashing.bytes),
        ));
    }
    Ok(())
}

/// A file on its way to a decoder.
struct Hashing<R, H> {
    file: io::Take<R>,
    hash: H,
    bytes: u64,
}

impl<R: Read, H: FnMut(&[u8])> Read for Hashing<R, H> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        (self.hash)(buffer.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
