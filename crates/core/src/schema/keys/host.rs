//! The keys of `nexus-host.toml`.

use super::{DAY, Fallback, HOUR, Key, Keys, LIMITS, MOST_WORKERS, Names, Schema, Table};
use crate::ProviderKind;
use crate::limits::{self, Limit};
use crate::schema::kind::Kind;

static CEILINGS: [Key; Limit::ALL.len()] = limits::keys(true);

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
                    doc: "Which of the permissions that their manifests ask for deployed apps get: `read` and `write` are the \
                          folders of these keys, `net` its hosts, `env` variables of the host's, also as secrets, and `kv` namespaces of its own under [bindings]. What is not allowed is not granted, and the \
                          deployer is told; `nexus grants add` gives an app single things beyond it.",
                    reason: "whoever may deploy is not thereby trusted with the host's files and network",
                },
            ]),
        },
        Table {
            path: "storage",
            doc: "What the host keeps for apps: their namespaces of key-value stores, and their databases.",
            keys: Keys::Listed(&[Key {
                name: "folder",
                kind: Kind::Path,
                fallback: Fallback::Nothing(
                    "the folder of [deploy], or else `.nexus` in the working directory",
                ),
                doc: "The folder, which the host makes when there is something to keep; `--storage` comes first.",
                reason: "what an app writes is there again when it is served again",
            }]),
        },
        Table {
            path: "providers",
            doc: "What keeps data for apps, by name. There are two without being named here: `kv` of the type `redb`, and `sql` \
                  of the type `sqlite`; a table `[providers.kv]` or `[providers.sql]` is in its place, for the same capability. \
                  Bindings find others by their `provider`.",
            keys: Keys::Named {
                names: Names::Plain,
                keys: &[
                    Key {
                        name: "type",
                        kind: Kind::Choice(&ProviderKind::WORDS),
                        fallback: Fallback::Required,
                        doc: "What it is: `redb` keeps key-value stores in files, `memory` in memory, where they end with the \
                              host; `sqlite` keeps databases in files, `sqlite-memory` in memory.",
                        reason: "what keeps data is said, not guessed",
                    },
                    Key {
                        name: "folder",
                        kind: Kind::Path,
                        fallback: Fallback::Nothing("a folder of the provider's name in that of [storage]"),
                        doc: "Where it keeps its files.",
                        reason: "what belongs together lies together",
                    },
                    Key {
                        name: "timeout",
                        kind: Kind::Time { min: 1, max: 60 * 1000 },
                        fallback: Fallback::Value(r#""5 s""#),
                        doc: "How long a call may take before it fails.",
                        reason: "far longer than a disk takes that is well",
                    },
                ],
                one_of: &[],
            },
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
            path: "ceilings.permissions",
            doc: "The most that apps get of what they ask for under [permissions]. An app that asks for more is served, and \
                  gets what both say.",
            keys: Keys::Listed(&[Key {
                name: "net",
                kind: Kind::NetGrants,
                fallback: Fallback::Nothing("no ceiling"),
                doc: "Where any app may connect to at most, written as in `[permissions] net`; `[]` is nowhere. Addresses \
                      that are not public take a grant of their own here, too.",
                reason: limits::NO_CEILING,
            }]),
        },
        Table {
            path: "outbound",
            doc: "How the requests go out that apps send.",
            keys: Keys::Listed(&[
                Key {
                    name: "roots",
                    kind: Kind::Choice(&["bundled", "platform"]),
                    fallback: Fallback::Value(r#""bundled""#),
                    doc: "Whose certificate authorities are trusted: Mozilla's, which are in the program, or those of the \
                          system.",
                    reason: "it is the same on every machine",
                },
                Key {
                    name: "ca",
                    kind: Kind::Paths,
                    fallback: Fallback::Value("[]"),
                    doc: "Files with certificates, in PEM, of authorities that are trusted as well.",
                    reason: "an authority of one's own is trusted by decision",
                },
                Key {
                    name: "name_servers",
                    kind: Kind::NameServers,
                    fallback: Fallback::Nothing("those of the system's `resolv.conf`"),
                    doc: "The name servers that look hosts' names up, each an IP address, with port 53 or its own.",
                    reason: "apps find what the machine finds",
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
