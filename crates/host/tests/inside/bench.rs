//! A host of such guests.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nexus_core::{AdminAddress, HostConfig};
use nexus_guest::Level;
use nexus_host::log::{Format, LogConfig, Logger};
use nexus_host::{Host, Options, discover};

use super::guest::{Callers, Seen};
use super::lab::{Client, Log};

/// A host under test.
pub(crate) struct Bench {
    pub(crate) seen: Arc<Seen>,
    pub(crate) log: Log,
    pub(crate) addresses: Vec<String>,
    admin: String,
    control: PathBuf,
    pub(crate) folder: PathBuf,
}

impl Bench {
    /// Asks an app, by its place.
    #[track_caller]
    pub(crate) fn get(&self, app: usize, path: &str) -> (u16, String) {
        let answer = Client::connect(&self.addresses[app]).get(path);
        (answer.status, answer.body)
    }

    pub(crate) fn ask(&self, app: usize, path: &str) -> Client {
        Client::ask(&self.addresses[app], path)
    }

    /// What a successful request to the first app says.
    #[track_caller]
    pub(crate) fn told(&self, path: &str) -> String {
        let (status, body) = self.get(0, path);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let page = Client::connect(&self.admin).get("metrics").body;
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok()
    }

    /// Manages the host.
    #[track_caller]
    pub(crate) fn manage(&self, method: &str, path: &str) -> String {
        use std::io::{Read, Write};
        let mut stream = std::os::unix::net::UnixStream::connect(&self.control).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: nexus\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

/// Serves apps with these names and manifests, and runs the test beside them.
pub(crate) fn with(apps: &[(&str, &str)], test: impl FnOnce(&Bench) + Send + 'static) {
    with_setup(Setup { access: true, watch: false }, apps, test);
}

/// What a host is started with.
pub(crate) struct Setup {
    /// Whether requests are logged.
    pub(crate) access: bool,
    /// Whether apps whose files change are loaded anew.
    pub(crate) watch: bool,
}

/// The same, with this.
pub(crate) fn with_setup(setup: Setup, apps: &[(&str, &str)], test: impl FnOnce(&Bench) + Send + 'static) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("nexus-inside-{}-{number}", std::process::id()));
    let (control, of_test) = (folder.with_extension("sock"), folder.clone());
    for (app, manifest) in apps {
        std::fs::create_dir_all(folder.join(app).join("public")).unwrap();
        std::fs::write(folder.join(app).join("public/asset.txt"), "an asset").unwrap();
        std::fs::write(folder.join(app).join("index.js"), "").unwrap();
        std::fs::write(folder.join(app).join("nexus.toml"), manifest).unwrap();
    }
    let mut config = HostConfig::default();
    config.listen.port = 0;
    config.admin = Some("127.0.0.1:0".parse().unwrap());
    config.control.address = Some(AdminAddress::Unix(control.clone()));
    config.log.access = setup.access;
    let log = Log::default();
    let format = LogConfig { format: Format::Json, level: Level::Debug, color: false };
    let engine = Callers::default();
    let apps = discover(&folder, &config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut host = Host::start(Options {
            config,
            apps,
            env: Vec::new(),
            engines: vec![Arc::new(engine.clone())],
            capabilities: Arc::new(nexus_guest::NoHttp),
            logger: Logger::start(format, Box::new(log.clone())).unwrap(),
            build: Vec::new(),
            watch: setup.watch,
            token: None,
        })
        .unwrap();
        let address = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
        let states = host.started().await;
        let addresses = states.iter().map(|state| state.serving.as_deref().map(address).unwrap_or_default());
        let (seen, admin) = (engine.0.clone(), address(host.admin_url().unwrap()));
        let bench = Bench { seen, log, addresses: addresses.collect(), admin, control, folder: of_test };
        let mut testing = tokio::task::spawn_blocking(move || test(&bench));
        loop {
            tokio::select! {
                result = &mut testing => break result.unwrap(),
                _ = host.next() => {}
            }
        }
        host.stop(Duration::from_millis(500)).await;
    });
    runtime.shutdown_background();
    let _ = std::fs::remove_dir_all(&folder);
}
