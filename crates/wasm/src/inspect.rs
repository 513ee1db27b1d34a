//! What a file is, and what a component asks for and offers: looked at before anything is made of it.

use nexus_core::WasiVersion;
use wasmparser::{Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentItem, ResourceType, Type};

/// The interfaces of `wasi:cli`, the last one from 0.3 on.
const CLI: &[&str] = &[
    "environment",
    "exit",
    "stderr",
    "stdin",
    "stdout",
    "terminal-input",
    "terminal-output",
    "terminal-stderr",
    "terminal-stdin",
    "terminal-stdout",
    "types",
];
/// What is linked of WASI 0.2, and of 0.3 where the app may use it; everything else is unknown.
const KNOWN: [(&str, &[&str], &[&str]); 10] = [
    ("nexus:sql", &["database"], &[]),
    ("wasi:cli", CLI.split_at(CLI.len() - 1).0, CLI),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"], &["monotonic-clock", "system-clock", "types"]),
    ("wasi:config", &["store"], &[]),
    ("wasi:filesystem", &["preopens", "types"], &["preopens", "types"]),
    ("wasi:http", &["outgoing-handler", "types"], &["client", "types"]),
    ("wasi:io", &["error", "poll", "streams"], &[]),
    ("wasi:keyvalue", &["atomics", "batch", "store"], &[]),
    ("wasi:random", &["insecure", "insecure-seed", "random"], &["insecure", "insecure-seed", "random"]),
    (
        "wasi:sockets",
        &[
            "instance-network",
            "ip-name-lookup",
            "network",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
        &["ip-name-lookup", "types"],
    ),
];
/// The versions that are linked of what is not, or not yet, of WASI 0.2 or 0.3.
const VERSIONS: [(&str, &[&str]); 3] = [
    ("nexus:sql", &["0.1.0"]),
    ("wasi:config", &["0.2.0-draft-2024-09-27", "0.2.0-rc.1"]),
    ("wasi:keyvalue", &["0.2.0-draft", "0.2.0-draft2"]),
];
/// What a service of WASI 0.2 exports.
pub(crate) const HANDLER: &str = "wasi:http/incoming-handler";
/// What a service of WASI 0.3 exports.
pub(crate) const SERVICE: &str = "wasi:http/handler";
/// Components may lie so deep in one another. What Wasmtime takes to read them grows by the square of it.
const DEEPEST: usize = 100;
/// The longest name that is told, in characters, and how many names are.
const LONGEST: usize = 100;
const MOST: usize = 20;

/// What a file's first bytes say that it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Component,
    Module,
    /// WebAssembly in another version: its number, and its layer's.
    Unsupported(u16, u16),
    Other,
}

/// What is said of a file that is too deep, after its name.
pub(crate) const TOO_DEEP: &str = "is no component that can be run: too many components lie in one another";

/// What is said of a file that is neither component nor module, after its name.
pub(crate) fn is_not_run(kind: &Kind) -> String {
    match kind {
        Kind::Unsupported(version, layer) => {
            format!("is WebAssembly of a version that is not supported: {version}, layer {layer}")
        }
        _ => "is no WebAssembly: it does not begin with \\0asm".to_owned(),
    }
}

/// Looks at the first eight bytes.
pub(crate) fn kind(bytes: &[u8]) -> Kind {
    let Some([0, b'a', b's', b'm', version @ .., low, high]) = bytes.get(..8) else { return Kind::Other };
    let version = u16::from_le_bytes([version[0], version[1]]);
    match (version, u16::from_le_bytes([*low, *high])) {
        (1, 0) => Kind::Module,
        // Of a component's drafts the compiler says more.
        (_, 1) => Kind::Component,
        (version, layer) => Kind::Unsupported(version, layer),
    }
}

/// Whether components lie deeper in one another than any tool makes them. Only looks at the sections' headers; what is
/// malformed is for the compiler to tell.
pub(crate) fn is_too_deep(bytes: &[u8]) -> bool {
    const NESTED: u8 = 4;
    const PREAMBLE: usize = 8;
    // Where the next section begins, and where the component ends, for each that we are in.
    let mut open = vec![(PREAMBLE, bytes.len())];
    while let Some((at, end)) = open.last_mut() {
        let Some((&id, rest)) = bytes.get(*at..*end).and_then(<[u8]>::split_first) else {
            open.pop();
            continue;
        };
        let Some((size, length)) = leb(rest) else { return false };
        let begin = *at + 1 + length;
        let Some(next) = begin.checked_add(size).filter(|next| next <= end) else { return false };
        *at = next;
        if id == NESTED {
            open.push((begin.saturating_add(PREAMBLE).min(next), next));
        }
        if open.len() > DEEPEST {
            return true;
        }
    }
    false
}

/// A number of 32 bits at most in LEB128, and how many bytes it has.
fn leb(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0u64;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(number).ok()?, place + 1));
        }
    }
    None
}

/// A name from a file, fit for a line.
pub(crate) fn shown(name: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut text: String = name.chars().take(LONGEST).map(plain).collect();
    if name.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}

