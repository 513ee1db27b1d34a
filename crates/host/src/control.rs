//! The API that manages apps, at an address of its own: `nexus ps`, `nexus deploy` and the others talk to it.
//!
//! ```text
//! nexus-control thread: accept, read, is the token right? route ──► status, logs: at once
//!                                                              └──► all else: a thread each, few at a time
//! ```
//!
//! At a Unix socket the file's mode says who may ask; at an IP address each request needs the token.

mod follow;
mod openapi;
mod routes;
mod token;
mod upload;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nexus_core::{Access, AppName, parse_duration, parse_time};
use nexus_guest::{Body, HeaderList, Level, Reply, Request, RequestId, exchange};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use self::routes::{Found, To};
pub use self::token::{Token, TokenError};
use crate::admin::bring_up_to_date;
use crate::http::{
    Call, CallOwner, Inbox, Listener, Outcome, Refused, Server, ServerConfig, Service, Shutdown, serve,
};
use crate::listen::Bound;
use crate::log::{Logger, Recent};
use crate::manage::{self, Deployment, ManageError, Manager, ProviderAct};
use crate::percent;

/// The largest upload, in bytes: what a deployed app may hold, with what an archive puts around it.
const MAX_UPLOAD: u64 = 300 << 20;
/// How many uploads there may be at a time.
const MAX_UPLOADS: usize = 4;
/// How many other changes may be under way at a time.
const MAX_CHANGES: usize = 32;
/// How many connections there may be at a time.
const MAX_CONNECTIONS: usize = 100;
/// How long a connection may take to send its first byte, to send a request's head, and to send another request. Whoever
/// has no token must not keep those out who have one by being silent, and clients send at once what they have to say.
const FIRST_BYTE: Duration = Duration::from_secs(3);
const HEAD: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(5);
/// How many lines of a log are sent if nobody says otherwise.
const TAIL: usize = 100;

/// What the API's thread is started with.
pub(crate) struct Setup {
    pub(crate) socket: Arc<Bound>,
    /// What clients must send at an IP address.
    pub(crate) token: Option<Token>,
    /// The program's version.
    pub(crate) version: String,
}

/// The running API.
pub(crate) struct Control {
    drain: Option<oneshot::Sender<()>>,
}

impl Control {
    /// Starts its thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(setup: Setup, manager: Arc<Manager>, logger: Logger) -> io::Result<Self> {
        let (drain, drained) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let shared = Shared {
            recent: logger.recent(),
            main: tokio::runtime::Handle::current(),
            token: setup.token,
            needs_token: matches!(*setup.socket, Bound::Tcp(_)),
            version: setup.version,
            uploads: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            manager,
            logger,
        };
        std::thread::Builder::new().name("nexus-control".into()).spawn(move || {
            LocalSet::new().block_on(&runtime, run(setup.socket, Arc::new(shared), drained));
        })?;
        Ok(Self { drain: Some(drain) })
    }

    /// Accepts no more: another process answers at the same address.
    pub(crate) fn hand_over(&mut self) {
        if let Some(drain) = self.drain.take() {
            let _ = drain.send(());
        }
    }
}

async fn run(socket: Arc<Bound>, shared: Arc<Shared>, drained: oneshot::Receiver<()>) {
    let shutdown = Shutdown::new();
    let signal = shutdown.clone();
    tokio::task::spawn_local(async move {
        if drained.await.is_ok() {
            signal.drain();
        }
    });
    let logger = shared.logger.clone();
    let server = Server {
        config: ServerConfig {
            max_body: MAX_UPLOAD,
            max_connections: MAX_CONNECTIONS,
            first_byte_timeout: FIRST_BYTE,
            head_timeout: HEAD,
            idle_timeout: IDLE,
            ..ServerConfig::default()
        },
        shutdown,
        open: Arc::default(),
        connections: Arc::default(),
        inbox: Inbox::new(),
        service: Rc::new(ControlService {
            shared,
            last_id: Cell::new(0),
            last_call: Cell::new(0),
            drained_by: Cell::new(None),
        }),
    };
    if let Err(error) = serve(Listener::of(&socket), server).await {
        logger.host(Level::Error, format!("the control API has ended: {error}"), []);
    }
}

