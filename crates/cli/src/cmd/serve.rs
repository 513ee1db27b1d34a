//! `nexus serve`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use nexus_core::{
    AdminAddress, HostConfig, Hosts, ListenAddress, LogFormat, LogLevel, parse_byte_size, parse_duration,
    parse_env_file,
};
use nexus_guest::Level;
use nexus_host::log::{Format, LogConfig, Logger};
use nexus_host::store::Store;
use nexus_host::{
    AppState, Found, Happening, Host, Options, Shares, Sockets, Token, discover, refuse_conflicts,
};
use nexus_providers::{Outbound, Providers};

use super::engines::engines;
use super::supervised::{self, End, Place};
use super::{configuration, table};
use crate::failure::{Failure, print};

/// Serve apps over HTTP.
///
/// Each path is an app's folder or its main file (.js, .mjs, .wasm), or a folder of apps. Every app
/// has its own port: the one in its nexus.toml, or the next free one from --port. Apps that name hosts
/// or paths there share one. Ctrl-C or SIGTERM ends it: what is in flight finishes first, for up to
/// --grace; a second Ctrl-C ends it at once.
///
/// A small process of its own, the supervisor, holds the sockets. It starts the host again if that
/// dies, and says in the log which apps were executing; no connection is refused meanwhile. SIGUSR2
/// to it replaces the host without an interruption, and loads all apps anew. --no-supervisor leaves
/// that to somebody else.
///
/// With --data the host takes apps that come by `nexus deploy`, keeps them in that folder and serves
/// them again when it starts; no PATH is needed then. It is managed at a Unix socket in the folder, or
/// at --control.
///
///   nexus serve apps/                     all apps in a folder, from port 8080 on
///   nexus serve shop --port 3000          one app, on port 3000
///   nexus serve shop --listen 0.0.0.0     for other machines, too
///   nexus serve shop --watch              changed files count at once
///   nexus serve shop --admin 127.0.0.1:9090 --access-log
///   nexus serve --data nexus-data         what is deployed: nexus deploy shop
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Serve {
    /// Apps' folders or main files, folders of apps
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Where to listen: an IP, unix:PATH, or systemd (sockets that it passes) [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<ListenAddress>,

    /// The first port for apps that name none; 0 for any free ones [default: 8080]
    #[arg(long, value_name = "N")]
    port: Option<u16>,

    /// Where to serve /metrics, /health and /ready: IP:PORT or unix:PATH [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<AdminAddress>,

    /// Keep apps that come by `nexus deploy` in this folder, and serve them [default: none can come]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// Where what apps keep is kept [default: the folder of --data, or .nexus here]
    #[arg(long, value_name = "FOLDER")]
    storage: Option<PathBuf>,

    /// Where the API that manages apps is served: IP:PORT or unix:PATH [default: nexus.sock in --data]
    #[arg(long, value_name = "ADDRESS")]
    control: Option<AdminAddress>,

    /// The token that clients of --control need at an IP:PORT [default: the variable NEXUS_TOKEN]
    #[arg(long, value_name = "FILE")]
    control_token_file: Option<PathBuf>,

    /// The most memory of all guests together, as 1GB [default: what the machine grants, less a reserve]
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    memory: Option<u64>,

    /// How many processes share the apps: 1 to 64, or auto [default: auto, one for up to 256 apps]
    #[arg(long, value_name = "N")]
    hosts: Option<Hosts>,

    /// The host's configuration [default: nexus-host.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Variables for all apps, as NAME=value lines; they come before an app's own [env]
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// How long requests in flight may take when the host stops, as 10s or 500ms [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_grace)]
    grace: Option<Duration>,

    /// How log lines look [default: pretty on a terminal, json elsewhere]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<FormatArg>,

    /// The least grave log lines that are written [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LevelArg>,

    /// Write a log line for each request
    #[arg(long)]
    access_log: bool,

    /// Load an app anew when its files change; no request is lost over it
    #[arg(long)]
    watch: bool,

    /// Run without a supervisor: if the host dies, nexus ends
    #[arg(long)]
    no_supervisor: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    Pretty,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LevelArg {
    Debug,
    Info,
    Warn,
    Error,
}

fn parse_grace(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

fn parse_memory(text: &str) -> Result<u64, String> {
    let bytes = parse_byte_size(text).map_err(|error| error.to_string())?;
    match (64 << 20..=1 << 40).contains(&bytes) {
        true => Ok(bytes),
        false => Err("it must be from 64 MB to 1 TB".into()),
    }
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut config = configuration::read(self.config.as_ref())?;
        self.narrow(&mut config);
        let env = self.variables()?;
        let token = token(&config)?;
        if let Some(data) = &config.deploy.folder {
            // What is wrong with it is told before anything is started.
            Store::open(data).map_err(|error| Failure::usage(format!("--data: {error}")))?;
        }
        let outbound =
            Outbound::new(&config.outbound).map_err(|error| Failure::usage(format!("[outbound] {error}")))?;
        let apps = self.apps(&config)?;

        let terminal = std::io::stdout().is_terminal();
        let pretty = match config.log.format {
            Some(format) => format == LogFormat::Pretty,
            None => terminal,
        };
        let log = LogConfig {
            format: if pretty { Format::Pretty } else { Format::Json },
            level: level(config.log.level),
            color: terminal && std::env::var_os("NO_COLOR").is_none(),
        };
        let shares = self.shares(&config, &apps)?;
        let sockets = Sockets::bind(&config, &apps).map_err(|error| Failure::usage(error.to_string()))?;
        // From here on there may be several processes; this may be any of them.
        let place = match shares {
            None => Place::alone(sockets),
            Some(shares) => supervised::start(log, &apps, shares, config.shutdown.grace, sockets)?,
        };

        // Before any other thread exists.
        let program =
            std::env::current_exe().map_err(|error| Failure::host(format!("cannot find myself: {error}")))?;
        nexus_js::initialize(&program).map_err(|error| Failure::host(error.to_string()))?;

        let out = Box::new(std::io::stdout());
        let logger = match place.seat().companions() {
            Some(companions) => Logger::start_among(companions, log, out),
            None => Logger::start(log, out),
        };
        let logger =
            logger.map_err(|error| Failure::host(format!("cannot start the log's thread: {error}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(8)
            .build()
            .map_err(|error| Failure::host(format!("cannot start the event loop: {error}")))?;
        let providers = Providers::new(outbound, &config.providers, &config.storage_folder());
        let grace = config.shutdown.grace;
        let options = Options {
            config,
            apps,
            env,
            watch: self.watch,
            token,
            engines: engines(),
            capabilities: providers,
            logger: logger.clone(),
            build: vec![
                ("version", env!("CARGO_PKG_VERSION").to_owned()),
                ("v8", nexus_js::v8_version().to_owned()),
                ("wasmtime", nexus_wasm::wasmtime_version().to_owned()),
            ],
        };
        // Each of several hosts has a part of the table only; lines of the log are the same in parts.
        let table = (pretty && place.seat().number().is_none()).then_some(log.color);
        let result = runtime.block_on(serve(options, place, grace, table));
        logger.close();
        // A thread may still be within a guest that does not end; the process does not wait for it.
        runtime.shutdown_background();
        result
    }

    /// What the command line says comes before what the file says.
    fn narrow(&self, config: &mut HostConfig) {
        if let Some(listen) = &self.listen {
            config.listen.address = listen.clone();
        }
        if let Some(port) = self.port {
            config.listen.port = port;
        }
        if let Some(admin) = &self.admin {
            config.admin = Some(admin.clone());
        }
        if let Some(data) = &self.data {
            config.deploy.folder = Some(data.clone());
        }
        if let Some(storage) = &self.storage {
            config.storage.folder = Some(storage.clone());
        }
        if let Some(control) = &self.control {
            config.control.address = Some(control.clone());
        }
        if let Some(file) = &self.control_token_file {
            config.control.token_file = Some(file.clone());
        }
        if let Some(memory) = self.memory {
            config.process.memory = Some(memory);
        }
        if let Some(hosts) = self.hosts {
            config.process.hosts = hosts;
        }
        if let Some(grace) = self.grace {
            config.shutdown.grace = grace;
        }
        if let Some(format) = self.log_format {
            config.log.format = Some(match format {
                FormatArg::Pretty => LogFormat::Pretty,
                FormatArg::Json => LogFormat::Json,
            });
        }
        if let Some(level) = self.log_level {
            config.log.level = match level {
                LevelArg::Debug => LogLevel::Debug,
                LevelArg::Info => LogLevel::Info,
                LevelArg::Warn => LogLevel::Warn,
                LevelArg::Error => LogLevel::Error,
            };
        }
        config.log.access |= self.access_log;
    }

    /// How the supervisor shares the apps out; `None` without one.
    fn shares(&self, config: &HostConfig, apps: &[Found]) -> Result<Option<Shares>, Failure> {
        let is_alone = self.no_supervisor || cfg!(not(target_os = "linux"));
        match config.process.hosts {
            Hosts::Number(2..) if self.no_supervisor => Err(Failure::usage(
                "several hosts need a supervisor, which starts them: leave out --no-supervisor, or ask for one host \
                 (`--hosts 1`)",
            )),
            Hosts::Number(2..) if is_alone => Err(Failure::usage(
                "several hosts need a supervisor, which there is on Linux only: ask for one host (`--hosts 1`)",
            )),
            _ if is_alone => Ok(None),
            _ => Shares::new(config, apps).map(Some).map_err(|error| Failure::usage(error.to_string())),
        }
    }

    /// The variables of the `--env-file`s; of two with one name the later counts.
    fn variables(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut all: Vec<(String, String)> = Vec::new();
        for file in &self.env_file {
            let text = configuration::read_text(file)?;
            let variables = parse_env_file(&text, &file.display().to_string());
            for (name, value) in variables.map_err(|problems| Failure::usage(problems.to_string()))? {
                all.retain(|(other, _)| *other != name);
                all.push((name, value));
            }
        }
        Ok(all)
    }

    fn apps(&self, config: &HostConfig) -> Result<Vec<Found>, Failure> {
        let mut apps = Vec::new();
        if self.paths.is_empty() && config.deploy.folder.is_none() {
            return Err(Failure::usage(
                "nothing to serve: give the PATH of an app's folder, or a folder for deployed apps (`--data FOLDER`)",
            ));
        }
        for path in &self.paths {
            apps.extend(discover(path, config).map_err(|problems| Failure::usage(problems.to_string()))?);
        }
        refuse_conflicts(&mut apps);
        if config.deploy.folder.is_none() && apps.iter().all(|found| found.app.is_err()) {
            let problems: Vec<String> = apps
                .iter()
                .filter_map(|found| found.app.as_ref().err())
                .map(|p| p.to_string().trim_end().to_owned())
                .collect();
            return Err(Failure::usage(problems.join("\n")));
        }
        Ok(apps)
    }
}

/// What clients of the API must send, where it has an IP address.
fn token(config: &HostConfig) -> Result<Option<Token>, Failure> {
    let Some(AdminAddress::Tcp(address)) = config.control_address() else { return Ok(None) };
    let named = config.control.token_file.as_ref();
    let from = named.map_or_else(|| "NEXUS_TOKEN".to_owned(), |file| file.display().to_string());
    let text = match named {
        Some(file) => configuration::read_text(file)?,
        None => std::env::var("NEXUS_TOKEN").map_err(|_| {
            Failure::usage(format!(
                "whoever reaches {address} could manage the apps: give a token by --control-token-file or the variable \
                 NEXUS_TOKEN, or have the API at a Unix socket (`--control unix:PATH`)"
            ))
        })?,
    };
    Token::parse(&text).map(Some).map_err(|error| Failure::usage(format!("{from}: {error}")))
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warn => Level::Warn,
        LogLevel::Error => Level::Error,
    }
}

/// Serves until the end is ordered. `table` says whether there is to be a start-up table, and whether in colour.
async fn serve(options: Options, place: Place, grace: Duration, table: Option<bool>) -> Result<(), Failure> {
    let (seat, mut demands) = place.listen()?;
    // Of several hosts one may have broken apps only: that ends none of the others. One that was to take over leaves it
    // to the one that serves.
    // With --watch an app that is broken may be mended.
    let may_serve_nothing = (seat.number().is_some() && !seat.takes_over()) || options.watch;
    let logger = options.logger.clone();
    let sockets = seat.sockets().clone();
    let mut host = Host::start_on(options, seat).map_err(|error| Failure::host(error.to_string()))?;
    logger.host(Level::Debug, "the host runs", [("pid", std::process::id().into())]);

    let states = tokio::select! {
        states = host.started() => Some(states),
        _ = demands.end() => None,
    };
    let end = match states {
        None => End::Stop,
        Some(states) => {
            announce(&logger, &states, &Addresses::of(&host), table)?;
            let has_none = states.iter().all(|state| state.serving.is_err() && !state.is_aside);
            // Apps may come.
            let serves_nothing = has_none && !host.takes_apps();
            let is_guests_fault = states.iter().any(|state| state.has_worker);
            if serves_nothing && !may_serve_nothing {
                host.stop(Duration::ZERO).await;
                let message = if table.is_some() { "no app is served" } else { "" };
                return Err(if is_guests_fault { Failure::guest(message) } else { Failure::usage(message) });
            }
            host.take_over();
            match serves_nothing {
                true => demands.serving_nothing(is_guests_fault),
                false => demands.serving(),
            }
            loop {
                tokio::select! {
                    end = demands.end() => break end,
                    happening = host.next() => match happening {
                        Happening::App(late) => {
                            if serves_nothing && late.serving.is_ok() {
                                demands.serving();
                            }
                            announce(&logger, &[late], &Addresses::default(), table)?;
                        }
                        Happening::Drain => {
                            logger.host(Level::Info, "the host was told to drain", []);
                            break End::Stop;
                        }
                        Happening::Spent(reason) => {
                            let message = format!("the process should be replaced: {reason}");
                            logger.host(Level::Warn, message, []);
                            demands.spent();
                        }
                    },
                }
            }
        }
    };
    let end = async {
        match end {
            End::Stop => {
                let fields = [("grace_ms", grace.into())];
                logger.host(Level::Info, "stopping: requests in flight may finish", fields);
                host.stop(grace).await
            }
            End::HandOver => host.hand_over(grace).await,
        }
    };
    tokio::select! {
        _ = end => Ok(()),
        () = demands.interrupt() => {
            sockets.release();
            logger.close();
            std::process::exit(130)
        }
    }
}

/// The host's own addresses.
#[derive(Default)]
struct Addresses {
    admin: Option<String>,
    control: Option<String>,
}

impl Addresses {
    fn of(host: &Host) -> Self {
        Self { admin: host.admin_url().map(str::to_owned), control: host.control_url().map(str::to_owned) }
    }
}

/// The start-up table, or a log line for each app.
fn announce(
    logger: &Logger,
    states: &[AppState],
    addresses: &Addresses,
    table: Option<bool>,
) -> Result<(), Failure> {
    if let Some(color) = table {
        let (admin, control) = (addresses.admin.as_deref(), addresses.control.as_deref());
        return print(&table::render(states, admin, control, color));
    }
    for state in states {
        let main = state.main.clone().unwrap_or_default();
        match &state.serving {
            Ok(url) => {
                let mut fields = vec![
                    ("app", state.name.clone().into()),
                    ("url", url.clone().into()),
                    ("main", main.into()),
                ];
                for (name, list) in [("hosts", &state.hosts), ("paths", &state.paths)] {
                    if !list.is_empty() {
                        fields.push((name, list.join(",").into()));
                    }
                }
                logger.host(Level::Info, "serving", fields);
            }
            Err(reason) => {
                let message = format!("not served: {}", reason.trim_end());
                logger.host(
                    Level::Error,
                    message,
                    [("app", state.name.clone().into()), ("main", main.into())],
                );
            }
        }
    }
    if let Some(admin) = &addresses.admin {
        logger.host(Level::Info, "serving metrics and health", [("url", admin.as_str().into())]);
    }
    if let Some(control) = &addresses.control {
        logger.host(Level::Info, "serving the control API", [("url", control.as_str().into())]);
    }
    Ok(())
}
