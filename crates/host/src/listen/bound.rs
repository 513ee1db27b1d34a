//! A socket that listens, and the file that one at a path has.

use std::io;
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::SockRef;

use super::BACKLOG;

/// A listening socket, non-blocking.
#[derive(Debug)]
pub(crate) enum Bound {
    /// At a TCP port.
    Tcp(TcpListener),
    /// At a path; the file goes with this value if it was made by it.
    Unix(UnixListener, Option<SocketFile>),
}

/// A Unix socket's file, removed when it is dropped by the process that made it. A host that a supervisor made
/// inherits it and leaves it in place: the next host accepts from it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    maker: u32,
    /// Whether it was removed: another socket may have its path by now.
    is_gone: AtomicBool,
}

impl SocketFile {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), maker: std::process::id(), is_gone: AtomicBool::new(false) }
    }

    fn remove(&self) {
        if self.maker == std::process::id() && !self.is_gone.swap(true, Ordering::Relaxed) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Bound {
    /// Removes the socket's file, if this process made one: the process is about to end without dropping anything.
    pub(crate) fn release(&self) {
        if let Bound::Unix(_, Some(file)) = self {
            file.remove();
        }
    }

    /// Has a socket listen again that a host has closed, and says whether it was. A Unix socket is bound anew, at the
    /// same path; one that this process did not make is left as it is.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn reopen(&mut self) -> io::Result<bool> {
        match self {
            Bound::Tcp(listener) => {
                if !is_shut_down(listener) {
                    return Ok(false);
                }
                SockRef::from(&*listener).listen(BACKLOG)?;
            }
            Bound::Unix(listener, file) => {
                let Some(made) = file.as_ref().filter(|_| is_shut_down(listener)) else {
                    return Ok(false);
                };
                let path = made.path.clone();
                made.remove();
                let fresh = UnixListener::bind(&path)?;
                fresh.set_nonblocking(true)?;
                *listener = fresh;
                // The old value is the same file by now, and must not take it away.
                if let Some(old) = file.replace(SocketFile::new(&path)) {
                    std::mem::forget(old);
                }
            }
        }
        Ok(true)
    }

    /// Refuses new connections from now on, also those that wait to be accepted, whoever else holds the socket. Not
    /// for one that systemd passed: the next process is to accept from it.
    pub(crate) fn close(&self) {
        let socket = match self {
            Bound::Tcp(listener) => SockRef::from(listener),
            Bound::Unix(listener, _) => SockRef::from(listener),
        };
        // Where the system shuts no listening socket down, it is closed with the process.
        let _ = socket.shutdown(Shutdown::Both);
    }

    /// Its port, if it has one.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Bound::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Bound::Unix(..) => None,
        }
    }

    /// Where clients find it: `http://127.0.0.1:8080` or `unix:/run/app.sock`.
    pub(crate) fn url(&self) -> String {
        match self {
            Bound::Tcp(listener) => match listener.local_addr() {
                // A wildcard is no address to go to.
                Ok(address) if address.ip().is_unspecified() => {
                    format!("http://localhost:{}", address.port())
                }
                Ok(address) => format!("http://{address}"),
                Err(_) => "http://?".into(),
            },
            Bound::Unix(listener, _) => {
                match listener.local_addr().ok().and_then(|a| a.as_pathname().map(Path::to_owned)) {
                    Some(path) => format!("unix:{}", path.display()),
                    None => "unix:?".into(),
                }
            }
        }
    }
}

/// Whether a listening socket was shut down: only then does polling tell of a hang-up. For Unix sockets no option
/// tells.
fn is_shut_down(listener: &impl AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(listener, PollFlags::empty())];
    let polled = poll(&mut fds, Some(&Timespec::default()));
    polled.is_ok() && fds[0].revents().contains(PollFlags::HUP)
}
