//! The program with the other programs of a desktop: a browser, shells. These tests need programs that a machine may
//! lack, so they are ignored by default. `.ci/run` installs the programs and runs the tests, which fail without them.

#![cfg(all(unix, feature = "cli"))]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod browser;
mod chromium;
mod shells;
