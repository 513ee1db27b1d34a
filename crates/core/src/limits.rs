//! The limits of an app: what a manifest asks for in `[limits]`, what the host gives where it does not, and the
//! most that the host allows.
//!
//! One list, [`Limit::ALL`], says everything about them: the schemas of both files, their documentation and the
//! checks of ceilings are made from it.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::schema::{Fallback, Key, Kind, Values};
use crate::suggest::nearest;
use crate::units::{format_byte_size, format_duration};

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;
const TB: u64 = 1 << 40;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;

/// What a limit is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitUnit {
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Whatever the limit's name says.
    Count,
}

struct Description {
    name: &'static str,
    unit: LimitUnit,
    min: u64,
    max: u64,
    default: &'static str,
    doc: &'static str,
    ceiling_doc: &'static str,
    reason: &'static str,
}

macro_rules! limits {
    ($($variant:ident $name:ident: $unit:ident($min:expr, $max:expr), default $default:literal,
       $doc:literal, because $reason:literal;)*) => {
        /// A limit of an app.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Limit {
            $(#[doc = $doc] $variant,)*
        }

        impl Limit {
            /// Every limit, in the order of the documentation.
            pub const ALL: &'static [Limit] = &[$(Limit::$variant,)*];

            const fn describe(self) -> Description {
                match self {
                    $(Limit::$variant => Description {
                        name: stringify!($name),
                        unit: LimitUnit::$unit,
                        min: $min,
                        max: $max,
                        default: $default,
                        doc: $doc,
                        ceiling_doc: concat!("The most that `[limits] ", stringify!($name), "` may be."),
                        reason: $reason,
                    },)*
                }
            }
        }
    };
}

