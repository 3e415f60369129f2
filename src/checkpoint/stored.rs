//! The stored form of a checkpoint, and the previous form.
//!
//! | version | members |
//! |--:|---|
//! | 2 | `version`, `mark`, `settled`, `seen` (pairs of instant and id), `malformed` (pairs of instant and hash) |
//! | none | `mark`, `settled`, `seen`, `malformed` (a map from the item's text to the instant) |
//!
//! Members are never left out, so that formats without names have the same members in each checkpoint. The form without
//! a version is read from formats with names (JSON, CBOR, and `MessagePack` with names); in others it is an error.

use std::{collections::BTreeMap, fmt, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{
        self, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer,
        value::SeqAccessDeserializer,
    },
    ser::SerializeStruct,
};

use super::Checkpoint;
use crate::fingerprint::Fingerprint;

const VERSION: u8 = 2;
const MEMBERS: &[&str] = &["version", "mark", "settled", "seen", "malformed"];

type Seen = Vec<(DateTime<Utc>, Box<str>)>;
type Malformed = Vec<(DateTime<Utc>, Fingerprint)>;

impl Serialize for Checkpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Formats of a known length need lists, not iterators.
        let seen: Vec<(DateTime<Utc>, &str)> = self.seen().map(|(instant, id)| (instant, &**id)).collect();
        let malformed: Malformed = self.malformed().collect();
        let mut stored = serializer.serialize_struct("Checkpoint", MEMBERS.len())?;
        stored.serialize_field("version", &VERSION)?;
        stored.serialize_field("mark", &self.mark)?;
        stored.serialize_field("settled", &self.settled)?;
        stored.serialize_field("seen", &seen)?;
        stored.serialize_field("malformed", &malformed)?;
        stored.end()
    }
}

impl<'de> Deserialize<'de> for Checkpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Checkpoint", MEMBERS, CheckpointVisitor)
    }
}

struct CheckpointVisitor;

impl<'de> Visitor<'de> for CheckpointVisitor {
    type Value = Checkpoint;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a checkpoint")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checkpoint, A::Error> {
        let (mut mark, mut settled, mut seen, mut malformed) = (None, None, None, None);
        let mut version = false;
        while let Some(name) = map.next_key::<String>()? {
            match &*name {
                "version" => {
                    known::<A::Error>(map.next_value()?)?;
                    version = true;
                }
                "mark" => mark = Some(map.next_value()?),
                "settled" => settled = Some(map.next_value()?),
                "seen" => seen = Some(map.next_value::<Seen>()?),
                "malformed" => malformed = Some(map.next_value::<StoredMalformed>()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    return Err(A::Error::unknown_field(&name, MEMBERS));
                }
            }
        }
        let missing = A::Error::missing_field;
        let malformed = malformed.ok_or_else(|| missing("malformed"))?;
        if malformed.is_old == version {
            return Err(A::Error::custom("the malformed items are not of the checkpoint's version"));
        }
        Ok(checkpoint(
            mark.ok_or_else(|| missing("mark"))?,
            settled.ok_or_else(|| missing("settled"))?,
            seen.ok_or_else(|| missing("seen"))?,
            malformed.items,
        ))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Checkpoint, A::Error> {
        fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
            seq.next_element()?.ok_or_else(|| A::Error::custom("a checkpoint with missing members"))
        }
        known::<A::Error>(next(&mut seq)?)?;
        let (mark, settled) = (next(&mut seq)?, next(&mut seq)?);
        let (seen, malformed) = (next(&mut seq)?, next(&mut seq)?);
        Ok(checkpoint(mark, settled, seen, malformed))
    }
}

fn checkpoint(mark: DateTime<Utc>, settled: DateTime<Utc>, seen: Seen, malformed: Malformed) -> Checkpoint {
    let seen = seen.into_iter().map(|(instant, id)| (instant, Arc::from(id))).collect();
    Checkpoint { mark, settled, seen, malformed: malformed.into_iter().collect() }
}

/// Refuses a version that is not this one.
fn known<E: de::Error>(version: u8) -> Result<(), E> {
    if version == VERSION {
        return Ok(());
    }
    Err(E::custom(format!(
        "a checkpoint of version {version}, of which only {VERSION} and the form before it are known"
    )))
}

fn hashed(malformed: BTreeMap<String, DateTime<Utc>>) -> Malformed {
    malformed.into_iter().map(|(text, instant)| (instant, Fingerprint::of(text))).collect()
}

/// The malformed items in a format with names, where the order of members is unknown.
struct StoredMalformed {
    items: Malformed,
    is_old: bool,
}

impl<'de> Deserialize<'de> for StoredMalformed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;

        impl<'de> Visitor<'de> for Items {
            type Value = StoredMalformed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the malformed items of a checkpoint")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<StoredMalformed, A::Error> {
                let items = Malformed::deserialize(SeqAccessDeserializer::new(seq))?;
                Ok(StoredMalformed { items, is_old: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StoredMalformed, A::Error> {
                let items = BTreeMap::deserialize(MapAccessDeserializer::new(map))?;
                Ok(StoredMalformed { items: hashed(items), is_old: true })
            }
        }

        deserializer.deserialize_any(Items)
    }
}
