//! Builds the V8 snapshot: runs the eager files of `src/web` in a fresh isolate and keeps its heap.
//!
//! No native function exists here. The snapshot refers to one, by its number (see `lazy_global`), so this script needs
//! nothing of the crate but the JavaScript files.
#![allow(missing_docs, unsafe_code, clippy::unwrap_used, clippy::disallowed_methods)]

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use v8::MapFnTo;

#[path = "src/web/sources.rs"]
mod sources;

fn main() {
    println!("cargo:rerun-if-changed=src/web");
    println!("cargo:rerun-if-changed=build.rs");
    // The library may have been assembled anew.
    for variable in ["RUSTY_V8_ARCHIVE", "V8_ICU_DATA"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    let web = Path::new("src/web");

    v8::V8::set_flags_from_string("--single-threaded");
    if let Some(file) = std::env::var_os("V8_ICU_DATA") {
        let data = std::fs::read(&file).unwrap_or_else(|error| fail(&format!("{}: {error}", file.display())));
        if v8::icu::set_common_data_77(data.leak()).is_err() {
            fail(&format!("{}: V8 cannot use this ICU data", file.display()));
        }
    }
    v8::V8::initialize_platform(v8::new_single_threaded_default_platform(false).make_shared());
    v8::V8::initialize();

    let lazy_files = || sources::LAZY.iter().flat_map(|(files, _)| *files).chain(sources::LOADED);
    for file in lazy_files() {
        std::fs::write(out.join(file), strip(&read(web, file))).unwrap();
    }
    let arms: String =
        lazy_files().map(|file| format!("{file:?} => include_str!({:?}),\n", out.join(file))).collect();
    let lazy = format!(
        "/// The source of a lazy file.\npub(crate) fn lazy_source(file: &str) -> Option<&'static str> {{\n\
         Some(match file {{\n{arms}_ => return None,\n}})\n}}\n"
    );
    std::fs::write(out.join("lazy.rs"), lazy).unwrap();
    let blob = snapshot(web);
    if blob.len() >= 500_000 {
        fail(&format!("the snapshot has {} bytes: its size is paid by each isolate", blob.len()));
    }
    std::fs::write(out.join("snapshot.bin"), &blob).unwrap();
}

/// Ends the build with one line. Not by a panic: that would drop a snapshot creator half-way, which aborts.
fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    std::process::exit(1);
}

fn read(web: &Path, file: &str) -> String {
    let path = web.join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())))
}

fn snapshot(web: &Path) -> Vec<u8> {
    let getter: v8::AccessorNameGetterCallback = lazy_global.map_fn_to();
    let references = [getter as *mut c_void, null_mut()];
    let references = references.map(|pointer| v8::ExternalReference { pointer }).to_vec();
    let mut isolate = v8::Isolate::snapshot_creator(Some(references.into()), None);
    {
        v8::scope!(let scope, &mut isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        let undefined = v8::undefined(scope).into();
        let nexus = {
            let make = function(scope, "nexus.js", &strip(&read(web, "nexus.js")));
            make.call(scope, undefined, &[]).unwrap()
        };
        for file in sources::EAGER.iter().chain(&["warm.js"]) {
            let run = function(scope, file, &strip(&read(web, file)));
            v8::tc_scope!(let scope, scope);
            if run.call(scope, undefined, &[nexus]).is_none() {
                let exception = scope.exception().unwrap();
                let message = scope.message().and_then(|message| message.get_line_number(scope)).unwrap_or(0);
                fail(&format!("{file}: {} (stripped line {message})", exception.to_rust_string_lossy(scope)));
            }
        }
        scope.perform_microtask_checkpoint();
        let nexus = v8::Local::<v8::Object>::try_from(nexus).unwrap();
        let key = v8::String::new(scope, "lazy").unwrap();
        let lazy = v8::Local::<v8::Function>::try_from(nexus.get(scope, key.into()).unwrap()).unwrap();
        let key = v8::String::new(scope, "scopePrototype").unwrap();
        let inherited = v8::Local::<v8::Object>::try_from(nexus.get(scope, key.into()).unwrap()).unwrap();
        for (files, names) in sources::LAZY {
            let lists = [files, names].map(|list| {
                let list: Vec<v8::Local<'_, v8::Value>> =
                    list.iter().map(|text| v8::String::new(scope, text).unwrap().into()).collect();
                v8::Array::new_with_elements(scope, &list).into()
            });
            let group = lazy.call(scope, nexus.into(), &lists).unwrap();
            for name in names.iter().filter(|name| !name.starts_with("nexus.")) {
                let (holder, name) = match name.strip_prefix("scope.") {
                    Some(name) => (inherited, name),
                    None => (context.global(scope), *name),
                };
                // Interfaces are not enumerable, operations are.
                let attribute = if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                    v8::PropertyAttribute::DONT_ENUM
                } else {
                    v8::PropertyAttribute::NONE
                };
                let name = v8::String::new(scope, name).unwrap();
                let getter = v8::AccessorConfiguration::new(lazy_global).property_attribute(attribute);
                holder.set_accessor_with_configuration(scope, name.into(), getter.data(group)).unwrap();
            }
        }
        scope.set_default_context(context);
        let index = scope.add_context_data(context, nexus);
        assert_eq!(index, 0);
    }
    let blob = isolate.create_blob(v8::FunctionCodeHandling::Keep).unwrap();
    blob.to_vec()
}

