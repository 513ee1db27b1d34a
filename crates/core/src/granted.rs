//! What a host grants at the moment of what a manifest asks for: written by its registry, read by whoever decides.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::{Access, AppName};

/// What is granted of one thing, at the moment. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct GrantedAccess(Arc<AtomicU8>);

fn level(access: Option<Access>) -> u8 {
    match access {
        None => 0,
        Some(Access::Read) => 1,
        Some(Access::Write) => 2,
    }
}

impl GrantedAccess {
    /// What is granted; nothing by default.
    pub fn get(&self) -> Option<Access> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Access::Read),
            _ => Some(Access::Write),
        }
    }

    /// Grants this from now on, and no more.
    pub fn set(&self, access: Option<Access>) {
        self.0.store(level(access), Ordering::Release);
    }

    /// Whether it covers what is needed.
    pub fn covers(&self, needed: Access) -> bool {
        self.0.load(Ordering::Acquire) >= level(Some(needed))
    }

    /// Whether anybody else has it.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// Which entries of one list of `[permissions]` are granted at the moment. Clones share it.
///
/// By default no registry decides, and what is asked for is granted: so it is for whoever runs an app by themselves.
/// It is no part of what a manifest says: all are equal.
#[derive(Clone, Default)]
pub struct Switches(Option<Arc<Decided>>);

struct Decided {
    app: AppName,
    entries: Box<[GrantedAccess]>,
}

impl Switches {
    /// What is granted to this app of each entry, in the list's order.
    pub fn new(app: &AppName, entries: impl IntoIterator<Item = GrantedAccess>) -> Self {
        Self(Some(Arc::new(Decided { app: app.clone(), entries: entries.into_iter().collect() })))
    }

    /// Whether the entry at this place is granted now. One that the registry does not know is not.
    pub fn is_on(&self, place: usize) -> bool {
        let is_granted =
            |of: &Arc<Decided>| of.entries.get(place).is_some_and(|entry| entry.covers(Access::Read));
        self.0.as_ref().is_none_or(is_granted)
    }

    /// Those of a list that are granted now.
    pub fn of<'a, T>(&'a self, list: &'a [T]) -> impl Iterator<Item = &'a T> + Clone {
        list.iter().enumerate().filter(|(place, _)| self.is_on(*place)).map(|(_, entry)| entry)
    }

    /// The app, where a registry decides.
    pub fn app(&self) -> Option<&AppName> {
        self.0.as_ref().map(|of| &of.app)
    }
}

impl fmt::Debug for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Switches").field(&self.0.as_ref().map(|of| &of.entries)).finish()
    }
}

impl PartialEq for Switches {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Switches {}

/// A text as a word of a shell's command line: in quotes, if it needs them.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,+@%=".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_decides_counts_at_once_and_what_it_does_not_know_is_denied() {
        let app = AppName::parse("shop").unwrap();
        let cells = [GrantedAccess::default(), GrantedAccess::default()];
        let switches = Switches::new(&app, cells.clone());
        let on = |switches: &Switches| switches.of(&["a", "b", "c"]).copied().collect::<String>();
        assert_eq!((on(&switches), on(&Switches::default())), (String::new(), "abc".into()));
        cells[1].set(Some(Access::Read));
        assert_eq!((on(&switches), cells[1].get(), cells[0].get()), ("b".into(), Some(Access::Read), None));
        assert!(!cells[1].covers(Access::Write) && cells[1].is_shared());
        cells[0].set(Some(Access::Write));
        cells[1].set(None);
        assert_eq!(on(&switches.clone()), "a");
        assert_eq!((switches.app(), Switches::default().app()), (Some(&app), None));
        drop(switches);
        assert!(!cells[0].is_shared());
    }

    #[test]
    fn a_word_of_a_command_line_is_quoted_where_a_shell_would_read_it() {
        let words = ["api.example.com:443", "*.a", "[::1]:80", "/a b", "it's", ""].map(shell_word);
        assert_eq!(words, ["api.example.com:443", "'*.a'", "'[::1]:80'", "'/a b'", r"'it'\''s'", "''"]);
    }
}
