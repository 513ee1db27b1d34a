//! How many host processes there are, and which of the apps each one has.
//!
//! All heaps of a process share V8's 4 GB, so that a machine with more memory than that is filled by several processes
//! only. What one of them leaves free of its part of the memory, though, the others cannot use, and each one costs a V8
//! of its own: few apps are better off in one.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;

use nexus_core::{AppName, BindingTarget, HostConfig, Hosts};

use crate::discover::Found;
use crate::ledger::granted;

const MB: u64 = 1 << 20;

/// What one process's heaps can fill, in bytes.
const CAGE: u64 = 4096 * MB;

/// So many apps are given to a process before another one is begun: 16 MB of the cage for each on average, which is
/// what a small app comes to under load.
const APPS: usize = 256;

/// What a host must have at least, in bytes: as much as the smallest budget that can be configured.
const LEAST: u64 = 64 * MB;

/// How the apps are shared out: those of one shared port to one host, which routes their requests, and those that share what
/// one of them keeps, whose file is one process's; else in turn, so that apps that were found side by side, which often are alike, spread over
/// the hosts, and no two hosts differ by more than one app. What cannot be served is told of by the first host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    hosts: NonZeroUsize,
    /// For each app that was found and can be served, its group: the apps of a group are in one host.
    groups: Vec<Option<usize>>,
}

/// Why apps cannot be shared out as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharesError(String);

impl fmt::Display for SharesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SharesError {}

