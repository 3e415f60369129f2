//! The conclusion of `verify`: one line and an exit code.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::{
    archive::ArchiveKind,
    cli::values::time,
    error::{Code, Failure},
    ui::{
        human::counted,
        messages::{self, Format},
    },
};

/// The results of all comparisons.
#[derive(Debug, Default)]
pub(super) struct VerifyReport {
    pub(super) folder: String,
    pub(super) files: u64,
    pub(super) events: u64,
    problems: Vec<String>,
    /// Ranges that aren't exported, with the reason if they were tried.
    missing: Vec<Value>,
    /// The service no longer has any of them.
    pub(super) are_gaps_lost: bool,
    /// The advice for ranges that aren't exported yet, and the advice for problems.
    pub(super) advice: (&'static str, &'static str),
    /// True if another process writes the folder.
    pub(super) is_locked: bool,
    /// The range, in words.
    pub(super) range: String,
    pub(super) is_compared: bool,
    /// Ranges that the service couldn't list, with the exit code of the failure.
    not_listed: Vec<(Code, String)>,
    pub(super) from: Option<DateTime<Utc>>,
    pub(super) to: Option<DateTime<Utc>>,
    /// With JSON, everything is printed as one value at the end, and nothing before.
    format: Format,
}

/// The advice for ranges that aren't exported yet, and the advice for problems.
pub(super) fn advice(kind: ArchiveKind, is_repaired: bool) -> (&'static str, &'static str) {
    let for_gaps = match kind {
        ArchiveKind::Follow => "run verify with --repair to continue",
        _ => "run the same export again to continue",
    };
    let for_problems = if is_repaired {
        "it can't be repaired from the service: restore what is damaged from a copy, and move away files that \
         aren't in the ledger"
    } else {
        "add --repair to export the damaged files again, or restore them from a copy"
    };
    (for_gaps, for_problems)
}

impl VerifyReport {
    pub(super) fn new(is_json: bool) -> Self {
        Self { format: if is_json { Format::Json } else { Format::Text }, ..Self::default() }
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Adds a problem, and reports it.
    pub(super) fn problem(&mut self, text: &str) {
        if self.format == Format::Text {
            messages::warning(text, Map::new());
        }
        self.problems.push(text.to_owned());
    }

    /// Adds a range that isn't exported. `reason` is `None` if it wasn't tried yet.
    pub(super) fn missing(&mut self, from: DateTime<Utc>, to: DateTime<Utc>, reason: Option<&str>) {
        if self.format == Format::Text {
            let range = format!("{} to {}", time(from), time(to));
            let text = match reason {
                None => format!("not exported yet: {range}"),
                Some(reason) => format!("not exported: {range}: {reason}"),
            };
            messages::note(&text, Map::new());
        }
        self.missing.push(json!({"from": time(from), "to": time(to), "reason": reason}));
    }

    /// Adds a range that couldn't be compared.
    pub(super) fn not_listed(&mut self, code: Code, text: String) {
        if self.format == Format::Text {
            messages::warning(&text, Map::new());
        }
        self.not_listed.push((code, text));
    }

    /// Prints the conclusion, or returns it as the failure.
    pub(super) fn end(&self) -> Result<(), Failure> {
        let conclusion = self.conclude();
        if self.format == Format::Json {
            messages::data(format!("{:#}\n", self.json(&conclusion)).as_bytes())?;
            return conclusion.map(drop);
        }
        messages::data(conclusion?.as_bytes())
    }

    fn json(&self, conclusion: &Result<String, Failure>) -> Value {
        let (code, message) = match conclusion {
            Ok(line) => (0, line.trim_end()),
            Err(failure) => (failure.code as i32, &*failure.message),
        };
        json!({
            "folder": self.folder,
            "sound": self.problems.is_empty(),
            "complete": self.missing.is_empty(),
            "compared": self.is_compared,
            "events": self.events,
            "files": self.files,
            "from": self.from.map(time),
            "to": self.to.map(time),
            "problems": self.problems,
            "missing": self.missing,
            "not_compared": self.not_listed.iter().map(|(_, text)| text).collect::<Vec<_>>(),
            "exit_code": code,
            "message": message,
        })
    }

    /// The line for a sound folder, or the failure.
    fn conclude(&self) -> Result<String, Failure> {
        let name = &self.folder;
        let found = format!("{} in {}", counted(self.events, "event"), counted(self.files, "file"));
        if self.has_problems() {
            let problems = counted(self.problems.len() as u64, "problem");
            return Err(if self.is_locked {
                Failure::new(
                    Code::Stopped,
                    format!(
                        "{name} failed verification: {problems} ({found}); another process is writing \
                         it, so verify again when that has ended"
                    ),
                )
            } else {
                Failure::new(
                    Code::Output,
                    format!("{name} failed verification: {problems} ({found}); {}", self.advice.1),
                )
            });
        }
        if let Some(code) = Code::worst(self.not_listed.iter().map(|(code, _)| *code)) {
            return Err(Failure::new(
                code,
                format!(
                    "{name} is sound, but {} couldn't be compared with the service ({found}); see the \
                     warnings above",
                    counted(self.not_listed.len() as u64, "range")
                ),
            ));
        }
        if !self.missing.is_empty() {
            let gaps = counted(self.missing.len() as u64, "gap");
            let text = if self.are_gaps_lost {
                format!("{gaps} in the range ({found}); the service doesn't have what is missing any more")
            } else {
                format!("{gaps} in the range not exported yet ({found}); {}", self.advice.0)
            };
            return Err(Failure::new(Code::Stopped, format!("{name} is sound, but not complete: {text}")));
        }
        let compared = if self.is_compared { ", the same that the service has" } else { "" };
        Ok(format!("{name} is sound: {found}{compared}, {}\n", self.range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> VerifyReport {
        VerifyReport {
            folder: "d".to_owned(),
            files: 2,
            events: 9,
            range: "complete".to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn a_sound_folder_is_one_line() {
        assert_eq!(report().conclude().unwrap(), "d is sound: 9 events in 2 files, complete\n");
        let compared = VerifyReport { is_compared: true, ..report() };
        assert!(compared.conclude().unwrap().contains("the same that the service has"));
    }

    #[test]
    fn a_problem_has_priority_over_a_failed_comparison_and_that_over_a_gap() {
        let code = |report: VerifyReport| report.conclude().unwrap_err().code;
        let gaps = || VerifyReport { missing: vec![Value::Null], ..report() };
        let not_listed = || VerifyReport { not_listed: vec![(Code::Unavailable, "f".to_owned())], ..gaps() };
        assert_eq!(code(gaps()), Code::Stopped);
        assert_eq!(code(not_listed()), Code::Unavailable);
        assert_eq!(code(VerifyReport { problems: vec!["p".to_owned()], ..not_listed() }), Code::Output);
    }

    #[test]
    fn a_problem_while_another_process_writes_advises_to_verify_again() {
        let report = VerifyReport { problems: vec!["p".to_owned()], is_locked: true, ..report() };
        let failure = report.conclude().unwrap_err();
        assert!(failure.code == Code::Stopped && failure.message.contains("another process"));
    }
}
