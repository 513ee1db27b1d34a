//! The words of Nexus as types: app names, manifests, the host's configuration, and what was wrong
//! with them. No I/O, no async.
//!
//! Both configuration files are described once, in `schema::keys`. What is allowed, what an error
//! says, what an editor completes and what the documentation lists all come from that description.

mod app;
mod binding;
mod cron;
mod diagnostics;
mod env_file;
mod granted;
mod host_config;
mod isolation;
mod limits;
mod manifest;
mod net;
mod net_policy;
mod outbound;
mod permissions;
mod provider;
mod route;
mod scale;
mod schema;
mod secret;
mod source;
mod suggest;
mod syntax;
mod units;
mod wasm;

pub use app::{App, AppName};
pub use binding::{
    Access, AccessError, Binding, BindingTarget, Resource, ResourceName, ResourceNameError, ResourcePart,
    Scope, StoreBinding,
};
pub use cron::{CronPattern, CronPatternError, format_time, parse_time};
pub use diagnostics::{Diagnostic, Diagnostics};
pub use env_file::parse_env_file;
pub use granted::{GrantedAccess, Switches};
pub use host_config::{
    ControlSection, DeploySection, HostConfig, Hosts, HostsError, ListenSection, LogFormat, LogLevel,
    LogSection, ProcessSection, ShutdownSection, StorageSection,
};
pub use isolation::Isolation;
pub use limits::{Ceilings, Limit, LimitUnit, Limits};
pub use manifest::{AssetsSection, HttpSection, Manifest, TriggersSection};
pub use net::{AddressError, AdminAddress, IpNet, ListenAddress};
pub use net_policy::{
    NetDenied, NetGrant, NetGrantError, NetHost, NetPolicy, Withheld, is_localhost, is_public,
};
pub use outbound::{OutboundSection, Roots};
pub use permissions::{
    GrantedFolder, GrantedFolderError, PermissionKind, PermissionKindError, PermissionSwitches, Permissions,
};
pub use provider::{Provider, ProviderConfig, ProviderKind, ProviderKindError};
pub use route::{
    Conflict, HostPattern, NoRoute, PathPattern, PatternError, Route, Router, Routes, normal_path,
};
pub use scale::{Scale, ScaleCeilings};
pub use schema::{host_schema, manifest_schema};
pub use secret::{
    SecretFile, SecretFileError, SecretSetting, SecretSource, SecretSourceError, VariableName,
    VariableNameError,
};
pub use source::Written;
pub use suggest::nearest;
pub use units::{UnitError, format_byte_size, format_duration, parse_byte_size, parse_duration};
pub use wasm::{WasiVersion, WasmCompiler, WasmSection};
