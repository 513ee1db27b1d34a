//! What all capabilities have in common that providers carry out: how they answer, and why they do not.
//!
//! `http` is older and has errors of its own; see [`HttpError`](crate::HttpError).

use std::fmt;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use nexus_core::{
    Access, App, AppName, Binding, GrantedFolder, Limit, ProviderConfig, ResourceName, ResourceNameError,
    Scope, format_duration,
};

use crate::{Grant, HttpClient, Kv, NetSink, RequestId, Sql};

/// Makes the capabilities of workers. One for the process.
pub trait Capabilities: Send + Sync + 'static {
    /// The `http` capability of one worker of this app, on the worker's thread. Cheap: most workers never use it.
    fn http(&self, app: &App, sink: Rc<dyn NetSink>) -> Rc<dyn HttpClient>;

    /// What starts, stops and changes the providers of this process, if it has any.
    fn control(&self) -> Option<Arc<dyn ProviderControl>> {
        None
    }

    /// What one of the app's bindings leads to, for one worker, on the worker's thread. The grant is asked at every call.
    ///
    /// # Errors
    /// What is wrong with the binding, in one line: the app cannot be loaded then.
    fn bind(
        &self,
        app: &App,
        binding: &Binding,
        grant: Arc<Grant>,
        sink: Rc<dyn CapabilitySink>,
    ) -> Result<Bound, String> {
        let _ = (app, grant, sink);
        Err(format!("nothing here carries out what the binding {} is for", binding.name))
    }
}

/// What a binding leads to.
#[derive(Clone)]
pub enum Bound {
    /// A namespace of a key-value store.
    Kv(Rc<dyn Kv>),
    /// A database.
    Sql(Rc<dyn Sql>),
    /// Another app, as what sends requests to it: where a request is to go, its host says nothing.
    App(Rc<dyn HttpClient>),
}

impl Bound {
    /// What it is.
    pub fn capability(&self) -> Capability {
        match self {
            Bound::Kv(_) => Capability::Kv,
            Bound::Sql(_) => Capability::Sql,
            Bound::App(_) => Capability::App,
        }
    }
}

/// What a call holds of its guest's memory, from when it is made until its answer was taken, or nobody wants it.
pub trait Hold: Send {
    /// So many bytes more are held. `false` if the guest may not have them: then they are not.
    fn grow(&mut self, bytes: usize) -> bool;
}

/// Counts nothing: for tests, and for what is bounded otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHold;

impl Hold for NoHold {
    fn grow(&mut self, _: usize) -> bool {
        true
    }
}

/// What a provider answers: at once where it can, so that whoever calls needs no turn of its event loop.
pub enum Answer<T> {
    /// This.
    Now(Result<T, CapabilityError>),
    /// What comes of this. Whoever drops it waits no longer; what was begun may be done all the same.
    Later(LocalBoxFuture<'static, Result<T, CapabilityError>>),
}

impl<T: 'static> Answer<T> {
    /// The answer, awaited.
    ///
    /// # Errors
    /// What the provider says.
    pub async fn wait(self) -> Result<T, CapabilityError> {
        match self {
            Answer::Now(result) => result,
            Answer::Later(future) => future.await,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Now(result) => f.debug_tuple("Now").field(result).finish(),
            Answer::Later(_) => f.debug_tuple("Later").finish_non_exhaustive(),
        }
    }
}

/// A kind of side effect that a provider carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// A key-value store.
    Kv,
    /// Databases.
    Sql,
    /// Another app of the same host.
    App,
    /// Hosts to connect to.
    Net,
    /// Folders to read.
    Read,
    /// Folders to read and write.
    Write,
    /// Variables of the host's environment.
    Env,
}

impl Capability {
    /// Every one.
    pub const ALL: [Self; 7] =
        [Self::Kv, Self::Sql, Self::App, Self::Net, Self::Read, Self::Write, Self::Env];

