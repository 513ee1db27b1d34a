//! What carries capabilities out, as whoever runs the host sees and changes it.

use std::sync::Arc;
use std::time::Duration;

use nexus_core::{ProviderConfig, ProviderKind};
use nexus_guest::{Level, ProviderControl, ProviderError, ProviderStatus};
use serde_json::{Value, json};

use super::{ManageError, Manager};

/// What is done with a provider.
#[derive(Debug, Clone)]
pub(crate) enum ProviderAct {
    Stop,
    Start,
    /// What is said changes, the rest stays.
    Update {
        kind: Option<ProviderKind>,
        timeout: Option<Duration>,
    },
}

impl Manager {
    /// All providers.
    pub(crate) fn providers(&self) -> Value {
        let list = self.maker.capabilities.control().map_or(Vec::new(), |control| control.list());
        json!({ "providers": list.iter().map(told).collect::<Vec<_>>() })
    }

    /// Does something with a provider, and says how it is then.
    ///
    /// # Errors
    /// When there is none of this name, or it cannot be done.
    pub(crate) fn act_on_provider(&self, name: &str, act: ProviderAct) -> Result<Value, ManageError> {
        let control = self.maker.capabilities.control().ok_or_else(|| unknown(name))?;
        let status = find(&control, name)?;
        let done = match act {
            ProviderAct::Stop => control.stop(name).map(|()| "is stopped"),
            ProviderAct::Start => control.start(name).map(|()| "runs"),
            ProviderAct::Update { kind, timeout } => {
                let before = status.config;
                let config = ProviderConfig {
                    kind: kind.unwrap_or(before.kind),
                    timeout: timeout.unwrap_or(before.timeout),
                    folder: before.folder,
                };
                control.update(name, config).map(|()| "was updated")
            }
        };
        let done = done.map_err(|error| ManageError::Conflict(error.to_string()))?;
        self.maker.logger.host(Level::Info, format!("the provider `{name}` {done}"), []);
        Ok(told(&find(&control, name)?))
    }
}

fn unknown(name: &str) -> ManageError {
    ManageError::Missing(ProviderError::Unknown(name.to_owned()).to_string())
}

fn find(control: &Arc<dyn ProviderControl>, name: &str) -> Result<ProviderStatus, ManageError> {
    control.list().into_iter().find(|status| status.name == name).ok_or_else(|| unknown(name))
}

fn told(status: &ProviderStatus) -> Value {
    json!({
        "name": status.name,
        "capability": status.capability.name(),
        "type": status.config.kind.to_string(),
        "state": status.state.to_string(),
        "version": status.version,
        "calls": status.calls,
        "timeout_ms": u64::try_from(status.config.timeout.as_millis()).unwrap_or(u64::MAX),
    })
}
