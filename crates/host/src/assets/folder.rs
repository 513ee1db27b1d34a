//! The worker's side: asks for assets, and gets replies.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use nexus_guest::{Body, Event, HeaderList, Reply, Request};
use tokio::runtime::Handle;

use super::lookup::{Answer, Content, NoAnswer, Query, answer, answer_waiting, failure};
use super::path::{self, AssetPath};
use super::stream::FileSource;
use crate::beneath::{Beneath, Opened, Wait};

/// An app's folder of static files.
///
/// Nothing outside the folder is ever served, whatever its links say; of what is inside only regular files, and
/// none that is hidden by a dot in front (but `/.well-known/`). Each may lie there in compressed forms too
/// (`app.js.br`, `.zst`, `.gz`), which go to the clients that accept them.
///
/// A clone serves the same folder.
#[derive(Debug, Clone)]
pub(crate) struct Assets {
    root: Arc<Beneath>,
    pool: Handle,
}

impl Assets {
    /// The files beneath `root`. What would wait for the disk runs as a blocking job on `pool`.
    ///
    /// # Errors
    /// When there is no such folder.
    pub(crate) fn new(root: &Path, pool: Handle) -> io::Result<Self> {
        Ok(Self { root: Arc::new(Beneath::open(root)?), pool })
    }

    /// Whether the request may mean an asset. Never waits: says no to what shows by its method or its path, or by
    /// what the kernel has cached, that it does not.
    pub(crate) fn may_serve(&self, request: &Request) -> bool {
        request.event == Event::Fetch
            && parse(&request.method, target_of(&request.url))
                .is_some_and(|(path, _)| !matches!(self.cached(&path), Err(NoAnswer::NotAnAsset)))
    }

    /// The asset that the request means, or `None`: then the guest is asked.
    ///
    /// Answers at once what the kernel has cached; the rest waits for the disk on the pool.
    pub(crate) async fn find(&self, request: &Request) -> Option<Reply> {
        self.find_target(&request.method, target_of(&request.url), &request.headers).await
    }

    async fn find_target(&self, method: &str, target: &str, headers: &HeaderList) -> Option<Reply> {
        let (path, head) = parse(method, target)?;
        let opened = self.cached(&path);
        let query = Query::new(path, target, head, headers);
        let answered =
            opened.and_then(|opened| answer(&self.root, &query, opened, Wait::Never, SystemTime::now()));
        match answered {
            Ok(answer) => Some(reply(answer, &self.pool)),
            Err(NoAnswer::NotAnAsset) => None,
            Err(NoAnswer::Failed(error)) => Some(reply(failure(&error), &self.pool)),
            Err(NoAnswer::WouldWait | NoAnswer::Changed) => self.find_waiting(query).await,
        }
    }

    fn cached(&self, path: &AssetPath) -> Result<Opened, NoAnswer> {
        self.root.get(&path.file, Wait::Never).map_err(NoAnswer::from)
    }

    async fn find_waiting(&self, query: Query) -> Option<Reply> {
        let root = self.root.clone();
        match self.pool.spawn_blocking(move || answer_waiting(&root, &query)).await {
            Ok(answer) => Some(reply(answer?, &self.pool)),
            // The pool has ended: the host is about to.
            Err(_) => Some(reply(failure(&io::ErrorKind::Interrupted.into()), &self.pool)),
        }
    }
}

/// The path that may be an asset's, and whether only its head is wanted.
fn parse(method: &str, target: &str) -> Option<(AssetPath, bool)> {
    let head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return None,
    };
    // The query may come back in a redirect's header.
    if target.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return None;
    }
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Some((path::parse(path)?, head))
}

/// The path and query of an absolute URL, as they are in it.
fn target_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    match url[after_scheme..].find(['/', '?']) {
        Some(at) if url[after_scheme + at..].starts_with('/') => &url[after_scheme + at..],
        _ => "/",
    }
}

fn reply(answer: Answer, pool: &Handle) -> Reply {
    let body = match answer.content {
        Content::Empty => Body::Empty,
        Content::Bytes(bytes) => Body::Full(bytes),
        Content::Part { file, offset, length } => {
            Body::Stream(Box::new(FileSource::new(file, offset, length, pool.clone())))
        }
    };
    Reply { status: answer.status, headers: answer.headers, body }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
