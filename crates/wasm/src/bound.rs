//! What a store's functions see of the app's bindings, and of its settings.

use wasmtime::component::ResourceTable;

use crate::outgoing::Outgoing;

/// A store that has bindings.
pub(crate) trait HasBindings: Send {
    /// What the functions see of it.
    fn bindings(&mut self) -> View<'_>;
}

/// What the functions see of a store.
pub(crate) struct View<'a> {
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) outgoing: &'a Outgoing,
}
