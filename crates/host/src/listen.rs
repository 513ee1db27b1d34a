//! Binding: from the configured address to a socket for each app.
//!
//! All sockets are bound before a host starts, and outlive it where a supervisor holds them, too: workers that accept
//! on them come and go, and so do hosts.

mod bound;
mod late;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use listenfd::ListenFd;
use nexus_core::{AdminAddress, App, HostConfig, ListenAddress};
use rustix::fs::Mode;
use socket2::{Domain, Protocol, Socket, Type};

pub(crate) use self::bound::Bound;
use self::bound::SocketFile;
pub(crate) use self::late::Late;
use crate::discover::Found;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How many ports in a row are tried for an app that names none.
const PORTS_TRIED: u16 = 1000;

/// Why a socket could not be had: what was asked, what went wrong, what to do.
#[derive(Debug)]
pub struct ListenError(String);

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ListenError {}

/// The sockets of a host, of its apps and of its own addresses. Clones are the same sockets.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// For each of the apps that were found; `None` for those that are not to be served.
    apps: Vec<Option<Result<Arc<Bound>, String>>>,
    admin: Option<Arc<Bound>>,
    /// The socket of the API that manages apps.
    control: Option<Arc<Bound>>,
    /// Whether the apps' sockets were passed by systemd, which keeps them for the next process.
    are_passed: bool,
}

impl Sockets {
    /// Binds a socket for each app that can be served, and the admin address's.
    ///
    /// # Errors
    /// When the admin address cannot be bound, or systemd's sockets are missing. What is wrong with a single app's
    /// socket is kept, and told by the host.
    pub fn bind(config: &HostConfig, apps: &[Found]) -> Result<Self, ListenError> {
        let admin = config.admin.as_ref().map(bind_admin).transpose()?.map(Arc::new);
        let control = config.control_address().as_ref().map(bind_control).transpose()?.map(Arc::new);
        let servable: Vec<&App> = apps.iter().filter_map(|found| found.app.as_ref().ok()).collect();
        let mut binder = Binder::new(&config.listen.address, config.listen.port, &servable)?;
        // More apps may come.
        binder.several |= config.deploy.folder.is_some();
        let mut shared: HashMap<Option<u16>, Result<Arc<Bound>, String>> = HashMap::new();
        // Those first: the first port is theirs, however many apps there are.
        for app in servable.iter().filter(|app| app.manifest.http.is_shared()) {
            let port = app.manifest.http.port;
            let bind = || binder.bind_shared(port).map(Arc::new).map_err(|error| error.to_string());
            shared.entry(port).or_insert_with(bind);
        }
        let bind = |found: &Found| {
            let app = found.app.as_ref().ok()?;
            match shared.get(&app.manifest.http.port).filter(|_| app.manifest.http.is_shared()) {
                Some(bound) => Some(bound.clone()),
                None => Some(binder.bind(app).map(Arc::new).map_err(|error| error.to_string())),
            }
        };
        let apps = apps.iter().map(bind).collect();
        let are_passed = matches!(config.listen.address, ListenAddress::Systemd);
        Ok(Self { apps, admin, control, are_passed })
    }

    /// The socket of the app at `index` among those that were found, or why it has none.
    pub(crate) fn app(&self, index: usize) -> Result<Arc<Bound>, String> {
        let socket = self.apps.get(index).cloned().flatten();
        socket.unwrap_or_else(|| Err("no socket was bound for it".into()))
    }

    /// The admin address's.
    pub(crate) fn admin(&self) -> Option<Arc<Bound>> {
        self.admin.clone()
    }

    /// That of the API that manages apps.
    pub(crate) fn control(&self) -> Option<Arc<Bound>> {
        self.control.clone()
    }

    /// Refuses new connections to all apps from now on, unless systemd keeps the sockets.
    pub(crate) fn close(&self) {
        self.apps.iter().flatten().flatten().for_each(|socket| self.close_one(socket));
    }

    /// Refuses new connections to this one of the sockets from now on, unless systemd keeps it.
    pub(crate) fn close_one(&self, socket: &Bound) {
        if !self.are_passed {
            socket.close();
        }
    }

    /// The same sockets, but of the apps only those at these places, and the others only if they are wanted.
    #[cfg(target_os = "linux")]
    pub(crate) fn part(&self, places: &[usize], with_others: bool) -> Self {
        let mut apps = vec![None; self.apps.len()];
        for place in places {
            if let Some(app) = self.apps.get(*place) {
                apps[*place].clone_from(app);
            }
        }
        let [admin, control] =
            [&self.admin, &self.control].map(|socket| socket.clone().filter(|_| with_others));
        Self { apps, admin, control, are_passed: self.are_passed }
    }

