//! The terminal: messages, logs, progress, signals.

pub(crate) mod browser;
pub(crate) mod eta;
pub(crate) mod human;
pub(crate) mod logging;
pub(crate) mod messages;
mod notices;
pub(crate) mod progress;
pub(crate) mod shutdown;
pub(crate) mod standard;
