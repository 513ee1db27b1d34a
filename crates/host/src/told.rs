//! What a host tells whoever started it, and what its parts tell it.

use std::fmt;
use std::path::PathBuf;

use crate::listen::ListenError;

/// Why a host could not start at all.
#[derive(Debug)]
pub struct StartError(pub(crate) String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl From<ListenError> for StartError {
    fn from(error: ListenError) -> Self {
        Self(error.to_string())
    }
}

/// How an app fares, for the start-up table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppState {
    /// The app's name, or its folder's where the manifest gives none.
    pub name: String,
    /// The app's folder.
    pub folder: PathBuf,
    /// The main file, relative to the folder.
    pub main: Option<String>,
    /// Where it is served, or why it is not.
    pub serving: Result<String, String>,
    /// The hosts that it is served under, on a port that apps share; any, if there are none.
    pub hosts: Vec<String>,
    /// The paths that it is served under, on a port that apps share; any, if there are none.
    pub paths: Vec<String>,
    /// Whether its manifest is right and its address was to be had: if it is not served, its code is why.
    pub has_worker: bool,
    /// Whether it is set aside: its requests are answered by the host, with 503.
    pub is_aside: bool,
}

impl AppState {
    /// An app without a worker, and why.
    pub(crate) fn refused(name: String, folder: PathBuf, main: Option<String>, why: String) -> Self {
        let (hosts, paths) = (Vec::new(), Vec::new());
        Self { name, folder, main, serving: Err(why), hosts, paths, has_worker: false, is_aside: false }
    }
}

/// What a running host tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// This app serves, or has failed, after [`Host::started`](crate::Host::started).
    App(AppState),
    /// Lost workers hold so much that the process should be replaced by a fresh one; the text says how much. Told once.
    Spent(String),
    /// Somebody who manages it wants the host to stop.
    Drain,
}

/// What the host's own parts tell it.
#[derive(Debug)]
pub(crate) enum Told {
    /// This app serves, or has failed.
    App(usize),
    /// See [`Happening::Spent`].
    Spent(String),
    /// See [`Happening::Drain`].
    Drain,
}
