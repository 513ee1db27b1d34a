//! Runs the attacks of `tests/hostile/`: each beside a quiet neighbour in the same process, which must go on
//! answering; the process must be the same one afterwards, and have its memory back.
//!
//! A folder of attacks is served by one process, one app an attack, and attacked in order. `NEXUS_ATTACK=name` runs a
//! single attack of it, and prints what the app logged.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "hostile/attack.rs"]
mod attack;
#[path = "hostile/client.rs"]
mod client;
mod harness;
#[path = "hostile/watch.rs"]
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use attack::Attack;
use client::{End, Outcome, attempt};
use harness::{DEADLINE, Folder, Nexus, Start};
use watch::{Watch, resident};

/// A folder of `tests/hostile/`, with its test.
macro_rules! folders {
    ($($test:ident: $folder:literal;)*) => {
        $(#[test]
        fn $test() {
            run($folder);
        })*

        const FOLDERS: &[&str] = &[$($folder),*];
    };
}

folders! {
    endless_loops_are_stopped: "loops";
    long_built_ins_are_stopped: "builtins";
    memory_is_bounded: "memory";
    webassembly_is_bounded: "wasm";
    recursion_ends_in_an_exception: "recursion";
    what_the_host_calls_and_reads_is_bounded: "host";
    what_goes_on_without_a_turn_is_bounded: "async";
    an_app_that_loads_without_an_end_is_not_served: "startup";
    patched_built_ins_harm_only_their_app: "patched";
}

/// The attacks that are made at once, each by an app of its own.
const TOGETHER: [&str; 10] = [
    "loops/handler",
    "loops/microtasks",
    "builtins/regexp",
    "builtins/apply",
    "memory/objects",
    "memory/array-fill",
    "memory/buffers",
    "wasm/loop",
    "host/log-flood",
    "async/interval",
];

/// The sample that is another one in another process.
const STARTED: &str = "process_start_time_seconds";

/// The most memory that the host's processes may have at once beside what they had at the start: what one may hold by
/// its own books, and a fifth more, for while another one takes over both are there; and 1 GB more, for what a turn takes
/// after it was given up is in the books only once it is over, which on a busy machine is long (seen: 1.6 GB more than
/// the books in one process).
const PEAK: u64 = 4096 << 20;

/// What the process may have more than at its start afterwards, beside what its lost workers hold.
const KEPT: u64 = 400 << 20;

/// How often the neighbour must have been answered.
const ENOUGH: u64 = 5;

/// What the log says of a host that hands over to a fresh one, on purpose; and of one that dies.
const TAKEN_OVER: &str = "a fresh host has taken over";
const DIED: &str = "died of";

#[test]
fn ten_apps_that_attack_at_once_and_again_are_bounded_together() {
    let attacks: Vec<Attack> =
        TOGETHER.iter().map(|name| Attack::read(&sources().join(format!("{name}.js")))).collect();
    let mut stage = Stage::start(&attacks);
    let mut faults = Vec::new();
    for round in 1..=3 {
        stage.watch.during(&format!("ten at once, round {round}"));
        std::thread::scope(|scope| {
            let runs: Vec<_> =
                attacks.iter().map(|attack| scope.spawn(|| stage.make(attack, round > 1))).collect();
            for (attack, run) in attacks.iter().zip(runs) {
                let found = run.join().unwrap_or_else(|_| vec!["its test panicked".to_owned()]);
                faults.extend(
                    found.into_iter().map(|fault| format!("{} in round {round}: {fault}", attack.name)),
                );
            }
        });
    }
    faults.extend(stage.host_faults());
    faults.extend(stage.finish());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_attack_belongs_to_a_test() {
    let mut count = 0;
    for entry in std::fs::read_dir(sources()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            assert!(FOLDERS.contains(&name.as_str()), "no test runs the attacks in {name}/");
            count += attacks_in(&name).len();
        } else {
            assert_eq!(name, "README.md", "an attack stands in a folder");
        }
    }
    assert!(count >= 45, "there are {count} attacks only");
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hostile")
}

fn attacks_in(folder: &str) -> Vec<Attack> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(sources().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let chosen = std::env::var("NEXUS_ATTACK").ok();
    let attacks = files.iter().map(|file| Attack::read(file));
    attacks
        .filter(|attack| match (&chosen, &attack.open) {
            (Some(name), _) => *name == attack.name,
            (None, None) => true,
            (None, Some(why)) => {
                println!("{folder}/{}: OPEN, not run: {why}", attack.name);
                false
            }
        })
        .flat_map(Attack::apps)
        .collect()
}

