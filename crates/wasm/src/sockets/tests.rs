use nexus_core::Limits;
use nexus_guest::NoHttp;

use super::*;
use crate::outgoing::Post;
use crate::output::Output;

fn granted(asked: &[&str], ceiling: Option<&[&str]>) -> Granted {
    let list = |grants: &[&str]| grants.iter().map(|grant| grant.parse().unwrap()).collect();
    Granted::new(&NetPolicy { asked: list(asked), ceiling: ceiling.map(list) })
}

fn reach(asked: &[&str]) -> (Reach, Arc<Output>) {
    let output = Arc::new(Output::new(10_000));
    let post = std::rc::Rc::new(Post::new(std::rc::Rc::new(NoHttp), Limits::default()));
    // Dropped, it would let nothing more be counted.
    let outgoing = post.open(None);
    let reach = Reach::new(Arc::new(granted(asked, None)), Console::new(output.clone()), outgoing.outgoing());
    std::mem::forget(outgoing);
    (reach, output)
}

fn name(text: &str) -> NetHost {
    text.parse().unwrap()
}

#[test]
fn a_name_may_be_looked_up_that_is_granted_for_any_port() {
    let may = |asked: &[&str], ceiling: Option<&[&str]>, host: &str| {
        granted(asked, ceiling).names(&name(host)).map_err(|denied| denied.by_host)
    };
    assert_eq!(may(&["db.example:5432"], None, "db.example"), Ok(()));
    assert_eq!(may(&["*.example:6379"], None, "a.b.example"), Ok(()));
    assert_eq!(may(&["db.example"], Some(&["*:5432"]), "db.example"), Ok(()));
    assert_eq!(may(&["*"], None, "db.example"), Ok(()));
    assert_eq!(may(&["db.example:5432"], None, "other.example"), Err(false));
    assert_eq!(may(&["10.0.0.0/8:5432", "::1"], None, "db.example"), Err(false));
    assert_eq!(may(&["db.example:5432"], Some(&["db.example:5433"]), "db.example"), Err(true));
    assert_eq!(may(&[], None, "db.example"), Err(false));
}

#[test]
fn an_address_is_granted_that_a_granted_name_was_found_to_have() {
    let (reach, output) = reach(&["db.example:5432"]);
    let (public, private): (IpAddr, IpAddr) = ([93, 184, 215, 14].into(), [10, 0, 0, 1].into());
    let connects = |ip: IpAddr, port| reach.may(SocketAddr::new(ip, port), SocketAddrUse::TcpConnect);
    assert!(!connects(public, 5432));
    reach.found(&name("db.example"), public);
    reach.found(&name("db.example"), private);
    assert!(connects(public, 5432) && !connects(public, 5433));
    // A name's owner does not decide on the host's own network.
    assert!(!connects(private, 5432));
    let told: Vec<String> = output.take(true).into_iter().map(|(_, line)| line).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].contains("net = [\"93.184.215.14:5432\"]"), "{}", told[0]);
    assert!(told[1].contains("net = [\"db.example:5433\"]"), "{}", told[1]);
    assert!(told[2].contains("net = [\"10.0.0.1:5432\"]"), "{}", told[2]);
}

#[test]
fn what_is_remembered_of_names_is_bounded() {
    let (reach, _) = reach(&["*"]);
    for number in 0..2 * NAMES {
        for last in 0..=u8::MAX {
            reach.found(&name(&format!("n{number}.example")), [93, 184, 215, last].into());
        }
    }
    let inner = reach.inner();
    assert_eq!(inner.found.len(), NAMES);
    assert!(inner.found.iter().all(|(_, addresses)| addresses.len() == ADDRESSES));
}

#[test]
fn nobody_listens_and_the_system_chooses_where_one_sends_from() {
    let (reach, output) = reach(&["10.0.0.1:53"]);
    let may = |address: &str, purpose| reach.may(address.parse().unwrap(), purpose);
    for purpose in [SocketAddrUse::TcpBind, SocketAddrUse::UdpBind] {
        assert!(may("0.0.0.0:0", purpose) && may("[::]:0", purpose));
        assert!(!may("0.0.0.0:53", purpose) && !may("127.0.0.1:0", purpose) && !may("10.0.0.1:53", purpose));
    }
    assert!(!may("10.0.0.1:53", SocketAddrUse::TcpListen) && !may("10.0.0.1:53", SocketAddrUse::TcpAccept));
    assert!(may("10.0.0.1:53", SocketAddrUse::UdpSend) && may("10.0.0.1:53", SocketAddrUse::UdpReceive));
    // Strangers may send as much as they like: that is told to nobody.
    assert!(!may("10.0.0.2:53", SocketAddrUse::UdpReceive) && output.take(true).is_empty());
    for _ in 0..10 {
        assert!(!may("10.0.0.2:53", SocketAddrUse::UdpSend));
    }
    assert_eq!(output.take(true).len(), 1);
}

#[test]
fn names_that_could_be_read_as_addresses_are_not_looked_up() {
    let (reach, _) = reach(&["*"]);
    assert_eq!(reach.may_look_up("Example.COM."), Ok(name("example.com")));
    assert_eq!(reach.may_look_up("::1"), Ok(NetHost::Ip([0, 0, 0, 0, 0, 0, 0, 1u16].into())));
    for bad in ["0x7f.1", "2130706433", "", "a b", "user@example.com", "example.com:80"] {
        assert_eq!(reach.may_look_up(bad), Err(Refused::Invalid), "{bad}");
    }
}

#[test]
fn connections_and_look_ups_count_as_requests() {
    let (reach, output) = reach(&["*"]);
    let all = Limits::default().get(nexus_core::Limit::Subrequests);
    for number in 0..all {
        assert!(reach.may_look_up(&format!("n{number}.example")).is_ok());
    }
    assert_eq!(reach.may_look_up("one.more.example"), Err(Refused::Denied));
    assert!(!reach.may("93.184.215.14:80".parse().unwrap(), SocketAddrUse::TcpConnect));
    assert!(reach.may("93.184.215.14:80".parse().unwrap(), SocketAddrUse::UdpSend));
    assert_eq!(output.take(true).len(), 1);
}
