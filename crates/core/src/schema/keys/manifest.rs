//! The keys of `nexus.toml`.

use super::{DAY, Fallback, Key, Keys, LIMITS, MOST_WORKERS, Names, Schema, Table};
use crate::Access;
use crate::schema::kind::Kind;

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
            path: "triggers",
            doc: "What has a JavaScript app do something without a request.",
            keys: Keys::Listed(&[Key {
                name: "cron",
                kind: Kind::CronPatterns,
                fallback: Fallback::Value("[]"),
                doc: "The times at which the app's `scheduled` handler is run, in UTC and to the minute: minute, hour, day of \
                      the month, month, day of the week, with `L`, `W`, `#` and names of months and days.",
                reason: "most apps only answer requests",
            }]),
        },
        Table {
            path: "permissions",
            doc: "What the app may reach: hosts, variables of the host's, and folders if its main file is WebAssembly. \
                  JavaScript has no interfaces for folders so far.",
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
                Key {
                    name: "net",
                    kind: Kind::NetGrants,
                    fallback: Fallback::Value("[]"),
                    doc: "Where the app may connect to, by `fetch`, `wasi:http` and sockets: `HOST` for every port, or \
                          `HOST:PORT`. A host is a name, `*.NAME` for all names below it, an address, a range of \
                          addresses, or `*` for every name and public address. Addresses that are not public (private, \
                          loopback, link-local and the like) take a grant of their own, by address or range or, for \
                          this machine's, as `localhost`, whatever name led to them.",
                    reason: "nothing is granted that is not said",
                },
                Key {
                    name: "env",
                    kind: Kind::VariableNames,
                    fallback: Fallback::Value("[]"),
                    doc: "The variables of the host's environment that the app finds in `env`, as they were when the host \
                          started. One that the host does not have is not there; `NEXUS_TOKEN` never is.",
                    reason: "nothing is granted that is not said",
                },
            ]),
        },
        Table {
            path: "env",
            doc: "Plain variables, which the app finds in `env`. The file is no place for secrets: \
                  those are for [secrets]. Variables of `--env-file` come first.",
            keys: Keys::Variables,
        },
        Table {
            path: "bindings",
            doc: "What the app finds in `env` beside its variables: each entry a capability that the host carries out; docs/capabilities.md has more.",
            keys: Keys::Named {
                names: Names::Variables,
                keys: &[
                    Key {
                        name: "kv",
                        kind: Kind::Resource,
                        fallback: Fallback::Nothing("none"),
                        doc: "A namespace of a key-value store. One that no other app is granted is the app's alone.",
                        reason: "a binding leads to one thing",
                    },
                    Key {
                        name: "sql",
                        kind: Kind::Resource,
                        fallback: Fallback::Nothing("none"),
                        doc: "A database, SQLite's. One that no other app is granted is the app's alone.",
                        reason: "a binding leads to one thing",
                    },
                    Key {
                        name: "app",
                        kind: Kind::AppName,
                        fallback: Fallback::Nothing("none"),
                        doc: "Another app of the same host, which is asked without a connection.",
                        reason: "a binding leads to one thing",
                    },
                    Key {
                        name: "access",
                        kind: Kind::Choice(&Access::WORDS),
                        fallback: Fallback::Value(r#""write""#),
                        doc: "What the app may do with what is kept there: `read`, or `write`, which is to read and to write.",
                        reason: "most apps write what they read",
                    },
                    Key {
                        name: "provider",
                        kind: Kind::Part,
                        fallback: Fallback::Nothing(
                            "the provider of that capability that the host has by itself",
                        ),
                        doc: "The provider that keeps it, by its name in the host's configuration.",
                        reason: "an app need not know who keeps its data",
                    },
                ],
                one_of: &["kv", "sql", "app"],
            },
        },
        Table {
            path: "secrets",
            doc: "Values that the app finds in `env`, and that stand in no file of the app's; at most 100.",
            keys: Keys::Named {
                names: Names::Variables,
                keys: &[Key {
                    name: "from",
                    kind: Kind::Secret,
                    fallback: Fallback::Required,
                    doc: "Where the host has the value from: `file:NAME` is a file of the app's in the host's storage folder, \
                          which `nexus secret put` makes, and `env:NAME` a variable of the host's environment.",
                    reason: "a secret is nowhere but where it is kept",
                }],
                one_of: &[],
            },
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
