//! What a file is, and what a component asks for and offers: looked at before anything is made of it.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentItem, ResourceType, Type};

/// What is linked; everything else is unknown.
const KNOWN: [(&str, &[&str]); 7] = [
    (
        "wasi:cli",
        &[
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
        ],
    ),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", &["preopens", "types"]),
    ("wasi:http", &["outgoing-handler", "types"]),
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:random", &["insecure", "insecure-seed", "random"]),
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
    ),
];
/// What a service exports.
pub(crate) const HANDLER: &str = "wasi:http/incoming-handler";
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
pub(crate) fn unknown_imports(engine: &Engine, component: &Component) -> Vec<String> {
    let component = component.component_type();
    let imports = component.imports(engine).filter(|(name, item)| {
        // A type alone asks for nothing.
        !is_known(name) && !matches!(item.ty, ComponentItem::Type(_))
    });
    imports.map(|(name, _)| name.to_owned()).collect()
}

fn is_known(name: &str) -> bool {
    let Some((package, rest)) = name.split_once('/') else { return false };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, "0.2"));
    let interfaces = KNOWN.iter().find(|(known, _)| *known == package);
    version.starts_with("0.2") && interfaces.is_some_and(|(_, interfaces)| interfaces.contains(&interface))
}

/// Whether an interface is exported, in any version.
pub(crate) fn exports(engine: &Engine, component: &Component, interface: &str) -> bool {
    let component = component.component_type();
    component.exports(engine).any(|(name, _)| is_version_of(name, interface))
}

fn is_version_of(name: &str, interface: &str) -> bool {
    name.split('@').next() == Some(interface)
}

/// Whether the exported handler takes what `wasi:http` gives it: a request and where its response goes.
pub(crate) fn has_handler(engine: &Engine, component: &Component) -> bool {
    let ty = component.component_type();
    let interface = |item: ComponentItem| match item {
        ComponentItem::ComponentInstance(instance) => Some(instance),
        _ => None,
    };
    let handler = ty.exports(engine).find(|(name, _)| is_version_of(name, HANDLER));
    let handler = handler.and_then(|(_, item)| interface(item.ty));
    let handle = handler.and_then(|handler| {
        handler.exports(engine).find(|(name, _)| *name == "handle").and_then(|(_, item)| match item.ty {
            ComponentItem::ComponentFunc(handle) => Some(handle),
            _ => None,
        })
    });
    let Some(handle) = handle else { return false };
    ty.imports(engine).filter(|(name, _)| is_version_of(name, "wasi:http/types")).any(|(_, item)| {
        let Some(types) = interface(item.ty) else { return false };
        let resource = |wanted: &str| {
            types.exports(engine).find(|(name, _)| *name == wanted).and_then(|(_, item)| match item.ty {
                ComponentItem::Resource(resource) => Some(resource),
                _ => None,
            })
        };
        resource("incoming-request")
            .zip(resource("response-outparam"))
            .is_some_and(|(request, response)| takes(&handle, &request, &response))
    })
}

fn takes(handle: &ComponentFunc, request: &ResourceType, response: &ResourceType) -> bool {
    let params: Vec<Type> = handle.params().map(|(_, ty)| ty).collect();
    let is = |ty: &Type, wanted: &ResourceType| matches!(ty, Type::Own(own) if own == wanted);
    matches!(&params[..], [one, two] if is(one, request) && is(two, response)) && handle.results().len() == 0
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
    fn names_are_short_and_plain() {
        assert_eq!(shown("a\nb\x1b[2J"), "a b [2J");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), LONGEST + 1);
        let names: Vec<String> = (0..25).map(|n| n.to_string()).collect();
        assert!(listed(&names).ends_with("18, 19 and 5 more"));
    }

    #[test]
    fn interfaces_are_known_by_their_whole_names() {
        assert!(is_known("wasi:io/streams@0.2.12") && is_known("wasi:http/types@0.2.0"));
        for other in ["wasi:http/nope@0.2.0", "wasi:http/types@0.3.0", "a:b/types", "wasi:io", "x"] {
            assert!(!is_known(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_depth(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            is_too_deep(&bytes);
            kind(&bytes);
        }
    }
}