struct Shared {
    manager: Arc<Manager>,
    recent: Arc<Recent>,
    logger: Logger,
    /// The host's event loop.
    main: tokio::runtime::Handle,
    token: Option<Token>,
    needs_token: bool,
    version: String,
    uploads: AtomicUsize,
    changes: AtomicUsize,
}

/// One of a few, until it is dropped.
struct Permit(Arc<Shared>, fn(&Shared) -> &AtomicUsize);

impl Permit {
    fn take(shared: &Arc<Shared>, of: fn(&Shared) -> &AtomicUsize, most: usize) -> Option<Self> {
        // Relaxed: only the count counts.
        let more = |count: usize| (count < most).then_some(count + 1);
        of(shared).fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(shared.clone(), of))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.1(&self.0).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn may(&self, request: &Request) -> bool {
        match &self.token {
            Some(token) => !self.needs_token || token.is_in(request.headers.get("authorization")),
            None => !self.needs_token,
        }
    }

    /// Answers whoever may ask. Sets `drains` if the host is to stop when the answer has been sent.
    async fn answer(self: Arc<Self>, request: Request, drains: &Cell<bool>) -> Reply {
        let target = format!("/{}", request.url.splitn(4, '/').nth(3).unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match routes::find(&request.method, path) {
            Found::Nowhere => problem(404, "there is no such path: /v1/openapi.json describes the API"),
            Found::OtherMethods(methods) => {
                let methods = methods.join(", ");
                let mut reply = problem(405, &format!("this path knows {methods}"));
                reply.headers.push(b"allow", methods.as_bytes());
                reply
            }
            Found::To(to, name) => {
                let answer =
                    self.clone().routed(to, name.to_owned(), query.to_owned(), request.body, drains).await;
                answer.unwrap_or_else(|error| problem(error.status(), error.text()))
            }
        }
    }

    async fn routed(
        self: Arc<Self>,
        to: To,
        name: String,
        query: String,
        body: Body,
        drains: &Cell<bool>,
    ) -> Result<Reply, ManageError> {
        let manager = self.manager.clone();
        match to {
            To::Describe => return Ok(json_reply(200, &openapi::description(&self.version))),
            To::List => {
                bring_up_to_date(&manager.registry.all()).await;
                return Ok(json_reply(200, &json!({ "apps": manager.statuses() })));
            }
            To::Providers => return Ok(json_reply(200, &manager.providers())),
            To::Grants => return Ok(json_reply(200, &manager.grants())),
            To::Crons => return Ok(json_reply(200, &manager.crons())),
            To::Drain => {
                // Once this has been sent: the host may end at once.
                drains.set(true);
                return Ok(json_reply(200, &json!({ "done": true })));
            }
            _ => {}
        }
        let app = app_name(&name)?;
        match to {
            To::Show => {
                bring_up_to_date(&manager.registry.all()).await;
                Ok(json_reply(200, &manager.status(&name)?))
            }
            To::Logs => self.logs(name, &query),
            To::Deploy => {
                let permit = self.permit()?;
                let receiving =
                    Permit::take(&self, |shared| &shared.uploads, MAX_UPLOADS).ok_or_else(busy)?;
                let (upload, pass) = upload::upload(body);
                tokio::task::spawn_local(pass);
                self.changed(permit, move || {
                    let received = manager.receive(&app, upload)?;
                    // To load it may take long, and is nothing that another upload waits for.
                    drop(receiving);
                    let deployment = manager.deploy(&app, received)?;
                    Ok(deployed(&manager, &app, &deployment))
                })
                .await
            }
            To::RollBack => {
                let number = number(&query, "to")?;
                let permit = self.permit()?;
                self.changed(permit, move || {
                    let deployment = manager.roll_back(&app, number)?;
                    Ok(deployed(&manager, &app, &deployment))
                })
                .await
            }
            To::Remove => {
                let permit = self.permit()?;
                let remove = move || manager.remove(&app).map(|()| json!({ "done": true }));
                self.changed(permit, remove).await
            }
            To::Stop => {
                let permit = self.permit()?;
                self.changed(permit, move || manager.stop(&name).and_then(|()| manager.status(&name))).await
            }
            To::Start => {
                let permit = self.permit()?;
                self.changed(permit, move || manager.start(&name).and_then(|()| manager.status(&name))).await
            }
            To::Grant | To::Revoke => {
                let required = |name| {
                    let text = format!("`{name}` is missing");
                    parameter(&query, name).ok_or(ManageError::Wrong(text))
                };
                let wrong = || ManageError::Wrong("`resource` is a text, percent-encoded".to_owned());
                let resource = percent::decode(required("resource")?).ok_or_else(wrong)?;
                let named = manage::Named::parse(app, required("capability")?, &resource)?;
                let given = match (to, parameter(&query, "access")) {
                    (To::Revoke, _) => None,
                    (_, None) => Some(Access::Write),
                    (_, Some(word)) => {
                        Some(word.parse().map_err(|error| ManageError::Wrong(format!("`access`: {error}")))?)
                    }
                };
                let permit = self.permit()?;
                self.changed(permit, move || manager.rule(&named, given)).await
            }
            To::Cron => Ok(json_reply(200, &manager.cron(&name)?)),
            To::Trigger => {
                let cron = parameter(&query, "cron").map(|cron| {
                    let wrong = "`cron` is a pattern, percent-encoded".to_owned();
                    percent::decode(cron).ok_or(ManageError::Wrong(wrong))
                });
                let time = parameter(&query, "time").map(|time| {
                    let time = percent::decode(time).and_then(|time| parse_time(&time));
                    let wrong = "`time` is in milliseconds since 1970, or as 2026-07-01T03:30:00Z".to_owned();
                    time.ok_or(ManageError::Wrong(wrong))
                });
                let (cron, time) = (cron.transpose()?, time.transpose()?);
                // A run may take long: it is not to keep others from changing something.
                let ran = {
                    let _permit = self.permit()?;
                    manager.trigger(&name, cron.as_deref(), time)?
                };
                Ok(json_reply(200, &ran.await?))
            }
            To::StopProvider | To::StartProvider | To::UpdateProvider => {
                let act = match to {
                    To::StopProvider => ProviderAct::Stop,
                    To::StartProvider => ProviderAct::Start,
                    _ => update_of(&query)?,
                };
                let permit = self.permit()?;
                self.changed(permit, move || manager.act_on_provider(&name, act)).await
            }
            To::Describe | To::List | To::Grants | To::Crons | To::Providers | To::Drain => {
                Err(ManageError::Missing("there is no such path".into()))
            }
        }
    }

    fn permit(self: &Arc<Self>) -> Result<Permit, ManageError> {
        Permit::take(self, |shared| &shared.changes, MAX_CHANGES).ok_or_else(busy)
    }

    /// Does something that takes its time on a thread of its own. It goes on if the client leaves.
    async fn changed(
        &self,
        permit: Permit,
        change: impl FnOnce() -> Result<Value, ManageError> + Send + 'static,
    ) -> Result<Reply, ManageError> {
        let (done, outcome) = oneshot::channel();
        let main = self.main.clone();
        let work = move || {
            let _within = main.enter();
            let _permit = permit;
            // The client may have left.
            let _ = done.send(change());
        };
        std::thread::Builder::new()
            .name("nexus-change".into())
            .spawn(work)
            .map_err(|error| ManageError::Host(format!("cannot start a thread: {error}")))?;
        let outcome = outcome.await.map_err(|_| ManageError::Host("the change could not be made".into()))?;
        outcome.map(|value| json_reply(200, &value))
    }

    fn logs(self: Arc<Self>, name: String, query: &str) -> Result<Reply, ManageError> {
        if !self.manager.knows(&name) {
            return Err(manage::missing(&name));
        }
        let tail = number(query, "tail")?.map_or(TAIL, |tail| usize::try_from(tail).unwrap_or(usize::MAX));
        let follow = match parameter(query, "follow") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(ManageError::Wrong("`follow` is `true` or `false`".into())),
        };
        let (manager, app) = (self.manager.clone(), name.clone());
        let body = follow::lines(self.recent.clone(), name, tail, follow, move || manager.knows(&app));
        let headers =
            HeaderList::from_iter([("content-type", "application/x-ndjson"), ("cache-control", "no-store")]);
        Ok(Reply { status: 200, headers, body })
    }
}

