//! One file per command.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod follow;
pub(crate) mod get;
pub(crate) mod plan;
pub(crate) mod sandbox;
pub(crate) mod verify;
