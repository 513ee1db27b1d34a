//! A component's functions called by name, with arguments and results as WAVE: the text for values of the component
//! model (`42`, `"text"`, `[1, 2]`, `{name: "a"}`, `some(1)`).

use nexus_core::WasiVersion;
use wasmtime::Store;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::wasm_wave::wasm::DisplayType;
use wasmtime::component::{Component, Func, Type, Val};

use super::program::{Code, ProgramState, functions};
use super::{Command, Policy, RunError, no_export};

impl Command {
    /// Calls a function that the component exports, in a fresh instance. Arguments and results are WAVE. The function
    /// of an interface is named `INTERFACE#FUNCTION`, or by its own name if no other has that.
    ///
    /// # Errors
    /// When there is no such function, an argument does not fit its type, the function traps or comes to a limit, or
    /// ends the program by an exit. Refused on a thread that runs an event loop.
    pub fn call(&self, policy: &Policy, name: &str, args: &[&str]) -> Result<Vec<String>, RunError> {
        let Code::Component(pre) = &self.code else {
            return Err(RunError::Refused(format!("{} is a core module, not a component", self.name)));
        };
        let full = self.resolve(name)?;
        let (ty, path) = self.function(pre.component(), &full).ok_or_else(|| self.no_function(name))?;
        let values = values(&full, &ty, args)?;
        let results = self.with_store(policy, async |store| {
            let instance = pre.instantiate_async(&mut *store).await?;
            let mut index = None;
            for part in path {
                index = instance.get_export_index(&mut *store, index.as_ref(), part);
            }
            let function = index.and_then(|index| instance.get_func(&mut *store, index));
            match function {
                Some(function) => call(store, function, &values, ty.results().len(), self.inner.wasi).await,
                None => Err(wasmtime::Error::msg("the instance lacks what the component exports")),
            }
        })?;
        let shown = results.iter().map(|value| {
            let why = |error| RunError::Refused(format!("the result of {full} cannot be shown: {error}"));
            value.to_wave().map_err(why)
        });
        shown.collect()
    }

    /// The whole name of a function.
    fn resolve(&self, name: &str) -> Result<String, RunError> {
        let functions = functions(&self.exports());
        if functions.iter().any(|item| item.name == name) {
            return Ok(name.to_owned());
        }
        let mut alike =
            functions.iter().filter(|item| item.name.split_once('#').is_some_and(|(_, f)| f == name));
        match (alike.next(), alike.next()) {
            (Some(one), None) => Ok(one.name.clone()),
            _ => Err(self.no_function(name)),
        }
    }

    fn no_function(&self, name: &str) -> RunError {
        no_export(&self.name, name, &functions(&self.exports()))
    }

    /// A function's type, and the names that lead to it.
    fn function<'n>(&self, component: &Component, full: &'n str) -> Option<(ComponentFunc, Vec<&'n str>)> {
        let ty = component.component_type();
        let engine = &self.inner.engine;
        let (item, path) = match full.split_once('#') {
            None => (ty.get_export(engine, full)?.ty, vec![full]),
            Some((interface, function)) => {
                let ComponentItem::ComponentInstance(instance) = ty.get_export(engine, interface)?.ty else {
                    return None;
                };
                (instance.get_export(engine, function)?.ty, vec![interface, function])
            }
        };
        match item {
            ComponentItem::ComponentFunc(function) => Some((function, path)),
            _ => None,
        }
    }
}

async fn call(
    store: &mut Store<ProgramState>,
    function: Func,
    values: &[Val],
    results: usize,
    wasi: WasiVersion,
) -> wasmtime::Result<Vec<Val>> {
    let mut out = vec![Val::Bool(false); results];
    if wasi == WasiVersion::V0_3 {
        store.run_concurrent(async |store| function.call_concurrent(store, values, &mut out).await).await??;
    } else {
        function.call_async(store, values, &mut out).await?;
    }
    Ok(out)
}

/// The arguments as values of the parameters' types.
fn values(name: &str, ty: &ComponentFunc, args: &[&str]) -> Result<Vec<Val>, RunError> {
    let params: Vec<(&str, Type)> = ty.params().collect();
    if params.len() != args.len() {
        return Err(RunError::Refused(format!(
            "{name} takes {}, not {}: {}",
            super::module::count(params.len()),
            args.len(),
            function_type(ty)
        )));
    }
    let values = params.iter().zip(args).map(|((param, ty), arg)| {
        Val::from_wave(ty, arg).map_err(|error| {
            let error = error.to_string();
            let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
            let hint = if *ty == Type::String { ", in quotes" } else { "" };
            RunError::Refused(format!(
                "{name}: {param} is a {}{hint}, and {arg:?} is none ({error})",
                DisplayType(ty)
            ))
        })
    });
    values.collect()
}

/// A function's type as WIT has it.
pub(super) fn function_type(ty: &ComponentFunc) -> String {
    let params: Vec<String> = ty.params().map(|(name, ty)| format!("{name}: {}", DisplayType(&ty))).collect();
    let result = ty.results().next().map(|ty| format!(" -> {}", DisplayType(&ty))).unwrap_or_default();
    format!("func({}){result}", params.join(", "))
}
