//! Makes components of modules that import more than WASI preview 1, with the adapter that Wasmtime's makers publish.
//!
//! The adapter tells no more of `proc_exit` than whether the code is 0. So before it comes to see a module, the
//! module's import of `proc_exit` is named anew: it is `exit-with-code` of `wasi:cli/exit`, whose core type is the
//! same, and which takes the lowest eight bits as systems do.

use std::ops::Range;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata, metadata};

/// What modules import the functions of preview 1 from.
pub(super) const NAME: &str = WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;

/// Raised when something else is made of a module than before: compiled code is kept under it.
pub(super) const VERSION: &str = "preview1-1";

/// The component of a valid module that exports `_start`.
///
/// # Errors
/// Why there is none, in one line.
pub(super) fn componentise(module: &[u8]) -> Result<Vec<u8>, String> {
    if let Some(component) = with_exit_codes(module).and_then(|module| encode(&module).ok()) {
        return Ok(component);
    }
    // It exits with 0 or 1 only.
    encode(module)
}

fn encode(module: &[u8]) -> Result<Vec<u8>, String> {
    let encoded = ComponentEncoder::default()
        .validate(false)
        .module(module)
        .and_then(|encoder| encoder.adapter(NAME, ADAPTER))
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The module with `proc_exit` taken past the adapter; `None` if it has none, or is too unusual to say.
pub(super) fn with_exit_codes(module: &[u8]) -> Option<Vec<u8>> {
    let (_, mut adapter) = metadata::decode(ADAPTER).ok()?;
    let (resolve, world) = (&mut adapter.resolve, adapter.world);
    let imports = std::mem::take(&mut resolve.worlds[world].imports);
    let mut interface = None;
    let mut kept = imports.clone();
    kept.retain(|key, _| {
        let name = resolve.name_world_key(key);
        let is_exit = name.starts_with("wasi:cli/exit@");
        if is_exit {
            interface = Some(name);
        }
        is_exit
    });
    resolve.worlds[world].imports = kept;
    resolve.worlds[world].exports.clear();
    // The encoder has a world of its own by the name that this one has now.
    let package = resolve.worlds[world].package?;
    resolve.packages[package].name.namespace = "nexus".into();
    let mut module = renamed(module, "proc_exit", (&interface?, "exit-with-code"))?;
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).ok()?;
    Some(module)
}

/// Whether a module imports functions of preview 1 or nothing. `false` also for what is no module.
pub(super) fn is_all_it_imports(module: &[u8]) -> bool {
    let mut at = Reader { bytes: module, at: 8 };
    let mut section = || {
        while at.at < module.len() {
            let id = at.byte()?;
            let length = at.number()?;
            let content = at.take(length)?;
            if id == 2 {
                return each_import(&module[content], |_, module, _| {
                    (module == NAME.as_bytes()).then_some(())
                });
            }
        }
        Some(())
    };
    section().is_some()
}

/// The module with its import of a preview 1 function named anew.
fn renamed(module: &[u8], function: &str, name: (&str, &str)) -> Option<Vec<u8>> {
    let mut at = Reader { bytes: module, at: 8 };
    while at.at < module.len() {
        let start = at.at;
        let id = at.byte()?;
        let length = at.number()?;
        let section = at.take(length)?;
        if id == 2 {
            let new = imports_renamed(&module[section.clone()], function, name)?;
            let mut out = module[..start].to_vec();
            out.push(id);
            write_number(&mut out, new.len());
            out.extend_from_slice(&new);
            out.extend_from_slice(&module[section.end..]);
            return Some(out);
        }
    }
    None
}

fn imports_renamed(section: &[u8], function: &str, name: (&str, &str)) -> Option<Vec<u8>> {
    let mut renamed = None;
    each_import(section, |names, module, field| {
        if module == NAME.as_bytes() && field == function.as_bytes() && renamed.is_none() {
            renamed = Some(names);
        }
        Some(())
    })?;
    let names = renamed?;
    let mut out = section[..names.start].to_vec();
    for part in [name.0, name.1] {
        write_number(&mut out, part.len());
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(&section[names.end..]);
    Some(out)
}

/// Tells of each import where its names lie, its module and its own name. `None` if one is no function, or for
/// whatever the callback has none.
fn each_import(section: &[u8], mut tell: impl FnMut(Range<usize>, &[u8], &[u8]) -> Option<()>) -> Option<()> {
    let mut at = Reader { bytes: section, at: 0 };
    let count = at.number()?;
    for _ in 0..count {
        let start = at.at;
        let length = at.number()?;
        let module = at.take(length)?;
        let length = at.number()?;
        let field = at.take(length)?;
        let names = start..field.end;
        // 0 is a function, whose type's number follows. A command has no other imports.
        if at.byte()? != 0 {
            return None;
        }
        at.number()?;
        tell(names, &section[module], &section[field])?;
    }
    Some(())
}

/// Reads the numbers and lengths of the binary format.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// An unsigned number of 32 bits in LEB128.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).ok().map(|number| number as usize);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<Range<usize>> {
        let range = self.at..self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        self.at = range.end;
        Some(range)
    }
}

fn write_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXIT: &str = r#"(module
        (import "wasi_snapshot_preview1" "args_get" (func (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start") (call $exit (i32.const 3))))"#;

    #[test]
    fn an_exit_goes_past_the_adapter_with_its_code() {
        let module = wat::parse_str(EXIT).unwrap();
        let patched = with_exit_codes(&module).unwrap();
        let text = String::from_utf8_lossy(&patched);
        assert!(text.contains("exit-with-code") && !text.contains("proc_exit"));
        assert!(text.contains("args_get"));
        assert_eq!(encode(&patched).err(), None);
    }

    #[test]
    fn a_module_without_an_exit_is_left_as_it_is() {
        let module =
            wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"_start\")))").unwrap();
        assert_eq!(with_exit_codes(&module), None);
        assert!(componentise(&module).is_ok());
        let other =
            wat::parse_str("(module (import \"env\" \"f\" (func)) (func (export \"_start\")))").unwrap();
        let why = componentise(&other).unwrap_err();
        assert!(why.contains("env") && !why.contains('\n'), "{why}");
    }

    #[test]
    fn imports_are_seen_before_anything_is_compiled() {
        let sees = |text: &str| is_all_it_imports(&wat::parse_str(text).unwrap());
        assert!(sees(EXIT) && sees("(module)"));
        assert!(!sees(r#"(module (import "wasi_snapshot_preview1" "f" (func)) (import "env" "f" (func)))"#));
        assert!(!sees(r#"(module (import "wasi_snapshot_preview1" "m" (memory 1)))"#));
        assert!(!is_all_it_imports(b"\0asm\x01\0\0\0\x02\x05\x01"));
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 1, 127, 128, 300, 16_384, u32::MAX as usize] {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            assert_eq!(Reader { bytes: &bytes, at: 0 }.number(), Some(number));
        }
        assert_eq!(Reader { bytes: &[0xff; 9], at: 0 }.number(), None);
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_nothing_panics(bytes: Vec<u8>, cut in 0usize..200, with: u8) {
            let _ = renamed(&bytes, "proc_exit", ("a", "b"));
            let _ = is_all_it_imports(&bytes);
            let mut module = wat::parse_str(EXIT).unwrap();
            let cut = cut.min(module.len() - 1);
            module[cut] = with;
            let _ = renamed(&module, "proc_exit", ("a", "b"));
            module.truncate(cut);
            let _ = renamed(&module, "proc_exit", ("a", "b"));
        }
    }
}
