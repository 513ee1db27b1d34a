//! Commands: components that export `wasi:cli/run`, and what is made into one.

use std::sync::Arc;

use nexus_core::WasiVersion;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p3};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::budget::RunLimiter;
use super::invoke::function_type;
use super::module::ModuleState;
use super::net::{Ends, Net};
use super::{FileKind, Inner, Item, Limited, Policy, RunError, direct, linked, preview1};
use crate::bound::{HasBindings, View};
use crate::cache::Cache;
use crate::error::one_line;
use crate::hooks::Hooks;
use crate::inspect::unknown_imports;
use crate::outgoing::Outgoing;
use crate::sockets::{HasReach, Reach};

/// What a command exports.
const RUN: &str = "wasi:cli/run";
/// The most handles of resources that a program may hold: files, streams, pollables.
pub(super) const RESOURCES: usize = 100_000;

/// A program that is compiled and linked: a component, or a core module of WASI preview 1.
pub struct Command {
    pub(super) inner: Arc<Inner>,
    pub(super) name: String,
    pub(super) code: Code,
}

/// What a command is when it is linked.
pub(super) enum Code {
    /// A component, or what the adapter made of a module that imports more than preview 1.
    Component(InstancePre<ProgramState>),
    /// A module that imports preview 1 alone.
    Module(wasmtime::InstancePre<ModuleState>),
}

impl Command {
    pub(super) fn load(
        inner: Arc<Inner>,
        name: &str,
        bytes: &[u8],
        kind: FileKind,
    ) -> Result<Self, RunError> {
        if kind == FileKind::Module && preview1::is_all_it_imports(bytes) {
            let code = Code::Module(direct::load(&inner, name, bytes)?);
            return Ok(Self { inner, name: name.to_owned(), code });
        }
        let component = compiled(&inner, name, bytes, kind)?;
        let pre = linked(name, &unknown_imports(&inner.engine, &component, inner.wasi), || {
            inner.components.instantiate_pre(&component)
        })?;
        Ok(Self { inner, name: name.to_owned(), code: Code::Component(pre) })
    }

    /// What it imports: interfaces, mostly, or the functions of a core module.
    pub fn imports(&self) -> Vec<Item> {
        let ty = match &self.code {
            Code::Component(pre) => pre.component().component_type(),
            Code::Module(pre) => return super::module::imports(pre.module()),
        };
        let imports = ty.imports(&self.inner.engine);
        imports.map(|(name, item)| Item { name: name.to_owned(), ty: type_text(&item.ty) }).collect()
    }

    /// What it exports, the functions of its interfaces by their own names: `wasi:cli/run@0.2.6#run`.
    pub fn exports(&self) -> Vec<Item> {
        let ty = match &self.code {
            Code::Component(pre) => pre.component().component_type(),
            Code::Module(pre) => return super::module::exports(pre.module()),
        };
        let mut items = Vec::new();
        for (name, item) in ty.exports(&self.inner.engine) {
            match item.ty {
                ComponentItem::ComponentInstance(interface) => {
                    for (function, item) in interface.exports(&self.inner.engine) {
                        let name = format!("{name}#{function}");
                        items.push(Item { name, ty: type_text(&item.ty) });
                    }
                }
                ty => items.push(Item { name: name.to_owned(), ty: type_text(&ty) }),
            }
        }
        items
    }

    /// Runs it as a command, in a fresh instance, and gives its exit code.
    ///
    /// # Errors
    /// When it does not export `wasi:cli/run` (0.2 or 0.3) or is not granted what the policy names, traps, or comes to a
    /// limit. Refused on a thread that runs an event loop.
    pub fn run(&self, policy: &Policy) -> Result<u8, RunError> {
        let result = match &self.code {
            Code::Component(pre) => self.run_component(pre, policy),
            Code::Module(pre) => {
                policy.for_module(&self.name)?;
                direct::run(&self.inner, pre, policy).map(Ok)
            }
        };
        match result {
            Ok(Ok(())) => Ok(0),
            Ok(Err(())) => Ok(1),
            Err(RunError::Exited(code)) => Ok(code),
            Err(error) => Err(error),
        }
    }

    fn run_component(
        &self,
        pre: &InstancePre<ProgramState>,
        policy: &Policy,
    ) -> Result<Result<(), ()>, RunError> {
        // A component of 0.3 may still export 0.2's.
        if self.inner.wasi == WasiVersion::V0_3
            && let Ok(pre) = p3::bindings::CommandPre::new(pre.clone())
        {
            return self.with_store(policy, async |store| {
                let command = pre.instantiate_async(&mut *store).await?;
                store.run_concurrent(async |store| command.wasi_cli_run().call_run(store).await).await?
            });
        }
        let pre = CommandPre::new(pre.clone()).map_err(|_| self.no_command())?;
        self.with_store(policy, async |store| {
            let command = pre.instantiate_async(&mut *store).await?;
            command.wasi_cli_run().call_run(store).await
        })
    }

    /// Does something with a fresh store within the limits.
    pub(super) fn with_store<T>(
        &self,
        policy: &Policy,
        call: impl AsyncFnOnce(&mut Store<ProgramState>) -> wasmtime::Result<T>,
    ) -> Result<T, RunError> {
        let limiter = RunLimiter::new(policy);
        let (net, ends) = Net::new(&*self.inner.capabilities, policy, limiter.memory())?;
        let state = ProgramState::new(policy, ends, limiter)?;
        self.inner.within(policy, state, async move |store| net.beside(call(store)).await)
    }

