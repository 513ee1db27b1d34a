//! `[project] isolation`: how much the requests of a JavaScript app share.

use crate::schema::Values;

/// How much the requests of a JavaScript app share. A WebAssembly app has `[wasm] reuse` for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Isolation {
    /// All requests of a worker are served by its one guest, and find there what others left behind.
    #[default]
    Worker,
    /// Each request is served by a fresh guest, and shares nothing with others.
    Request,
}

impl Isolation {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::Worker, Self::Request];

    /// The isolation as the manifest has it: `worker`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Request => "request",
        }
    }

    pub(crate) fn read(values: &Values) -> Self {
        let word = values.text("project.isolation");
        Self::ALL
            .into_iter()
            .find(|isolation| word.as_deref() == Some(isolation.as_str()))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Kind, MANIFEST};

    #[test]
    fn every_word_that_the_manifest_takes_is_a_value() {
        let Some(Kind::Choice(words)) = MANIFEST.key("project.isolation").map(|key| key.kind) else {
            panic!("`isolation` is a choice");
        };
        assert_eq!(words, Isolation::ALL.map(Isolation::as_str));
    }
}