    /// Has those of the sockets at these places listen again that a host has closed, for the next one, and says which
    /// they are. What cannot is kept as the app's error.
    #[cfg(target_os = "linux")]
    pub(crate) fn reopen(&mut self, places: &[usize]) -> Vec<usize> {
        let mut reopened = Vec::new();
        for place in places {
            let Some(app) = self.apps.get_mut(*place) else { continue };
            // Nobody else has the socket here: hosts are other processes.
            let Some(Ok(socket)) = app.as_mut().map(|socket| socket.as_mut().map(Arc::get_mut)) else {
                continue;
            };
            match socket.map(Bound::reopen) {
                Some(Ok(true)) => reopened.push(*place),
                Some(Err(error)) => *app = Some(Err(format!("cannot listen again: {error}"))),
                Some(Ok(false)) | None => {}
            }
        }
        reopened
    }

    /// Refuses new connections from now on to the apps at these places, unless systemd keeps the sockets.
    #[cfg(target_os = "linux")]
    pub(crate) fn close_some(&self, places: &[usize]) {
        let sockets = places.iter().filter_map(|place| self.apps.get(*place)?.as_ref()?.as_ref().ok());
        sockets.for_each(|socket| self.close_one(socket));
    }

    /// Removes the files of Unix sockets that this process made, for one that ends without dropping anything.
    pub fn release(&self) {
        self.apps
            .iter()
            .flatten()
            .flatten()
            .chain(&self.admin)
            .chain(&self.control)
            .for_each(|socket| socket.release());
    }
}

/// Gives each app its socket.
struct Binder {
    address: ListenAddress,
    /// The next port for apps that name none; 0 for any.
    next: u16,
    /// Ports that apps name themselves.
    claimed: HashSet<u16>,
    /// Whether there are several apps: a Unix path is a folder then.
    several: bool,
    passed: Option<Passed>,
}

/// The sockets that systemd passed, and whom they are for.
struct Passed {
    sockets: ListenFd,
    /// For each socket that is named after an app, that app.
    names: Vec<Option<String>>,
    used: HashSet<usize>,
}

impl Binder {
    fn new(address: &ListenAddress, first_port: u16, apps: &[&App]) -> Result<Self, ListenError> {
        let passed = match address {
            ListenAddress::Systemd => {
                // `from_env` removes the variables, this one too.
                let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
                let sockets = ListenFd::from_env();
                if sockets.len() == 0 {
                    return Err(ListenError(
                        "systemd passed no socket (LISTEN_FDS is not set for this process): start it by a socket unit".into(),
                    ));
                }
                let is_app = |name: &&str| {
                    *name == "shared"
                        || name.starts_with("shared-")
                        || apps.iter().any(|app| app.name().as_str() == *name)
                };
                let names =
                    names.split(':').map(|name| Some(name).filter(is_app).map(str::to_owned)).collect();
                Some(Passed { sockets, names, used: HashSet::new() })
            }
            _ => None,
        };
        let claimed = apps.iter().filter_map(|app| app.manifest.http.port).collect();
        Ok(Self { address: address.clone(), next: first_port, claimed, several: apps.len() > 1, passed })
    }

    /// A socket for all apps that share this port.
    fn bind_shared(&mut self, port: Option<u16>) -> Result<Bound, ListenError> {
        let name = port.map_or_else(|| "shared".to_owned(), |port| format!("shared-{port}"));
        match &self.address {
            ListenAddress::Ip(ip) => {
                let ip = *ip;
                self.bind_port(ip, port)
            }
            ListenAddress::Unix(path) if self.several => bind_unix_in(path, &name),
            ListenAddress::Unix(path) => bind_unix(path),
            ListenAddress::Systemd => match &mut self.passed {
                Some(passed) => passed.take(&name),
                None => Err(ListenError("systemd passed no socket".into())),
            },
        }
    }

    /// A socket for this app.
    fn bind(&mut self, app: &App) -> Result<Bound, ListenError> {
        match &self.address {
            ListenAddress::Ip(ip) => {
                let ip = *ip;
                self.bind_port(ip, app.manifest.http.port)
            }
            ListenAddress::Unix(path) if self.several => bind_unix_in(path, app.name().as_str()),
            ListenAddress::Unix(path) => bind_unix(path),
            ListenAddress::Systemd => match &mut self.passed {
                Some(passed) => passed.take(app.name().as_str()),
                None => Err(ListenError("systemd passed no socket".into())),
            },
        }
    }