limits! {
    Memory memory: Bytes(16 * MB, 2 * GB), default r#""128 MB""#,
        "The most memory of a worker: JavaScript heap, buffers and WebAssembly memories together. From 90 % of it on, new requests go to a fresh worker; at the limit the worker's requests get 503.",
        because "ample for a handler, and many workers fit on a machine";
    Cpu cpu: Milliseconds(1, HOUR), default r#""50 ms""#,
        "The most CPU time of one request, all that it does after an `await` included: 503 beyond it, for all requests of the worker. What it leaves to `waitUntil` has as much again.",
        because "far more than a handler needs that mostly waits for others";
    Startup startup: Milliseconds(1, HOUR), default r#""1 s""#,
        "The most CPU time of loading and evaluating the app. Beyond it the app is not served.",
        because "loading is for preparing, not for working";
    Wall wall: Milliseconds(1, HOUR), default r#""30 s""#,
        "The longest time from a request's head to the response's head: 504 beyond it, and the request's signal aborts.",
        because "longer than a healthy app takes, shorter than the 60 s after which most proxies give up";
    Idle idle: Milliseconds(1, HOUR), default r#""30 s""#,
        "The longest time in which no byte of a body moves, in either direction: the connection is closed beyond it.",
        because "a stalled transfer holds memory, and a slow one is not stalled";
    Body body: Bytes(0, TB), default r#""100 MB""#,
        "The largest body of a request: 413 beyond it; 0 refuses every body.",
        because "usual uploads pass, and no client sends without an end";
    Headers headers: Bytes(KB, MB), default r#""64 KB""#,
        "The largest head of a request, request line and header fields together: 431 beyond it.",
        because "large cookies and tokens fit, and a client cannot make the host hold much";
    Url url: Bytes(64, MB), default r#""16 KB""#,
        "The longest URL of a request, as the client sends it: 414 beyond it.",
        because "twice what most servers take";
    Requests requests: Count(1, 100_000), default "100",
        "The most requests in flight in a worker; further ones queue up.",
        because "each holds memory of the worker's";
    Queue queue: Count(0, 1_000_000), default "1000",
        "The most requests that wait for a place in a worker: 503 with `Retry-After` beyond it.",
        because "a burst passes, and an app that cannot keep up says so";
    QueueWait queue_wait: Milliseconds(0, HOUR), default r#""10 s""#,
        "The longest time that a request waits for a place: 503 with `Retry-After` beyond it.",
        because "clients that wait longer have mostly gone";
    Connections connections: Count(1, 1_000_000), default "10000",
        "The most open connections of a worker; beyond it none are accepted until one closes.",
        because "the host's descriptors are for all apps";
    Timers timers: Count(1, 1_000_000), default "10000",
        "The most timers of a worker that have not fired: setting one more throws.",
        because "they are memory of the host's";
    Operations operations: Count(1, 1_000_000), default "10000",
        "The most operations of a worker under way (reading a body, waiting for room in one): one more is rejected.",
        because "they are memory of the host's";
    KvStorage kv_storage: Bytes(0, TB), default r#""100 MB""#,
        "The most that all of the app's namespaces of key-value stores hold, keys, values and metadata: a write beyond it fails. An entry counts 64 bytes more.",
        because "ample for settings and sessions, and many apps share a disk";
    SqlStorage sql_storage: Bytes(0, TB), default r#""100 MB""#,
        "The most that all of the app's databases take: what would make them larger fails. Each is 8 KB at least.",
        because "ample for most apps, and many share a disk";
    Subrequests subrequests: Count(0, 1_000_000), default "50",
        "The most requests that one request sends (`fetch`, `wasi:http`), each redirect counted, and each TCP connection and name look-up of a WebAssembly app: one more fails. What the app sends by itself, while it is loaded or from its own timers, has as many a minute.",
        because "few handlers ask more of others, and one that goes wild is stopped";
    OutboundConnections outbound_connections: Count(1, 10_000), default "6",
        "The most connections of a worker that are open at once to one host and port; further requests to it wait. If all are held by responses whose bodies nobody reads, the oldest of those is cancelled.",
        because "what browsers and edge runtimes allow, and servers expect";
    OutboundHeaders outbound_headers: Bytes(KB, MB), default r#""64 KB""#,
        "The largest head of a request that the app sends, and of its response: the request fails beyond it.",
        because "no server that the app asks can make the host hold much";
    OutboundBody outbound_body: Bytes(0, TB), default r#""10 GB""#,
        "The largest body of such a response, as it is sent: reading it fails beyond.",
        because "large downloads pass, and none goes on without an end";
    Connect connect: Milliseconds(1, HOUR), default r#""10 s""#,
        "The longest time to look a host's name up, connect to it and agree on TLS: the request fails beyond it.",
        because "who takes longer is mostly not there";
    FirstByte first_byte: Milliseconds(1, HOUR), default r#""30 s""#,
        "The longest time from when such a request is sent to its response's head: the request fails beyond it.",
        because "as long as a client waits for the app itself";
    Log log: Bytes(KB, GB), default r#""256 KB""#,
        "The most that one request may log: what comes after is dropped, and a line says so.",
        because "the log is everybody's, and nobody reads more of one request";
}