    /// Its name in manifests, messages and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Capability::Kv => "kv",
            Capability::Sql => "sql",
            Capability::App => "app",
            Capability::Net => "net",
            Capability::Read => "read",
            Capability::Write => "write",
            Capability::Env => "env",
        }
    }

    /// What bounds how much an app keeps there, if it is kept.
    pub fn storage(self) -> Option<Limit> {
        match self {
            Capability::Kv => Some(Limit::KvStorage),
            Capability::Sql => Some(Limit::SqlStorage),
            _ => None,
        }
    }

    /// What somebody has written for a scope of it, in the name of the app `app`.
    ///
    /// # Errors
    /// When it is no name of such a thing.
    pub fn scope(self, text: &str, app: &AppName) -> Result<Scope, ScopeError> {
        match self {
            Capability::Kv | Capability::Sql => {
                let name = text.parse::<ResourceName>().map_err(ScopeError::new)?;
                Ok(Scope::Resource(name.of(app)))
            }
            Capability::App => {
                AppName::parse(text).map(Scope::App).ok_or_else(|| ScopeError::new(ResourceNameError))
            }
            Capability::Net => text.parse().map(Scope::Net).map_err(ScopeError::new),
            Capability::Read | Capability::Write => {
                let folder = text.parse::<GrantedFolder>().map_err(ScopeError::new)?;
                Ok(Scope::Folder(folder.plain()))
            }
            Capability::Env => text.parse().map(Scope::Variable).map_err(ScopeError::new),
        }
    }

    /// Whether it is asked for under `[permissions]`, entry by entry, and not by a binding.
    pub fn is_permission(self) -> bool {
        matches!(self, Capability::Net | Capability::Read | Capability::Write | Capability::Env)
    }

    /// What an app may do by it, in a word.
    pub fn word(self, access: Access) -> String {
        match self {
            Capability::Kv | Capability::Sql => access.to_string(),
            Capability::App => "call".into(),
            Capability::Net => "connect".into(),
            // There is nothing else to do with them.
            Capability::Read | Capability::Env => Access::Read.to_string(),
            Capability::Write => Access::Write.to_string(),
        }
    }
}

/// Why a text names nothing that a capability leads to, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeError(String);

impl ScopeError {
    fn new(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScopeError {}

/// A word that names no [`Capability`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilityNameError;

impl fmt::Display for CapabilityNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Capability::ALL.map(Capability::name);
        write!(f, "a capability is one of: {}", names.join(", "))
    }
}

impl std::error::Error for CapabilityNameError {}

impl FromStr for Capability {
    type Err = CapabilityNameError;

    fn from_str(word: &str) -> Result<Self, CapabilityNameError> {
        Self::ALL.into_iter().find(|capability| capability.name() == word).ok_or(CapabilityNameError)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A call that no grant covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The capability.
    pub capability: Capability,
    /// The name under which the guest has it.
    pub binding: Box<str>,
    /// What it leads to, as the manifest names it.
    pub scope: String,
    /// What the call would have needed.
    pub needed: Access,
    /// What to do, in one clause.
    pub help: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { capability, binding, scope, needed, help } = self;
        let needed = capability.word(*needed);
        write!(f, "the app may not {needed} {capability} `{scope}` by its binding {binding}: {help}")
    }
}

/// Why a provider did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CapabilityError {
    /// No grant covers it.
    Denied(Denied),
    /// The provider of this name carries nothing out at the moment, and why.
    Unavailable(String, &'static str),
    /// As much waits for the provider as may, in the app's name.
    Busy(String),
    /// The provider took longer than this. What was to be written may have been, or not.
    TimedOut(String, Duration),
    /// There is no more room under this limit of the app's, of this value.
    Full(Limit, u64),
    /// It was stopped: it took more CPU time than the app has left for it.
    Stopped,
    /// It cannot be carried out as it was asked for: why, in one line.
    Invalid(String),
    /// The provider failed.
    Failed {
        /// Why, in one line, for the guest.
        told: String,
        /// More of it for whoever runs the host: paths, what the system said.
        detail: String,
    },
}

impl CapabilityError {
    /// A short, stable code for it.
    pub fn code(&self) -> &'static str {
        match self {
            CapabilityError::Denied(_) => "EPERM",
            CapabilityError::Unavailable(..) => "EUNAVAILABLE",
            CapabilityError::Busy(_) => "EBUSY",
            CapabilityError::TimedOut(..) => "ETIMEDOUT",
            CapabilityError::Full(..) => "EQUOTA",
            CapabilityError::Stopped => "ECPU",
            CapabilityError::Invalid(_) => "EINVAL",
            CapabilityError::Failed { .. } => "EIO",
        }
    }

    /// What came of the call, in a word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            CapabilityError::Denied(_) => "denied",
            CapabilityError::Unavailable(..) => "unavailable",
            CapabilityError::Busy(_) => "busy",
            CapabilityError::TimedOut(..) => "timeout",
            CapabilityError::Full(..) => "full",
            CapabilityError::Stopped => "stopped",
            CapabilityError::Invalid(_) => "invalid",
            CapabilityError::Failed { .. } => "failed",
        }
    }

    /// Whether the same may well be done if it is tried again: nothing was done, and it is not the app's fault.
    pub fn is_retryable(&self) -> bool {
        matches!(self, CapabilityError::Unavailable(..) | CapabilityError::Busy(_))
    }
}

