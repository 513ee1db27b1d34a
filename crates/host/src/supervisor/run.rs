//! The supervisor's loop.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use nexus_guest::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, wait};

use super::child::{Child, Duty, End};
use super::link::{HostLink, Reins, Word};
use super::orders::Order;
use super::policy::Policy;
use super::report::{Report, list};
use super::sys::{self, SharedCounters, Signals};
use crate::Sockets;
use crate::log::LogConfig;
use crate::seat::{SET_ASIDE, SLOTS, Seat, Turns, executing};

/// How long a host may take beyond the grace period before it is ended.
const SLACK: Duration = Duration::from_secs(5);
/// How long a host that is to take over may take to serve.
const START_TIME: Duration = Duration::from_secs(60);
/// How long a host may take to end at once.
const INTERRUPT_TIME: Duration = Duration::from_secs(1);
/// After a failure to start a host, the next attempt waits this long.
const RETRY: Duration = Duration::from_secs(1);
/// How many hosts may be about to end before another one is replaced.
const MAX_LEAVING: usize = 2;
/// The exit code after a second SIGINT: as a shell tells of a program that SIGINT ended.
const INTERRUPTED: u8 = 130;
/// The exit code where the host failed.
const HOST_FAILED: u8 = 3;

/// What the supervisor must know.
pub struct Settings {
    /// How its lines in the log look.
    pub log: LogConfig,
    /// The names of the apps that were found, in their order; of those that cannot be served, too.
    pub apps: Vec<String>,
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
    fn system(what: &str, error: &io::Error) -> Self {
        Self(format!("cannot {what}: {error}"))
    }
}

/// Holds the sockets, and has a host at work on them.
pub struct Supervisor {
    settings: Settings,
    sockets: Sockets,
    signals: Signals,
    policy: Policy,
    report: Report,
    hosts: Vec<Child>,
    /// Whether a host was started at all.
    has_begun: bool,
    /// When the next host is to start that serves at once.
    start_at: Option<Instant>,
    /// When the next host is to start that takes over from the one that serves.
    replace_at: Option<Instant>,
    /// Whether the host that serves asked to be replaced: it is tried again if it fails.
    is_spent: bool,
    /// The code to end with, once the end has been ordered.
    ending: Option<u8>,
}

