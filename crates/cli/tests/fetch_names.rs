//! `fetch` and names: who is asked for their addresses, and which addresses count.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use harness::{Folder, Nexus, Upstream};
use serde_json::json;

// Kinds of questions: RFC 1035, section 3.2.2, and RFC 3596, section 2.1.
const A: u8 = 1;
const AAAA: u8 = 28;

/// A name server that answers each question for an address as the test says, and counts those for an IPv4 one.
struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// `answer` gets a name and how often it was asked for before.
    fn new(answer: impl Fn(&str, usize) -> Option<Ipv4Addr> + Send + 'static) -> Self {
        Self::with_six(answer, |_| None)
    }

    /// A name for which `six` has an address has that one alone.
    fn with_six(
        answer: impl Fn(&str, usize) -> Option<Ipv4Addr> + Send + 'static,
        six: impl Fn(&str) -> Option<Ipv6Addr> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let own = asked.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let query = &buffer[..length];
                let (name, end) = question(query);
                let (kind, six) = (query[end + 1], six(&name));
                let mut reply = query[..end + 4].to_vec();
                // A response, with recursion; one question, and neither authorities nor anything additional.
                reply[2..4].copy_from_slice(&[0x81, 0x80]);
                reply[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
                // The question's name, an address, for no time at all.
                let mut add = |kind, address: &[u8]| {
                    reply[7] = 1;
                    reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, address.len() as u8]);
                    reply.extend(address);
                };
                match (kind, six) {
                    (A, _) => {
                        let before = {
                            let mut asked = own.lock().unwrap();
                            asked.push(name.clone());
                            asked.iter().filter(|other| **other == name).count() - 1
                        };
                        match answer(&name, before) {
                            _ if six.is_some() => {}
                            Some(ip) => add(A, &ip.octets()),
                            None => reply[3] |= 3,
                        }
                    }
                    (AAAA, Some(ip)) => add(AAAA, &ip.octets()),
                    _ => {}
                }
                let _ = socket.send_to(&reply, from);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The name of a query's question, and where it ends.
fn question(query: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    (labels.join("."), at + 1)
}

/// An app that fetches what its request's query says, as often, and tells statuses and codes.
const APP: &str = "export default { async fetch(request) {
    const told = [];
    for (const url of new URL(request.url).searchParams.getAll('u')) {
        try { told.push((await fetch(url)).status); } catch (e) { told.push(e.cause.code); }
    }
    return Response.json(told);
} };";

