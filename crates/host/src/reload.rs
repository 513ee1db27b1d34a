//! `--watch`: an app whose files change is loaded anew, and takes the place of the one that serves once it is.
//!
//! ```text
//! notify's thread ── paths ─► the watch's task: which app, and has the burst passed? ─► discover ─► Manager::replace
//! ```
//!
//! Editors write a file in several steps, or write another one and rename it; builds write many files. So an app is
//! loaded when nothing of it has changed for a moment. Folders are watched, not files: what is renamed into one counts.
//! An app's folder may be another one itself, so the folder that it is in is watched, too, and then the app's anew; and
//! where its path is a link, the folder that the link is in.
//!
//! What a host that replaces another one was given is what its supervisor found once: apps that have changed since are
//! loaded anew when the watch begins.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nexus_guest::Level;
use notify::event::{EventKind, ModifyKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::crew::Entry;
use crate::discover;
use crate::make::Maker;
use crate::manage::{ManageError, Manager};

/// A burst of changes has passed when nothing has changed for so long,
const QUIET: Duration = Duration::from_millis(60);
/// or goes on for so long: something that is written all the time must not keep the app from being loaded.
const LONGEST: Duration = Duration::from_secs(2);
/// All apps are loaded anew for missed events this often at most: one that changes much must not keep the others at it.
const RESCAN: Duration = Duration::from_secs(60);
/// What is missed while all folders are watched anew, and so long after, is of that: it opens each of them.
const SETTLED: Duration = Duration::from_secs(1);
/// So often a folder is gone through in which others come and go.
const TRIES: u32 = 10;
/// How often, and how long, a host that takes over tries to have a port that came later to the host before it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);

/// What apps are loaded with.
pub(crate) struct Reloader {
    pub(crate) manager: Arc<Manager>,
    pub(crate) maker: Arc<Maker>,
}

/// An app that is watched.
pub(crate) struct Watched {
    /// None as long as it cannot be served for what its manifest says.
    entry: Mutex<Option<Arc<Entry>>>,
    /// Whoever reads its files, and has them loaded, holds this.
    reading: Mutex<()>,
    /// The app's folder or main file, as it was found.
    path: PathBuf,
    /// The app's folder, absolute: a link, it may be, in a folder that is none.
    place: PathBuf,
    /// Where that leads, without links: what is watched.
    folder: Mutex<PathBuf>,
}

impl Watched {
    /// The app that was found at this path.
    pub(crate) fn served(path: PathBuf, entry: Arc<Entry>) -> Self {
        let place = discover::place(&path);
        // Where a link leads by now, for a host that comes later.
        let folder = place.canonicalize().unwrap_or_else(|_| entry.app().folder.clone());
        Self::new(path, place, folder, Some(entry))
    }

    /// What was found at this path, which is not served so far.
    pub(crate) fn refused(path: PathBuf) -> Self {
        let place = discover::place(&path);
        let folder = place.canonicalize().unwrap_or_else(|_| place.clone());
        Self::new(path, place, folder, None)
    }

    fn new(path: PathBuf, place: PathBuf, folder: PathBuf, entry: Option<Arc<Entry>>) -> Self {
        Self { entry: Mutex::new(entry), reading: Mutex::default(), path, place, folder: Mutex::new(folder) }
    }

    fn folder(&self) -> PathBuf {
        self.held_folder().clone()
    }

    /// For a look only: each event has one at each app's.
    fn held_folder(&self) -> MutexGuard<'_, PathBuf> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the app is another one when this file changes, or all files below this folder might have.
    fn is_of(&self, path: &Path) -> bool {
        self.place.starts_with(path) || is_within(&self.held_folder(), path)
    }

    /// Whether its folder may be another one when this is.
    fn is_moved_with(&self, path: &Path) -> bool {
        self.place.starts_with(path) || self.held_folder().starts_with(path)
    }

    fn entry(&self) -> Option<Arc<Entry>> {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The app's name, or its folder's if it is not known.
    fn name(&self) -> String {
        match self.entry() {
            Some(entry) => entry.app().name().to_string(),
            None => self.place.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// Has changes in the app's folder be told.
    fn watch(&self, watcher: &mut RecommendedWatcher) -> Result<(), String> {
        let folder = self.folder();
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match watcher.watch(&folder, RecursiveMode::Recursive) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // A folder in it has gone while they were gone through, as they do in a build.
            if !matches!(error.kind, ErrorKind::PathNotFound) || !folder.is_dir() || tries >= TRIES {
                let folder = folder.display();
                let help = "on Linux, fs.inotify.max_user_watches may be too low";
                return Err(format!("cannot watch {folder}: {error}; {help}"));
            }
            let _ = watcher.unwatch(&folder);
        }
    }
}

/// Watches until it is dropped.
pub(crate) struct Watch {
    _watcher: Arc<Mutex<RecommendedWatcher>>,
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
    /// Whether the folder may be another one than before.
    is_moved: bool,
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
        let apps: Vec<Arc<Watched>> = apps.into_iter().map(Arc::new).collect();
        let (changed, changes) = mpsc::unbounded_channel();
        let rescanned = changed.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            if let Some(paths) = changed_by(event) {
                let _ = changed.send(paths);
            }
        };
        let mut watcher = notify::recommended_watcher(tell)
            .map_err(|error| format!("cannot watch for changes: {error}"))?;
        for app in &apps {
            match app.watch(&mut watcher) {
                // One that is not there is watched when it comes.
                Err(error) if app.folder().is_dir() => return Err(error),
                _ => {}
            }
        }
        let folders: Vec<PathBuf> = apps.iter().map(|app| app.folder()).collect();
        let within_an_app = |folder: &Path| folders.iter().any(|app| folder.starts_with(app));
        let places = apps.iter().map(|app| app.place.as_path()).chain(folders.iter().map(PathBuf::as_path));
        let above: BTreeSet<&Path> = places.filter_map(Path::parent).collect();
        for folder in above.into_iter().filter(|folder| !within_an_app(folder)) {
            // It may be one that cannot be read. Then only the folders that there are now are watched.
            let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
        }
        let watcher = Arc::new(Mutex::new(watcher));
        for app in &apps {
            let (reloader, app) = (reloader.clone(), app.clone());
            tokio::task::spawn_blocking(move || reloader.catch_up(&app));
        }
        let task = tokio::spawn(watch(reloader, watcher.clone(), apps, rescanned, changes)).abort_handle();
        Ok(Self { _watcher: watcher, task })
    }
}

/// What may be another one than before.
#[derive(Debug, PartialEq, Eq)]
enum Changed {
    /// Files, or folders with all that is in them.
    Paths(Vec<PathBuf>),
    /// Events were missed: anything.
    Missed,
    /// All folders are watched anew since then.
    Rescanned,
}

fn changed_by(event: notify::Result<notify::Event>) -> Option<Changed> {
    match event {
        Err(_) => Some(Changed::Missed),
        Ok(event) if event.need_rescan() => Some(Changed::Missed),
        // That somebody read a file makes no other one of it.
        Ok(event) => match event.kind {
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => None,
            _ => Some(Changed::Paths(event.paths)),
        },
    }
}

/// When all apps are loaded anew because events were missed.
#[derive(Default)]
struct Rescans {
    is_wanted: bool,
    /// Whether folders are being watched anew for one.
    is_under_way: bool,
    last: Option<Instant>,
}

impl Rescans {
    /// Events were missed.
    fn want(&mut self) {
        self.is_wanted |= !self.is_under_way;
    }

    /// The folders are watched anew.
    fn is_done(&mut self) {
        self.is_under_way = false;
    }

    /// When the next one is due.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.is_wanted.then(|| self.last.map_or(now, |last| last + RESCAN))
    }

    /// Whether one is due, which begins with this.
    fn take(&mut self, now: Instant) -> bool {
        let is_due = self.due(now).is_some_and(|due| due <= now);
        if is_due {
            *self = Self { is_wanted: false, is_under_way: true, last: Some(now) };
        }
        is_due
    }
}