/// Some names from a file, fit for a line.
pub(crate) fn listed(names: &[String]) -> String {
    let mut text = names.iter().take(MOST).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}

/// What a component imports that nothing here provides.
pub(crate) fn unknown_imports(engine: &Engine, component: &Component, wasi: WasiVersion) -> Vec<String> {
    let component = component.component_type();
    let imports = component.imports(engine).filter(|(name, item)| {
        // A type alone asks for nothing.
        !is_known(name, wasi) && !matches!(item.ty, ComponentItem::Type(_))
    });
    imports.map(|(name, _)| name.to_owned()).collect()
}

fn is_known(name: &str, wasi: WasiVersion) -> bool {
    let Some((package, rest)) = name.split_once('/') else { return false };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, "0.2"));
    let Some((_, old, new)) = KNOWN.iter().find(|(known, ..)| *known == package) else { return false };
    if let Some((_, versions)) = VERSIONS.iter().find(|(known, _)| *known == package) {
        return versions.contains(&version) && old.contains(&interface);
    }
    match wasi {
        _ if version.starts_with("0.2") => old.contains(&interface),
        WasiVersion::V0_3 if version.starts_with("0.3") => new.contains(&interface),
        _ => false,
    }
}

/// The latest WASI that a component speaks, by the names of what it imports and exports. What is malformed is for the
/// compiler to tell.
pub(crate) fn wasi(bytes: &[u8]) -> WasiVersion {
    let is_new = |name: &str| name.starts_with("wasi:") && name.contains("@0.3.");
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        let found = match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => {
                depth += 1;
                false
            }
            Ok(Payload::End(_)) => {
                depth -= 1;
                false
            }
            Ok(Payload::ComponentImportSection(imports)) if depth == 0 => {
                imports.into_iter().flatten().any(|import| is_new(import.name.name))
            }
            Ok(Payload::ComponentExportSection(exports)) if depth == 0 => {
                exports.into_iter().flatten().any(|export| is_new(export.name.name))
            }
            Ok(_) => false,
            Err(_) => break,
        };
        if found {
            return WasiVersion::V0_3;
        }
    }
    WasiVersion::V0_2
}

/// Whether a component imports what makes sockets, in any version.
pub(crate) fn makes_sockets(engine: &Engine, component: &Component) -> bool {
    const MAKERS: [&str; 3] =
        ["wasi:sockets/tcp-create-socket", "wasi:sockets/udp-create-socket", "wasi:sockets/types"];
    let component = component.component_type();
    component.imports(engine).any(|(name, _)| MAKERS.iter().any(|maker| is_version_of(name, maker)))
}

/// Whether an interface is exported, in any version.
pub(crate) fn exports(engine: &Engine, component: &Component, interface: &str) -> bool {
    let component = component.component_type();
    component.exports(engine).any(|(name, _)| is_version_of(name, interface))
}

fn is_version_of(name: &str, interface: &str) -> bool {
    name.split('@').next() == Some(interface)
}

/// Whether the exported handler of WASI 0.2 takes what `wasi:http` gives it: a request and where its response goes.
pub(crate) fn has_handler(engine: &Engine, component: &Component) -> bool {
    let Some(handle) = handle(engine, component, HANDLER) else { return false };
    resources(engine, component, "incoming-request", "response-outparam").any(|(request, response)| {
        let params: Vec<Type> = handle.params().map(|(_, ty)| ty).collect();
        matches!(&params[..], [one, two] if owns(one, &request) && owns(two, &response))
            && handle.results().len() == 0
    })
}

/// Whether the exported handler of WASI 0.3 takes a request and gives a response or an error.
pub(crate) fn has_service(engine: &Engine, component: &Component) -> bool {
    let Some(handle) = handle(engine, component, SERVICE) else { return false };
    resources(engine, component, "request", "response").any(|(request, response)| {
        let params: Vec<Type> = handle.params().map(|(_, ty)| ty).collect();
        let results: Vec<Type> = handle.results().collect();
        let [Type::Result(result)] = &results[..] else { return false };
        matches!(&params[..], [one] if owns(one, &request))
            && result.ok().is_some_and(|ok| owns(&ok, &response))
            && result.err().is_some()
    })
}

/// The function `handle` of an exported interface.
fn handle(engine: &Engine, component: &Component, interface: &str) -> Option<ComponentFunc> {
    let ty = component.component_type();
    let (_, handler) = ty.exports(engine).find(|(name, _)| is_version_of(name, interface))?;
    let ComponentItem::ComponentInstance(handler) = handler.ty else { return None };
    let (_, handle) = handler.exports(engine).find(|(name, _)| *name == "handle")?;
    match handle.ty {
        ComponentItem::ComponentFunc(handle) => Some(handle),
        _ => None,
    }
}

