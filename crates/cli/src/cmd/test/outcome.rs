//! What became of a file and of its tests.

use std::time::Duration;

use serde_json::Value;

/// What became of a file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileStatus {
    Ok,
    Error,
    Timeout,
    PreconditionFailed,
    OutOfReach,
}

impl FileStatus {
    pub(super) fn label(self) -> &'static str {
        match self {
            FileStatus::Ok => "OK",
            FileStatus::Error => "ERROR",
            FileStatus::Timeout => "TIMEOUT",
            FileStatus::PreconditionFailed => "PRECONDITION_FAILED",
            FileStatus::OutOfReach => "OUT_OF_REACH",
        }
    }

    pub(super) fn is_bad(self) -> bool {
        matches!(self, FileStatus::Error | FileStatus::Timeout)
    }
}

/// What became of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TestStatus {
    Pass,
    Fail,
    Timeout,
    NotRun,
    PreconditionFailed,
    OutOfReach,
}

impl TestStatus {
    pub(super) fn label(self) -> &'static str {
        match self {
            TestStatus::Pass => "PASS",
            TestStatus::Fail => "FAIL",
            TestStatus::Timeout => "TIMEOUT",
            TestStatus::NotRun => "NOTRUN",
            TestStatus::PreconditionFailed => "PRECONDITION_FAILED",
            TestStatus::OutOfReach => "OUT_OF_REACH",
        }
    }

    pub(super) fn is_bad(self) -> bool {
        matches!(self, TestStatus::Fail | TestStatus::Timeout | TestStatus::NotRun)
    }
}

/// One test.
#[derive(Debug)]
pub(super) struct TestOutcome {
    pub(super) name: String,
    pub(super) status: TestStatus,
    pub(super) message: Option<String>,
    pub(super) stack: Option<String>,
}

/// A file.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) status: FileStatus,
    pub(super) message: Option<String>,
    pub(super) stack: Option<String>,
    pub(super) tests: Vec<TestOutcome>,
    pub(super) log: Vec<String>,
    pub(super) time: Duration,
}

/// Globals that nexus does not have and will not have: who uses them needs a browser.
const BROWSERS: &[&str] = &[
    "document",
    "window",
    "frames",
    "opener",
    "parent",
    "Worker",
    "SharedWorker",
    "XMLHttpRequest",
    "Image",
    "ImageData",
    "ImageBitmap",
    "OffscreenCanvas",
    "createImageBitmap",
    "FileReaderSync",
    "FileList",
    "indexedDB",
    "caches",
    "Audio",
    "Node",
];

impl Outcome {
    /// A file that is not run.
    pub(super) fn out_of_reach(needs: String) -> Self {
        Self { message: Some(needs), ..Self::new(FileStatus::OutOfReach) }
    }

