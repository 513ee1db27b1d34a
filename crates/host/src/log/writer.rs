//! The far end of the log: the thread that formats and writes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nexus_guest::Level;

use super::budget::Budget;
use super::clock::{Clock, now_millis};
use super::companions::Companions;
use super::logger::{Format, LogConfig};
use super::output_lock::{Turn, WHOLE};
use super::recent::Recent;
#[cfg(target_os = "linux")]
use super::record::Value;
use super::record::{Kind, Record};
use super::{json, pretty};

pub(super) enum Message {
    Line(Box<Record>),
    /// Nothing more is kept of this app.
    Forget(Box<str>),
    /// Only wakes the writer, which then finds [`State::closing`] set.
    Close,
}

/// What both ends of the log know.
pub(super) struct State {
    pub(super) host: Budget,
    pub(super) apps: Budget,
    pub(super) dropped: AtomicU64,
    pub(super) closing: AtomicBool,
    /// The last lines of each app, if they are kept.
    pub(super) recent: OnceLock<Arc<Recent>>,
    done: Mutex<bool>,
    done_changed: Condvar,
}

impl State {
    pub(super) fn new(host: Budget, apps: Budget) -> Self {
        Self {
            host,
            apps,
            dropped: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            recent: OnceLock::new(),
            done: Mutex::new(false),
            done_changed: Condvar::new(),
        }
    }

    /// Takes the record's place in the queue, if there is one.
    pub(super) fn take(&self, record: &Record) -> bool {
        let cost = record.cost();
        match &record.kind {
            Kind::Host { .. } => self.host.take(cost),
            Kind::App { source, .. } | Kind::Access { source, .. } => {
                if !source.share.take(cost) {
                    return false;
                }
                let taken = self.apps.take(cost);
                if !taken {
                    source.share.give_back(cost);
                }
                taken
            }
        }
    }

    /// Gives the record's place in the queue back.
    pub(super) fn give_back(&self, record: &Record) {
        let cost = record.cost();
        match &record.kind {
            Kind::Host { .. } => self.host.give_back(cost),
            Kind::App { source, .. } | Kind::Access { source, .. } => {
                source.share.give_back(cost);
                self.apps.give_back(cost);
            }
        }
    }

