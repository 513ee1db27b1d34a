//! All that carries capabilities out in this process.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nexus_core::{
    App, AppName, Binding, BindingTarget, Provider, ProviderConfig, ProviderKind, ResourcePart,
};
use nexus_guest::{
    Bound, Capabilities, Capability, CapabilitySink, Grant, HttpClient, NetSink, ProviderControl,
    ProviderError, ProviderStatus,
};

use crate::kv::{BoundKv, KvEngine, MemoryKv, RedbKv};
use crate::outbound::Outbound;
use crate::slot::Slot;
use crate::sql::{BoundSql, SqlEngine, SqliteSql};
use crate::storage::Storage;

/// The providers that a host has by itself: of key-value stores, and of databases.
const KV: &str = "kv";
const SQL: &str = "sql";
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
    slot: AnySlot,
    /// Whoever stops, starts or changes it holds this, which may take long.
    turn: Mutex<()>,
    made: Mutex<Made>,
}

/// The slot of a provider, by what it carries out.
enum AnySlot {
    Kv(Arc<Slot<dyn KvEngine>>),
    Sql(Arc<Slot<dyn SqlEngine>>),
}

/// What carries a provider's calls out.
enum Engine {
    Kv(Arc<dyn KvEngine>),
    Sql(Arc<dyn SqlEngine>),
}

/// Does the same with a slot of either kind, or with an engine.
macro_rules! with {
    ($kind:ident, $any:expr, $one:ident => $act:expr) => {
        match $any {
            $kind::Kv($one) => $act,
            $kind::Sql($one) => $act,
        }
    };
}

/// What a kind of provider carries out.
fn capability(kind: ProviderKind) -> Capability {
    match kind {
        ProviderKind::Redb | ProviderKind::Memory => Capability::Kv,
        ProviderKind::Sqlite | ProviderKind::SqliteMemory => Capability::Sql,
    }
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
    pub fn new(outbound: Arc<Outbound>, configured: &[Provider], folder: &Path) -> Arc<Self> {
        let storage = Storage::default();
        let sqlite = ProviderConfig { kind: ProviderKind::Sqlite, ..ProviderConfig::default() };
        let mut configs =
            BTreeMap::from([(KV.to_owned(), ProviderConfig::default()), (SQL.to_owned(), sqlite)]);
        configs
            .extend(configured.iter().map(|provider| (provider.name.to_string(), provider.config.clone())));
        let mut kept = Kept { folder: folder.to_owned(), storage, all: BTreeMap::new() };
        for (name, config) in configs {
            let slot = match kept.engine(&name, &config) {
                Engine::Kv(engine) => AnySlot::Kv(Slot::new(&name, config.timeout, engine)),
                Engine::Sql(engine) => AnySlot::Sql(Slot::new(&name, config.timeout, engine)),
            };
            kept.all.insert(
                name,
                Entry { slot, turn: Mutex::default(), made: Mutex::new(Made { config, version: 1 }) },
            );
        }
        Arc::new(Self { outbound, kept: Arc::new(kept) })
    }
}

impl Kept {
    fn engine(&self, name: &str, config: &ProviderConfig) -> Engine {
        let folder = || config.folder.clone().unwrap_or_else(|| self.folder.join(name));
        let storage = self.storage.clone();
        match config.kind {
            ProviderKind::Redb => Engine::Kv(Arc::new(RedbKv::on(&folder(), storage))),
            ProviderKind::Memory => Engine::Kv(Arc::new(MemoryKv::default())),
            ProviderKind::Sqlite => Engine::Sql(Arc::new(SqliteSql::on(Some(&folder()), storage))),
            ProviderKind::SqliteMemory => Engine::Sql(Arc::new(SqliteSql::on(None, storage))),
        }
    }

    /// Has a provider's calls carried out by what this makes.
    fn replace(&self, name: &str, entry: &Entry, config: &ProviderConfig) {
        match (&entry.slot, self.engine(name, config)) {
            (AnySlot::Kv(slot), Engine::Kv(engine)) => slot.replace(engine, config.timeout),
            (AnySlot::Sql(slot), Engine::Sql(engine)) => slot.replace(engine, config.timeout),
            // Whoever asks for that is refused before.
            (AnySlot::Kv(_), Engine::Sql(_)) | (AnySlot::Sql(_), Engine::Kv(_)) => {}
        }
    }

