//! The program `webex-events`, run as a process of its own.

#![cfg(feature = "cli")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod archive;
mod commands;
mod doctor;
#[cfg(unix)]
mod documents;
mod extend;
mod failed_slices;
#[cfg(unix)]
mod failures;
mod folder;
mod follow;
mod follow_stdout;
mod help;
mod input;
mod json;
#[cfg(unix)]
mod limits;
mod lists;
mod login;
mod malformed;
mod metrics;
mod notices;
mod output;
mod query;
mod repair;
mod resume;
mod roles;
mod sandbox;
mod service;
#[cfg(unix)]
mod signals;
#[cfg(target_os = "linux")]
mod standard;
mod stderr;
mod stored;
mod stub;
mod support;
mod timeline;
mod tokens;
mod verify;
mod verify_service;
