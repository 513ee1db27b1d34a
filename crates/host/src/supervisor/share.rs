//! A share of the apps: the host that serves it, the one that is to take over, those that finish.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexus_guest::Level;

use super::child::{Child, Duty, End, State};
use super::link::{HostLink, Reins, Word};
use super::orders::Order;
use super::policy::{LONGEST_WAIT, Policy};
use super::report::{Report, list};
use super::sys::{self, SharedCounters};
use super::{Settings, SupervisorError};
use crate::Sockets;
use crate::log::Value;
use crate::seat::{Portion, SET_ASIDE, SLOTS, Seat, Turns, executing};
use crate::triggers::Right;

/// How long a host may take beyond the grace period before it is ended.
const SLACK: Duration = Duration::from_secs(5);
/// How long a host that is to take over may take to serve.
const START_TIME: Duration = Duration::from_secs(60);
/// How long a host may take to end at once.
const INTERRUPT_TIME: Duration = Duration::from_secs(1);
/// After a failure to start a host, the next attempt waits this long.
const RETRY: Duration = Duration::from_secs(1);
/// The exit code where the host failed.
const HOST_FAILED: u8 = 3;

/// What all shares have in common.
pub(super) struct Common {
    pub(super) settings: Settings,
    pub(super) report: Report,
    /// Who fires the triggers of each share, by its number.
    pub(super) firing: Vec<Right>,
    /// The code to end with, once the end has been ordered.
    pub(super) ending: Option<u8>,
}

impl Common {
    fn grace_is_over_at(&self) -> Option<Instant> {
        Instant::now().checked_add(self.settings.grace.checked_add(SLACK)?)
    }

    fn names(&self, apps: &[usize]) -> String {
        list(apps.iter().map(|app| self.settings.apps[*app].as_str()))
    }
}

/// A share of the apps, and its hosts.
pub(super) struct Share {
    /// Its apps, by their places.
    places: Arc<[usize]>,
    /// What its hosts are told of the others; `None` if there are none.
    portion: Option<Portion>,
    policy: Policy,
    pub(super) hosts: Vec<Child>,
    /// Whether a host was started at all.
    has_begun: bool,
    /// When the next host is to start that serves at once.
    start_at: Option<Instant>,
    /// When the next host is to start that takes over from the one that serves.
    replace_at: Option<Instant>,
    /// Whether the host that serves asked to be replaced: it is tried again if it fails.
    is_spent: bool,
}

impl Share {
    /// All of so many apps.
    pub(super) fn of_all(apps: usize) -> Self {
        Self::new((0..apps).collect(), None)
    }

    /// One of several shares.
    pub(super) fn of(portion: Portion) -> Self {
        Self::new(portion.places.clone(), Some(portion))
    }

    fn new(places: Arc<[usize]>, portion: Option<Portion>) -> Self {
        Self {
            places,
            portion,
            policy: Policy::default(),
            hosts: Vec::new(),
            has_begun: false,
            start_at: Some(Instant::now()),
            replace_at: None,
            is_spent: false,
        }
    }

    /// The host that serves, if it has started as far as it can.
    fn settled(&self) -> Option<&Child> {
        self.hosts.iter().find(|host| host.duty == Duty::Serve && host.state != State::Starts)
    }

    /// Whether its apps are served, as far as they can be.
    pub(super) fn is_settled(&self) -> bool {
        self.settled().is_some()
    }

    /// With which code a host would end that had this share only, if none of its apps can be served.
    pub(super) fn serves_nothing(&self) -> Option<u8> {
        match self.settled()?.state {
            State::ServesNothing(code) => Some(code),
            State::Starts | State::Serves => None,
        }
    }

    /// A line of the log, which says whose it is.
    fn tell(
        &self,
        common: &mut Common,
        level: Level,
        message: impl Into<String>,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
    ) {
        let number = self.portion.iter().map(|portion| ("host", portion.number.into()));
        common.report.line(level, message, fields.into_iter().chain(number));
    }

    fn tell_set_aside(&self, common: &mut Common, apps: &[usize]) {
        for app in apps {
            let name = common.settings.apps[*app].clone();
            let message = format!("the app is set aside: {SET_ASIDE}");
            self.tell(common, Level::Error, message, [("app", name.into())]);
        }
    }

    /// How many of its hosts have this duty.
    pub(super) fn count(&self, duty: Duty) -> usize {
        self.hosts.iter().filter(|host| host.duty == duty).count()
    }

