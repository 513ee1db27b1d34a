//! What a worker does while it serves: it drives its guest, and carries out the host's commands.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::future::{Either, select};
use nexus_guest::{Guest, Level, Stop, StopReason};
use tokio::sync::mpsc;

use super::run::Told;
use super::service::WorkerService;
use super::{Control, Event, Worker};
use crate::http::Shutdown;
use crate::ledger::FRESH;

/// Drives the guest until it has ended or must, unless the worker is told to end before.
pub(super) async fn until_stopped(
    service: &WorkerService,
    shutdown: &Shutdown,
    commands: &mut mpsc::UnboundedReceiver<Control>,
    guest: Option<Rc<dyn Guest>>,
    worker: &Worker,
) -> Result<Stop, Told> {
    let drive = pin!(drive(guest.clone(), service, worker));
    let commanded = pin!(commanded(service, shutdown, commands, guest.as_deref(), worker));
    // Commands first: what came while a long turn kept the thread counts before connections read their next request.
    match select(commanded, drive).await {
        Either::Right((stop, _)) => Ok(stop),
        Either::Left((Commanded::End(told), _)) => Err(told),
        Either::Left((Commanded::Yield, _)) => {
            let detail = "the process is short of memory".to_owned();
            Ok(Stop { reason: StopReason::Host, limit: None, detail })
        }
    }
}

/// Has the connections send what the guest's end has answered. Loading the next guest keeps the thread to itself, maybe
/// for long.
pub(super) async fn let_answers_out(worker: &Worker) {
    let_run(worker.in_flight.load(Ordering::Relaxed)).await;
}

/// Has the connections leave that are between two requests, and all requests come to the service that were taken before.
pub(super) async fn let_connections_move(service: &WorkerService, worker: &Worker) {
    /// So often it is looked at the most, for while another process takes over, clients may go on asking.
    const LOOKS: usize = 16;
    let_run(worker.connections.load(Ordering::Relaxed)).await;
    let mut so_far = service.count();
    for _ in 0..LOOKS {
        let_run(0).await;
        if service.count() == so_far {
            return;
        }
        so_far = service.count();
    }
}

/// Has so many tasks of the event loop have their turn.
async fn let_run(tasks: usize) {
    /// How many the event loop polls at the least before it comes back here.
    const AT_ONCE: usize = 32;
    for _ in 0..2 + tasks / AT_ONCE {
        tokio::task::yield_now().await;
    }
}

/// Tells the host whenever the worker has had no request for the app's `idle` time.
pub(super) async fn tell_when_idle(
    service: &WorkerService,
    guest: Option<Rc<dyn Guest>>,
    worker: &Worker,
) -> Infallible {
    let Some(time) = worker.app.manifest.scale.idle else { return std::future::pending().await };
    let mut since = Instant::now();
    loop {
        tokio::time::sleep_until((since + time).into()).await;
        let now = Instant::now();
        let is_busy = service.is_busy() || guest.as_ref().is_some_and(|guest| guest.in_flight() > 0);
        since = match service.last_end().map(|end| end.max(since)) {
            _ if is_busy => now,
            Some(end) if end + time > now => end,
            _ => {
                let (own, app, worker) = (worker, worker.index, worker.number);
                own.tell(Event::Idle { app, worker, pressed: false });
                now
            }
        };
    }
}

/// Counts and tells how the guest ended.
pub(super) fn ended(service: &WorkerService, worker: &Worker, stop: &Stop) {
    worker.stats.stopped(stop.reason);
    // What the host did it has told as such.
    let level = if stop.reason == StopReason::Host { Level::Info } else { Level::Error };
    service.log(None, level, format!("the guest was stopped: {}", stop.detail));
}

/// Drives the guest until it ends; for ever where there is none.
async fn drive(guest: Option<Rc<dyn Guest>>, service: &WorkerService, worker: &Worker) -> Stop {
    match guest {
        Some(guest) => {
            poll_fn(|cx| {
                service.wakes.begin();
                let begun = worker.inside.is_used().then(Instant::now);
                let polled = guest.poll(cx);
                if let Some(begun) = begun {
                    service.polled(begun.elapsed());
                }
                let in_flight = guest.in_flight();
                worker.in_flight.store(in_flight, Ordering::Relaxed);
                if in_flight == 0 {
                    service.look_whether_served();
                }
                polled
            })
            .await
        }
        None => std::future::pending().await,
    }
}

/// What a command has a worker do.
pub(super) enum Commanded {
    /// End, in this way.
    End(Told),
    /// Replace the guest.
    Yield,
}

/// Carries out the host's commands until one needs more than that.
pub(super) async fn commanded(
    service: &WorkerService,
    shutdown: &Shutdown,
    commands: &mut mpsc::UnboundedReceiver<Control>,
    guest: Option<&dyn Guest>,
    worker: &Worker,
) -> Commanded {
    loop {
        match commands.recv().await {
            Some(Control::Report(done)) => {
                report(guest, worker, service.waiting());
                let _ = done.send(());
            }
            // The command may come late: for a fresh guest, or one that has a request by now.
            Some(Control::Yield { even_if_busy }) => {
                let may = guest.is_some_and(|guest| even_if_busy || guest.in_flight() == 0);
                if may && worker.watch.memory() > FRESH {
                    return Commanded::Yield;
                }
            }
            Some(Control::Retire(inbox, told)) => {
                shutdown.move_to(inbox.clone());
                drop(told);
                return Commanded::End(Told::Retire(inbox));
            }
            Some(Control::Share(inbox, count)) => shutdown.share(inbox, count),
            Some(Control::HandOver) => return Commanded::End(Told::HandOver),
            Some(Control::Panicked(panic)) => resume_unwind(panic.0),
            Some(Control::Stop(told)) => {
                shutdown.begin();
                drop(told);
                return Commanded::End(Told::Stop);
            }
            // A host that is gone wants nothing any more.
            None => return Commanded::End(Told::Stop),
        }
    }
}

fn report(guest: Option<&dyn Guest>, worker: &Worker, waiting: usize) {
    let usage = guest.map(|guest| (guest.usage(), guest.in_flight())).unwrap_or_default();
    worker.figures.report(usage.0, usage.1 as u64, guest.is_some());
    worker.figures.waiting(waiting as u64);
}