    /// That it is no command, and what it is instead.
    fn no_command(&self) -> RunError {
        let name = &self.name;
        let exports = self.exports();
        let other = |interface: &str| exports.iter().find(|item| item.name.starts_with(interface));
        RunError::Refused(if let Some(run) = other(RUN) {
            let version = run.name.split('#').next().unwrap_or_default();
            format!("{name} exports {version}: commands of WASI 0.2 and 0.3 are run")
        } else if other("wasi:http/").is_some() {
            format!("{name} is a service, not a command: `nexus serve` serves it")
        } else {
            let functions = functions(&exports);
            let names: Vec<&str> = functions.iter().map(|item| item.name.as_str()).collect();
            match names.is_empty() {
                true => format!("{name} is no command: it does not export {RUN}"),
                false => format!(
                    "{name} is no command: it does not export {RUN}; --invoke calls one of {}",
                    names.join(", ")
                ),
            }
        })
    }
}

/// Those that are functions.
pub(super) fn functions(items: &[Item]) -> Vec<Item> {
    items.iter().filter(|item| item.ty.starts_with("func")).cloned().collect()
}

/// Compiles a component, or the one that is made of a module.
pub(super) fn compiled(
    inner: &Inner,
    name: &str,
    bytes: &[u8],
    kind: FileKind,
) -> Result<Component, RunError> {
    let made_by = if kind == FileKind::Module { preview1::VERSION } else { "" };
    let compile = || {
        let made = match kind {
            FileKind::Component => None,
            FileKind::Module => Some(made_of_module(&inner.engine, name, bytes)?),
        };
        let component = Component::from_binary(&inner.engine, made.as_deref().unwrap_or(bytes));
        component
            .map_err(|error| RunError::Refused(format!("{name} is no valid component: {}", one_line(&error))))
    };
    inner.compiled(&inner.key(bytes, made_by), Cache::load, compile, Component::serialize)
}

/// Whether the adapter makes a command of a core module.
pub(super) fn is_command(inner: &Inner, name: &str, bytes: &[u8]) -> Result<bool, RunError> {
    let is_valid = wasmtime::Module::validate(&inner.engine, bytes);
    is_valid
        .map_err(|error| RunError::Refused(format!("{name} is no valid module: {}", one_line(&error))))?;
    Ok(preview1::componentise(bytes).is_ok())
}

/// A component that is made of a core module.
fn made_of_module(engine: &Engine, name: &str, bytes: &[u8]) -> Result<Vec<u8>, RunError> {
    // What comes next trusts it to be valid.
    wasmtime::Module::validate(engine, bytes)
        .map_err(|error| RunError::Refused(format!("{name} is no valid module: {}", one_line(&error))))?;
    preview1::componentise(bytes).map_err(|why| match wasmtime::Module::new(engine, bytes) {
        Ok(module) => no_program(name, &module, &why),
        Err(_) => RunError::Refused(format!("{name} cannot be run as a command: {why}")),
    })
}

/// Why a module is no command.
pub(super) fn no_program(name: &str, module: &wasmtime::Module, why: &str) -> RunError {
    let refused = |text: String| RunError::Refused(format!("{name} {text}"));
    let unknown = super::module::unknown_imports(module);
    if !unknown.is_empty() {
        return refused(format!("imports what nothing provides: {}", unknown.join(", ")));
    }
    let exports = super::module::exports(module);
    if exports.iter().any(|item| item.name == "_start") {
        if !exports.iter().any(|item| item.name == "memory") {
            return refused(
                "cannot be run as a command: it exports no memory, as WASI preview 1 wants it".into(),
            );
        }
        return refused(format!("cannot be run as a command: {why}"));
    }
    let functions = functions(&exports);
    let names: Vec<&str> = functions.iter().map(|item| item.name.as_str()).collect();
    let hint = match names.is_empty() {
        true => String::new(),
        false => format!("; --invoke calls one of {}", names.join(", ")),
    };
    refused(format!("is no command: it does not export _start{hint}"))
}

fn type_text(item: &ComponentItem) -> String {
    match item {
        ComponentItem::ComponentFunc(function) => function_type(function),
        ComponentItem::CoreFunc(function) => super::module::function_type(function),
        ComponentItem::ComponentInstance(_) => "interface".into(),
        ComponentItem::Module(_) => "module".into(),
        ComponentItem::Component(_) => "component".into(),
        ComponentItem::Type(_) => "type".into(),
        ComponentItem::Resource(_) => "resource".into(),
    }
}

/// A store's data.
pub(super) struct ProgramState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks<Outgoing>,
    reach: Arc<Reach>,
    table: ResourceTable,
    pub(super) limiter: RunLimiter,
}

impl ProgramState {
    fn new(policy: &Policy, ends: Ends, limiter: RunLimiter) -> Result<Self, RunError> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        let wasi = policy.wasi()?.build();
        let Ends { outgoing, reach } = ends;
        Ok(Self { wasi, http: WasiHttpCtx::new(), hooks: Hooks(outgoing), reach, table, limiter })
    }
}

impl HasReach for ProgramState {
    fn reach(&self) -> &Arc<Reach> {
        &self.reach
    }
}

impl Limited for ProgramState {
    fn limiter(&mut self) -> &mut RunLimiter {
        &mut self.limiter
    }
}

impl HasBindings for ProgramState {
    fn bindings(&mut self) -> View<'_> {
        View { table: &mut self.table, outgoing: &self.hooks.0 }
    }
}

impl WasiView for ProgramState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for ProgramState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}
