//! Which runs go on, and what came of the last ones.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use nexus_core::{AppName, CronPattern};

use super::Triggered;

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Last {
    /// The time that it was for, in milliseconds since 1970.
    pub(crate) time: u64,
    /// What came of it, or why it failed.
    pub(crate) result: Result<(), String>,
    pub(crate) took: Duration,
}

/// The runs of all apps' patterns.
#[derive(Debug, Default)]
pub(super) struct Runs(BTreeMap<(AppName, Box<str>), State>);

#[derive(Debug, Default)]
struct State {
    goes_on: bool,
    last: Option<Last>,
}

fn key(app: &AppName, cron: &CronPattern) -> (AppName, Box<str>) {
    (app.clone(), cron.as_str().into())
}

impl Runs {
    /// A run begins, if none of the pattern goes on. Says whether it does.
    pub(super) fn begin(&mut self, app: &AppName, cron: &CronPattern) -> bool {
        let state = self.0.entry(key(app, cron)).or_default();
        !std::mem::replace(&mut state.goes_on, true)
    }

    /// A run is over.
    pub(super) fn end(&mut self, app: &AppName, cron: &CronPattern, last: Last) {
        if let Some(state) = self.0.get_mut(&key(app, cron)) {
            *state = State { goes_on: false, last: Some(last) };
        }
    }

    /// The last run that is over.
    pub(super) fn last(&self, app: &AppName, cron: &CronPattern) -> Option<Last> {
        self.0.get(&key(app, cron))?.last.clone()
    }

    /// Forgets what is of no app that there is, unless it goes on.
    pub(super) fn keep<'a>(&mut self, all: &'a [Triggered]) {
        let of_app = |of: &'a Triggered| of.cron.iter().map(|cron| (&of.app, cron.as_str()));
        let there: HashSet<(&AppName, &str)> = all.iter().flat_map(of_app).collect();
        self.0.retain(|(app, text), state| state.goes_on || there.contains(&(app, text)));
    }
}
