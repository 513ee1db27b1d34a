//! The near end of the log: takes records on any thread and never waits.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SendError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nexus_guest::{Level, LogRecord, LogSink, Secrets};

use super::budget::Budget;
use super::clock::now_millis;
use super::companions::Companions;
use super::mask::Mask;
use super::recent::Recent;
use super::record::{AccessRecord, Kind, Record, Source, Value, shorten};
use super::writer::{Message, State, Writer};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Pretty,
}

/// What the log is to write.
#[derive(Debug, Clone, Copy)]
pub struct LogConfig {
    /// How lines look.
    pub format: Format,
    /// The least grave level that is written. Access lines are written at any level.
    pub level: Level,
    /// Whether [`Format::Pretty`] uses colours.
    pub color: bool,
}

/// The most lines that wait to be written.
const MAX_LINES: usize = 8192;
/// The most bytes that wait to be written.
const MAX_BYTES: usize = 8 << 20;
/// How long [`Logger::close`] waits for the last lines.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The process's log. A clone is another handle to the same log.
///
/// Lines of apps and lines of the host have separate parts of the queue, and each app's worker may fill a
/// quarter of the apps' part at most: a guest that floods the log loses its own lines first.
///
/// ```
/// use nexus_guest::Level;
/// use nexus_host::log::{Format, LogConfig, Logger};
///
/// let config = LogConfig { format: Format::Json, level: Level::Info, color: false };
/// let logger = Logger::start(config, Box::new(std::io::stdout()))?;
/// logger.host(Level::Info, "listening", [("port", 8080u16.into())]);
/// assert!(logger.close());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Logger {
    shared: Arc<Shared>,
}

struct Shared {
    sender: Sender<Message>,
    state: Arc<State>,
    level: Level,
    /// The process's host, if it is one of several.
    host: Option<usize>,
}

