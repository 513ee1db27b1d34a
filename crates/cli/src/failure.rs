//! How the program fails: a text for the person and a code for the script.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Why a subcommand failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// Empty where all has been said already.
    message: String,
}

impl Failure {
    /// A guest failed: 1.
    pub(crate) fn guest(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// Wrong usage or configuration: 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// The host failed: 3.
    pub(crate) fn host(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// Another process has said what there is to say, and this one ends with its code.
    pub(crate) fn with_code(code: u8) -> Self {
        Self { code, message: String::new() }
    }

    /// Says it on standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            let mut out = std::io::stderr().lock();
            let (bold, plain) =
                if std::io::stderr().is_terminal() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
            // Standard error may be gone; the code still tells.
            let _ = writeln!(out, "{bold}error{plain}: {}", self.message.trim_end());
        }
        ExitCode::from(self.code)
    }
}

/// Prints to standard output. That it is closed (by `head`, say) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::host(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
