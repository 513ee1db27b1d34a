//! `nexus check`.

use std::path::PathBuf;

use clap::Args;
use nexus_core::{Diagnostics, HostConfig};
use nexus_host::{Found, discover, refuse_conflicts};
use serde_json::{Value, json};

use super::configuration;
use crate::failure::{Failure, print};

/// Check apps and configuration without running anything.
///
/// Each path is an app's folder, a folder of apps, or a nexus-host.toml. Prints what is wrong, with
/// file, line and column, and ends with 2 if anything is.
///
///   nexus check apps/
///   nexus check --json shop | jq .ok
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Check {
    /// Folders of apps, or host configuration files
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// The host's configuration, whose defaults and ceilings hold for the apps
    /// [default: nexus-host.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let config = configuration::read(self.config.as_ref())?;
        let mut found = Vec::new();
        let mut others: Vec<(PathBuf, Result<(), Diagnostics>)> = Vec::new();
        for path in &self.paths {
            if path.extension().is_some_and(|extension| extension == "toml")
                && !path.ends_with(nexus_host::MANIFEST)
            {
                let text = configuration::read_text(path)?;
                let parsed = HostConfig::parse(&text, &path.display().to_string());
                others.push((path.clone(), parsed.map(drop)));
                continue;
            }
            match discover(path, &config) {
                Ok(apps) => found.extend(apps),
                Err(problems) => others.push((path.clone(), Err(problems))),
            }
        }
        refuse_conflicts(&mut found);
        let problems: usize = found
            .iter()
            .filter_map(|found| found.app.as_ref().err())
            .chain(others.iter().filter_map(|(_, result)| result.as_ref().err()))
            .map(Diagnostics::len)
            .sum();
        let text = if self.json { as_json(&found, &others, problems == 0) } else { as_text(&found, &others) };
        print(&text)?;
        match problems {
            0 => Ok(()),
            _ if self.json => Err(Failure::usage("")),
            1 => Err(Failure::usage("1 problem was found")),
            several => Err(Failure::usage(format!("{several} problems were found"))),
        }
    }
}

fn as_text(found: &[Found], others: &[(PathBuf, Result<(), Diagnostics>)]) -> String {
    let mut out = String::new();
    for found in found {
        match &found.app {
            Ok(app) => out.push_str(&format!("ok: {} ({})\n", app.name(), found.folder.display())),
            Err(problems) => out.push_str(&format!("{}\n", problems.to_string().trim_end())),
        }
    }
    for (path, result) in others {
        match result {
            Ok(()) => out.push_str(&format!("ok: {}\n", path.display())),
            Err(problems) => out.push_str(&format!("{}\n", problems.to_string().trim_end())),
        }
    }
    out
}

fn as_json(found: &[Found], others: &[(PathBuf, Result<(), Diagnostics>)], ok: bool) -> String {
    let apps: Vec<Value> = found
        .iter()
        .map(|found| match &found.app {
            Ok(app) => json!({
                "path": found.folder.display().to_string(),
                "ok": true,
                "name": app.name().as_str(),
                "main": app.main,
                "port": app.manifest.http.port,
                "problems": [],
            }),
            Err(problems) => json!({
                "path": found.folder.display().to_string(),
                "ok": false,
                "problems": problems.to_json(),
            }),
        })
        .collect();
    let others: Vec<Value> = others
        .iter()
        .map(|(path, result)| {
            let problems = result.as_ref().err().map_or_else(|| json!([]), Diagnostics::to_json);
            json!({ "path": path.display().to_string(), "ok": result.is_ok(), "problems": problems })
        })
        .collect();
    format!("{:#}\n", json!({ "ok": ok, "apps": apps, "others": others }))
}
