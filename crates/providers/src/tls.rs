//! Secure connections: whom they trust, and what is said when they fail.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use nexus_core::{NetHost, OutboundSection, Roots};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, ClientConfig, RootCertStore};

/// The most sessions that one worker keeps to resume.
const SESSIONS: usize = 32;

/// The certificate authorities, as the configuration has them.
pub(crate) struct Authorities {
    roots: Roots,
    own: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Reads the files of the host's own authorities.
    pub(crate) fn read(config: &OutboundSection) -> Result<Self, String> {
        let mut own = Vec::new();
        for path in &config.ca {
            read_file(path, &mut own).map_err(|what| format!("{}: {what}", path.display()))?;
        }
        Ok(Self { roots: config.roots, own })
    }

    /// Parses all of them.
    pub(crate) fn trust(&self) -> Result<Trust, String> {
        let mut store = RootCertStore::empty();
        match self.roots {
            Roots::Bundled => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Roots::Platform => {
                let found = rustls_native_certs::load_native_certs();
                let (added, _) = store.add_parsable_certificates(found.certs);
                if added == 0 && self.own.is_empty() {
                    let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
                    return Err(format!("this system has no certificate authorities{why}"));
                }
            }
        }
        store.add_parsable_certificates(self.own.iter().cloned());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Trust { provider, verifier })
    }
}

fn read_file(path: &Path, own: &mut Vec<CertificateDer<'static>>) -> Result<(), String> {
    use rustls::pki_types::pem::Error as Pem;
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let before = own.len();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| match error {
            Pem::Io(error) => error.to_string(),
            _ => "it is not valid PEM".to_owned(),
        })?;
        let number = own.len() - before + 1;
        RootCertStore::empty().add(certificate.clone()).map_err(|error| {
            format!("certificate {number} is not one of a certificate authority: {}", explain(&error))
        })?;
        own.push(certificate);
    }
    if own.len() == before {
        return Err("there is no certificate in PEM (`-----BEGIN CERTIFICATE-----`)".to_owned());
    }
    Ok(())
}

/// What all secure connections of the process have in common.
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Trust {
    /// A configuration for one worker, with a store of sessions of its own: a session that was resumed would tell one
    /// app's peer that another app was there.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_webpki_verifier(self.verifier.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Arc::new(config))
    }
}

/// Agrees on TLS with the peer at the other end of `tcp`.
pub(crate) async fn handshake(
    config: Arc<ClientConfig>,
    host: &NetHost,
    tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let name = match host {
        NetHost::Name(name) => ServerName::try_from(name.to_string())
            .map_err(|_| format!("{host} is no name that a certificate can have"))?,
        NetHost::Ip(ip) => ServerName::IpAddress((*ip).into()),
    };
    TlsConnector::from(config).connect(name, tcp).await.map_err(|error| match find(&error) {
        Some(tls) => format!("{host}: {}", explain(tls)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!("{host}: the peer closed the connection during the handshake")
        }
        None => format!("{host}: {error}"),
    })
}

/// The error of TLS within an error of the connection.
pub(crate) fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        // An `io::Error` is not the source of itself, and its source is its content's.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// What went wrong, as people say it.
pub(crate) fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name".to_owned()
            }
            CertificateError::UnknownIssuer => {
                "its certificate is from an authority that is not trusted".to_owned()
            }
            CertificateError::Revoked => "its certificate was revoked".to_owned(),
            CertificateError::BadSignature => "its certificate's signature is wrong".to_owned(),
            other => format!("its certificate is not valid: {other}"),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => "the peer asks for a certificate of ours".to_owned(),
            AlertDescription::UnrecognisedName => "the peer does not know this name".to_owned(),
            AlertDescription::ProtocolVersion => "the peer speaks other versions of TLS only".to_owned(),
            AlertDescription::NoApplicationProtocol => {
                "the peer speaks neither HTTP/2 nor HTTP/1.1 here".to_owned()
            }
            other => format!("the peer refused the handshake: {other:?}"),
        },
        rustls::Error::InvalidMessage(_) => "the peer does not speak TLS here".to_owned(),
        other => other.to_string(),
    }
}
