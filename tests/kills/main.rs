//! Kills the program repeatedly during its work, and runs it again until it is complete.
//!
//! A *job* is one command against one sandbox, with the faults of its *weather*. It has several *lives*: each
//! is a process that is killed at a *moment*. Moments are chosen by requests and commits, not by seconds, so that slow
//! and fast machines are killed at the same points. After each run, the files on
//! disk are read by code that shares nothing with the program, and at the end they must contain exactly the
//! events of the service.
//!
//! A job is determined by its seed, except for the timing of processes. A job that
//! fails prints how to repeat it, and keeps its folder:
//!
//! ```sh
//! KILLS_SEED=7 KILLS=1 cargo test --all-features --test kills into_a_folder
//! ```

#![cfg(all(unix, feature = "cli"))]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail as tests do, and print what they found"
)]

mod bad_slice;
mod disk;
mod export;
mod follow;
mod grow;
mod job;
mod moment;
mod outage;
mod reader;
mod remains;
mod seeds;
mod signals;
mod soak;
#[path = "../program/support.rs"]
#[expect(dead_code, reason = "the tests of the program use the rest")]
mod support;
mod tally;
mod weather;
mod whole;