impl fmt::Display for CapabilityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CapabilityError::Denied(denied) => denied.fmt(f),
            CapabilityError::Unavailable(provider, why) => {
                write!(f, "the provider `{provider}` {why}; try again later")
            }
            CapabilityError::Busy(provider) => {
                write!(f, "as much waits for the provider `{provider}` as may; try again")
            }
            CapabilityError::TimedOut(provider, limit) => {
                write!(f, "the provider `{provider}` took longer than {}", format_duration(*limit))
            }
            CapabilityError::Full(limit, value) => {
                write!(f, "the app keeps as much as it may (limit: {} {})", limit.key(), limit.show(*value))
            }
            CapabilityError::Stopped => {
                let limit = Limit::Cpu.key();
                write!(f, "the call took more CPU time than the app has left for it (limit: {limit})")
            }
            CapabilityError::Invalid(told) | CapabilityError::Failed { told, .. } => f.write_str(told),
        }
    }
}

impl std::error::Error for CapabilityError {}

/// Is told what comes of a worker's calls to providers. Lives on the worker's thread.
pub trait CapabilitySink {
    /// A call was denied, in the name of this request.
    fn denied(&self, request: Option<RequestId>, denied: &Denied);

    /// A provider failed, in the name of this request: what whoever runs the host should know.
    fn failed(&self, request: Option<RequestId>, message: &str);

    /// A call was made and is over, whatever came of it.
    fn called(&self, call: Called<'_>);
}

/// A call that is over.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// What was asked.
    pub capability: Capability,
    /// The provider's name.
    pub provider: &'a str,
    /// The operation's name.
    pub operation: &'static str,
    /// Why it was not done.
    pub error: Option<&'a CapabilityError>,
    /// How long it took.
    pub took: Duration,
}

/// Starts, stops and changes what carries capabilities out, while it is used. Each call waits until it is done, for some
/// seconds at most: none belongs on an event loop.
pub trait ProviderControl: Send + Sync + 'static {
    /// All providers, by name.
    fn list(&self) -> Vec<ProviderStatus>;

    /// Has calls fail at once from now on; those under way are waited for.
    ///
    /// # Errors
    /// When there is no such provider.
    fn stop(&self, name: &str) -> Result<(), ProviderError>;

    /// Has calls carried out again. One that runs goes on.
    ///
    /// # Errors
    /// When there is no such provider.
    fn start(&self, name: &str) -> Result<(), ProviderError>;

    /// The app of this name is gone: what is kept for it is put aside, where no other app of its name finds it.
    fn release(&self, owner: &AppName);

    /// Puts another implementation in the place of the one there is: calls under way are waited for, those that come wait.
    ///
    /// # Errors
    /// When there is no such provider, or it cannot be made like this; then all stays as it is.
    fn update(&self, name: &str, config: ProviderConfig) -> Result<(), ProviderError>;
}

/// A provider, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderStatus {
    /// Its name.
    pub name: String,
    /// What it carries out.
    pub capability: Capability,
    /// What it is made of.
    pub config: ProviderConfig,
    /// How it is.
    pub state: ProviderState,
    /// Counts its implementations, from 1.
    pub version: u64,
    /// How many calls are under way.
    pub calls: usize,
}

/// How a provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderState {
    /// Calls wait for it.
    Starting,
    /// It carries calls out.
    Running,
    /// It does, and has failed within the last minute.
    Degraded,
    /// Calls fail.
    Stopped,
}

impl fmt::Display for ProviderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProviderState::Starting => "starting",
            ProviderState::Running => "running",
            ProviderState::Degraded => "degraded",
            ProviderState::Stopped => "stopped",
        })
    }
}

/// Why a provider was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderError {
    /// There is none of this name.
    Unknown(String),
    /// It cannot be as it was asked for: why, in one line.
    Unfit(String),
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProviderError::Unknown(name) => {
                write!(f, "there is no provider `{name}`; `nexus provider` lists them")
            }
            ProviderError::Unfit(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ProviderError {}
