//! Loading: from a specifier to a module with all that it imports, and to its evaluation.

use nexus_core::Limit;
use nexus_guest::{LoadError, ModulePath, SourceExcerpt};

use super::request::{Kind, attributes};
use super::wasm;
use crate::exception::{load_error, source_excerpt};
use crate::scope::ScopeKey;
use crate::state::State;
use crate::testing::script_path;

type Scope<'a, 's, 'i> = &'a mut v8::PinScope<'s, 'i>;

/// The largest module, in bytes.
const LARGEST: usize = 10 << 20;

/// Why a module graph cannot be had: in words, and the exception if JavaScript itself threw one.
pub(super) struct Fault {
    pub(super) error: Box<LoadError>,
    pub(super) thrown: Option<v8::Global<v8::Value>>,
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Self {
        Self { error: Box::new(error), thrown: None }
    }
}

/// The URL under which a guest sees its module. The host's own paths are none of its business.
pub(crate) fn url_of(path: &ModulePath) -> String {
    format!("file:///{path}")
}

/// Loads, links and evaluates the app's main module. Gives the module and the promise of its evaluation.
///
/// # Errors
/// When a module is missing, does not compile or link, or throws.
pub(crate) fn load_main<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    main: &ModulePath,
) -> Result<(v8::Local<'s, v8::Module>, v8::Local<'s, v8::Promise>), LoadError> {
    let kind = Kind::JavaScript.of_file(main).map_err(LoadError::new)?;
    let module = load_graph(scope, main.clone(), kind, None).map_err(|fault| *fault.error)?;
    let module = v8::Local::new(scope, module);
    let promise = link_and_evaluate(scope, module)?;
    let evaluation = v8::Global::new(scope, promise);
    *State::of(scope).evaluation.borrow_mut() = Some(evaluation);
    Ok((module, promise))
}

fn link_and_evaluate<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    module: v8::Local<'s, v8::Module>,
) -> Result<v8::Local<'s, v8::Promise>, LoadError> {
    v8::tc_scope!(let scope, scope);
    let evaluated = match module.instantiate_module(scope, resolve) {
        Some(_) => module.evaluate(scope),
        None => None,
    };
    match evaluated.and_then(|value| v8::Local::<v8::Promise>::try_from(value).ok()) {
        Some(promise) => Ok(promise),
        None => Err(*caught(scope).error),
    }
}

fn caught(scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>) -> Fault {
    match scope.exception() {
        Some(exception) => {
            let message = scope.message();
            let error = load_error(scope, exception, message);
            Fault { error: Box::new(error), thrown: Some(v8::Global::new(scope, exception)) }
        }
        None => LoadError::new("the app was stopped while it was evaluated").into(),
    }
}

/// Compiles a module and all that it imports statically. Errors name who imports it, if anybody does.
fn load_graph(
    scope: Scope<'_, '_, '_>,
    path: ModulePath,
    kind: Kind,
    importer: Option<&ModulePath>,
) -> Result<v8::Global<v8::Module>, Fault> {
    let state = State::of(scope);
    if let Some(module) = state.modules.borrow().get(&path, kind) {
        return Ok(module);
    }
    let first = compile(scope, &path, kind, importer)?;
    let mut compiled = vec![(path.clone(), kind)];
    let mut work = vec![(path, first.clone())];
    while let Some((referrer, module)) = work.pop() {
        let requested = requests(scope, &referrer, &module).map_err(Fault::from).and_then(|requests| {
            for (path, kind, excerpt) in requests {
                if state.modules.borrow().get(&path, kind).is_some() {
                    continue;
                }
                let module = compile(scope, &path, kind, Some(&referrer)).map_err(|mut fault| {
                    fault.error.excerpt = fault.error.excerpt.or(excerpt);
                    fault
                })?;
                compiled.push((path.clone(), kind));
                if kind == Kind::JavaScript {
                    work.push((path, module));
                }
            }
            Ok(())
        });
        if let Err(fault) = requested {
            // Half a graph is no use; a later import may find the files mended.
            let mut map = state.modules.borrow_mut();
            compiled.iter().for_each(|(path, kind)| map.remove(path, *kind));
            return Err(fault);
        }
    }
    Ok(first)
}

type Requested = (ModulePath, Kind, Option<SourceExcerpt>);

