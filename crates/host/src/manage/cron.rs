//! The apps' triggers, as whoever runs the host sees and runs them.

use std::future::Future;
use std::time::Duration;

use nexus_core::CronPattern;
use serde_json::{Value, json};

use super::{ManageError, Manager};
use crate::log::now_millis;
use crate::triggers::{NotRun, Triggered};

impl Manager {
    /// The triggers of all apps.
    pub(crate) fn crons(&self) -> Value {
        self.told(self.triggers.triggered().iter())
    }

    /// The triggers of one app.
    ///
    /// # Errors
    /// When there is no such app.
    pub(crate) fn cron(&self, name: &str) -> Result<Value, ManageError> {
        self.known(name)?;
        let all = self.triggers.triggered();
        Ok(self.told(all.iter().filter(|app| app.app.as_str() == name)))
    }

    fn told<'a>(&self, apps: impl Iterator<Item = &'a Triggered>) -> Value {
        let now = now_millis();
        let of_app = |app: &'a Triggered| {
            app.cron.iter().map(move |cron| {
                let last = self.triggers.last(&app.app, cron);
                json!({
                    "app": app.app.as_str(),
                    "cron": cron.as_str(),
                    "next": if app.is_ready { cron.next_after(now) } else { None },
                    "last": last.map(|last| json!({
                        "time": last.time,
                        "result": word(&last.result),
                        "error": last.result.err(),
                        "took_ms": millis(last.took),
                    })),
                })
            })
        };
        json!({ "cron": apps.flat_map(of_app).collect::<Vec<_>>() })
    }

    /// Runs one of an app's triggers now, the first one if none is named, and tells the app this time, or the present one.
    /// Gives what tells what came of it.
    ///
    /// # Errors
    /// When there is no such app, it has no such trigger, or a run of it goes on.
    pub(crate) fn trigger(
        &self,
        name: &str,
        cron: Option<&str>,
        time: Option<u64>,
    ) -> Result<impl Future<Output = Result<Value, ManageError>> + use<>, ManageError> {
        self.is_open()?;
        let entry = self.known(name)?;
        if entry.is_paused() {
            let text = format!("the app `{name}` is stopped; `nexus start {name}` starts it");
            return Err(ManageError::Conflict(text));
        }
        let app = entry.app();
        let cron = which(name, &app.manifest.triggers.cron, cron)?.clone();
        let time = time.unwrap_or_else(now_millis);
        let heard = self.triggers.run(app.name(), &cron, time).map_err(|why| match why {
            NotRun::GoesOn => ManageError::Conflict(format!(
                "a run of `{cron}` of the app `{name}` goes on; try again when it is over"
            )),
            NotRun::Ends => ManageError::Unavailable("the host stops".into()),
        })?;
        let name = name.to_owned();
        Ok(async move {
            let ran = heard.await.map_err(|_| ManageError::Host("the run was lost".into()))?;
            Ok(json!({
                "app": name,
                "cron": cron.as_str(),
                "time": time,
                "result": word(&ran.result),
                "error": ran.result.err(),
                "took_ms": millis(ran.took),
            }))
        })
    }
}

/// The pattern that is meant.
fn which<'a>(app: &str, all: &'a [CronPattern], cron: Option<&str>) -> Result<&'a CronPattern, ManageError> {
    let Some(first) = all.first() else {
        let text =
            format!("the app `{app}` has no triggers; `cron` under [triggers] in its manifest gives it some");
        return Err(ManageError::Wrong(text));
    };
    let Some(text) = cron else { return Ok(first) };
    all.iter().find(|cron| cron.as_str() == text).ok_or_else(|| {
        let all: Vec<String> = all.iter().map(|cron| format!("`{cron}`")).collect();
        ManageError::Wrong(format!("the app `{app}` has no trigger `{text}`, but {}", all.join(", ")))
    })
}

fn word<E>(result: &Result<(), E>) -> &'static str {
    if result.is_ok() { "ok" } else { "failed" }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
