//! From a request's host and path to whatever is entered for them: an app.

use std::collections::HashMap;
use std::fmt;

use super::host::{self, name_of};
use super::tree::PathTree;
use super::{HostPattern, NoRoute, PathPattern, normal_path};

/// Finds what is entered for a request's host and path.
///
/// An entry is for each of its hosts with each of its paths; without hosts it is for any host, without paths
/// for any path. What comes before what [`PathPattern`] and [`HostPattern`] say of each, and the
/// documentation of [`lookup`](Self::lookup) of both.
///
/// A lookup of a plain host and path allocates nothing, and takes no longer for many entries than for few. A
/// change builds anew what it has to; who serves with a router meanwhile changes a clone and exchanges it.
///
/// ```
/// use nexus_core::{HostPattern, NoRoute, PathPattern, Router};
///
/// let shop: [HostPattern; 1] = ["shop.example".parse().unwrap()];
/// let api: [PathPattern; 1] = ["/api".parse().unwrap()];
/// let router = Router::new([
///     (Some(&shop[..]), None, "shop"),
///     (Some(&shop[..]), Some(&api[..]), "api"),
/// ]).unwrap();
///
/// assert_eq!(router.lookup("shop.example", "/cart"), Ok(&"shop"));
/// assert_eq!(router.lookup("Shop.Example:8080", "/api/items?page=2"), Ok(&"api"));
/// assert_eq!(router.lookup("blog.example", "/"), Err(NoRoute::Host));
/// ```
#[derive(Debug, Clone)]
pub struct Router<T> {
    entries: Vec<Entry<T>>,
    /// The paths of each exact name or address, with the entries' places.
    exact: HashMap<Box<str>, PathTree>,
    /// The paths of each wildcard, by what comes after `*.`.
    below: HashMap<Box<str>, PathTree>,
    /// The paths of what names no host.
    any: Option<PathTree>,
}

#[derive(Debug, Clone)]
struct Entry<T> {
    /// Empty for any host.
    hosts: Vec<HostPattern>,
    /// Empty for any path.
    paths: Vec<PathPattern>,
    value: T,
}

/// Two entries claim the same paths of the same host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict<T> {
    /// What was entered before.
    pub first: T,
    /// What was to be entered, and is not.
    pub second: T,
    /// The host that both name; `None` is any host.
    pub host: Option<HostPattern>,
    /// The path that both name, as the second one writes it; `/` if that names none.
    pub path: PathPattern,
}

impl<T: fmt::Display> fmt::Display for Conflict<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, host, path } = self;
        write!(f, "`{second}` claims the path `{path}` of ")?;
        match host {
            Some(host) => write!(f, "`{host}`")?,
            None => f.write_str("any host")?,
        }
        write!(f, ", and so does `{first}`")
    }
}

impl<T: fmt::Debug + fmt::Display> std::error::Error for Conflict<T> {}

impl<T> Default for Router<T> {
    /// A router for nothing.
    fn default() -> Self {
        Self { entries: Vec::new(), exact: HashMap::new(), below: HashMap::new(), any: None }
    }
}