/// What a module imports, with the place of each import.
fn requests(
    scope: Scope<'_, '_, '_>,
    referrer: &ModulePath,
    module: &v8::Global<v8::Module>,
) -> Result<Vec<Requested>, LoadError> {
    let state = State::of(scope);
    let module = v8::Local::new(scope, module);
    if !module.is_source_text_module() {
        return Ok(Vec::new());
    }
    let requests = module.get_module_requests();
    let mut found = Vec::with_capacity(requests.length());
    for index in 0..requests.length() {
        let Some(request) = requests.get(scope, index) else { continue };
        let Ok(request) = v8::Local::<v8::ModuleRequest>::try_from(request) else { continue };
        let specifier = request.get_specifier().to_rust_string_lossy(scope);
        let attributes = attributes(scope, request.get_import_attributes(), 3);
        let resolved = Kind::of_attributes(&attributes).and_then(|kind| {
            let path = state.services.modules.resolve(&specifier, referrer).map_err(|error| error.0)?;
            let kind = kind.of_file(&path)?;
            Ok((path, kind))
        });
        let location = module.source_offset_to_location(request.get_source_offset());
        let (line, column) = (location.get_line_number() as u32 + 1, location.get_column_number() as u32 + 1);
        let excerpt = source_line(&state, referrer, line).map(|text| {
            source_excerpt(referrer.to_string(), line, column, specifier.chars().count() as u32 + 2, &text)
        });
        match resolved {
            Ok((path, kind)) => found.push((path, kind, excerpt)),
            Err(message) => return Err(LoadError { message, excerpt, stack: None }),
        }
    }
    Ok(found)
}

fn source_line(state: &State, path: &ModulePath, line: u32) -> Option<String> {
    let bytes = state.services.modules.read(path, LARGEST).ok()?;
    String::from_utf8_lossy(&bytes).lines().nth(line as usize - 1).map(str::to_owned)
}

/// Compiles one module and enters it into the map.
fn compile(
    scope: Scope<'_, '_, '_>,
    path: &ModulePath,
    kind: Kind,
    importer: Option<&ModulePath>,
) -> Result<v8::Global<v8::Module>, Fault> {
    let state = State::of(scope);
    let bytes = state.services.modules.read(path, LARGEST).map_err(|error| LoadError::new(error.0))?;
    // As text it takes two bytes a character, at most. Of WebAssembly V8 has a copy.
    if !crate::ops::has_room(scope, bytes.len() * 2) {
        return Err(LoadError::new(format!("\"{path}\" is too large: {}", crate::ops::no_room(scope))).into());
    }
    v8::tc_scope!(let scope, scope);
    let module = match kind {
        Kind::JavaScript => compile_source(scope, path, &bytes)?,
        Kind::Wasm => match wasm::compile(scope, path, importer, &bytes)? {
            Some(compiled) => synthetic(scope, path, compiled),
            None => None,
        },
        Kind::Json | Kind::Text | Kind::Bytes => compile_synthetic(scope, path, kind, &bytes)?,
    };
    match module {
        Some(module) => {
            let hash = module.get_identity_hash().get();
            let module = v8::Global::new(scope, module);
            state.modules.borrow_mut().insert(path.clone(), kind, hash, module.clone());
            Ok(module)
        }
        None => Err(caught(scope)),
    }
}

fn compile_source<'s>(
    scope: Scope<'_, 's, '_>,
    path: &ModulePath,
    bytes: &[u8],
) -> Result<Option<v8::Local<'s, v8::Module>>, LoadError> {
    let source = text(scope, path, bytes)?;
    let Some(name) = v8::String::new(scope, &url_of(path)) else { return Ok(None) };
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, -1, None, false, false, true, None);
    let state = State::of(scope);
    if let Some(code) = &*state.code.borrow() {
        return Ok(code.compile(scope, bytes, source, &origin));
    }
    let mut source = v8::script_compiler::Source::new(source, Some(&origin));
    Ok(v8::script_compiler::compile_module(scope, &mut source))
}

fn compile_synthetic<'s>(
    scope: Scope<'_, 's, '_>,
    path: &ModulePath,
    kind: Kind,
    bytes: &[u8],
) -> Result<Option<v8::Local<'s, v8::Module>>, LoadError> {
    let value: Option<v8::Local<'_, v8::Value>> = match kind {
        Kind::Bytes => crate::ops::uint8_array(scope, bytes).map(Into::into),
        Kind::Json => {
            let source = text(scope, path, bytes)?;
            match v8::json::parse(scope, source) {
                Some(value) => Some(value),
                None => return Err(LoadError::new(format!("\"{path}\" is not valid JSON"))),
            }
        }
        Kind::Text | Kind::JavaScript | Kind::Wasm => Some(text(scope, path, bytes)?.into()),
    };
    Ok(value.and_then(|value| synthetic(scope, path, value)))
}

