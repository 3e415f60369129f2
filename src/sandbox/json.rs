//! Writes JSON directly into a buffer, without `serde`, so that benchmarks measure the client and not the sandbox.
//!
//! A sandbox without filters serves 3.6 GB/s of pages. The bytes of an event are the same in every version, which
//! `tests/it/sandbox/lists.rs` checks.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chrono::{DateTime, Datelike, Timelike, Utc};

use super::random::hyphenated;

/// An object being written. [`end`](Object::end) closes it.
#[derive(Debug)]
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Writes the key; the caller writes the value.
    pub(super) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(super) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        write_text(self.key(key), value);
        self
    }

    /// Writes a value that is already JSON.
    pub(super) fn json(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key).extend_from_slice(value.as_bytes());
        self
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.json(key, if value { "true" } else { "false" })
    }

    pub(super) fn number(&mut self, key: &str, value: u64) -> &mut Self {
        self.json(key, &value.to_string())
    }

    pub(super) fn time(&mut self, key: &str, millis: i64) -> &mut Self {
        let out = self.key(key);
        out.push(b'"');
        write_time(out, millis);
        out.push(b'"');
        self
    }

    /// An id in the service's form: unpadded base64 of `ciscospark://us/KIND/uuid`.
    pub(super) fn id(&mut self, key: &str, kind: &str, uuid: u128) -> &mut Self {
        let out = self.key(key);
        out.push(b'"');
        write_id(out, kind, uuid);
        out.push(b'"');
        self
    }

    pub(super) fn uuid(&mut self, key: &str, uuid: u128) -> &mut Self {
        let out = self.key(key);
        out.push(b'"');
        out.extend_from_slice(&hyphenated(uuid));
        out.push(b'"');
        self
    }

    pub(super) fn object(&mut self, key: &str, fields: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        let mut inner = Object::new(self.key(key));
        fields(&mut inner);
        inner.end();
        self
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// `2026-01-05T09:00:00.123Z`.
pub(super) fn write_time(out: &mut Vec<u8>, millis: i64) {
    let time = DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default();
    digits(out, time.year().unsigned_abs(), 4);
    for (separator, value) in [
        (b'-', time.month()),
        (b'-', time.day()),
        (b'T', time.hour()),
        (b':', time.minute()),
        (b':', time.second()),
    ] {
        out.push(separator);
        digits(out, value, 2);
    }
    out.push(b'.');
    digits(out, time.timestamp_subsec_millis(), 3);
    out.push(b'Z');
}

pub(super) fn time(millis: i64) -> String {
    let mut text = Vec::with_capacity(24);
    write_time(&mut text, millis);
    String::from_utf8(text).unwrap_or_default()
}

fn digits(out: &mut Vec<u8>, value: u32, width: u32) {
    for exponent in (0..width).rev() {
        out.push(b'0' + (value / 10_u32.pow(exponent) % 10) as u8);
    }
}

fn write_id(out: &mut Vec<u8>, kind: &str, uuid: u128) {
    const SCHEME: &[u8] = b"ciscospark://us/";
    let mut plain = [0; 80];
    let mut end = 0;
    for part in [SCHEME, kind.as_bytes(), b"/", &hyphenated(uuid)] {
        plain[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    let start = out.len();
    out.resize(start + (end * 4).div_ceil(3), b'=');
    let written = STANDARD_NO_PAD.encode_slice(&plain[..end], &mut out[start..]);
    out.truncate(start + written.unwrap_or_default());
}

pub(super) fn id(kind: &str, uuid: u128) -> String {
    let mut text = Vec::with_capacity(96);
    write_id(&mut text, kind, uuid);
    String::from_utf8(text).unwrap_or_default()
}

/// The UUID in an id that [`write_id`] could have written.
pub(super) fn uuid_of(id: &str) -> Option<u128> {
    let plain = String::from_utf8(STANDARD_NO_PAD.decode(id).ok()?).ok()?;
    u128::from_str_radix(&plain.rsplit('/').next()?.replace('-', ""), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_json_can_be_parsed() {
        let mut out = Vec::new();
        let mut object = Object::new(&mut out);
        object.text("a", "\"\\\n\u{1}é").number("b", 7).object("c", |c| {
            c.flag("d", true);
        });
        object.end();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value, serde_json::json!({"a": "\"\\\n\u{1}é", "b": 7, "c": {"d": true}}));
    }

    #[test]
    fn an_id_has_the_form_of_the_reference() {
        let id = id("EVENT", 0x0000_0009_0000_4000_8000_0000_0000_0009);
        assert_eq!(id, "Y2lzY29zcGFyazovL3VzL0VWRU5ULzAwMDAwMDA5LTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwOQ");
        assert_eq!(uuid_of(&id), Some(0x0000_0009_0000_4000_8000_0000_0000_0009));
    }

    #[test]
    fn a_time_has_milliseconds_and_a_z() {
        assert_eq!(time(1_767_603_600_123), "2026-01-05T09:00:00.123Z");
    }
}
