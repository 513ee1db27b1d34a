use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

use nexus_core::{Limit, Limits};
use nexus_guest::{NoHttp, Watch};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets as p2;
use wasmtime_wasi::p3::bindings::sockets::types as p3;

use super::open::BUFFER;
use super::*;
use crate::outgoing::{Nobody, Post};
use crate::output::{Console, Output};

fn granted(asked: &[&str], ceiling: Option<&[&str]>) -> Granted {
    let list = |grants: &[&str]| grants.iter().map(|grant| grant.parse().unwrap()).collect();
    Granted::new(&NetPolicy { asked: list(asked), ceiling: ceiling.map(list), ..NetPolicy::default() })
}

/// Counts sockets and denials; may have no descriptor to spare.
#[derive(Default)]
struct Budget {
    is_spent: AtomicBool,
    open: AtomicUsize,
    denied: AtomicUsize,
}

impl Budget {
    fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl SocketBudget for Budget {
    fn may_open(&self) -> bool {
        !self.is_spent.load(Ordering::Relaxed)
    }

    fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }
}

/// An instance's reach, with what it takes from.
struct Test {
    reach: Arc<Reach>,
    output: Arc<Output>,
    budget: Arc<Budget>,
    memory: Arc<WorkerMemory>,
}

fn test(asked: &[&str], most: usize) -> Test {
    let mut limits = Limits::default();
    limits.set(Limit::Memory, 1 << 20);
    let output = Arc::new(Output::new(10_000));
    let memory = Arc::new(WorkerMemory::new(&limits, Arc::new(Watch::new())));
    let post = std::rc::Rc::new(Post::new(
        std::rc::Rc::new(NoHttp),
        std::rc::Rc::new([]),
        Arc::new([]),
        limits,
        memory.clone(),
    ));
    // Dropped, it would let nothing more be counted.
    let outgoing = post.open(None, Nobody::pays());
    let budget = Arc::<Budget>::default();
    let purse = Purse { budget: budget.clone(), memory: memory.clone(), most };
    let author = Author::App(Console::new(output.clone()));
    let reach = Reach::new(Arc::new(granted(asked, None)), author, outgoing.outgoing(), purse);
    std::mem::forget(outgoing);
    Test { reach: Arc::new(reach), output, budget, memory }
}

fn reach(asked: &[&str]) -> (Arc<Reach>, Arc<Output>) {
    let test = test(asked, 10);
    (test.reach, test.output)
}

impl Test {
    fn open(&self) -> Result<Arc<Socket>, String> {
        Socket::open(&self.reach, BUFFER).map_err(|why| format!("{why:?}"))
    }
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
    reach.found(&name("db.example"), &[public, private]);
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
    let all: Vec<IpAddr> = (0..=u8::MAX).map(|last| [93, 184, 215, last].into()).collect();
    for number in 0..2 * NAMES {
        reach.found(&name(&format!("n{number}.example")), &all);
    }
    let inner = reach.inner();
    assert_eq!(inner.found.len(), NAMES);
    assert!(inner.found.iter().all(|(_, addresses, _)| addresses.len() == ADDRESSES));
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
    assert!(may("10.0.0.1:53", SocketAddrUse::UdpSend) && output.take(true).is_empty());
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

#[test]
fn a_socket_hears_those_to_whom_it_has_sent_and_nobody_else() {
    let test = test(&["*"], 10);
    let (one, other) = (test.open().unwrap(), test.open().unwrap());
    let to = |last: u8, port| SocketAddr::from(([93, 184, 215, last], port));
    let hears = |socket: &Socket, who| socket.may(who, SocketAddrUse::UdpReceive);
    assert!(!hears(&one, to(1, 53)));
    assert!(one.may(to(1, 53), SocketAddrUse::UdpSend) && hears(&one, to(1, 53)));
    assert!(!hears(&one, to(1, 54)) && !hears(&one, to(2, 53)) && !hears(&other, to(1, 53)));
    // The last that it has sent to.
    for last in 1..=64 {
        assert!(one.may(to(last, 53), SocketAddrUse::UdpSend));
    }
    assert!(hears(&one, to(1, 53)));
    assert!(one.may(to(1, 53), SocketAddrUse::UdpSend) && one.may(to(65, 53), SocketAddrUse::UdpSend));
    assert!(hears(&one, to(1, 53)) && !hears(&one, to(2, 53)) && hears(&one, to(65, 53)));
    // What is denied is not heard either. Strangers may send as much as they like: that is told to nobody.
    let private = "10.0.0.1:53".parse().unwrap();
    assert!(!one.may(private, SocketAddrUse::UdpSend) && test.output.take(true).len() == 1);
    assert!(!hears(&one, private) && test.output.take(true).is_empty());
}

#[test]
fn who_gets_datagrams_of_strangers_lets_others_go_on() {
    let test = test(&["*"], 10);
    let socket = test.open().unwrap();
    let (known, stranger) =
        (SocketAddr::from(([93, 184, 215, 14], 53)), SocketAddr::from(([10, 0, 0, 1], 53)));
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(pin!(socket.check(known, SocketAddrUse::UdpSend)).poll(&mut cx), Poll::Ready(true));
    assert_eq!(pin!(socket.check(known, SocketAddrUse::UdpReceive)).poll(&mut cx), Poll::Ready(true));
    let mut unheard = pin!(socket.check(stranger, SocketAddrUse::UdpReceive));
    assert_eq!(unheard.as_mut().poll(&mut cx), Poll::Pending);
    assert_eq!(unheard.as_mut().poll(&mut cx), Poll::Ready(false));
}

#[test]
fn a_socket_counts_with_what_waits_in_it() {
    let test = test(&["127.0.0.1"], 10);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut context, mut table) = (test.open().unwrap().context(), ResourceTable::new());
        let before = test.memory.total();
        let sockets = WasiSocketsCtxView { ctx: &mut context, table: &mut table };
        let mut view = View { sockets, reach: test.reach.clone() };
        let family = p2::network::IpAddressFamily::Ipv4;
        p2::tcp_create_socket::Host::create_tcp_socket(&mut view, family).unwrap();
        assert_eq!(test.memory.total(), before + (64 << 10));
        // What was read, and what is to be sent.
        p2::udp_create_socket::Host::create_udp_socket(&mut view, family).await.unwrap();
        assert_eq!(test.memory.total(), before + (192 << 10));
    });
}