/// A module whose only export is this value, as `default`.
fn synthetic<'s>(
    scope: Scope<'_, 's, '_>,
    path: &ModulePath,
    value: v8::Local<'s, v8::Value>,
) -> Option<v8::Local<'s, v8::Module>> {
    let default = v8::String::new(scope, "default")?;
    let name = v8::String::new(scope, &url_of(path))?;
    let module = v8::Module::create_synthetic_module(scope, name, &[default], evaluate_synthetic);
    let hash = module.get_identity_hash().get();
    let (handle, value) = (v8::Global::new(scope, module), v8::Global::new(scope, value));
    State::of(scope).modules.borrow_mut().set_value(hash, handle, value);
    Some(module)
}

fn text<'s>(
    scope: Scope<'_, 's, '_>,
    path: &ModulePath,
    bytes: &[u8],
) -> Result<v8::Local<'s, v8::String>, LoadError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(LoadError::new(format!("\"{path}\" is not UTF-8 text")));
    };
    v8::String::new(scope, text).ok_or_else(|| LoadError::new(format!("\"{path}\" is too large")))
}

/// V8 asks for a module that another one imports: all of them are in the map already.
fn resolve<'s>(
    context: v8::Local<'s, v8::Context>,
    specifier: v8::Local<'s, v8::String>,
    import_attributes: v8::Local<'s, v8::FixedArray>,
    referrer: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Module>> {
    // SAFETY: V8 calls this with the context that it is linking in, from within our own scope on this thread.
    v8::callback_scope!(unsafe scope, context);
    let state = State::of(scope);
    let hash = referrer.get_identity_hash().get();
    let referrer = v8::Global::new(scope, referrer);
    let specifier = specifier.to_rust_string_lossy(scope);
    let attributes = attributes(scope, import_attributes, 3);
    let find = || {
        let referrer = state.modules.borrow().place(hash, &referrer)?;
        let path = state.services.modules.resolve(&specifier, &referrer).ok()?;
        let kind = Kind::of_attributes(&attributes).and_then(|kind| kind.of_file(&path)).ok()?;
        state.modules.borrow().get(&path, kind)
    };
    match find() {
        Some(module) => Some(v8::Local::new(scope, module)),
        None => {
            // Its file went away since it was compiled.
            crate::ops::throw_type_error(scope, &format!("\"{specifier}\" is not there any more"));
            None
        }
    }
}

/// V8 evaluates a synthetic module: its default export gets its value.
fn evaluate_synthetic<'s>(
    context: v8::Local<'s, v8::Context>,
    module: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Value>> {
    // SAFETY: as in `resolve`.
    v8::callback_scope!(unsafe scope, context);
    let hash = module.get_identity_hash().get();
    let handle = v8::Global::new(scope, module);
    let value = State::of(scope).modules.borrow_mut().take_value(hash, &handle)?;
    let value = v8::Local::new(scope, value);
    let default = v8::String::new(scope, "default")?;
    module.set_synthetic_module_export(scope, default, value)?;
    let resolver = v8::PromiseResolver::new(scope)?;
    let undefined = v8::undefined(scope);
    resolver.resolve(scope, undefined.into());
    Some(resolver.get_promise(scope).into())
}

/// The longest specifier of an `import()`, in characters.
const MAX_SPECIFIER: usize = 4096;

/// An `import()` that is to be carried out.
pub(crate) struct ImportJob {
    resolver: v8::Global<v8::PromiseResolver>,
    referrer: String,
    specifier: String,
    attributes: Vec<(String, String)>,
    /// The request whose code imports.
    pub(crate) scope: ScopeKey,
}

/// `import()`: the promise of the module's namespace. The import itself is a job for later in the same turn: modules
/// may be evaluating right now, and V8 does not bear another evaluation among them.
pub(crate) fn dynamic_import<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _host_defined_options: v8::Local<'s, v8::Data>,
    resource_name: v8::Local<'s, v8::Value>,
    specifier: v8::Local<'s, v8::String>,
    import_attributes: v8::Local<'s, v8::FixedArray>,
) -> Option<v8::Local<'s, v8::Promise>> {
    let resolver = v8::PromiseResolver::new(scope)?;
    let state = State::of(scope);
    let refused = if specifier.length() > MAX_SPECIFIER {
        Some("import(): the specifier is too long".to_owned())
    } else if state.imports.borrow().len() >= state.services.limits.size(Limit::Operations) {
        let limit = state.services.limits.show(Limit::Operations);
        Some(format!("the app has as many operations under way as it may: {limit}"))
    } else {
        None
    };
    if let Some(message) = refused {
        let message = v8::String::new(scope, &message)?;
        let error = v8::Exception::range_error(scope, message);
        resolver.reject(scope, error);
        return Some(resolver.get_promise(scope));
    }
    let job = ImportJob {
        resolver: v8::Global::new(scope, resolver),
        referrer: if resource_name.is_string() {
            resource_name.to_rust_string_lossy(scope)
        } else {
            String::new()
        },
        specifier: specifier.to_rust_string_lossy(scope),
        attributes: attributes(scope, import_attributes, 2),
        scope: State::current(scope),
    };
    state.imports.borrow_mut().push_back(job);
    Some(resolver.get_promise(scope))
}

