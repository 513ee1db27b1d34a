//! Addresses of names.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use tokio::time::Instant;

/// The most answers that a client keeps, for as long as they say.
const KEPT: u64 = 64;

/// The most names that a client looks up at once; others wait.
pub(crate) const AT_ONCE: usize = 16;

/// The sockets that a look-up may have open: its two questions go to one server at a time, each is repeated twice while
/// there is no answer, and each time has a socket of its own.
pub(crate) const SOCKETS: usize = 6;

/// The most addresses of each family that are tried of a name.
const ADDRESSES: usize = 8;

/// How long a resolver is used at least, although no name server answers: another one would forget all that this one
/// knows, and ask the same.
const LASTS: Duration = Duration::from_secs(5);

/// Looks names up for one client.
pub(crate) struct Resolver {
    resolver: TokioResolver,
    made: Instant,
}

impl Resolver {
    /// One that asks these name servers; where there are none, those of the system, after its file of hosts.
    pub(crate) fn new(servers: &[SocketAddr]) -> Result<Self, String> {
        let builder = if servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let servers = servers.iter().map(|server| {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                NameServerConfig::new(server.ip(), true, connections)
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
        };
        let mut builder = builder.map_err(|error| format!("the system's resolv.conf: {error}"))?;
        let options = builder.options_mut();
        options.cache_size = KEPT;
        options.num_concurrent_reqs = 1;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = if servers.is_empty() { ResolveHosts::Always } else { ResolveHosts::Never };
        let resolver = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { resolver, made: Instant::now() })
    }

    /// Whether it may make place for another one that might know other name servers.
    pub(crate) fn is_old(&self) -> bool {
        self.made.elapsed() >= LASTS
    }

    /// The addresses of a name, which is meant from the root: no search list makes another name of it.
    pub(crate) async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let failure = |what: String, lasting| Failure { what: format!("{name}: {what}"), lasting };
        let mut absolute = Name::from_ascii(name).map_err(|error| failure(error.to_string(), true))?;
        absolute.set_fqdn(true);
        match self.resolver.lookup_ip(absolute).await {
            Ok(found) => Ok(few(found.iter().map(|ip| ip.to_canonical()))),
            Err(error) => Err(failure(explain(&error), matches!(error, NetError::Dns(_)))),
        }
    }
}

/// The first addresses of each family: a name may have any number of them.
fn few(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (mut four, mut six) = (0, 0);
    let kept = addresses.filter(|ip| {
        let count = if ip.is_ipv4() { &mut four } else { &mut six };
        *count += 1;
        *count <= ADDRESSES
    });
    kept.collect()
}

/// Why a name has no address.
pub(crate) struct Failure {
    pub(crate) what: String,
    /// Whether a name server said so.
    pub(crate) lasting: bool,
}

fn explain(error: &NetError) -> String {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => "there is no such name".to_owned(),
            ResponseCode::NoError => "it has no address".to_owned(),
            code => format!("the name server failed: {code}"),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the name server failed: {code}"),
        NetError::Timeout => "no name server answered in time".to_owned(),
        NetError::NoConnections => "no name server can be reached".to_owned(),
        other => other.to_string(),
    }
}