#[test]
fn sockets_are_counted_and_bounded_until_they_are_dropped() {
    let test = test(&["*"], 3);
    let mut all: Vec<_> = (0..3).map(|_| test.open().unwrap()).collect();
    assert_eq!((test.budget.count(), test.reach.open(), test.memory.total()), (3, 3, 3 << 16));
    assert!(test.open().is_err_and(|why| why.contains("this instance has 3 sockets")));
    all.pop();
    test.budget.is_spent.store(true, Ordering::Relaxed);
    assert!(test.open().is_err_and(|why| why.contains("no file descriptor")));
    test.budget.is_spent.store(false, Ordering::Relaxed);
    assert!(test.memory.take((1 << 20) - (2 << 16)));
    assert!(test.open().is_err_and(|why| why.contains("limit: memory 1 MB")));
    drop(all);
    assert_eq!((test.budget.count(), test.reach.open()), (0, 0));
    assert_eq!(test.memory.total(), (1 << 20) - (2 << 16));
}

/// What of Wasmtime's sockets lives on holds on to the check that they were made with.
#[test]
fn a_socket_counts_as_long_as_anything_of_it_is_there() {
    let test = test(&["127.0.0.1"], 10);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut table = ResourceTable::new();
        let family = p2::network::IpAddressFamily::Ipv4;
        let made = {
            let mut context = test.open().unwrap().context();
            let mut own = WasiSocketsCtxView { ctx: &mut context, table: &mut table };
            p2::tcp_create_socket::Host::create_tcp_socket(&mut own, family).unwrap()
        };
        assert_eq!((test.budget.count(), test.reach.open()), (1, 1));
        table.delete(made).unwrap();
        assert_eq!((test.budget.count(), test.reach.open()), (0, 0));
        let made: Resource<p3::UdpSocket> = {
            let mut context = test.open().unwrap().context();
            let mut own = WasiSocketsCtxView { ctx: &mut context, table: &mut table };
            p3::HostUdpSocket::create(&mut own, p3::IpAddressFamily::Ipv4).await.unwrap()
        };
        assert_eq!(test.budget.count(), 1);
        drop((made, table));
        assert_eq!((test.budget.count(), test.reach.open(), test.memory.total()), (0, 0, 0));
    });
}

#[test]
fn what_is_known_of_a_name_grows_old() {
    let (reach, _) = reach(&["db.example:5432"]);
    let ip: IpAddr = [93, 184, 215, 14].into();
    let may = || reach.decide(SocketAddr::new(ip, 5432)).is_ok();
    reach.found(&name("db.example"), &[ip]);
    assert!(may());
    if let Some(before) = Instant::now().checked_sub(AGE) {
        reach.inner().found[0].2 = before;
        assert!(!may());
    }
}

#[test]
fn denials_are_counted() {
    let test = test(&["10.0.0.1:53"], 10);
    let denied = || test.budget.denied.load(Ordering::Relaxed);
    assert!(!test.reach.may("10.0.0.2:53".parse().unwrap(), SocketAddrUse::TcpConnect) && denied() == 1);
    assert!(test.reach.may_look_up("a.example").is_err() && denied() == 2);
    assert!(test.reach.may("10.0.0.1:53".parse().unwrap(), SocketAddrUse::TcpConnect) && denied() == 2);
    let nothing = self::test(&[], 10);
    let why = Socket::open(&nothing.reach, BUFFER).map(drop).unwrap_err();
    nothing.reach.tell_of(&why);
    assert_eq!((why, nothing.budget.denied.load(Ordering::Relaxed)), (NoSocket::Denied, 1));
}
