//! The supervisor's loop.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexus_guest::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, wait};

use super::child::{Child, Duty, End};
use super::link::HostLink;
use super::report::Report;
use super::share::{Common, Share};
use super::sys::Signals;
use crate::log::{LogConfig, OutputLock};
use crate::seat::{Portion, Seat};
use crate::siblings::Sibling;
use crate::triggers::Right;
use crate::{Shares, Sockets};

/// How many hosts may be about to end before another one is replaced.
const MAX_LEAVING: usize = 2;
/// The exit code after a second SIGINT: as a shell tells of a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// What the supervisor must know.
pub struct Settings {
    /// How its lines in the log look.
    pub log: LogConfig,
    /// The names of the apps that were found, in their order; of those that cannot be served, too.
    pub apps: Vec<String>,
    /// How they are shared out among hosts.
    pub shares: Shares,
    /// How long a host that stops may take.
    pub grace: Duration,
}

/// What a process is after [`Supervisor::run`].
pub enum Role {
    /// A host: it starts on this seat, and takes its orders from there.
    Host(Seat, HostLink),
    /// The supervisor, which is done and ends with this code.
    Over(u8),
}

/// Why a supervisor gave up.
#[derive(Debug)]
pub struct SupervisorError(String);

impl fmt::Display for SupervisorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SupervisorError {}

impl SupervisorError {
    pub(super) fn system(what: &str, error: &io::Error) -> Self {
        Self(format!("cannot {what}: {error}"))
    }

    /// The last host of several in a row ended like this.
    pub(super) fn gives_up(end: End) -> Self {
        Self(format!("the host died of {end} before it had served, and so did those before it: giving up"))
    }
}

/// Holds the sockets, and has hosts at work on them.
pub struct Supervisor {
    sockets: Sockets,
    signals: Signals,
    shares: Vec<Share>,
    common: Common,
    /// Whether it was told that all hosts have started.
    has_told: bool,
}

