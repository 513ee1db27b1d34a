//! Every key of `nexus.toml` and `nexus-host.toml`: its kind with its range, its default, what it says,
//! and why the default is what it is.

use super::kind::Kind;
use crate::limits::{self, Limit};

/// What a file may hold.
pub(crate) struct Schema {
    /// The file's usual name.
    pub(crate) file: &'static str,
    /// What the file is for.
    pub(crate) doc: &'static str,
    /// Its tables, in the order of the documentation.
    pub(crate) tables: &'static [Table],
}

/// A table of a file.
pub(crate) struct Table {
    /// Its name, with dots: `defaults.limits`.
    pub(crate) path: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
    /// Its keys.
    pub(crate) keys: Keys,
}

/// The keys of a table.
pub(crate) enum Keys {
    /// These and no others.
    Listed(&'static [Key]),
    /// An array of tables, `[[path]]`, each with these keys and no others.
    Each(&'static [Key]),
    /// Variables of any name that is a variable's, each with text.
    Variables,
}

/// A key of a table.
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// What its value may be.
    pub(crate) kind: Kind,
    /// What holds where it is not set.
    pub(crate) fallback: Fallback,
    /// What it says, in one sentence.
    pub(crate) doc: &'static str,
    /// Why the default is what it is, in one sentence.
    pub(crate) reason: &'static str,
}

/// What holds where a key is not set.
#[derive(Clone, Copy)]
pub(crate) enum Fallback {
    /// Its table must set it.
    Required,
    /// No value; the words say what then holds.
    Nothing(&'static str),
    /// This value, in TOML.
    Value(&'static str),
}

const HOUR: u64 = 3600 * 1000;
const DAY: u64 = 24 * HOUR;

/// The most workers of an app that can be asked for.
const MOST_WORKERS: i64 = 32;

static LIMITS: [Key; Limit::ALL.len()] = limits::keys(false);
static CEILINGS: [Key; Limit::ALL.len()] = limits::keys(true);

/// `nexus.toml`.
pub(crate) static MANIFEST: Schema = Schema {
    file: "nexus.toml",
    doc: "What one app is and needs. Every key is optional, and so is the file.",
    tables: &[
        Table {
            path: "project",
            doc: "What the app is.",
            keys: Keys::Listed(&[
                Key {
                    name: "name",
                    kind: Kind::AppName,
                    fallback: Fallback::Nothing(
                        "the folder's name, in lower case, with `-` for what no name holds",
                    ),
                    doc: "The app's name in logs, metrics and the start-up table.",
                    reason: "a folder without a manifest is an app too",
                },
                Key {
                    name: "version",
                    kind: Kind::Version,
                    fallback: Fallback::Nothing("no version"),
                    doc: "The app's version, by Semantic Versioning.",
                    reason: "nothing depends on it",
                },
                Key {
                    name: "main",
                    kind: Kind::MainFile,
                    fallback: Fallback::Nothing(
                        "`index.js`, or else `index.mjs`, `index.wasm` or `app.wasm`",
                    ),
                    doc: "The file that handles the requests, relative to the app's folder: a JavaScript module \
                          by its default export, or WebAssembly.",
                    reason: "most apps need no more than that",
                },
                Key {
                    name: "isolation",
                    kind: Kind::Choice(&["worker", "request"]),
                    fallback: Fallback::Value(r#""worker""#),
                    doc: "How much the requests of a JavaScript app share: all requests of a worker have one guest, or \
                          each request has a fresh one. For WebAssembly there is `reuse` under [wasm].",
                    reason: "one app's requests trust each other, and a fresh guest takes milliseconds",
                },
            ]),
        },
        Table {
            path: "http",
            doc: "Where the app is served. One that names hosts or paths is served on a port that it shares with others.",
            keys: Keys::Listed(&[
                Key {
                    name: "port",
                    kind: Kind::Integer { min: 1, max: 65535 },
                    fallback: Fallback::Nothing(
                        "the next free port from the host's `--port`; with `hosts` or `paths` the host's shared port",
                    ),
                    doc: "The port that the app is served on; with `hosts` or `paths` it is shared by all apps that \
                          name it and hosts or paths.",
                    reason: "apps that were written apart must not collide",
                },
                Key {
                    name: "hosts",
                    kind: Kind::HostPatterns,
                    fallback: Fallback::Value("[]"),
                    doc: "The host names that the app is served under, without a port: exact ones, addresses, and \
                          `*.` in front for all names below. None are any host.",
                    reason: "a port of its own needs no name",
                },
                Key {
                    name: "paths",
                    kind: Kind::PathPatterns,
                    fallback: Fallback::Value("[]"),
                    doc: "The paths that the app is served under, each with all below it; `:name` is any one segment, \
                          and a final `*` the rest. None are any path.",
                    reason: "an app knows its own paths",
                },
            ]),
        },
        Table {
            path: "routes",
            doc: "A JavaScript module that handles the requests for some paths in place of the main file; as many \
                  tables as there are such modules. The path that fits best decides, not the order.",
            keys: Keys::Each(&[
                Key {
                    name: "path",
                    kind: Kind::PathPattern,
                    fallback: Fallback::Required,
                    doc: "The path, with all below it, as in `paths` under [http].",
                    reason: "what a route takes is said, not guessed",
                },
                Key {
                    name: "module",
                    kind: Kind::Module,
                    fallback: Fallback::Required,
                    doc: "The module, relative to the app's folder; its default export handles the requests.",
                    reason: "no name of a file follows from a path",
                },
            ]),
        },
        Table {
            path: "scale",
            doc: "How many workers the app has.",
            keys: Keys::Listed(&[
                Key {
                    name: "idle",
                    kind: Kind::TimeOrNever { min: 1, max: DAY },
                    fallback: Fallback::Value(r#""60 s""#),
                    doc: "After how long without requests the app's workers end, all but `min_workers`; the next \
                          request starts one. `\"never\"` keeps them.",
                    reason: "a start takes milliseconds, and an app that nobody asks needs no memory",
                },
                Key {
                    name: "min_workers",
                    kind: Kind::Integer { min: 0, max: MOST_WORKERS },
                    fallback: Fallback::Value("0"),
                    doc: "How many workers are always kept; no more than `workers`.",
                    reason: "most apps rest most of the time",
                },
                Key {
                    name: "workers",
                    kind: Kind::Integer { min: 1, max: MOST_WORKERS },
                    fallback: Fallback::Value("4"),
                    doc: "The most workers that the app gets; more than one are started as there is work for them.",
                    reason: "a busy app can use several cores, and leaves some to the others",
                },
            ]),
        },
        Table {
            path: "limits",
            doc: "The most that the app may use, each with what happens beyond it. The host may have other defaults, and ceilings.",
            keys: Keys::Listed(&LIMITS),
        },
        Table {
            path: "wasm",
            doc: "How an app runs whose main file is WebAssembly. To others it means nothing.",
            keys: Keys::Listed(&[
                Key {
                    name: "wasi",
                    kind: Kind::Choice(&["0.2", "0.3"]),
                    fallback: Fallback::Value(r#""0.2""#),
                    doc: "The latest WASI that the app is served with: `wasi:http/proxy` of 0.2, or also \
                          `wasi:http/service` of 0.3, which is experimental in the engine.",
                    reason: "what is made for 0.3 may still change, and has been tried less",
                },
                Key {
                    name: "compiler",
                    kind: Kind::Choice(&["cranelift", "winch", "pulley"]),
                    fallback: Fallback::Value(r#""cranelift""#),
                    doc: "What compiles the app: `cranelift` optimises, `winch` is done sooner with slower code, \
                          `pulley` makes portable bytecode that is interpreted.",
                    reason: "an app is compiled once and runs often",
                },
                Key {
                    name: "reuse",
                    kind: Kind::Integer { min: 1, max: 1_000_000 },
                    fallback: Fallback::Value("1"),
                    doc: "How many requests an instance serves, one after another, before a fresh one takes over; \
                          1 is a fresh instance for each request.",
                    reason: "no request finds what another one left behind",
                },
                Key {
                    name: "concurrency",
                    kind: Kind::Integer { min: 1, max: 1000 },
                    fallback: Fallback::Value("1"),
                    doc: "How many requests an instance serves at once. It takes a service of WASI 0.3 and a `reuse` \
                          above 1; for others it means nothing.",
                    reason: "requests of one instance share its memory, and its end",
                },
                Key {
                    name: "tables",
                    kind: Kind::Integer { min: 1, max: 1_000_000 },
                    fallback: Fallback::Value("100000"),
                    doc: "The most elements of all tables of an instance together: a table that would grow beyond \
                          does not.",
                    reason: "large programs have some ten thousand functions in tables",
                },
                Key {
                    name: "instances",
                    kind: Kind::Integer { min: 1, max: 1000 },
                    fallback: Fallback::Value("100"),
                    doc: "The most core instances within one instance of a component.",
                    reason: "languages' tools make fewer than ten, and composed components some dozens",
                },
            ]),
        },
        Table {
            path: "permissions",
            doc: "What an app whose main file is WebAssembly may reach. JavaScript has no interfaces for these so far.",
            keys: Keys::Listed(&[
                Key {
                    name: "read",
                    kind: Kind::Folders,
                    fallback: Fallback::Value("[]"),
                    doc: "The folders that the guest may read, with all that is in them, relative to the app's folder \
                          or absolute. The guest finds each one under the path as it is written here.",
                    reason: "nothing is granted that is not said",
                },
                Key {
                    name: "write",
                    kind: Kind::Folders,
                    fallback: Fallback::Value("[]"),
                    doc: "The folders that the guest may read and write, in the same way; one that stands in both \
                          may be written.",
                    reason: "nothing is granted that is not said",
                },
            ]),
        },
        Table {
            path: "env",
            doc: "Plain variables, which the app finds in `env`. The file is no place for secrets: \
                  give those with `--env-file`, whose variables come first.",
            keys: Keys::Variables,
        },
        Table {
            path: "assets",
            doc: "A folder that is served as static files, before the app is asked.",
            keys: Keys::Listed(&[Key {
                name: "folder",
                kind: Kind::Folder,
                fallback: Fallback::Required,
                doc: "The folder, relative to the app's. Nothing outside it is ever served.",
                reason: "what becomes public is said, not guessed",
            }]),
        },
    ],
};

/// `nexus-host.toml`.
pub(crate) static HOST: Schema = Schema {
    file: "nexus-host.toml",
    doc: "How the host serves all its apps. Every key is optional, and so is the file.",
    tables: &[
        Table {
            path: "listen",
            doc: "Where the apps are served.",
            keys: Keys::Listed(&[
                Key {
                    name: "address",
                    kind: Kind::ListenAddress,
                    fallback: Fallback::Value(r#""127.0.0.1""#),
                    doc: "The address that the apps listen on; `--listen` comes first.",
                    reason: "to be reached from other machines is a decision",
                },
                Key {
                    name: "port",
                    kind: Kind::Integer { min: 0, max: 65535 },
                    fallback: Fallback::Value("8080"),
                    doc: "The first port for apps that name none; 0 takes any free ones; `--port` comes first.",
                    reason: "it needs no privileges, and people look there",
                },
                Key {
                    name: "trusted_proxies",
                    kind: Kind::Networks,
                    fallback: Fallback::Value("[]"),
                    doc: "The proxies whose forwarded headers are believed.",
                    reason: "anyone can send such headers",
                },
            ]),
        },
        Table {
            path: "admin",
            doc: "Metrics and health.",
            keys: Keys::Listed(&[Key {
                name: "address",
                kind: Kind::AdminAddress,
                fallback: Fallback::Nothing("they are not served"),
                doc: "The address of `/metrics`, `/health` and `/ready`; `--admin` comes first.",
                reason: "what tells about all apps is opened by decision",
            }]),
        },
        Table {
            path: "control",
            doc: "The API that manages apps: it lists, deploys, stops and removes them.",
            keys: Keys::Listed(&[
                Key {
                    name: "address",
                    kind: Kind::AdminAddress,
                    fallback: Fallback::Nothing(
                        "`nexus.sock` in the folder of [deploy], or nowhere if there is none",
                    ),
                    doc: "Where the API is served; `--control` comes first. Only the host's user may open a Unix \
                          socket; at an IP address whoever asks must have the token.",
                    reason: "who manages apps is said, not guessed",
                },
                Key {
                    name: "token_file",
                    kind: Kind::Path,
                    fallback: Fallback::Nothing(
                        "the token is the variable `NEXUS_TOKEN` of the host's environment",
                    ),
                    doc: "The file with the token that clients at an IP address must send, 16 to 256 visible ASCII \
                          characters; `--control-token-file` comes first.",
                    reason: "a configuration is no place for secrets",
                },
            ]),
        },
        Table {
            path: "deploy",
            doc: "Apps that come by `nexus deploy`.",
            keys: Keys::Listed(&[
                Key {
                    name: "folder",
                    kind: Kind::Path,
                    fallback: Fallback::Nothing("no app can be deployed"),
                    doc: "The data folder, in which the host keeps deployed apps, and which it makes if it is not there; \
                          `--data` comes first.",
                    reason: "where a host writes is said, not guessed",
                },
                Key {
                    name: "allow",
                    kind: Kind::Permissions,
                    fallback: Fallback::Value("[]"),
                    doc: "Which of the [permissions] in their manifests deployed apps get: `read` and `write` are the \
                          folders of these keys. What is not allowed is taken away, and the deployer is told.",
                    reason: "whoever may deploy is not thereby trusted with the host's files",
                },
            ]),
        },
        Table {
            path: "defaults.limits",
            doc: "What an app gets whose manifest leaves the limit out.",
            keys: Keys::Listed(&LIMITS),
        },
        Table {
            path: "ceilings.limits",
            doc: "The most that an app's manifest may ask for; an app that asks for more is not served.",
            keys: Keys::Listed(&CEILINGS),
        },
        Table {
            path: "ceilings.scale",
            doc: "The most workers that an app's manifest may ask for; an app that asks for more is not served.",
            keys: Keys::Listed(&[
                Key {
                    name: "idle",
                    kind: Kind::Time { min: 1, max: DAY },
                    fallback: Fallback::Nothing("no ceiling"),
                    doc: "The longest time that `[scale] idle` may be; `\"never\"` is above it, too.",
                    reason: limits::NO_CEILING,
                },
                Key {
                    name: "min_workers",
                    kind: Kind::Integer { min: 0, max: MOST_WORKERS },
                    fallback: Fallback::Nothing("no ceiling"),
                    doc: "The most that `[scale] min_workers` may be.",
                    reason: limits::NO_CEILING,
                },
                Key {
                    name: "workers",
                    kind: Kind::Integer { min: 1, max: MOST_WORKERS },
                    fallback: Fallback::Nothing("no ceiling"),
                    doc: "The most that `[scale] workers` may be, and `min_workers` with it.",
                    reason: limits::NO_CEILING,
                },
            ]),
        },
        Table {
            path: "process",
            doc: "What all apps together may use, and in how many processes.",
            keys: Keys::Listed(&[
                Key {
                    name: "memory",
                    kind: Kind::Size { min: 64 << 20, max: 1 << 40 },
                    fallback: Fallback::Nothing(
                        "what the machine or its control group grants, less a tenth of it, or 256 MB if that is more",
                    ),
                    doc: "The most memory of all guests together; `--memory` comes first. Beyond it idle guests are \
                          ended, then the largest, and no new ones are made. Each of the `hosts` has an equal part; \
                          more than 2.5 GB a host counts as 2.5 GB, for all JavaScript heaps of a process share 4 GB.",
                    reason: "the kernel ends a process that takes more, and with it every app",
                },
                Key {
                    name: "hosts",
                    kind: Kind::Hosts,
                    fallback: Fallback::Value(r#""auto""#),
                    doc: "How many processes share the apps, at most one for each app; `--hosts` comes first. `\"auto\"` \
                          is one for up to 256 apps, and one more for each further 256 as far as `memory` has 4 GB \
                          for each.",
                    reason: "few apps do not fill one process's heaps, and what one process leaves free the others cannot use",
                },
            ]),
        },
        Table {
            path: "log",
            doc: "What the host writes, and how.",
            keys: Keys::Listed(&[
                Key {
                    name: "format",
                    kind: Kind::Choice(&["pretty", "json"]),
                    fallback: Fallback::Nothing("`pretty` on a terminal, `json` elsewhere"),
                    doc: "For people, or one JSON object a line; `--log-format` comes first.",
                    reason: "who reads a terminal is a person",
                },
                Key {
                    name: "level",
                    kind: Kind::Choice(&["debug", "info", "warn", "error"]),
                    fallback: Fallback::Value(r#""info""#),
                    doc: "The least grave lines that are written.",
                    reason: "`console.log` is seen, and debugging is asked for",
                },
                Key {
                    name: "access",
                    kind: Kind::Flag,
                    fallback: Fallback::Value("false"),
                    doc: "Whether each request gets a line; `--access-log` turns it on.",
                    reason: "such lines cost time and may hold personal data",
                },
            ]),
        },
        Table {
            path: "shutdown",
            doc: "How the host ends.",
            keys: Keys::Listed(&[Key {
                name: "grace",
                kind: Kind::Time { min: 0, max: HOUR },
                fallback: Fallback::Value(r#""30 s""#),
                doc: "How long requests in flight may take after SIGTERM; `--grace` comes first.",
                reason: "as long as a response may take by default",
            }]),
        },
    ],
};

impl Schema {
    /// The table of that path.
    pub(crate) fn table(&self, path: &str) -> Option<&'static Table> {
        self.tables.iter().find(|table| table.path == path)
    }

    /// The key of that path: `http.port`.
    pub(crate) fn key(&self, path: &str) -> Option<&'static Key> {
        let (table, name) = path.rsplit_once('.')?;
        self.table(table)?.key(name)
    }
}

impl Table {
    /// The listed keys.
    pub(crate) fn listed(&self) -> &'static [Key] {
        match &self.keys {
            Keys::Listed(keys) | Keys::Each(keys) => keys,
            Keys::Variables => &[],
        }
    }

    /// Its header: `[http]`, `[[routes]]`.
    pub(crate) fn header(&self) -> String {
        match self.keys {
            Keys::Each(_) => format!("[[{}]]", self.path),
            _ => format!("[{}]", self.path),
        }
    }

    /// The listed key of that name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.listed().iter().find(|key| key.name == name)
    }
}
