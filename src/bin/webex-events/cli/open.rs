//! Values of an open set: the known ones are suggested, and others are accepted.

use std::ffi::OsStr;

use clap::{
    Arg, Command, Error,
    builder::{NonEmptyStringValueParser, PossibleValue, TypedValueParser},
};

#[derive(Debug)]
pub(crate) struct Open<T: 'static>(pub(crate) &'static [T]);

impl<T> Clone for Open<T> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<T> TypedValueParser for Open<T>
where
    T: AsRef<str> + From<String> + Clone + Send + Sync,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        NonEmptyStringValueParser::new().parse_ref(command, arg, value).map(T::from)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(|known| PossibleValue::new(known.as_ref()))))
    }
}
