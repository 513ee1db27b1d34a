//! `nexus-host.toml`, read.

mod apply;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::schema::{Document, HOST, Values, validate};
use crate::source::Written;
use crate::{
    AdminAddress, Ceilings, Diagnostic, Diagnostics, IpNet, Limit, Limits, ListenAddress, NetGrant,
    OutboundSection, PermissionKind, Provider, ScaleCeilings,
};

/// What `nexus-host.toml` says, for all apps of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    /// `[listen]`.
    pub listen: ListenSection,
    /// `[admin] address`; `None` serves neither metrics nor health.
    pub admin: Option<AdminAddress>,
    /// `[control]`.
    pub control: ControlSection,
    /// `[deploy]`.
    pub deploy: DeploySection,
    /// `[storage]`.
    pub storage: StorageSection,
    /// `[providers]`, in order: those that the host has beside the ones that it has by itself, or in place of them.
    pub providers: Vec<Provider>,
    /// `[defaults.limits]`: what an app gets whose manifest leaves the limit out.
    pub defaults: Limits,
    /// `[ceilings.limits]`: the most that a manifest may ask for.
    pub ceilings: Ceilings,
    /// `[ceilings.scale]`: the same, for an app's workers.
    pub scale_ceilings: ScaleCeilings,
    /// `[ceilings.permissions] net`: where apps may connect to at most; `None` is no ceiling.
    pub net_ceiling: Option<Vec<NetGrant>>,
    /// `[outbound]`.
    pub outbound: OutboundSection,
    /// `[process]`.
    pub process: ProcessSection,
    /// `[log]`.
    pub log: LogSection,
    /// `[shutdown]`.
    pub shutdown: ShutdownSection,
    /// Which of all this the file sets itself, and where: `listen.port`, `ceilings.limits.body`.
    pub written: Written,
}

/// `[listen]`: where the apps are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSection {
    /// The address that the apps listen on.
    pub address: ListenAddress,
    /// The first port for apps that name none; 0 takes any free ones.
    pub port: u16,
    /// The proxies whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// `[control]`: the API that manages apps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControlSection {
    /// Where it is served, if that is said; see [`HostConfig::control_address`].
    pub address: Option<AdminAddress>,
    /// The file with the token of clients at an IP address.
    pub token_file: Option<PathBuf>,
}

/// `[deploy]`: apps that come by `nexus deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeploySection {
    /// The data folder; without one no app can be deployed.
    pub folder: Option<PathBuf>,
    /// What deployed apps get of what they ask for.
    pub allow: Vec<PermissionKind>,
}

/// `[storage]`: what providers keep for apps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StorageSection {
    /// Where, if that is said; see [`HostConfig::storage_folder`].
    pub folder: Option<PathBuf>,
}

/// `[process]`: what all apps together may use, and in how many processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessSection {
    /// The most memory of all guests together, in bytes; `None` is what the machine or its control group grants, less
    /// a reserve.
    pub memory: Option<u64>,
    /// How many host processes share the apps.
    pub hosts: Hosts,
}

/// How many host processes share the apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hosts {
    /// As many as the number of apps and the memory ask for.
    #[default]
    Auto,
    /// So many, as long as there are as many apps.
    Number(u16),
}

impl Hosts {
    /// The most that can be asked for.
    pub const MOST: u16 = 64;

    /// So many, if that can be asked for.
    pub(crate) fn number(number: i64) -> Option<Self> {
        let number = u16::try_from(number).ok().filter(|number| (1..=Self::MOST).contains(number))?;
        Some(Self::Number(number))
    }
}

/// A text that says no number of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsError;

impl std::fmt::Display for HostsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it must be `auto` or a whole number from 1 to {}", Hosts::MOST)
    }
}

impl std::error::Error for HostsError {}

impl FromStr for Hosts {
    type Err = HostsError;

    fn from_str(text: &str) -> Result<Self, HostsError> {
        match text {
            "auto" => Ok(Self::Auto),
            number => number.parse().ok().and_then(Self::number).ok_or(HostsError),
        }
    }
}

/// `[log]`: what the host writes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSection {
    /// The format; `None` is pretty on a terminal and JSON elsewhere.
    pub format: Option<LogFormat>,
    /// The least grave lines that are written.
    pub level: LogLevel,
    /// Whether each request gets a line.
    pub access: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The least grave log lines that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// All of them.
    Debug,
    /// All but debugging.
    Info,
    /// Warnings and errors.
    Warn,
    /// Errors only.
    Error,
}