fn serve(names: &NameServer, net: &str) -> (Folder, Nexus) {
    let folder = Folder::app(APP);
    folder.write("app/nexus.toml", format!("[permissions]\nnet = [{net}]\n"));
    folder.write("nexus-host.toml", format!("[outbound]\nname_servers = [\"{}\"]\n", names.address));
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

#[test]
fn a_name_that_is_not_granted_is_not_even_looked_up() {
    let names = NameServer::new(|_, _| Some(Ipv4Addr::LOCALHOST));
    let (_folder, nexus) = serve(&names, "\"granted.example\"");
    let query = "/?u=http://secret-data.attacker.example/&u=http://granted.example.attacker.example/&u=http://xgranted.example/";
    assert_eq!(nexus.client("app").get(query).json(), json!(["EPERM", "EPERM", "EPERM"]));
    assert_eq!(names.asked(), Vec::<String>::new());
}

#[test]
fn a_name_that_leads_into_the_hosts_own_network_does_not() {
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let port = inside.local_addr().unwrap().port();
    let names = NameServer::new(|name, _| {
        Some(match name {
            "loopback.example" => Ipv4Addr::LOCALHOST,
            "metadata.example" => Ipv4Addr::new(169, 254, 169, 254),
            "any.example" => Ipv4Addr::UNSPECIFIED,
            _ => Ipv4Addr::new(10, 0, 0, 1),
        })
    });
    let (_folder, nexus) = serve(&names, "\"*\"");
    let query = format!(
        "/?u=http://loopback.example:{port}/&u=http://metadata.example/&u=http://any.example:{port}/&u=http://private.example/"
    );
    assert_eq!(nexus.client("app").get(&query).json(), json!(["EPERM", "EPERM", "EPERM", "EPERM"]));
    assert_eq!(names.asked().len(), 4);
    assert!(inside.accept().is_err(), "somebody connected");
    let told = nexus.message("its address 169.254.169.254 is not a public one");
    assert!(told["message"].as_str().unwrap().contains("net = [\"169.254.169.254:80\"]"), "{told}");
}

/// IPv6 addresses of names that lead inside.
fn inside(name: &str) -> Option<Ipv6Addr> {
    match name {
        "mapped.example" => Some(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
        "six.example" => Some(Ipv6Addr::LOCALHOST),
        "ula.example" => Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
        _ => None,
    }
}

#[test]
fn a_name_that_leads_inside_by_its_ipv6_address_does_not_either() {
    let names = NameServer::with_six(|_, _| None, inside);
    let (_folder, nexus) = serve(&names, "\"*\"");
    for (name, address) in [("mapped", "127.0.0.1"), ("six", "::1"), ("ula", "fd00::1")] {
        let told = nexus.client("app").get(&format!("/?u=http://{name}.example/")).json();
        assert_eq!(told, json!(["EPERM"]), "{name}");
        // So it is the address that was found, and was refused.
        nexus.message(&format!("its address {address} is not a public one"));
    }
}

#[test]
fn a_name_server_that_changes_its_answer_is_held_to_the_one_that_was_checked() {
    let upstream = Upstream::new(|asked| {
        asked.close();
        asked.reply("200 OK", &[], "");
    });
    let port = upstream.port();
    let trap = TcpListener::bind(("127.0.0.2", port)).unwrap();
    trap.set_nonblocking(true).unwrap();
    // The granted address and the trap's, in turn.
    let names =
        NameServer::new(|_, before| Some(Ipv4Addr::new(127, 0, 0, if before % 2 == 0 { 1 } else { 2 })));
    let (_folder, nexus) = serve(&names, &format!("\"turning.example\", \"127.0.0.1:{port}\""));
    let query = format!("/?{}", format!("u=http://turning.example:{port}/&").repeat(4));
    assert_eq!(nexus.client("app").get(&query).json(), json!([200, "EPERM", 200, "EPERM"]));
    assert_eq!((upstream.accepted(), names.asked().len()), (2, 4));
    assert!(trap.accept().is_err(), "somebody connected");
}

#[test]
fn names_are_looked_up_as_they_are() {
    let names = NameServer::new(|_, _| None);
    let (_folder, nexus) = serve(&names, "\"*\"");
    let query =
        "/?u=http://intranet/&u=http://B%C3%BCcher.example./&u=http://localhost:1/&u=http://a.localhost:1/";
    let told = nexus.client("app").get(query).json();
    assert_eq!(told, json!(["ENOTFOUND", "ENOTFOUND", "EPERM", "EPERM"]));
    assert_eq!(names.asked(), ["intranet", "xn--bcher-kva.example"]);
}

/// Ways to a server on this machine for an app that may connect to all public addresses, and to one other port here.
/// `UP` stands for the address of the server that it may ask, `TRAP` for the forbidden one's port.
const ESCAPES: &[&str] = &[
    // Its address, and what else the system would take for it.
    "http://127.0.0.1:TRAP/",
    "http://127.0.0.2:TRAP/",
    "http://127.255.255.254:TRAP/",
    "http://0.0.0.0:TRAP/",
    "http://[::1]:TRAP/",
    "http://[::]:TRAP/",
    // In the notations that URLs take.
    "http://127.1:TRAP/",
    "http://2130706433:TRAP/",
    "http://0x7f000001:TRAP/",
    "http://0177.0.0.01:TRAP/",
    "http://0x7f.0.1:TRAP/",
    "http://127.0.0.1.:TRAP/",
    "http://0:TRAP/",
    "http://%31%32%37.0.0.1:TRAP/",
    "http://\u{ff11}\u{ff12}\u{ff17}.\u{ff10}.\u{ff10}.\u{ff11}:TRAP/",
    "http://127\u{3002}0\u{3002}0\u{3002}1:TRAP/",
    "http:\\\\127.0.0.1:TRAP\\",
    " http://127.0.\n0.1:TRAP/",
    // An IPv4 address in an IPv6 one.
    "http://[::ffff:127.0.0.1]:TRAP/",
    "http://[::ffff:7f00:1]:TRAP/",
    "http://[0:0:0:0:0:ffff:7f00:1]:TRAP/",
    "http://[::127.0.0.1]:TRAP/",
    "http://[64:ff9b::127.0.0.1]:TRAP/",
    "http://[2002:7f00:1::]:TRAP/",
    "http://[::ffff:0:127.0.0.1]:TRAP/",
    // Its names, and names of others that lead there.
    "http://localhost:TRAP/",
    "http://LocalHost.:TRAP/",
    "http://any.name.localhost:TRAP/",
    "http://loopback.example:TRAP/",
    "http://any.example:TRAP/",
    "http://mapped.example:TRAP/",
    "http://six.example:TRAP/",
    "http://ula.example:TRAP/",
    // What looks as if it led elsewhere.
    "http://UP@127.0.0.1:TRAP/",
    "http://UP\\@127.0.0.1:TRAP/x",
    // By way of the server that may be asked.
    "http://UP/to?http://127.0.0.1:TRAP/",
    "http://UP/to?//127.0.0.1:TRAP/",
    "http://UP/to?http://[::1]:TRAP/",
    "http://UP/to?http://localhost:TRAP/",
    "http://UP/to?http://loopback.example:TRAP/",
    "http://UP/to?http://2130706433:TRAP/",
    "http://UP/to?http://UP/to?http://127.0.0.1:TRAP/",
    // Other addresses that are nobody's business.
    "http://169.254.169.254/latest/meta-data/",
    "http://metadata.example/",
    "http://[fd00:ec2::254]/",
    "http://10.0.0.1/",
    "http://192.168.0.1/",
    "http://172.16.0.1/",
    "http://100.64.0.1/",
    "http://[fe80::1]/",
    "http://255.255.255.255/",
];

#[test]
fn no_way_leads_to_an_address_that_is_not_granted() {
    let trap = TcpListener::bind("[::]:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let port = trap.local_addr().unwrap().port();
    let upstream = Upstream::new(|asked| {
        let to = asked.line.split([' ', '?']).skip(2).collect::<Vec<_>>();
        let to = to[..to.len() - 1].join("?");
        asked.reply("302 Found", &[&format!("location: {to}")], "");
    });
    let names = NameServer::with_six(
        |name, _| {
            Some(match name {
                "metadata.example" => Ipv4Addr::new(169, 254, 169, 254),
                "any.example" => Ipv4Addr::UNSPECIFIED,
                _ => Ipv4Addr::LOCALHOST,
            })
        },
        inside,
    );
    let ways: Vec<String> = ESCAPES
        .iter()
        .map(|way| way.replace("UP", &upstream.address().to_string()).replace("TRAP", &port.to_string()))
        .collect();
    // Each as a request of every kind, and as what a client's request is passed on to.
    let app = format!(
        "const WAYS = {};
        const KINDS = [
            (url) => fetch(url),
            (url) => fetch(new Request(url, {{ headers: {{ host: 'public.example' }}, keepalive: true, mode: 'no-cors' }})),
            (url) => fetch(url, {{ method: 'POST', body: 'x', credentials: 'include' }}),
            (url, request) => fetch(url, request),
            (url) => new Promise((resolve, reject) => {{
                const events = new EventSource(url);
                events.onopen = resolve;
                events.onerror = () => {{
                    events.close();
                    // It says no more than that.
                    reject(new TypeError());
                }};
            }}),
        ];
        export default {{ async fetch(request) {{
            const kind = KINDS[new URL(request.url).searchParams.get('kind')];
            const told = {{}};
            for (const url of WAYS) {{
                try {{
                    const {{ status }} = await kind(url, request);
                    told[url] = status ?? 'open';
                }} catch (error) {{
                    // What is no URL, or is one with a password, is refused before anybody is asked.
                    told[url] = error.cause?.code ?? (error instanceof TypeError ? 'EPERM' : String(error));
                }}
            }}
            return Response.json(told);
        }} }};",
        json!(ways)
    );
    let folder = Folder::app(&app);
    let net =
        format!("[permissions]\nnet = [\"*\", \"{}\"]\n[limits]\nsubrequests = 1000\n", upstream.address());
    folder.write("app/nexus.toml", net);
    folder.write("nexus-host.toml", format!("[outbound]\nname_servers = [\"{}\"]\n", names.address));
    let nexus = Nexus::serve(folder.path());
    let refused: serde_json::Map<String, serde_json::Value> =
        ways.iter().map(|way| (way.clone(), json!("EPERM"))).collect();
    for kind in 0..5 {
        let told = nexus.client("app").get(&format!("/?kind={kind}")).json();
        assert_eq!(told, json!(refused), "kind {kind}");
        assert!(trap.accept().is_err(), "somebody connected: kind {kind}");
    }
    assert!(upstream.accepted() > 0, "the server that may be asked was not");
}
