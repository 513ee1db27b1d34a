//! All that carries capabilities out in this process.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nexus_core::{App, Binding, BindingTarget, Limit};
use nexus_guest::{Bound, Capabilities, CapabilitySink, Grant, HttpClient, NetSink};

use crate::kv::{BoundKv, KvEngine, MemoryKv, RedbKv};
use crate::outbound::Outbound;
use crate::slot::Slot;

/// How long a call to a provider may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The providers of a host. One for the process.
#[derive(Debug)]
pub struct Providers {
    outbound: Arc<Outbound>,
    kv: Arc<Slot<dyn KvEngine>>,
}

impl Providers {
    /// Those that a host has by itself: they keep what they keep in this folder, or in memory where there is none.
    ///
    /// # Errors
    /// When the system refuses what they need, in one line.
    pub fn new(outbound: Arc<Outbound>, data: Option<&Path>) -> Result<Arc<Self>, String> {
        let kv: Arc<dyn KvEngine> = match data {
            Some(folder) => Arc::new(RedbKv::new(&folder.join("kv")).map_err(|error| error.to_string())?),
            None => Arc::new(MemoryKv::default()),
        };
        Ok(Arc::new(Self { outbound, kv: Slot::new("kv", TIMEOUT, kv) }))
    }
}

impl Capabilities for Providers {
    fn http(&self, app: &App, sink: Rc<dyn NetSink>) -> Rc<dyn HttpClient> {
        self.outbound.http(app, sink)
    }

    fn bind(
        &self,
        app: &App,
        binding: &Binding,
        grant: Arc<Grant>,
        sink: Rc<dyn CapabilitySink>,
    ) -> Result<Bound, String> {
        let BindingTarget::Kv(kv) = &binding.to;
        if let Some(provider) = kv.provider.as_ref().filter(|provider| provider.as_str() != self.kv.name()) {
            return Err(format!("the host has no provider `{provider}` for the binding {}", binding.name));
        }
        let quota = app.manifest.limits.get(Limit::KvStorage);
        Ok(Bound::Kv(Rc::new(BoundKv { grant, slot: self.kv.clone(), quota, sink })))
    }
}
