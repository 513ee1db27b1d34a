//! Runs of `nexus` that end by themselves.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{DEADLINE, until};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `nexus` in a folder, to its end.
#[track_caller]
pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nexus"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = reader(child.stdout.take().unwrap());
    let stderr = reader(child.stderr.take().unwrap());
    let started = std::time::Instant::now();
    let status = until("the command to end", || {
        if started.elapsed() + std::time::Duration::from_secs(1) > DEADLINE {
            let _ = child.kill();
        }
        child.try_wait().unwrap()
    });
    Output { code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn reader(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = from.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}
