//! Core modules: their functions called by name, their memories read and written.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use wasmtime::{
    Engine, ExternType, FuncType, InstancePre, Linker, Memory, Mutability, Store, TypedFunc, Val, ValType,
    WasmParams, WasmResults,
};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p1::WasiP1Ctx;

use super::budget::{Budget, RunLimiter};
use super::direct::exits_with_any_code;
use super::program::{RESOURCES, functions};
use super::{FileKind, Inner, Item, Limited, Policy, RunError, linked, no_export, refuse_event_loop};
use crate::cache::Cache;
use crate::error::one_line;

/// A core module that is compiled and linked.
///
/// ```
/// use nexus_wasm::{Policy, Runner, Value, WasmConfig};
///
/// // (module (memory (export "mem") 1)
/// //   (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
/// let bytes = b"\0asm\x01\0\0\0\x01\x07\x01\x60\x02\x7f\x7f\x01\x7f\x03\x02\x01\0\x05\x03\x01\0\x01\
///     \x07\x0d\x02\x03mem\x02\0\x03add\0\0\x0a\x09\x01\x07\0\x20\0\x20\x01\x6a\x0b";
/// let runner = Runner::new(&WasmConfig::default())?;
/// let module = runner.module("add.wasm", bytes)?;
/// assert_eq!(module.exports()[1].ty, "func(i32, i32) -> i32");
///
/// let mut instance = module.instantiate(&Policy::default())?;
/// assert_eq!(instance.call("add", &[Value::I32(2), Value::I32(3)])?, [Value::I32(5)]);
/// // The same by its type, which is checked once.
/// let add = instance.function::<(i32, i32), i32>("add")?;
/// assert_eq!(instance.call_function(&add, (20, 22))?, 42);
///
/// instance.write("mem", 16, b"text")?;
/// let mut read = [0; 4];
/// instance.read("mem", 16, &mut read)?;
/// assert_eq!(&read, b"text");
/// # Ok::<(), nexus_wasm::RunError>(())
/// ```
pub struct Module {
    inner: Arc<Inner>,
    name: String,
    pre: InstancePre<ModuleState>,
}

/// A store's data.
pub(super) struct ModuleState {
    wasi: WasiP1Ctx,
    limiter: RunLimiter,
}

impl ModuleState {
    pub(super) fn new(policy: &Policy) -> Result<Self, RunError> {
        let mut wasi = policy.wasi()?.build_p1();
        wasi.ctx().table.set_max_capacity(RESOURCES);
        Ok(Self { wasi, limiter: RunLimiter::new(policy) })
    }

    pub(super) fn wasi(&mut self) -> &mut WasiP1Ctx {
        &mut self.wasi
    }
}

impl Limited for ModuleState {
    fn limiter(&mut self) -> &mut RunLimiter {
        &mut self.limiter
    }
}

/// WASI preview 1, for modules that import it. What is linked is not granted.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<ModuleState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_sync(&mut linker, ModuleState::wasi)?;
    exits_with_any_code(&mut linker)?;
    Ok(linker)
}

impl Module {
    pub(super) fn load(
        inner: Arc<Inner>,
        name: &str,
        bytes: &[u8],
        kind: FileKind,
    ) -> Result<Self, RunError> {
        if kind != FileKind::Module {
            return Err(RunError::Refused(format!("{name} is a component, not a core module")));
        }
        let module = compiled(&inner, name, bytes)?;
        let pre = linked(name, &unknown_imports(&module), || inner.modules.instantiate_pre(&module))?;
        Ok(Self { inner, name: name.to_owned(), pre })
    }

    /// What it imports, in the module's order.
    pub fn imports(&self) -> Vec<Item> {
        imports(self.pre.module())
    }

    /// What it exports, in the module's order.
    pub fn exports(&self) -> Vec<Item> {
        exports(self.pre.module())
    }

