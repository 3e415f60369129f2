//! Lists Webex compliance events as a stream.

mod error;
mod event;

pub use crate::{
    error::{ApiError, DecodeError, Error, LinkErrorKind, MalformedItem, Result, TransportError},
    event::{EventType, Resource},
};
