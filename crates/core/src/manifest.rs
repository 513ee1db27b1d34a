//! `nexus.toml`, read.

use std::time::Duration;

use crate::AppName;

/// What an app's `nexus.toml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `[project] name`; by default the folder's name.
    pub name: AppName,
    /// `[project] version`.
    pub version: Option<String>,
    /// `[project] main`; by default `index.js`, then `index.mjs`.
    pub main: Option<String>,
    /// `[http]`.
    pub http: HttpSection,
    /// `[env]`, in order.
    pub env: Vec<(String, String)>,
    /// `[assets]`.
    pub assets: Option<AssetsSection>,
}

/// `[http]`: where and how the app is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSection {
    /// The port; by default the next free one from `--port`.
    pub port: Option<u16>,
    /// The largest head of a request, in bytes: 431 beyond it.
    pub max_head: u64,
    /// The largest body of a request, in bytes: 413 beyond it.
    pub max_body: u64,
    /// From the request's head to the response's head: 504 beyond it.
    pub response_timeout: Duration,
}

/// `[assets]`: a folder served as static files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetsSection {
    /// The folder, relative to the app's, with `/`, without `..`.
    pub folder: String,
}