/// These two resources in each version of `wasi:http/types` that is imported and has both.
fn resources(
    engine: &Engine,
    component: &Component,
    one: &str,
    other: &str,
) -> impl Iterator<Item = (ResourceType, ResourceType)> {
    let ty = component.component_type();
    let found: Vec<_> = ty
        .imports(engine)
        .filter(|(name, _)| is_version_of(name, "wasi:http/types"))
        .filter_map(|(_, item)| {
            let ComponentItem::ComponentInstance(types) = item.ty else { return None };
            let resource = |wanted: &str| {
                let (_, item) = types.exports(engine).find(|(name, _)| *name == wanted)?;
                match item.ty {
                    ComponentItem::Resource(resource) => Some(resource),
                    _ => None,
                }
            };
            Some((resource(one)?, resource(other)?))
        })
        .collect();
    found.into_iter()
}

/// Whether a type is an own handle of a resource.
fn owns(ty: &Type, resource: &ResourceType) -> bool {
    matches!(ty, Type::Own(own) if own == resource)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_bytes_say_what_a_file_is() {
        assert_eq!(kind(&wat::parse_str("(component)").unwrap()), Kind::Component);
        assert_eq!(kind(&wat::parse_str("(module)").unwrap()), Kind::Module);
        assert_eq!(kind(b"\0asm\x02\0\0\0"), Kind::Unsupported(2, 0));
        assert_eq!(kind(b"\0asm\x0d\0\x02\0"), Kind::Unsupported(13, 2));
        for other in [&b""[..], b"\0asm", b"export default {}", b"\x7fELF\x02\x01\x01\0"] {
            assert_eq!(kind(other), Kind::Other);
        }
    }

    #[test]
    fn depth_is_found_however_deep() {
        let nested = |depth: usize| {
            let empty = wat::parse_str("(component)").unwrap();
            (1..depth).fold(empty.clone(), |inner, _| {
                let mut outer = empty.clone();
                outer.push(4);
                let mut size = inner.len();
                while size > 0x7f {
                    outer.push(size as u8 | 0x80);
                    size >>= 7;
                }
                outer.push(size as u8);
                outer.extend(inner);
                outer
            })
        };
        assert!(!is_too_deep(&nested(1)) && !is_too_deep(&nested(DEEPEST)));
        assert!(is_too_deep(&nested(DEEPEST + 1)));
    }

    #[test]
    fn the_latest_wasi_counts_that_a_component_names_itself() {
        let of = |text: &str| wasi(&wat::parse_str(text).unwrap());
        assert_eq!(of("(component)"), WasiVersion::V0_2);
        let import = |name: &str| format!("(import \"{name}\" (instance))");
        assert_eq!(of(&format!("(component {})", import("wasi:cli/stdin@0.2.6"))), WasiVersion::V0_2);
        assert_eq!(of(&format!("(component {})", import("my:cli/stdin@0.3.0"))), WasiVersion::V0_2);
        let both = [import("wasi:cli/exit@0.2.0"), import("wasi:cli/stdin@0.3.0")].concat();
        assert_eq!(of(&format!("(component {both})")), WasiVersion::V0_3);
        let within = format!("(component (component {}))", import("wasi:cli/stdin@0.3.0"));
        assert_eq!(of(&within), WasiVersion::V0_2, "what lies within is given by what is around it");
        let export = "(component (instance $i) (export \"wasi:cli/run@0.3.0\" (instance $i)))";
        assert_eq!(of(export), WasiVersion::V0_3);
    }

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(shown("a\nb\x1b[2J"), "a b [2J");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), LONGEST + 1);
        let names: Vec<String> = (0..25).map(|n| n.to_string()).collect();
        assert!(listed(&names).ends_with("18, 19 and 5 more"));
    }

    #[test]
    fn interfaces_are_known_by_their_whole_names() {
        let (old, new) = (WasiVersion::V0_2, WasiVersion::V0_3);
        for wasi in [old, new] {
            assert!(is_known("wasi:io/streams@0.2.12", wasi) && is_known("wasi:http/types@0.2.0", wasi));
            for other in ["wasi:http/nope@0.2.0", "wasi:http/types@0.4.0", "a:b/types", "wasi:io", "x"] {
                assert!(!is_known(other, wasi), "{other}");
            }
        }
        for known in ["wasi:keyvalue/store@0.2.0-draft", "wasi:keyvalue/atomics@0.2.0-draft2"] {
            assert!(is_known(known, old) && is_known(known, new), "{known}");
        }
        for other in
            ["wasi:keyvalue/store@0.2.0", "wasi:keyvalue/watcher@0.2.0-draft2", "wasi:keyvalue/store"]
        {
            assert!(!is_known(other, old) && !is_known(other, new), "{other}");
        }
        assert!(is_known("wasi:http/client@0.3.0", new) && !is_known("wasi:http/client@0.3.0", old));
        assert!(!is_known("wasi:io/streams@0.3.0", new) && !is_known("wasi:http/client@0.2.0", new));
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_depth(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            is_too_deep(&bytes);
            kind(&bytes);
            wasi(&bytes);
            wasi(&[b"\0asm\x0d\0\x01\0", &bytes[..]].concat());
        }
    }
}
