//! One JSON object a line.
//!
//! Every text is escaped so far that a line stays one line for any reader and holds no character that a
//! terminal acts upon: beyond what RFC 8259 asks also DEL, C1 controls and the Unicode line separators.

use std::fmt::Write;
use std::time::Duration;

use nexus_guest::{Level, RequestId};

use super::clock::Clock;
use super::record::{AccessRecord, Kind, Record, Source, Value};

/// Appends the record as one line, the line feed included.
pub(super) fn write_line(record: &Record, clock: &mut Clock, out: &mut String) {
    out.push_str("{\"time\":\"");
    clock.write_rfc3339(record.millis, out);
    out.push('"');
    match &record.kind {
        Kind::Host { level, message, fields } => {
            start(out, *level, "host");
            text_field(out, "message", message);
            for (key, value) in fields {
                value_field(out, key, value);
            }
        }
        Kind::App { source, record } => {
            start(out, record.level, "app");
            source_fields(out, source, record.request.as_ref());
            text_field(out, "message", &record.message);
            if let Some(stack) = &record.stack {
                text_field(out, "stack", stack);
            }
        }
        Kind::Access { source, record } => {
            start(out, Level::Info, "access");
            source_fields(out, source, Some(&record.request));
            access_fields(out, record);
        }
    }
    out.push_str("}\n");
}

/// `kind` tells what a guest wrote (`app`) from what the host vouches for: a guest cannot forge the others.
fn start(out: &mut String, level: Level, kind: &str) {
    text_field(out, "level", level.as_str());
    text_field(out, "kind", kind);
}

fn source_fields(out: &mut String, source: &Source, request: Option<&RequestId>) {
    text_field(out, "app", &source.app);
    if let Some(worker) = source.worker {
        number_field(out, "worker", worker);
    }
    if let Some(host) = source.host {
        number_field(out, "host", host);
    }
    if let Some(request) = request {
        text_field(out, "request_id", request.as_str());
    }
}

fn access_fields(out: &mut String, record: &AccessRecord) {
    text_field(out, "message", "request");
    let _ = write!(out, ",\"client\":\"{}\"", record.client);
    text_field(out, "method", &record.method);
    text_field(out, "path", &record.path);
    match record.status {
        Some(status) => number_field(out, "status", status),
        None => out.push_str(",\"status\":null"),
    }
    number_field(out, "complete", record.complete);
    number_field(out, "duration_ms", Millis(record.duration));
    number_field(out, "cpu_ms", Millis(record.cpu));
    number_field(out, "bytes", record.bytes);
}

fn value_field(out: &mut String, key: &str, value: &Value) {
    match value {
        Value::Text(text) => text_field(out, key, text),
        Value::Unsigned(number) => number_field(out, key, number),
        Value::Signed(number) => number_field(out, key, number),
        Value::Flag(flag) => number_field(out, key, flag),
        Value::Duration(duration) => number_field(out, key, Millis(*duration)),
    }
}

fn text_field(out: &mut String, key: &str, text: &str) {
    key_of(out, key);
    out.push('"');
    escape(text, out);
    out.push('"');
}

/// A value that is JSON as it is displayed.
fn number_field(out: &mut String, key: &str, value: impl std::fmt::Display) {
    key_of(out, key);
    let _ = write!(out, "{value}");
}

fn key_of(out: &mut String, key: &str) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
}

/// A duration in milliseconds, to the microsecond.
pub(super) struct Millis(pub(super) Duration);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.0.as_micros();
        write!(f, "{}.{:03}", micros / 1000, micros % 1000)
    }
}

fn escape(text: &str, out: &mut String) {
    let mut plain_from = 0;
    for (at, c) in text.char_indices() {
        let special = matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}') || c.is_control();
        if !special {
            continue;
        }
        out.push_str(&text[plain_from..at]);
        plain_from = at + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All of them lie in the basic plane: one escape each.
            c => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push_str(&text[plain_from..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::budget::Budget;
    use nexus_guest::{ClientAddress, LogRecord};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};
    use std::sync::Arc;

    fn line(kind: Kind) -> String {
        let mut out = String::new();
        write_line(&Record { millis: 1_709_164_800_007, kind }, &mut Clock::new(), &mut out);
        out
    }

    fn source() -> Arc<Source> {
        Arc::new(Source { app: "hello".into(), worker: Some(3), host: None, share: Budget::new(1, 1) })
    }

    #[test]
    fn a_guest_line_names_time_level_app_worker_and_request() {
        let record = LogRecord {
            level: Level::Warn,
            request: RequestId::parse(b"abc"),
            message: "a \"b\"\n\u{1b}[31m".into(),
            stack: Some("Error\n    at f".into()),
        };
        assert_eq!(
            line(Kind::App { source: source(), record }),
            r#"{"time":"2024-02-29T00:00:00.007Z","level":"warn","kind":"app","app":"hello","worker":3,"request_id":"abc","message":"a \"b\"\n\u001b[31m","stack":"Error\n    at f"}"#.to_owned() + "\n"
        );
    }

    #[test]
    fn an_access_line_has_numbers_as_numbers() {
        let record = AccessRecord {
            request: RequestId::from_u128(1),
            client: ClientAddress::Ip([127, 0, 0, 1].into(), Some(80)),
            method: "GET".into(),
            path: "/a?b=\"".into(),
            status: Some(200),
            complete: true,
            duration: Duration::from_micros(1_050),
            cpu: Duration::from_micros(7),
            bytes: 12,
        };
        let parsed: Json =
            serde_json::from_str(&line(Kind::Access { source: source(), record })).expect("valid JSON");
        assert_eq!(
            parsed,
            json!({
                "time": "2024-02-29T00:00:00.007Z", "level": "info", "kind": "access", "app": "hello",
                "worker": 3, "request_id": format!("{:032x}", 1), "message": "request",
                "client": "127.0.0.1", "method": "GET", "path": "/a?b=\"", "status": 200, "complete": true,
                "duration_ms": 1.05, "cpu_ms": 0.007, "bytes": 12
            })
        );
    }

    proptest! {
        #[test]
        fn any_text_parses_back_from_one_line_without_control_characters(
            message in any::<String>(),
            stack in proptest::option::of("[\\x00-\\x1f\\x7f-\\x9f\u{2028}\u{2029}\"\\\\a]*"),
            value in any::<String>(),
            number in any::<i64>(),
        ) {
            let record = LogRecord { level: Level::Info, request: None, message: message.clone(), stack: stack.clone() };
            let fields = vec![("text", value.clone().into()), ("number", number.into())];
            let lines = [
                line(Kind::App { source: source(), record }),
                line(Kind::Host { level: Level::Error, message: message.clone(), fields }),
            ];
            for line in &lines {
                let content = line.strip_suffix('\n').expect("a line feed at the end");
                let ends_lines = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
                prop_assert!(!content.contains(ends_lines));
            }
            let [app, host] = lines.map(|line| serde_json::from_str::<Json>(&line).expect("valid JSON"));
            prop_assert_eq!(app["message"].as_str(), Some(message.as_str()));
            prop_assert_eq!(app.get("stack").and_then(Json::as_str), stack.as_deref());
            prop_assert_eq!(host["message"].as_str(), Some(message.as_str()));
            prop_assert_eq!(host["text"].as_str(), Some(value.as_str()));
            prop_assert_eq!(host["number"].as_i64(), Some(number));
        }
    }
}