impl Shares {
    /// Shares these apps out as the configuration has it.
    ///
    /// # Errors
    /// When each of the hosts that were asked for would have too little memory.
    pub fn new(config: &HostConfig, apps: &[Found]) -> Result<Self, SharesError> {
        let groups = groups(apps);
        let count = groups.iter().flatten().max().map_or(0, |last| last + 1);
        if config.control_address().is_some() {
            // Whoever manages apps talks to one host, and the data folder is one host's.
            return match config.process.hosts {
                Hosts::Number(2..) => Err(SharesError(
                    "several hosts cannot be managed, nor have apps deployed to them: ask for one host (`--hosts 1`), or \
                     leave out `--data` and `--control`"
                        .into(),
                )),
                _ => Ok(Self { hosts: NonZeroUsize::MIN, groups }),
            };
        }
        let memory = || config.process.memory.or_else(granted);
        let hosts = match config.process.hosts {
            Hosts::Auto => auto(count, memory),
            Hosts::Number(number) => {
                let number = usize::from(number).min(count);
                enough(number, memory)?;
                number
            }
        };
        Ok(Self { hosts: NonZeroUsize::new(hosts).unwrap_or(NonZeroUsize::MIN), groups })
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> NonZeroUsize {
        self.hosts
    }

    /// The apps of one of the hosts, by their places, in order.
    pub(crate) fn places(&self, host: usize) -> Vec<usize> {
        let owner = |group: &Option<usize>| group.map_or(0, |group| group % self.hosts);
        let owners = self.groups.iter().map(owner).enumerate();
        owners.filter(|(_, owner)| *owner == host).map(|(place, _)| place).collect()
    }
}

/// The groups of the apps that can be served, numbered as they come: what shares a port, or what an app keeps, is together.
fn groups(apps: &[Found]) -> Vec<Option<usize>> {
    // Of each app another one of its group, or itself.
    let mut joined: Vec<usize> = (0..apps.len()).collect();
    let mut ports = HashMap::new();
    let mut stores: HashMap<AppName, usize> = HashMap::new();
    for (place, found) in apps.iter().enumerate() {
        let Ok(app) = &found.app else { continue };
        let http = &app.manifest.http;
        if http.is_shared() {
            join(&mut joined, place, *ports.entry(http.port).or_insert(place));
        }
        for binding in &app.manifest.bindings {
            let owner = match &binding.to {
                BindingTarget::Kv(store) | BindingTarget::Sql(store) => store.name.of(app.name()).owner,
                BindingTarget::App(other) => other.clone(),
            };
            join(&mut joined, place, *stores.entry(owner).or_insert(place));
        }
    }
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    let group = |(place, found): (usize, &Found)| {
        found.app.as_ref().ok()?;
        let next = numbers.len();
        Some(*numbers.entry(root(&joined, place)).or_insert(next))
    };
    apps.iter().enumerate().map(group).collect()
}

/// The app that stands for a whole group.
fn root(joined: &[usize], mut place: usize) -> usize {
    while joined[place] != place {
        place = joined[place];
    }
    place
}

fn join(joined: &mut [usize], place: usize, other: usize) {
    let (one, other) = (root(joined, place), root(joined, other));
    joined[one.max(other)] = one.min(other);
}

/// As many as cages fit into the memory, but no more than one for each [`APPS`] that are begun.
fn auto(apps: usize, memory: impl FnOnce() -> Option<u64>) -> usize {
    match apps.div_ceil(APPS).min(Hosts::MOST.into()) {
        wanted @ 2.. => {
            let cages = memory().unwrap_or_default() / CAGE;
            wanted.min(usize::try_from(cages).unwrap_or(usize::MAX)).max(1)
        }
        _ => 1,
    }
}

/// Whether each host of several has what it must have at least.
fn enough(hosts: usize, memory: impl FnOnce() -> Option<u64>) -> Result<(), SharesError> {
    match memory() {
        Some(memory) if hosts > 1 && memory / (hosts as u64) < LEAST => {
            let (memory, least) = (memory / MB, LEAST / MB);
            Err(SharesError(format!(
                "{hosts} hosts cannot share {memory} MB of memory, each needs {least} MB: ask for fewer hosts \
                 (`--hosts` or `hosts` under [process]), or give more memory (`--memory` or `memory`)"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use nexus_core::{App, Diagnostic, Diagnostics, Manifest};
    use proptest::prelude::*;

    const GB: u64 = 1024 * MB;

    #[test]
    fn few_apps_have_one_host_whatever_the_memory() {
        for apps in [0, 1, 10, 256] {
            assert_eq!(auto(apps, || Some(1024 * GB)), 1, "{apps}");
        }
    }

    #[test]
    fn many_apps_have_as_many_hosts_as_they_and_the_memory_ask_for() {
        for (apps, memory, hosts) in [
            (257, 1024 * GB, 2),
            (257, 8 * GB, 2),
            (257, 8 * GB - 1, 1),
            (512, 1024 * GB, 2),
            (513, 1024 * GB, 3),
            (1000, 1024 * GB, 4),
            (1000, 14 * GB, 3),
            (1000, GB, 1),
            (1_000_000, 1024 * GB, 64),
        ] {
            assert_eq!(auto(apps, || Some(memory)), hosts, "{apps} apps in {memory} bytes");
        }
        assert_eq!(auto(1000, || None), 1, "nobody says how much there is");
    }

    #[test]
    fn hosts_with_too_little_memory_are_refused_with_what_to_do() {
        assert_eq!(enough(1, || Some(1)), Ok(()));
        assert_eq!(enough(4, || Some(256 * MB)), Ok(()));
        assert_eq!(enough(4, || None), Ok(()));
        let error = enough(5, || Some(256 * MB)).unwrap_err().to_string();
        assert!(error.starts_with("5 hosts cannot share 256 MB of memory, each needs 64 MB: "), "{error}");
    }

    /// Apps of which some share a port, if they can be served: `Some(true)` does.
    fn shares(hosts: usize, apps: &[Option<bool>]) -> Shares {
        let found = |app: &Option<bool>| {
            let manifest = if *app == Some(true) { "[http]\npaths = [\"/a\"]\n" } else { "" };
            let (folder, main) = (PathBuf::from("a"), Some("index.js".to_owned()));
            let manifest = Manifest::parse(manifest, "nexus.toml", "a").unwrap();
            let broken = Diagnostics::from(Diagnostic::of_file("a", "broken"));
            let app = app.map(|_| App { folder: folder.clone(), main, manifest }).ok_or(broken);
            Found { folder, app }
        };
        let apps: Vec<Found> = apps.iter().map(found).collect();
        Shares { hosts: NonZeroUsize::new(hosts).unwrap(), groups: groups(&apps) }
    }

    #[test]
    fn apps_that_share_what_they_keep_are_together() {
        let found = |(name, bindings): &(&str, &str)| {
            let manifest = format!("[bindings]\n{bindings}");
            let manifest = Manifest::parse(&manifest, "nexus.toml", name).unwrap();
            let folder = PathBuf::from(name);
            Found { folder: folder.clone(), app: Ok(App { folder, main: None, manifest }) }
        };
        let apps = [
            ("a", "K = { kv = \"x\" }"),
            ("b", "K = { kv = \"x\" }"),
            ("c", ""),
            ("d", "K = { kv = \"b/x\" }\nL = { kv = \"e/x\" }"),
            ("e", "K = { kv = \"y\" }"),
            ("f", "K = { kv = \"c/x\" }"),
            ("g", "K = { kv = \"nobody/x\" }"),
            ("h", "K = { kv = \"nobody/y\" }"),
        ];
        let groups = groups(&apps.iter().map(found).collect::<Vec<_>>());
        assert_eq!(groups, [0, 1, 2, 1, 1, 3, 4, 4].map(Some));
    }

    #[test]
    fn apps_go_to_the_hosts_in_turn_and_what_cannot_be_served_to_the_first() {
        let own = Some(false);
        let parts = shares(2, &[own, own, None, own, None, own, own]);
        assert_eq!(parts.places(0), [0, 2, 3, 4, 6]);
        assert_eq!(parts.places(1), [1, 5]);
        let parts = shares(2, &[own, Some(true), own, Some(true), own, Some(true)]);
        assert_eq!((parts.places(0), parts.places(1)), (vec![0, 2], vec![1, 3, 4, 5]));
    }

    proptest! {
        #[test]
        fn every_app_has_one_host_and_every_host_its_fair_share(
            hosts in 1..20usize,
            apps in proptest::collection::vec(any::<Option<bool>>(), 0..200),
        ) {
            let shares = shares(hosts, &apps);
            let mut all: Vec<usize> = (0..hosts).flat_map(|host| shares.places(host)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..apps.len()).collect::<Vec<_>>());
            let sharing = |host: &usize| shares.places(*host).iter().any(|place| apps[*place] == Some(true));
            prop_assert!((0..hosts).filter(sharing).count() <= 1);
            let first = apps.iter().position(|app| *app == Some(true));
            let counts = |place: &usize| apps[*place] == Some(false) || Some(*place) == first;
            let count = |host| shares.places(host).iter().filter(|place| counts(place)).count();
            let counts: Vec<usize> = (0..hosts).map(count).collect();
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }
    }
}
