//! Wasmtime's engines, one for each compiler and version of WASI that apps ask for: how they compile, where instances
//! lie, what they may import.

use nexus_core::{WasiVersion, WasmCompiler};
use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};
use wasmtime_wasi::WasiView;
use wasmtime_wasi_http::WasiHttpView;

use crate::error::one_line;
use crate::state::State;

/// Component instances in the process at once. More wait.
const INSTANCES: u32 = 1000;
/// Core instances, tables and memories for each component instance, on average.
const PARTS: u32 = 3;
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
    pool.total_memories(INSTANCES * 2);
    pool.total_tables(INSTANCES * PARTS);
    pool.total_stacks(INSTANCES);
    pool.max_memory_size(MEMORY);
    pool.table_elements(TABLE_ELEMENTS);
    pool.max_memories_per_component(100);
    pool.max_tables_per_component(100);
    pool.max_core_instances_per_component(100);
    pool.max_memories_per_module(100);
    pool.max_tables_per_module(100);
    pool.linear_memory_keep_resident(RESIDENT_MEMORY);
    pool.table_keep_resident(RESIDENT_TABLE);
    pool.async_stack_keep_resident(RESIDENT_STACK);
    pool.pagemap_scan(Enabled::Auto);
    let mut config = config.clone();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// All of WASI up to a version: who speaks 0.3 may have parts that speak 0.2. What is linked is not granted: without
/// folders and sockets the calls find none.
pub(crate) fn linker<T>(engine: &Engine, wasi: WasiVersion) -> wasmtime::Result<Linker<T>>
where
    T: WasiView + WasiHttpView + 'static,
{
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    if wasi == WasiVersion::V0_3 {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    Ok(linker)
}
