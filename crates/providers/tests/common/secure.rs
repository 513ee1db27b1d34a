//! Peers over TLS, with certificates of an authority of the test's own.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use nexus_core::{Limit, OutboundSection};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

use super::{Client, Peer, client_with, peer};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

pub(crate) fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let file = std::env::temp_dir().join(format!("nexus-providers-{}-{name}.pem", std::process::id()));
    std::fs::write(&file, certificate.pem()).unwrap();
    Authority { issuer: Issuer::new(params, key), file }
}

impl Authority {
    /// Where its certificate is.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn config(&self) -> OutboundSection {
        OutboundSection { ca: vec![self.file.clone()], ..OutboundSection::default() }
    }

    pub(crate) fn client(&self, limits: &[(Limit, u64)]) -> Client {
        client_with(&self.config(), &["localhost", "127.0.0.1"], limits)
    }

    pub(crate) fn acceptor(
        &self,
        protocols: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().unwrap()));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

pub(crate) async fn secure<F: Future<Output = ()> + 'static>(
    acceptor: TlsAcceptor,
    serve: impl Fn(TlsStream<TcpStream>) -> F + 'static,
) -> Peer {
    let serve = Rc::new(serve);
    peer(move |_, stream| {
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream).await;
            }
        }
    })
    .await
}

#[derive(Clone)]
pub(crate) struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(async move {
            future.await;
        });
    }
}

pub(crate) type Answer = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

pub(crate) fn whole(text: &'static str) -> Answer {
    http_body_util::Full::new(Bytes::from(text)).boxed_unsync()
}

/// A peer that speaks HTTP/2.
pub(crate) async fn h2_peer<F: Future<Output = Response<Answer>> + 'static>(
    acceptor: TlsAcceptor,
    streams: u32,
    answer: impl Fn(Request<Incoming>) -> F + 'static,
) -> Peer {
    let answer = Rc::new(answer);
    secure(acceptor, move |stream| {
        let answer = answer.clone();
        async move {
            let service = hyper::service::service_fn(move |request| {
                let answer = answer.clone();
                async move { Ok::<_, Infallible>(answer(request).await) }
            });
            let _ = hyper::server::conn::http2::Builder::new(Local)
                .max_concurrent_streams(streams)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await
}

pub(crate) fn secure_url(peer: &Peer, path: &str) -> String {
    format!("https://localhost:{}{path}", peer.port)
}

/// An answer that never ends, and counts itself out when the peer resets it.
pub(crate) fn endless(gone: Rc<Cell<usize>>) -> Response<Answer> {
    struct Gone(Rc<Cell<usize>>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let (chunks, mut coming) = tokio::sync::mpsc::channel::<Bytes>(1);
    let gone = Gone(gone);
    spawn_local(async move {
        let _gone = gone;
        while chunks.send(Bytes::from(vec![b'x'; 16 << 10])).await.is_ok() {}
    });
    let stream = futures_util::stream::poll_fn(move |cx| {
        coming.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    });
    Response::new(StreamBody::new(stream).boxed_unsync())
}