/// Whether an app in this folder is another one when this file changes, or all files below this folder might have.
fn is_within(folder: &Path, path: &Path) -> bool {
    if folder.starts_with(path) {
        return true;
    }
    let Ok(inside) = path.strip_prefix(folder) else { return false };
    // Version control and editors keep their own files in hidden ones. One of variables is not the app's, either.
    !inside.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
}

async fn watch(
    reloader: Arc<Reloader>,
    watcher: Arc<Mutex<RecommendedWatcher>>,
    apps: Vec<Arc<Watched>>,
    rescanned: mpsc::UnboundedSender<Changed>,
    mut changes: mpsc::UnboundedReceiver<Changed>,
) {
    let apps: Arc<[Arc<Watched>]> = apps.into();
    let mut bursts: HashMap<usize, Burst> = HashMap::new();
    let mut rescans = Rescans::default();
    loop {
        let due = bursts.values().map(Burst::due).chain(rescans.due(Instant::now())).min();
        let wait = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.recv() => {
                let paths = match changed {
                    None => return,
                    Some(Changed::Missed) => {
                        rescans.want();
                        continue;
                    }
                    Some(Changed::Rescanned) => {
                        rescans.is_done();
                        let now = Instant::now();
                        for index in 0..apps.len() {
                            bursts.entry(index).or_insert(Burst { first: now, last: now, is_moved: false }).last = now;
                        }
                        continue;
                    }
                    Some(Changed::Paths(paths)) => paths,
                };
                let now = Instant::now();
                for (index, app) in apps.iter().enumerate() {
                    if paths.iter().any(|path| app.is_of(path)) {
                        let burst = bursts.entry(index).or_insert(Burst { first: now, last: now, is_moved: false });
                        burst.last = now;
                        burst.is_moved |= paths.iter().any(|path| app.is_moved_with(path));
                    }
                }
            }
            () = wait => {
                let now = Instant::now();
                if rescans.take(now) {
                    let text = "changes of files were missed: all apps are loaded anew";
                    reloader.maker.logger.host(Level::Warn, text, []);
                    tokio::spawn(reloader.clone().rescan(watcher.clone(), apps.clone(), rescanned.clone()));
                }
                let (passed, goes_on) = bursts.into_iter().partition(|(_, burst): &(usize, Burst)| burst.due() <= now);
                bursts = goes_on;
                let passed: HashMap<usize, Burst> = passed;
                for (index, burst) in passed {
                    // It waits for the disk, and for the app to be loaded.
                    let (reloader, watcher, apps) = (reloader.clone(), watcher.clone(), apps.clone());
                    tokio::task::spawn_blocking(move || {
                        let mut others = Vec::new();
                        if burst.is_moved {
                            others = reloader.watch_anew(&watcher, &apps, index);
                        }
                        for app in std::iter::once(&apps[index]).chain(others) {
                            reloader.reload(app);
                        }
                    });
                }
            }
        }
    }
}