impl Logger {
    /// Starts the log's thread, which writes to `out`. It ends after [`Logger::close`], or when the last
    /// handle is gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(config: LogConfig, out: Box<dyn Write + Send>) -> io::Result<Self> {
        Self::with_bounds(config, None, out, MAX_LINES, MAX_BYTES)
    }

    /// Like [`Logger::start`], for a host that is not the only process that writes to the output.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_among(
        companions: Companions,
        config: LogConfig,
        out: Box<dyn Write + Send>,
    ) -> io::Result<Self> {
        Self::with_bounds(config, Some(companions), out, MAX_LINES, MAX_BYTES)
    }

    /// Like [`Logger::start`]; an eighth of the queue is the host's, the rest the apps'.
    fn with_bounds(
        config: LogConfig,
        companions: Option<Companions>,
        out: Box<dyn Write + Send>,
        lines: usize,
        bytes: usize,
    ) -> io::Result<Self> {
        let own = Budget::new((lines / 8).max(1), (bytes / 8).max(1));
        let apps = Budget::new(lines - lines / 8, bytes - bytes / 8);
        let state = Arc::new(State::new(own, apps));
        // The budgets bound the queue; a bounded channel would touch all of its memory at the start.
        let (sender, receiver) = channel();
        let host = companions.as_ref().and_then(|companions| companions.host);
        let writer = Writer::new(config, companions, out, receiver, state.clone());
        std::thread::Builder::new().name("nexus-log".into()).spawn(move || writer.run())?;
        Ok(Self { shared: Arc::new(Shared { sender, state, level: config.level, host }) })
    }

    /// Logs a line of the host itself. Field names must differ from `time`, `level`, `kind`, `message` and
    /// `host`; `app`, `worker` and `request_id` are for what these are in other lines.
    pub fn host(
        &self,
        level: Level,
        message: impl Into<String>,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
    ) {
        if !self.wants(level) {
            return;
        }
        let mut message = message.into();
        shorten(&mut message);
        let number = self.shared.host.map(|host| ("host", host.into()));
        let mut fields: Vec<_> = fields.into_iter().chain(number).collect();
        for (_, value) in &mut fields {
            if let Value::Text(text) = value {
                shorten(text);
            }
        }
        self.push(Kind::Host { level, message, fields });
    }

    /// The log of one app, or of one of its workers.
    pub fn app(&self, name: &str, worker: Option<u32>) -> AppLog {
        let share = self.shared.state.apps.quarter();
        let source = Source { app: name.into(), worker, host: self.shared.host, share };
        AppLog { logger: self.clone(), source: Arc::new(source), mask: Arc::default() }
    }

    /// Whether lines of this level are written.
    pub fn wants(&self, level: Level) -> bool {
        level >= self.shared.level
    }

    /// The last lines of each app, which are kept from the first call on.
    pub(crate) fn recent(&self) -> Arc<Recent> {
        self.shared.state.recent.get_or_init(|| Arc::new(Recent::new())).clone()
    }

    /// Lets go of the last lines that are kept of an app, after all that was logged before this. Whoever removes an app
    /// calls it when the app's last worker has ended.
    pub fn forget(&self, app: &str) {
        // A log that has ended keeps nothing.
        let _ = self.shared.sender.send(Message::Forget(app.into()));
    }

    /// How many lines were dropped so far, because the queue was full or they could not be written.
    pub fn dropped(&self) -> u64 {
        self.shared.state.dropped.load(Ordering::Relaxed)
    }

    /// Writes what is in the queue and ends the log; what is logged from now on is dropped. Waits two seconds at
    /// most and says whether everything was written by then.
    pub fn close(&self) -> bool {
        let state = &self.shared.state;
        state.closing.store(true, Ordering::SeqCst);
        // Wakes a writer that sleeps.
        let _ = self.shared.sender.send(Message::Close);
        state.wait_until_done(CLOSE_WAIT)
    }

    fn push(&self, kind: Kind) {
        let state = &self.shared.state;
        let record = Box::new(Record { millis: now_millis(), kind });
        let accepted = !state.closing.load(Ordering::Relaxed)
            && state.take(&record)
            && match self.shared.sender.send(Message::Line(record)) {
                Ok(()) => true,
                Err(SendError(message)) => {
                    if let Message::Line(record) = message {
                        state.give_back(&record);
                    }
                    false
                }
            };
        if !accepted {
            state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The log of one app's worker. A clone shares the worker's part of the queue.
#[derive(Clone)]
pub struct AppLog {
    logger: Logger,
    source: Arc<Source>,
    /// What its lines must not hold, if there is anything; shared by all clones.
    mask: Arc<OnceLock<Mask>>,
}

impl AppLog {
    /// The app's name.
    pub fn name(&self) -> &str {
        &self.source.app
    }

    /// From now on lines of this log and its clones have `***` in the place of these values. For one call.
    pub(crate) fn keeps(&self, secrets: &Arc<Secrets>) {
        if let Some(mask) = Mask::new(secrets) {
            // Set before it stays: they are a worker's, which reads them once.
            let _ = self.mask.set(mask);
        }
    }

    /// What takes secrets out of its lines, if there are any.
    pub(crate) fn mask(&self) -> Option<&Mask> {
        self.mask.get()
    }

    /// Logs a request to this app. Not subject to the level: whoever logs requests wants them.
    pub fn access(&self, mut record: AccessRecord) {
        shorten(&mut record.path);
        self.logger.push(Kind::Access { source: self.source.clone(), record });
    }
}

impl LogSink for AppLog {
    fn wants(&self, level: Level) -> bool {
        self.logger.wants(level)
    }

    fn log(&self, mut record: LogRecord) {
        if !self.wants(record.level) {
            return;
        }
        // Before anything is cut off: a part of a secret would stay.
        if let Some(mask) = self.mask.get() {
            mask.apply_to(&mut record);
        }
        shorten(&mut record.message);
        if let Some(stack) = &mut record.stack {
            shorten(stack);
        }
        self.logger.push(Kind::App { source: self.source.clone(), record });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    const CONFIG: LogConfig = LogConfig { format: Format::Json, level: Level::Info, color: false };

    /// What was written, and whether writing is to wait.
    #[derive(Clone, Default)]
    struct Out(Arc<(Mutex<OutState>, Condvar)>);

    #[derive(Default)]
    struct OutState {
        bytes: Vec<u8>,
        blocked: bool,
        waiting: bool,
        failures: usize,
    }

    impl Out {
        fn set_blocked(&self, blocked: bool) {
            self.0.0.lock().unwrap().blocked = blocked;
            self.0.1.notify_all();
        }

        fn wait_for_writer(&self) {
            let guard = self.0.0.lock().unwrap();
            drop(self.0.1.wait_while(guard, |state| !state.waiting).unwrap());
        }

        fn lines(&self) -> Vec<serde_json::Value> {
            let bytes = self.0.0.lock().unwrap().bytes.clone();
            let text = String::from_utf8(bytes).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }

        fn messages(&self) -> Vec<String> {
            self.lines().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
        }
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.0.lock().unwrap();
            if state.failures > 0 {
                state.failures -= 1;
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            while state.blocked {
                state.waiting = true;
                self.0.1.notify_all();
                state = self.0.1.wait(state).unwrap();
            }
            state.bytes.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn guest_line(message: &str) -> LogRecord {
        LogRecord { level: Level::Info, request: None, message: message.into(), stack: None }
    }

    #[test]
    fn lines_are_written_in_order_and_all_of_them_by_the_end_of_close() {
        let out = Out::default();
        let logger = Logger::start(CONFIG, Box::new(out.clone())).unwrap();
        let app = logger.app("hello", Some(1));
        for number in 0..500 {
            app.log(guest_line(&format!("line {number}")));
        }
        logger.host(Level::Info, "over", []);
        assert!(logger.close());
        let messages = out.messages();
        assert_eq!(messages.len(), 501);
        assert!(messages[..500].iter().enumerate().all(|(n, message)| *message == format!("line {n}")));
        assert_eq!(logger.dropped(), 0);
        logger.host(Level::Error, "too late", []);
        assert_eq!(logger.dropped(), 1);
    }

    #[test]
    fn what_a_guest_prints_of_its_secrets_is_masked_before_it_is_cut() {
        let out = Out::default();
        let logger = Logger::start(CONFIG, Box::new(out.clone())).unwrap();
        let (app, other) = (logger.app("hello", Some(1)), logger.app("other", Some(2)));
        let clone = app.clone();
        let secret = nexus_guest::Secret::new("hunter2".into());
        app.keeps(&Arc::new(Secrets::new(vec![("TOKEN".into(), secret)])));
        clone.log(guest_line("it is hunter2"));
        app.log(LogRecord { stack: Some("at hunter2".into()), ..guest_line("x") });
        other.log(guest_line("hunter2"));
        // The cut would go through a value.
        for length in 0..40 {
            app.log(guest_line(&("é".repeat(8 * 1024 - 20) + &"a".repeat(length) + &"hunter2".repeat(9))));
        }
        assert!(logger.close());
        let messages = out.messages();
        assert_eq!(messages[..3], ["it is ***", "x", "hunter2"]);
        assert!(messages[3..].iter().all(|message| !message.contains("hunt")));
        assert_eq!(out.lines()[1]["stack"], "at ***");
    }

    #[test]
    fn an_app_is_forgotten_after_its_last_line() {
        let logger = Logger::start(CONFIG, Box::new(Out::default())).unwrap();
        let recent = logger.recent();
        for app in ["hello", "other"] {
            logger.app(app, None).log(guest_line("its last words"));
        }
        logger.forget("hello");
        assert!(logger.close());
        assert!(recent.last("hello", 9).lines.is_empty());
        assert_eq!(recent.last("other", 9).lines.len(), 1);
    }

    #[test]
    fn levels_below_the_wanted_one_are_not_written_but_access_lines_are() {
        let out = Out::default();
        let config = LogConfig { level: Level::Error, ..CONFIG };
        let logger = Logger::start(config, Box::new(out.clone())).unwrap();
        let app = logger.app("hello", None);
        app.log(guest_line("no"));
        logger.host(Level::Warn, "no", []);
        logger.host(Level::Error, "yes", []);
        app.access(AccessRecord {
            request: nexus_guest::RequestId::from_u128(1),
            client: Default::default(),
            method: "GET".into(),
            path: "/".into(),
            status: Some(200),
            complete: true,
            duration: Duration::ZERO,
            cpu: Duration::ZERO,
            bytes: 0,
        });
        assert!(logger.close());
        assert_eq!(out.messages(), ["yes", "request"]);
        assert_eq!(logger.dropped(), 0);
    }

    #[test]
    fn a_blocked_writer_makes_lines_drop_and_never_blocks_and_says_so_when_it_goes_on() {
        let out = Out::default();
        out.set_blocked(true);
        let logger = Logger::with_bounds(CONFIG, None, Box::new(out.clone()), 64, 1 << 20).unwrap();
        logger.host(Level::Info, "first", []);
        out.wait_for_writer();
        let noisy = logger.app("noisy", Some(1));
        for _ in 0..1000 {
            noisy.log(guest_line("noise"));
        }
        // Apart from the host's eighth (8 lines) 56 lines are the apps', a quarter of them one worker's.
        assert_eq!(logger.dropped(), 1000 - 14);
        let quiet = logger.app("quiet", Some(2));
        quiet.log(guest_line("heard"));
        logger.host(Level::Info, "second", []);
        assert_eq!(logger.dropped(), 1000 - 14, "others still have their part of the queue");
        out.set_blocked(false);
        assert!(logger.close());
        let messages = out.messages();
        assert_eq!(messages.iter().filter(|message| *message == "noise").count(), 14);
        assert!(messages.contains(&"heard".to_owned()) && messages.contains(&"second".to_owned()));
        assert!(messages.contains(&"986 log lines were dropped".to_owned()), "{messages:?}");
    }

    #[test]
    fn the_queue_is_bounded_by_bytes_too() {
        let out = Out::default();
        out.set_blocked(true);
        let logger = Logger::with_bounds(CONFIG, None, Box::new(out.clone()), 1000, 80_000).unwrap();
        logger.host(Level::Info, "first", []);
        out.wait_for_writer();
        for _ in 0..10 {
            logger.host(Level::Info, "x".repeat(3000), []);
        }
        assert_eq!(logger.dropped(), 7, "the host's eighth is 10,000 bytes");
        out.set_blocked(false);
        assert!(logger.close());
    }

    #[test]
    fn a_close_that_cannot_write_gives_up() {
        let out = Out::default();
        out.set_blocked(true);
        let logger = Logger::start(CONFIG, Box::new(out.clone())).unwrap();
        logger.host(Level::Info, "never", []);
        out.wait_for_writer();
        assert!(!logger.close());
        out.set_blocked(false);
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted_and_told() {
        let out = Out::default();
        out.0.0.lock().unwrap().failures = 1;
        let logger = Logger::start(CONFIG, Box::new(out.clone())).unwrap();
        logger.host(Level::Info, "lost", []);
        while logger.dropped() == 0 {
            std::thread::yield_now();
        }
        logger.host(Level::Info, "written", []);
        assert!(logger.close());
        let messages = out.messages();
        assert!(
            messages.contains(&"written".to_owned())
                && messages.contains(&"1 log line was dropped".to_owned())
        );
    }

    #[test]
    fn a_logger_is_shared_between_threads() {
        fn shared<T: Send + Sync + Clone>() {}
        shared::<Logger>();
        shared::<AppLog>();
    }
}
