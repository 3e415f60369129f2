//! One growing file under its temporary name.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    codec::{Codec, Encoder},
    ledger::hex,
};

/// `NAME.part`: text that only gets more, except that its end can be taken back.
#[derive(Debug)]
pub(super) struct Growing {
    path: PathBuf,
    /// None while it rests.
    file: Option<File>,
    encoder: Encoder,
    hasher: Option<Sha256>,
    /// What it has of whole writes.
    bytes: u64,
    /// Whether anything has changed since it was brought to disk.
    is_dirty: bool,
    /// Whether that has failed. Then the system tells no more whether it succeeds.
    has_failed: bool,
}

/// A point between two frames, to go back to.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    bytes: u64,
    hasher: Option<Sha256>,
}

impl Growing {
    /// An empty file: this one, or a new one at `path`. What there was is gone.
    pub(super) fn begin(
        path: PathBuf,
        file: Option<File>,
        codec: Codec,
        with_checksum: bool,
    ) -> io::Result<Self> {
        let file = match file {
            Some(file) => file,
            None => OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?,
        };
        let hasher = with_checksum.then(Sha256::new);
        let (encoder, file) = (codec.encoder(), Some(file));
        let mut growing = Self { path, file, encoder, hasher, bytes: 0, is_dirty: true, has_failed: false };
        growing.go_back(&Mark { bytes: 0, hasher: growing.hasher.clone() })?;
        Ok(growing)
    }

    /// The first `bytes` of a file, and each of its lines shown. What stands behind them is cut off.
    ///
    /// Fails with [`io::ErrorKind::UnexpectedEof`] if there is less.
    pub(super) fn reopen(
        path: PathBuf,
        file: Option<File>,
        (codec, with_checksum): (Codec, bool),
        bytes: u64,
        line: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut file = match file {
            Some(file) => file,
            None => OpenOptions::new().read(true).write(true).open(&path)?,
        };
        let length = file.metadata()?.len();
        if length < bytes {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("it has {length} bytes and should have {bytes}"),
            ));
        }
        let mut hasher = with_checksum.then(Sha256::new);
        file.seek(SeekFrom::Start(0))?;
        read(&file, codec, bytes, hasher.as_mut(), line)?;
        let (encoder, file) = (codec.encoder(), Some(file));
        let mut growing = Self { path, file, encoder, hasher, bytes, is_dirty: false, has_failed: false };
        growing.go_back(&Mark { bytes, hasher: growing.hasher.clone() })?;
        Ok(growing)
    }

    /// Adds text. If that fails, it has what it had before, or lacks the end of a frame.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let ready = self.encoder.push(text)?;
        let file = awake(&mut self.file, &self.path, self.bytes)?;
        write(file, ready, self.hasher.as_mut(), &mut self.bytes)?;
        self.is_dirty = true;
        Ok(())
    }

    /// Ends the frame, so that the file is valid as it is.
    pub(super) fn finish_frame(&mut self) -> io::Result<()> {
        let rest = self.encoder.finish()?;
        if rest.is_empty() {
            return Ok(());
        }
        let file = awake(&mut self.file, &self.path, self.bytes)?;
        self.is_dirty = true;
        write(file, &rest, self.hasher.as_mut(), &mut self.bytes)
    }

    /// Makes an empty file one that tools take.
    pub(super) fn fill_empty(&mut self) -> io::Result<()> {
        if self.bytes > 0 {
            return Ok(());
        }
        let frame = self.encoder.empty_frame()?;
        if frame.is_empty() {
            return Ok(());
        }
        let file = awake(&mut self.file, &self.path, self.bytes)?;
        self.is_dirty = true;
        write(file, &frame, self.hasher.as_mut(), &mut self.bytes)
    }

    /// Brings it to disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.has_failed {
            return Err(io::Error::other("an earlier write to it has failed"));
        }
        if self.is_dirty {
            self.has_failed = true;
            awake(&mut self.file, &self.path, self.bytes)?.sync_data()?;
            (self.is_dirty, self.has_failed) = (false, false);
        }
        Ok(())
    }

    /// Brings it to disk and gives its handle back, until it is needed again.
    pub(super) fn rest(&mut self) -> io::Result<()> {
        self.sync()?;
        self.file = None;
        Ok(())
    }

    /// Where it stands; none within a frame.
    pub(super) fn mark(&self) -> Option<Mark> {
        self.encoder.is_between_frames().then(|| Mark { bytes: self.bytes, hasher: self.hasher.clone() })
    }

    /// Takes back all that was added behind a mark.
    pub(super) fn go_back(&mut self, mark: &Mark) -> io::Result<()> {
        self.encoder.abandon();
        (self.bytes, self.hasher) = (mark.bytes, mark.hasher.clone());
        let file = awake(&mut self.file, &self.path, self.bytes)?;
        if file.metadata()?.len() != self.bytes {
            file.set_len(self.bytes)?;
            self.is_dirty = true;
        }
        file.seek(SeekFrom::Start(self.bytes)).map(drop)
    }

    #[cfg(test)]
    pub(super) fn is_awake(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn sha256(&self) -> Option<String> {
        self.hasher.clone().map(|hasher| hex(&hasher.finalize()))
    }
}

