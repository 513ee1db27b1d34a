//! What is logged, before it is text.

use std::sync::Arc;
use std::time::Duration;

use nexus_guest::{ClientAddress, Level, LogRecord, Method, RequestId};

use super::budget::Budget;

/// One request, for the access log.
#[derive(Debug, Clone)]
pub struct AccessRecord {
    /// The request's id.
    pub request: RequestId,
    /// Who asked.
    pub client: ClientAddress,
    /// The method as it came.
    pub method: Method,
    /// The path as it came, with the query if that is to be logged.
    pub path: String,
    /// The status that the client got; `None` if it went away before there was one.
    pub status: Option<u16>,
    /// Whether the response went out as a whole.
    pub complete: bool,
    /// From the request's head to the response's end.
    pub duration: Duration,
    /// The guest's CPU time.
    pub cpu: Duration,
    /// Bytes of the response's body.
    pub bytes: u64,
}

/// The value of a field of a host line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Unsigned(u64),
    /// A number that may be negative.
    Signed(i64),
    /// Yes or no.
    Flag(bool),
    /// A duration; stands in the log as a number of milliseconds, so the key ends in `_ms`.
    Duration(Duration),
}

macro_rules! value_from {
    ($($from:ty => |$name:ident| $value:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($name: $from) -> Self {
                $value
            }
        })*
    };
}

value_from! {
    &str => |text| Value::Text(text.to_owned());
    String => |text| Value::Text(text);
    bool => |flag| Value::Flag(flag);
    u16 => |number| Value::Unsigned(number.into());
    u32 => |number| Value::Unsigned(number.into());
    u64 => |number| Value::Unsigned(number);
    usize => |number| Value::Unsigned(number as u64);
    i32 => |number| Value::Signed(number.into());
    i64 => |number| Value::Signed(number);
    Duration => |duration| Value::Duration(duration);
}

/// Who a guest's or an access line comes from, and how much of the queue it may fill.
pub(super) struct Source {
    pub(super) app: Box<str>,
    pub(super) worker: Option<u32>,
    /// The process's host, if it is one of several.
    pub(super) host: Option<usize>,
    pub(super) share: Budget,
}

pub(super) struct Record {
    /// Milliseconds since 1970.
    pub(super) millis: u64,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Host { level: Level, message: String, fields: Vec<(&'static str, Value)> },
    App { source: Arc<Source>, record: LogRecord },
    Access { source: Arc<Source>, record: AccessRecord },
}

impl Record {
    /// The app that it is about, if it is about one.
    pub(super) fn app(&self) -> Option<&str> {
        match &self.kind {
            Kind::App { source, .. } | Kind::Access { source, .. } => Some(&source.app),
            Kind::Host { fields, .. } => fields.iter().find_map(|(key, value)| match value {
                Value::Text(app) if *key == "app" => Some(app.as_str()),
                _ => None,
            }),
        }
    }

    /// The bytes that the record holds, about.
    pub(super) fn cost(&self) -> usize {
        let held = match &self.kind {
            Kind::Host { message, fields, .. } => {
                let texts = fields.iter().map(|(key, value)| match value {
                    Value::Text(text) => key.len() + text.len(),
                    _ => key.len(),
                });
                message.len() + texts.sum::<usize>() + size_of_val(fields.as_slice())
            }
            Kind::App { record, .. } => record.message.len() + record.stack.as_ref().map_or(0, String::len),
            Kind::Access { record, .. } => record.method.len() + record.path.len(),
        };
        size_of::<Self>() + held
    }
}

/// The longest text of a record, in bytes.
pub(super) const MAX_TEXT: usize = 256 * 1024;

/// Cuts a text that is too long, and lets its end say so.
pub(super) fn shorten(text: &mut String) {
    if text.len() <= MAX_TEXT {
        return;
    }
    let length = text.len();
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text.push_str(&format!("… (cut off here: the text has {length} bytes, the log takes {MAX_TEXT})"));
    // The queue counts lengths, so what is not counted must not be held either.
    text.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_over_256_kilobytes_is_cut_at_a_character_and_says_so() {
        let mut text = "x".repeat(MAX_TEXT - 1) + "äöü";
        let length = text.len();
        shorten(&mut text);
        let rest = &text[MAX_TEXT - 1..];
        assert_eq!(rest, format!("… (cut off here: the text has {length} bytes, the log takes 262144)"));
        let mut text = "x".repeat(MAX_TEXT);
        shorten(&mut text);
        assert_eq!(text.len(), MAX_TEXT);
    }
}
