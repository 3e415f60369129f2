//! The stored forms of `Event` and `EventData`.
//!
//! Formats that are human-readable store the JSON value. The others have no type for a value of any kind that they
//! would read back unchanged (or at all), so they store its JSON text.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned},
    ser,
};
use serde_json::value::RawValue;

use super::Event;

/// As [`raw`](Event::raw): verbatim in JSON, as a string in formats that are not human-readable.
impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_str(self.raw());
        }
        let raw: &RawValue = serde_json::from_str(self.raw()).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// From what [`Serialize`] writes. The text is kept.
impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = if deserializer.is_human_readable() {
            Box::<RawValue>::deserialize(deserializer)?.into()
        } else {
            Box::<str>::deserialize(deserializer)?
        };
        Self::from_json(text).map_err(de::Error::custom)
    }
}

/// Writes `value` as its JSON text.
pub(super) fn write_text<S: Serializer>(value: &impl Serialize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&serde_json::to_string(value).map_err(ser::Error::custom)?)
}

/// Reads a value from its JSON text.
pub(super) fn read_text<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    serde_json::from_str(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}
