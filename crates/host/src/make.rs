//! What a host makes its apps' entries of.

use std::sync::Arc;

use nexus_core::{App, HostConfig, PermissionKind};
use nexus_guest::{Capabilities, Capability, Engine, Grant, GrantPolicy, Grants};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::crew::{Change, Entry};
use crate::host_env::HostEnv;
use crate::inside::Inside;
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
    /// The host's own, of which apps may be granted some.
    pub(crate) host_env: Arc<HostEnv>,
    pub(crate) engines: Vec<Arc<dyn Engine>>,
    pub(crate) logger: Logger,
    pub(crate) capabilities: Arc<dyn Capabilities>,
    /// What each app asks for, and gets.
    pub(crate) grants: Arc<Grants>,
    pub(crate) pool: Handle,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) blanks: Pool,
    /// The way from app to app.
    pub(crate) inside: Arc<Inside>,
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
        let engine = self.engine(&app)?;
        let (app, grants) = self.granted(app, files.is_some());
        let start = Start {
            index,
            engine,
            is_shared: app.manifest.http.is_shared(),
            mail: Arc::default(),
            inside: self.inside.clone(),
            socket,
            config: self.config.clone(),
            env: self.env.clone(),
            host_env: self.host_env.clone(),
            grants,
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
        let (app, grants) = self.granted(app, files.is_some());
        Ok(Change { engine, grants, app, files })
    }

    /// The app with what it gets of what it asks for: all, unless it was deployed. Its bindings' are given beside it.
    fn granted(&self, app: Arc<App>, is_deployed: bool) -> (Arc<App>, Vec<Arc<Grant>>) {
        let policy = if is_deployed { self.policy() } else { GrantPolicy::All };
        let mut app = Arc::unwrap_or_clone(app);
        let grants = self.grants.enter(policy, &mut app.manifest);
        (Arc::new(app), grants)
    }

    /// What deployed apps get without a rule.
    pub(crate) fn policy(&self) -> GrantPolicy {
        let allow = &self.config.deploy.allow;
        let capability = |kind: &PermissionKind| match kind {
            PermissionKind::Read => Capability::Read,
            PermissionKind::Write => Capability::Write,
            PermissionKind::Net => Capability::Net,
            PermissionKind::Env => Capability::Env,
            PermissionKind::Kv => Capability::Kv,
            PermissionKind::Sql => Capability::Sql,
        };
        GrantPolicy::Own(allow.iter().map(capability).collect())
    }

    /// What runs the app's code; nothing for an app of static files only.
    fn engine(&self, app: &App) -> Result<Option<Arc<dyn Engine>>, String> {
        let Some(main) = &app.main else { return Ok(None) };
        let engine = self.engines.iter().find(|engine| engine.runs(main));
        Ok(Some(engine.ok_or_else(|| format!("no engine runs the main file `{main}`"))?.clone()))
    }
}
