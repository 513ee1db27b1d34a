//! What all requests of a guest share, and the stores that their instances get.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use nexus_core::{App, GrantedFolder, Limit};
use nexus_guest::{Failure, FailureKind, Services, SocketBudget, StopReason};
use tokio::sync::Notify;
use tokio::time::timeout;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{FsPerms, WasiCtx};
use wasmtime_wasi_http::handler::{Proxy, ProxyPre};

use crate::account::{Account, Ending, METER, WorkerMemory};
use crate::author::Author;
use crate::compile::LoadedApp;
use crate::error::{Ended, Interrupt};
use crate::exchange::Exchange;
use crate::outgoing::{Outgoing, Post, Settings};
use crate::output::{Console, Output};
use crate::room::Accounts;
use crate::sockets::{Granted, HasReach, Purse, Reach};
use crate::state::{
    Bounds, FILES, FILES_OF_ALL, HANDLES, Limiter, Net, PASSED, PASSED_TO_FILES, RESOURCES, State,
};

/// What all requests of a guest share.
pub(crate) struct Shared {
    pub(crate) app: Arc<LoadedApp>,
    pub(crate) services: Services,
    pub(crate) memory: Arc<WorkerMemory>,
    pub(crate) ending: Arc<Ending>,
    /// Told when a request is over, and its memory free.
    pub(crate) freed: Notify,
    manifest: Arc<App>,
    bounds: Bounds,
    granted: Arc<Granted>,
    /// What counts their sockets.
    sockets: Arc<dyn SocketBudget>,
    /// What sends the requests of its instances.
    pub(crate) post: Rc<Post>,
    /// Instances that wait for another request, where the manifest lets them serve several.
    idle: RefCell<Vec<Lease>>,
}

/// An instance, or the store for one, and how many requests it has served.
pub(crate) struct Lease {
    pub(crate) store: Store<State>,
    pub(crate) proxy: Option<Proxy>,
    uses: u32,
    /// What it has open of the host's files.
    folders: Folders,
}

/// The folders that an instance has from its beginning, and which of them it may write to.
pub(crate) type Folders = Box<[(GrantedFolder, bool)]>;

impl Shared {
    pub(crate) fn new(app: Arc<LoadedApp>, manifest: Arc<App>, services: Services) -> Self {
        let memory = Arc::new(WorkerMemory::new(&services.limits, services.watch.clone()));
        let bounds = Bounds::of(&manifest.manifest.wasm);
        let (ending, freed, idle) = (Arc::default(), Notify::new(), RefCell::default());
        let granted = Arc::new(Granted::new(&manifest.manifest.permissions.net));
        let post = Rc::new(Post::new(
            services.http.clone(),
            services.bindings.clone(),
            settings(&services),
            services.limits,
            memory.clone(),
        ));
        let sockets = services.http.sockets();
        Self { app, services, memory, ending, freed, manifest, bounds, granted, sockets, post, idle }
    }

    /// An instance for this request: one that has served others, or the store for a fresh one.
    pub(crate) fn lease(&self, exchange: &Exchange, outgoing: Outgoing) -> Result<Lease, Ended> {
        let idle = {
            let mut idle = self.idle.borrow_mut();
            // Folders are granted, and taken, from the next instance on.
            idle.retain(|lease| self.has_still(&lease.folders));
            idle.pop()
        };
        if let Some(mut lease) = idle {
            lease.store.data_mut().turn_to(exchange.output.clone(), exchange.account.clone(), outgoing);
            lease.store.set_epoch_deadline(1);
            return Ok(lease);
        }
        let folders = self.folders();
        Ok(Lease { store: self.store(exchange, outgoing, &folders)?, proxy: None, uses: 0, folders })
    }

    /// The instance has served a request well: it may serve another one, if the manifest says so. Not if it holds sockets:
    /// they would be open as long as nobody asks, and what comes in be read on nobody's account.
    pub(crate) fn take_back(&self, mut lease: Lease) {
        lease.uses += 1;
        if lease.uses < self.reuse() && lease.store.data().reach().open() == 0 {
            self.idle.borrow_mut().push(lease);
        }
    }

    /// Waits until the worker has a place for one instance more: in its part of the pool, and in its memory without
    /// coming near the limit.
    /// `is_there` says whether there is a place already.
    pub(crate) async fn room(&self, is_there: impl Fn() -> bool) -> Result<(), Ended> {
        let has_room = || is_there() || self.has_room();
        let wait = async {
            while !has_room() {
                self.freed.notified().await;
            }
            // What is left may be enough for the next one, too.
            self.freed.notify_one();
        };
        let limits = &self.services.limits;
        if has_room() || timeout(limits.time(Limit::QueueWait), wait).await.is_ok() {
            return Ok(());
        }
        let limit = Some((Limit::QueueWait, limits.get(Limit::QueueWait)));
        Err(Ended::Failed {
            failure: Failure { kind: FailureKind::Overloaded, limit },
            message: "the worker's instances hold too much memory, or places, for another one".into(),
            stack: None,
        })
    }

    fn has_room(&self) -> bool {
        let is_idle = || !self.idle.borrow().is_empty();
        let held = self.memory.total();
        let fits = || {
            let has_memory = held == 0 || held + self.app.size() <= self.memory.limit() / 8 * 7;
            has_memory && self.memory.instances() < self.places()
        };
        is_idle() || fits()
    }

    /// How many requests an instance serves, one after another or in all.
    pub(crate) fn reuse(&self) -> u32 {
        self.manifest.manifest.wasm.reuse
    }

    /// How many requests an instance serves at once.
    pub(crate) fn concurrency(&self) -> usize {
        self.manifest.manifest.wasm.concurrency.min(self.reuse()) as usize
    }

