//! What an import asks for: a specifier and a type.

use nexus_guest::ModulePath;

use crate::exception::prefix;

/// The type of a module (Import Attributes, `with { type: … }`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    JavaScript,
    /// A WebAssembly module. No `type` names it: like JavaScript, it is what its file is.
    Wasm,
    Json,
    Text,
    Bytes,
}

impl Kind {
    /// The type that an import's attributes name, given as alternating keys and values.
    ///
    /// # Errors
    /// A line that says what is possible.
    pub(crate) fn of_attributes(attributes: &[(String, String)]) -> Result<Self, String> {
        let mut kind = Self::JavaScript;
        for (key, value) in attributes {
            kind = match (key.as_str(), value.as_str()) {
                ("type", "json") => Self::Json,
                ("type", "text") => Self::Text,
                ("type", "bytes") => Self::Bytes,
                ("type", other) => {
                    return Err(format!(
                        "import type \"{other}\" is not supported: use \"json\", \"text\" or \"bytes\", \
                         or none for a .js, .mjs or .wasm file"
                    ));
                }
                (other, _) => {
                    return Err(format!("import attribute \"{other}\" is not supported: use \"type\""));
                }
            };
        }
        Ok(kind)
    }

    /// What a file of this name is if it is imported as this type: an import without one gives JavaScript or
    /// WebAssembly.
    ///
    /// # Errors
    /// A line that says how it can be imported.
    pub(crate) fn of_file(self, path: &ModulePath) -> Result<Self, String> {
        let ends = |ending: &str| path.as_str().ends_with(ending);
        if self != Self::JavaScript || ends(".js") || ends(".mjs") {
            return Ok(self);
        }
        if ends(".wasm") {
            return Ok(Self::Wasm);
        }
        let hint = if ends(".json") { "json" } else { "text" };
        Err(format!("\"{path}\" is no JavaScript file (.js, .mjs): import it with {{ type: \"{hint}\" }}"))
    }
}

/// How much is read of an import's attributes: how many, and how many bytes of each key and value. What is cut is
/// nothing that is supported.
const MAX_ATTRIBUTES: usize = 16;
const MAX_TEXT: usize = 1024;

/// The attributes of an import, from V8's flat array; `step` is 3 for static imports (key, value, offset) and 2 for
/// dynamic ones.
pub(crate) fn attributes(
    scope: &mut v8::PinScope<'_, '_>,
    array: v8::Local<'_, v8::FixedArray>,
    step: usize,
) -> Vec<(String, String)> {
    let text = |scope: &mut v8::PinScope<'_, '_>, index: usize| {
        let value = array.get(scope, index).and_then(|data| v8::Local::<v8::String>::try_from(data).ok());
        value.map(|string| prefix(scope, string, MAX_TEXT)).unwrap_or_default()
    };
    (0..(array.length() / step).min(MAX_ATTRIBUTES))
        .map(|i| (text(scope, i * step), text(scope, i * step + 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_names_a_type_that_is_supported_or_is_refused() {
        let with = |key: &str, value: &str| Kind::of_attributes(&[(key.into(), value.into())]);
        assert_eq!(with("type", "json"), Ok(Kind::Json));
        assert_eq!(with("type", "bytes"), Ok(Kind::Bytes));
        assert!(with("type", "css").unwrap_err().contains("\"css\""));
        assert!(with("type", "webassembly").unwrap_err().contains("none for a .js, .mjs or .wasm file"));
        assert!(with("integrity", "x").unwrap_err().contains("\"integrity\""));
    }

    #[test]
    fn a_file_that_is_no_javascript_needs_a_type() {
        let path = ModulePath::new("data/a.json").unwrap();
        assert!(Kind::JavaScript.of_file(&path).unwrap_err().contains("type: \"json\""));
        assert_eq!(Kind::Json.of_file(&path), Ok(Kind::Json));
    }

    #[test]
    fn webassembly_needs_no_type_and_can_have_another_one() {
        let path = ModulePath::new("lib/a.wasm").unwrap();
        assert_eq!(Kind::JavaScript.of_file(&path), Ok(Kind::Wasm));
        assert_eq!(Kind::Bytes.of_file(&path), Ok(Kind::Bytes));
    }
}