impl<T> Router<T> {
    /// What is entered for the request. `host` is that of the request, with or without a port; `path` is that
    /// of its target, still escaped; a query behind it is not looked at.
    ///
    /// The most specific host that anything is entered for decides, and then the most specific of its paths.
    /// Hosts that are less specific are not asked again.
    ///
    /// # Errors
    /// Whether it is the host that nothing is entered for, or the path.
    pub fn lookup(&self, host: &str, path: &str) -> Result<&T, NoRoute> {
        let tree = self.tree_of_name(&name_of(host)).ok_or(NoRoute::Host)?;
        let place = tree.find(&normal_path(path)).ok_or(NoRoute::Path)?;
        self.entries.get(place).map(|entry| &entry.value).ok_or(NoRoute::Path)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes the entries that `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let entries = std::mem::take(self).entries;
        for entry in entries.into_iter().filter(|entry| keep(&entry.value)) {
            self.enter(entry);
        }
    }

    fn tree_of_name(&self, name: &str) -> Option<&PathTree> {
        if let Some(tree) = self.exact.get(name) {
            return Some(tree);
        }
        // No pattern is as long as that, and somebody may send a name of thousands of labels.
        if !self.below.is_empty() && name.len() <= host::MOST {
            let mut rest = name;
            while let Some((label, below)) = rest.split_once('.')
                && !label.is_empty()
            {
                if let Some(tree) = self.below.get(below) {
                    return Some(tree);
                }
                rest = below;
            }
        }
        self.any.as_ref()
    }

    fn tree_of(&self, host: Option<&HostPattern>) -> Option<&PathTree> {
        match host {
            None => self.any.as_ref(),
            Some(host) if host.is_wildcard() => self.below.get(host.name()),
            Some(host) => self.exact.get(host.name()),
        }
    }

    fn enter(&mut self, entry: Entry<T>) {
        let place = self.entries.len();
        for host in entry.hosts() {
            let tree = match host {
                None => self.any.get_or_insert_default(),
                Some(host) if host.is_wildcard() => self.below.entry(host.name().into()).or_default(),
                Some(host) => self.exact.entry(host.name().into()).or_default(),
            };
            entry.paths().for_each(|path| tree.set(path, place));
        }
        self.entries.push(entry);
    }
}

impl<T: Clone> Router<T> {
    /// A router of these entries: hosts, paths, and what is found. No hosts, like an empty list, are any
    /// host, and so with paths.
    ///
    /// # Errors
    /// The first two entries that claim the same paths of the same host. Those of one entry may be the same.
    pub fn new<'a>(
        entries: impl IntoIterator<Item = (Option<&'a [HostPattern]>, Option<&'a [PathPattern]>, T)>,
    ) -> Result<Self, Conflict<T>> {
        let mut router = Self::default();
        for (hosts, paths, value) in entries {
            router.insert(hosts, paths, value)?;
        }
        Ok(router)
    }

    /// Enters one more, as [`new`](Self::new) does.
    ///
    /// # Errors
    /// The first entry that claims the same paths of the same host; nothing is entered then.
    pub fn insert(
        &mut self,
        hosts: Option<&[HostPattern]>,
        paths: Option<&[PathPattern]>,
        value: T,
    ) -> Result<(), Conflict<T>> {
        let (hosts, paths) = (hosts.unwrap_or_default().to_vec(), paths.unwrap_or_default().to_vec());
        let entry = Entry { hosts, paths, value };
        match self.conflict(&entry) {
            Some(conflict) => Err(conflict),
            None => {
                self.enter(entry);
                Ok(())
            }
        }
    }

    /// Enters one in the place of those that `replaced` says yes to, if there are any.
    ///
    /// # Errors
    /// The first other entry that claims the same paths of the same host; nothing is changed then.
    pub fn replace(
        &mut self,
        mut replaced: impl FnMut(&T) -> bool,
        hosts: Option<&[HostPattern]>,
        paths: Option<&[PathPattern]>,
        value: T,
    ) -> Result<(), Conflict<T>> {
        let mut next = Self::default();
        for entry in self.entries.iter().filter(|entry| !replaced(&entry.value)) {
            next.enter(entry.clone());
        }
        next.insert(hosts, paths, value)?;
        *self = next;
        Ok(())
    }

    fn conflict(&self, entry: &Entry<T>) -> Option<Conflict<T>> {
        entry.hosts().find_map(|host| {
            let tree = self.tree_of(host)?;
            let (path, place) = entry.paths().find_map(|path| Some((path, tree.get(path)?)))?;
            let first = self.entries.get(place)?.value.clone();
            Some(Conflict { first, second: entry.value.clone(), host: host.cloned(), path: path.clone() })
        })
    }
}

impl<T> Entry<T> {
    /// `None` is any host.
    fn hosts(&self) -> impl Iterator<Item = Option<&HostPattern>> {
        let any = self.hosts.is_empty().then_some(None);
        any.into_iter().chain(self.hosts.iter().map(Some))
    }

    fn paths(&self) -> impl Iterator<Item = &PathPattern> {
        static EVERY: PathPattern = PathPattern::EVERY;
        let every = self.paths.is_empty().then_some(&EVERY);
        every.into_iter().chain(&self.paths)
    }
}

#[cfg(test)]
mod tests;
