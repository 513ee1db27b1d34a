//! How apps fare, as the API tells it.

use std::sync::Arc;

use nexus_core::{App, Limit};
use serde_json::{Map, Value, json};

use super::{ManageError, Manager};
use crate::crew::Entry;
use crate::metrics::Figures;
use crate::store::Deployed;
use crate::told::AppState;

impl Manager {
    /// All apps by name: those that are served, those that cannot be, and those that are stopped.
    pub(crate) fn statuses(&self) -> Vec<Value> {
        let mut all: Vec<Value> = self.registry.all().iter().map(|entry| self.status_of(entry)).collect();
        all.extend(self.all_refused().iter().map(|state| {
            let why = state.serving.as_ref().err().map(|why| why.trim_end());
            self.status_without_entry(&state.name, Some(state), why.unwrap_or_default())
        }));
        for (name, why) in self.failed().iter() {
            all.push(self.status_without_entry(name.as_str(), None, why));
        }
        all.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
        all
    }

    /// One app.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn status(&self, name: &str) -> Result<Value, ManageError> {
        let found = self.statuses().into_iter().find(|status| status["name"] == name);
        found.ok_or_else(|| super::missing(name))
    }

    fn status_of(&self, entry: &Arc<Entry>) -> Value {
        let (app, figures) = (entry.app(), entry.sum().figures());
        let error = entry.outcome.get().and_then(|outcome| outcome.as_ref().err());
        let state = match entry.outcome.get() {
            _ if entry.is_paused() && entry.has_workers() => "draining",
            _ if entry.is_paused() => "stopped",
            None => "starting",
            Some(Err(_)) if !entry.may_serve() => "failed",
            _ if figures.is_asleep => "asleep",
            _ if figures.workers > 0 => "running",
            _ => "starting",
        };
        let deployed = self.is_deployed(entry).then(|| self.record(app.name().as_str())).flatten();
        json!({
            "name": app.name().as_str(),
            "state": state,
            "error": error.filter(|_| state == "failed").map(|error| error.trim_end()),
            "url": entry.url(),
            "hosts": app.manifest.http.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "paths": app.manifest.http.paths.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "source": if self.is_deployed(entry) { "deployed" } else { "folder" },
            "folder": (!self.is_deployed(entry)).then(|| app.folder.display().to_string()),
            "version": deployed.as_ref().map(|deployed| deployed.current().number),
            "versions": versions(deployed.as_ref()),
            "limits": limits(&app),
            "usage": usage(&figures),
        })
    }

    fn status_without_entry(&self, name: &str, folder: Option<&AppState>, why: &str) -> Value {
        let deployed = if folder.is_none() { self.record(name) } else { None };
        json!({
            "name": name,
            "state": "failed",
            "error": why.trim_end(),
            "url": null,
            "hosts": [],
            "paths": [],
            "source": if folder.is_none() { "deployed" } else { "folder" },
            "folder": folder.map(|state| state.folder.display().to_string()),
            "version": deployed.as_ref().map(|deployed| deployed.current().number),
            "versions": versions(deployed.as_ref()),
            "limits": {},
            "usage": usage(&crate::metrics::AppSum::new(name).figures()),
        })
    }
}

fn versions(deployed: Option<&Deployed>) -> Value {
    let Some(deployed) = deployed else { return json!([]) };
    let versions = deployed.versions().iter().map(|version| {
        json!({
            "number": version.number,
            "digest": version.digest.to_string(),
            "deployed": version.deployed,
            "files": version.files,
            "bytes": version.bytes,
            "current": version.number == deployed.current().number,
        })
    });
    versions.collect()
}

/// In bytes, milliseconds or counts, as `nexus.toml` has them.
fn limits(app: &App) -> Value {
    let limits =
        Limit::ALL.iter().map(|limit| (limit.key().to_owned(), json!(app.manifest.limits.get(*limit))));
    Value::Object(limits.collect::<Map<_, _>>())
}

fn usage(figures: &Figures) -> Value {
    let durations: Vec<Value> =
        figures.durations.iter().map(|(below, count)| json!({ "below": below, "count": count })).collect();
    json!({
        "workers": figures.workers,
        "draining": figures.draining,
        "requests": figures.requests,
        "errors": figures.errors,
        "in_flight": figures.in_flight,
        "connections": figures.connections,
        "cpu_seconds": figures.cpu_seconds,
        "memory": figures.memory,
        "p50_seconds": figures.p50,
        "p99_seconds": figures.p99,
        "durations": durations,
    })
}
