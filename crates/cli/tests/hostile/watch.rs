//! The quiet neighbour, asked without a pause, and the process's memory, looked at all the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::attack::Attack;
use super::client::{End, attempt};

/// The neighbour: it counts, so that a fresh guest would be noticed.
pub(crate) const QUIET: &str = "let count = 0;\n\
    export default { fetch() { return new Response(`quiet ${++count}`); } };\n";
/// Its manifest: a second worker, which a busy machine may call for, would count by itself.
pub(crate) const ONE: &str = "[scale]\nworkers = 1\n";

#[derive(Default)]
struct Seen {
    ended: AtomicBool,
    answered: AtomicU64,
    /// How often it was another guest that answered than before.
    changed: AtomicU64,
    peak: AtomicU64,
    /// What is going on now, and what was when the memory was at its peak.
    now: Mutex<String>,
    then: Mutex<String>,
    faults: Mutex<Vec<String>>,
}

/// Two threads that watch.
pub(crate) struct Watch {
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Asks the neighbour at `address`, and looks at the memory of a process and its children.
    pub(crate) fn start(address: String, pid: u32) -> Self {
        let seen = Arc::new(Seen::default());
        *seen.now.lock().unwrap() = "the start".to_owned();
        let (asking, looking) = (seen.clone(), seen.clone());
        let threads = vec![
            std::thread::spawn(move || asking.ask(&address)),
            std::thread::spawn(move || looking.look(pid)),
        ];
        Self { seen, threads }
    }

    /// From now on this is going on.
    pub(crate) fn during(&self, what: &str) {
        *self.seen.now.lock().unwrap() = what.to_owned();
    }

    /// What went wrong with the neighbour since the last time.
    pub(crate) fn faults(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.faults.lock().unwrap())
    }

    /// How often the neighbour's guest was another one than before.
    pub(crate) fn changes(&self) -> u64 {
        self.seen.changed.load(Ordering::Relaxed)
    }

    /// How often the neighbour answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.seen.answered.load(Ordering::Relaxed)
    }

    /// Ends the watching. Gives how often the neighbour answered, and the peak of the memory in bytes with what was
    /// going on then.
    pub(crate) fn stop(&mut self) -> (u64, u64, String) {
        self.seen.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        let Seen { answered, peak, then, .. } = &*self.seen;
        (answered.load(Ordering::Relaxed), peak.load(Ordering::Relaxed), then.lock().unwrap().clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.seen.ended.store(true, Ordering::Relaxed);
    }
}

impl Seen {
    fn ask(&self, address: &str) {
        let plain = Attack::plain();
        let mut last = 0;
        while !self.ended.load(Ordering::Relaxed) {
            let outcome = attempt(address, "/", &plain);
            let text = std::str::from_utf8(&outcome.body).ok();
            let count = text.and_then(|text| text.strip_prefix("quiet ")?.parse::<u64>().ok());
            match count {
                Some(count) if outcome.status == Some(200) && outcome.end == End::Whole => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    if count != last + 1 {
                        self.changed.fetch_add(1, Ordering::Relaxed);
                    }
                    last = count;
                }
                _ => {
                    let now = self.now.lock().unwrap().clone();
                    self.faults.lock().unwrap().push(format!("the neighbour got {outcome:?} during {now}"));
                }
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    fn look(&self, pid: u32) {
        while !self.ended.load(Ordering::Relaxed) {
            let each = each_resident(pid);
            let now = each.iter().sum();
            if self.peak.fetch_max(now, Ordering::Relaxed) < now {
                let each: Vec<String> = each.iter().map(|bytes| (bytes >> 20).to_string()).collect();
                let during = self.now.lock().unwrap().clone();
                *self.then.lock().unwrap() = format!("{during}, in processes of {} MB", each.join(", "));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The resident memory of a process and its children, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    each_resident(pid).iter().sum()
}

/// That of each.
fn each_resident(pid: u32) -> Vec<u64> {
    let own = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) * 1024
    };
    std::iter::once(pid).chain(children(pid)).map(own).collect()
}

/// The processes that a process has started, by `/proc`.
fn children(pid: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let parent = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything, come the state and the parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    numbers.filter(|number| parent(*number) == Some(pid)).collect()
}
