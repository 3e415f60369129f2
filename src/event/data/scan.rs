//! The short way into `EventData`: the crate's own scanner over the text, without `serde` in between.
//!
//! It reads what is usual, and gives up on anything else, which `serde_json` then reads or refuses. So
//! it can be quick without a word of its own on what is right: wherever it gives something, property
//! tests and a fuzz target hold that to what `serde_json` gives.

use serde_json::{Map, Value};

use super::{
    json::{Json, NUMBER},
    wire::{Reading, Wire},
};
use crate::json::{Kind, Scanner, SyntaxError};

/// Something that the short way leaves to `serde_json`.
#[derive(Debug)]
pub(super) struct Unusual;

impl From<SyntaxError> for Unusual {
    fn from(_: SyntaxError) -> Self {
        Self
    }
}

/// How deep a value is read; well below what `serde_json` takes.
const DEEPEST: u32 = 100;

/// Reads a known key's value.
#[inline]
pub(super) fn reading<T: Wire>(scanner: &mut Scanner<'_>) -> Result<Reading<T>, Unusual> {
    match scanner.peek()? {
        Kind::String => Ok(T::from_text(scanner.string()?.value().ok_or(Unusual)?)),
        _ => value(scanner).map(Reading::from),
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
                let key = key.value().filter(|key| key != NUMBER).ok_or(Unusual)?;
                map.insert(key.into_owned(), value_within(scanner, inner)?);
                Ok::<_, Unusual>(())
            })?;
            Value::Object(map)
        }
        Kind::Scalar | Kind::Null => {
            let range = scanner.value()?;
            match scanner.slice(range) {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                number => serde_json::from_str::<Json>(number).map_err(|_| Unusual)?.0,
            }
        }
    })
}

#[cfg(test)]
mod tests;
