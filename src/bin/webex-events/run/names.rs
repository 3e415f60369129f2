//! The names of exported files.

use chrono::{DateTime, Utc};

use crate::archive::{Codec, FileEntry};

/// A file for the events created from `start`, included, up to `end`, excluded.
pub(crate) fn entry(start: DateTime<Utc>, end: DateTime<Utc>, codec: Codec) -> FileEntry {
    FileEntry::new(name(start, end, codec), Some((start, end)))
}

fn name(start: DateTime<Utc>, end: DateTime<Utc>, codec: Codec) -> String {
    format!("events_{}_{}.ndjson{}", instant(start), instant(end), codec.suffix())
}

/// The basic form of ISO 8601, which sorts by time; with milliseconds only if they aren't 0.
fn instant(instant: DateTime<Utc>) -> String {
    let form = if instant.timestamp_subsec_millis() == 0 { "%Y%m%dT%H%M%SZ" } else { "%Y%m%dT%H%M%S%.3fZ" };
    instant.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_has_the_range() {
        let at = |text: &str| text.parse().unwrap();
        for (start, end, codec, expected) in [
            (
                "2026-01-01T00:00:00Z",
                "2026-01-01T06:00:00Z",
                Codec::None,
                "events_20260101T000000Z_20260101T060000Z.ndjson",
            ),
            (
                "2026-01-01T00:00:00.5Z",
                "2026-01-01T00:00:01Z",
                Codec::Zstd,
                "events_20260101T000000.500Z_20260101T000001Z.ndjson.zst",
            ),
        ] {
            assert_eq!(name(at(start), at(end), codec), expected);
        }
    }
}
