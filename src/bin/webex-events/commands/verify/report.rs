//! The conclusion of `verify`: one line and an exit code.

use crate::{
    archive::ArchiveKind,
    error::{Code, Failure},
    ui::progress::counted,
};

/// The results of all comparisons.
#[derive(Debug, Default)]
pub(super) struct VerifyReport {
    pub(super) folder: String,
    pub(super) files: u64,
    pub(super) events: u64,
    pub(super) problems: u64,
    /// Ranges that aren't exported.
    pub(super) gaps: u64,
    /// The service no longer has any of them.
    pub(super) are_gaps_lost: bool,
    /// The advice for ranges that aren't exported yet, and the advice for problems.
    pub(super) advice: (&'static str, &'static str),
    /// True if another process writes the folder.
    pub(super) is_locked: bool,
    /// The range, in words.
    pub(super) range: String,
    pub(super) is_compared: bool,
    /// The exit codes of files that the service couldn't list.
    pub(super) not_listed: Vec<Code>,
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
    /// The line for a sound folder, or the failure.
    pub(super) fn conclude(&self) -> Result<String, Failure> {
        let name = &self.folder;
        let found = format!("{} in {}", counted(self.events, "event"), counted(self.files, "file"));
        if self.problems > 0 {
            let problems = counted(self.problems, "problem");
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
        if let Some(code) = Code::worst(self.not_listed.iter().copied()) {
            return Err(Failure::new(
                code,
                format!(
                    "{name} is sound, but {} couldn't be compared with the service ({found}); see the \
                     warnings above",
                    counted(self.not_listed.len() as u64, "range")
                ),
            ));
        }
        if self.gaps > 0 {
            let gaps = counted(self.gaps, "gap");
            let text = if self.are_gaps_lost {
                format!("{gaps} in the range ({found}); the service doesn't have what is missing any more")
            } else {
                format!("{gaps} in the range not exported yet ({found}); {}", self.advice.0)
            };
            return Err(Failure::new(Code::Stopped, format!("{name} is sound and not complete: {text}")));
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
        let gaps = || VerifyReport { gaps: 1, ..report() };
        let not_listed = || VerifyReport { not_listed: vec![Code::Unavailable], ..gaps() };
        assert_eq!(code(gaps()), Code::Stopped);
        assert_eq!(code(not_listed()), Code::Unavailable);
        assert_eq!(code(VerifyReport { problems: 1, ..not_listed() }), Code::Output);
    }

    #[test]
    fn a_problem_while_another_process_writes_advises_to_verify_again() {
        let report = VerifyReport { problems: 1, is_locked: true, ..report() };
        let failure = report.conclude().unwrap_err();
        assert!(failure.code == Code::Stopped && failure.message.contains("another process"));
    }
}
