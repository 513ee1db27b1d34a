//! Apps that are set aside or stopped: their sockets stay open, and every request gets 503, without a worker or any of
//! their code.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::time::Duration;

use nexus_guest::{Body, HeaderList, Level, Reply, Request, RequestId, exchange};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::http::{
    Call, CallOwner, Inbox, Listener, Outcome, Refused, Server, ServerConfig, Service, Shutdown, serve,
};
use crate::listen::Bound;
use crate::log::Logger;

/// What clients of apps are told that are set aside.
pub(crate) const SET_ASIDE: &str =
    "this app is set aside: it was executing in three deaths of its host within a minute\n";

/// What clients of an app are told that was stopped.
pub(crate) const STOPPED: &str = "this app is stopped\n";

/// How many connections such an app may have at a time. Each ends with its first answer.
const MAX_CONNECTIONS: usize = 1000;

/// How long is waited for its thread, which does nothing that takes long.
const SOON: Duration = Duration::from_secs(1);

/// The thread that answers for some such apps. Dropped, it accepts no more.
pub(crate) struct Aside {
    end: oneshot::Sender<Next>,
    inbox: Inbox,
}

/// Who serves from now on.
struct Next {
    /// Where connections go.
    to: Inbox,
    /// Told once no request is answered here any more that comes from now on.
    told: mpsc::SyncSender<()>,
}

impl Aside {
    /// Starts the thread on these apps' sockets.
    pub(crate) fn start(sockets: Vec<Arc<Bound>>, text: &'static str, logger: Logger) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (end, ended) = oneshot::channel();
        let inbox = Inbox::new();
        let own = inbox.clone();
        std::thread::Builder::new().name("nexus-aside".into()).spawn(move || {
            LocalSet::new().block_on(&runtime, answer(sockets, &own, text, logger, ended));
            own.close();
        })?;
        Ok(Self { end, inbox })
    }

    /// Where connections may be put whose requests are to be answered here, too.
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Ends it. Its connections go on there, and no request is answered here that comes after this.
    pub(crate) fn hand_to(self, to: &Inbox) {
        let Self { end, inbox } = self;
        let (told, heard) = mpsc::sync_channel(1);
        if end.send(Next { to: to.clone(), told }).is_ok() {
            // It has ended, which is as good.
            let _ = heard.recv_timeout(SOON);
        }
        inbox.forward(to);
    }
}

async fn answer(
    sockets: Vec<Arc<Bound>>,
    inbox: &Inbox,
    text: &'static str,
    logger: Logger,
    ended: oneshot::Receiver<Next>,
) {
    let service = Rc::new(AsideService { text, logger, last_id: Cell::new(0) });
    let shutdown = Shutdown::new();
    let servers = sockets.iter().map(|socket| {
        let server = Server {
            service: service.clone(),
            config: ServerConfig { max_connections: MAX_CONNECTIONS, ..ServerConfig::default() },
            shutdown: shutdown.clone(),
            open: Arc::new(AtomicUsize::new(0)),
            connections: Arc::default(),
            inbox: inbox.clone(),
        };
        serve(Listener::of(socket), server)
    });
    let servers = futures_util::future::join_all(servers);
    let end = async {
        match ended.await {
            Ok(Next { to, told }) => {
                shutdown.move_to(to);
                // Whoever asked may have given up.
                let _ = told.try_send(());
            }
            Err(_) => shutdown.begin(),
        }
    };
    let (results, ()) = futures_util::future::join(servers, end).await;
    for error in results.into_iter().filter_map(Result::err) {
        service.accept_failed(&error);
    }
}

struct AsideService {
    text: &'static str,
    logger: Logger,
    last_id: Cell<u128>,
}

impl Service for AsideService {
    fn call(self: Rc<Self>, _: Request) -> Call {
        let (responder, pending) = exchange();
        let headers = [("content-type", "text/plain;charset=utf-8"), ("cache-control", "no-store")];
        let headers = HeaderList::from_iter(headers);
        responder.send(Ok(Reply { status: 503, headers, body: Body::Full(self.text.into()) }));
        // The next request may be one that the app answers.
        Call::new(pending, self, 0).last()
    }

    fn refused(&self, _: Refused) {}

    fn next_request_id(&self) -> RequestId {
        self.last_id.set(self.last_id.get() + 1);
        RequestId::from_u128(self.last_id.get())
    }

    fn accept_failed(&self, error: &io::Error) {
        let message = format!("cannot accept for an app that is set aside or stopped: {error}");
        self.logger.host(Level::Error, message, []);
    }
}

impl CallOwner for AsideService {
    fn ended(&self, _: u64, _: Outcome) {}
}
