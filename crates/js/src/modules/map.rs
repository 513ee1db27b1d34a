//! The modules of one guest that were compiled so far.

use std::collections::HashMap;

use nexus_guest::ModulePath;

use super::request::Kind;

/// A module and what belongs to it.
type With<T> = (v8::Global<v8::Module>, T);

/// Modules by place and kind, and back from V8's module to its place.
#[derive(Default)]
pub(crate) struct ModuleMap {
    modules: HashMap<(ModulePath, Kind), v8::Global<v8::Module>>,
    /// By V8's identity hash, which two modules may share.
    places: HashMap<i32, Vec<With<ModulePath>>>,
    /// What the synthetic modules (JSON, text, bytes, WebAssembly) will export as `default`.
    values: HashMap<i32, Vec<With<v8::Global<v8::Value>>>>,
}

impl ModuleMap {
    pub(crate) fn get(&self, path: &ModulePath, kind: Kind) -> Option<v8::Global<v8::Module>> {
        self.modules.get(&(path.clone(), kind)).cloned()
    }

    pub(crate) fn insert(&mut self, path: ModulePath, kind: Kind, hash: i32, module: v8::Global<v8::Module>) {
        self.places.entry(hash).or_default().push((module.clone(), path.clone()));
        self.modules.insert((path, kind), module);
    }

    /// The place of a module that V8 names.
    pub(crate) fn place(&self, hash: i32, module: &v8::Global<v8::Module>) -> Option<ModulePath> {
        self.places.get(&hash)?.iter().find(|(m, _)| m == module).map(|(_, path)| path.clone())
    }

    pub(crate) fn set_value(
        &mut self,
        hash: i32,
        module: v8::Global<v8::Module>,
        value: v8::Global<v8::Value>,
    ) {
        self.values.entry(hash).or_default().push((module, value));
    }

    /// The value of a synthetic module, once.
    pub(crate) fn take_value(
        &mut self,
        hash: i32,
        module: &v8::Global<v8::Module>,
    ) -> Option<v8::Global<v8::Value>> {
        let values = self.values.get_mut(&hash)?;
        let index = values.iter().position(|(m, _)| m == module)?;
        Some(values.swap_remove(index).1)
    }

    /// Forgets a module that could not be linked, so that it can be tried again.
    pub(crate) fn remove(&mut self, path: &ModulePath, kind: Kind) {
        let Some(module) = self.modules.remove(&(path.clone(), kind)) else { return };
        self.places.retain(|_, places| {
            places.retain(|(other, _)| *other != module);
            !places.is_empty()
        });
        self.values.retain(|_, values| {
            values.retain(|(other, _)| *other != module);
            !values.is_empty()
        });
    }
}
