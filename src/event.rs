//! `Event`.

mod kind;

pub use kind::{EventType, Resource};
