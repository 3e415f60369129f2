//! The results of the checks, one per line.

use std::io;

use anstyle::AnsiColor;
use serde_json::{Value, json};

use crate::{
    error::{Code, Failure, one_line},
    ui::messages,
    ui::messages::Format,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckOutcome {
    Ok,
    Warn,
    Fail(Code),
    /// An earlier failure prevents the check.
    Skip,
}

impl CheckOutcome {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail(_) => "fail",
            Self::Skip => "skip",
        }
    }
}

/// The result of a check, and advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckResult {
    outcome: CheckOutcome,
    found: String,
    advice: Option<String>,
}

impl CheckResult {
    fn new(outcome: CheckOutcome, found: impl Into<String>) -> Self {
        Self { outcome, found: found.into(), advice: None }
    }

    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self::new(CheckOutcome::Ok, found)
    }

    pub(super) fn fail(code: Code, found: impl Into<String>) -> Self {
        Self::new(CheckOutcome::Fail(code), found)
    }

    pub(super) fn skip(found: impl Into<String>) -> Self {
        Self::new(CheckOutcome::Skip, found)
    }

    /// Turns the result into a warning with advice.
    pub(super) fn warn(self, advice: impl Into<String>) -> Self {
        Self { outcome: CheckOutcome::Warn, ..self.advise(advice) }
    }

    /// Adds advice.
    pub(super) fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    pub(super) fn is_failure(&self) -> bool {
        matches!(self.outcome, CheckOutcome::Fail(_))
    }

    fn json(&self, check: &str) -> Value {
        json!({"check": check, "outcome": self.outcome.name(), "found": self.found, "advice": self.advice})
    }

    fn line(&self, check: &str, format: Format) -> String {
        if format == Format::Json {
            return one_line(&self.json(check).to_string());
        }
        let advice = self.advice.as_ref().map_or(String::new(), |advice| format!("; {advice}"));
        let text = one_line(&format!("{check:<10} {}{advice}", self.found));
        let colour = match self.outcome {
            CheckOutcome::Ok => AnsiColor::Green,
            CheckOutcome::Warn => AnsiColor::Yellow,
            CheckOutcome::Fail(_) => AnsiColor::Red,
            CheckOutcome::Skip => AnsiColor::BrightBlack,
        };
        messages::label(&format!("{:<5}", self.outcome.name()), colour, &io::stdout()) + " " + &text
    }
}

/// Prints each result as it comes, and collects the failures.
#[derive(Debug)]
pub(super) struct Report {
    format: Format,
    /// The results so far, if they are printed as one value at the end.
    json: Option<Vec<Value>>,
    checks: usize,
    failures: Vec<(&'static str, Code)>,
    /// The first line that couldn't be written.
    unwritten: Option<Failure>,
}

impl Report {
    pub(super) fn new(format: Format, is_json: bool) -> Self {
        Self { format, json: is_json.then(Vec::new), checks: 0, failures: Vec::new(), unwritten: None }
    }

    pub(super) fn add(&mut self, check: &'static str, verdict: &CheckResult) {
        self.checks += 1;
        if let CheckOutcome::Fail(code) = verdict.outcome {
            self.failures.push((check, code));
        }
        if let Some(results) = &mut self.json {
            return results.push(verdict.json(check));
        }
        let is_news = matches!(verdict.outcome, CheckOutcome::Warn | CheckOutcome::Fail(_));
        if is_news || !messages::is_quiet() {
            let written = messages::data(format!("{}\n", verdict.line(check, self.format)).as_bytes());
            self.unwritten = self.unwritten.take().or(written.err());
        }
    }

    /// Joins the failures, with the exit code of the first. A report that couldn't be written has priority.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        if let Some(checks) = self.json.take() {
            let code = self.failures.first().map_or(0, |(_, code)| *code as i32);
            let text = json!({"ok": self.failures.is_empty(), "exit_code": code, "checks": checks});
            self.unwritten = messages::data(format!("{text:#}\n").as_bytes()).err();
        }
        let names: Vec<_> = self.failures.iter().map(|(name, _)| *name).collect();
        let failed = format!("{} of {} checks failed: {}", names.len(), self.checks, names.join(", "));
        match (self.unwritten, self.failures.first()) {
            (None, None) => Ok(()),
            (None, Some(&(_, code))) => Err(Failure::new(code, failed)),
            (Some(failure), None) => Err(failure),
            (Some(failure), Some(_)) => {
                Err(Failure::new(failure.code, format!("{}; {failed}", failure.message)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_line_in_either_format() {
        let verdict = CheckResult::ok("an hour\nfast").warn("set it");
        assert_eq!(verdict.line("clock", Format::Text), "warn  clock      an hour fast; set it");
        assert_eq!(CheckResult::ok("good").line("token", Format::Text), "ok    token      good");
        assert_eq!(
            CheckResult::fail(Code::Refused, "bad").line("token", Format::Json),
            r#"{"advice":null,"check":"token","found":"bad","outcome":"fail"}"#
        );
    }

    #[test]
    fn the_first_failure_gives_the_exit_code() {
        let mut report = Report::new(Format::Text, false);
        report.add("settings", &CheckResult::ok("good").warn("but"));
        report.add("token", &CheckResult::fail(Code::Refused, "bad"));
        report.add("access", &CheckResult::skip("no"));
        report.add("output", &CheckResult::fail(Code::Output, "full"));
        let failure = report.end().unwrap_err();
        assert_eq!(failure, Failure::new(Code::Refused, "2 of 4 checks failed: token, output"));
        assert_eq!(Report::new(Format::Text, false).end(), Ok(()));
    }
}
