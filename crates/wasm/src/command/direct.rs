//! Core modules of WASI preview 1, run as they are.
//!
//! Modules that import nothing else need no adapter, and some fare badly with it: it keeps its state in memory that
//! it takes from the module, which modules without an allocator for it (AssemblyScript's) overwrite; and it traps for
//! arguments and variables of more than 64 KB, for paths that are not UTF-8 and for functions of sockets, where
//! preview 1 wants an error number, and has 128 descriptors.

use std::sync::Arc;

use wasmtime::{Engine, ExternType, InstancePre, Linker};
use wasmtime_wasi::I32Exit;

use super::module::{ModuleState, compiled, unknown_imports};
use super::program::no_program;
use super::{Inner, Policy, RunError, linked, preview1};

/// WASI preview 1, whose functions may wait. What is linked is not granted.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<ModuleState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, ModuleState::wasi)?;
    exits_with_any_code(&mut linker)?;
    Ok(linker)
}

/// Has `proc_exit` take every code: Wasmtime's own calls those from 126 on invalid.
pub(super) fn exits_with_any_code(linker: &mut Linker<ModuleState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap(preview1::NAME, "proc_exit", |code: i32| -> wasmtime::Result<()> {
        Err(I32Exit(code).into())
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// A command that is a module: compiled or taken from the cache, and linked.
///
/// # Errors
/// When it is not valid, imports an unknown function, or exports no `_start` or no memory.
pub(super) fn load(
    inner: &Arc<Inner>,
    name: &str,
    bytes: &[u8],
) -> Result<InstancePre<ModuleState>, RunError> {
    let module = compiled(inner, name, bytes)?;
    let is_start = match module.get_export("_start") {
        Some(ExternType::Func(ty)) => ty.params().len() == 0 && ty.results().len() == 0,
        _ => false,
    };
    let has_memory = matches!(module.get_export("memory"), Some(ExternType::Memory(_)));
    if !is_start || (!has_memory && module.imports().len() > 0) {
        return Err(no_program(name, &module, "its _start is no function without parameters and results"));
    }
    linked(name, &unknown_imports(&module), || inner.commands.instantiate_pre(&module))
}

/// Runs it in a fresh instance.
///
/// # Errors
/// As [`super::Command::run`]; an exit is an error too.
pub(super) fn run(inner: &Inner, pre: &InstancePre<ModuleState>, policy: &Policy) -> Result<(), RunError> {
    inner.within(policy, ModuleState::new(policy)?, async |store| {
        // What a call of the host's may take: never more than what the module can name.
        let most = usize::try_from(policy.memory).unwrap_or(usize::MAX);
        store.set_hostcall_fuel(most.max(store.hostcall_fuel()));
        let instance = pre.instantiate_async(&mut *store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
        start.call_async(store, ()).await
    })
}
