//! Compiled modules on disk: what V8 made of an app's source the last time, functions that ran included.
//!
//! V8 believes what it is given, as far as its version, its flags and the source's length fit. That it is what V8 has
//! made of this very source is the cache's to say: by the source's digest in the name, by its own digest of the content,
//! and by nobody else having been able to write there.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use nexus_guest::CodeCache;

/// The most bytes of all files together.
const MOST: u64 = 1 << 30;

/// What is shorter, in bytes, is compiled as fast as it is read.
const SHORT: usize = 4 * 1024;

/// The compiled modules of all apps.
#[derive(Debug, Clone)]
pub(crate) struct ModuleCache {
    files: Arc<CodeCache>,
    maker: Arc<str>,
}

impl ModuleCache {
    /// The cache in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made, or others may write to it; in one line.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let files = CodeCache::open(folder, "v8code", MOST)?;
        Ok(Self { files: files.into(), maker: v8::V8::get_version().replace('/', "-").into() })
    }
}

/// What one guest takes from the cache, and has for it.
pub(crate) struct GuestCode {
    cache: ModuleCache,
    /// Modules that were not there, with their names there.
    missing: RefCell<Vec<(String, v8::Global<v8::Module>)>>,
}

impl GuestCode {
    pub(crate) fn new(cache: ModuleCache) -> Self {
        Self { cache, missing: RefCell::default() }
    }

    /// Compiles a module of this text, or takes what was compiled before.
    pub(crate) fn compile<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        bytes: &[u8],
        text: v8::Local<'s, v8::String>,
        origin: &v8::ScriptOrigin<'s>,
    ) -> Option<v8::Local<'s, v8::Module>> {
        use v8::script_compiler::{CachedData, CompileOptions, NoCacheReason, Source, compile_module2};
        if bytes.len() < SHORT {
            return compile(scope, text, origin);
        }
        let name = CodeCache::name(bytes, &self.cache.maker);
        if let Some(found) = self.cache.files.find(&name) {
            found.used();
            if let Some(code) = found.read() {
                let mut source = Source::new_with_cached_data(text, Some(origin), CachedData::new(&code));
                let options = CompileOptions::ConsumeCodeCache;
                let module = compile_module2(scope, &mut source, options, NoCacheReason::NoReason);
                if source.get_cached_data().is_some_and(|data| !data.rejected()) {
                    return module;
                }
            }
            self.cache.files.remove(&name);
        }
        let module = compile(scope, text, origin)?;
        self.missing.borrow_mut().push((name, v8::Global::new(scope, module)));
        Some(module)
    }

    /// The app is loaded: what was compiled for that is kept for the next time, on a thread where writing may take long.
    pub(crate) fn keep(&self, scope: &mut v8::PinScope<'_, '_>) {
        let missing = self.missing.take();
        if missing.is_empty() {
            return;
        }
        let code = missing.into_iter().filter_map(|(name, module)| {
            let module = v8::Local::new(scope, module);
            let code = module.get_unbound_module_script(scope).create_code_cache()?;
            Some((name, code.to_vec()))
        });
        let (code, files) = (code.collect::<Vec<_>>(), self.cache.files.clone());
        tokio::task::spawn_blocking(move || {
            for (name, code) in code {
                // Who cannot write compiles again the next time.
                let _ = files.store(&name, &code);
            }
        });
    }
}

fn compile<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    text: v8::Local<'s, v8::String>,
    origin: &v8::ScriptOrigin<'s>,
) -> Option<v8::Local<'s, v8::Module>> {
    let mut source = v8::script_compiler::Source::new(text, Some(origin));
    v8::script_compiler::compile_module(scope, &mut source)
}
