//! One file per command.

use crate::{service::PendingRenewal, ui::shutdown::Shutdown};

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod follow;
pub(crate) mod get;
pub(crate) mod help;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod sandbox;
pub(crate) mod verify;

/// Values that a command shares with the rest of the process.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) shutdown: Shutdown,
    pub(crate) renewal: PendingRenewal,
}
