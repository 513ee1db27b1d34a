//! `nexus provider`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use nexus_core::{format_duration, parse_duration};
use serde_json::Value;

use super::control::{Asked, Style, app_name, columns, plain};
use crate::failure::Failure;

/// List what keeps data for apps, stop it, start it, or change it while apps run.
///
/// Calls to a provider that is stopped fail at once with an error that says so, and may be tried
/// again; the apps go on. An update finishes the calls under way first, and lets those that come
/// meanwhile wait. What is changed here holds until the host ends: `providers` in its configuration
/// says what it begins with.
///
///   nexus provider                        every provider: type, state, version, calls under way
///   nexus provider stop kv
///   nexus provider start kv
///   nexus provider update kv --timeout 2s
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(crate) struct Provider {
    #[command(subcommand)]
    act: Option<Act>,

    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Have its calls fail, until it is started again
    Stop(Of),
    /// Have its calls carried out again
    Start(Of),
    /// Put another implementation in its place
    Update {
        #[command(flatten)]
        of: Of,

        /// What it is to be [default: as before]
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<Kind>,

        /// How long a call may take, as 5s or 500ms [default: as before]
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        timeout: Option<Duration>,
    },
}

#[derive(Debug, Args)]
struct Of {
    /// The provider
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,

    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A key-value store in files
    Redb,
    /// A key-value store in memory, which ends with the host
    Memory,
    /// Databases in files
    Sqlite,
    /// Databases in memory, which end with the host
    SqliteMemory,
}

fn name(text: &str) -> Result<String, String> {
    app_name(text).map(|name| name.to_string())
}

fn parse_time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

impl Provider {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.act {
            None => {
                let answer = self.asked.host()?.get("/v1/providers")?;
                let list = answer["providers"].as_array().map(Vec::as_slice).unwrap_or_default();
                self.asked.show(&answer, || table(list, Style::of_output()))
            }
            Some(Act::Stop(of)) => of.act("POST", "/stop"),
            Some(Act::Start(of)) => of.act("POST", "/start"),
            Some(Act::Update { of, kind, timeout }) => {
                let mut query = Vec::new();
                if let Some(kind) = kind {
                    query.push(format!(
                        "type={}",
                        match kind {
                            Kind::Redb => "redb",
                            Kind::Memory => "memory",
                            Kind::Sqlite => "sqlite",
                            Kind::SqliteMemory => "sqlite-memory",
                        }
                    ));
                }
                if let Some(timeout) = timeout {
                    query.push(format!("timeout={}ms", timeout.as_millis()));
                }
                of.act("PUT", &format!("?{}", query.join("&")))
            }
        }
    }
}

impl Of {
    fn act(&self, method: &str, path: &str) -> Result<(), Failure> {
        let host = self.asked.host()?;
        let answer = host.act(method, &format!("/v1/providers/{}{path}", self.name))?;
        self.asked.show(&answer, || {
            let text = |key: &str| plain(answer[key].as_str().unwrap_or("-"));
            let version = answer["version"].as_u64().unwrap_or_default();
            format!("{}: {}, {}, version {version}\n", self.name, text("state"), text("type"))
        })
    }
}

fn table(list: &[Value], style: Style) -> String {
    let row = |provider: &Value| {
        let text = |key: &str| plain(provider[key].as_str().unwrap_or("-"));
        let number = |key: &str| provider[key].as_u64().unwrap_or_default();
        vec![
            text("name"),
            text("capability"),
            text("type"),
            text("state"),
            number("version").to_string(),
            number("calls").to_string(),
            format_duration(Duration::from_millis(number("timeout_ms"))),
        ]
    };
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    let heads = ["NAME", "CAPABILITY", "TYPE", "STATE", "VERSION", "CALLS", "TIMEOUT"];
    let right = [false, false, false, false, true, true, true];
    columns(&heads, &right, &rows, style, |at, cell| match at {
        0 => style.bold,
        3 => style.of_state(cell),
        _ => "",
    })
}