/// Carries out an import and settles its promise.
pub(crate) fn run_import(scope: &mut v8::PinScope<'_, '_>, job: &ImportJob) {
    let resolver = v8::Local::new(scope, &job.resolver);
    let settled = match import(scope, job) {
        Ok(value) => resolver.resolve(scope, value),
        Err(ImportError::Thrown(exception)) => resolver.reject(scope, exception),
        Err(ImportError::Refused(message)) => {
            let message = v8::String::new(scope, &message).unwrap_or_else(|| v8::String::empty(scope));
            let error = v8::Exception::type_error(scope, message);
            resolver.reject(scope, error)
        }
    };
    // Nothing but a termination keeps a promise from being settled.
    let _ = settled;
}

enum ImportError<'s> {
    /// The module cannot be had.
    Refused(String),
    /// It threw.
    Thrown(v8::Local<'s, v8::Value>),
}

fn import<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    job: &ImportJob,
) -> Result<v8::Local<'s, v8::Value>, ImportError<'s>> {
    let state = State::of(scope);
    let referrer = job.referrer.strip_prefix("file:///").or_else(|| script_path(&job.referrer));
    let referrer = referrer.and_then(ModulePath::new);
    let referrer = referrer.ok_or_else(|| ImportError::Refused("import() works in modules only".into()))?;
    let kind = Kind::of_attributes(&job.attributes).map_err(ImportError::Refused)?;
    let path = state.services.modules.resolve(&job.specifier, &referrer);
    let path = path.map_err(|error| ImportError::Refused(error.0))?;
    let kind = kind.of_file(&path).map_err(ImportError::Refused)?;
    let module = load_graph(scope, path, kind, Some(&referrer)).map_err(|fault| match fault.thrown {
        Some(thrown) => ImportError::Thrown(v8::Local::new(scope, thrown)),
        None => ImportError::Refused(fault.error.message),
    })?;
    let module = v8::Local::new(scope, module);
    if module.get_status() == v8::ModuleStatus::Errored {
        return Err(ImportError::Thrown(module.get_exception()));
    }
    v8::tc_scope!(let scope, scope);
    let evaluated = match module.instantiate_module(scope, resolve) {
        Some(_) => module.evaluate(scope),
        None => None,
    };
    let Some(evaluated) = evaluated else {
        let thrown = scope.exception().unwrap_or_else(|| v8::undefined(scope).into());
        return Err(ImportError::Thrown(thrown));
    };
    // The namespace, once the evaluation (and any top-level await) is done.
    let namespace = module.get_module_namespace();
    let wait = crate::isolate::internal_function(scope, "afterEvaluation");
    let receiver = v8::undefined(scope).into();
    match wait.and_then(|wait| wait.call(scope, receiver, &[evaluated, namespace])) {
        Some(promise) => Ok(promise),
        None => Err(ImportError::Refused("the app was stopped".into())),
    }
}

/// Fills `import.meta` (HTML Standard, section 8.1.6.7.4): its `url`.
///
/// # Safety
/// V8 calls it from within a scope of this thread.
#[allow(unsafe_code)]
pub(crate) unsafe extern "C" fn import_meta(
    context: v8::Local<'_, v8::Context>,
    module: v8::Local<'_, v8::Module>,
    meta: v8::Local<'_, v8::Object>,
) {
    // SAFETY: as said above.
    v8::callback_scope!(unsafe scope, context);
    let hash = module.get_identity_hash().get();
    let module = v8::Global::new(scope, module);
    let place = State::of(scope).modules.borrow().place(hash, &module);
    if let Some(path) = place
        && let (Some(key), Some(url)) =
            (v8::String::new(scope, "url"), v8::String::new(scope, &url_of(&path)))
    {
        meta.create_data_property(scope, key.into(), url.into());
    }
}