    fn bind_port(&mut self, ip: IpAddr, port: Option<u16>) -> Result<Bound, ListenError> {
        let fixed = port.or((self.next == 0).then_some(0));
        if let Some(port) = fixed {
            return bind_tcp(SocketAddr::new(ip, port)).map_err(|error| refused(ip, port, &error));
        }
        for _ in 0..PORTS_TRIED {
            let port = self.next;
            if port == 0 {
                break;
            }
            self.next = port.checked_add(1).unwrap_or(0);
            if self.claimed.contains(&port) {
                continue;
            }
            match bind_tcp(SocketAddr::new(ip, port)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(refused(ip, port, &error)),
                Ok(bound) => return Ok(bound),
            }
        }
        Err(ListenError("no free port was found: choose another start with --port".into()))
    }
}

impl Passed {
    /// The socket that is named after the app, or else the next that no name takes.
    fn take(&mut self, app: &str) -> Result<Bound, ListenError> {
        let named = self.names.iter().position(|name| name.as_deref() == Some(app));
        let nameless = |index: &usize| self.names.get(*index).is_none_or(Option::is_none);
        let free = |index: &usize| nameless(index) && !self.used.contains(index);
        let index = named.or_else(|| (0..self.sockets.len()).find(free));
        let Some(index) = index.filter(|index| self.used.insert(*index)) else {
            let message =
                format!("systemd passed {} sockets, none is left for the app `{app}`", self.sockets.len());
            return Err(ListenError(message));
        };
        let failed = |error: io::Error| {
            ListenError(format!(
                "the socket {index} that systemd passed is no listening stream socket: {error}"
            ))
        };
        if let Ok(Some(listener)) = self.sockets.take_tcp_listener(index) {
            listener.set_nonblocking(true).map_err(failed)?;
            return Ok(Bound::Tcp(listener));
        }
        match self.sockets.take_unix_listener(index).map_err(failed)? {
            Some(listener) => {
                listener.set_nonblocking(true).map_err(failed)?;
                Ok(Bound::Unix(listener, None))
            }
            None => Err(ListenError(format!("the socket {index} that systemd passed is gone"))),
        }
    }
}

/// The admin address's socket.
fn bind_admin(address: &AdminAddress) -> Result<Bound, ListenError> {
    match address {
        AdminAddress::Tcp(address) => {
            bind_tcp(*address).map_err(|error| refused(address.ip(), address.port(), &error))
        }
        AdminAddress::Unix(path) => bind_unix(path),
    }
}

/// The socket of the API that manages apps: only this process's user may connect to one that is a file.
fn bind_control(address: &AdminAddress) -> Result<Bound, ListenError> {
    let AdminAddress::Unix(path) = address else { return bind_admin(address) };
    // Within the data folder it is often the first file.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.exists()) {
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| ListenError(format!("cannot make the folder {}: {error}", folder.display())))?;
    }
    // There is no moment in which others could connect.
    let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let bound = bind_unix(path);
    rustix::process::umask(mask);
    bound
}

fn refused(ip: IpAddr, port: u16, error: &io::Error) -> ListenError {
    let help = match error.kind() {
        io::ErrorKind::AddrInUse => "another process has it: choose another port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        _ => "choose another address",
    };
    ListenError(format!("cannot listen on {}: {error}; {help}", SocketAddr::new(ip, port)))
}

fn bind_tcp(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Bound::Tcp(socket.into()))
}

/// In a folder, which is made if it is not there.
fn bind_unix_in(folder: &Path, name: &str) -> Result<Bound, ListenError> {
    std::fs::create_dir_all(folder)
        .map_err(|error| ListenError(format!("cannot make the folder {}: {error}", folder.display())))?;
    bind_unix(&folder.join(format!("{name}.sock")))
}

fn bind_unix(path: &Path) -> Result<Bound, ListenError> {
    let failed = |error: io::Error| ListenError(format!("cannot listen on unix:{}: {error}", path.display()));
    // What a process left that was killed is in the way; what a living one listens on is not ours to take.
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        if UnixStream::connect(path).is_ok() {
            return Err(ListenError(format!(
                "cannot listen on unix:{}: another process does",
                path.display()
            )));
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(Bound::Unix(listener, Some(SocketFile::new(path))))
}