impl Limit {
    /// The key that sets it in `[limits]`.
    pub const fn key(self) -> &'static str {
        self.describe().name
    }

    /// What it is counted in.
    pub const fn unit(self) -> LimitUnit {
        self.describe().unit
    }

    /// What a file may set it to: bytes, milliseconds or a count.
    pub const fn range(self) -> RangeInclusive<u64> {
        let Description { min, max, .. } = self.describe();
        min..=max
    }

    /// A number of this limit as people write it: `128 MB`, `50 ms`, `100`.
    pub fn show(self, number: u64) -> String {
        match self.unit() {
            LimitUnit::Bytes => format_byte_size(number),
            LimitUnit::Milliseconds => format_duration(Duration::from_millis(number)),
            LimitUnit::Count => number.to_string(),
        }
    }

    /// A number of this limit as a file has it: `"128 MB"`, `"50 ms"`, `100`.
    pub(crate) fn literal(self, number: u64) -> String {
        let shown = self.show(number);
        match self.unit() {
            LimitUnit::Bytes | LimitUnit::Milliseconds => format!("\"{shown}\""),
            LimitUnit::Count => shown,
        }
    }

    /// The limit that goes by that name elsewhere: `max_body`, `memory_limit`, `response_timeout`.
    pub(crate) fn known_as(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        let bare = word.strip_prefix("max").unwrap_or(&word);
        let bare = bare.strip_suffix("limit").unwrap_or(bare);
        let keys = || Self::ALL.iter().map(|limit| (limit.key(), *limit));
        let names = || keys().chain(ALIASES);
        let near = nearest(bare, names().map(|(name, _)| name))?;
        names().find(|(name, _)| *name == near).map(|(_, limit)| limit)
    }

    fn read(self, values: &Values, table: &str) -> Option<u64> {
        let path = format!("{table}.{}", self.key());
        match self.unit() {
            LimitUnit::Bytes => values.size(&path),
            LimitUnit::Milliseconds => values.time(&path).map(|time| time.as_millis() as u64),
            LimitUnit::Count => values.integer(&path).and_then(|number| u64::try_from(number).ok()),
        }
    }
}

/// What limits are called elsewhere, beside `max_…` and `…_limit`.
const ALIASES: [(&str, Limit); 21] = [
    ("heap", Limit::Memory),
    ("cpu_ms", Limit::Cpu),
    ("cpu_time", Limit::Cpu),
    ("start_timeout", Limit::Startup),
    ("timeout", Limit::Wall),
    ("response_timeout", Limit::Wall),
    ("request_timeout", Limit::Wall),
    ("duration", Limit::Wall),
    ("deadline", Limit::Wall),
    ("wall_time", Limit::Wall),
    ("body_timeout", Limit::Idle),
    ("client_max_body_size", Limit::Body),
    ("head", Limit::Headers),
    ("uri", Limit::Url),
    ("concurrency", Limit::Requests),
    ("in_flight", Limit::Requests),
    ("backlog", Limit::Queue),
    ("queue_timeout", Limit::QueueWait),
    ("fetches", Limit::Subrequests),
    ("connect_timeout", Limit::Connect),
    ("ttfb", Limit::FirstByte),
];

const COUNT: usize = Limit::ALL.len();

/// Why there is no ceiling where none is set.
pub(crate) const NO_CEILING: &str = "on one's own machine an app may have what it asks for";

/// The keys of a table of limits: with their defaults, or as ceilings without.
pub(crate) const fn keys(ceilings: bool) -> [Key; COUNT] {
    const EMPTY: Key =
        Key { name: "", kind: Kind::Flag, fallback: Fallback::Nothing(""), doc: "", reason: "" };
    let mut keys = [EMPTY; COUNT];
    let mut index = 0;
    while index < COUNT {
        let Description { name, unit, min, max, default, doc, ceiling_doc, reason } =
            Limit::ALL[index].describe();
        let kind = match unit {
            LimitUnit::Bytes => Kind::Size { min, max },
            LimitUnit::Milliseconds => Kind::Time { min, max },
            LimitUnit::Count => Kind::Integer { min: min as i64, max: max as i64 },
        };
        keys[index] = if ceilings {
            Key {
                name,
                kind,
                fallback: Fallback::Nothing("no ceiling"),
                doc: ceiling_doc,
                reason: NO_CEILING,
            }
        } else {
            Key { name, kind, fallback: Fallback::Value(default), doc, reason }
        };
        index += 1;
    }
    keys
}

/// The limits of an app.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Limits([u64; COUNT]);

impl Limits {
    /// The limits that a table of a file sets, with the defaults for all others.
    pub(crate) fn read(values: &Values, table: &str) -> Self {
        Self(std::array::from_fn(|index| Limit::ALL[index].read(values, table).unwrap_or_default()))
    }