    /// How many handles of resources an instance may have that serves so many requests at once.
    fn resources(&self, requests: usize) -> usize {
        match self.has_folders() {
            true => descriptors(requests),
            false => RESOURCES * requests,
        }
    }

    /// How many instances there may be at once.
    fn places(&self) -> usize {
        let requests = if self.has_rooms() { self.concurrency() } else { 1 };
        match self.has_folders() || self.has_sockets() {
            true => self.app.at_once.min(FILES_OF_ALL / descriptors(requests)),
            false => self.app.at_once,
        }
    }

    /// Whether a handle may be an open file, now or later.
    fn has_folders(&self) -> bool {
        self.manifest.manifest.permissions.asks_for_folders()
    }

    /// The folders that are granted at the moment.
    pub(crate) fn folders(&self) -> Folders {
        let granted = self.manifest.manifest.permissions.folders();
        granted.map(|(folder, may_write)| (folder.clone(), may_write)).collect()
    }

    /// Whether just these folders are granted at the moment.
    pub(crate) fn has_still(&self, folders: &Folders) -> bool {
        let granted = self.manifest.manifest.permissions.folders();
        granted.eq(folders.iter().map(|(folder, may_write)| (folder, *may_write)))
    }

    /// Whether a guest may have sockets.
    fn has_sockets(&self) -> bool {
        self.app.makes_sockets && !self.granted.is_empty()
    }

    /// Whether an instance serves several requests at once.
    pub(crate) fn has_rooms(&self) -> bool {
        self.concurrency() > 1 && matches!(self.app.proxy, ProxyPre::P3(_))
    }

    /// A store for a request's instance.
    fn store(
        &self,
        exchange: &Exchange,
        outgoing: Outgoing,
        folders: &Folders,
    ) -> Result<Store<State>, Ended> {
        let for_whom = (&exchange.output, exchange.account.clone());
        self.store_with(for_whom, outgoing, 1, folders, |store| {
            match store.data().account.is_beyond(METER.with(|meter| meter.so_far())) {
                true => Err(Interrupt(StopReason::Cpu).into()),
                false => Ok(()),
            }
        })
    }

    /// A store for an instance that serves several requests at once.
    pub(crate) fn room_store(
        &self,
        output: &Arc<Output>,
        accounts: Arc<Accounts>,
        outgoing: Outgoing,
        folders: &Folders,
    ) -> Result<Store<State>, Ended> {
        let nobodys = Arc::new(Account::new(&self.services.limits));
        self.store_with((output, nobodys), outgoing, self.concurrency(), folders, move |store| {
            accounts.look(store)
        })
    }

    /// A store for so many requests at once, which has `look` look at their CPU time.
    fn store_with(
        &self,
        (output, account): (&Arc<Output>, Arc<Account>),
        outgoing: Outgoing,
        requests: usize,
        folders: &Folders,
        look: impl Fn(StoreContextMut<'_, State>) -> wasmtime::Result<()> + Send + Sync + 'static,
    ) -> Result<Store<State>, Ended> {
        let limiter = Limiter::new(self.memory.clone(), self.bounds);
        let console = Console::new(output.clone());
        let purse =
            Purse { budget: self.sockets.clone(), memory: self.memory.clone(), most: descriptors(requests) };
        let author = Author::App(console.clone());
        let reach = Arc::new(Reach::new(self.granted.clone(), author, outgoing.clone(), purse));
        let wasi = self.wasi(&console, folders)?;
        let net = Net { console, outgoing, reach };
        let state = State::new(wasi, net, account, limiter, self.resources(requests));
        let mut store = Store::new(self.app.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_max_component_handles(HANDLES * requests);
        store.set_hostcall_fuel(if self.has_folders() { PASSED_TO_FILES } else { PASSED });
        if let Some(table) = store.concurrent_resource_table() {
            // For each of a socket's two streams there is a future beside it that its guest has not made.
            let ends = if self.has_sockets() { 6 * descriptors(requests) } else { 0 };
            table.set_max_capacity(RESOURCES * requests + ends);
        }
        let (watch, ending) = (self.services.watch.clone(), self.ending.clone());
        store.epoch_deadline_callback(move |store| {
            if watch.is_given_up() {
                watch.rest();
            }
            if let Some(reason) = ending.reason() {
                return Err(Interrupt(reason).into());
            }
            look(store)?;
            // Others of this worker come first, then it goes on.
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);
        Ok(store)
    }

    fn wasi(&self, console: &Console, folders: &Folders) -> Result<WasiCtx, Ended> {
        let mut wasi = WasiCtx::builder();
        wasi.envs(&self.services.env).stdout(console.stdout()).stderr(console.stderr());
        for (folder, may_write) in folders {
            let permissions = if *may_write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            let path = folder.path_from(&self.manifest.folder);
            wasi.preopened_dir(&path, folder.as_str(), permissions).map_err(|error| {
                let message = format!("the granted folder {} cannot be opened: {error}", path.display());
                Ended::failed(FailureKind::Threw, message)
            })?;
        }
        Reach::grant(&mut wasi);
        Ok(wasi.build())
    }
}

/// What `wasi:config` tells: secrets come before variables of the same names.
fn settings(services: &Services) -> Settings {
    let secrets = services.secrets.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let is_secret = |name: &str| services.secrets.get(name).is_some();
    let variables = services.env.iter().filter(|(name, _)| !is_secret(name)).cloned();
    secrets.chain(variables).collect()
}

/// How many files, or sockets, an instance may have that serves so many requests at once.
fn descriptors(requests: usize) -> usize {
    (FILES * requests).min(FILES_OF_ALL)
}
