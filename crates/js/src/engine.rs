//! The JavaScript engine: makes guests.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use nexus_core::{App, Limit, Limits};
use nexus_guest::{Engine, Guest, LoadError, Services};

use crate::guest::JsGuest;
use crate::isolate::Isolate;

/// Makes JavaScript guests. V8 must have been [initialized](crate::initialize).
#[derive(Debug, Default)]
pub struct JsEngine;

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
        Box::pin(async move {
            let guest = JsGuest::load(&app, services, |_| Some(())).await?;
            Ok(Rc::new(guest) as Rc<dyn Guest>)
        })
    }
}
