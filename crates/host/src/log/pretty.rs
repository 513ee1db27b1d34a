//! Lines for a person at a terminal.
//!
//! What a guest or a client wrote is shown, never obeyed: characters that a terminal acts upon are escaped, and
//! a message's further lines are indented, so that nobody can forge a line of somebody else.

use std::fmt::Write;

use nexus_guest::{Level, RequestId};

use super::clock::Clock;
use super::json::Millis;
use super::record::{AccessRecord, Kind, Record, Value};

/// Stands where an app's name would; no app can have this name.
const HOST: &str = "[nexus]";

const INDENT: &str = "    ";

/// Appends the record as one line, or as more where its text has more; the last line feed included.
pub(super) fn write_line(record: &Record, clock: &mut Clock, color: bool, out: &mut String) {
    let paint = Paint { color };
    match &record.kind {
        Kind::Host { level, message, fields } => {
            start(record.millis, clock, &paint, *level, HOST, out);
            text(message, out);
            for (key, value) in fields {
                out.push_str("  ");
                paint.with(out, Style::Dim, |out| {
                    let _ = write!(out, "{key}=");
                });
                value_text(value, out);
            }
        }
        Kind::App { source, record: line } => {
            start(record.millis, clock, &paint, line.level, &source.app, out);
            let (first, rest) = line.message.split_once('\n').unwrap_or((&line.message, ""));
            text(first.strip_suffix('\r').unwrap_or(first), out);
            if let Some(request) = &line.request {
                request_id(request, &paint, out);
            }
            further_lines(rest, out);
            if let Some(stack) = &line.stack {
                paint.with(out, Style::Dim, |out| further_lines(stack, out));
            }
        }
        Kind::Access { source, record: line } => {
            start(record.millis, clock, &paint, Level::Info, &source.app, out);
            access(line, out);
            request_id(&line.request, &paint, out);
        }
    }
    out.push('\n');
}

fn start(millis: u64, clock: &mut Clock, paint: &Paint, level: Level, app: &str, out: &mut String) {
    paint.with(out, Style::Dim, |out| clock.write_time(millis, out));
    out.push(' ');
    let (style, name) = match level {
        Level::Debug => (Style::Dim, "DEBUG"),
        Level::Info => (Style::Green, "INFO "),
        Level::Warn => (Style::Yellow, "WARN "),
        Level::Error => (Style::Red, "ERROR"),
    };
    paint.with(out, style, |out| out.push_str(name));
    out.push_str("  ");
    paint.with(out, Style::Cyan, |out| {
        let _ = write!(out, "{app:<10}");
    });
    out.push_str("  ");
}

fn request_id(request: &RequestId, paint: &Paint, out: &mut String) {
    out.push_str("  ");
    paint.with(out, Style::Dim, |out| {
        let _ = write!(out, "({request})");
    });
}

fn access(line: &AccessRecord, out: &mut String) {
    one_line(&line.method, out);
    out.push(' ');
    one_line(&line.path, out);
    match line.status {
        Some(status) => {
            let _ = write!(out, " {status}");
        }
        None => out.push_str(" -"),
    }
    if !line.complete {
        out.push_str(" (broken off)");
    }
    let (duration, cpu) = (Millis(line.duration), Millis(line.cpu));
    let _ = write!(out, "  {duration} ms  cpu {cpu} ms  {} B  {}", line.bytes, line.client);
}

fn value_text(value: &Value, out: &mut String) {
    let _ = match value {
        Value::Text(text) => {
            one_line(text, out);
            Ok(())
        }
        Value::Unsigned(number) => write!(out, "{number}"),
        Value::Signed(number) => write!(out, "{number}"),
        Value::Flag(flag) => write!(out, "{flag}"),
        Value::Duration(duration) => write!(out, "{}", Millis(*duration)),
    };
}

/// A text from its line's middle on.
fn text(text: &str, out: &mut String) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    one_line(first.strip_suffix('\r').unwrap_or(first), out);
    further_lines(rest, out);
}

/// Each line on an indented line of its own; a line feed at the end is nothing.
fn further_lines(text: &str, out: &mut String) {
    for line in text.lines() {
        out.push('\n');
        out.push_str(INDENT);
        one_line(line, out);
    }
}

