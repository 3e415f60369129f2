//! The short way into `EventData`: the crate's own scanner reads the text, without `serde`.
//!
//! It reads what `serde_json` reads, and also numbers that `f64` can't hold, as strings. It gives up on anything
//! else, which is then left to `serde_json` to refuse. Property tests and a fuzz target compare both.

use serde_json::{Map, Value};

use super::{
    json::{Json, number},
    wire::{FieldValue, Wire},
};
use crate::json::{Kind, Scanner, SyntaxError};

/// A text that the short way leaves to `serde_json`.
#[derive(Debug)]
pub(super) struct Unusual;

impl From<SyntaxError> for Unusual {
    fn from(_: SyntaxError) -> Self {
        Self
    }
}

/// The number of levels that `serde_json` reads, less the one of the data itself.
const DEEPEST: u32 = 126;

/// Reads a known key's value.
#[inline]
pub(super) fn reading<T: Wire>(scanner: &mut Scanner<'_>) -> Result<FieldValue<T>, Unusual> {
    match scanner.peek()? {
        Kind::String => Ok(T::from_text(scanner.string()?.value().ok_or(Unusual)?)),
        _ => value(scanner).map(FieldValue::from),
    }
}

/// Reads a value of any kind, as [`Json`] would.
pub(super) fn value(scanner: &mut Scanner<'_>) -> Result<Value, Unusual> {
    value_within(scanner, DEEPEST)
}

fn value_within(scanner: &mut Scanner<'_>, depth: u32) -> Result<Value, Unusual> {
    let inner = depth.checked_sub(1).ok_or(Unusual)?;
    Ok(match scanner.peek()? {
        Kind::String => Value::String(scanner.string()?.value().ok_or(Unusual)?.into_owned()),
        Kind::Array => {
            let mut items = Vec::new();
            scanner.array(|scanner| {
                items.push(value_within(scanner, inner)?);
                Ok::<_, Unusual>(())
            })?;
            Value::Array(items)
        }
        Kind::Object => {
            let mut map = Map::new();
            scanner.object(|scanner, key| {
                let key = key.value().ok_or(Unusual)?;
                map.insert(key.into_owned(), value_within(scanner, inner)?);
                Ok::<_, Unusual>(())
            })?;
            number(&map).map_or(Value::Object(map), Value::Number)
        }
        Kind::Scalar | Kind::Null => {
            let range = scanner.value()?;
            match scanner.slice(range) {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                // The scanner has checked the grammar, so it is a number that `f64` can't hold.
                number => {
                    serde_json::from_str::<Json>(number).map_or_else(|_| number.into(), |Json(number)| number)
                }
            }
        }
    })
}

#[cfg(test)]
mod tests;
