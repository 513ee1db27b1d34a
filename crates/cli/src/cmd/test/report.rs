//! What is told of the files that were run.

use std::io::IsTerminal;

use nexus_js::testing::{ORIGIN, SECURE_ORIGIN};
use serde_json::json;

use super::expected::{Expected, FILE};
use super::outcome::{FileStatus, Outcome, TestStatus};
use super::plan::Plan;
use crate::failure::{Failure, print};

/// The most of a message that is shown, in characters; `--json` has all of it.
const SHOWN: usize = 600;

/// Tells of each file, and of all at the end.
pub(super) struct Report {
    json: bool,
    verbose: bool,
    colours: bool,
    files: usize,
    bad_files: usize,
    out_of_reach: usize,
    tests: usize,
    passed: usize,
    unexpected: usize,
    expected: usize,
}

#[derive(Clone, Copy)]
enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

impl Report {
    pub(super) fn new(json: bool, verbose: bool) -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            json,
            verbose,
            colours,
            files: 0,
            bad_files: 0,
            out_of_reach: 0,
            tests: 0,
            passed: 0,
            unexpected: 0,
            expected: 0,
        }
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        if self.colours { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }

    /// Tells of one file.
    pub(super) fn file(
        &mut self,
        plan: &Plan,
        outcome: &Outcome,
        expected: &mut Expected,
    ) -> Result<(), Failure> {
        self.files += 1;
        if outcome.status != FileStatus::OutOfReach {
            expected.ran(&plan.path, &plan.variant);
        }
        let mut reason = |name: &str| expected.reason(&plan.path, &plan.variant, name).map(str::to_owned);
        let file_reason = if outcome.status.is_bad() { reason(FILE) } else { None };
        let reasons: Vec<Option<String>> = outcome
            .tests
            .iter()
            .map(|test| if test.status.is_bad() { reason(&test.name) } else { None })
            .collect();
        let known = reasons.iter().chain([&file_reason]).flatten().count();
        let bad = outcome.tests.iter().filter(|test| test.status.is_bad()).count()
            + usize::from(outcome.status.is_bad());
        let unexpected = bad - known;
        self.tests += outcome.tests.len();
        self.passed += outcome.count(TestStatus::Pass);
        self.unexpected += unexpected;
        self.expected += known;
        self.bad_files += usize::from(unexpected > 0);
        self.out_of_reach += usize::from(outcome.status == FileStatus::OutOfReach);
        if self.json {
            return print_json(plan, outcome, file_reason.as_deref(), &reasons);
        }
        let mut text = self.line(plan, outcome, unexpected, known);
        if outcome.status.is_bad() {
            let message = outcome.message.as_deref().unwrap_or("the file did not end in time");
            self.detail(
                &mut text,
                outcome.status.label(),
                FILE,
                message,
                outcome.stack.as_deref(),
                &file_reason,
            );
        }
        for (test, reason) in outcome.tests.iter().zip(&reasons) {
            let is_told = test.status.is_bad() && (reason.is_none() || self.verbose);
            if is_told || self.verbose {
                let message = test.message.as_deref().unwrap_or("");
                self.detail(
                    &mut text,
                    test.status.label(),
                    &test.name,
                    message,
                    test.stack.as_deref(),
                    reason,
                );
            }
        }
        if self.verbose {
            for line in &outcome.log {
                text.push_str(&format!("    log {}\n", line.replace('\n', "\n        ")));
            }
        }
        print(&text)
    }

    /// A file's line.
    fn line(&self, plan: &Plan, outcome: &Outcome, unexpected: usize, known: usize) -> String {
        let (name, time) = (plan.name(), outcome.time.as_millis());
        let out = outcome.count(TestStatus::OutOfReach);
        let optional = outcome.count(TestStatus::PreconditionFailed);
        let mut notes = String::new();
        for (number, what) in
            [(known, "failed as expected"), (out, "out of reach"), (optional, "optional and not there")]
        {
            if number > 0 {
                notes.push_str(&format!(", {number} {what}"));
            }
        }
        let (passed, total) = (outcome.count(TestStatus::Pass), outcome.tests.len());
        if outcome.status == FileStatus::OutOfReach && unexpected == 0 {
            let needs = outcome.message.as_deref().unwrap_or_default();
            let mark = self.paint(Colour::Yellow, "--  ");
            return match passed {
                0 => format!("{mark} {name}: out of reach, needs {needs}\n"),
                _ => format!("{mark} {name}: {passed}/{total}, the rest is out of reach, needs {needs}\n"),
            };
        }
        let mark = match unexpected {
            0 => self.paint(Colour::Green, "ok  "),
            _ => self.paint(Colour::Red, "FAIL"),
        };
        format!("{mark} {name}: {passed}/{total}{notes} ({time} ms)\n")
    }

    fn detail(
        &self,
        text: &mut String,
        status: &str,
        name: &str,
        message: &str,
        stack: Option<&str>,
        reason: &Option<String>,
    ) {
        let colour = match status {
            "PASS" => Colour::Green,
            _ if reason.is_some() => Colour::Yellow,
            _ => Colour::Red,
        };
        let expected = reason.as_ref().map(|reason| format!(" (expected: {reason})")).unwrap_or_default();
        let name = name.replace('\n', "\\n");
        text.push_str(&format!("    {} {name}{expected}\n", self.paint(colour, status)));
        if !message.is_empty() {
            let mut short: String = message.chars().take(SHOWN).collect();
            if short.len() < message.len() {
                short.push('…');
            }
            text.push_str(&format!("        {}\n", short.replace('\n', "\n        ")));
        }
        // Where it was thrown, and where in the tests.
        let frames = || stack.unwrap_or_default().lines().map(str::trim);
        let is_test = |frame: &&str| frame.contains(ORIGIN) || frame.contains(SECURE_ORIGIN);
        let first = frames().next().filter(|frame| !is_test(frame));
        for frame in first.into_iter().chain(frames().find(is_test)) {
            // As the paths that are told elsewhere.
            let strip = |frame: String, origin: &&str| frame.replace(&format!("{origin}/"), "");
            let frame = [ORIGIN, SECURE_ORIGIN].iter().fold(frame.to_owned(), strip);
            text.push_str(&format!("        {frame}\n"));
        }
    }

    /// One line of all that was run so far.
    pub(super) fn summary(&self) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let files = if self.files == 1 { "file" } else { "files" };
        let mut text = format!("{} {files}, {} of {} tests passed", self.files, self.passed, self.tests);
        for (number, what) in [
            (self.unexpected, "not as expected"),
            (self.expected, "failed as expected"),
            (
                self.out_of_reach,
                if self.out_of_reach == 1 { "file out of reach" } else { "files out of reach" },
            ),
        ] {
            if number > 0 {
                text.push_str(&format!(", {number} {what}"));
            }
        }
        print(&format!("{text}\n"))
    }

    /// All were run.
    pub(super) fn end(&self, expected: &Expected) -> Result<(), Failure> {
        self.summary()?;
        let stale = expected.stale();
        let mut problems = Vec::new();
        if self.unexpected > 0 {
            let files = if self.bad_files == 1 { "file" } else { "files" };
            problems.push(format!("{} failed in {} {files}", self.unexpected, self.bad_files));
        }
        if !stale.is_empty() {
            problems.push(format!("these are expected to fail and do not:\n  {}", stale.join("\n  ")));
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Failure::guest(problems.join("\n"))),
        }
    }
}

fn print_json(
    plan: &Plan,
    outcome: &Outcome,
    file_reason: Option<&str>,
    reasons: &[Option<String>],
) -> Result<(), Failure> {
    let tests: Vec<_> = outcome
        .tests
        .iter()
        .zip(reasons)
        .map(|(test, reason)| {
            json!({
                "name": test.name,
                "status": test.status.label(),
                "message": test.message,
                "stack": test.stack,
                "expected": reason,
            })
        })
        .collect();
    let file = json!({
        "path": plan.path,
        "variant": plan.variant,
        "status": outcome.status.label(),
        "message": outcome.message,
        "stack": outcome.stack,
        "expected": file_reason,
        "passed": outcome.count(TestStatus::Pass),
        "total": outcome.tests.len(),
        "milliseconds": outcome.time.as_millis() as u64,
        "tests": tests,
        "log": outcome.log,
    });
    print(&format!("{file}\n"))
}
