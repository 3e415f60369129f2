//! The program, killed again and again in the middle of its work, and run again until it is done.
//!
//! A *job* is one command against one sandbox, with the faults of its *weather*. It has many *lives*: each
//! is a process that is killed at a *moment*, which is drawn in requests and commits rather than in
//! seconds, so that slow and fast machines are hit at the same points. After each life what *remains* on
//! disk is read by code that shares nothing with the program's, and in the end it must be exactly what the
//! service gave.
//!
//! All of a job follows from its seed, except for what two processes do at the same time. A job that
//! fails says how to repeat it, and keeps its folder:
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
    reason = "helpers of tests fail as tests do, and say what they found"
)]

mod disk;
mod export;
mod follow;
mod job;
mod moment;
mod outage;
mod remains;
mod seeds;
mod signals;
mod soak;
#[path = "../program/support.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest")]
mod support;
mod tally;
mod weather;
mod whole;