/// `[shutdown]`: how the host ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownSection {
    /// How long requests in flight may take.
    pub grace: Duration,
}

impl Default for HostConfig {
    /// What holds without a file.
    fn default() -> Self {
        Self::new(Values::new(&HOST, Written::default()))
    }
}

impl HostConfig {
    /// Reads the host's configuration. `file` is its name for the errors.
    ///
    /// # Errors
    /// Everything that is wrong with the text, in the order of its places.
    pub fn parse(text: &str, file: &str) -> Result<Self, Diagnostics> {
        let Document { values, mut problems } = validate(&HOST, text, file);
        let config = Self::new(values);
        for &limit in Limit::ALL {
            problems.extend(config.default_over_ceiling(limit));
        }
        problems.into_result().map(|()| config)
    }

    /// Where the API that manages apps is served: where the configuration says, or at the socket `nexus.sock` in the data
    /// folder. `None` serves none.
    pub fn control_address(&self) -> Option<AdminAddress> {
        let in_folder = || Some(AdminAddress::Unix(self.deploy.folder.as_ref()?.join("nexus.sock")));
        self.control.address.clone().or_else(in_folder)
    }

    /// Where providers keep what they keep for apps: where the configuration says, in the data folder, or else in `.nexus` in
    /// the working directory.
    pub fn storage_folder(&self) -> PathBuf {
        let folder = self.storage.folder.clone().or_else(|| self.deploy.folder.clone());
        folder.unwrap_or_else(|| PathBuf::from(".nexus"))
    }

    fn default_over_ceiling(&self, limit: Limit) -> Option<Diagnostic> {
        let key = limit.key();
        let path = format!("defaults.limits.{key}");
        let default = self.defaults.get(limit);
        let ceiling = self.ceilings.get(limit).filter(|ceiling| default > *ceiling)?;
        // Without a default of its own, the host's default gives way to its ceiling.
        self.written.contains(&path).then(|| {
            let (default, ceiling) = (limit.show(default), limit.show(ceiling));
            let message = format!("the default of `{key}` is {default}, above the ceiling of {ceiling}");
            self.written.diagnostic(&path, message).with_help(format!(
                "lower it, or raise `{key}` under [ceilings.limits] in line {}",
                self.written.line(&format!("ceilings.limits.{key}")).unwrap_or_default(),
            ))
        })
    }

    fn new(values: Values) -> Self {
        Self {
            listen: ListenSection {
                address: values
                    .listen("listen.address")
                    .unwrap_or(ListenAddress::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST))),
                port: values.port("listen.port").unwrap_or_default(),
                trusted_proxies: values.networks("listen.trusted_proxies").unwrap_or_default(),
            },
            admin: values.admin("admin.address"),
            control: ControlSection {
                address: values.admin("control.address"),
                token_file: values.text("control.token_file").map(PathBuf::from),
            },
            deploy: DeploySection {
                folder: values.text("deploy.folder").map(PathBuf::from),
                allow: values.permissions("deploy.allow").unwrap_or_default(),
            },
            providers: Provider::read(&values),
            storage: StorageSection { folder: values.text("storage.folder").map(PathBuf::from) },
            defaults: Limits::read(&values, "defaults.limits"),
            ceilings: Ceilings::read(&values, "ceilings.limits"),
            scale_ceilings: ScaleCeilings::read(&values),
            net_ceiling: values.net_grants("ceilings.permissions.net"),
            outbound: OutboundSection::read(&values),
            process: ProcessSection {
                memory: values.size("process.memory"),
                hosts: values.hosts("process.hosts").unwrap_or_default(),
            },
            log: LogSection {
                format: values.text("log.format").map(|format| match format.as_str() {
                    "json" => LogFormat::Json,
                    _ => LogFormat::Pretty,
                }),
                level: match values.text("log.level").as_deref() {
                    Some("debug") => LogLevel::Debug,
                    Some("warn") => LogLevel::Warn,
                    Some("error") => LogLevel::Error,
                    _ => LogLevel::Info,
                },
                access: values.flag("log.access").unwrap_or_default(),
            },
            shutdown: ShutdownSection { grace: values.time("shutdown.grace").unwrap_or_default() },
            written: values.written,
        }
    }
}

#[cfg(test)]
mod tests;
