//! Wasmtime's engines, one for each compiler and version of WASI that apps ask for: how they compile, where instances
//! lie, what they may import.

use nexus_core::{WasiVersion, WasmCompiler};
use wasmtime::component::{Component, Linker};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};
use wasmtime_wasi_http::WasiHttpView;

use crate::bound::HasBindings;
use crate::error::one_line;
use crate::sockets::HasReach;
use crate::state::State;
use crate::{config, hooks, keyvalue, sockets, sql};

/// Component instances in the process at once, and the memories and tables that they have together. More wait.
const INSTANCES: u32 = 1000;
const MEMORIES: u32 = 2000;
const TABLES: u32 = 20_000;
/// The part of those that the instances of one worker may have.
const SHARE: u32 = 4;
/// Core instances, memories or tables of one component. Core instances have no place in the pool that others could
/// miss.
const PARTS: u32 = 100;
/// Calls at once: each has a stack, and within an instance of WASI 0.3 there may be several. For each the pool asks the
/// kernel to guard a page, when the process's first app is loaded.
const STACKS: u32 = INSTANCES;
/// A guest's stack, in bytes, where nothing else is asked for, and what the host's functions have on top of it.
const STACK: usize = 512 * 1024;
const HOST_STACK: usize = 512 * 1024;
/// Of what an instance leaves behind, so many bytes stay resident and are zeroed for the next one: a page fault costs
/// more than to zero a page.
const RESIDENT_MEMORY: usize = 256 * 1024;
const RESIDENT_TABLE: usize = 32 * 1024;
const RESIDENT_STACK: usize = 32 * 1024;
/// The most elements of a table, which the pool reserves addresses for.
const TABLE_ELEMENTS: usize = 1_000_000;
/// The largest memory: what 32 bits reach.
const MEMORY: usize = 4 << 30;

/// The engine and its linker.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    /// The latest WASI that it links.
    pub(crate) wasi: WasiVersion,
    /// Why there is no pool of instances, if there is none.
    pub(crate) without_pool: Option<String>,
}

impl Runtime {
    /// # Errors
    /// When Wasmtime does not run here at all, in one line.
    pub(crate) fn new(
        compiler: WasmCompiler,
        wasi: WasiVersion,
        stack: Option<usize>,
    ) -> Result<Self, String> {
        let config = config(compiler, wasi, stack).map_err(|error| one_line(&error))?;
        let (engine, without_pool) = match Engine::new(&with_pool(&config)) {
            Ok(engine) => (engine, None),
            // The pool reserves terabytes of addresses, which not every process may.
            Err(error) => (Engine::new(&config).map_err(|error| one_line(&error))?, Some(one_line(&error))),
        };
        let linker = linker(&engine, wasi).map_err(|error| one_line(&error))?;
        Ok(Self { engine, linker, wasi, without_pool })
    }
}

/// How many instances of a component one worker may have at once, so that others find a place in the pool.
pub(crate) fn at_once(component: &Component) -> usize {
    let needs = component.resources_required();
    let fit = |all: u32, each: u32| all / SHARE / each.max(1);
    let (memories, tables) = needs.map_or((PARTS, PARTS), |needs| (needs.num_memories, needs.num_tables));
    (INSTANCES / SHARE).min(fit(MEMORIES, memories)).min(fit(TABLES, tables)).max(1) as usize
}

pub(crate) fn config(
    compiler: WasmCompiler,
    wasi: WasiVersion,
    stack: Option<usize>,
) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    // A store that can run several calls at once costs more to make and to call: only where it is asked for.
    match wasi {
        WasiVersion::V0_2 => config.concurrency_support(false),
        WasiVersion::V0_3 => config.wasm_component_model_async(true),
    };
    match compiler {
        WasmCompiler::Cranelift => config.strategy(Strategy::Cranelift),
        WasmCompiler::Winch => config.strategy(Strategy::Winch),
        WasmCompiler::Pulley => config.target("pulley64")?,
    };
    config.epoch_interruption(true);
    let stack = stack.unwrap_or(STACK);
    config.max_wasm_stack(stack);
    config.async_stack_size(stack.saturating_add(HOST_STACK));
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config.memory_init_cow(true);
    Ok(config)
}

fn with_pool(config: &Config) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES);
    pool.total_core_instances(INSTANCES * PARTS);
    pool.total_memories(MEMORIES);
    pool.total_tables(TABLES);
    pool.total_stacks(STACKS);
    pool.max_memory_size(MEMORY);
    pool.table_elements(TABLE_ELEMENTS);
    pool.max_memories_per_component(PARTS);
    pool.max_tables_per_component(PARTS);
    pool.max_core_instances_per_component(PARTS);
    pool.max_memories_per_module(PARTS);
    pool.max_tables_per_module(PARTS);
    pool.linear_memory_keep_resident(RESIDENT_MEMORY);
    pool.table_keep_resident(RESIDENT_TABLE);
    pool.async_stack_keep_resident(RESIDENT_STACK);
    pool.pagemap_scan(Enabled::Auto);
    let mut config = config.clone();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// All of WASI up to a version: who speaks 0.3 may have parts that speak 0.2. What is linked is not granted: without
/// folders and grants of the network the calls find none.
pub(crate) fn linker<T>(engine: &Engine, wasi: WasiVersion) -> wasmtime::Result<Linker<T>>
where
    T: WasiHttpView + HasReach + HasBindings + 'static,
{
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let with_0_3 = wasi == WasiVersion::V0_3;
    if with_0_3 {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    hooks::link(&mut linker, with_0_3)?;
    sockets::link(&mut linker, with_0_3)?;
    keyvalue::link(&mut linker)?;
    sql::link(&mut linker)?;
    config::link(&mut linker)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_leaves_most_of_the_pool_to_others() {
        let engine = Engine::default();
        let at_once = |memories: usize, tables: usize| {
            let (memory, table) = ("(memory 1)".repeat(memories), "(table 1 funcref)".repeat(tables));
            let text =
                format!("(component (core module $m {memory} {table}) (core instance (instantiate $m)))");
            at_once(&Component::new(&engine, wat::parse_str(text).unwrap()).unwrap())
        };
        assert_eq!((at_once(0, 0), at_once(1, 1), at_once(2, 1)), (250, 250, 250));
        assert_eq!((at_once(10, 1), at_once(100, 1)), (50, 5));
        assert_eq!(at_once(1, 100), 50);
    }
}