    /// The next host that is to be started, and when; one that takes over only if there is room for one.
    pub(super) fn due(&self, has_room: bool) -> Option<(Duty, Instant)> {
        if let Some(at) = self.start_at {
            return Some((Duty::Serve, at));
        }
        self.replace_at.filter(|_| self.is_settled() && has_room).map(|at| (Duty::TakeOver, at))
    }

    /// Starts a host that is due; the new process gets what it needs.
    pub(super) fn start_due(
        &mut self,
        duty: Duty,
        sockets: &mut Sockets,
        common: &mut Common,
    ) -> Result<Option<(Seat, HostLink)>, SupervisorError> {
        match duty {
            Duty::Serve => self.start_at = None,
            Duty::TakeOver | Duty::Leave => self.replace_at = None,
        }
        match self.start(duty, sockets, common) {
            Err(error) if self.has_begun => {
                self.tell(common, Level::Error, format!("cannot start a host: {error}"), []);
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

    fn start(
        &mut self,
        duty: Duty,
        sockets: &mut Sockets,
        common: &Common,
    ) -> io::Result<Option<(Seat, HostLink)>> {
        let reopened = sockets.reopen(&self.places);
        let turns = SharedCounters::new(common.settings.apps.len() * SLOTS)?;
        let (reins, link) = Reins::pair()?;
        let supervisor = sys::this();
        let Some(pid) = sys::fork()? else {
            // This is the host by now. Returning drops its copies of what is the supervisor's.
            if let Err(error) = sys::become_host(supervisor) {
                self.has_begun = false;
                return Err(error);
            }
            let sockets = match &self.portion {
                Some(portion) => sockets.part(&self.places, portion.number == 1),
                None => sockets.clone(),
            };
            let number = self.portion.as_ref().map_or(0, |portion| portion.number.saturating_sub(1));
            let seat = Seat {
                sockets,
                turns: Some(Turns::new(turns.keep())),
                aside: self.policy.aside(),
                takes_over: duty == Duty::TakeOver,
                portion: self.portion.clone(),
                output: Some(common.report.output_lock()),
                firing: common.firing.get(number).cloned().unwrap_or_else(Right::alone),
            };
            return Ok(Some((seat, link)));
        };
        let born = Instant::now();
        let deadline = (duty == Duty::TakeOver).then(|| born + START_TIME);
        self.hosts.push(Child { pid, reins, turns, born, duty, reopened, state: State::Starts, deadline });
        Ok(None)
    }

    /// Has a fresh host take over, and gives every app another chance.
    pub(super) fn renew(&mut self) {
        self.policy.forgive();
        self.replace_at = Some(Instant::now());
    }

    /// Has all hosts stop.
    pub(super) fn end(&mut self, common: &Common) {
        (self.start_at, self.replace_at) = (None, None);
        let deadline = common.grace_is_over_at();
        for host in &mut self.hosts {
            host.reins.order(Order::Stop);
            host.deadline = deadline;
        }
    }

    /// Has all hosts end at once.
    pub(super) fn interrupt(&mut self) {
        let deadline = Some(Instant::now() + INTERRUPT_TIME);
        for host in &mut self.hosts {
            host.reins.order(Order::Interrupt);
            host.deadline = deadline;
        }
    }

    /// Takes in what the hosts said.
    pub(super) fn hear(&mut self, common: &mut Common) {
        for index in 0..self.hosts.len() {
            for word in self.hosts[index].reins.words() {
                let host = &mut self.hosts[index];
                match (word, host.duty) {
                    (Word::Nothing(code), _) => host.state = State::ServesNothing(code),
                    (Word::Serving, duty) => {
                        host.state = State::Serves;
                        if duty == Duty::TakeOver && common.ending.is_none() {
                            self.take_over(index, common);
                        }
                    }
                    (Word::Spent, Duty::Serve) if common.ending.is_none() => {
                        self.is_spent = true;
                        self.replace_at.get_or_insert_with(Instant::now);
                    }
                    (Word::Spent, _) => {}
                }
            }
        }
    }

    /// The host at `index` serves by now; the one that did is to finish.
    fn take_over(&mut self, index: usize, common: &mut Common) {
        let until = common.grace_is_over_at();
        for old in self.hosts.iter_mut().filter(|host| host.duty == Duty::Serve) {
            old.duty = Duty::Leave;
            old.deadline = until;
            old.reins.order(Order::HandOver);
        }
        self.hosts[index].duty = Duty::Serve;
        self.hosts[index].deadline = None;
        self.is_spent = false;
        let message = "a fresh host has taken over; the old one finishes its requests";
        self.tell(common, Level::Info, message, [self.hosts[index].field()]);
    }

    /// The host at `index` has ended. Where hosts of other shares serve, none is given up: it must not take them along.
    ///
    /// # Errors
    /// When hosts die again and again before they serve.
    pub(super) fn ended(
        &mut self,
        index: usize,
        end: End,
        others_serve: bool,
        sockets: &Sockets,
        common: &mut Common,
    ) -> Result<(), SupervisorError> {
        let mut host = self.hosts.remove(index);
        // It may have said so just before.
        if host.reins.words().contains(&Word::Serving) {
            host.state = State::Serves;
        }
        let is_alone = self.portion.is_none();
        match (common.ending, host.duty, end) {
            (Some(0), Duty::Serve, End::Exit(code)) => common.ending = Some(code),
            (Some(0), Duty::Serve, End::Signal(_) | End::Panic) => {
                let message = format!("the host died of {end} while it stopped");
                self.tell(common, Level::Error, message, []);
                common.ending = Some(HOST_FAILED);
            }
            (Some(_), _, _) => {}
            // Somebody has told it to stop, or there is nobody else.
            (None, Duty::Serve, End::Exit(code)) if is_alone || code == 0 => common.ending = Some(code),
            (None, Duty::Serve, _) => self.died(&host, end, others_serve, common)?,
            (None, Duty::TakeOver, _) => {
                let message =
                    format!("the host that was to take over ended by {end}; the old one goes on serving");
                self.tell(common, Level::Error, message, []);
                self.blame(&host, end, common);
                // The old one does not serve these.
                sockets.close_some(&host.reopened);
                self.replace_at = self.is_spent.then(|| Instant::now() + 10 * RETRY);
            }
            (None, Duty::Leave, End::Exit(_)) => {}
            (None, Duty::Leave, _) => {
                let message = format!("the host that was replaced died of {end} while it finished");
                self.tell(common, Level::Error, message, []);
                self.blame(&host, end, common);
            }
        }
        Ok(())
    }

    /// The host that serves has died: another one follows.
    fn died(
        &mut self,
        host: &Child,
        end: End,
        others_serve: bool,
        common: &mut Common,
    ) -> Result<(), SupervisorError> {
        let now = Instant::now();
        let apps = executing(host.turns.get());
        let verdict = self.policy.died(now, host.born, host.state == State::Serves, &apps);
        let patience = others_serve.then_some(LONGEST_WAIT);
        let successor = self.hosts.iter_mut().find(|host| host.duty == Duty::TakeOver);
        let (wait, next) = match (successor, verdict.wait.or(patience)) {
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
            (None, None) => return Err(SupervisorError::gives_up(end)),
        };
        let names = common.names(&apps);
        let executing = match apps.len() {
            0 => "no guest was executing".to_owned(),
            _ => format!("executing: {names}"),
        };
        let fields = [
            host.field(),
            ("signal", end.to_string().into()),
            ("apps", names.into()),
            ("restart_ms", wait.into()),
        ];
        self.tell(common, Level::Error, format!("the host died of {end}; {executing}; {next}"), fields);
        self.tell_set_aside(common, &verdict.set_aside);
        if !verdict.set_aside.is_empty() && self.start_at.is_none() {
            // The successor has started without knowing.
            self.replace_at = Some(now);
        }
        Ok(())
    }

    /// A host has ended that others stand in for: whoever was executing is held to account all the same.
    fn blame(&mut self, host: &Child, end: End, common: &mut Common) {
        if matches!(end, End::Exit(_)) {
            return;
        }
        let apps = executing(host.turns.get());
        let set_aside = self.policy.blame(Instant::now(), &apps);
        if !apps.is_empty() {
            let names = common.names(&apps);
            let message = format!("when that host died of {end}, these guests were executing: {names}");
            self.tell(common, Level::Error, message, [("apps", names.into())]);
        }
        self.tell_set_aside(common, &set_aside);
        if !set_aside.is_empty() {
            self.replace_at = Some(Instant::now());
        }
    }

    /// Ends the hosts that had to be done by now.
    pub(super) fn end_late(&mut self, common: &mut Common) {
        let now = Instant::now();
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            if host.deadline.is_some_and(|deadline| deadline <= now) {
                host.deadline = None;
                host.kill();
                let field = host.field();
                self.tell(common, Level::Error, "a host did not get done in time and was ended", [field]);
            }
        }
    }
}
