//! The JavaScript engine: makes guests.

use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::LocalBoxFuture;
use nexus_core::{App, Limit, Limits};
use nexus_guest::{Engine, Guest, Level, LoadError, LogRecord, Services};

use crate::code::ModuleCache;
use crate::guest::JsGuest;
use crate::isolate::Isolate;

/// Makes JavaScript guests. V8 must have been [initialized](crate::initialize).
#[derive(Debug, Default)]
pub struct JsEngine {
    cache: Option<ModuleCache>,
    /// What the first app's log is to be told.
    note: Mutex<Option<String>>,
}

impl JsEngine {
    /// An engine that compiles all anew.
    pub fn new() -> Self {
        Self::default()
    }

    /// An engine that keeps compiled modules in this folder, which is made if it is not there. Where that cannot be, all
    /// is compiled anew, and the log of the first app that is loaded says why.
    pub fn with_cache(folder: &Path) -> Self {
        match ModuleCache::open(folder) {
            Ok(cache) => Self { cache: Some(cache), note: Mutex::default() },
            Err(error) => {
                Self { cache: None, note: Mutex::new(Some(format!("compiled code is not kept: {error}"))) }
            }
        }
    }
}

impl Engine for JsEngine {
    fn name(&self) -> &'static str {
        "js"
    }

    fn runs(&self, main: &str) -> bool {
        main.ends_with(".js") || main.ends_with(".mjs")
    }

    fn prepares(&self) -> bool {
        true
    }

    fn prepare(&self, limits: &Limits) {
        Isolate::prepare(limits.get(Limit::Memory));
    }

    fn discard(&self) {
        Isolate::discard();
    }

    fn load(
        &self,
        app: Arc<App>,
        services: Services,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Guest>, LoadError>> {
        let cache = self.cache.clone();
        let note = self.note.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(message) = note {
            services.log.log(LogRecord { level: Level::Warn, request: None, message, stack: None });
        }
        Box::pin(async move {
            let guest = JsGuest::load(&app, services, cache, |_| Some(())).await?;
            Ok(Rc::new(guest) as Rc<dyn Guest>)
        })
    }
}
