//! `doctor`: tries what an export needs, one thing after another, and says what to do.

use chrono::Utc;
use std::{env, num::NonZeroU32};

use crate::{
    args::{Doctor, LogFormat},
    connect,
    doctor::report::{Report, Verdict},
    failure::Failure,
    log, serve,
    signal::Stop,
};

mod clock;
mod folder;
mod report;
mod service;

/// What the simulated service has: enough to answer with.
const EVENTS: u32 = 100;

pub(crate) async fn run(doctor: Doctor, format: LogFormat, mut stop: Stop) -> Result<(), Failure> {
    // What a check finds has its own line.
    if env::var_os("RUST_LOG").is_none() {
        log::stop();
    }
    tokio::select! {
        biased;
        code = stop.wait() => Err(Failure::new(code, "stopped before everything was tried")),
        result = examine(doctor, Report::new(format)) => result,
    }
}

async fn examine(mut doctor: Doctor, mut report: Report) -> Result<(), Failure> {
    // What takes a second attempt is worth a line of its own.
    doctor.connection.attempts = NonZeroU32::MIN;
    let sandbox = if doctor.sandbox { Some(serve::plain(EVENTS, Utc::now()).await?) } else { None };
    let connected = match &sandbox {
        Some(sandbox) => connect::sandbox(sandbox, &doctor.connection),
        None => connect::service(&doctor.connection),
    };
    match connected {
        Ok(connected) => {
            report.add("settings", &settings(&connected));
            service::examine(&connected, &mut report).await;
        }
        Err(failure) => {
            report.add("settings", &Verdict::fail(failure.code, failure.message));
            for check in service::CHECKS {
                report.add(check, &Verdict::skip("there is nothing to try it with"));
            }
        }
    }
    if let Some(path) = &doctor.output {
        folder::examine(path, &mut report);
    }
    report.end()
}

fn settings(connected: &connect::Connected) -> Verdict {
    let verdict = Verdict::ok(format!("the token comes from {}", connected.origin));
    match connected.origin.exposed() {
        Some(path) => verdict.warn(format!("others can read it: chmod 600 {}", path.display())),
        None => verdict,
    }
}
