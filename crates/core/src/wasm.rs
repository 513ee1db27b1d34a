//! `[wasm]`: how an app that is WebAssembly runs.

use crate::Written;
use crate::schema::{MANIFEST, Values};

/// `[wasm]`: how an app whose main file is WebAssembly runs. It means nothing to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WasmSection {
    /// The latest WASI that the app is served with.
    pub wasi: WasiVersion,
    /// What compiles the app.
    pub compiler: WasmCompiler,
    /// How many requests an instance serves before it ends, from 1.
    pub reuse: u32,
    /// How many requests an instance serves at once, from 1, if it is of WASI 0.3 and serves more than one.
    pub concurrency: u32,
    /// The most elements of all tables of an instance together.
    pub tables: u32,
    /// The most core instances within one instance of a component.
    pub instances: u32,
}

impl WasmSection {
    pub(crate) fn read(values: &Values) -> Self {
        let word = |path| values.text(path).unwrap_or_default();
        let number = |path| values.integer(path).and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
        Self {
            wasi: WasiVersion::named(&word("wasm.wasi")).unwrap_or_default(),
            compiler: WasmCompiler::named(&word("wasm.compiler")).unwrap_or_default(),
            reuse: number("wasm.reuse"),
            concurrency: number("wasm.concurrency"),
            tables: number("wasm.tables"),
            instances: number("wasm.instances"),
        }
    }
}

impl Default for WasmSection {
    /// What holds where no file says anything.
    fn default() -> Self {
        Self::read(&Values::new(&MANIFEST, Written::default()))
    }
}

/// A version of WASI, the interfaces between a component and its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum WasiVersion {
    /// WASI 0.2: `wasi:http/proxy`.
    #[default]
    V0_2,
    /// WASI 0.3: `wasi:http/service`, with functions that are asynchronous, streams and futures. The engine's makers
    /// call it experimental.
    V0_3,
}

impl WasiVersion {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::V0_2, Self::V0_3];

    /// The version as the manifest has it: `0.2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_2 => "0.2",
            Self::V0_3 => "0.3",
        }
    }

    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == word)
    }
}

/// What makes machine code, or what stands for it, of WebAssembly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WasmCompiler {
    /// Optimises: the fastest code.
    #[default]
    Cranelift,
    /// Compiles in one pass: sooner done, slower code.
    Winch,
    /// Portable bytecode, which is interpreted: no machine code at all.
    Pulley,
}

impl WasmCompiler {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Cranelift, Self::Winch, Self::Pulley];

    /// The compiler as the manifest has it: `cranelift`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cranelift => "cranelift",
            Self::Winch => "winch",
            Self::Pulley => "pulley",
        }
    }

    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compiler| compiler.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Kind;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let expected = WasmSection {
            wasi: WasiVersion::V0_2,
            compiler: WasmCompiler::Cranelift,
            reuse: 1,
            concurrency: 1,
            tables: 100_000,
            instances: 100,
        };
        assert_eq!(WasmSection::default(), expected);
    }

    #[test]
    fn every_word_that_the_manifest_takes_is_a_value() {
        let words = |path: &str| match MANIFEST.key(path).map(|key| key.kind) {
            Some(Kind::Choice(words)) => words,
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(words("wasm.compiler"), WasmCompiler::ALL.map(WasmCompiler::as_str));
        assert_eq!(words("wasm.wasi"), WasiVersion::ALL.map(WasiVersion::as_str));
    }
}