impl Supervisor {
    /// A supervisor over these sockets. Takes the process's signals over. The process must have no thread but this.
    ///
    /// # Errors
    /// The system's.
    pub fn new(settings: Settings, sockets: Sockets) -> Result<Self, SupervisorError> {
        debug_assert!(std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1));
        let signals = Signals::take().map_err(|error| SupervisorError::system("take signals", &error))?;
        Ok(Self {
            policy: Policy::new(settings.apps.len()),
            report: Report::new(settings.log),
            settings,
            sockets,
            signals,
            hosts: Vec::new(),
            has_begun: false,
            start_at: Some(Instant::now()),
            replace_at: None,
            is_spent: false,
            ending: None,
        })
    }

    /// Has a host at work until the end is ordered or a host ends by itself. Returns in the supervisor at its end, and
    /// in each host at its beginning.
    ///
    /// # Errors
    /// When no process can be made, or hosts die again and again before they serve.
    pub fn run(mut self) -> Result<Role, SupervisorError> {
        loop {
            if let Some(code) = self.ending
                && self.hosts.is_empty()
            {
                return Ok(Role::Over(code));
            }
            if let Some((seat, link)) = self.start_due()? {
                return Ok(Role::Host(seat, link));
            }
            self.wait();
            self.report.flush();
            while let Some(signal) = self.signals.next() {
                self.signal(signal);
            }
            self.hear();
            self.reap()?;
            self.end_late();
        }
    }

    /// The next thing that is to be started, and when.
    fn due(&self) -> Option<(Duty, Instant)> {
        if let Some(at) = self.start_at {
            return Some((Duty::Serve, at));
        }
        let count = |duty| self.hosts.iter().filter(|host| host.duty == duty).count();
        let serves = self.hosts.iter().any(|host| host.duty == Duty::Serve && host.serves);
        let has_room = count(Duty::TakeOver) == 0 && count(Duty::Leave) < MAX_LEAVING;
        self.replace_at.filter(|_| serves && has_room).map(|at| (Duty::TakeOver, at))
    }

    /// Starts the host that is due, if one is; the new process gets what it needs.
    fn start_due(&mut self) -> Result<Option<(Seat, HostLink)>, SupervisorError> {
        let Some((duty, _)) = self.due().filter(|(_, at)| *at <= Instant::now()) else { return Ok(None) };
        match duty {
            Duty::Serve => self.start_at = None,
            Duty::TakeOver | Duty::Leave => self.replace_at = None,
        }
        match self.start(duty) {
            Err(error) if self.has_begun => {
                self.report.line(Level::Error, format!("cannot start a host: {error}"), []);
                let again = Some(Instant::now() + RETRY);
                match duty {
                    Duty::Serve => self.start_at = again,
                    Duty::TakeOver | Duty::Leave => self.replace_at = again,
                }
                Ok(None)
            }
            started => {
                self.has_begun = true;
                started.map_err(|error| SupervisorError::system("start a host", &error))
            }
        }
    }

    fn start(&mut self, duty: Duty) -> io::Result<Option<(Seat, HostLink)>> {
        self.sockets.reopen();
        let turns = SharedCounters::new(self.settings.apps.len() * SLOTS)?;
        let (reins, link) = Reins::pair()?;
        let supervisor = sys::this();
        let Some(pid) = sys::fork()? else {
            // This is the host by now. Returning drops its copies of what is the supervisor's.
            if let Err(error) = sys::become_host(supervisor) {
                self.has_begun = false;
                return Err(error);
            }
            let seat = Seat {
                sockets: self.sockets.clone(),
                turns: Some(Turns::new(turns.keep())),
                aside: self.policy.aside(),
                takes_over: duty == Duty::TakeOver,
            };
            return Ok(Some((seat, link)));
        };
        let born = Instant::now();
        let deadline = (duty == Duty::TakeOver).then(|| born + START_TIME);
        self.hosts.push(Child { pid, reins, turns, born, duty, serves: false, deadline });
        Ok(None)
    }

    /// Waits until there is something to do.
    fn wait(&self) {
        let next =
            self.hosts.iter().filter_map(|host| host.deadline).chain(self.due().map(|(_, at)| at)).min();
        let timeout = next.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let words = self.hosts.iter().filter_map(|host| host.reins.waits_for());
        let mut fds: Vec<PollFd<'_>> =
            words.map(|words| PollFd::from_borrowed_fd(words, PollFlags::IN)).collect();
        fds.push(PollFd::new(&self.signals, PollFlags::IN));
        fds.extend(self.report.waits_for().map(|out| PollFd::from_borrowed_fd(out, PollFlags::OUT)));
        // Whatever it says: all that can be there is looked at.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    fn signal(&mut self, signal: i32) {
        match signal {
            libc::SIGINT if self.ending.is_some() => {
                self.ending = Some(INTERRUPTED);
                let deadline = Some(Instant::now() + INTERRUPT_TIME);
                for host in &mut self.hosts {
                    host.reins.order(Order::Interrupt);
                    host.deadline = deadline;
                }
            }
            libc::SIGINT | libc::SIGTERM if self.ending.is_none() => self.end(0),
            libc::SIGUSR2 if self.ending.is_none() => {
                self.policy.forgive();
                self.replace_at = Some(Instant::now());
            }
            // SIGCHLD only wakes.
            _ => {}
        }
    }

    /// Has all hosts stop, and then ends with this code.
    fn end(&mut self, code: u8) {
        self.ending = Some(code);
        (self.start_at, self.replace_at) = (None, None);
        let deadline = self.grace_is_over_at();
        for host in &mut self.hosts {
            host.reins.order(Order::Stop);
            host.deadline = deadline;
        }
    }

    fn grace_is_over_at(&self) -> Option<Instant> {
        Instant::now().checked_add(self.settings.grace.checked_add(SLACK)?)
    }

    /// Takes in what the hosts said.
    fn hear(&mut self) {
        for index in 0..self.hosts.len() {
            for word in self.hosts[index].reins.words() {
                let host = &mut self.hosts[index];
                match (word, host.duty) {
                    (Word::Serving, duty) => {
                        host.serves = true;
                        if duty == Duty::TakeOver {
                            self.take_over(index);
                        }
                    }
                    (Word::Spent, Duty::Serve) if self.ending.is_none() => {
                        self.is_spent = true;
                        self.replace_at.get_or_insert_with(Instant::now);
                    }
                    (Word::Spent, _) => {}
                }
            }
        }
    }

    /// The host at `index` serves by now; the one that did is to finish.
    fn take_over(&mut self, index: usize) {
        let until = self.grace_is_over_at();
        if self.ending.is_none() {
            for old in self.hosts.iter_mut().filter(|host| host.duty == Duty::Serve) {
                old.duty = Duty::Leave;
                old.deadline = until;
                old.reins.order(Order::HandOver);
            }
            self.hosts[index].duty = Duty::Serve;
            self.hosts[index].deadline = None;
            self.is_spent = false;
            let pid = ("pid", self.hosts[index].pid.as_raw_nonzero().get().into());
            self.report.line(
                Level::Info,
                "a fresh host has taken over; the old one finishes its requests",
                [pid],
            );
        }
    }

    /// Takes in which processes have ended: hosts, and, for the first process of a container, anybody's.
    fn reap(&mut self) -> Result<(), SupervisorError> {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let ended = End::of(status).zip(self.hosts.iter().position(|host| host.pid == pid));
            if let Some((end, index)) = ended {
                let mut host = self.hosts.remove(index);
                // It may have said so just before.
                host.serves |= host.reins.words().contains(&Word::Serving);
                self.ended(&host, end)?;
            }
        }
        Ok(())
    }

    fn ended(&mut self, host: &Child, end: End) -> Result<(), SupervisorError> {
        match (self.ending, host.duty, end) {
            (Some(0), Duty::Serve, End::Exit(code)) => self.ending = Some(code),
            (Some(0), Duty::Serve, End::Signal(_) | End::Panic) => {
                self.report.line(Level::Error, format!("the host died of {end} while it stopped"), []);
                self.ending = Some(HOST_FAILED);
            }
            (Some(_), _, _) => {}
            (None, Duty::Serve, End::Exit(code)) => self.end(code),
            (None, Duty::Serve, _) => self.died(host, end)?,
            (None, Duty::TakeOver, _) => {
                let message =
                    format!("the host that was to take over ended by {end}; the old one goes on serving");
                self.report.line(Level::Error, message, []);
                self.blame(host, end);
                self.replace_at = self.is_spent.then(|| Instant::now() + 10 * RETRY);
            }
            (None, Duty::Leave, End::Exit(_)) => {}
            (None, Duty::Leave, _) => {
                let message = format!("the host that was replaced died of {end} while it finished");
                self.report.line(Level::Error, message, []);
                self.blame(host, end);
            }
        }
        Ok(())
    }

    /// The host that serves has died: another one follows.
    fn died(&mut self, host: &Child, end: End) -> Result<(), SupervisorError> {
        let now = Instant::now();
        let apps = executing(host.turns.get());
        let verdict = self.policy.died(now, host.born, host.serves, &apps);
        let successor = self.hosts.iter_mut().find(|host| host.duty == Duty::TakeOver);
        let (wait, next) = match (successor, verdict.wait) {
            (Some(successor), _) => {
                successor.duty = Duty::Serve;
                successor.deadline = None;
                (Duration::ZERO, "the one that was to take over serves".to_owned())
            }
            (None, Some(wait)) => {
                self.start_at = Some(now + wait);
                let next = match wait {
                    Duration::ZERO => "the next one starts at once".to_owned(),
                    wait => format!("the next one starts in {} ms", wait.as_millis()),
                };
                (wait, next)
            }
            (None, None) => {
                let message = format!(
                    "the host died of {end} before it had served, and so did those before it: giving up"
                );
                return Err(SupervisorError(message));
            }
        };
        let names = self.names(&apps);
        let executing = match apps.len() {
            0 => "no guest was executing".to_owned(),
            _ => format!("executing: {names}"),
        };
        let fields = [
            ("pid", host.pid.as_raw_nonzero().get().into()),
            ("signal", end.to_string().into()),
            ("apps", names.into()),
            ("restart_ms", wait.into()),
        ];
        self.report.line(Level::Error, format!("the host died of {end}; {executing}; {next}"), fields);
        self.tell_set_aside(&verdict.set_aside);
        if !verdict.set_aside.is_empty() && self.start_at.is_none() {
            // The successor has started without knowing.
            self.replace_at = Some(now);
        }
        Ok(())
    }

    /// A host has ended that others stand in for: whoever was executing is held to account all the same.
    fn blame(&mut self, host: &Child, end: End) {
        if matches!(end, End::Exit(_)) {
            return;
        }
        let apps = executing(host.turns.get());
        let set_aside = self.policy.blame(Instant::now(), &apps);
        if !apps.is_empty() {
            let names = self.names(&apps);
            let message = format!("when that host died of {end}, these guests were executing: {names}");
            self.report.line(Level::Error, message, [("apps", names.into())]);
        }
        self.tell_set_aside(&set_aside);
        if !set_aside.is_empty() {
            self.replace_at = Some(Instant::now());
        }
    }

    fn tell_set_aside(&mut self, apps: &[usize]) {
        for app in apps {
            let name = self.settings.apps[*app].clone();
            self.report.line(
                Level::Error,
                format!("the app is set aside: {SET_ASIDE}"),
                [("app", name.into())],
            );
        }
    }

    fn names(&self, apps: &[usize]) -> String {
        list(apps.iter().map(|app| self.settings.apps[*app].as_str()))
    }

    /// Ends the hosts that had to be done by now.
    fn end_late(&mut self) {
        let now = Instant::now();
        for host in &mut self.hosts {
            if host.deadline.is_some_and(|deadline| deadline <= now) {
                host.deadline = None;
                host.kill();
                let pid = ("pid", host.pid.as_raw_nonzero().get().into());
                self.report.line(Level::Error, "a host did not get done in time and was ended", [pid]);
            }
        }
    }
}
