//! `doctor`: checks in order what an export needs, and gives advice.

use chrono::Utc;
use std::{env, num::NonZeroU32};

use crate::{
    cli::DoctorArgs,
    commands::{
        Context,
        doctor::report::{CheckResult, Report},
        sandbox,
    },
    error::Failure,
    run::roles,
    service::{self, PendingRenewal},
    ui::{logging, messages},
};

mod access;
mod clock;
mod folder;
mod report;

/// The number of events of the simulated service.
const EVENTS: u32 = 100;

pub(crate) async fn run(doctor: DoctorArgs, context: &mut Context) -> Result<(), Failure> {
    roles::check_reader(None, &doctor.connection)?;
    // Each check reports what it found: a log line would repeat it.
    if env::var_os("RUST_LOG").is_none() {
        logging::stop();
    }
    let report = Report::new(messages::format(), doctor.json);
    tokio::select! {
        biased;
        code = context.shutdown.wait() => Err(Failure::new(code, "stopped before all checks were made")),
        result = examine(doctor, report, &mut context.renewal) => result,
    }
}

async fn examine(
    mut doctor: DoctorArgs,
    mut report: Report,
    renewal: &mut PendingRenewal,
) -> Result<(), Failure> {
    // Report an error instead of hiding it by a second attempt.
    doctor.connection.attempts = Some(NonZeroU32::MIN);
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
            report.add("settings", &CheckResult::fail(failure.code, failure.message));
            for check in access::CHECKS {
                report.add(check, &CheckResult::skip("needs valid settings"));
            }
        }
    }
    if let Some(path) = &doctor.output {
        folder::examine(path, &mut report);
    }
    report.end()
}

fn settings(connected: &service::Connected) -> CheckResult {
    let verdict = CheckResult::ok(format!("the token comes from {}", connected.origin));
    match connected.origin.exposed() {
        Some(path) => verdict.warn(format!("other users can read it: chmod 600 {}", path.display())),
        None => verdict,
    }
}