fn busy() -> ManageError {
    ManageError::Unavailable("the host has as many changes under way as it makes at a time; try again".into())
}

fn app_name(name: &str) -> Result<AppName, ManageError> {
    AppName::parse(name).ok_or_else(|| {
        let text = "an app's name is 1 to 63 of `a-z 0-9 - _ .`, the first a letter or digit";
        ManageError::Wrong(text.into())
    })
}

/// What is to change of a provider.
fn update_of(query: &str) -> Result<ProviderAct, ManageError> {
    let kind = parameter(query, "type").map(str::parse).transpose();
    let kind = kind.map_err(|error| ManageError::Wrong(format!("`type`: {error}")))?;
    let timeout = parameter(query, "timeout").map(parse_duration).transpose();
    let timeout = timeout.map_err(|error| ManageError::Wrong(format!("`timeout`: {error}")))?;
    let range = Duration::from_millis(1)..=Duration::from_secs(60);
    match timeout {
        Some(timeout) if !range.contains(&timeout) => {
            Err(ManageError::Wrong("`timeout` is a time from 1 ms to 60 s".into()))
        }
        timeout => Ok(ProviderAct::Update { kind, timeout }),
    }
}

fn deployed(manager: &Manager, app: &AppName, deployment: &Deployment) -> Value {
    json!({
        "app": manager.status(app.as_str()).unwrap_or_default(),
        "version": deployment.version.number,
        "unchanged": deployment.is_unchanged,
        "not_granted": deployment.refused,
    })
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .find_map(|pair| pair.split_once('=').filter(|(own, _)| *own == name).map(|(_, value)| value))
}

