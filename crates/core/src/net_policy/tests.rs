mod properties;

use super::*;
use crate::{Access, AppName, GrantedAccess};

fn grants(texts: &[&str]) -> Vec<NetGrant> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
}

fn asking(texts: &[&str]) -> NetPolicy {
    NetPolicy { asked: grants(texts), ..NetPolicy::default() }
}

fn host(text: &str) -> NetHost {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn grant_error(text: &str) -> String {
    text.parse::<NetGrant>().map(|grant| panic!("{text} is {grant:?}")).unwrap_err().to_string()
}

/// Whether the app comes to `to` through `host`, as a connection is made: the host is decided on, then its address.
fn comes_to(policy: &NetPolicy, host: &NetHost, port: u16, to: IpAddr) -> bool {
    policy.decide(host, port, None).is_ok() && policy.decide(host, port, Some(to)).is_ok()
}

#[test]
fn a_host_is_a_name_or_an_address_as_urls_have_them() {
    for (text, shown) in [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("_dns.1.example-", "_dns.1.example-"),
        ("localhost.", "localhost"),
        ("10.0.0.1", "10.0.0.1"),
        ("[2001:DB8::0:1]", "[2001:db8::1]"),
        ("[::ffff:10.0.0.1]", "10.0.0.1"),
        ("[::10.0.0.1]", "[::a00:1]"),
    ] {
        assert_eq!(host(text).to_string(), shown);
    }
    assert_eq!(host("[::ffff:7f00:1]"), NetHost::Ip(ip("127.0.0.1")));
    assert_eq!(NetHost::from(ip("::ffff:127.0.0.1")), host("127.0.0.1"));
    for text in [
        "",
        ".",
        "a..b",
        "a b",
        "a/b",
        "a:80",
        "::1",
        "[::1",
        "[10.0.0.1]",
        "[fe80::1%1]",
        "bücher.example",
        "a\0",
    ] {
        assert!(text.parse::<NetHost>().is_err(), "{text}");
    }
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    assert!(longest.parse::<NetHost>().is_ok() && format!("{longest}.").parse::<NetHost>().is_ok());
    assert!(
        format!("{longest}b").parse::<NetHost>().is_err() && format!("{label}a").parse::<NetHost>().is_err()
    );
}

#[test]
fn what_may_be_an_address_in_another_notation_is_no_host() {
    let texts = "2130706433 017700000001 0x7f000001 0X7F000001 0x7f.1 127.1 127.0.1 0 0. 0x 1.0x 127.0.0.1. \
        127.0.0.01 0177.0.0.1 00000127.0.0.1 127.0.0.256 127.0.0.1.1 169.254.169.0xfe 0xa9fea9fe \
        2852039166 example.1 １２７.0.0.1 127。0。0。1";
    for text in texts.split(' ') {
        assert!(text.parse::<NetHost>().is_err(), "{text}");
        assert!(text.parse::<NetGrant>().is_err(), "{text}");
    }
    // These are names to everybody.
    for text in ["1.example", "0xg", "1a", "0x7f.com", "10.0.0.1.nip.io"] {
        assert!(matches!(host(text), NetHost::Name(_)), "{text}");
    }
}

#[test]
fn a_grant_is_a_host_with_or_without_a_port() {
    for (text, shown) in [
        ("api.example.com", "api.example.com"),
        ("API.example.com.:443", "api.example.com:443"),
        ("api.example.com:*", "api.example.com"),
        ("*.example.com:8443", "*.example.com:8443"),
        ("*", "*"),
        ("*:443", "*:443"),
        ("localhost:8080", "localhost:8080"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3/32:5432", "10.1.2.3:5432"),
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("10.1.0.0/16:5432", "10.1.0.0/16:5432"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[::1]:8080", "[::1]:8080"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("[2001:db8::/32]:443", "[2001:db8::/32]:443"),
        ("[::ffff:10.0.0.0/104]:80", "10.0.0.0/8:80"),
        ("::/0", "::/0"),
        // Not the port 8080 of `::1`.
        ("::1:8080", "::1:8080"),
    ] {
        let grant: NetGrant = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(grant.to_string(), shown);
        assert_eq!(shown.parse(), Ok(grant));
    }
}

#[test]
fn a_wrong_grant_is_told_how_it_is_right() {
    for (text, reason) in [
        ("", "a grant is a host, like `api.example.com:443`"),
        (":443", "a grant is a host, like"),
        ("https://example.com", "without a scheme"),
        ("example.com/path", "paths cannot be granted"),
        ("example.com:443/path", "paths cannot be granted"),
        ("example.com:", "from 1 to 65535"),
        ("example.com:0", "from 1 to 65535"),
        ("example.com:65536", "from 1 to 65535"),
        ("example.com:+80", "from 1 to 65535"),
        ("example.com:https", "from 1 to 65535"),
        ("example.com:80-90", "from 1 to 65535"),
        ("*example.com", "`*.example.com`"),
        ("api.*.com", "`*.example.com`"),
        ("**", "`*.example.com`"),
        ("*.*.com", "labels of 1 to 63"),
        ("*.", "1 to 253 characters"),
        ("*.10.0.0.1", "four decimal numbers"),
        ("user@example.com", "labels of 1 to 63"),
        (" example.com", "labels of 1 to 63"),
        ("bücher.example", "in punycode"),
        ("2130706433", "four decimal numbers"),
        ("127.1:80", "four decimal numbers"),
        ("10.1.2.3/8", "`10.0.0.0/8`"),
        ("10.1.2.3/8:80", "`10.0.0.0/8`"),
        ("fd00::1/8", "`fd00::/8`"),
        ("10.0.0.0/33", "from 0 to 32"),
        ("10.0.0.0/8/8", "a network is an IP"),
        ("::1:65536", "in brackets: `[::1]:8080`"),
        ("fd00::/8:443", "in brackets: `[::1]:8080`"),
        ("[::1", "a `]` is missing"),
        ("[::1]8080", "a `]` is missing"),
        ("[10.0.0.1]:80", "only IPv6"),
        ("[example.com]:80", "only IPv6"),
        ("[fe80::1%eth0]:80", "a network is an IP"),
        ("[::1]:0", "from 1 to 65535"),
    ] {
        let told = grant_error(text);
        assert!(told.contains(reason), "{text}: {told}");
    }
}

#[test]
fn a_name_takes_a_grant_of_it_or_of_all_or_of_those_above() {
    let granted = |grant: &str, name: &str| asking(&[grant]).decide(&host(name), 443, None).is_ok();
    for (grant, name) in [
        ("api.example.com", "api.example.com"),
        ("api.example.com", "API.EXAMPLE.COM."),
        ("Api.Example.Com.", "api.example.com"),
        ("*.example.com", "api.example.com"),
        ("*.example.com", "a.b.example.com"),
        ("*.com", "example.com"),
        ("*", "example.com"),
        ("*", "intranet"),
    ] {
        assert!(granted(grant, name) && granted(&format!("{grant}:443"), name), "{grant} {name}");
        assert!(!granted(&format!("{grant}:80"), name), "{grant}:80 {name}");
    }
    for (grant, name) in [
        ("*.example.com", "example.com"),
        ("*.example.com", "evilexample.com"),
        ("*.example.com", "example.com.evil.org"),
        ("*.example.com", "api.example.com.evil.org"),
        ("*.example.com", "api-example.com"),
        ("example.com", "api.example.com"),
        ("example.com", "example.co"),
        ("example.com", "example.com.au"),
        ("api.example.com", "www.example.com"),
        ("0.0.0.0/0", "example.com"),
        ("::/0", "example.com"),
        ("localhost", "a.localhost"),
    ] {
        assert!(!granted(grant, name), "{grant} {name}");
    }
}

#[test]
fn an_address_takes_a_grant_of_it_or_if_it_is_public_of_all() {
    let granted = |grant: &str, name: &str| {
        let policy = asking(&[grant]);
        let host = host(name);
        let decided = policy.decide(&host, 443, None).is_ok();
        let NetHost::Ip(ip) = host else { panic!("{name} is no address") };
        assert_eq!(policy.decide(&host, 443, Some(ip)).is_ok(), decided, "{grant} {name}");
        decided
    };
    for (grant, name) in [
        ("*", "93.184.215.14"),
        ("*", "[2606:4700::1111]"),
        ("93.184.215.0/24", "93.184.215.14"),
        ("10.0.0.0/8", "10.1.2.3"),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]"),
        ("::ffff:10.0.0.0/104", "10.1.2.3"),
        ("0.0.0.0/0", "169.254.169.254"),
        ("::1", "[::1]"),
        ("localhost", "127.0.0.1"),
        ("localhost", "127.8.9.10"),
        ("localhost", "[::1]"),
    ] {
        assert!(
            granted(grant, name) && granted(&asking(&[grant]).asked[0].to_string(), name),
            "{grant} {name}"
        );
    }
    for (grant, name) in [
        ("*", "10.1.2.3"),
        ("*:443", "127.0.0.1"),
        ("*.example.com", "93.184.215.14"),
        ("::/0", "10.1.2.3"),
        ("0.0.0.0/0", "[::1]"),
        ("10.0.0.0/8", "[64:ff9b::10.0.0.1]"),
        ("10.0.0.0/8:80", "10.0.0.1"),
        ("localhost", "0.0.0.0"),
        ("localhost", "[::]"),
        ("localhost", "93.184.215.14"),
        ("*.localhost", "127.0.0.1"),
    ] {
        assert!(!granted(grant, name), "{grant} {name}");
    }
}

#[test]
fn an_address_that_is_not_public_takes_a_grant_of_its_own() {
    let name = host("db.example.com");
    let private = ip("10.1.2.3");
    for (asked, fine) in [
        (&["db.example.com", "10.1.0.0/16:5432"][..], true),
        (&["*", "10.1.2.3"], true),
        (&["*.example.com:5432", "10.1.2.3:5432"], true),
        (&["db.example.com"], false),
        (&["*"], false),
        (&["10.1.0.0/16"], false),
        (&["db.example.com", "10.1.0.0/16:80"], false),
        (&["db.example.com:80", "10.1.0.0/16:5432"], false),
        (&["db.example.com", "localhost", "192.168.0.0/16"], false),
    ] {
        assert_eq!(comes_to(&asking(asked), &name, 5432, private), fine, "{asked:?}");
    }
    // This machine's own addresses are what `localhost` grants, by whatever name.
    assert!(comes_to(&asking(&["localhost:8080"]), &host("localhost"), 8080, ip("::1")));
    assert!(comes_to(&asking(&["localhost:8080", "*"]), &name, 8080, ip("127.0.0.1")));
    assert!(!comes_to(&asking(&["localhost:8080", "*"]), &name, 8081, ip("127.0.0.1")));
}

/// Addresses that no public name may lead to, in all their clothes, with spaces in between.
const FORBIDDEN: [&str; 6] = [
    "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 127.0.0.1 127.255.255.254 172.16.0.1 172.31.255.255 \
     192.168.0.1 100.64.0.1 100.127.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 \
     198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255",
    // Where clouds have their metadata.
    "169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 fd00:ec2::254 fd20:ce::254 \
     fe80::a9fe:a9fe",
    // IPv4 mapped into IPv6, translated, compatible.
    "::ffff:127.0.0.1 ::ffff:a9fe:a9fe ::ffff:10.0.0.1 ::ffff:168.63.129.16 ::ffff:0:127.0.0.1 \
     ::127.0.0.1 ::169.254.169.254 ::8.8.8.8",
    // NAT64, with the well-known prefix and that for local use.
    "64:ff9b::127.0.0.1 64:ff9b::169.254.169.254 64:ff9b::10.0.0.1 64:ff9b::168.63.129.16 \
     64:ff9b:1::8.8.8.8 64:ff9b:0:0:0:1:808:808",
    // 6to4, Teredo, ISATAP.
    "2002:7f00:1:: 2002:a9fe:a9fe::1 2002:808:808::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001::1 \
     2606:4700::5efe:10.0.0.1 2606:4700::200:5efe:a9fe:a9fe",
    // IPv6's own.
    ":: ::1 100::1 2001:20::1 2001:db8::1 3fff::1 5f00::1 fc00::1 fd12:3456:789a::1 fe80::1 fec0::1 \
     ff02::1 4000::1",
];

fn forbidden() -> impl Iterator<Item = &'static str> {
    FORBIDDEN.iter().flat_map(|texts| texts.split(' '))
}

#[test]
fn no_name_and_no_wildcard_leads_to_an_address_that_is_not_public() {
    let wide = asking(&["*", "*.example.com", "example.com", "*:443", "93.184.215.0/24", "2003::/16"]);
    for text in forbidden() {
        let address = ip(text);
        assert!(!is_public(address), "{text}");
        assert!(wide.decide(&NetHost::Ip(address), 443, None).is_err(), "{text}");
        assert!(wide.decide(&NetHost::Ip(address), 443, Some(address)).is_err(), "{text}");
        let in_url = if address.is_ipv6() { format!("[{text}]") } else { text.to_owned() };
        assert!(wide.decide(&host(&in_url), 443, None).is_err(), "{text}");
        for name in [
            "example.com",
            "a.example.com",
            "10.0.0.1.nip.io",
            "localtest.me",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
        ] {
            assert!(!comes_to(&wide, &host(name), 443, address), "{name} {text}");
        }
        // A grant of its own is enough, and needs to be that very one.
        let grant = NetDenied::new(NetHost::Ip(address), 443, None).grant();
        let own = NetPolicy { asked: vec![grant], ..NetPolicy::default() };
        assert!(comes_to(&own, &NetHost::Ip(address), 443, address), "{text}");
        assert!(own.decide(&NetHost::Ip(address), 80, None).is_err(), "{text}");
    }
}

#[test]
fn ranges_that_are_not_public_end_where_the_registries_say() {
    let texts = "1.0.0.0 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 \
        168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 \
        191.255.255.255 192.0.1.0 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 \
        198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 \
        223.255.255.255 2000:: 2001:200::1 2001:db7:ffff:: 2001:db9:: 2001:ffff:: 2003:: 3ffe:ffff:: \
        3fff:1000:: 2606:4700:4700::1111 64:ff9b::8.8.8.8 ::ffff:8.8.8.8 2606:4700::5eff:a00:1";
    for text in texts.split(' ') {
        assert!(is_public(ip(text)), "{text}");
        assert!(asking(&["*"]).decide(&NetHost::Ip(ip(text)), 443, None).is_ok(), "{text}");
    }
}

#[test]
fn a_connection_for_an_address_goes_to_no_other_one() {
    let policy = asking(&["93.184.215.14", "10.0.0.1", "*"]);
    let named = host("93.184.215.14");
    assert!(policy.decide(&named, 443, Some(ip("93.184.215.14"))).is_ok());
    assert!(policy.decide(&named, 443, Some(ip("::ffff:93.184.215.14"))).is_ok());
    assert!(policy.decide(&named, 443, Some(ip("10.0.0.1"))).is_err());
    assert!(policy.decide(&named, 443, Some(ip("8.8.8.8"))).is_err());
}

#[test]
fn what_takes_effect_is_what_the_app_and_its_host_both_say() {
    let both = |asked: &[&str], ceiling: &[&str]| NetPolicy {
        asked: grants(asked),
        ceiling: Some(grants(ceiling)),
        ..NetPolicy::default()
    };
    let name = host("db.example.com");
    let private = ip("10.1.2.3");
    let public = ip("93.184.215.14");
    assert!(comes_to(&both(&["*"], &["*.example.com"]), &name, 443, public));
    assert!(comes_to(&both(&["*.example.com"], &["*"]), &name, 443, public));
    assert!(!comes_to(&both(&["*"], &["*.example.org"]), &name, 443, public));
    assert!(!comes_to(&both(&["*.example.org"], &["*"]), &name, 443, public));
    // An address takes a grant of its own from both.
    assert!(!comes_to(&both(&["*", "10.0.0.0/8"], &["*"]), &name, 443, private));
    assert!(!comes_to(&both(&["*"], &["*", "10.0.0.0/8"]), &name, 443, private));
    assert!(comes_to(&both(&["*", "10.0.0.0/8"], &["*", "10.1.0.0/16"]), &name, 443, private));
    assert!(!comes_to(&both(&["*", "10.0.0.0/8:443"], &["*", "10.1.0.0/16:80"]), &name, 443, private));
    for policy in [both(&["*"], &[]), both(&[], &["*"]), NetPolicy::default()] {
        assert!(policy.is_empty() && !comes_to(&policy, &name, 443, public));
    }
    assert!(!both(&["*"], &["*"]).is_empty());
}

#[test]
fn a_denial_says_what_is_missing_and_where() {
    let told = |policy: &NetPolicy, name: &str, address: Option<&str>| {
        policy.decide(&host(name), 443, address.map(ip)).unwrap_err().to_string()
    };
    let add =
        |grant: &str| format!("to ask for it, add `net = [\"{grant}\"]` under [permissions] in nexus.toml");
    let nothing = NetPolicy::default();
    let name = "a connection to api.example.com:443 is not granted";
    assert_eq!(told(&nothing, "API.example.com", None), format!("{name}; {}", add("api.example.com:443")));
    // The name is what is missing first, whatever its address.
    for address in ["93.184.215.14", "10.0.0.1"] {
        assert_eq!(
            told(&nothing, "api.example.com", Some(address)),
            format!("{name}; {}", add("api.example.com:443"))
        );
    }
    let all = asking(&["*"]);
    assert_eq!(
        told(&all, "api.example.com", Some("::ffff:10.0.0.1")),
        format!(
            "{name}: its address 10.0.0.1 is not a public one, which takes a grant of its own; {}",
            add("10.0.0.1:443")
        )
    );
    assert!(told(&all, "api.example.com", Some("fd00::1")).ends_with(&add("[fd00::1]:443")));
    assert!(told(&all, "localhost", Some("127.0.0.1")).ends_with(&add("localhost:443")));
    assert!(told(&all, "localhost", Some("10.0.0.1")).ends_with(&add("10.0.0.1:443")));
    let local = "a connection to [::1]:443 is not granted; ";
    assert_eq!(told(&all, "[::1]", None), format!("{local}{}", add("[::1]:443")));
    let bounded =
        NetPolicy { asked: grants(&["*", "::1"]), ceiling: Some(grants(&["*"])), ..NetPolicy::default() };
    let ceiling = "the host would have to allow it: `net = [\"[::1]:443\"]` under [ceilings.permissions]";
    assert_eq!(told(&bounded, "[::1]", None), format!("{local}{ceiling}"));
    let denied = bounded.decide(&host("a.example"), 443, Some(ip("::1"))).unwrap_err();
    assert!(denied.by_host && denied.address == Some(ip("::1")) && denied.to_string().ends_with(ceiling));
}

#[test]
fn localhost_and_the_names_below_it_are_this_machine() {
    let policy = asking(&["app.localhost:8080"]);
    let name = host("app.localhost");
    assert!(comes_to(&policy, &name, 8080, ip("127.0.0.1")) && comes_to(&policy, &name, 8080, ip("::1")));
    assert!(
        !comes_to(&policy, &name, 8080, ip("10.0.0.1")) && !comes_to(&policy, &name, 8081, ip("127.0.0.1"))
    );
    // Whatever somebody says of it, and whatever else is granted.
    let all = asking(&["*", "localhost", "10.0.0.1", "93.184.215.14"]);
    for address in ["93.184.215.14", "10.0.0.1", "0.0.0.0", "2606:4700::1111", "::ffff:93.184.215.14"] {
        let denied = all.decide(&host("localhost"), 80, Some(ip(address))).unwrap_err();
        assert!(denied.to_string().contains("is not this machine's"), "{denied}");
        assert!(!comes_to(&all, &host("a.localhost"), 80, ip(address)));
    }
    assert!(comes_to(&all, &host("a.localhost"), 80, ip("::ffff:127.0.0.1")));
    assert!(is_localhost("localhost") && is_localhost("a.b.localhost"));
    assert!(!is_localhost("notlocalhost") && !is_localhost("localhost.example.com") && !is_localhost(""));
}

#[test]
fn what_is_taken_away_is_denied_from_the_next_decision_on() {
    let app = AppName::parse("shop").unwrap();
    let cells: Vec<GrantedAccess> = (0..3).map(|_| GrantedAccess::default()).collect();
    cells.iter().for_each(|cell| cell.set(Some(Access::Read)));
    let granted = Switches::new(&app, cells.iter().cloned());
    let asked = grants(&["api.example.com:443", "*.example.org", "10.0.0.0/8"]);
    let policy = NetPolicy { asked, ceiling: Some(grants(&["*", "10.0.0.0/8"])), granted };
    let decide = |host: &str, address: Option<&str>| {
        let address = address.map(|ip| ip.parse().unwrap());
        policy.clone().decide(&host.parse().unwrap(), 443, address).map_err(|denied| denied.to_string())
    };
    assert_eq!(decide("api.example.com", None), Ok(()));
    assert_eq!(decide("api.example.com", Some("10.0.0.1")), Ok(()));
    cells[0].set(None);
    cells[1].set(None);
    assert_eq!(
        decide("api.example.com", None).unwrap_err(),
        "a connection to api.example.com:443 is not granted; the host has taken it away or never granted it: `nexus grants \
         add shop net api.example.com:443` gives it"
    );
    let below = decide("a.example.org", None).unwrap_err();
    assert!(below.ends_with("`nexus grants add shop net '*.example.org'` gives it"), "{below}");
    // What nobody asks for is told as ever.
    assert!(decide("b.example.com", None).unwrap_err().ends_with("under [permissions] in nexus.toml"));
    cells[0].set(Some(Access::Read));
    cells[2].set(None);
    assert_eq!(decide("api.example.com", Some("93.184.215.14")), Ok(()));
    let private = decide("api.example.com", Some("10.0.0.1")).unwrap_err();
    assert!(private.contains("is not a public one") && private.contains("net 10.0.0.0/8`"), "{private}");
}

#[test]
fn no_grant_passes_the_ceiling() {
    let cell = GrantedAccess::default();
    let granted = Switches::new(&AppName::parse("shop").unwrap(), [cell.clone()]);
    let policy = NetPolicy { asked: grants(&["*"]), ceiling: Some(grants(&["a.example"])), granted };
    let denied =
        |host: &str| policy.decide(&host.parse().unwrap(), 443, None).map_err(|denied| denied.by_host);
    assert_eq!((denied("a.example"), denied("b.example")), (Err(false), Err(false)));
    cell.set(Some(Access::Write));
    assert_eq!((denied("a.example"), denied("b.example")), (Ok(()), Err(true)));
}
