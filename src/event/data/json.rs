//! Any JSON value, kept as it is.

use std::{fmt, iter};

use serde::{
    Deserialize, Deserializer,
    de::{
        Error, MapAccess, SeqAccess, Visitor,
        value::{Error as ValueError, MapDeserializer},
    },
};
use serde_json::{Map, Number, Value};

/// A [`Value`] whose decoding doesn't depend on the names of its keys.
///
/// `Value`'s own decoding treats an object whose first key is `$serde_json::private::RawValue` as one of its
/// wrappers, and fails unless that key's value is JSON text. The author of a card chooses the keys of `inputs`,
/// and must not be able to make an event undecodable.
pub(super) struct Json(pub(super) Value);

/// With `serde_json`'s feature `arbitrary_precision`, which any crate of a build can turn on, a number
/// comes as a map from this key to its digits.
const NUMBER: &str = "$serde_json::private::Number";

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Self)
    }
}

pub(super) struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        Number::from_i128(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        Number::from_u128(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Json(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Json(value))) = access.next_entry()? {
            map.insert(key, value);
        }
        Ok(number(&map).map_or(Value::Object(map), Value::Number))
    }
}

/// The number that `map` represents. `serde_json` decides whether it does: without the feature the
/// same map is an object like any other.
pub(super) fn number(map: &Map<String, Value>) -> Option<Number> {
    if map.len() != 1 {
        return None;
    }
    let digits = map.get(NUMBER)?.as_str()?;
    Number::deserialize(MapDeserializer::<_, ValueError>::new(iter::once((NUMBER, digits)))).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(text: &str) -> Value {
        serde_json::from_str::<Json>(text).unwrap().0
    }

    #[test]
    fn reads_what_serde_json_reads() {
        for text in [
            "null",
            "true",
            "0",
            "-1",
            "18446744073709551615",
            "-9223372036854775808",
            "1.5",
            "1e300",
            "123456789012345678901234567890",
            r#""a\u00e9\n""#,
            "[]",
            "[1,[2.5],{}]",
            r#"{"a":1,"b":{"c":[null]},"a":2}"#,
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(decode(text), expected, "{text}");
            assert_eq!(serde_json::from_value::<Json>(expected.clone()).unwrap().0, expected, "{text}");
            assert_eq!(Json::deserialize(&expected).unwrap().0, expected, "{text}");
        }
    }

    #[test]
    fn no_key_is_magic() {
        for text in [
            r#"{"$serde_json::private::RawValue":"{"}"#,
            r#"{"$serde_json::private::RawValue":5}"#,
            r#"{"$serde_json::private::RawValue":"[1]","b":2}"#,
            r#"{"$serde_json::private::Number":"five"}"#,
            r#"{"$serde_json::private::Number":5}"#,
            r#"{"$serde_json::private::Number":"5","b":2}"#,
        ] {
            let value = decode(text);
            assert!(value.is_object(), "{text}");
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn numbers_that_json_can_not_hold_are_null() {
        use serde::de::IntoDeserializer;

        let nan: serde::de::value::F64Deserializer<ValueError> = f64::NAN.into_deserializer();
        assert_eq!(Json::deserialize(nan).unwrap().0, json!(null));
    }
}
