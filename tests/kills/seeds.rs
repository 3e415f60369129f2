//! The settings of a run of the harness.

use std::{env, thread};

/// The seed of the first job; those of further ones follow.
pub(crate) fn first() -> u64 {
    variable("KILLS_SEED").unwrap_or(1)
}

/// The default number of kills of a test.
pub(crate) fn kills(unless_set: usize) -> usize {
    variable("KILLS").unwrap_or(unless_set)
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().ok().unwrap_or_else(|| panic!("{name} isn't a number: {text}")))
}

/// The command that repeats the job of this seed in the test that is running.
pub(crate) fn again(seed: u64) -> String {
    let test = thread::current().name().unwrap_or_default().to_owned();
    format!("KILLS_SEED={seed} KILLS=1 cargo test --all-features --test kills {test} -- --include-ignored")
}
