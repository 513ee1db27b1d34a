//! `[[routes]]`: which of an app's modules handles a request.

use nexus_core::{App, Routes};
use nexus_guest::{LoadError, ModulePath};

/// Finds the module for a request's URL.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    routes: Routes,
    /// For each route, its module's place among [`RouteTable::modules`].
    places: Vec<usize>,
    modules: Vec<String>,
}

impl RouteTable {
    /// The routes of this app.
    ///
    /// # Errors
    /// When two of them match the same paths; the manifest refuses that before.
    pub(crate) fn of(app: &App) -> Result<Self, LoadError> {
        let mut modules: Vec<String> = Vec::new();
        let mut place = |module: &String| match modules.iter().position(|other| other == module) {
            Some(place) => place,
            None => {
                modules.push(module.clone());
                modules.len() - 1
            }
        };
        let routes = &app.manifest.routes;
        let places = routes.iter().map(|route| place(&route.module)).collect();
        let routes = Routes::new(routes.iter().map(|route| route.path.clone()));
        let routes = routes.map_err(|_| LoadError::new("two routes match the same paths"))?;
        Ok(Self { routes, places, modules })
    }

    /// The modules that routes lead to, each once.
    ///
    /// # Errors
    /// For one that is not a module's path.
    pub(crate) fn modules(&self) -> Result<Vec<ModulePath>, LoadError> {
        let path = |module: &String| {
            ModulePath::new(module)
                .ok_or_else(|| LoadError::new(format!("\"{module}\" is not a module's path")))
        };
        self.modules.iter().map(path).collect()
    }

    /// The module's place for this absolute URL, and what the names in its route's path stand for. Nothing where the
    /// main module is to handle it.
    #[inline]
    pub(crate) fn find(&self, url: &str) -> Option<(usize, Vec<(String, String)>)> {
        if self.places.is_empty() { None } else { self.look_up(url) }
    }

    fn look_up(&self, url: &str) -> Option<(usize, Vec<(String, String)>)> {
        let (_, rest) = url.split_once("://")?;
        let path = rest.find('/').map_or("/", |start| &rest[start..]);
        let (route, values) = self.routes.lookup(path)?;
        Some((*self.places.get(route)?, values))
    }
}