    /// What a binding names, or the host's own of this capability; the entry is of that.
    fn bound(&self, binding: &Binding, named: Option<&str>, wanted: Capability) -> Result<&Entry, String> {
        let own = if wanted == Capability::Sql { SQL } else { KV };
        let name = named.unwrap_or(own);
        let known = || {
            let fits = self.all.iter().filter(|(_, entry)| entry.capability() == wanted);
            fits.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        match self.all.get(name) {
            Some(entry) if entry.capability() == wanted => Ok(entry),
            Some(entry) => Err(format!(
                "the provider `{name}` is for {}, and the binding {} is for {wanted}; the host has for that: {}",
                entry.capability(),
                binding.name,
                known()
            )),
            None => Err(format!(
                "the host has no provider `{name}` for the binding {}; it has: {}",
                binding.name,
                known()
            )),
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
        let wrong = || format!("the binding {} leads elsewhere than it says", binding.name);
        match &binding.to {
            BindingTarget::Kv(kv) => {
                let named = kv.provider.as_ref().map(ResourcePart::as_str);
                let namespace = kv.name.of(app.name());
                match &self.kept.bound(binding, named, Capability::Kv)?.slot {
                    AnySlot::Kv(slot) => {
                        Ok(Bound::Kv(Rc::new(BoundKv { grant, namespace, slot: slot.clone(), sink })))
                    }
                    AnySlot::Sql(_) => Err(wrong()),
                }
            }
            BindingTarget::Sql(sql) => {
                let named = sql.provider.as_ref().map(ResourcePart::as_str);
                let database = sql.name.of(app.name());
                match &self.kept.bound(binding, named, Capability::Sql)?.slot {
                    AnySlot::Sql(slot) => {
                        Ok(Bound::Sql(Rc::new(BoundSql { grant, database, slot: slot.clone(), sink })))
                    }
                    AnySlot::Kv(_) => Err(wrong()),
                }
            }
            BindingTarget::App(_) => Err("apps call each other by the host".into()),
        }
    }
}

impl ProviderControl for Kept {
    fn list(&self) -> Vec<ProviderStatus> {
        let status = |(name, entry): (&String, &Entry)| {
            let (state, calls) = with!(AnySlot, &entry.slot, slot => (slot.state(), slot.calls()));
            let made = entry.made();
            ProviderStatus {
                name: name.clone(),
                capability: entry.capability(),
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
        with!(AnySlot, &entry.slot, slot => if let Some(engine) = slot.stop(PATIENCE) {
            engine.close();
        });
        Ok(())
    }

    fn start(&self, name: &str) -> Result<(), ProviderError> {
        let entry = self.entry(name)?;
        let _turn = entry.turn();
        let config = entry.made().config.clone();
        if !with!(AnySlot, &entry.slot, slot => slot.is_running()) {
            self.replace(name, entry, &config);
        }
        Ok(())
    }

    fn release(&self, owner: &AppName) {
        for (name, entry) in &self.all {
            // Of one that is stopped, too: what keeps its files knows where they are.
            let _turn = entry.turn();
            let config = entry.made().config.clone();
            with!(AnySlot, &entry.slot, slot => match slot.engine() {
                Some(engine) => engine.release(owner),
                None => with!(Engine, self.engine(name, &config), engine => engine.release(owner)),
            });
        }
    }

    fn update(&self, name: &str, config: ProviderConfig) -> Result<(), ProviderError> {
        let entry = self.entry(name)?;
        let _turn = entry.turn();
        let (is, wanted) = (entry.capability(), capability(config.kind));
        if is != wanted {
            let kind = config.kind;
            return Err(ProviderError::Unfit(format!(
                "the provider `{name}` is for {is}, and `{kind}` is for {wanted}: apps are bound to it for {is}"
            )));
        }
        with!(AnySlot, &entry.slot, slot => if let Some(engine) = slot.hold(PATIENCE) {
            engine.close();
        });
        self.replace(name, entry, &config);
        let mut made = entry.made();
        *made = Made { config, version: made.version + 1 };
        Ok(())
    }
}

impl Entry {
    fn capability(&self) -> Capability {
        match self.slot {
            AnySlot::Kv(_) => Capability::Kv,
            AnySlot::Sql(_) => Capability::Sql,
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
