//! All that carries capabilities out in this process.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nexus_core::{App, AppName, Binding, BindingTarget, Provider, ProviderConfig, ProviderKind};
use nexus_guest::{
    Bound, Capabilities, Capability, CapabilitySink, Grant, HttpClient, NetSink, ProviderControl,
    ProviderError, ProviderStatus,
};

use crate::kv::{BoundKv, KvEngine, MemoryKv, RedbKv};
use crate::outbound::Outbound;
use crate::slot::Slot;
use crate::storage::Storage;

/// The provider of key-value stores that a host has by itself.
const KV: &str = "kv";
/// How long the calls under way are waited for when a provider is stopped or changed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The providers of a host. One for the process.
pub struct Providers {
    outbound: Arc<Outbound>,
    kept: Arc<Kept>,
}

/// Those that keep data.
struct Kept {
    folder: PathBuf,
    storage: Storage,
    all: BTreeMap<String, Entry>,
}

struct Entry {
    slot: Arc<Slot<dyn KvEngine>>,
    /// Whoever stops, starts or changes it holds this, which may take long.
    turn: Mutex<()>,
    made: Mutex<Made>,
}

/// What a provider's implementation was made of.
struct Made {
    config: ProviderConfig,
    version: u64,
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kept.all.keys()).finish()
    }
}

impl Providers {
    /// Those that the configuration names, and those that a host has by itself. They keep what they keep in this folder,
    /// unless they are told another one.
    ///
    /// # Errors
    /// When the system refuses what they need, in one line.
    pub fn new(outbound: Arc<Outbound>, configured: &[Provider], folder: &Path) -> Result<Arc<Self>, String> {
        let storage = Storage::new().map_err(|error| error.to_string())?;
        let mut configs = BTreeMap::from([(KV.to_owned(), ProviderConfig::default())]);
        configs
            .extend(configured.iter().map(|provider| (provider.name.to_string(), provider.config.clone())));
        let mut kept = Kept { folder: folder.to_owned(), storage, all: BTreeMap::new() };
        for (name, config) in configs {
            let slot = Slot::new(&name, config.timeout, kept.engine(&name, &config));
            kept.all.insert(
                name,
                Entry { slot, turn: Mutex::default(), made: Mutex::new(Made { config, version: 1 }) },
            );
        }
        Ok(Arc::new(Self { outbound, kept: Arc::new(kept) }))
    }
}

impl Kept {
    fn engine(&self, name: &str, config: &ProviderConfig) -> Arc<dyn KvEngine> {
        match config.kind {
            ProviderKind::Redb => {
                let folder = config.folder.clone().unwrap_or_else(|| self.folder.join(name));
                Arc::new(RedbKv::on(&folder, self.storage.clone()))
            }
            ProviderKind::Memory => Arc::new(MemoryKv::default()),
        }
    }

    fn entry(&self, name: &str) -> Result<&Entry, ProviderError> {
        self.all.get(name).ok_or_else(|| ProviderError::Unknown(name.to_owned()))
    }
}

impl Capabilities for Providers {
    fn http(&self, app: &App, sink: Rc<dyn NetSink>) -> Rc<dyn HttpClient> {
        self.outbound.http(app, sink)
    }

    fn control(&self) -> Option<Arc<dyn ProviderControl>> {
        Some(self.kept.clone())
    }

    fn bind(
        &self,
        app: &App,
        binding: &Binding,
        grant: Arc<Grant>,
        sink: Rc<dyn CapabilitySink>,
    ) -> Result<Bound, String> {
        let BindingTarget::Kv(kv) = &binding.to;
        let name = kv.provider.as_ref().map_or(KV, |provider| provider.as_str());
        let Some(entry) = self.kept.all.get(name) else {
            let known: Vec<&str> = self.kept.all.keys().map(String::as_str).collect();
            return Err(format!(
                "the host has no provider `{name}` for the binding {}; it has: {}",
                binding.name,
                known.join(", ")
            ));
        };
        let _ = app;
        Ok(Bound::Kv(Rc::new(BoundKv { grant, slot: entry.slot.clone(), sink })))
    }
}

impl ProviderControl for Kept {
    fn list(&self) -> Vec<ProviderStatus> {
        let status = |(name, entry): (&String, &Entry)| {
            let (state, calls) = (entry.slot.state(), entry.slot.calls());
            let made = entry.made();
            ProviderStatus {
                name: name.clone(),
                capability: Capability::Kv,
                config: made.config.clone(),
                state,
                version: made.version,
                calls,
            }
        };
        self.all.iter().map(status).collect()
    }

    fn stop(&self, name: &str) -> Result<(), ProviderError> {
        let entry = self.entry(name)?;
        let _turn = entry.turn();
        if let Some(engine) = entry.slot.stop(PATIENCE) {
            engine.close();
        }
        Ok(())
    }

    fn start(&self, name: &str) -> Result<(), ProviderError> {
        let entry = self.entry(name)?;
        let _turn = entry.turn();
        let config = entry.made().config.clone();
        if !entry.slot.is_running() {
            entry.slot.replace(self.engine(name, &config), config.timeout);
        }
        Ok(())
    }

    fn release(&self, owner: &AppName) {
        for entry in self.all.values() {
            // Of one that is stopped, too: what keeps its files knows where they are.
            let _turn = entry.turn();
            let config = entry.made().config.clone();
            match entry.slot.engine() {
                Some(engine) => engine.release(owner),
                None => self.engine(entry.slot.name(), &config).release(owner),
            }
        }
    }

    fn update(&self, name: &str, config: ProviderConfig) -> Result<(), ProviderError> {
        let entry = self.entry(name)?;
        let _turn = entry.turn();
        if let Some(engine) = entry.slot.hold(PATIENCE) {
            engine.close();
        }
        entry.slot.replace(self.engine(name, &config), config.timeout);
        let mut made = entry.made();
        *made = Made { config, version: made.version + 1 };
        Ok(())
    }
}

impl Entry {
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