    /// A file that did not come to its end.
    pub(super) fn broken(status: FileStatus, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::new(status) }
    }

    fn new(status: FileStatus) -> Self {
        let (tests, log) = (Vec::new(), Vec::new());
        Self { status, message: None, stack: None, tests, log, time: Duration::ZERO }
    }

    /// What the harness reported, in JSON. `broken` says how it ended if it was not by itself, `doubt` what the file
    /// may need.
    pub(super) fn of_reports(
        reports: &[String],
        broken: Option<(FileStatus, String)>,
        doubt: Option<&str>,
    ) -> Self {
        let mut outcome = Self::new(FileStatus::Error);
        let mut tests: Vec<(u64, TestOutcome)> = Vec::new();
        let (mut needs, mut lacks, mut ended) = (None, None, false);
        for report in reports {
            let Ok(report) = serde_json::from_str::<Value>(report) else { continue };
            let text = |key: &str| report[key].as_str().map(str::to_owned);
            match report["kind"].as_str() {
                Some("test") => {
                    tests.push((report["index"].as_u64().unwrap_or(u64::MAX), test_outcome(&report, doubt)))
                }
                Some("needs") => needs = needs.or_else(|| text("what")),
                Some("lacks") => lacks = lacks.or_else(|| text("what")),
                Some("end") => {
                    ended = true;
                    outcome.message = text("message");
                    outcome.stack = text("stack");
                    outcome.status = match report["status"].as_u64() {
                        Some(0) => FileStatus::Ok,
                        Some(2) => FileStatus::Timeout,
                        Some(3) => FileStatus::PreconditionFailed,
                        _ => FileStatus::Error,
                    };
                }
                _ => {}
            }
        }
        tests.sort_by_key(|(index, _)| *index);
        outcome.tests = tests.into_iter().map(|(_, test)| test).collect();
        // What waits for events of a source that is not here waits for ever.
        if let Some(lacks) = lacks {
            for test in outcome.tests.iter_mut().filter(|test| test.status == TestStatus::Timeout) {
                (test.status, test.message, test.stack) = (TestStatus::OutOfReach, Some(lacks.clone()), None);
            }
        }
        match broken {
            // The harness itself was told to end it.
            Some((_, why)) if ended && outcome.status == FileStatus::Timeout => {
                outcome.message = Some(match outcome.message {
                    Some(message) => format!("{message}: {why}"),
                    None => why,
                });
            }
            Some((status, why)) if !ended || outcome.status == FileStatus::Ok => {
                (outcome.status, outcome.message) = (status, Some(why));
            }
            None if !ended => outcome.message = Some("the file ended without a word".into()),
            _ => {}
        }
        // A file whose only trouble is what it needs is not to blame.
        let lacks = needs.or_else(|| lacking(outcome.message.as_deref()));
        let lacks = lacks.or_else(|| doubt.map(str::to_owned));
        if outcome.status.is_bad()
            && let Some(lacks) = lacks.or_else(|| outcome.timed_out_on().filter(|_| ended))
        {
            (outcome.status, outcome.message) = (FileStatus::OutOfReach, Some(lacks));
            outcome.stack = None;
        }
        let is_beyond = |test: &TestOutcome| test.status == TestStatus::OutOfReach;
        if outcome.status == FileStatus::Ok
            && outcome.tests.iter().all(is_beyond)
            && let Some(test) = outcome.tests.first()
        {
            (outcome.status, outcome.message) = (FileStatus::OutOfReach, test.message.clone());
        }
        outcome
    }

    /// What the tests need that the file timed out on, if each that timed out needs something.
    fn timed_out_on(&self) -> Option<String> {
        if self.status != FileStatus::Timeout
            || self.tests.iter().any(|test| test.status == TestStatus::Timeout)
        {
            return None;
        }
        self.tests
            .iter()
            .find(|test| test.status == TestStatus::OutOfReach)
            .and_then(|test| test.message.clone())
    }

    /// How many tests are of this status.
    pub(super) fn count(&self, status: TestStatus) -> usize {
        self.tests.iter().filter(|test| test.status == status).count()
    }
}

fn test_outcome(report: &Value, doubt: Option<&str>) -> TestOutcome {
    let text = |key: &str| report[key].as_str().map(str::to_owned);
    let mut status = match report["status"].as_u64() {
        Some(0) => TestStatus::Pass,
        Some(2) => TestStatus::Timeout,
        Some(3) => TestStatus::NotRun,
        Some(4) => TestStatus::PreconditionFailed,
        _ => TestStatus::Fail,
    };
    let (mut message, mut stack) = (text("message"), text("stack"));
    // An assertion that failed is a failure even where other parts of the file need what is not here.
    let doubt = doubt.filter(|_| report["isAsserted"] != true).map(str::to_owned);
    let needs = || text("needs").or_else(|| lacking(message.as_deref())).or_else(|| doubt.clone());
    let needs = match status {
        TestStatus::Fail | TestStatus::Timeout => needs(),
        TestStatus::NotRun => doubt.clone(),
        TestStatus::Pass | TestStatus::PreconditionFailed | TestStatus::OutOfReach => None,
    };
    if let Some(needs) = needs {
        (status, message, stack) = (TestStatus::OutOfReach, Some(needs), None);
    }
    TestOutcome { name: text("name").unwrap_or_default(), status, message, stack }
}