    /// Whether the writer has ended within `wait`.
    pub(super) fn wait_until_done(&self, wait: Duration) -> bool {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.done_changed.wait_timeout_while(done, wait, |done| !*done);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Says that the writer has ended, also when it panicked.
struct Done(Arc<State>);

impl Drop for Done {
    fn drop(&mut self) {
        *self.0.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.done_changed.notify_all();
    }
}

/// A line of the host as the log's thread would write it, for a process that has no such thread.
#[cfg(target_os = "linux")]
pub(crate) fn host_line(
    config: LogConfig,
    level: Level,
    message: String,
    fields: Vec<(&'static str, Value)>,
) -> String {
    let (mut clock, mut line) = (Clock::new(), String::new());
    write_record(
        config,
        &Record { millis: now_millis(), kind: Kind::Host { level, message, fields } },
        &mut clock,
        &mut line,
    );
    line
}

fn write_record(config: LogConfig, record: &Record, clock: &mut Clock, out: &mut String) {
    match config.format {
        Format::Json => json::write_line(record, clock, out),
        Format::Pretty => pretty::write_line(record, clock, config.color, out),
    }
}

/// How often the log tells of dropped lines at most.
const TELL_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    config: LogConfig,
    companions: Option<Companions>,
    out: Box<dyn Write + Send>,
    receiver: Receiver<Message>,
    state: Arc<State>,
    clock: Clock,
    /// Formatted and not written.
    buffer: String,
    /// Lines in `buffer`.
    lines: u64,
    /// A write failed in the middle of a line.
    torn: bool,
    /// Dropped lines that the log has told of.
    told: u64,
    /// When it last did.
    told_at: Option<Instant>,
}

/// From this many bytes on, what is formatted is written before more is taken.
const BATCH: usize = 64 * 1024;
/// How long to wait before writing again to a pipe that is full and does not block.
const FULL_PIPE_WAIT: Duration = Duration::from_millis(5);

impl Writer {
    pub(super) fn new(
        config: LogConfig,
        companions: Option<Companions>,
        out: Box<dyn Write + Send>,
        receiver: Receiver<Message>,
        state: Arc<State>,
    ) -> Self {
        let (clock, buffer) = (Clock::new(), String::with_capacity(BATCH));
        Self {
            config,
            companions,
            out,
            receiver,
            state,
            clock,
            buffer,
            lines: 0,
            torn: false,
            told: 0,
            told_at: None,
        }
    }

    /// Writes until the log is closed or its last handle is gone.
    pub(super) fn run(mut self) {
        let _done = Done(self.state.clone());
        while let Some(message) = self.wait() {
            self.format(message);
            while self.buffer.len() < BATCH
                && let Ok(message) = self.receiver.try_recv()
            {
                self.format(message);
            }
            if self.write() {
                self.tell_dropped();
            }
        }
    }

    fn wait(&self) -> Option<Message> {
        // `close` sets the flag before it sends, so this either sees the flag or gets the message.
        if self.state.closing.load(Ordering::SeqCst) {
            self.receiver.try_recv().ok()
        } else {
            self.receiver.recv().ok()
        }
    }

    fn format(&mut self, message: Message) {
        let record = match message {
            Message::Line(record) => record,
            Message::Forget(app) => {
                if let Some(recent) = self.state.recent.get() {
                    recent.forget(&app);
                }
                return;
            }
            Message::Close => return,
        };
        self.format_record(&record);
        if let (Some(recent), Some(app)) = (self.state.recent.get(), record.app()) {
            let mut line = String::new();
            json::write_line(&record, &mut self.clock, &mut line);
            recent.keep(app, line.trim_end());
        }
        self.lines += 1;
        self.state.give_back(&record);
    }

    fn format_record(&mut self, record: &Record) {
        write_record(self.config, record, &mut self.clock, &mut self.buffer);
    }

    /// Says how many lines are missing, if any are that were not told of.
    fn tell_dropped(&mut self) {
        let dropped = self.state.dropped.load(Ordering::Relaxed);
        let new = dropped - self.told;
        let closing = self.state.closing.load(Ordering::Relaxed);
        // During a flood once a second is often enough.
        if new == 0 || (!closing && self.told_at.is_some_and(|at| at.elapsed() < TELL_EVERY)) {
            return;
        }
        self.told_at = Some(Instant::now());
        let message = match new {
            1 => "1 log line was dropped".to_owned(),
            new => format!("{new} log lines were dropped"),
        };
        let number = self.companions.as_ref().and_then(|companions| companions.host);
        let fields = number.iter().map(|number| ("host", (*number).into())).collect();
        let kind = Kind::Host { level: Level::Warn, message, fields };
        self.format_record(&Record { millis: now_millis(), kind });
        if self.write() {
            self.told = dropped;
        }
    }

    /// Writes the buffer; what cannot be written is dropped and counted.
    fn write(&mut self) -> bool {
        if self.buffer.is_empty() {
            return true;
        }
        let companions = self.companions.clone();
        let turn = companions.as_ref().map(|companions| companions.lock.take());
        let mut is_marked = turn.as_ref().is_some_and(Turn::is_torn);
        self.torn |= is_marked;
        if let Some(turn) = &turn
            && self.buffer.len() >= WHOLE
        {
            turn.mark(true);
            is_marked = true;
        }
        let written = self.write_all().and_then(|()| self.out.flush());
        if let Some(turn) = &turn
            && (is_marked || self.torn)
        {
            // Whoever writes next ends the line, be it this process or another one.
            turn.mark(std::mem::take(&mut self.torn));
        }
        drop(turn);
        if written.is_err() {
            self.state.dropped.fetch_add(self.lines, Ordering::Relaxed);
        }
        self.lines = 0;
        self.buffer.clear();
        // One huge line must not hold its memory for good.
        self.buffer.shrink_to(4 * BATCH);
        written.is_ok()
    }

    fn write_all(&mut self) -> io::Result<()> {
        if self.torn {
            self.buffer.insert(0, '\n');
        }
        let bytes = self.buffer.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let error = match self.out.write(&bytes[at..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    at += count;
                    self.torn = bytes.get(at - 1).is_some_and(|last| *last != b'\n');
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                // Standard output may be a pipe that somebody else set not to block.
                io::ErrorKind::WouldBlock => std::thread::sleep(FULL_PIPE_WAIT),
                _ => return Err(error),
            }
        }
        Ok(())
    }
}
