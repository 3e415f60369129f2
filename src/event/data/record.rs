//! The macro that makes a type, with its reading and writing, from a table of fields.

use serde_json::{Map, Value};

/// An object inside [`EventData`](super::EventData).
pub(super) trait Record: serde::Serialize + From<Map<String, Value>> {}

/// Makes a struct of optional fields, each with its key on the wire, and `extra` for all other values.
///
/// It is written as one object. The macro named after `by`, which gets the
/// name, the fields and the rest of the table, makes the code that reads it.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident by $read:ident {
            $($(#[$docs:meta])* $field:ident: $type:ty = $key:literal,)+
        }
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$docs])*
                #[doc = concat!("\n\nOn the wire `", $key, "`.")]
                pub $field: Option<$type>,
            )+
            /// Everything else under its key on the wire: keys that this version doesn't know, and
            /// known ones whose value doesn't fit their field.
            ///
            /// After decoding, no key is both here and in a field. A value with a key that you put in both
            /// can't be serialized.
            pub extra: Map<String, Value>,
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if !serializer.is_human_readable() {
                    return write_text(self, serializer);
                }
                $(if self.$field.is_some() && self.extra.contains_key($key) {
                    return Err(S::Error::custom(concat!("`", $key, "` is both in its field and in `extra`")));
                })+
                let fields = 0 $(+ usize::from(self.$field.is_some()))+;
                let mut map = serializer.serialize_map(Some(fields + self.extra.len()))?;
                $(if let Some(value) = &self.$field {
                    map.serialize_entry($key, &Written(value))?;
                })+
                for (key, value) in &self.extra {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }

        $read! { $name { $($field: $type = $key,)+ } $($rest)* }
    };
}

/// Reads key by key, so that a fitting scalar goes straight from the input into its field: by the
/// crate's own scanner, and from whatever `serde` reads.
macro_rules! stream {
    (
        $name:ident { $($field:ident: $type:ty = $key:literal,)+ }
        aliases { $($alias:ident = $alias_key:literal for $target:ident = $target_key:literal,)* }
    ) => {
        impl $name {
            /// Every key that has a field.
            #[cfg(test)]
            pub(crate) const KEYS: &[&str] = &[$($key,)+ $($alias_key,)*];

            /// Reads JSON text by the crate's own scanner. `None` leaves it to `serde_json` to read or
            /// refuse the text.
            pub(crate) fn scan(text: &str) -> Option<Self> {
                let mut record = Self::default();
                $(let mut $alias = None;)*
                let mut scanner = Scanner::new(text);
                let read: Result<(), Unusual> = scanner.object(|scanner, key| {
                    let key = key.value().ok_or(Unusual)?;
                    match &*key {
                        $($key => scan::reading::<$type>(scanner)?
                            .settle($key, &mut record.$field, &mut record.extra),)+
                        $($alias_key => scan::reading(scanner)?
                            .settle($alias_key, &mut $alias, &mut record.extra),)*
                        _ => {
                            record.extra.insert(key.into_owned(), scan::value(scanner)?);
                        }
                    }
                    Ok(())
                });
                read.ok()?;
                scanner.end().ok()?;
                $(merge_alias(
                    ($alias_key, $alias),
                    ($target_key, &mut record.$target),
                    &mut record.extra,
                );)*
                Some(record)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[expect(non_camel_case_types, reason = "named as the fields are")]
                enum Key {
                    $($field,)+
                    $($alias,)*
                    Unknown(String),
                }

                struct KeyVisitor;

                impl KeyVisitor {
                    fn known(key: &str) -> Option<Key> {
                        Some(match key {
                            $($key => Key::$field,)+
                            $($alias_key => Key::$alias,)*
                            _ => return None,
                        })
                    }
                }

                impl Visitor<'_> for KeyVisitor {
                    type Value = Key;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a key")
                    }

                    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                        Ok(Self::known(key).unwrap_or_else(|| Key::Unknown(key.to_owned())))
                    }

                    fn visit_string<E>(self, key: String) -> Result<Key, E> {
                        Ok(Self::known(&key).unwrap_or(Key::Unknown(key)))
                    }
                }

                impl<'de> Deserialize<'de> for Key {
                    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                        deserializer.deserialize_identifier(KeyVisitor)
                    }
                }

                struct RecordVisitor;

                impl<'de> Visitor<'de> for RecordVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut record = $name::default();
                        $(let mut $alias = None;)*
                        while let Some(key) = map.next_key()? {
                            match key {
                                $(Key::$field => {
                                    let reading: FieldValue<$type> = map.next_value()?;
                                    reading.settle($key, &mut record.$field, &mut record.extra);
                                })+
                                $(Key::$alias => {
                                    let reading: FieldValue<_> = map.next_value()?;
                                    reading.settle($alias_key, &mut $alias, &mut record.extra);
                                })*
                                Key::Unknown(key) => {
                                    let Json(value) = map.next_value()?;
                                    record.extra.insert(key, value);
                                }
                            }
                        }
                        $(merge_alias(
                            ($alias_key, $alias),
                            ($target_key, &mut record.$target),
                            &mut record.extra,
                        );)*
                        Ok(record)
                    }
                }

                if deserializer.is_human_readable() {
                    deserializer.deserialize_map(RecordVisitor)
                } else {
                    read_text(deserializer)
                }
            }
        }
    };
}

/// Takes the fields from an object that has been decoded, because a list of such objects fits as a whole
/// or not at all.
macro_rules! pick {
    ($name:ident { $($field:ident: $type:ty = $key:literal,)+ }) => {
        impl From<Map<String, Value>> for $name {
            fn from(mut object: Map<String, Value>) -> Self {
                Self { $($field: take(&mut object, $key),)+ extra: object }
            }
        }

        impl Record for $name {}

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return read_text(deserializer);
                }
                let Json(value) = Json::deserialize(deserializer)?;
                match value {
                    Value::Object(object) => Ok(object.into()),
                    _ => Err(D::Error::custom("not an object")),
                }
            }
        }
    };
}

pub(super) use {pick, record, stream};