fn number(query: &str, name: &str) -> Result<Option<u64>, ManageError> {
    let parsed = parameter(query, name).map(str::parse::<u64>).transpose();
    parsed.map_err(|_| ManageError::Wrong(format!("`{name}` is a whole number")))
}

fn problem(status: u16, text: &str) -> Reply {
    json_reply(status, &json!({ "error": text }))
}

fn unauthorized() -> Reply {
    let mut reply = problem(401, "the token is missing or wrong: send `authorization: Bearer TOKEN`");
    reply.headers.push(b"www-authenticate", b"Bearer");
    reply
}

fn json_reply(status: u16, value: &Value) -> Reply {
    let headers =
        HeaderList::from_iter([("content-type", "application/json"), ("cache-control", "no-store")]);
    Reply { status, headers, body: Body::Full(format!("{value}\n").into()) }
}

struct ControlService {
    shared: Arc<Shared>,
    last_id: Cell<u128>,
    last_call: Cell<u64>,
    /// The call after whose end the host is to stop.
    drained_by: Cell<Option<u64>>,
}

impl Service for ControlService {
    fn call(self: Rc<Self>, request: Request) -> Call {
        let (responder, pending) = exchange();
        let key = self.last_call.get() + 1;
        self.last_call.set(key);
        if !self.shared.may(&request) {
            responder.send(Ok(unauthorized()));
            return Call::new(pending, self, key).last();
        }
        let service = self.clone();
        tokio::task::spawn_local(async move {
            let drains = Cell::new(false);
            let reply = service.shared.clone().answer(request, &drains).await;
            if drains.get() {
                service.drained_by.set(Some(key));
            }
            responder.send(Ok(reply));
        });
        Call::new(pending, self, key)
    }

    fn refused(&self, refused: Refused) {
        let message = format!("the control API refused a request: {}", refused.refusal);
        self.shared.logger.host(Level::Debug, message, [("client", refused.client.to_string().into())]);
    }

    fn next_request_id(&self) -> RequestId {
        self.last_id.set(self.last_id.get() + 1);
        RequestId::from_u128(self.last_id.get())
    }

    fn accept_failed(&self, error: &io::Error) {
        self.shared.logger.host(Level::Error, format!("the control API cannot accept: {error}"), []);
    }
}

impl CallOwner for ControlService {
    fn ended(&self, key: u64, _: Outcome) {
        if self.drained_by.get() == Some(key) {
            self.shared.manager.drain();
        }
    }
}