impl Supervisor {
    /// A supervisor over these sockets. Takes the process's signals over. The process must have no thread but this.
    ///
    /// # Errors
    /// The system's.
    pub fn new(settings: Settings, sockets: Sockets) -> Result<Self, SupervisorError> {
        debug_assert!(std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1));
        let signals = Signals::take().map_err(|error| SupervisorError::system("take signals", &error))?;
        let shares = match settings.shares.hosts().get() {
            1 => vec![Share::of_all(settings.apps.len())],
            _ => portions(&settings.shares, sockets.admin().is_some())
                .map_err(|error| SupervisorError::system("make what several hosts share", &error))?
                .into_iter()
                .map(Share::of)
                .collect(),
        };
        let output = OutputLock::new()
            .map_err(|error| SupervisorError::system("make what the processes' logs share", &error))?;
        let firing = shares.iter().map(|_| Right::new()).collect::<Result<_, _>>();
        let firing =
            firing.map_err(|error| SupervisorError::system("make what its hosts' triggers share", &error))?;
        let report = Report::new(settings.log, output);
        let common = Common { settings, report, firing, ending: None };
        Ok(Self { sockets, signals, shares, common, has_told: false })
    }

    /// Has hosts at work until the end is ordered or a host ends by itself. Returns in the supervisor at its end, and
    /// in each host at its beginning.
    ///
    /// # Errors
    /// When no process can be made, or hosts die again and again before they serve.
    pub fn run(mut self) -> Result<Role, SupervisorError> {
        loop {
            if let Some(code) = self.common.ending
                && self.hosts().next().is_none()
            {
                return Ok(Role::Over(code));
            }
            if let Some((seat, link)) = self.start_due()? {
                return Ok(Role::Host(seat, link));
            }
            self.wait();
            self.common.report.flush();
            while let Some(signal) = self.signals.next() {
                self.signal(signal);
            }
            for share in &mut self.shares {
                share.hear(&mut self.common);
            }
            self.conclude();
            self.reap()?;
            for share in &mut self.shares {
                share.end_late(&mut self.common);
            }
        }
    }

    fn hosts(&self) -> impl Iterator<Item = &Child> {
        self.shares.iter().flat_map(|share| &share.hosts)
    }

    /// The next thing that is to be started: when, for which of the shares, and what for.
    fn due(&self) -> Option<(Instant, usize, Duty)> {
        let count = |duty| self.shares.iter().map(|share| share.count(duty)).sum::<usize>();
        let has_room = count(Duty::TakeOver) == 0 && count(Duty::Leave) < MAX_LEAVING;
        let due = self.shares.iter().map(|share| share.due(has_room)).enumerate();
        due.filter_map(|(share, due)| due.map(|(duty, at)| (at, share, duty))).min_by_key(|(at, ..)| *at)
    }

    /// Starts the host that is due, if one is; the new process gets what it needs.
    fn start_due(&mut self) -> Result<Option<(Seat, HostLink)>, SupervisorError> {
        let Some((_, share, duty)) = self.due().filter(|(at, ..)| *at <= Instant::now()) else {
            return Ok(None);
        };
        self.shares[share].start_due(duty, &mut self.sockets, &mut self.common)
    }

    /// Waits until there is something to do.
    fn wait(&self) {
        let deadlines = self.hosts().filter_map(|host| host.deadline);
        let due = self.due().map(|(at, ..)| at);
        let next = deadlines.chain(due).chain(self.common.report.retries_at()).min();
        let timeout = next.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let words = self.hosts().filter_map(|host| host.reins.waits_for());
        let mut fds: Vec<PollFd<'_>> =
            words.map(|words| PollFd::from_borrowed_fd(words, PollFlags::IN)).collect();
        fds.push(PollFd::new(&self.signals, PollFlags::IN));
        let output = self.common.report.waits_for();
        fds.extend(output.map(|out| PollFd::from_borrowed_fd(out, PollFlags::OUT)));
        // Whatever it says: all that can be there is looked at.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    fn signal(&mut self, signal: i32) {
        match signal {
            libc::SIGINT if self.common.ending.is_some() => {
                self.common.ending = Some(INTERRUPTED);
                self.shares.iter_mut().for_each(Share::interrupt);
            }
            libc::SIGINT | libc::SIGTERM if self.common.ending.is_none() => self.end(0),
            libc::SIGUSR2 if self.common.ending.is_none() => self.shares.iter_mut().for_each(Share::renew),
            // SIGCHLD only wakes.
            _ => {}
        }
    }

    /// Has all hosts stop, and then ends with this code.
    fn end(&mut self, code: u8) {
        self.common.ending = Some(code);
        for share in &mut self.shares {
            share.end(&self.common);
        }
    }

    /// Several hosts know of each other by the supervisor only: it says when all have started, and ends if none has an
    /// app to serve.
    fn conclude(&mut self) {
        let is_done = self.has_told || self.common.ending.is_some() || self.shares.len() == 1;
        if is_done || !self.shares.iter().all(Share::is_settled) {
            return;
        }
        self.has_told = true;
        let in_vain: Option<Vec<u8>> = self.shares.iter().map(Share::serves_nothing).collect();
        match in_vain.and_then(|codes| codes.into_iter().min()) {
            Some(code) => {
                self.common.report.line(Level::Error, "no app is served", []);
                self.end(code);
            }
            None => {
                let hosts = [("hosts", self.shares.len().into())];
                self.common.report.line(Level::Info, "all hosts have started", hosts);
            }
        }
    }

    /// Takes in which processes have ended: hosts, and, for the first process of a container, anybody's.
    fn reap(&mut self) -> Result<(), SupervisorError> {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Some(end) = End::of(status) else { continue };
            let is_it = |host: &Child| host.pid == pid;
            let index = |share: &Share| share.hosts.iter().position(is_it);
            let found = self.shares.iter().enumerate().find_map(|(at, share)| Some((at, index(share)?)));
            let Some((share, index)) = found else { continue };
            let was_ending = self.common.ending.is_some();
            let others_serve = (0..self.shares.len()).any(|at| at != share && self.shares[at].is_settled());
            self.shares[share].ended(index, end, others_serve, &self.sockets, &mut self.common)?;
            if let Some(code) = self.common.ending.filter(|_| !was_ending) {
                self.end(code);
            }
        }
        Ok(())
    }
}

/// What each of several hosts has of the whole. With an admin address, the first one is to ask the others.
fn portions(shares: &Shares, has_admin: bool) -> io::Result<Vec<Portion>> {
    let hosts = shares.hosts();
    let mut portions = Vec::with_capacity(hosts.get());
    let mut siblings = Vec::new();
    for number in 1..=hosts.get() {
        let mut socket = None;
        if has_admin && number > 1 {
            let (sibling, listener) = Sibling::make(number)?;
            siblings.push(sibling);
            socket = Some(Arc::new(listener));
        }
        let places = shares.places(number - 1).into();
        portions.push(Portion { number, hosts, places, socket, siblings: Vec::new() });
    }
    if let Some(first) = portions.first_mut() {
        first.siblings = siblings;
    }
    Ok(portions)
}
