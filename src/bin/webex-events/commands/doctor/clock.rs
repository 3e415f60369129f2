//! This machine's clock against the service's.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{commands::doctor::report::CheckResult, error::Code};

/// The service's time, which isn't known exactly: an HTTP date has whole seconds, and the service wrote it at an unknown
/// moment during the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceTime {
    /// The lower bound.
    pub(super) earliest: DateTime<Utc>,
    /// The duration of the request.
    pub(super) took: Duration,
}

pub(super) fn judge(ours: DateTime<Utc>, service: ServiceTime) -> CheckResult {
    let latest = TimeDelta::from_std(service.took.saturating_add(Duration::from_secs(1)))
        .ok()
        .and_then(|unknown| service.earliest.checked_add_signed(unknown))
        .unwrap_or(DateTime::<Utc>::MAX_UTC);
    let (skew, way) = if ours > latest {
        (ours - latest, "ahead of")
    } else {
        ((service.earliest - ours).max(TimeDelta::zero()), "behind")
    };
    let seconds = skew.num_seconds();
    let found = match seconds {
        0 => "this machine's clock and the service's are the same to a second".to_owned(),
        _ => format!("this machine's clock is {seconds} s {way} the service's"),
    };
    let advice = "set it by a time server: relative times such as --from 7d depend on it";
    match seconds {
        ..5 => CheckResult::ok(found),
        5..60 => CheckResult::ok(found).warn(advice),
        _ => CheckResult::fail(Code::Settings, found).advise(advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_of_seconds_passes_and_one_of_minutes_fails() {
        let service =
            ServiceTime { earliest: "2026-01-05T09:00:00Z".parse().unwrap(), took: Duration::from_secs(2) };
        for (ours, outcome, words) in [
            ("2026-01-05T09:00:00Z", "ok", "the same"),
            // Within the uncertainty of the service's time.
            ("2026-01-05T09:00:03.900Z", "ok", "the same"),
            ("2026-01-05T09:00:07.999Z", "ok", " 4 s ahead"),
            ("2026-01-05T09:00:08Z", "warn", " 5 s ahead"),
            ("2026-01-05T08:59:55Z", "warn", " 5 s behind"),
            ("2026-01-05T08:59:00.001Z", "warn", " 59 s behind"),
            ("2026-01-05T08:59:00Z", "fail", " 60 s behind"),
            ("2026-01-05T10:00:03Z", "fail", " 3600 s ahead"),
        ] {
            let verdict = judge(ours.parse().unwrap(), service);
            let text = format!("{verdict:?}");
            assert!(text.to_lowercase().contains(&format!("outcome: {outcome}")), "{ours}: {text}");
            assert!(text.contains(words), "{ours}: {text}");
        }
    }
}
