//! What an instance's store holds: its WASI, its resources, its limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nexus_core::WasmSection;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::account::{Account, WorkerMemory};
use crate::bound::{HasBindings, View};
use crate::hooks::Hooks;
use crate::outgoing::Outgoing;
use crate::output::{Console, Output};
use crate::sockets::{HasReach, Reach};

/// The most handles of resources that an instance may hold for a request: streams, fields, pollables; and as many
/// tasks, streams and futures of WASI 0.3.
pub(crate) const RESOURCES: usize = 512;
/// The same where folders are granted, as each may be an open file; the most sockets; and of all instances of a worker
/// together.
pub(crate) const FILES: usize = 128;
pub(crate) const FILES_OF_ALL: usize = 2048;
/// The most handles in a component's own tables, for a request: some bytes each that nothing else counts.
pub(crate) const HANDLES: usize = 10_000;
/// The most that header fields which the guest makes may take, in bytes. Nothing counts them as memory: with the number
/// of handles, and with what [`crate::hooks`] says of a request's other parts, this bounds what an instance has the host
/// hold.
const FIELDS: usize = 32 * 1024;
/// The most that a guest may pass in one call of the host's functions, in bytes. What goes through streams is passed in
/// pieces of 1 MB at the most, a call's datagrams are as much together. Where folders are granted, a file may be written
/// at once.
pub(crate) const PASSED: usize = 4 << 20;
pub(crate) const PASSED_TO_FILES: usize = 64 << 20;

/// What an instance may have of what only Wasmtime counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Elements of all its tables together.
    pub(crate) table_elements: usize,
    /// Core instances, tables, memories: of each so many.
    pub(crate) items: usize,
}

impl Bounds {
    /// What the app's manifest says.
    pub(crate) fn of(wasm: &WasmSection) -> Self {
        Self { table_elements: wasm.tables as usize, items: wasm.instances as usize }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { table_elements: 100_000, items: 100 }
    }
}

/// What an instance says and sends to the world.
pub(crate) struct Net {
    pub(crate) console: Console,
    pub(crate) outgoing: Outgoing,
    pub(crate) reach: Arc<Reach>,
}

/// A store's data.
pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks<Outgoing>,
    reach: Arc<Reach>,
    console: Console,
    table: ResourceTable,
    /// Whose CPU time it is that the instance takes.
    pub(crate) account: Arc<Account>,
    pub(crate) limiter: Limiter,
}

impl State {
    /// For an instance that may have so many handles of resources.
    pub(crate) fn new(
        wasi: WasiCtx,
        net: Net,
        account: Arc<Account>,
        limiter: Limiter,
        resources: usize,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(resources);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS);
        let Net { console, outgoing, reach } = net;
        Self { wasi, http, hooks: Hooks(outgoing), reach, console, table, account, limiter }
    }

    /// The instance serves another request from here on.
    pub(crate) fn turn_to(&mut self, output: Arc<Output>, account: Arc<Account>, outgoing: Outgoing) {
        self.console.turn_to(output);
        self.reach.turn_to(outgoing.clone());
        self.hooks.0 = outgoing;
        self.account = account;
    }
}

impl HasReach for State {
    fn reach(&self) -> &Arc<Reach> {
        &self.reach
    }
}

impl HasBindings for State {
    fn bindings(&mut self) -> View<'_> {
        View { table: &mut self.table, outgoing: &self.hooks.0 }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Holds an instance to its bounds, and its worker to its memory limit.
pub(crate) struct Limiter {
    memory: Arc<WorkerMemory>,
    /// Bytes that this store's memories have taken.
    taken: u64,
    /// Elements that its tables have taken.
    elements: usize,
    bounds: Bounds,
    /// Whether memory was refused. Whoever asked may go on, but if it traps, this is why.
    refused: Arc<AtomicBool>,
}

impl Limiter {
    pub(crate) fn new(memory: Arc<WorkerMemory>, bounds: Bounds) -> Self {
        memory.begin_instance();
        Self { memory, taken: 0, elements: 0, bounds, refused: Arc::default() }
    }

    /// Set once memory was refused.
    pub(crate) fn refused(&self) -> Arc<AtomicBool> {
        self.refused.clone()
    }

    /// Bytes that the store's memories have taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.memory.end_instance();
        self.memory.give(self.taken);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let fits = self.memory.take(more);
        if fits {
            self.taken += more;
        } else {
            self.refused.store(true, Ordering::Relaxed);
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self.elements.saturating_add(desired.saturating_sub(current));
        let fits = elements <= self.bounds.table_elements;
        if fits {
            self.elements = elements;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        self.bounds.items
    }

    fn tables(&self) -> usize {
        self.bounds.items
    }

    fn memories(&self) -> usize {
        self.bounds.items
    }
}

#[cfg(test)]
mod tests {
    use nexus_core::{Limit, Limits};
    use nexus_guest::Watch;

    use super::*;

    #[test]
    fn the_memories_of_all_stores_of_a_worker_are_counted_together() {
        let mut limits = Limits::default();
        limits.set(Limit::Memory, 1000);
        let memory = Arc::new(WorkerMemory::new(&limits, Arc::new(Watch::new())));
        let mut one = Limiter::new(memory.clone(), Bounds::default());
        let mut other = Limiter::new(memory.clone(), Bounds::default());
        assert!(one.memory_growing(0, 600, None).unwrap());
        assert!(!other.memory_growing(0, 600, None).unwrap());
        assert!(other.refused().load(Ordering::Relaxed) && !one.refused().load(Ordering::Relaxed));
        assert!(one.memory_growing(600, 1000, None).unwrap());
        assert_eq!((one.taken(), memory.total(), memory.instances()), (1000, 1000, 2));
        drop(one);
        assert_eq!((memory.total(), memory.instances()), (0, 1));
        assert!(other.memory_growing(0, 600, None).unwrap());
    }

    #[test]
    fn tables_are_bounded_together() {
        let memory = Arc::new(WorkerMemory::new(&Limits::default(), Arc::new(Watch::new())));
        let mut limiter = Limiter::new(memory, Bounds { table_elements: 10, items: 3 });
        assert!(limiter.table_growing(0, 6, None).unwrap());
        assert!(!limiter.table_growing(0, 5, None).unwrap());
        assert!(limiter.table_growing(6, 10, None).unwrap());
        assert_eq!((limiter.tables(), limiter.memories(), limiter.instances()), (3, 3, 3));
    }
}
