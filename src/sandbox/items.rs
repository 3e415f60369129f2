//! Items of a page that aren't complete events.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;

use super::json::Object;

/// The shape of a malformed item. It is always JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Malformed {
    /// `null`.
    Null,
    /// A string.
    Text,
    /// An array.
    Array,
    /// The event without its `id`.
    MissingId,
    /// The event with a number for its `id`.
    NumericId,
    /// The event without its `created`.
    MissingCreated,
    /// The event with a `created` that isn't a time.
    UnreadableCreated,
    /// The event with `null` for its `resource`.
    NullResource,
}

impl Malformed {
    /// Every shape of this version, in the order in which malformed items take turns.
    pub const ALL: &'static [Self] = &[
        Self::Null,
        Self::Text,
        Self::Array,
        Self::MissingId,
        Self::NumericId,
        Self::MissingCreated,
        Self::UnreadableCreated,
        Self::NullResource,
    ];
}

/// The changes to events in pages.
#[derive(Clone, Debug)]
pub(super) struct ItemFaults {
    pub(super) every: u64,
    pub(super) at: HashSet<u64>,
    pub(super) shapes: Vec<Malformed>,
    pub(super) field_errors_every: u64,
}

impl Default for ItemFaults {
    fn default() -> Self {
        Self { every: 0, at: HashSet::new(), shapes: Malformed::ALL.to_vec(), field_errors_every: 0 }
    }
}

impl ItemFaults {
    fn shape(&self, number: u32) -> Option<Malformed> {
        let number = u64::from(number);
        let nth = self.every > 0 && (number + 1).is_multiple_of(self.every);
        if !nth && !self.at.contains(&number) {
            return None;
        }
        let turn = if nth { (number + 1) / self.every - 1 } else { number };
        let turn = usize::try_from(turn % self.shapes.len().max(1) as u64).unwrap_or_default();
        self.shapes.get(turn).copied()
    }

    /// Writes the item that a page has for the event with this number and text.
    pub(super) fn write(&self, out: &mut Vec<u8>, number: u32, text: &[u8]) {
        if let Some(shape) = self.shape(number) {
            write_malformed(out, shape, text);
        } else if self.field_errors_every > 0
            && (u64::from(number) + 1).is_multiple_of(self.field_errors_every)
        {
            write_field_error(out, text);
        } else {
            out.extend_from_slice(text);
        }
    }
}

fn write_malformed(out: &mut Vec<u8>, shape: Malformed, text: &[u8]) {
    let edited = match shape {
        Malformed::Null => Some(b"null".to_vec()),
        Malformed::Text => Some(br#""not an event""#.to_vec()),
        Malformed::Array => Some(br#"["not","an","event"]"#.to_vec()),
        Malformed::MissingId => replace(text, "id", None),
        Malformed::NumericId => replace(text, "id", Some("42")),
        Malformed::MissingCreated => replace(text, "created", None),
        Malformed::UnreadableCreated => replace(text, "created", Some(r#""the day before yesterday""#)),
        Malformed::NullResource => replace(text, "resource", Some("null")),
    };
    out.extend_from_slice(edited.as_deref().unwrap_or(b"null"));
}

/// The event with another value for one of its fields, or without the field.
fn replace(text: &[u8], field: &str, value: Option<&str>) -> Option<Vec<u8>> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(text).ok()?;
    let mut out = Vec::with_capacity(text.len());
    let mut object = Object::new(&mut out);
    for (name, kept) in &fields {
        match value {
            _ if name != field => object.json(name, kept.get()),
            Some(value) => object.json(name, value),
            None => &mut object,
        };
    }
    object.end();
    Some(out)
}

/// The event with an `errors` object, and ciphertext where the text couldn't be decrypted.
fn write_field_error(out: &mut Vec<u8>, text: &[u8]) {
    const CIPHERTEXT: &[u8] = br#""text":"eyJhbGciOiIiLCJraWQiOiIiLCJlbmMiOiIifQ....""#;
    const KEY: &[u8] = br#""text":""#;
    let Some((b'}', body)) = text.split_last() else { return out.extend_from_slice(text) };
    let encrypted = body.windows(KEY.len()).position(|window| window == KEY);
    if let Some(start) = encrypted {
        out.extend_from_slice(&body[..start]);
        out.extend_from_slice(CIPHERTEXT);
        let value = &body[start + KEY.len()..];
        let mut escaped = false;
        let end = value.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        out.extend_from_slice(&value[end.map_or(value.len(), |end| end + 1)..]);
    } else {
        out.extend_from_slice(body);
    }
    let field = if encrypted.is_some() { "text" } else { "id" };
    let reason = "Key management server failed to respond appropriately.";
    let errors = format!(r#","errors":{{"{field}":{{"code":"kms_failure","reason":"{reason}"}}}}}}"#);
    out.extend_from_slice(errors.as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_malformed_item_is_json() {
        let text =
            br#"{"id":"a","resource":"messages","created":"2026-01-05T09:00:00.123Z","data":{"id":"b"}}"#;
        for &shape in Malformed::ALL {
            let mut out = Vec::new();
            write_malformed(&mut out, shape, text);
            let value: Value = serde_json::from_slice(&out).unwrap();
            assert_ne!(value, serde_json::from_slice::<Value>(text).unwrap(), "{shape:?}");
        }
    }

    #[test]
    fn a_field_error_hides_the_text() {
        let mut out = Vec::new();
        write_field_error(&mut out, br#"{"id":"a","data":{"text":"x \"y\" \\","z":1}}"#);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["errors"]["text"]["code"], "kms_failure");
        assert!(value["data"]["text"].as_str().unwrap().starts_with("eyJ"));
        assert_eq!(value["data"]["z"], 1);
    }
}