    /// A limit as a number: bytes, milliseconds or a count.
    pub const fn get(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// Sets a limit.
    pub const fn set(&mut self, limit: Limit, number: u64) {
        self.0[limit as usize] = number;
    }

    /// A limit in bytes, or a count, for this machine.
    pub fn size(&self, limit: Limit) -> usize {
        usize::try_from(self.get(limit)).unwrap_or(usize::MAX)
    }

    /// A limit in time.
    pub const fn time(&self, limit: Limit) -> Duration {
        Duration::from_millis(self.get(limit))
    }

    /// A limit as people write it: `128 MB`, `50 ms`, `100`.
    pub fn show(&self, limit: Limit) -> String {
        limit.show(self.get(limit))
    }
}

impl Default for Limits {
    /// What holds where no file says anything.
    fn default() -> Self {
        Self::read(&Values::new(&crate::schema::MANIFEST, crate::Written::default()), "limits")
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Limit::ALL.iter().map(|limit| (limit.key(), self.show(*limit)))).finish()
    }
}

/// The most that the host allows; `None` is no ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ceilings([Option<u64>; COUNT]);

impl Ceilings {
    pub(crate) fn read(values: &Values, table: &str) -> Self {
        Self(std::array::from_fn(|index| Limit::ALL[index].read(values, table)))
    }

    /// The ceiling of a limit: bytes, milliseconds or a count.
    pub const fn get(&self, limit: Limit) -> Option<u64> {
        self.0[limit as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let limits = Limits::default();
        assert_eq!(limits.get(Limit::Memory), 128 << 20);
        assert_eq!(limits.time(Limit::Cpu), Duration::from_millis(50));
        assert_eq!(limits.time(Limit::Wall), Duration::from_secs(30));
        assert_eq!(limits.size(Limit::Requests), 100);
        for limit in Limit::ALL {
            assert!(limit.range().contains(&limits.get(*limit)), "{}", limit.key());
        }
    }

    #[test]
    fn limits_are_shown_as_people_write_them() {
        let mut limits = Limits::default();
        assert_eq!(
            [Limit::Memory, Limit::Cpu, Limit::Queue].map(|limit| limits.show(limit)),
            ["128 MB", "50 ms", "1000"]
        );
        limits.set(Limit::Cpu, 1500);
        assert_eq!(limits.show(Limit::Cpu), "1500 ms");
        assert_eq!(
            [Limit::Memory, Limit::Cpu, Limit::Queue].map(|limit| limit.literal(limits.get(limit))),
            ["\"128 MB\"", "\"1500 ms\"", "1000"]
        );
    }

    #[test]
    fn every_limit_has_a_place_of_its_own() {
        let mut limits = Limits::default();
        for (number, limit) in (1..).zip(Limit::ALL) {
            limits.set(*limit, number);
        }
        for (number, limit) in (1..).zip(Limit::ALL) {
            assert_eq!(limits.get(*limit), number, "{}", limit.key());
        }
    }

    #[test]
    fn a_limit_is_found_by_the_names_that_it_has_elsewhere() {
        for limit in Limit::ALL {
            let key = limit.key();
            for word in [format!("max_{key}"), format!("{key}_limit"), format!("MAX-{key}")] {
                assert_eq!(Limit::known_as(&word), Some(*limit), "{word}");
            }
        }
        for (name, limit) in ALIASES {
            assert_eq!(Limit::known_as(name), Some(limit), "{name}");
        }
        for (word, limit) in [
            ("maxBodySize", Limit::Body),
            ("max_head", Limit::Headers),
            ("maxHeaderSize", Limit::Headers),
            ("cpu_ms", Limit::Cpu),
            ("cpu_time", Limit::Cpu),
            ("wall_time", Limit::Wall),
            ("maxDuration", Limit::Wall),
            ("idle_timeout", Limit::Idle),
            ("max_concurrency", Limit::Requests),
        ] {
            assert_eq!(Limit::known_as(word), Some(limit), "{word}");
        }
        for word in ["", "max", "limit", "colour", "port"] {
            assert_eq!(Limit::known_as(word), None, "{word}");
        }
    }
}
