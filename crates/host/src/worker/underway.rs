//! The requests of a worker that have not ended, where they can be told of without its event loop.
//!
//! Each request that has ended is counted, and logged if requests are. Those of a lost worker end as well, but nothing of
//! its event loop may be touched then. So what is told of a request is noted here: a few stores when it comes and one
//! when it ends, and a lock that nobody else takes where requests are logged. A note is used again and again.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nexus_guest::{ClientAddress, Failure, Request, RequestId};

use crate::http::{Outcome, RequestLine, SharedId, path_of};
use crate::log::{AccessRecord, AppLog};
use crate::metrics::AppStats;

/// A worker's requests that have not ended. What is in it is written by the worker's thread, outside of turns; once its
/// turn was given up or it is lost, by who answers its clients.
pub(crate) struct Underway {
    log: AppLog,
    is_logged: bool,
    stats: Arc<AppStats>,
    base: Instant,
    notes: Mutex<Vec<Arc<Note>>>,
}

/// What is told of a request when it has ended.
pub(super) struct Note {
    /// When it came, in nanoseconds from the base on, and one more; 0 if there is no request. Relaxed, like the id: see
    /// [`SharedId`].
    since: AtomicU64,
    id: SharedId,
    /// Only where requests are logged.
    line: Mutex<Option<(ClientAddress, RequestLine)>>,
}

impl Note {
    fn line(&self) -> MutexGuard<'_, Option<(ClientAddress, RequestLine)>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Underway {
    /// No requests so far. They are counted there and, if `is_logged`, logged there.
    pub(crate) fn new(log: AppLog, is_logged: bool, stats: Arc<AppStats>) -> Self {
        Self { log, is_logged, stats, base: Instant::now(), notes: Mutex::default() }
    }

    /// The worker's log.
    pub(super) fn log(&self) -> &AppLog {
        &self.log
    }

    fn notes(&self) -> MutexGuard<'_, Vec<Arc<Note>>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that is over, and logs it if requests are logged.
    fn tell(&self, note: &Note, id: RequestId, duration: Duration, outcome: Outcome) {
        self.stats.ended(outcome.status, duration, outcome.bytes_sent, outcome.cpu, outcome.complete);
        if !self.is_logged {
            return;
        }
        if let Some((client, RequestLine { method, path })) = note.line().take() {
            self.log.access(AccessRecord {
                request: id,
                client,
                method,
                path,
                status: outcome.status,
                complete: outcome.complete,
                duration,
                cpu: outcome.cpu,
                bytes: outcome.bytes_sent,
            });
        }
    }

    /// The worker is lost, and the caller has it: those requests that `answered` names were answered with `failure`, the
    /// others are broken off.
    pub(super) fn abandon(&self, answered: &[RequestId], failure: &Failure) {
        let answered: HashSet<&[u8]> = answered.iter().map(RequestId::as_bytes).collect();
        let at = Instant::now();
        let now = nanoseconds(at.saturating_duration_since(self.base));
        for note in self.notes().drain(..) {
            let since = note.since.swap(0, Ordering::Relaxed);
            let Some(id) = note.id.get().filter(|_| since > 0) else { continue };
            let status = answered.contains(id.as_bytes()).then(|| failure.kind.status());
            let duration = Duration::from_nanos(now.saturating_sub(since - 1));
            // What the guest used for it is in its hands.
            let (complete, stalled, cpu) = (false, false, Duration::ZERO);
            self.tell(&note, id, duration, Outcome { status, bytes_sent: 0, complete, stalled, cpu, at });
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The worker's own side of [`Underway`].
pub(super) struct Notes {
    underway: Arc<Underway>,
    free: RefCell<Vec<Arc<Note>>>,
}

impl Notes {
    /// A worker that begins: it has no requests, whatever one before it on the same thread has left.
    pub(super) fn new(underway: Arc<Underway>) -> Self {
        underway.notes().clear();
        Self { underway, free: RefCell::default() }
    }

    /// A request has come.
    pub(super) fn begin(&self, start: Instant, request: &Request) -> Arc<Note> {
        let note = self.free.borrow_mut().pop().unwrap_or_else(|| self.fresh());
        note.id.set(&request.id);
        if self.underway.is_logged {
            let line = RequestLine { method: request.method.clone(), path: path_of(&request.url).to_owned() };
            *note.line() = Some((request.client, line));
        }
        let since = nanoseconds(start.saturating_duration_since(self.underway.base));
        note.since.store(since.saturating_add(1), Ordering::Relaxed);
        note
    }

    fn fresh(&self) -> Arc<Note> {
        let note = Note { since: AtomicU64::new(0), id: SharedId::default(), line: Mutex::default() };
        let note = Arc::new(note);
        self.underway.notes().push(note.clone());
        note
    }

    /// It is over: tells of it.
    pub(super) fn end(&self, note: Arc<Note>, start: Instant, id: RequestId, outcome: Outcome) {
        note.since.store(0, Ordering::Relaxed);
        self.underway.tell(&note, id, outcome.at.saturating_duration_since(start), outcome);
        self.free.borrow_mut().push(note);
    }
}

#[cfg(test)]
mod tests {
    use nexus_core::Limit;
    use nexus_guest::{Body, FailureKind, HeaderList};

    use super::*;
    use crate::log::{Format, LogConfig, Logger};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn request(id: &str) -> Request {
        Request {
            id: RequestId::parse(id.as_bytes()).unwrap(),
            method: "GET".into(),
            url: format!("http://a/{id}"),
            headers: HeaderList::new(),
            body: Body::Empty,
            client: ClientAddress::Unix,
            event: Default::default(),
        }
    }

    #[test]
    fn those_that_have_not_ended_are_told_of_once_when_the_worker_is_lost() {
        let format = LogConfig { format: Format::Json, level: nexus_guest::Level::Info, color: false };
        let written = Written::default();
        let logger = Logger::start(format, Box::new(written.clone())).unwrap();
        let underway = Arc::new(Underway::new(logger.app("a", Some(1)), true, Arc::default()));
        let notes = Notes::new(underway.clone());
        let start = Instant::now();
        let (cpu, at) = (Duration::ZERO, start + Duration::from_millis(1));
        let whole = Outcome { status: Some(200), bytes_sent: 5, complete: true, stalled: false, cpu, at };
        let over = notes.begin(start, &request("over"));
        let _held = notes.begin(start, &request("held"));
        notes.end(over, start, request("over").id, whole);
        let _again = notes.begin(start, &request("again"));
        assert_eq!(underway.notes().len(), 2, "the first one's note was used again");
        let failure = Failure::at_limit(FailureKind::Stopped, Limit::Cpu, 50);
        underway.abandon(&[request("again").id], &failure);
        underway.abandon(&[request("again").id], &failure);
        assert!(logger.close());
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let told: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .map(|line: serde_json::Value| format!("{} {}", line["path"], line["status"]))
            .collect();
        assert_eq!(told, [r#""/over" 200"#, r#""/again" 503"#, r#""/held" null"#]);
    }
}