impl Reloader {
    /// Watches all apps' folders anew, those in them that came unseen as well; then says so.
    async fn rescan(
        self: Arc<Self>,
        watcher: Arc<Mutex<RecommendedWatcher>>,
        apps: Arc<[Arc<Watched>]>,
        rescanned: mpsc::UnboundedSender<Changed>,
    ) {
        let watching = tokio::task::spawn_blocking(move || {
            for index in 0..apps.len() {
                self.watch_anew(&watcher, &apps, index);
            }
        });
        // It may have panicked, which it has said.
        let _ = watching.await;
        tokio::time::sleep(SETTLED).await;
        let _ = rescanned.send(Changed::Rescanned);
    }

    /// Watches an app's folder that may be another one than before, ahead of loading what is in it: later changes are
    /// told. Gives the apps of which some may have gone unseen meanwhile.
    fn watch_anew<'a>(
        &self,
        watcher: &Mutex<RecommendedWatcher>,
        apps: &'a [Arc<Watched>],
        index: usize,
    ) -> Vec<&'a Arc<Watched>> {
        let watched = &apps[index];
        let mut watcher = watcher.lock().unwrap_or_else(PoisonError::into_inner);
        let before = watched.folder();
        // It is not watched any more where it has gone.
        let _ = watcher.unwatch(&before);
        let folder = watched.place.canonicalize().unwrap_or_else(|_| before.clone());
        watched.held_folder().clone_from(&folder);
        if let Err(error) = watched.watch(&mut watcher)
            && folder.is_dir()
        {
            self.maker.logger.host(Level::Error, error, [("app", watched.name().into())]);
        }
        // Other apps' folders may be the same one, in it, or around it: they are not watched any more, or not all of them.
        let shares = |app: &Watched| {
            let folder = app.folder();
            folder.starts_with(&before) || before.starts_with(&folder)
        };
        let others = apps.iter().filter(|app| !Arc::ptr_eq(app, watched) && shares(app));
        others.inspect(|other| drop(other.watch(&mut watcher))).collect()
    }

    /// Loads an app anew from its files, and tells how that went.
    fn reload(&self, watched: &Watched) {
        let begun = Instant::now();
        let changed = self.change(watched);
        let serves_another = watched.entry().is_some();
        let (level, message) = match &changed {
            Err(ManageError::Superseded) => return,
            Ok(entry) if entry.is_paused() => {
                (Level::Info, "the app has changed; it is stopped, and starts as it is now".to_owned())
            }
            Ok(_) => {
                (Level::Info, format!("the changed app serves, after {} ms", begun.elapsed().as_millis()))
            }
            Err(error) if serves_another => {
                let why = error.text();
                (Level::Error, format!("the changed app is not served, the one before goes on: {why}"))
            }
            Err(error) => (Level::Error, format!("the changed app is not served: {}", error.text())),
        };
        self.maker.logger.host(level, message, [("app", watched.name().into())]);
    }

    /// Loads an app anew if it is not as it was when the host was given it.
    fn catch_up(&self, watched: &Watched) {
        let Ok(now) = discover::again(&watched.path, &self.maker.config) else { return };
        match watched.entry() {
            Some(entry) if *entry.app() == now => {}
            Some(_) => self.reload(watched),
            None => {
                // Where it was served before, the host before this one may still have its port.
                let begun = Instant::now();
                while self.change(watched).is_err() && begun.elapsed() < PATIENCE {
                    std::thread::sleep(LOOK_AGAIN);
                }
            }
        }
    }

    /// Has what the app's files are now take the place of the version that serves, if there is one.
    fn change(&self, watched: &Watched) -> Result<Arc<Entry>, ManageError> {
        // Who reads the files later has its version loaded later: that of two changes counts which is the newer one.
        let reading = watched.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let app = discover::again(&watched.path, &self.maker.config)
            .map_err(|problems| ManageError::Wrong(problems.to_string()))?;
        let Some(entry) = watched.entry() else {
            let added = self.manager.adopt(&watched.path, app)?;
            *watched.entry.lock().unwrap_or_else(PoisonError::into_inner) = Some(added.clone());
            return Ok(added);
        };
        if app.name() != entry.app().name() {
            let text = format!("its name is `{}` now; that takes a start of nexus", app.name());
            return Err(ManageError::Conflict(text));
        }
        let mut replacing = self.manager.begin_to_replace(&entry, app, None)?;
        drop(reading);
        self.manager.replaced(&mut replacing)?;
        drop(replacing);
        Ok(entry)
    }
}

#[cfg(test)]
mod tests;
