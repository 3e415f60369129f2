use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use http::HeaderValue;

use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

/// Collects `bytes` in chunks of `size`.
fn collect(headers: &HeaderMap, bytes: &[u8], size: usize, limit: usize) -> Result<Vec<u8>, BodyFault> {
    let mut collector = Collector::new(headers, limit, Vec::with_capacity)?;
    for chunk in bytes.chunks(size) {
        collector.push(chunk)?;
    }
    collector.check()?;
    Ok(collector.into_bytes())
}

fn unzip(bytes: &[u8], limit: usize) -> Result<Vec<u8>, BodyFault> {
    let headers = headers(&[("content-encoding", "gzip")]);
    let whole = collect(&headers, bytes, bytes.len().max(1), limit);
    for size in [1, 7, 64] {
        assert_eq!(collect(&headers, bytes, size, limit), whole, "in chunks of {size}");
    }
    whole
}

#[test]
fn all_members_are_decoded() {
    let members = [gzip(b"a page"), gzip(b""), gzip(b" and"), gzip(&vec![b'x'; 100_000])].concat();
    let expected = [b"a page and".as_slice(), &vec![b'x'; 100_000]].concat();
    assert_eq!(unzip(&members, 200_000).unwrap(), expected);
}

#[test]
fn a_stream_that_is_cut_anywhere_but_between_members_is_incomplete() {
    let (one, two) = (gzip(b"{\"items\":[]}"), gzip(b"   "));
    let both = [one.clone(), two].concat();
    for cut in 0..both.len() {
        let read = unzip(&both[..cut], 1000);
        if cut == one.len() {
            assert_eq!(read.unwrap(), b"{\"items\":[]}");
        } else {
            assert_eq!(read, Err(BodyFault::IncompleteGzip), "cut at {cut}");
        }
    }
}

#[test]
fn damaged_data_is_not_a_body() {
    let mut wrong_checksum = gzip(b"a page");
    let at = wrong_checksum.len() - 6;
    wrong_checksum[at] ^= 1;
    let trailing = [gzip(b"a page"), vec![0]].concat();
    for bytes in [wrong_checksum, b"{\"items\":[]}".to_vec(), [gzip(b"a"), b"junk".to_vec()].concat()] {
        assert_eq!(unzip(&bytes, 1000), Err(BodyFault::InvalidGzip));
    }
    assert!(unzip(&trailing, 1000).is_err());
}

#[test]
fn the_limit_counts_decoded_bytes_and_is_inclusive() {
    let packed = gzip(&vec![b'x'; 1 << 20]);
    assert_eq!(unzip(&packed, 1 << 20).unwrap().len(), 1 << 20);
    assert_eq!(unzip(&packed, (1 << 20) - 1), Err(BodyFault::TooLong));
    let plain = HeaderMap::new();
    assert_eq!(collect(&plain, b"12345", 2, 5).unwrap(), b"12345");
    assert_eq!(collect(&plain, b"12345", 2, 4), Err(BodyFault::TooLong));
}

#[test]
fn members_without_content_end_at_a_limit_too() {
    let empty = gzip(b"");
    let headers = headers(&[("content-encoding", "gzip")]);
    let mut collector = Collector::new(&headers, 1000, Vec::with_capacity).unwrap();
    let end = (0..10_000).find_map(|_| collector.push(&empty).err());
    assert_eq!(end, Some(BodyFault::TooLong));
}

#[test]
fn a_body_of_another_length_than_its_header_is_incomplete() {
    let five = headers(&[("content-length", "5")]);
    assert_eq!(collect(&five, b"12345", 2, 10).unwrap(), b"12345");
    assert_eq!(collect(&five, b"1234", 2, 10), Err(BodyFault::Length { expected: 5, received: 4 }));
    assert_eq!(collect(&five, b"", 2, 10), Err(BodyFault::Length { expected: 5, received: 0 }));
    assert_eq!(collect(&five, b"123456", 2, 10), Err(BodyFault::Length { expected: 5, received: 6 }));
    let chunked = headers(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
    assert_eq!(collect(&chunked, b"123456", 2, 10).unwrap(), b"123456");
}

#[test]
fn an_encoding_that_was_not_requested_is_refused() {
    for value in ["br", "deflate", "zstd", "gzip, br", "gzip, gzip", "compress"] {
        let refused = collect(&headers(&[("content-encoding", value)]), b"", 1, 1);
        assert_eq!(refused, Err(BodyFault::Encoding(value.to_owned())));
    }
    for value in ["identity", "", "identity, identity"] {
        assert_eq!(collect(&headers(&[("content-encoding", value)]), b"a", 1, 1).unwrap(), b"a");
    }
    let packed = gzip(b"a");
    for value in ["GZIP", "x-gzip", "identity, gzip"] {
        assert_eq!(collect(&headers(&[("content-encoding", value)]), &packed, 1, 1).unwrap(), b"a");
    }
}
