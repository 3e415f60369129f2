//! Compression of files.
//!
//! A compressed file is a sequence of frames (zstd) or members (gzip). Each is complete in itself, so that everything
//! up to the end of a frame is a valid file whatever follows.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

/// The compression of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Codec {
    #[default]
    None,
    /// RFC 1952
    Gzip,
    /// RFC 8878
    Zstd,
}

/// Writes frames. A frame starts with the first text after the end of the previous frame.
#[derive(Debug)]
pub(super) struct Encoder {
    codec: Codec,
    frame: Option<Frame>,
}

enum Frame {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Codec {
    /// The suffix of a file name.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The compression that a file's name says, if it says one.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        [Self::Gzip, Self::Zstd]
            .into_iter()
            .find(|codec| extension.eq_ignore_ascii_case(codec.suffix().trim_start_matches('.')))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    pub(super) fn encoder(self) -> Encoder {
        Encoder { codec: self, frame: None }
    }

    /// Decodes the text in `file`.
    pub(crate) fn decoder<'a>(self, file: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
        let mut file = BufReader::with_capacity(256 << 10, file);
        // A file without a frame is empty; a decoder would fail at its missing header.
        if file.fill_buf()?.is_empty() {
            return Ok(Box::new(io::empty()));
        }
        Ok(match self {
            Self::None => Box::new(file),
            Self::Gzip => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            Self::Zstd => Box::new(BufReader::new(zstd::stream::read::Decoder::with_buffer(file)?)),
        })
    }
}

impl Encoder {
    /// Adds text, and returns the bytes that are ready to be written.
    pub(super) fn push<'a>(&'a mut self, text: &'a [u8]) -> io::Result<&'a [u8]> {
        if self.codec == Codec::None {
            return Ok(text);
        }
        let frame = match self.frame.take() {
            Some(frame) => frame,
            None => self.begin()?,
        };
        Ok(match self.frame.insert(frame) {
            Frame::Gzip(gzip) => {
                gzip.get_mut().clear();
                gzip.write_all(text)?;
                gzip.get_ref()
            }
            Frame::Zstd(zstd) => {
                zstd.get_mut().clear();
                zstd.write_all(text)?;
                zstd.get_ref()
            }
        })
    }

    /// Returns true if the file is valid if it ends here.
    pub(super) fn is_between_frames(&self) -> bool {
        self.frame.is_none()
    }

    /// Ends the frame, if there is one, and returns the rest of its bytes.
    pub(super) fn finish(&mut self) -> io::Result<Vec<u8>> {
        match self.frame.take() {
            None => Ok(Vec::new()),
            Some(Frame::Gzip(mut gzip)) => {
                gzip.get_mut().clear();
                gzip.finish()
            }
            Some(Frame::Zstd(mut zstd)) => {
                zstd.get_mut().clear();
                zstd.finish()
            }
        }
    }

    /// A frame without text: tools refuse a file without a frame.
    pub(super) fn empty_frame(&mut self) -> io::Result<Vec<u8>> {
        if self.codec != Codec::None && self.frame.is_none() {
            self.frame = Some(self.begin()?);
        }
        self.finish()
    }

    /// Forgets the frame.
    pub(super) fn abandon(&mut self) {
        self.frame = None;
    }

    fn begin(&self) -> io::Result<Frame> {
        Ok(match self.codec {
            Codec::Zstd => {
                let mut zstd =
                    zstd::stream::write::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
                zstd.include_checksum(true)?;
                Frame::Zstd(zstd)
            }
            Codec::None | Codec::Gzip => Frame::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
        })
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Codec; 3] = [Codec::None, Codec::Gzip, Codec::Zstd];

    fn decoded(codec: Codec, file: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        codec.decoder(file)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn a_file_that_ends_after_a_frame_is_valid() {
        for codec in ALL {
            let mut encoder = codec.encoder();
            let mut file = Vec::new();
            let mut whole = String::new();
            for round in 0..5 {
                for line in 0..100 {
                    let line = format!("{{\"round\":{round},\"line\":{line}}}\n");
                    whole += &line;
                    file.extend(encoder.push(line.as_bytes()).unwrap());
                }
                file.extend(encoder.finish().unwrap());
                assert!(encoder.is_between_frames());
                assert_eq!(decoded(codec, &file).unwrap(), whole, "{codec:?}");
            }
        }
    }

    #[test]
    fn a_truncated_file_can_not_be_decoded() {
        for codec in [Codec::Gzip, Codec::Zstd] {
            let mut encoder = codec.encoder();
            let mut file = encoder.push(b"text").unwrap().to_vec();
            file.extend(encoder.finish().unwrap());
            file.pop();
            assert!(decoded(codec, &file).is_err(), "{codec:?}");
        }
    }

    #[test]
    fn an_empty_text_makes_a_valid_file() {
        for codec in ALL {
            assert_eq!(decoded(codec, b"").unwrap(), "");
            let file = codec.encoder().empty_frame().unwrap();
            assert_eq!(
                (decoded(codec, &file).unwrap().as_str(), file.is_empty()),
                ("", codec == Codec::None)
            );
        }
    }
}
