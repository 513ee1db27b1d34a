//! What a host makes its apps' entries of.

use std::sync::Arc;

use nexus_core::{App, HostConfig, Limit, PermissionKind};
use nexus_guest::{Capabilities, Capability, Engine, Grant, GrantPolicy, Grants};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::crew::{Change, Entry};
use crate::listen::Bound;
use crate::log::Logger;
use crate::pool::Pool;
use crate::watchdog::Watchdog;
use crate::worker::{Event, Files, Start};

/// All that workers of an app are started with beside the app itself.
pub(crate) struct Maker {
    pub(crate) config: Arc<HostConfig>,
    /// Variables for every app; they come before those of its manifest.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) engines: Vec<Arc<dyn Engine>>,
    pub(crate) logger: Logger,
    pub(crate) capabilities: Arc<dyn Capabilities>,
    /// What each app asks for, and gets.
    pub(crate) grants: Arc<Grants>,
    pub(crate) pool: Handle,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) blanks: Pool,
    /// Whether folders are watched for changes.
    pub(crate) watches: bool,
}

impl Maker {
    /// An app without workers.
    ///
    /// # Errors
    /// When no engine runs it.
    pub(crate) fn entry(
        &self,
        app: Arc<App>,
        index: usize,
        socket: Arc<Bound>,
        files: Option<Files>,
    ) -> Result<Arc<Entry>, String> {
        let start = Start {
            index,
            engine: self.engine(&app)?,
            mail: app.manifest.http.is_shared().then(Arc::default),
            socket,
            config: self.config.clone(),
            env: self.variables(&app),
            grants: self.granted(&app, files.is_some()),
            logger: self.logger.clone(),
            capabilities: self.capabilities.clone(),
            pool: self.pool.clone(),
            events: self.events.clone(),
            watchdog: self.watchdog.clone(),
            interventions: Arc::default(),
            blanks: self.blanks.clone(),
            kept: (self.watches && files.is_none()).then(Arc::default),
            files,
            app,
        };
        Ok(Arc::new(Entry::new(Arc::new(start), index)))
    }

    /// Another version of an app.
    ///
    /// # Errors
    /// When no engine runs it.
    pub(crate) fn change(&self, app: Arc<App>, files: Option<Files>) -> Result<Change, String> {
        let engine = self.engine(&app)?;
        let grants = self.granted(&app, files.is_some());
        Ok(Change { engine, env: self.variables(&app), grants, app, files })
    }

    /// What the app gets of what its bindings ask for: all, unless it was deployed.
    fn granted(&self, app: &App, is_deployed: bool) -> Vec<Arc<Grant>> {
        let policy = if is_deployed { self.policy() } else { GrantPolicy::All };
        let quota = app.manifest.limits.get(Limit::KvStorage);
        self.grants.enter(app.name(), policy, &app.manifest.bindings, quota)
    }

    /// What deployed apps get without a rule.
    pub(crate) fn policy(&self) -> GrantPolicy {
        let allow = &self.config.deploy.allow;
        let capability = |kind: &PermissionKind| match kind {
            PermissionKind::Kv => Some(Capability::Kv),
            PermissionKind::Read | PermissionKind::Write | PermissionKind::Net => None,
        };
        GrantPolicy::Own(allow.iter().filter_map(capability).collect())
    }

    /// What runs the app's code; nothing for an app of static files only.
    fn engine(&self, app: &App) -> Result<Option<Arc<dyn Engine>>, String> {
        let Some(main) = &app.main else { return Ok(None) };
        let engine = self.engines.iter().find(|engine| engine.runs(main));
        Ok(Some(engine.ok_or_else(|| format!("no engine runs the main file `{main}`"))?.clone()))
    }

    /// The app's variables: those of the command line come before those of its manifest.
    fn variables(&self, app: &App) -> Vec<(String, String)> {
        let mut variables = app.manifest.env.clone();
        for (name, value) in &self.env {
            match variables.iter_mut().find(|(own, _)| own == name) {
                Some(own) => own.1.clone_from(value),
                None => variables.push((name.clone(), value.clone())),
            }
        }
        variables
    }
}
