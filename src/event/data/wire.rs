//! Reading and writing the values of known keys.

use std::{borrow::Cow, fmt, marker::PhantomData};

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
    ser,
};
use serde_json::{Map, Value};

use super::{json::JsonVisitor, record::Record};
use crate::event::time::parse_time;

/// The value of a known key: as its field holds it (`None` if there is none), or as received if it doesn't fit.
pub(super) struct FieldValue<T>(pub(super) Result<Option<T>, Value>);

/// The type of a field.
///
/// A value goes to the function of its kind, so that the usual scalars reach a field without an
/// intermediate [`Value`].
pub(super) trait Wire: Serialize + Sized {
    /// Takes a value that none of the other functions takes; never null.
    fn from_value(value: Value) -> FieldValue<Self>;

    fn from_bool(value: bool) -> FieldValue<Self> {
        Self::from_value(Value::Bool(value))
    }

    fn from_u64(value: u64) -> FieldValue<Self> {
        Self::from_value(value.into())
    }

    fn from_text(text: Cow<'_, str>) -> FieldValue<Self> {
        Self::from_value(Value::String(text.into_owned()))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }
}

impl<T> FieldValue<T> {
    fn fit(value: T) -> Self {
        Self(Ok(Some(value)))
    }

    fn misfit(value: impl Into<Value>) -> Self {
        Self(Err(value.into()))
    }

    /// Stores the value in its field or in `extra`, and removes what an earlier value of the same key stored.
    pub(super) fn settle(self, key: &str, field: &mut Option<T>, extra: &mut Map<String, Value>) {
        match self.0 {
            Ok(value) => {
                *field = value;
                if !extra.is_empty() {
                    extra.remove(key);
                }
            }
            Err(misfit) => {
                *field = None;
                extra.insert(key.to_owned(), misfit);
            }
        }
    }
}

impl<T: Wire> From<Value> for FieldValue<T> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self(Ok(None)),
            Value::Bool(value) => T::from_bool(value),
            Value::String(text) => T::from_text(Cow::Owned(text)),
            other => T::from_value(other),
        }
    }
}

/// Gives a field the value of its key's second spelling, unless its own spelling has another value.
pub(super) fn merge_alias<T: PartialEq + Into<Value>>(
    (alias, value): (&str, Option<T>),
    (key, field): (&str, &mut Option<T>),
    extra: &mut Map<String, Value>,
) {
    let Some(value) = value else { return };
    if field.is_none() && !extra.contains_key(key) {
        *field = Some(value);
    } else if field.as_ref() != Some(&value) {
        extra.insert(alias.to_owned(), value.into());
    }
}

impl Wire for String {
    fn from_text(text: Cow<'_, str>) -> FieldValue<Self> {
        FieldValue::fit(text.into_owned())
    }

    fn from_value(value: Value) -> FieldValue<Self> {
        FieldValue::misfit(value)
    }
}

impl Wire for bool {
    fn from_bool(value: bool) -> FieldValue<Self> {
        FieldValue::fit(value)
    }

    fn from_text(text: Cow<'_, str>) -> FieldValue<Self> {
        if ["yes", "true"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            FieldValue::fit(true)
        } else if ["no", "false"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            FieldValue::fit(false)
        } else {
            FieldValue::misfit(text)
        }
    }

    fn from_value(value: Value) -> FieldValue<Self> {
        FieldValue::misfit(value)
    }
}

impl Wire for u64 {
    fn from_u64(value: u64) -> FieldValue<Self> {
        FieldValue::fit(value)
    }

    fn from_text(text: Cow<'_, str>) -> FieldValue<Self> {
        // `parse` alone would accept `+192`.
        match text.parse() {
            Ok(number) if !text.starts_with('+') => FieldValue::fit(number),
            _ => FieldValue::misfit(text),
        }
    }

    fn from_value(value: Value) -> FieldValue<Self> {
        value.as_u64().map_or_else(|| FieldValue::misfit(value), FieldValue::fit)
    }
}

impl Wire for DateTime<Utc> {
    fn from_text(text: Cow<'_, str>) -> FieldValue<Self> {
        if text.is_empty() {
            return FieldValue(Ok(None));
        }
        parse_time(&text).map_or_else(|| FieldValue::misfit(text), FieldValue::fit)
    }

    fn from_value(value: Value) -> FieldValue<Self> {
        FieldValue::misfit(value)
    }