/// Makes a folder's attacks in order, and tells at the end all that was wrong.
fn run(folder: &str) {
    let attacks = attacks_in(folder);
    let mut faults = Vec::new();
    let mut left = &attacks[..];
    while !left.is_empty() {
        let mut stage = Stage::start(left);
        while let Some((attack, rest)) = left.split_first() {
            left = rest;
            stage.watch.during(&attack.name);
            let start = Instant::now();
            let mut found = stage.make(attack, false);
            found.extend(stage.host_faults());
            println!(
                "{folder}/{}: {} in {:?}; {}",
                attack.name,
                if found.is_empty() { "ok" } else { "FAILED" },
                start.elapsed(),
                stage.memory()
            );
            if std::env::var("NEXUS_ATTACK").is_ok() {
                println!("{}\n{}", stage.nexus.lines().join("\n"), stage.nexus.errors());
            } else if !found.is_empty() {
                stage.tell_of(attack);
            }
            let ended = !found.is_empty() && !stage.is_alive();
            faults.extend(found.into_iter().map(|fault| format!("{folder}/{}: {fault}", attack.name)));
            if ended {
                break;
            }
        }
        faults.extend(stage.finish().into_iter().map(|fault| format!("{folder}: {fault}")));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A process that serves attacks and the quiet neighbour.
struct Stage {
    _folder: Folder,
    nexus: Nexus,
    watch: Watch,
    /// When the host's process started, and its memory then.
    started: Option<f64>,
    resident: u64,
    /// How many deaths of the host were told so far.
    deaths: AtomicUsize,
}

impl Stage {
    fn start(attacks: &[Attack]) -> Self {
        let folder = Folder::new(&[("quiet/index.js", watch::QUIET), ("quiet/nexus.toml", watch::ONE)]);
        for attack in attacks {
            attack.write(&folder);
        }
        let nexus = Start::in_folder(folder.path()).with_default_limits().start();
        let pid = nexus.pid();
        let watch = Watch::start(nexus.address("quiet"), pid);
        for attack in attacks {
            nexus.line(&format!("{} is served, or not", attack.name), |line| {
                let message = line["message"].as_str().unwrap_or_default();
                line["app"] == *attack.name && (message == "serving" || message.starts_with("not served"))
            });
        }
        let started = sample(&nexus.admin(), STARTED);
        assert!(started.is_some(), "the host does not tell when it started");
        Self { _folder: folder, watch, started, resident: resident(pid), nexus, deaths: AtomicUsize::new(0) }
    }

    /// Makes an attack, for the first time or again; gives what went wrong.
    fn make(&self, attack: &Attack, again: bool) -> Vec<String> {
        let refused = self.refused(attack, "");
        match (refused, &attack.refused) {
            (Some(line), Some(expected)) => {
                // What takes long is told as that first.
                return match soon(|| self.refused(attack, expected)) {
                    Some(_) => Vec::new(),
                    None => vec![format!("the reason is not {expected:?}: {}", line["message"])],
                };
            }
            (Some(line), None) => return vec![line["message"].to_string()],
            (None, Some(_)) if attack.statuses.is_empty() => return vec!["it is served".to_owned()],
            (None, _) => {}
        }
        let address = Arc::new(self.nexus.address(&attack.name));
        let mut faults = Vec::new();
        let paths = (0..attack.times).flat_map(|_| &attack.paths);
        for (number, path) in paths.enumerate() {
            let clients: Vec<_> = (0..attack.clients)
                .map(|_| {
                    let (address, path, attack) = (address.clone(), path.clone(), attack.clone());
                    std::thread::spawn(move || attempt(&address, &path, &attack))
                })
                .collect();
            let outcomes: Vec<Outcome> = clients.into_iter().map(|client| client.join().unwrap()).collect();
            let mut found: Vec<String> = outcomes
                .iter()
                .filter(|outcome| !self.was_cut_off(outcome))
                .filter_map(|outcome| judge(attack, outcome, again || number > 0))
                .map(|f| format!("{path}: {f}"))
                .collect();
            found.dedup();
            faults.extend(found);
            // Who waited in vain once would do so for each further path.
            if outcomes.iter().any(|outcome| outcome.end == End::Late) {
                break;
            }
        }
        if let Some(reason) = &attack.stop {
            faults.extend(self.stopped(attack, reason));
        }
        if attack.alive && faults.is_empty() {
            faults.extend(alive(&address));
        }
        if let Some(part) = &attack.logged {
            let found = soon(|| {
                self.nexus.messages(part).iter().any(|line| line["app"] == *attack.name).then_some(())
            });
            if found.is_none() {
                faults.push(format!("no line of the log says {part:?}"));
            }
        }
        faults
    }

    /// Whether a connection ended without a response because its host was replaced meanwhile and has ended: on a busy
    /// machine an attack may take longer than such a host waits.
    fn was_cut_off(&self, outcome: &Outcome) -> bool {
        let has_ended = || !self.nexus.messages("still busy after the grace period").is_empty();
        outcome.status.is_none() && outcome.end != End::Late && has_ended()
    }

    /// The line that says that an app is not served, and why.
    fn refused(&self, attack: &Attack, why: &str) -> Option<serde_json::Value> {
        let says = |line: &serde_json::Value| {
            let text = line["message"].as_str().unwrap_or_default();
            line["app"] == *attack.name && text.starts_with("not served") && text.contains(why)
        };
        self.nexus.log().into_iter().find(says)
    }

    /// Waits until an app was stopped for a reason.
    fn stopped(&self, attack: &Attack, reason: &str) -> Option<String> {
        let name = format!("nexus_guest_stops_total{{app=\"{}\",reason=\"{reason}\"}}", attack.name);
        // A host that was replaced meanwhile has taken its counters along; the log has it all.
        let limit = format!("its {reason} limit");
        let told =
            || self.nexus.messages(&limit).iter().any(|line| line["app"] == *attack.name).then_some(());
        let counted = soon(|| {
            sample(&self.nexus.admin(), &name).is_some_and(|count| count > 0.0).then_some(()).or_else(told)
        });
        counted.is_none().then(|| format!("it was not stopped for {reason}"))
    }

    /// Prints what the log says of an attack and of the host, its last lines.
    fn tell_of(&self, attack: &Attack) {
        const LAST: usize = 60;
        let log = self.nexus.log();
        let lines: Vec<_> =
            log.iter().filter(|line| line["app"] == *attack.name || line["kind"] == "host").collect();
        for line in &lines[lines.len().saturating_sub(LAST)..] {
            println!("    {line}");
        }
        println!("    {}", self.nexus.errors());
    }

    /// What is held now, in MB.
    fn memory(&self) -> String {
        let told = |name| total(&self.nexus.admin(), name) as u64 >> 20;
        let (held, lost) = (told("nexus_memory_held_bytes "), told("nexus_lost_workers_memory_bytes{"));
        format!("{} MB resident, {held} MB held, {lost} MB of it lost", resident(self.nexus.pid()) >> 20)
    }

    /// Whether the host answers, in whichever process.
    fn is_alive(&self) -> bool {
        soon(|| sample(&self.nexus.admin(), STARTED)).is_some()
    }

    /// What is wrong with the host itself.
    fn host_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.is_alive() {
            faults.push(format!("the host does not answer any more: {}", self.nexus.errors()));
        }
        let deaths = self.nexus.messages(DIED);
        let told = self.deaths.swap(deaths.len(), Ordering::Relaxed);
        faults.extend(deaths.iter().skip(told).map(|line| line["message"].to_string()));
        if deaths.is_empty() && self.nexus.messages(TAKEN_OVER).is_empty() {
            // A fresh host answers, and so do its guests, before the log says that it has taken over.
            let told = || (!self.nexus.messages(TAKEN_OVER).is_empty()).then_some(());
            let unexplained = |is_other: bool| is_other && soon(told).is_none();
            if unexplained(soon(|| sample(&self.nexus.admin(), STARTED)) != self.started) {
                faults.push("the host's process is another one, and the log does not say why".to_owned());
            }
            if unexplained(self.watch.changes() > 0) {
                faults.push("the neighbour's guest is another one, and the log does not say why".to_owned());
            }
        }
        for part in ["panicked", "Fatal error", "Check failed"] {
            if self.nexus.errors().contains(part) {
                faults.push(format!("standard error says: {}", self.nexus.errors()));
            }
        }
        faults.extend(self.watch.faults());
        faults
    }

    /// Ends the process; tells what the neighbour and the memory have to say.
    fn finish(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        self.watch.during("the end");
        if self.is_alive() {
            let pid = self.nexus.pid();
            // What a worker holds that was given up is known when its built-in has returned.
            let lost = || total(&self.nexus.admin(), "nexus_lost_workers_memory_bytes{") as u64;
            if soon(|| (resident(pid) < self.resident + KEPT + lost()).then_some(())).is_none() {
                faults.push(format!(
                    "{} MB are resident afterwards, {} MB at the start, and lost workers hold {} MB",
                    resident(pid) >> 20,
                    self.resident >> 20,
                    lost() >> 20
                ));
            }
        }
        // Attacks may be over sooner than the neighbour has asked so often.
        let _ = soon(|| (self.watch.answered() >= ENOUGH).then_some(()));
        let (answered, peak, when) = self.watch.stop();
        faults.extend(self.watch.faults());
        if answered < ENOUGH {
            faults.push(format!("the neighbour answered {answered} times only"));
        }
        if peak > PEAK + self.resident {
            faults.push(format!("{} MB were resident at once, during {when}", peak >> 20));
        }
        println!(
            "the neighbour answered {answered} times; {} MB at the start, {} MB at most, during {when}",
            self.resident >> 20,
            peak >> 20
        );
        faults
    }
}

/// A sample of the metrics, if the host answers.
fn sample(admin: &str, name: &str) -> Option<f64> {
    let page = attempt(admin, "/metrics", &Attack::plain());
    let page = String::from_utf8(page.body).ok()?;
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// The sum of the samples that start like this.
fn total(admin: &str, start: &str) -> f64 {
    let page = attempt(admin, "/metrics", &Attack::plain());
    let page = String::from_utf8_lossy(&page.body).into_owned();
    let value =
        |line: &str| line.starts_with(start).then(|| line.rsplit_once(' ')?.1.parse::<f64>().ok()).flatten();
    page.lines().filter_map(value).sum()
}

/// What is wrong with an outcome. One that comes `again` may find the app between two guests.
fn judge(attack: &Attack, outcome: &Outcome, again: bool) -> Option<String> {
    let Some(status) = outcome.status else {
        return match outcome.end {
            End::Late => Some("no response came in time".to_owned()),
            _ if attack.may_close => None,
            _ => Some("the connection was closed without a response".to_owned()),
        };
    };
    let body = String::from_utf8_lossy(&outcome.body[..outcome.body.len().min(400)]).into_owned();
    let end = match outcome.end {
        End::Whole => None,
        End::Cut if attack.may_cut => None,
        End::Left if attack.may_leave => None,
        End::Cut => Some("its body was cut off"),
        End::Left => Some("its body did not end"),
        End::Late => Some("its body did not come in time"),
    };
    // Who gets little of a busy machine's time comes to no other limit before it.
    let is_slow = !attack.limits.is_empty() && status == 504 && body.contains("(limit: wall ");
    if !attack.statuses.contains(&status) && !is_slow {
        return Some(format!("the status is {status}, not one of {:?}: {body:?}", attack.statuses));
    }
    if let Some(end) = end {
        return Some(format!("{status}, but {end}: {body:?}"));
    }
    if status >= 500 {
        // What the host itself says: one line, with the limit and nothing of the guest.
        let named = |limit: &String| body.contains(&format!("(limit: {limit} "));
        let between = again && status == 503 && body == "the app is not available\n";
        if status != 500
            && !between
            && !is_slow
            && !attack.limits.is_empty()
            && !attack.limits.iter().any(named)
        {
            return Some(format!("{status} names no limit of {:?}: {body:?}", attack.limits));
        }
        if body.lines().count() != 1
            || ["secret", "Error", ".js", "    at "].iter().any(|part| body.contains(part))
        {
            return Some(format!("{status} tells of the guest: {body:?}"));
        }
    }
    None
}

/// Whether an app answers again.
fn alive(address: &str) -> Option<String> {
    let mut last = None;
    let answered = soon(|| {
        let outcome = attempt(address, "/alive", &Attack::plain());
        let fine = outcome.status == Some(200) && outcome.body == b"alive";
        last = Some(outcome);
        fine.then_some(())
    });
    answered.is_none().then(|| format!("the app does not answer any more: {last:?}"))
}

/// Asks again and again, up to the deadline.
fn soon<T>(mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if start.elapsed() > DEADLINE / 2 {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