/// What a message says is missing, if it is something of a browser.
fn lacking(message: Option<&str>) -> Option<String> {
    let message = message?.lines().next()?;
    let name = message.strip_suffix(" is not defined")?.rsplit([' ', ':']).next()?;
    BROWSERS.contains(&name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(reports: &[&str], broken: Option<(FileStatus, String)>) -> Outcome {
        let reports: Vec<String> = reports.iter().map(|report| (*report).to_owned()).collect();
        Outcome::of_reports(&reports, broken, None)
    }

    #[test]
    fn tests_come_in_the_order_of_their_declaration() {
        let outcome = outcome(
            &[
                r#"{"kind":"test","index":1,"name":"b","status":1,"message":"m","stack":"s"}"#,
                r#"{"kind":"test","index":0,"name":"a","status":0}"#,
                r#"{"kind":"end","status":0}"#,
            ],
            None,
        );
        let names: Vec<_> = outcome.tests.iter().map(|test| (test.name.as_str(), test.status)).collect();
        assert_eq!(names, [("a", TestStatus::Pass), ("b", TestStatus::Fail)]);
        assert_eq!(outcome.status, FileStatus::Ok);
    }

    #[test]
    fn what_a_browser_alone_has_is_out_of_reach() {
        let test = |rest: &str| format!(r#"{{"kind":"test","index":0,"name":"a",{rest}}}"#);
        let cases = [
            (r#""status":1,"message":"Worker is not defined""#, TestStatus::OutOfReach),
            (r#""status":1,"message":"URLPattern is not defined""#, TestStatus::Fail),
            (r#""status":2,"message":"late","needs":"x.py""#, TestStatus::OutOfReach),
            (r#""status":0,"needs":"x.py""#, TestStatus::Pass),
        ];
        for (rest, status) in cases {
            assert_eq!(outcome(&[&test(rest)], None).tests[0].status, status, "{rest}");
        }
    }

    #[test]
    fn of_a_file_that_may_need_more_assertions_alone_are_to_blame() {
        let reports: Vec<String> = [
            r#"{"kind":"test","index":0,"name":"a","status":1,"message":"x","isAsserted":true}"#,
            r#"{"kind":"test","index":1,"name":"b","status":1,"message":"x","isAsserted":false}"#,
            r#"{"kind":"test","index":2,"name":"c","status":3}"#,
            r#"{"kind":"end","status":2}"#,
        ]
        .map(str::to_owned)
        .into();
        let outcome = Outcome::of_reports(&reports, None, Some("a document"));
        let statuses: Vec<_> = outcome.tests.iter().map(|test| test.status).collect();
        assert_eq!(statuses, [TestStatus::Fail, TestStatus::OutOfReach, TestStatus::OutOfReach]);
        assert_eq!(
            (outcome.status, outcome.message.as_deref()),
            (FileStatus::OutOfReach, Some("a document"))
        );
    }

    #[test]
    fn who_waits_for_a_source_that_is_not_here_is_not_to_blame() {
        let outcome = outcome(
            &[
                r#"{"kind":"lacks","what":"/x.py"}"#,
                r#"{"kind":"test","index":0,"name":"a","status":2}"#,
                r#"{"kind":"test","index":1,"name":"b","status":1}"#,
                r#"{"kind":"end","status":2}"#,
            ],
            None,
        );
        let statuses: Vec<_> = outcome.tests.iter().map(|test| test.status).collect();
        assert_eq!(statuses, [TestStatus::OutOfReach, TestStatus::Fail]);
        assert_eq!((outcome.status, outcome.message.as_deref()), (FileStatus::OutOfReach, Some("/x.py")));
    }

    #[test]
    fn a_file_that_broke_keeps_what_it_told() {
        let broken = (FileStatus::Timeout, "endless".to_owned());
        let outcome = outcome(&[r#"{"kind":"test","index":0,"name":"a","status":0}"#], Some(broken));
        assert_eq!((outcome.status, outcome.message.as_deref()), (FileStatus::Timeout, Some("endless")));
        assert_eq!(outcome.count(TestStatus::Pass), 1);
    }
}