    /// The values for a function's parameters, of their texts: numbers as they are written in most languages, `0x`
    /// included.
    ///
    /// # Errors
    /// When there is no such function, or a text is no value of its parameter's type.
    pub fn parse_args(&self, function: &str, args: &[&str]) -> Result<Vec<Value>, RunError> {
        let ty = self.function_type(function)?;
        let expected = || format!("{function} is {}", function_type(&ty));
        if ty.params().len() != args.len() {
            let takes = count(ty.params().len());
            return Err(RunError::Refused(format!(
                "{function} takes {takes}, not {}: {}",
                args.len(),
                expected()
            )));
        }
        let values = ty.params().zip(args).map(|(ty, arg)| {
            let value = Value::parse(&ty, arg);
            value.ok_or_else(|| RunError::Refused(format!("{arg:?} is no {ty}: {}", expected())))
        });
        values.collect()
    }

    fn function_type(&self, function: &str) -> Result<FuncType, RunError> {
        match self.pre.module().get_export(function) {
            Some(ExternType::Func(ty)) => Ok(ty),
            _ => Err(no_export(&self.name, function, &functions(&self.exports()))),
        }
    }

    /// Makes an instance: its start function runs, and `_initialize` if it exports that.
    ///
    /// # Errors
    /// When the policy's folders cannot be opened, or the module traps or comes to a limit. Refused on a thread that
    /// runs an event loop.
    pub fn instantiate(&self, policy: &Policy) -> Result<Instance, RunError> {
        refuse_event_loop()?;
        policy.for_module(&self.name)?;
        let mut store = Store::new(&self.inner.engine, ModuleState::new(policy)?);
        store.limiter(|state| &mut state.limiter);
        let budget = Budget::new(policy);
        budget.watch(&mut store);
        let ticking = self.inner.tick(&budget)?;
        let made = budget.call(|| {
            let instance = self.pre.instantiate(&mut store)?;
            if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut store, "_initialize") {
                initialize.call(&mut store, ())?;
            }
            Ok(instance)
        });
        drop(ticking);
        let instance =
            made.map_err(|error| RunError::from(&error, store.data().limiter.has_refused, policy))?;
        let (inner, name, exports) = (self.inner.clone(), self.name.clone(), self.exports());
        Ok(Instance { inner, name, exports, store, instance, budget, policy: policy.clone() })
    }
}

/// An instance of a core module, with what its memories and globals hold. The policy's times hold for each call.
pub struct Instance {
    inner: Arc<Inner>,
    name: String,
    exports: Vec<Item>,
    store: Store<ModuleState>,
    instance: wasmtime::Instance,
    budget: Arc<Budget>,
    policy: Policy,
}

/// A function of an [`Instance`] whose type was checked.
pub struct Function<P, R>(TypedFunc<P, R>);

impl Instance {
    /// Calls a function.
    ///
    /// # Errors
    /// When there is no such function, the arguments do not fit it, or a result is no number; when it traps, comes to
    /// a limit or exits.
    pub fn call(&mut self, name: &str, args: &[Value]) -> Result<Vec<Value>, RunError> {
        let Some(function) = self.instance.get_func(&mut self.store, name) else {
            return Err(self.no_function(name));
        };
        let ty = function.ty(&self.store);
        let fits = ty.params().len() == args.len()
            && ty
                .params()
                .zip(args)
                .all(|(ty, arg)| Val::from(*arg).matches_ty(&self.store, &ty).unwrap_or(false));
        if !fits {
            return Err(RunError::Refused(format!("{name} is {}", function_type(&ty))));
        }
        let args: Vec<Val> = args.iter().copied().map(Val::from).collect();
        let mut results = vec![Val::I32(0); ty.results().len()];
        self.within(|store| function.call(store, &args, &mut results))?;
        results.iter().map(Value::of).collect::<Option<_>>().ok_or_else(|| {
            RunError::Refused(format!("{name} gives what is no number: {}", function_type(&ty)))
        })
    }

