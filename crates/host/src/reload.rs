//! `--watch`: an app whose files change is loaded anew, and takes the place of the one that serves once it is.
//!
//! ```text
//! notify's thread ── paths ─► the watch's task: which app, and has the burst passed? ─► discover ─► Registry::change
//! ```
//!
//! Editors write a file in several steps, or write another one and rename it; builds write many files. So an app is
//! loaded when nothing of it has changed for a moment. Folders are watched, not files: what is renamed into one counts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexus_core::App;
use nexus_guest::Level;
use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::crew::{Entry, Refused, Registry};
use crate::discover;
use crate::make::Maker;

/// A burst of changes has passed when nothing has changed for so long,
const QUIET: Duration = Duration::from_millis(60);
/// or goes on for so long: something that is written all the time must not keep the app from being loaded.
const LONGEST: Duration = Duration::from_secs(2);

/// What apps are loaded with.
pub(crate) struct Reloader {
    pub(crate) registry: Arc<Registry>,
    pub(crate) maker: Arc<Maker>,
}

/// An app that is watched.
pub(crate) struct Watched {
    pub(crate) entry: Arc<Entry>,
    /// The app's folder or main file, as it was found.
    pub(crate) path: PathBuf,
    /// The app's folder, absolute and without links.
    pub(crate) folder: PathBuf,
}

/// Watches until it is dropped.
pub(crate) struct Watch {
    _watcher: RecommendedWatcher,
    task: tokio::task::AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Changes of an app that have not been acted on.
struct Burst {
    first: Instant,
    last: Instant,
}

impl Burst {
    fn due(&self) -> Instant {
        (self.last + QUIET).min(self.first + LONGEST)
    }
}

impl Watch {
    /// Begins to watch these apps. Must be called within the host's event loop.
    ///
    /// # Errors
    /// When the system refuses to tell of changes; what to do is in the text.
    pub(crate) fn start(reloader: Arc<Reloader>, apps: Vec<Watched>) -> Result<Self, String> {
        let (changed, changes) = mpsc::unbounded_channel();
        let tell = move |event: notify::Result<notify::Event>| {
            let paths = match event {
                Ok(event) if concerns(&event) => event.paths,
                Ok(_) => return,
                // Some were missed: any app may have changed.
                Err(_) => vec![PathBuf::from("/")],
            };
            let _ = changed.send(paths);
        };
        let mut watcher = notify::recommended_watcher(tell)
            .map_err(|error| format!("cannot watch for changes: {error}"))?;
        for app in &apps {
            watcher.watch(&app.folder, RecursiveMode::Recursive).map_err(|error| {
                let folder = app.folder.display();
                format!(
                    "cannot watch {folder}: {error}; on Linux, fs.inotify.max_user_watches may be too low"
                )
            })?;
        }
        let task = tokio::spawn(watch(reloader, apps, changes)).abort_handle();
        Ok(Self { _watcher: watcher, task })
    }
}

/// Whether an event can mean that a file is another one than before. That somebody read it cannot.
fn concerns(event: &notify::Event) -> bool {
    event.need_rescan()
        || !matches!(event.kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)))
}

/// Whether an app is another one when this file changes, or all files below this folder might have.
fn is_of(folder: &Path, path: &Path) -> bool {
    if folder.starts_with(path) {
        return true;
    }
    let Ok(inside) = path.strip_prefix(folder) else { return false };
    // Version control and editors keep their own files in hidden ones. One of variables is not the app's, either.
    !inside.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
}

async fn watch(
    reloader: Arc<Reloader>,
    apps: Vec<Watched>,
    mut changes: mpsc::UnboundedReceiver<Vec<PathBuf>>,
) {
    let mut bursts: HashMap<usize, Burst> = HashMap::new();
    loop {
        let due = bursts.values().map(Burst::due).min();
        let wait = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            paths = changes.recv() => {
                let Some(paths) = paths else { return };
                let now = Instant::now();
                for (index, app) in apps.iter().enumerate() {
                    if paths.iter().any(|path| is_of(&app.folder, path)) {
                        bursts.entry(index).or_insert(Burst { first: now, last: now }).last = now;
                    }
                }
            }
            () = wait => {
                let now = Instant::now();
                let (passed, goes_on) = bursts.into_iter().partition(|(_, burst): &(usize, Burst)| burst.due() <= now);
                bursts = goes_on;
                let passed: HashMap<usize, Burst> = passed;
                for app in passed.keys().filter_map(|index| apps.get(*index)) {
                    let (reloader, entry, path) = (reloader.clone(), app.entry.clone(), app.path.clone());
                    tokio::spawn(async move { reloader.reload(&entry, path).await });
                }
            }
        }
    }
}

impl Reloader {
    /// Loads an app anew from its files, and tells how that went.
    async fn reload(&self, entry: &Entry, path: PathBuf) {
        let begun = Instant::now();
        let name = entry.app().name().to_string();
        let app = ("app", name.as_str().into());
        let config = self.maker.config.clone();
        // A large folder on a slow disk must not keep the host's event loop.
        let found = tokio::task::spawn_blocking(move || discover::again(&path, &config)).await;
        let outcome = match found {
            Ok(Ok(app)) => self.change(entry, app).await,
            Ok(Err(problems)) => Err(problems.to_string().into()),
            Err(_) => Err("its files could not be read".to_owned().into()),
        };
        match outcome {
            Ok(()) => {
                let message = format!("the changed app serves, after {} ms", begun.elapsed().as_millis());
                self.maker.logger.host(Level::Info, message, [app]);
            }
            Err(Refused::Superseded) => {}
            Err(Refused::Because(why)) => {
                let message = format!("the changed app is not served, the one before goes on: {why}");
                self.maker.logger.host(Level::Error, message, [app]);
            }
        }
    }

    /// Has this version take the place of the one that serves.
    async fn change(&self, entry: &Entry, app: App) -> Result<(), Refused> {
        let before = entry.app();
        if app.name() != before.name() {
            return Err(format!("its name is `{}` now; that takes a start of nexus", app.name()).into());
        }
        if app.manifest.http.port != before.manifest.http.port {
            return Err("its port is another one now; that takes a start of nexus".to_owned().into());
        }
        if app.manifest.http != before.manifest.http {
            return Err("its hosts or paths are others now; that takes a start of nexus".to_owned().into());
        }
        let change = self.maker.change(Arc::new(app), None)?;
        match self.registry.change(entry, change).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Refused::Superseded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_changes_with_its_own_files_and_not_with_hidden_ones() {
        let folder = Path::new("/apps/shop");
        for path in ["/apps/shop/index.js", "/apps/shop/lib/a/b.js", "/apps/shop", "/apps", "/"] {
            assert!(is_of(folder, Path::new(path)), "{path}");
        }
        for path in
            ["/apps/shop2/index.js", "/apps/other/index.js", "/apps/shop/.git/index", "/apps/shop/.a.swp"]
        {
            assert!(!is_of(folder, Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_burst_has_passed_when_it_is_quiet_or_has_gone_on_for_long() {
        let first = Instant::now();
        let burst = Burst { first, last: first + Duration::from_millis(500) };
        assert_eq!(burst.due(), first + Duration::from_millis(560));
        let burst = Burst { first, last: first + Duration::from_millis(1990) };
        assert_eq!(burst.due(), first + LONGEST);
    }
}
