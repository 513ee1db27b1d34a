//! A file against its description: what it sets, and everything that is wrong with it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Fallback, Keys, Names, Schema, Table};
use super::kind::{Kind, found, listed, shortened};
use super::values::Values;
use crate::env_file::is_variable_name;
use crate::source::{Source, Written};
use crate::{AppName, Diagnostic, Diagnostics, syntax};

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
    walk.table("", None, &toml.root);
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
    /// Goes through a table, the root being the one with an empty path. Only a table that has keys is
    /// described.
    fn table(&mut self, path: &str, described: Option<&'static Table>, table: &DeTable<'_>) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            // What a header's syntax error leaves behind has no true place.
            if key.span().start >= self.certain || value.span().start >= self.certain {
                continue;
            }
            let name = key.get_ref().as_ref();
            let inner = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            match (described, described.and_then(|table| table.key(name))) {
                (Some(Table { keys: Keys::Variables, .. }), _) => self.variable(inner, key, value),
                (_, Some(known)) => self.read(inner, known.name, &known.kind, value),
                _ if self.is_table(&inner) => self.inner_table(inner, key, value),
                _ => self.unknown(described.map_or(path, |table| table.path), key, value),
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
        let described = self.schema.table(&path);
        if let Some(described @ Table { keys: Keys::Each(_), .. }) = described {
            return self.array_of_tables(path, described, key, value);
        }
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
        match described {
            Some(described @ Table { keys: Keys::Named { names, one_of, .. }, .. }) => {
                self.named(&path, (described, *names), one_of, table);
            }
            _ => {
                self.table(&path, described, table);
                if let Some(described) = described {
                    self.required(described, table, &key.span());
                }
            }
        }
    }

    /// Goes through a table of tables with names.
    fn named(
        &mut self,
        path: &str,
        (described, names): (&'static Table, Names),
        one_of: &[&str],
        table: &DeTable<'_>,
    ) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let certain = self.certain;
        for (key, value) in entries.into_iter().filter(|(key, _)| key.span().start < certain) {
            let name = match names {
                Names::Variables => self.variable_name(key),
                Names::Plain => self.plain_name(key),
            };
            let Some(name) = name else { continue };
            let first = described.listed().first().map_or("key", |key| key.name);
            let choice = if one_of.is_empty() { format!("`{first}`") } else { listed(one_of, '`', "or") };
            let DeValue::Table(entry) = value.get_ref() else {
                let message =
                    format!("`{name}` must be a table with {choice}, not {}", found(value.get_ref()));
                let help = format!("write `{name} = {{ {first} = … }}`");
                self.problem(&value.span(), message, Some(help));
                continue;
            };
            let inner = format!("{path}.{name}");
            self.values.written.insert(inner.clone(), key.span());
            self.table(&inner, Some(described), entry);
            self.required(described, entry, &key.span());
            let set = one_of.iter().filter(|one| entry.keys().any(|key| key.get_ref() == **one)).count();
            if set != 1 && !one_of.is_empty() && self.certain == usize::MAX {
                let message = match set {
                    0 => format!("`{name}` needs {choice}"),
                    _ => format!("`{name}` has more than one of {choice}"),
                };
                let help = "each binding is one thing; give others names of their own".to_owned();
                self.problem(&key.span(), message, (set > 1).then_some(help));
            }
        }
    }

    fn array_of_tables(
        &mut self,
        path: String,
        described: &'static Table,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let header = described.header();
        let on_its_own = format!("write `{header}` on a line of its own, and its keys below it");
        let DeValue::Array(items) = value.get_ref() else {
            let message = format!("`{path}` is an array of tables, not {}", found(value.get_ref()));
            let help = match value.get_ref() {
                DeValue::Table(_) => format!("write `{header}`, in double brackets, for each of them"),
                _ => on_its_own,
            };
            self.problem(&key.span(), message, Some(help));
            return;
        };
        self.values.written.insert(path.clone(), key.span());
        let certain = self.certain;
        for (place, item) in items.iter().enumerate().filter(|(_, item)| item.span().start < certain) {
            let DeValue::Table(table) = item.get_ref() else {
                let message = format!("`{path}` must hold tables, not {}", found(item.get_ref()));
                self.problem(&item.span(), message, Some(on_its_own.clone()));
                continue;
            };
            let inner = format!("{path}[{place}]");
            self.values.written.insert(inner.clone(), item.span());
            self.table(&inner, Some(described), table);
            self.required(described, table, &item.span());
        }
    }

    /// Tells which keys a table, at `span`, lacks.
    fn required(&mut self, described: &Table, table: &DeTable<'_>, span: &Range<usize>) {
        // Behind a syntax error, the missing key may just not have been understood.
        if self.certain != usize::MAX {
            return;
        }
        for missing in described.listed().iter().filter(|key| matches!(key.fallback, Fallback::Required)) {
            if !table.keys().any(|key| key.get_ref() == missing.name) {
                let message = format!("{} needs the key `{}`", described.header(), missing.name);
                let help = format!("`{}` must be {}", missing.name, missing.kind.expected());
                self.problem(span, message, Some(help));
            }
        }
    }

    /// A header to write for the path, which may be of the first part of a table's name only.
    fn header(&self, path: &str) -> String {
        let table = self.schema.tables.iter().find(|table| table.path.starts_with(path));
        table.map_or_else(|| format!("[{path}]"), Table::header)
    }

    fn variable(&mut self, path: String, key: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) {
        if let Some(name) = self.variable_name(key) {
            self.read(path, name, &Kind::Text, value);
        }
    }

    /// The name, if it is one that an app may have, too.
    fn plain_name<'k>(&mut self, key: &'k Spanned<impl AsRef<str>>) -> Option<&'k str> {
        let name = key.get_ref().as_ref();
        if AppName::parse(name).is_some() && !name.contains('.') {
            return Some(name);
        }
        let message = format!("`{}` is no name", shortened(name));
        let help = "a name has 1 to 63 of `a-z 0-9 - _`, the first a letter or digit";
        self.problem(&key.span(), message, Some(help.to_owned()));
        None
    }

    /// The name, if it is one that a variable may have.
    fn variable_name<'k>(&mut self, key: &'k Spanned<impl AsRef<str>>) -> Option<&'k str> {
        let name = key.get_ref().as_ref();
        if is_variable_name(name) {
            return Some(name);
        }
        let message = format!("`{}` is no name of a variable", shortened(name));
        let help = "a name holds letters, digits and `_`, and starts with no digit";
        self.problem(&key.span(), message, Some(help.to_owned()));
        None
    }

    fn read(&mut self, path: String, name: &str, kind: &Kind, value: &Spanned<DeValue<'_>>) {
        match kind.read(name, value) {
            Ok(read) => {
                self.values.written.insert(path.clone(), value.span());
                for (place, item) in value.get_ref().as_array().into_iter().flatten().enumerate() {
                    self.values.written.insert(format!("{path}[{place}]"), item.span());
                }
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
        let is_tables = |items: &[Spanned<DeValue<'_>>]| items.iter().all(|item| item.get_ref().is_table());
        let shown = shortened(name);
        let full = if path.is_empty() { shown.clone() } else { format!("{path}.{shown}") };
        let message = match value.get_ref() {
            DeValue::Table(_) => format!("unknown table [{full}]"),
            DeValue::Array(items) if !items.is_empty() && is_tables(items) => {
                format!("unknown table [[{full}]]")
            }
            _ if path.is_empty() => format!("unknown key `{shown}` outside of any table"),
            _ => {
                let header = self.schema.table(path).map_or_else(|| format!("[{path}]"), Table::header);
                format!("unknown key `{shown}` in {header}")
            }
        };
        // The help is sought only for problems that are kept: it costs more than all else about a key.
        let Self { schema, source, certain, problems, .. } = self;
        if key.span().start < *certain {
            problems.push_with(|| {
                source.diagnostic(&key.span(), message).with_help(schema.meant(path, name, value.get_ref()))
            });
        }
    }

    fn problem(&mut self, span: &Range<usize>, message: String, help: Option<String>) {
        if span.start < self.certain {
            self.problems.push_with(|| Diagnostic { help, ..self.source.diagnostic(span, message) });
        }
    }
}