/// Stands for the getter of the lazy globals (`src/isolate.rs`), which has the same place among an isolate's external
/// references.
fn lazy_global<'s>(
    _scope: &mut v8::PinScope<'s, '_>,
    _name: v8::Local<'s, v8::Name>,
    _args: v8::PropertyCallbackArguments<'s>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    fail("a lazy global was read while the snapshot was made");
}

fn function<'s>(scope: &mut v8::PinScope<'s, '_>, file: &str, source: &str) -> v8::Local<'s, v8::Function> {
    v8::tc_scope!(let tc, scope);
    let name = v8::String::new(tc, &format!("nexus:{file}")).unwrap();
    let origin = v8::ScriptOrigin::new(tc, name.into(), 0, 0, false, -1, None, false, false, false, None);
    let source = v8::String::new(tc, source).unwrap();
    let value = v8::Script::compile(tc, source, Some(&origin)).and_then(|script| script.run(tc));
    let Some(value) = value else {
        let message = tc.message().unwrap();
        let line = message.get_line_number(tc).unwrap_or(0);
        fail(&format!("{file}: {} (stripped line {line})", message.get(tc).to_rust_string_lossy(tc)));
    };
    v8::Local::<v8::Function>::try_from(value)
        .unwrap_or_else(|_| fail(&format!("{file} is no function expression")))
}

/// Drops indentation, empty lines, comments that have their lines to themselves and most spaces: the source is part of
/// the snapshot. Outside of comments, characters beyond Latin-1 stand in strings only. A template literal must not span lines.
fn strip(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut in_comment = false;
    for line in source.lines() {
        let line = line.trim();
        if in_comment || line.starts_with("/*") {
            in_comment = !line.ends_with("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            if line.matches('`').count() % 2 != 0 {
                fail(&format!("a template literal spans lines: {line}"));
            }
            // One character beyond Latin-1 would double the whole source in the heap.
            for c in squeeze(line).chars() {
                match c {
                    '\0'..='\u{ff}' => out.push(c),
                    _ => c
                        .encode_utf16(&mut [0; 2])
                        .iter()
                        .for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
                }
            }
            out.push('\n');
        }
    }
    out
}

/// Drops the spaces of a line that stand beside punctuation, where no two tokens can become one. Lines with templates, and
/// those that may have regular expressions or comments, are left alone.
fn squeeze(line: &str) -> String {
    if line.contains(['`', '/', '\\']) {
        return line.to_owned();
    }
    const BRACKETS: &str = "(){}[],;";
    const PUNCTUATION: &str = "=<>!&|?:*%(){}[],;";
    let mut out = String::with_capacity(line.len());
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if let Some(open) = quote {
            quote = (c != open).then_some(open);
        } else if c == '"' || c == '\'' {
            quote = Some(c);
        } else if c == ' ' {
            let before = out.chars().next_back().unwrap_or(' ');
            let after = chars.peek().copied().unwrap_or(' ');
            let is_bracket = BRACKETS.contains(before) || BRACKETS.contains(after);
            let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '#' | '"' | '\'');
            let beside = (PUNCTUATION.contains(before) && is_word(after))
                || (is_word(before) && PUNCTUATION.contains(after));
            if is_bracket || beside {
                continue;
            }
        }
        out.push(c);
    }
    out
}
