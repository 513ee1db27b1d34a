//! `nexus test`.

mod expected;
mod files;
mod guest;
mod network;
mod outcome;
mod plan;
mod report;
mod server;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Args;
use nexus_core::OutboundSection;
use nexus_providers::Outbound;
use tokio::sync::mpsc::unbounded_channel;

use self::expected::Expected;
use self::guest::{Limits, Run};
use self::outcome::Outcome;
use self::plan::Plan;
use self::report::Report;
use self::server::Server;
use crate::failure::Failure;

/// Run web platform tests.
///
/// Runs unchanged files of the web platform tests (<https://web-platform-tests.org>), each in a fresh
/// guest: FILE.any.js, FILE.worker.js, FILE.window.js as far as it needs no document, any other
/// FILE.js, or all of the first three below a folder. nexus brings the functions of testharness.js
/// along; what else a file needs (META: script, resources beside it, /common) is read from its
/// checkout.
///
/// What tests fetch comes from a server on 127.0.0.1 that runs along, under the names and ports of the
/// tests' own: files of the checkout, and what the handlers of fetch/api/resources would answer. Test
/// guests reach nothing else.
///
/// A file is a line: how many of its tests passed, and how long it took; then what failed. What needs
/// more of the tests' server, a document or a worker is listed as out of reach, and is no failure.
///
///   nexus test --wpt wpt/url wpt/encoding
///   nexus test --wpt --expect expected.txt wpt/streams
///   nexus test --wpt --json wpt/url/url-constructor.any.js | jq .tests
///
/// A file for --expect has the path of a test file, and below it, indented, the names of its tests that
/// fail, each with the reason:
///
///   encoding/sharedarraybuffer.any.js
///     *  # guests share no memory
///
/// Ends with 0 if all is as expected, with 1 if a test failed, or passed though it was expected to
/// fail, and with 2 if a file cannot be read.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Test {
    /// Test files, or folders of them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The files are web platform tests; so far there are no others, and this must be given
    #[arg(long)]
    wpt: bool,

    /// The folder that paths with a / in front begin at
    /// [default: the nearest one above with resources/testharness.js in it, or else with common/]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// A list of the tests that are expected to fail
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// How many files are run at once [default: one a processor, 4 at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,

    /// How many times the usual 10 seconds (60 for long ones) a file may take
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = parse_factor)]
    timeout: f64,

    /// Show the tests that pass, too, and what the files log
    #[arg(long, short)]
    verbose: bool,

    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
}

fn parse_factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| (0.01..=1000.0).contains(factor));
    factor.ok_or_else(|| "a factor is a number from 0.01 to 1000".into())
}

/// How often the guests are looked after.
const TICK: Duration = Duration::from_millis(20);

/// The exit code of what Ctrl-C ended.
const INTERRUPTED: u8 = 130;

impl Test {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if !self.wpt {
            return Err(Failure::usage(
                "nexus test runs web platform tests only, so far: add --wpt (nexus test --help says more)",
            ));
        }
        let mut expected = match &self.expect {
            Some(file) => Expected::read(file)?,
            None => Expected::default(),
        };
        let plans = plan::find(&self.files, self.root.as_deref())?;
        let program = std::env::current_exe().map_err(|error| Failure::host(error.to_string()))?;
        nexus_js::initialize(&program).map_err(|error| Failure::host(error.to_string()))?;
        let jobs = self.jobs.map_or_else(
            || available_parallelism().map_or(1, |number| number.get().min(4)),
            |jobs| jobs.into(),
        );
        let report = Report::new(self.json, self.verbose);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::host(error.to_string()))?;
        runtime.block_on(run_all(plans, jobs, self.timeout, report, &mut expected))
    }
}

/// Runs all of them, some at once; tells of each in the order in which they were found.
async fn run_all(
    plans: Vec<Plan>,
    jobs: usize,
    factor: f64,
    mut report: Report,
    expected: &mut Expected,
) -> Result<(), Failure> {
    let (sender, mut outcomes) = unbounded_channel();
    let mut waiting: VecDeque<(usize, Arc<Plan>)> = plans.into_iter().map(Arc::new).enumerate().collect();
    let mut running: BTreeMap<usize, Run> = BTreeMap::new();
    let mut done: BTreeMap<usize, (Arc<Plan>, Outcome)> = BTreeMap::new();
    let mut next = 0;
    let outbound = Outbound::new(&OutboundSection::default()).map_err(Failure::host)?;
    let mut servers: BTreeMap<PathBuf, Arc<Server>> = BTreeMap::new();
    let interrupted = tokio::signal::ctrl_c();
    let mut interrupted = std::pin::pin!(interrupted);
    while !(waiting.is_empty() && running.is_empty()) {
        while running.len() < jobs
            && let Some((number, plan)) = waiting.pop_front()
        {
            match &plan.needs {
                Some(needs) => {
                    let outcome = Outcome::out_of_reach(needs.clone());
                    done.insert(number, (plan, outcome));
                }
                None => {
                    let made = || Arc::new(Server::new(plan.root.clone(), outbound.clone()));
                    let server = servers.entry(plan.root.to_path_buf()).or_insert_with(made).clone();
                    let limits = Limits::new(factor);
                    running.insert(number, guest::start(number, plan, server, &limits, sender.clone()));
                }
            }
        }
        if !running.is_empty() {
            tokio::select! {
                biased;
                _ = &mut interrupted => {
                    report.summary()?;
                    return Err(Failure::with_code(INTERRUPTED));
                }
                Some((number, outcome)) = outcomes.recv() => {
                    // One that was given up may still tell something.
                    if let Some(run) = running.remove(&number) {
                        done.insert(number, (run.plan, outcome));
                    }
                }
                () = tokio::time::sleep(TICK) => {
                    for (number, run) in &mut running {
                        if let Some(outcome) = run.look() {
                            let _ = sender.send((*number, outcome));
                        }
                    }
                }
            }
        }
        while let Some((plan, outcome)) = done.remove(&next) {
            report.file(&plan, &outcome, expected)?;
            next += 1;
        }
    }
    report.end(expected)
}
