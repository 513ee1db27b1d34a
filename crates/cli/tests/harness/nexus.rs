//! A running `nexus serve`.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::Value;

use super::{Client, DEADLINE, Response, split_url, until};

/// Starts a process group of its own.
pub(crate) const OWN_GROUP: [&str; 3] =
    ["python3", "-c", "import os, sys; os.setpgid(0, 0); os.execv(sys.argv[1], sys.argv[1:])"];

/// A host's configuration.
const SPACIOUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/spacious.toml");

/// How `nexus serve` is to be started.
pub(crate) struct Start<'a> {
    folder: &'a Path,
    args: Vec<String>,
    env: Vec<(String, String)>,
    paths: Vec<String>,
    log: bool,
    admin: bool,
    spacious: bool,
}

impl<'a> Start<'a> {
    /// In this folder, serving it. A `nexus-host.toml` in it is the host's configuration; without one, apps may compute
    /// for long unless their manifest says otherwise, so that no test fails for a busy or slow machine.
    pub(crate) fn in_folder(folder: &'a Path) -> Self {
        Self {
            folder,
            args: Vec::new(),
            env: Vec::new(),
            paths: Vec::new(),
            log: true,
            admin: true,
            spacious: true,
        }
    }

    /// With more arguments.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// With another variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Serving this path, relative to the folder; once more for several.
    pub(crate) fn path(mut self, path: &str) -> Self {
        self.paths.push(path.to_owned());
        self
    }

    /// Without `--log-format json`.
    pub(crate) fn plain(mut self) -> Self {
        self.log = false;
        self
    }

    /// Without `--admin`.
    pub(crate) fn without_admin(mut self) -> Self {
        self.admin = false;
        self
    }

    /// With the limits that an app has by default.
    pub(crate) fn with_default_limits(mut self) -> Self {
        self.spacious = false;
        self
    }

    /// The command line, from the program on.
    pub(crate) fn command_line(&self) -> Vec<String> {
        let mut line = vec![env!("CARGO_BIN_EXE_nexus").to_owned(), "serve".to_owned()];
        if self.paths.is_empty() {
            line.push(".".into());
        }
        line.extend(self.paths.iter().cloned());
        if self.log {
            line.extend(["--log-format".into(), "json".into()]);
        }
        if self.admin {
            line.extend(["--admin".into(), "127.0.0.1:0".into()]);
        }
        if !self.args.iter().any(|arg| arg == "--port") {
            line.extend(["--port".into(), "0".into()]);
        }
        let is_configured =
            self.folder.join("nexus-host.toml").exists() || self.args.iter().any(|arg| arg == "--config");
        if self.spacious && !is_configured {
            line.extend(["--config".into(), SPACIOUS.into()]);
        }
        line.extend(self.args.iter().cloned());
        line
    }

    /// Starts it.
    #[track_caller]
    pub(crate) fn start(self) -> Nexus {
        let line = self.command_line();
        self.spawn(&line)
    }

    /// Starts it by another program, whose arguments come before nexus's own command line.
    #[track_caller]
    pub(crate) fn start_by(self, launcher: &[&str]) -> Nexus {
        let mut line: Vec<String> = launcher.iter().map(|arg| (*arg).to_owned()).collect();
        line.extend(self.command_line());
        self.spawn(&line)
    }

    #[track_caller]
    fn spawn(self, line: &[String]) -> Nexus {
        let mut child = Command::new(&line[0])
            .args(&line[1..])
            // Tests keep nothing for the next one, unless they say where.
            .env("NEXUS_CACHE", "")
            .envs(self.env)
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let written = Arc::new(Written::default());
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        let output = stdout.as_fd().try_clone_to_owned().unwrap();
        let (lines, errors) = (written.clone(), written.clone());
        // They end with the process, which closes its end.
        std::thread::spawn(move || lines.read_lines(stdout));
        std::thread::spawn(move || errors.read_errors(stderr));
        Nexus { child, written, output }
    }
}

