//! The behaviour of the library, through its public API: one file per subject, one binary.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do: by panicking"
)]

mod cancel;
mod client;
mod cursors;
mod end;
mod environment;
mod errors;
mod event_data;
mod events;
mod follow;
mod layers;
mod laziness;
mod links;
#[cfg(feature = "sandbox")]
mod logins;
mod logs;
mod oauth;
mod pacing;
mod pauses;
mod proxies;
mod query;
mod resources;
mod retries;
mod runtimes;
mod sandbox;
mod seam;
mod secrets;
mod select;
mod slices;
mod spans;
mod stored;
#[cfg_attr(
    not(feature = "sandbox"),
    expect(dead_code, reason = "the tests against the sandbox use the rest")
)]
mod support;
mod surface;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_server;
mod tokens;
mod truncation;