    /// Writes milliseconds, as the service does, and further digits if there are any.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !(0..=9999).contains(&self.year()) {
            return Err(ser::Error::custom("a time whose year does not have four digits"));
        }
        let format = match self.nanosecond() % 1_000_000 {
            0 => SecondsFormat::Millis,
            _ => SecondsFormat::AutoSi,
        };
        serializer.serialize_str(&self.to_rfc3339_opts(format, true))
    }
}

impl Wire for Value {
    fn from_value(value: Value) -> FieldValue<Self> {
        FieldValue::fit(value)
    }

    /// `null` is read as `None`.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_null() {
            return Err(ser::Error::custom("a field that is `null`, which would be read as `None`"));
        }
        self.serialize(serializer)
    }
}

/// Fields that are specified as objects aren't `Value`s, which any value would fit: a value of another kind is
/// in `extra`, like every other value that doesn't fit.
impl Wire for Map<String, Value> {
    fn from_value(value: Value) -> FieldValue<Self> {
        match value {
            Value::Object(map) => FieldValue::fit(map),
            other => FieldValue::misfit(other),
        }
    }
}

impl Wire for Vec<Value> {
    fn from_value(value: Value) -> FieldValue<Self> {
        match value {
            Value::Array(items) => FieldValue::fit(items),
            other => FieldValue::misfit(other),
        }
    }
}

impl Wire for Vec<String> {
    fn from_value(value: Value) -> FieldValue<Self> {
        fitting_list(value, Value::is_string, |item| match item {
            Value::String(text) => Some(text),
            _ => None,
        })
    }
}

impl<T: Record> Wire for Vec<T> {
    fn from_value(value: Value) -> FieldValue<Self> {
        fitting_list(value, Value::is_object, |item| match item {
            Value::Object(map) => Some(T::from(map)),
            _ => None,
        })
    }
}

/// A list whose items all fit, or else the list as received.
fn fitting_list<T>(
    value: Value,
    fits: impl Fn(&Value) -> bool,
    convert: impl Fn(Value) -> Option<T>,
) -> FieldValue<Vec<T>> {
    match value {
        Value::Array(items) if items.iter().all(fits) => {
            FieldValue::fit(items.into_iter().filter_map(convert).collect())
        }
        other => FieldValue::misfit(other),
    }
}

/// Takes a field's value out of an object, and leaves there what doesn't fit.
pub(super) fn take<T: Wire>(object: &mut Map<String, Value>, key: &str) -> Option<T> {
    let mut field = None;
    FieldValue::from(object.remove(key)?).settle(key, &mut field, object);
    field
}

/// A field's value, to be written.
pub(super) struct Written<'a, T>(pub(super) &'a T);

impl<T: Wire> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

impl<'de, T: Wire> Deserialize<'de> for FieldValue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadingVisitor(PhantomData))
    }
}

struct ReadingVisitor<T>(PhantomData<T>);

impl<'de, T: Wire> Visitor<'de> for ReadingVisitor<T> {
    type Value = FieldValue<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        JsonVisitor.expecting(f)
    }

    fn visit_bool<E>(self, value: bool) -> Result<FieldValue<T>, E> {
        Ok(T::from_bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<FieldValue<T>, E> {
        Ok(u64::try_from(value).map_or_else(|_| T::from_value(value.into()), T::from_u64))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<FieldValue<T>, E> {
        JsonVisitor.visit_i128(value).map(FieldValue::from)
    }

    fn visit_u64<E>(self, value: u64) -> Result<FieldValue<T>, E> {
        Ok(T::from_u64(value))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<FieldValue<T>, E> {
        JsonVisitor.visit_u128(value).map(FieldValue::from)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<FieldValue<T>, E> {
        JsonVisitor.visit_f64(value).map(FieldValue::from)
    }

    fn visit_str<E>(self, text: &str) -> Result<FieldValue<T>, E> {
        Ok(T::from_text(Cow::Borrowed(text)))
    }

    fn visit_string<E>(self, text: String) -> Result<FieldValue<T>, E> {
        Ok(T::from_text(Cow::Owned(text)))
    }

    fn visit_none<E>(self) -> Result<FieldValue<T>, E> {
        Ok(FieldValue(Ok(None)))
    }

    fn visit_unit<E>(self) -> Result<FieldValue<T>, E> {
        Ok(FieldValue(Ok(None)))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldValue<T>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldValue<T>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<FieldValue<T>, A::Error> {
        JsonVisitor.visit_seq(seq).map(FieldValue::from)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldValue<T>, A::Error> {
        JsonVisitor.visit_map(map).map(FieldValue::from)
    }
}
