//! `nexus ps`.

use clap::Args;
use nexus_core::AppName;
use serde_json::Value;

use super::control::{Style, Target, app_name, bytes, columns, plain, since};
use crate::failure::{Failure, print};

/// List the apps of a running host, or tell all about one.
///
///   nexus ps                      every app: state, address, version, requests, CPU, memory
///   nexus ps shop                 one app, with its versions and its limits
///   nexus ps --json | jq '.apps[].name'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Ps {
    /// The app
    #[arg(value_name = "APP", value_parser = app_name)]
    app: Option<AppName>,

    /// Print what the host answers, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Ps {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let host = self.target.open()?;
        let answer = match &self.app {
            Some(app) => host.get(&format!("/v1/apps/{app}"))?,
            None => host.get("/v1/apps")?,
        };
        if self.json {
            return print(&format!("{answer:#}\n"));
        }
        let style = Style::of_output();
        print(&match &self.app {
            Some(_) => detail(&answer, style),
            None => table(&answer, style),
        })
    }
}

fn table(answer: &Value, style: Style) -> String {
    let apps = answer["apps"].as_array().map(Vec::as_slice).unwrap_or_default();
    if apps.is_empty() {
        return "the host has no apps; deploy one by `nexus deploy FOLDER`\n".into();
    }
    let heads = ["APP", "STATE", "URL", "VERSION", "WORKERS", "REQUESTS", "ERRORS", "CPU", "MEMORY", "P99"];
    let right = [false, false, false, true, true, true, true, true, true, true];
    let rows: Vec<Vec<String>> = apps.iter().map(row).collect();
    let mut out = columns(&heads, &right, &rows, style, |at, cell| match at {
        0 => style.bold,
        1 => style.of_state(cell),
        _ => "",
    });
    for app in apps {
        if let Some(error) = app["error"].as_str() {
            let (name, error) = (text(&app["name"]), plain(error));
            out.push_str(&format!("\n{}{name}{}: {error}\n", style.red, style.plain));
        }
    }
    out
}

fn row(app: &Value) -> Vec<String> {
    let usage = &app["usage"];
    let number = |value: &Value| value.as_u64().map_or_else(|| "-".into(), |number| number.to_string());
    vec![
        text(&app["name"]),
        text(&app["state"]),
        address(app),
        number(&app["version"]),
        number(&usage["workers"]),
        number(&usage["requests"]),
        number(&usage["errors"]),
        format!("{:.1} s", usage["cpu_seconds"].as_f64().unwrap_or_default()),
        bytes(usage["memory"].as_u64().unwrap_or_default()),
        milliseconds(usage["p99_seconds"].as_f64()),
    ]
}

/// Where an app is served: on a shared port also under which hosts and paths.
fn address(app: &Value) -> String {
    let list = |value: &Value| {
        let texts = value.as_array().map(Vec::as_slice).unwrap_or_default().iter();
        texts.filter_map(Value::as_str).collect::<Vec<_>>().join(",")
    };
    let Some(url) = app["url"].as_str() else { return "-".into() };
    let (hosts, paths) = (list(&app["hosts"]), list(&app["paths"]));
    let more: Vec<String> = [hosts, paths].into_iter().filter(|text| !text.is_empty()).collect();
    plain(&[vec![url.to_owned()], more].concat().join(" "))
}

/// A time for people.
pub(super) fn milliseconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".into(),
        Some(seconds) if seconds < 0.01 => format!("{:.2} ms", seconds * 1000.0),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

fn text(value: &Value) -> String {
    plain(value.as_str().unwrap_or("-"))
}

fn detail(app: &Value, style: Style) -> String {
    let Style { bold, dim, plain: end, .. } = style;
    let state = text(&app["state"]);
    let mut out = format!(
        "{bold}{}{end}   {}{state}{end}   {}\n",
        text(&app["name"]),
        style.of_state(&state),
        address(app)
    );
    if let Some(error) = app["error"].as_str() {
        out.push_str(&format!("{}{}{end}\n", style.red, plain(error)));
    }
    if let Some(folder) = app["folder"].as_str() {
        out.push_str(&format!("{dim}from{end} {}\n", plain(folder)));
    }
    let usage = &app["usage"];
    let number = |name: &str| usage[name].as_u64().unwrap_or_default();
    out.push_str(&format!(
        "\n{dim}workers{end} {}   {dim}requests{end} {}   {dim}errors{end} {}   {dim}in flight{end} {}   \
         {dim}connections{end} {}\n{dim}cpu{end} {:.1} s   {dim}memory{end} {}   {dim}p50{end} {}   {dim}p99{end} {}\n",
        number("workers"),
        number("requests"),
        number("errors"),
        number("in_flight"),
        number("connections"),
        usage["cpu_seconds"].as_f64().unwrap_or_default(),
        bytes(number("memory")),
        milliseconds(usage["p50_seconds"].as_f64()),
        milliseconds(usage["p99_seconds"].as_f64()),
    ));
    let versions = app["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !versions.is_empty() {
        let row = |version: &Value| {
            let mark = if version["current"] == true { "*" } else { "" };
            let digest = text(&version["digest"]).chars().take(12).collect();
            let deployed = since(version["deployed"].as_u64().unwrap_or_default());
            let size = bytes(version["bytes"].as_u64().unwrap_or_default());
            vec![
                mark.to_owned(),
                version["number"].to_string(),
                deployed,
                version["files"].to_string(),
                size,
                digest,
            ]
        };
        let rows: Vec<Vec<String>> = versions.iter().rev().map(row).collect();
        let heads = ["", "VERSION", "DEPLOYED", "FILES", "SIZE", "CONTENT"];
        let right = [false, true, false, true, true, false];
        out.push('\n');
        out.push_str(&columns(&heads, &right, &rows, style, |_, _| ""));
    }
    let limits = app["limits"].as_object();
    if let Some(limits) = limits.filter(|limits| !limits.is_empty()) {
        out.push_str(&format!("\n{dim}limits, in bytes, milliseconds or counts{end}\n"));
        for (name, limit) in limits {
            out.push_str(&format!("  {name:12} {limit}\n"));
        }
    }
    out
}
