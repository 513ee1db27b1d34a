//! A file against its description: what it sets, and everything that is wrong with it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Fallback, Keys, Schema, Table};
use super::kind::{Kind, found, shortened};
use super::values::Values;
use crate::env_file::is_variable_name;
use crate::source::{Source, Written};
use crate::suggest::nearest;
use crate::{Diagnostic, Diagnostics, syntax};

/// A file, read: what it sets, as far as that is right, and what is wrong.
pub(crate) struct Document {
    pub(crate) values: Values,
    pub(crate) problems: Diagnostics,
}

/// Reads `text` as the file that `schema` describes.
pub(crate) fn validate(schema: &'static Schema, text: &str, file: &str) -> Document {
    let source = Source::new(file, text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut problems = Diagnostics::new();
    let toml = syntax::parse(&source, &mut problems);
    let values = Values::new(schema, Written::new(source.clone()));
    let mut walk = Walk { schema, source: &source, certain: toml.certain, values, problems };
    walk.table("", &toml.root);
    Document { values: walk.values, problems: walk.problems }
}

struct Walk<'a> {
    schema: &'static Schema,
    source: &'a Source,
    /// What stands behind this is a guess after a syntax error.
    certain: usize,
    values: Values,
    problems: Diagnostics,
}

impl Walk<'_> {
    /// Goes through a table, the root being the one with an empty path.
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let described = self.schema.table(path);
        for (key, value) in entries {
            // What a header's syntax error leaves behind has no true place.
            if key.span().start >= self.certain || value.span().start >= self.certain {
                continue;
            }
            let name = key.get_ref().as_ref();
            let inner = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            match described {
                Some(Table { keys: Keys::Variables, .. }) => self.variable(inner, key, value),
                Some(table) if table.key(name).is_some() => self.value(inner, value),
                _ if self.is_table(&inner) => self.inner_table(inner, key, value),
                _ => self.unknown(path, key, value),
            }
        }
    }

    /// Whether the description knows a table of this path, or tables in one.
    fn is_table(&self, path: &str) -> bool {
        self.schema
            .tables
            .iter()
            .any(|t| t.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    fn inner_table(&mut self, path: String, key: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = value.get_ref() else {
            let header = self.header(&path);
            let (what, help) = match value.get_ref() {
                DeValue::Array(array) if array.iter().any(|v| v.get_ref().is_table()) => (
                    "a table, of which there is one".to_owned(),
                    format!("write `{header}` in single brackets"),
                ),
                other => (
                    format!("a table, not {}", found(other)),
                    format!("write `{header}` on a line of its own, and its keys below it"),
                ),
            };
            self.problem(&key.span(), format!("`{path}` is {what}"), Some(help));
            return;
        };
        self.values.written.insert(path.clone(), key.span());
        self.table(&path, table);
        // Behind a syntax error, the missing key may just not have been understood.
        let Some(described) = self.schema.table(&path).filter(|_| self.certain == usize::MAX) else { return };
        for missing in described.listed().iter().filter(|key| matches!(key.fallback, Fallback::Required)) {
            if !table.keys().any(|key| key.get_ref() == missing.name) {
                let message = format!("[{path}] needs the key `{}`", missing.name);
                let help = format!("`{}` must be {}", missing.name, missing.kind.expected());
                self.problem(&key.span(), message, Some(help));
            }
        }
    }

    /// A header to write for the path, which may be of the first part of a table's name only.
    fn header(&self, path: &str) -> String {
        let table = self.schema.tables.iter().find(|table| table.path.starts_with(path));
        format!("[{}]", table.map_or(path, |table| table.path))
    }

    fn value(&mut self, path: String, value: &Spanned<DeValue<'_>>) {
        let Some(key) = self.schema.key(&path) else { return };
        self.read(path, key.name, &key.kind, value);
    }

    fn variable(&mut self, path: String, key: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) {
        let name = key.get_ref().as_ref();
        if !is_variable_name(name) {
            let message = format!("`{}` is no name of a variable", shortened(name));
            let help = "a name holds letters, digits and `_`, and starts with no digit";
            self.problem(&key.span(), message, Some(help.to_owned()));
            return;
        }
        self.read(path, name, &Kind::Text, value);
    }

    fn read(&mut self, path: String, name: &str, kind: &Kind, value: &Spanned<DeValue<'_>>) {
        match kind.read(name, value) {
            Ok(read) => {
                self.values.written.insert(path.clone(), value.span());
                self.values.insert(path, read);
            }
            Err(misfit) => {
                let span = misfit.span.unwrap_or_else(|| value.span());
                self.problem(&span, misfit.message, misfit.help);
            }
        }
    }

    fn unknown(&mut self, path: &str, key: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) {
        let name = key.get_ref().as_ref();
        let is_table = value.get_ref().is_table();
        let shown = shortened(name);
        let message = match (path, is_table) {
            ("", true) => format!("unknown table [{shown}]"),
            ("", false) => format!("unknown key `{shown}` outside of any table"),
            (_, true) => format!("unknown table [{path}.{shown}]"),
            (_, false) => format!("unknown key `{shown}` in [{path}]"),
        };
        let meant = match value.get_ref() {
            DeValue::Table(inner) => self.meant_table(path, name, inner),
            _ => self.meant_key(path, name),
        };
        let help = meant.unwrap_or_else(|| self.allowed(path));
        self.problem(&key.span(), message, Some(help));
    }

    /// The key that the author of an unknown one may have meant: one of this table, or else of another.
    fn meant_key(&self, path: &str, name: &str) -> Option<String> {
        let own = self.schema.table(path).map_or(&[][..], Table::listed);
        if let Some(near) = nearest(name, own.iter().map(|key| key.name)) {
            return Some(format!("did you mean `{near}`?"));
        }
        let tables = self.schema.tables;
        let near = nearest(name, tables.iter().flat_map(|table| table.listed()).map(|key| key.name))?;
        let holders = headers(tables.iter().filter(|table| table.key(near).is_some()));
        Some(format!("`{near}` belongs under {}", holders.join(" or ")))
    }

    /// The table that the author of an unknown one may have meant.
    fn meant_table(&self, path: &str, name: &str, inner: &DeTable<'_>) -> Option<String> {
        let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let tables = || self.schema.tables.iter();
        // `[limits.defaults]` for `[defaults.limits]`, and `[http]` for it too.
        let turned =
            |table: &&Table| inner.keys().any(|key| table.path == format!("{}.{full}", key.get_ref()));
        let deeper = |table: &&Table| table.path.rsplit_once('.').is_some_and(|(_, last)| last == full);
        let mut meant = headers(tables().filter(turned));
        if meant.is_empty() {
            meant = headers(tables().filter(deeper));
        }
        if meant.is_empty() {
            meant.extend(nearest(&full, tables().map(|table| table.path)).map(|near| format!("[{near}]")));
        }
        (!meant.is_empty()).then(|| format!("did you mean {}?", meant.join(" or ")))
    }

    /// What may stand there.
    fn allowed(&self, path: &str) -> String {
        if let Some(table) = self.schema.table(path) {
            let names: Vec<_> = table.listed().iter().map(|key| format!("`{}`", key.name)).collect();
            return format!("[{path}] takes {}", names.join(", "));
        }
        let inside = |table: &&Table| path.is_empty() || table.path.starts_with(&format!("{path}."));
        format!("the tables are {}", headers(self.schema.tables.iter().filter(inside)).join(", "))
    }

    fn problem(&mut self, span: &Range<usize>, message: String, help: Option<String>) {
        if span.start < self.certain {
            self.problems.push_with(|| Diagnostic { help, ..self.source.diagnostic(span, message) });
        }
    }
}

fn headers<'a>(tables: impl Iterator<Item = &'a Table>) -> Vec<String> {
    tables.map(|table| format!("[{}]", table.path)).collect()
}
