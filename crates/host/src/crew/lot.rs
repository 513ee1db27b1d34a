//! Connections of an app that has no worker just now: the host waits with them.
//!
//! Most are idle, between two requests. As soon as one has something to read, the app is wanted again.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::task::{AbortHandle, JoinSet};

use crate::descriptors::Descriptors;
use crate::http::{Inbox, Moving};
use crate::listen::Bound;
use crate::registered::register;

/// An idle connection is kept for so long, as a worker keeps it.
const IDLE: Duration = Duration::from_secs(75);
/// One that has sent nothing so far is kept for so long.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// Where the system has no room to tell of a socket, it is asked again this often.
const ASK: Duration = Duration::from_millis(20);

/// An app's connections without a worker.
#[derive(Debug, Default)]
pub(super) struct Lot {
    inbox: Inbox,
    inner: Arc<Inner>,
    watcher: Mutex<Option<AbortHandle>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Those for which a worker is wanted.
    ready: Mutex<Vec<Moving>>,
    /// How many wait, these included.
    count: AtomicUsize,
}

impl Inner {
    fn ready(&self) -> MutexGuard<'_, Vec<Moving>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// So many have left. They may have been counted out before, all at once.
    fn leave(&self, count: usize) {
        let less = |there: usize| Some(there.saturating_sub(count));
        let _ = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

impl Lot {
    /// Where connections are put; `wanted` is told whenever one needs a worker. Must be called within the host's event
    /// loop.
    pub(super) fn inbox(&self, wanted: impl Fn() + Send + 'static) -> &Inbox {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if watcher.is_none() {
            let (inbox, inner) = (self.inbox.clone(), self.inner.clone());
            *watcher = Some(tokio::spawn(watch(inbox, inner, wanted)).abort_handle());
        }
        &self.inbox
    }

    /// Those that need a worker; they are the caller's from now on.
    pub(super) fn take_ready(&self) -> Vec<Moving> {
        let ready = std::mem::take(&mut *self.inner.ready());
        self.inner.leave(ready.len());
        ready
    }

    /// Whether any needs a worker.
    pub(super) fn has_ready(&self) -> bool {
        !self.inner.ready().is_empty()
    }

    /// How many connections are here.
    pub(super) fn count(&self) -> usize {
        self.inner.count.load(Ordering::Relaxed)
    }

    /// Closes all of them, and those that come.
    pub(super) fn close(&self) {
        self.inbox.close();
        if let Some(watcher) = &*self.watcher.lock().unwrap_or_else(PoisonError::into_inner) {
            watcher.abort();
        }
        drop(self.take_ready());
        self.inner.count.store(0, Ordering::Relaxed);
    }
}

impl Drop for Lot {
    fn drop(&mut self) {
        self.close();
    }
}

async fn watch(inbox: Inbox, inner: Arc<Inner>, wanted: impl Fn()) {
    let descriptors = Descriptors::of_process();
    let mut waiting = JoinSet::new();
    // Who has connections without a worker shares the process's descriptors like who serves some.
    let mut sharer = None;
    loop {
        if waiting.is_empty() {
            sharer = None;
        }
        tokio::select! {
            Some(waited) = waiting.join_next() => match waited {
                Ok(Some(moving)) => {
                    inner.ready().push(moving);
                    wanted();
                }
                // Its client has gone, or sent nothing for too long.
                Ok(None) | Err(_) => {
                    inner.leave(1);
                }
            },
            moving = inbox.take() => match moving {
                // It is closed where others are to have room.
                Some(_) if !descriptors.may_open(waiting.len()) => {}
                Some(moving) => {
                    sharer.get_or_insert_with(|| descriptors.share());
                    inner.count.fetch_add(1, Ordering::Relaxed);
                    waiting.spawn(until_it_sends(moving));
                }
                None => return,
            },
        }
    }
}

/// Gives the connection back once its client sends something; nothing if that does not come.
async fn until_it_sends(moving: Moving) -> Option<Moving> {
    if !moving.is_idle() {
        return Some(moving);
    }
    let until = moving.idle_since() + if moving.is_new() { FIRST_BYTE } else { IDLE };
    let moving = tokio::time::timeout_at(until.into(), readable(moving)).await.ok()?;
    if moving.is_closed() { None } else { Some(moving) }
}

/// Somebody connects to the app: there is a connection to accept.
pub(super) async fn somebody(socket: Arc<Bound>) {
    readable(Listener(socket)).await;
}

struct Listener(Arc<Bound>);

impl AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match &*self.0 {
            Bound::Tcp(listener) => listener.as_fd(),
            Bound::Unix(listener, _) => listener.as_fd(),
        }
    }
}

/// Waits until there is something to read.
async fn readable<T: AsFd>(source: T) -> T {
    match register(source) {
        Ok(registered) => {
            let is_so = registered.readable().await.map(drop);
            let source = registered.into_inner().into_inner();
            if is_so.is_err() { ask(source).await } else { source }
        }
        Err((source, _)) => ask(source).await,
    }
}

async fn ask<T: AsFd>(source: T) -> T {
    while !has_something(&source).unwrap_or(true) {
        tokio::time::sleep(ASK).await;
    }
    source
}

fn has_something(source: &impl AsFd) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(source, PollFlags::IN)];
    Ok(poll(&mut descriptors, Some(&Timespec::default()))? > 0)
}
