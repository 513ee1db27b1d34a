//! Imported WebAssembly: the file of a module, compiled, is the default export. It is a `WebAssembly.Module`, as on
//! other edge runtimes; the app makes instances of it.

use nexus_guest::{LoadError, ModulePath};

use super::load::Fault;
use crate::ops::{has_room, no_room};
use crate::state::State;
use crate::web::wasm::scan;

/// How a file begins: "\0asm", a version and a layer. A component has the other layer (Component Model, Binary.md).
const MAGIC: &[u8] = b"\0asm";
const COMPONENT_LAYER: &[u8] = &[1, 0];

/// What V8 writes before the reason.
const PREFIX: &str = "WasmModuleObject::Compile(): ";
/// The longest reason that is told, in characters. It may have names from the file in it.
const MAX_REASON: usize = 300;

/// Compiles a file, within the turn and on its account, as `WebAssembly.Module` does. `None` if the guest was stopped
/// meanwhile.
///
/// # Errors
/// A `WebAssembly.CompileError` that names the file and who imports it.
pub(super) fn compile<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    path: &ModulePath,
    importer: Option<&ModulePath>,
    bytes: &[u8],
) -> Result<Option<v8::Local<'s, v8::Value>>, Fault> {
    // Comes first, whether it is needed or not: with it `WebAssembly` is made what guests may see, and without that the
    // module's prototype would lead to V8's own constructors.
    let Some(compile_error) = crate::isolate::internal_function(scope, "compileError") else {
        return Ok(None);
    };
    let reason = if is_component(bytes) {
        "it is a WebAssembly component, not a module: make it the main file of an app of its own".to_owned()
    } else {
        match compile_module(scope, bytes) {
            Ok(module) => return Ok(module.map(Into::into)),
            Err(reason) => reason,
        }
    };
    let from = importer.map(|importer| format!(" from {:?}", importer.as_str())).unwrap_or_default();
    let message = format!("cannot import {:?}{from}: {reason}", path.as_str());
    let receiver = v8::undefined(scope).into();
    let Some(text) = v8::String::new(scope, &message) else { return Ok(None) };
    let Some(thrown) = compile_error.call(scope, receiver, &[text.into()]) else { return Ok(None) };
    Err(Fault {
        error: Box::new(LoadError::new(format!("CompileError: {message}"))),
        thrown: Some(v8::Global::new(scope, thrown)),
    })
}

fn is_component(bytes: &[u8]) -> bool {
    bytes.strip_prefix(MAGIC).and_then(|rest| rest.get(2..4)) == Some(COMPONENT_LAYER)
}

/// The module, which is counted as long as it is there; `None` if the guest was stopped; or why there is none.
fn compile_module<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    bytes: &[u8],
) -> Result<Option<v8::Local<'s, v8::WasmModuleObject>>, String> {
    let contents = scan(bytes);
    let state = State::of(scope);
    if !has_room(scope, contents.size()) {
        return Err(no_room(scope));
    }
    if let Some(reason) = state.compiled.refuses(scope, &contents) {
        return Err(reason.to_owned());
    }
    v8::tc_scope!(let scope, scope);
    match v8::WasmModuleObject::compile(scope, bytes) {
        // V8 has said by now what else may be wrong; nobody has seen the module so far.
        Some(module) => match state.compiled.hold(scope, module.into(), &contents) {
            None => Ok(Some(module)),
            Some(reason) => Err(reason.to_owned()),
        },
        None if scope.has_terminated() => Ok(None),
        None => {
            // The message's own text: the error's could be the guest's doing.
            let message = scope.message().map(|message| message.get(scope).to_rust_string_lossy(scope));
            Err(format!("it is not valid WebAssembly: {}", reason(&message.unwrap_or_default())))
        }
    }
}

/// The reason in a message of V8, cut and in one line.
fn reason(message: &str) -> String {
    let reason = message.split_once(PREFIX).map_or(message, |(_, reason)| reason);
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    reason.chars().map(plain).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_known_by_its_layer() {
        assert!(is_component(b"\0asm\x0d\0\x01\0") && is_component(b"\0asm\x0e\0\x01\0and more"));
        for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01", b"garb\x0d\0\x01\0"] {
            assert!(!is_component(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn a_reason_is_one_short_line_without_v8s_name_for_the_place() {
        let message = "Uncaught CompileError: WasmModuleObject::Compile(): expected 4 bytes @+0";
        assert_eq!(reason(message), "expected 4 bytes @+0");
        assert_eq!(reason("a\nb"), "a\u{fffd}b");
        assert_eq!(reason(&"x".repeat(10_000)).len(), MAX_REASON);
    }
}