/// Shows the text with everything escaped that could end the line or steer the terminal.
fn one_line(text: &str, out: &mut String) {
    for c in text.chars() {
        if c == '\t' || !steers(c) {
            out.push(c);
        } else {
            let _ = write!(out, "{}", c.escape_default());
        }
    }
}

/// Controls (C0, DEL, C1), line separators, and what turns the direction of text.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

enum Style {
    Dim,
    Green,
    Yellow,
    Red,
    Cyan,
}

struct Paint {
    color: bool,
}

impl Paint {
    fn with(&self, out: &mut String, style: Style, write: impl FnOnce(&mut String)) {
        if !self.color {
            return write(out);
        }
        let code = match style {
            Style::Dim => "2",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Red => "1;31",
            Style::Cyan => "36",
        };
        let _ = write!(out, "\x1b[{code}m");
        write(out);
        out.push_str("\x1b[0m");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::budget::Budget;
    use crate::log::record::Source;
    use nexus_guest::{ClientAddress, LogRecord};
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::Duration;

    fn line(kind: Kind, color: bool) -> String {
        let mut out = String::new();
        write_line(&Record { millis: 45_296_789, kind }, &mut Clock::new(), color, &mut out);
        out
    }

    fn source() -> Arc<Source> {
        Arc::new(Source { app: "hello".into(), worker: Some(3), host: None, share: Budget::new(1, 1) })
    }

    fn guest(message: &str, stack: Option<&str>) -> Kind {
        let request = RequestId::parse(b"id-1");
        let record = LogRecord {
            level: Level::Warn,
            request,
            message: message.into(),
            stack: stack.map(str::to_owned),
        };
        Kind::App { source: source(), record }
    }

    #[test]
    fn further_lines_of_a_message_are_indented() {
        assert_eq!(
            line(guest("one\r\ntwo\nthree\n", Some("Error\n  at f")), false),
            "12:34:56.789 WARN   hello       one  (id-1)\n    two\n    three\n    Error\n      at f\n"
        );
    }

    #[test]
    fn a_host_line_shows_its_fields_and_cannot_be_taken_for_an_apps() {
        let fields = vec![("port", 80u16.into()), ("took_ms", Duration::from_micros(1500).into())];
        let kind = Kind::Host { level: Level::Info, message: "ready".into(), fields };
        assert_eq!(line(kind, false), "12:34:56.789 INFO   [nexus]     ready  port=80  took_ms=1.500\n");
        assert!(nexus_core::AppName::parse(HOST).is_none());
    }

    #[test]
    fn an_access_line_is_one_line_whatever_the_path() {
        let record = AccessRecord {
            request: RequestId::parse(b"r").unwrap(),
            client: ClientAddress::Unix,
            method: "GET".into(),
            path: "/\u{1b}]0;x\n".into(),
            status: None,
            complete: false,
            duration: Duration::from_micros(1),
            cpu: Duration::ZERO,
            bytes: 5,
        };
        assert_eq!(
            line(Kind::Access { source: source(), record }, false),
            "12:34:56.789 INFO   hello       GET /\\u{1b}]0;x\\n - (broken off)  0.001 ms  cpu 0.000 ms  5 B  unix  (r)\n"
        );
    }

    #[test]
    fn colours_come_only_if_they_are_wanted() {
        assert!(line(guest("x", None), true).contains("\x1b[33mWARN \x1b[0m"));
        assert!(!line(guest("x", None), false).contains('\x1b'));
    }

    proptest! {
        #[test]
        fn no_guest_steers_the_terminal_or_forges_a_line(
            message in "(.|[\\x00-\\x1f\\x7f-\\x9f\u{2028}\u{202e}]|\n|\r)*",
            stack in proptest::option::of(any::<String>()),
        ) {
            let out = line(guest(&message, stack.as_deref()), false);
            prop_assert!(!out.chars().any(|c| c != '\n' && c != '\t' && steers(c)));
            let mut lines = out.lines();
            prop_assert!(lines.next().unwrap().starts_with("12:34:56.789 WARN   hello "));
            prop_assert!(lines.all(|line| line.starts_with(INDENT)));
        }
    }
}
