//! What the author of an unknown key or table may have meant.

use toml::de::{DeTable, DeValue};

use super::keys::{Key, Schema, Table};
use crate::Limit;
use crate::suggest::nearest;

impl Schema {
    /// Help for who wrote `name`, which the table `path` does not know, with that value.
    pub(super) fn meant(&self, path: &str, name: &str, value: &DeValue<'_>) -> String {
        let meant = match value {
            DeValue::Table(inner) => self.meant_table(path, name, inner),
            DeValue::Array(items) => match items.first().and_then(|item| item.get_ref().as_table()) {
                Some(inner) => self.meant_table(path, name, inner),
                None => self.meant_key(path, name),
            },
            _ => self.meant_key(path, name),
        };
        meant.unwrap_or_else(|| self.allowed(path))
    }

    /// The key that the author of an unknown one may have meant: one of this table, or else of another.
    fn meant_key(&self, path: &str, name: &str) -> Option<String> {
        let own = self.table(path).map_or(&[][..], Table::listed);
        if let Some(near) = nearest_key(name, own.iter()) {
            return Some(format!("did you mean `{near}`?"));
        }
        let tables = self.tables;
        let near = nearest_key(name, tables.iter().flat_map(|table| table.listed()))?;
        let holders = headers(tables.iter().filter(|table| table.key(near).is_some()));
        Some(format!("`{near}` belongs under {}", holders.join(" or ")))
    }

    /// The table that the author of an unknown one may have meant.
    fn meant_table(&self, path: &str, name: &str, inner: &DeTable<'_>) -> Option<String> {
        let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let tables = || self.tables.iter();
        // `[limits.defaults]` for `[defaults.limits]`, and `[limits]` or `[http.limits]` for it too.
        let turned =
            |table: &&Table| inner.keys().any(|key| table.path == format!("{}.{full}", key.get_ref()));
        let elsewhere = |table: &&Table| table.path.rsplit('.').next() == Some(name);
        let mut meant = headers(tables().filter(turned));
        if meant.is_empty() {
            meant = headers(tables().filter(elsewhere));
        }
        if meant.is_empty() {
            let near = nearest(&full, tables().map(|table| table.path));
            meant.extend(near.and_then(|near| self.table(near)).map(Table::header));
        }
        if meant.is_empty() {
            // `[workers]` with `memory`, which stands elsewhere.
            return inner.keys().find_map(|key| self.meant_key(&full, key.get_ref()));
        }
        Some(format!("did you mean {}?", meant.join(" or ")))
    }

    /// What may stand there.
    fn allowed(&self, path: &str) -> String {
        if let Some(table) = self.table(path) {
            let names: Vec<_> = table.listed().iter().map(|key| format!("`{}`", key.name)).collect();
            return format!("{} takes {}", table.header(), names.join(", "));
        }
        let inside = |table: &&Table| path.is_empty() || table.path.starts_with(&format!("{path}."));
        format!("the tables are {}", headers(self.tables.iter().filter(inside)).join(", "))
    }
}

/// What keys are called elsewhere, where no likeness leads to them, or to another one.
const ALIASES: [(&str, &str); 11] = [
    ("max_workers", "workers"),
    ("domain", "hosts"),
    ("domains", "hosts"),
    ("server_name", "hosts"),
    ("prefix", "paths"),
    ("prefixes", "paths"),
    ("pattern", "path"),
    ("network", "net"),
    ("allow_net", "net"),
    ("dns", "name_servers"),
    ("resolvers", "name_servers"),
];

/// The key that somebody probably meant: one that has this name elsewhere, or one of a name alike, or else a
/// limit that has this name elsewhere.
fn nearest_key<'a>(word: &str, keys: impl Iterator<Item = &'a Key> + Clone) -> Option<&'a str> {
    let names = keys.map(|key| key.name);
    let alias = ALIASES.iter().find(|(alias, _)| *alias == word).map(|(_, key)| *key);
    if let Some(name) = names.clone().find(|name| alias == Some(*name)) {
        return Some(name);
    }
    nearest(word, names.clone()).or_else(|| {
        let limit = Limit::known_as(word)?;
        names.into_iter().find(|name| *name == limit.key())
    })
}

fn headers<'a>(tables: impl Iterator<Item = &'a Table>) -> Vec<String> {
    tables.map(Table::header).collect()
}
