//! `doctor`: tries what an export needs, one thing after another, and says what to do.

use chrono::Utc;
use std::{env, num::NonZeroU32};

use crate::{
    cli::Doctor,
    commands::{
        Context,
        doctor::report::{Report, Verdict},
        sandbox,
    },
    error::Failure,
    run::roles,
    service::{self, Renewal},
    ui::{logging, messages},
};

mod access;
mod clock;
mod folder;
mod report;

/// What the simulated service has: enough to answer with.
const EVENTS: u32 = 100;

pub(crate) async fn run(doctor: Doctor, context: &mut Context) -> Result<(), Failure> {
    roles::check_reader(None, &doctor.connection)?;
    // What a check finds has its own line.
    if env::var_os("RUST_LOG").is_none() {
        logging::stop();
    }
    tokio::select! {
        biased;
        code = context.shutdown.wait() => Err(Failure::new(code, "stopped before everything was tried")),
        result = examine(doctor, Report::new(messages::format()), &mut context.renewal) => result,
    }
}

async fn examine(mut doctor: Doctor, mut report: Report, renewal: &mut Renewal) -> Result<(), Failure> {
    // What takes a second attempt is worth a line of its own.
    doctor.connection.attempts = NonZeroU32::MIN;
    let sandbox = if doctor.sandbox { Some(sandbox::plain(EVENTS, Utc::now()).await?) } else { None };
    let connected = match &sandbox {
        Some(sandbox) => service::sandbox(sandbox, &doctor.connection),
        None => service::connect(&doctor.connection, renewal),
    };
    match connected {
        Ok(connected) => {
            report.add("settings", &settings(&connected));
            access::examine(&connected, &mut report).await;
        }
        Err(failure) => {
            report.add("settings", &Verdict::fail(failure.code, failure.message));
            for check in access::CHECKS {
                report.add(check, &Verdict::skip("there is nothing to try it with"));
            }
        }
    }
    if let Some(path) = &doctor.output {
        folder::examine(path, &mut report);
    }
    report.end()
}

fn settings(connected: &service::Connected) -> Verdict {
    let verdict = Verdict::ok(format!("the token comes from {}", connected.origin));
    match connected.origin.exposed() {
        Some(path) => verdict.warn(format!("others can read it: chmod 600 {}", path.display())),
        None => verdict,
    }
}
