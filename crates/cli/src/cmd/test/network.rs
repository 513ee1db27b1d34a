//! What test guests reach: the tests' server, and nothing else.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::{LocalBoxFuture, ready};
use nexus_core::{App, Limit, Manifest, NetDenied, NetHost};
use nexus_guest::{
    Capabilities, HttpClient, HttpError, NetSink, OutboundRequest, OutboundResponse, RequestId,
};

use super::files::HOST;
use super::server::{NEEDS, Server};

/// The most connections that one guest has with the server at once.
const CONNECTIONS: u64 = 64;

/// The client of one test guest. The suite's server has a name, several ports, and TLS at some of them; all of that is
/// one port of this machine, which the client is granted, and nothing but that.
pub(super) struct Network {
    server: Arc<Server>,
    client: OnceCell<Rc<dyn HttpClient>>,
    /// Is told what the server does not have of what an `EventSource` asked for: the harness sees no responses of those.
    lacks: Rc<dyn Fn(&str)>,
}

impl Network {
    pub(super) fn new(server: Arc<Server>, lacks: Rc<dyn Fn(&str)>) -> Self {
        Self { server, client: OnceCell::new(), lacks }
    }

    /// The client that apps have, with a grant for the server's port.
    fn client(&self, port: u16) -> Option<&Rc<dyn HttpClient>> {
        if self.client.get().is_none() {
            let mut manifest = Manifest::default_for("test").ok()?;
            manifest.permissions.net.asked.push(format!("127.0.0.1:{port}").parse().ok()?);
            manifest.limits.set(Limit::OutboundConnections, CONNECTIONS);
            let app = App { folder: "/".into(), manifest, main: None };
            let _ = self.client.set(self.server.outbound.http(&app, Rc::new(Untold)));
        }
        self.client.get()
    }

    /// Leads a request to where the server really is.
    fn lead(&self, request: &mut OutboundRequest) -> Result<&Rc<dyn HttpClient>, HttpError> {
        if !is_server(request) {
            return Err(HttpError::Denied(NetDenied::new(request.host.clone(), request.port, None)));
        }
        let port = self.server.port().map_err(HttpError::Connect)?;
        request.secure = false;
        request.host = NetHost::Ip(std::net::Ipv4Addr::LOCALHOST.into());
        request.port = port;
        self.client(port).ok_or_else(|| HttpError::Connect("the tests' server has no port".to_owned()))
    }
}

/// Whether a request is for the suite's server, under any of its names and at any of its ports.
fn is_server(request: &OutboundRequest) -> bool {
    let NetHost::Name(name) = &request.host else { return false };
    let rest = name.strip_suffix(HOST).map(|rest| rest.strip_suffix("not-").unwrap_or(rest));
    let is_named = rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let ports: [u16; 2] = if request.secure { [8443, 8444] } else { [8000, 8001] };
    is_named && ports.contains(&request.port)
}

impl HttpClient for Network {
    fn send(
        &self,
        mut request: OutboundRequest,
    ) -> LocalBoxFuture<'static, Result<OutboundResponse, HttpError>> {
        let is_source = request.headers.get("accept") == Some(b"text/event-stream");
        let sent = match self.lead(&mut request) {
            Ok(client) => client.send(request),
            Err(error) => return Box::pin(ready(Err(error))),
        };
        if !is_source {
            return sent;
        }
        let lacks = self.lacks.clone();
        Box::pin(async move {
            let response = sent.await?;
            if let Some(what) = response.headers.get_str(NEEDS) {
                lacks(what);
            }
            Ok(response)
        })
    }
}

/// The tests say themselves what they see.
struct Untold;

impl NetSink for Untold {
    fn denied(&self, _request: Option<RequestId>, _denied: &NetDenied) {}
    fn warned(&self, _request: Option<RequestId>, _message: &str) {}
    fn sent(&self, _error: Option<&HttpError>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexus_guest::{Body, Deadlines, HeaderList, method};

    #[test]
    fn only_the_suites_server_is_reached() {
        let of = |secure, host: &str, port| {
            is_server(&OutboundRequest {
                sender: None,
                depth: 0,
                method: method("GET"),
                secure,
                host: host.parse().unwrap(),
                port,
                target: "/".to_owned(),
                headers: HeaderList::default(),
                body: Body::Empty,
                deadlines: Deadlines::default(),
            })
        };
        assert!(of(false, "web-platform.test", 8000) && of(true, "www1.web-platform.test", 8443));
        assert!(of(false, "not-web-platform.test", 8001) && of(true, "a.not-web-platform.test", 8444));
        for (secure, host, port) in [
            (false, "web-platform.test", 80),
            (false, "web-platform.test", 8443),
            (true, "web-platform.test", 8000),
            (false, "other-web-platform.test", 8000),
            (false, "127.0.0.1", 8000),
            (false, "localhost", 8000),
            (false, "[::1]", 8000),
            (false, "example.com", 8000),
        ] {
            assert!(!of(secure, host, port), "{host}:{port}");
        }
    }
}