    /// A function by its name and type, to be called often. `P` and `R` are a number (`i32`, `u32`, `i64`, `u64`,
    /// `f32`, `f64`) or a tuple of some.
    ///
    /// # Errors
    /// When there is no such function, or its type is another.
    pub fn function<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
    ) -> Result<Function<P, R>, RunError> {
        let Some(function) = self.instance.get_func(&mut self.store, name) else {
            return Err(self.no_function(name));
        };
        let ty = function.ty(&self.store);
        let typed = function.typed(&self.store);
        typed.map(Function).map_err(|_| RunError::Refused(format!("{name} is {}", function_type(&ty))))
    }

    /// Calls a function that this instance gave.
    ///
    /// # Errors
    /// When it traps, comes to a limit or exits.
    ///
    /// # Panics
    /// If another instance gave the function.
    pub fn call_function<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &Function<P, R>,
        params: P,
    ) -> Result<R, RunError> {
        self.within(|store| function.0.call(store, params))
    }

    fn within<T>(
        &mut self,
        call: impl FnOnce(&mut Store<ModuleState>) -> wasmtime::Result<T>,
    ) -> Result<T, RunError> {
        let result = if self.budget.is_endless() {
            call(&mut self.store)
        } else {
            let ticking = self.inner.tick(&self.budget)?;
            self.store.set_epoch_deadline(1);
            let result = self.budget.call(|| call(&mut self.store));
            drop(ticking);
            result
        };
        result.map_err(|error| RunError::from(&error, self.store.data().limiter.has_refused, &self.policy))
    }

    /// The size of an exported memory, in bytes.
    ///
    /// # Errors
    /// When there is no such memory.
    pub fn memory_size(&mut self, memory: &str) -> Result<usize, RunError> {
        let memory = self.memory(memory)?;
        Ok(memory.data_size(&self.store))
    }

    /// Reads from an exported memory, from `offset` on, as many bytes as `into` has.
    ///
    /// # Errors
    /// When there is no such memory, or it ends before that.
    pub fn read(&mut self, memory: &str, offset: usize, into: &mut [u8]) -> Result<(), RunError> {
        let (name, memory) = (memory, self.memory(memory)?);
        let length = into.len();
        memory.read(&self.store, offset, into).map_err(|_| self.outside(name, memory, offset, length))
    }

    /// Writes to an exported memory, from `offset` on.
    ///
    /// # Errors
    /// When there is no such memory, or it ends before that; then nothing is written.
    pub fn write(&mut self, memory: &str, offset: usize, bytes: &[u8]) -> Result<(), RunError> {
        let (name, memory) = (memory, self.memory(memory)?);
        let written = memory.write(&mut self.store, offset, bytes);
        written.map_err(|_| self.outside(name, memory, offset, bytes.len()))
    }

    fn memory(&mut self, name: &str) -> Result<Memory, RunError> {
        self.instance
            .get_memory(&mut self.store, name)
            .ok_or_else(|| RunError::Refused(format!("{} exports no memory {name}", self.name)))
    }

    fn outside(&self, name: &str, memory: Memory, offset: usize, length: usize) -> RunError {
        let size = memory.data_size(&self.store);
        RunError::Refused(format!("{name} has {size} bytes: {length} from {offset} on are not all within it"))
    }

    fn no_function(&self, name: &str) -> RunError {
        no_export(&self.name, name, &functions(&self.exports))
    }
}

/// A number of a core module. As text: as it is parsed, with `inf` and `NaN`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// 32 bits, shown with a sign.
    I32(i32),
    /// 64 bits, shown with a sign.
    I64(i64),
    /// Single precision.
    F32(f32),
    /// Double precision.
    F64(f64),
}

impl Value {
    fn of(value: &Val) -> Option<Self> {
        Some(match value {
            Val::I32(value) => Value::I32(*value),
            Val::I64(value) => Value::I64(*value),
            Val::F32(bits) => Value::F32(f32::from_bits(*bits)),
            Val::F64(bits) => Value::F64(f64::from_bits(*bits)),
            _ => return None,
        })
    }