/// What a process wrote so far.
#[derive(Default)]
struct Written {
    text: Mutex<Text>,
    changed: Condvar,
}

#[derive(Default)]
struct Text {
    lines: Vec<String>,
    errors: String,
    ended: bool,
    /// Whether standard output is not to be read for the time being.
    held: bool,
}

impl Written {
    fn read_lines(&self, from: ChildStdout) {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let mut text = self.text.lock().unwrap();
            text.lines.push(String::from_utf8_lossy(&line).into_owned());
            self.changed.notify_all();
            drop(self.changed.wait_while(text, |text| text.held).unwrap());
        }
        self.text.lock().unwrap().ended = true;
        self.changed.notify_all();
    }

    fn read_errors(&self, mut from: impl Read) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut text = self.text.lock().unwrap();
            text.errors.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }
}

/// A running `nexus serve`.
pub(crate) struct Nexus {
    child: Child,
    written: Arc<Written>,
    /// The reading end of its standard output.
    output: OwnedFd,
}

impl Nexus {
    /// Serves a folder with JSON logs, an admin address and free ports.
    #[track_caller]
    pub(crate) fn serve(folder: &Path) -> Self {
        Start::in_folder(folder).start()
    }

    /// The JSON log lines so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        let text = self.written.text.lock().unwrap();
        text.lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// All that was written to standard output so far, line by line.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.written.text.lock().unwrap().lines.clone()
    }

    /// What was written to standard error so far.
    pub(crate) fn errors(&self) -> String {
        self.written.text.lock().unwrap().errors.clone()
    }

    /// Waits for a line of text on standard output that fits, from the first line on.
    #[track_caller]
    pub(crate) fn text_line(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        self.find(what, |text| text.lines.iter().find(|line| fits(line)).cloned())
    }

    /// Waits for a log line that fits, from the first line on.
    #[track_caller]
    pub(crate) fn line(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut from = 0;
        self.find(what, |text| {
            let start = std::mem::replace(&mut from, text.lines.len());
            text.lines[start..].iter().filter_map(|line| serde_json::from_str(line).ok()).find(&fits)
        })
    }

    /// Waits for a log line whose message contains this.
    #[track_caller]
    pub(crate) fn message(&self, part: &str) -> Value {
        self.line(part, |line| line["message"].as_str().is_some_and(|message| message.contains(part)))
    }

    /// The log lines so far whose message contains this.
    pub(crate) fn messages(&self, part: &str) -> Vec<Value> {
        let mut lines = self.log();
        lines.retain(|line| line["message"].as_str().is_some_and(|message| message.contains(part)));
        lines
    }

    #[track_caller]
    fn find<T>(&self, what: &str, mut found: impl FnMut(&Text) -> Option<T>) -> T {
        let start = Instant::now();
        let mut text = self.written.text.lock().unwrap();
        loop {
            if let Some(found) = found(&text) {
                return found;
            }
            let left = DEADLINE.checked_sub(start.elapsed()).filter(|_| !text.ended);
            let Some(left) = left else {
                let (lines, errors) = (text.lines.join("\n"), text.errors.clone());
                drop(text);
                panic!("no such line: {what}\n{lines}\n{errors}");
            };
            text = self.written.changed.wait_timeout(text, left).unwrap().0;
        }
    }

    /// Reads no more of standard output, so that the pipe fills up; or reads on. Ask for addresses before:
    /// they are found in the output.
    pub(crate) fn hold_output(&self, held: bool) {
        self.written.text.lock().unwrap().held = held;
        self.written.changed.notify_all();
    }

    /// Waits until the pipe is full whose output is held: whoever writes next, or is writing, waits.
    #[track_caller]
    pub(crate) fn await_full_output(&self) {
        // 64 KiB, of which less than a page is left.
        const FULL: u64 = (64 - 4) << 10;
        until("a full pipe", || (rustix::io::ioctl_fionread(&self.output).unwrap() > FULL).then_some(()));
    }

    /// The address of an app: `127.0.0.1:8080` or `unix:…`.
    #[track_caller]
    pub(crate) fn address(&self, app: &str) -> String {
        let line = self.line(&format!("{app} is served"), |line| {
            line["message"] == "serving" && line["app"] == app && line["kind"] == "host"
        });
        split_url(line["url"].as_str().unwrap()).to_owned()
    }

    /// The admin address.
    #[track_caller]
    pub(crate) fn admin(&self) -> String {
        split_url(self.message("serving metrics and health")["url"].as_str().unwrap()).to_owned()
    }

    /// A connection to an app.
    #[track_caller]
    pub(crate) fn client(&self, app: &str) -> Client {
        Client::connect(&self.address(app))
    }

    /// A GET on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, app: &str, path: &str) -> Response {
        self.client(app).get(path)
    }

    /// A page of the admin address.
    #[track_caller]
    pub(crate) fn admin_get(&self, path: &str) -> Response {
        Client::connect(&self.admin()).get(path)
    }

    /// The value of a sample, written as in the page: `nexus_timers{app="app"}`.
    #[track_caller]
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let page = self.admin_get("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {sample} in\n{page}")).parse().unwrap()
    }

    /// Waits until a sample has this value.
    #[track_caller]
    pub(crate) fn await_metric(&self, sample: &str, value: f64) {
        let start = Instant::now();
        loop {
            let is = self.metric(sample);
            if is == value {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "{sample} is {is}, not {value}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits until nothing is left of an app's requests.
    #[track_caller]
    pub(crate) fn await_nothing_held(&self, app: &str) {
        for name in ["nexus_requests_in_flight", "nexus_request_scopes", "nexus_timers", "nexus_operations"] {
            self.await_metric(&format!("{name}{{app=\"{app}\"}}"), 0.0);
        }
    }

    /// The process that was started: the supervisor, unless there is none.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The supervisor's children that run, by their process ids: the host, or several while one replaces another.
    pub(crate) fn hosts(&self) -> Vec<u32> {
        let pid = self.pid();
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().map(|child| child.parse().unwrap()).collect()
    }

    /// The host, once there is one and no other.
    #[track_caller]
    pub(crate) fn host(&self) -> u32 {
        until("one host", || match self.hosts()[..] {
            [host] => Some(host),
            _ => None,
        })
    }

    /// The host's resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.host())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal: `TERM`, `INT`.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        send_signal(name, &self.pid().to_string());
    }

    /// Ends the host, not the supervisor, by a signal. Gives its process id.
    #[track_caller]
    pub(crate) fn kill_host(&self, signal: &str) -> u32 {
        let host = self.host();
        send_signal(signal, &host.to_string());
        host
    }

    /// Waits until the process has ended and all that it wrote was read.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = until("nexus to end", || self.child.try_wait().unwrap());
        until("its output to end", || self.written.text.lock().unwrap().ended.then_some(()));
        status
    }

    /// Whether it still runs, on the host that it started with.
    pub(crate) fn runs(&mut self) -> bool {
        let mut deaths = self.messages("the host died");
        deaths.retain(|line| line["kind"] == "host");
        !self.has_ended() && deaths.is_empty()
    }

    /// Whether the process that was started has ended, the supervisor, that is.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Has it stop and gives its exit code.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait().code()
    }
}

/// Sends a signal to a process, or to a group of them where a `-` comes before its number.
#[track_caller]
pub(crate) fn send_signal(name: &str, to: &str) {
    // The shell has it built in everywhere; the program is not everywhere.
    let status = Command::new("sh").args(["-c", &format!("kill -s {name} -- {to}")]).status();
    assert!(status.unwrap().success());
}

impl Drop for Nexus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.hold_output(false);
    }
}
