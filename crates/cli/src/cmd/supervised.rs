//! Where a host is at work: alone, or under a supervisor; and who tells it when to end.

use std::time::Duration;

use nexus_host::log::LogConfig;
use nexus_host::supervisor::{Order, Orders};
use nexus_host::{Found, Seat, Shares, Sockets};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

#[cfg(target_os = "linux")]
use nexus_host::supervisor::{HostLink, Role, Settings, Supervisor};

/// There is no supervisor, and so no connection to it.
#[cfg(not(target_os = "linux"))]
enum HostLink {}

/// A host's seat, and its connection to its supervisor, if it has one.
pub(crate) struct Place {
    seat: Seat,
    link: Option<HostLink>,
}

/// Makes this process a supervisor. Returns in the hosts that it makes, and, by a failure that may stand for success,
/// in the supervisor when all is over.
#[cfg(target_os = "linux")]
pub(crate) fn start(
    log: LogConfig,
    apps: &[Found],
    shares: Shares,
    grace: Duration,
    sockets: Sockets,
) -> Result<Place, Failure> {
    let names = apps.iter().map(|found| match &found.app {
        Ok(app) => app.name().to_string(),
        Err(_) => found.folder.display().to_string(),
    });
    let settings = Settings { log, apps: names.collect(), shares, grace };
    let role = Supervisor::new(settings, sockets).and_then(Supervisor::run);
    match role.map_err(|error| Failure::host(error.to_string()))? {
        Role::Host(seat, link) => Ok(Place { seat, link: Some(link) }),
        Role::Over(code) => Err(Failure::with_code(code)),
    }
}

/// This system has no supervisor.
#[cfg(not(target_os = "linux"))]
pub(crate) fn start(
    _: LogConfig,
    _: &[Found],
    _: Shares,
    _: Duration,
    sockets: Sockets,
) -> Result<Place, Failure> {
    Ok(Place::alone(sockets))
}

impl Place {
    /// Without a supervisor.
    pub(crate) fn alone(sockets: Sockets) -> Self {
        Self { seat: Seat::alone(sockets), link: None }
    }

    /// Where the host is to serve.
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Listens for whoever wants the host to end, within a tokio runtime.
    pub(crate) fn listen(self) -> Result<(Seat, Demands), Failure> {
        let failed = |error| Failure::host(format!("cannot listen for signals: {error}"));
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let (interrupt, orders) = match self.link {
            #[cfg(target_os = "linux")]
            Some(link) => (None, link.listen().map_err(failed)?),
            #[cfg(not(target_os = "linux"))]
            Some(link) => match link {},
            None => (Some(signal(SignalKind::interrupt()).map_err(failed)?), Orders::none()),
        };
        Ok((self.seat, Demands { terminate, interrupt, orders, is_interrupted: false }))
    }
}

/// Why a host ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// It is to stop.
    Stop,
    /// Another host has taken over.
    HandOver,
}

/// Signals and orders. Under a supervisor Ctrl-C is the supervisor's, which counts it.
pub(crate) struct Demands {
    terminate: Signal,
    interrupt: Option<Signal>,
    orders: Orders,
    /// An order to end at once came first.
    is_interrupted: bool,
}

impl Demands {
    /// Tells the supervisor that the apps are served.
    pub(crate) fn serving(&self) {
        self.orders.serving();
    }

    /// Tells the supervisor that this host, one of several, serves none of its apps.
    pub(crate) fn serving_nothing(&self, by_code: bool) {
        self.orders.serving_nothing(by_code);
    }

    /// Asks the supervisor for a fresh host in place of this one.
    pub(crate) fn spent(&self) {
        self.orders.spent();
    }

    /// Waits until the host is to end.
    pub(crate) async fn end(&mut self) -> End {
        tokio::select! {
            _ = self.terminate.recv() => End::Stop,
            () = received(&mut self.interrupt) => End::Stop,
            order = self.orders.next() => match order {
                Order::Stop => End::Stop,
                Order::HandOver => End::HandOver,
                Order::Interrupt => {
                    self.is_interrupted = true;
                    End::Stop
                }
            },
        }
    }

    /// Waits until the host is to end at once, after it was told to end.
    pub(crate) async fn interrupt(&mut self) {
        while !self.is_interrupted {
            tokio::select! {
                () = received(&mut self.interrupt) => self.is_interrupted = true,
                order = self.orders.next() => self.is_interrupted = order == Order::Interrupt,
            }
        }
    }
}

/// Waits for a signal; for ever for none.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