impl Mark {
    /// The start of a file.
    pub(super) fn start(with_checksum: bool) -> Self {
        Self { bytes: 0, hasher: with_checksum.then(Sha256::new) }
    }
}

/// The handle of a file, which is opened again at this length if the file was at rest.
fn awake<'a>(file: &'a mut Option<File>, path: &Path, length: u64) -> io::Result<&'a mut File> {
    if file.is_none() {
        let mut opened = OpenOptions::new().read(true).write(true).open(path)?;
        opened.seek(SeekFrom::Start(length))?;
        *file = Some(opened);
    }
    file.as_mut().ok_or_else(|| io::Error::other("a file is closed"))
}

fn write(file: &mut File, bytes: &[u8], hasher: Option<&mut Sha256>, length: &mut u64) -> io::Result<()> {
    file.write_all(bytes)?;
    if let Some(hasher) = hasher {
        hasher.update(bytes);
    }
    *length += bytes.len() as u64;
    Ok(())
}

/// Shows each line of the text in the first `bytes` of a file, without its line break.
pub(crate) fn read(
    file: impl Read,
    codec: Codec,
    bytes: u64,
    hasher: Option<&mut Sha256>,
    mut line: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut hashing = Hashing { file: file.take(bytes), hasher, bytes: 0 };
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
    // Whatever the decoder left.
    io::copy(&mut hashing, &mut io::sink())?;
    if hashing.bytes < bytes {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("it has {} bytes and should have {bytes}", hashing.bytes),
        ));
    }
    Ok(())
}

/// A file on its way to a decoder.
struct Hashing<'a, R> {
    file: io::Take<R>,
    hasher: Option<&'a mut Sha256>,
    bytes: u64,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if let (Some(hasher), Some(bytes)) = (&mut self.hasher, buffer.get(..read)) {
            hasher.update(bytes);
        }
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn lines(growing: &Growing, codec: Codec) -> Vec<String> {
        let mut lines = Vec::new();
        let file = File::open(growing.path()).unwrap();
        read(file, codec, growing.bytes(), None, |line| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        })
        .unwrap();
        lines
    }

    #[test]
    fn it_grows_over_openings_and_knows_its_checksum() {
        for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("f.part");
            fs::write(&path, "left over, and longer than what comes").unwrap();
            let mut growing = Growing::begin(path.clone(), None, codec, true).unwrap();
            growing.append(b"1\n2\n").unwrap();
            growing.finish_frame().unwrap();
            growing.sync().unwrap();
            let committed = growing.bytes();
            growing.append(b"3\n").unwrap();
            growing.finish_frame().unwrap();
            drop(growing);

            let mut shown = 0;
            let count = |_: &[u8]| {
                shown += 1;
                Ok(())
            };
            let mut growing = Growing::reopen(path.clone(), None, (codec, true), committed, count).unwrap();
            assert_eq!((shown, fs::metadata(&path).unwrap().len()), (2, committed), "{codec:?}");
            growing.append(b"4\n").unwrap();
            growing.finish_frame().unwrap();
            assert_eq!(lines(&growing, codec), ["1", "2", "4"]);
            assert_eq!(growing.sha256().unwrap(), hex(&Sha256::digest(fs::read(&path).unwrap())));
        }
    }

    #[test]
    fn its_end_can_be_taken_back_to_where_a_frame_ends() {
        for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
            let folder = tempfile::tempdir().unwrap();
            let mut growing = Growing::begin(folder.path().join("f"), None, codec, true).unwrap();
            growing.append(b"1\n").unwrap();
            assert_eq!(growing.mark().is_some(), codec == Codec::None);
            growing.finish_frame().unwrap();
            let (mark, sha256) = (growing.mark().unwrap(), growing.sha256());
            growing.append(b"2\n").unwrap();
            growing.go_back(&mark).unwrap();
            assert_eq!((growing.sha256(), lines(&growing, codec)), (sha256, vec!["1".to_owned()]));
        }
    }

    #[test]
    fn one_that_lost_some_of_its_bytes_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "1\n2\n").unwrap();
        let open = |bytes| Growing::reopen(path.clone(), None, (Codec::None, false), bytes, |_| Ok(()));
        assert_eq!(open(5).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(open(3).unwrap_err().kind(), io::ErrorKind::InvalidData);
        open(4).unwrap();
    }

    #[test]
    fn an_empty_one_is_a_file_that_tools_take() {
        let folder = tempfile::tempdir().unwrap();
        for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
            let mut growing = Growing::begin(folder.path().join("f"), None, codec, false).unwrap();
            growing.fill_empty().unwrap();
            growing.fill_empty().unwrap();
            assert_eq!(growing.bytes() > 0, codec != Codec::None);
            assert!(lines(&growing, codec).is_empty());
        }
    }
}
