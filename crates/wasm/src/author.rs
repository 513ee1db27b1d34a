//! Who is told of what a guest is denied, and in which words: an app's author in its log, who runs a program on standard
//! error.

use std::fmt::Display;
use std::io::Write;

use nexus_core::NetDenied;

use crate::output::Console;

/// Who is told.
#[derive(Clone)]
pub(crate) enum Author {
    /// Of an app: by a line of the request that is served.
    App(Console),
    /// Of a program that has the process's standard streams.
    Program,
    /// Of a program that does not.
    Nobody,
}

impl Author {
    /// Tells a line of the host's own.
    pub(crate) fn tell(&self, line: &str) {
        match self {
            Author::App(console) => console.output().note(line.to_owned()),
            // Standard error may be gone.
            Author::Program => drop(writeln!(std::io::stderr(), "nexus: {line}")),
            Author::Nobody => {}
        }
    }

    /// What the guest is.
    pub(crate) fn guest(&self) -> &'static str {
        match self {
            Author::App(_) => "app",
            Author::Program | Author::Nobody => "program",
        }
    }

    /// How to ask for a grant.
    pub(crate) fn hint(&self, grant: impl Display) -> String {
        match self {
            Author::App(_) => {
                format!("to ask for it, add `net = [\"{grant}\"]` under [permissions] in nexus.toml")
            }
            Author::Program | Author::Nobody => format!("to grant it, add `--allow-net {grant}`"),
        }
    }

    /// The line for a connection that is not granted.
    pub(crate) fn denial(&self, denied: &NetDenied) -> String {
        match self {
            Author::App(_) => format!("denied: {denied}"),
            Author::Program | Author::Nobody => {
                format!("denied: {}; {}", denied.reason(), self.hint(denied.grant()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nexus_core::NetPolicy;

    use super::*;

    #[test]
    fn each_author_learns_what_to_add_where() {
        let denied = NetPolicy::default().decide(&"[::1]".parse().unwrap(), 80, None).unwrap_err();
        let what = "denied: a connection to [::1]:80 is not granted; to";
        assert_eq!(Author::Program.denial(&denied), format!("{what} grant it, add `--allow-net [::1]:80`"));
        let app = Author::App(Console::new(std::sync::Arc::default()));
        let add = "add `net = [\"[::1]:80\"]` under [permissions] in nexus.toml";
        assert_eq!(app.denial(&denied), format!("{what} ask for it, {add}"));
    }
}