    fn parse(ty: &ValType, text: &str) -> Option<Self> {
        match ty {
            ValType::I32 => {
                let number = integer(text)?;
                let signed = i32::try_from(number).ok();
                signed.or_else(|| u32::try_from(number).ok().map(u32::cast_signed)).map(Value::I32)
            }
            ValType::I64 => {
                let number = integer(text)?;
                let signed = i64::try_from(number).ok();
                signed.or_else(|| u64::try_from(number).ok().map(u64::cast_signed)).map(Value::I64)
            }
            ValType::F32 => f32::from_str(text).ok().map(Value::F32),
            ValType::F64 => f64::from_str(text).ok().map(Value::F64),
            _ => None,
        }
    }
}

/// An integer, with or without a sign, decimal or `0x`.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    };
    // A second sign is none.
    number.filter(|_| !digits.starts_with('+')).map(|number: u64| sign * i128::from(number))
}

impl From<Value> for Val {
    fn from(value: Value) -> Self {
        match value {
            Value::I32(value) => Val::I32(value),
            Value::I64(value) => Val::I64(value),
            Value::F32(value) => Val::F32(value.to_bits()),
            Value::F64(value) => Val::F64(value.to_bits()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::I32(value) => write!(f, "{value}"),
            Value::I64(value) => write!(f, "{value}"),
            Value::F32(value) => write!(f, "{value}"),
            Value::F64(value) => write!(f, "{value}"),
        }
    }
}

/// So many arguments, in words.
pub(super) fn count(arguments: usize) -> String {
    match arguments {
        0 => "no arguments".into(),
        1 => "1 argument".into(),
        several => format!("{several} arguments"),
    }
}

/// Compiles a module.
pub(super) fn compiled(inner: &Inner, name: &str, bytes: &[u8]) -> Result<wasmtime::Module, RunError> {
    let compile = || {
        wasmtime::Module::from_binary(&inner.engine, bytes)
            .map_err(|error| RunError::Refused(format!("{name} is no valid module: {}", one_line(&error))))
    };
    inner.compiled(&inner.key(bytes, ""), Cache::load_module, compile, wasmtime::Module::serialize)
}

/// What a module imports that is not WASI preview 1.
pub(super) fn unknown_imports(module: &wasmtime::Module) -> Vec<String> {
    let unknown = module.imports().filter(|import| import.module() != "wasi_snapshot_preview1");
    unknown.map(|import| format!("{}.{}", import.module(), import.name())).collect()
}

/// What a module imports, in its order.
pub(super) fn imports(module: &wasmtime::Module) -> Vec<Item> {
    let item = |import: wasmtime::ImportType<'_>| Item {
        name: format!("{}.{}", import.module(), import.name()),
        ty: extern_type(&import.ty()),
    };
    module.imports().map(item).collect()
}

/// What a module exports, in its order.
pub(super) fn exports(module: &wasmtime::Module) -> Vec<Item> {
    let item = |export: wasmtime::ExportType<'_>| Item {
        name: export.name().to_owned(),
        ty: extern_type(&export.ty()),
    };
    module.exports().map(item).collect()
}

/// A function's type as text.
pub(super) fn function_type(ty: &FuncType) -> String {
    let list = |types: Vec<String>| types.join(", ");
    let params = list(ty.params().map(|ty| ty.to_string()).collect());
    let results: Vec<String> = ty.results().map(|ty| ty.to_string()).collect();
    match results.len() {
        0 => format!("func({params})"),
        1 => format!("func({params}) -> {}", list(results)),
        _ => format!("func({params}) -> ({})", list(results)),
    }
}

fn extern_type(ty: &ExternType) -> String {
    let range = |least: u64, most: Option<u64>| {
        let most = most.map(|most| most.to_string()).unwrap_or_default();
        format!("{least}..{most}")
    };
    match ty {
        ExternType::Func(ty) => function_type(ty),
        ExternType::Memory(ty) => format!("memory({} pages)", range(ty.minimum(), ty.maximum())),
        ExternType::Table(ty) => format!("table({} {})", range(ty.minimum(), ty.maximum()), ty.element()),
        ExternType::Global(ty) => match ty.mutability() {
            Mutability::Const => format!("global({})", ty.content()),
            Mutability::Var => format!("global(mut {})", ty.content()),
        },
        ExternType::Tag(_) => "tag".into(),
    }
}
