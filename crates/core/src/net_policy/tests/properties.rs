//! What holds for any grant, host and address.

use super::*;
use proptest::prelude::*;

/// Texts that are mostly nearly grants.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "*",
        ".",
        ":",
        "/",
        "[",
        "]",
        "://",
        "0x",
        "::",
        "ffff",
        "127.0.0.1",
        "10.0.0.0",
        "example",
        "com",
        "localhost",
        "443",
        "8",
        "-",
        "_",
        " ",
        "é",
        "\0",
        "%",
        "@",
    ]);
    proptest::collection::vec(piece.prop_map(str::to_owned).boxed().prop_union("\\PC{0,3}".boxed()), 0..8)
        .prop_map(|pieces| pieces.concat())
}

fn any_grant() -> impl Strategy<Value = NetGrant> {
    let name = "[a-z0-9_-]{1,8}(\\.[a-z0-9_-]{1,8}){0,3}\\.[a-z][a-z0-9]{0,5}";
    let net = (any::<IpAddr>(), 0u8..=128).prop_map(|(ip, bits)| {
        let shift = |width: u32| width.saturating_sub(u32::from(bits));
        let (ip, bits) = match ip {
            IpAddr::V4(ip) => {
                let kept = u32::MAX.checked_shl(shift(32)).unwrap_or(0);
                (IpAddr::from(Ipv4Addr::from(u32::from(ip) & kept)), bits.min(32))
            }
            IpAddr::V6(ip) => {
                let kept = u128::MAX.checked_shl(shift(128)).unwrap_or(0);
                (IpAddr::from(Ipv6Addr::from(u128::from(ip) & kept)), bits)
            }
        };
        Hosts::Net(IpNet::new(ip, bits).unwrap())
    });
    let hosts = prop_oneof![
        Just(Hosts::Public),
        name.prop_map(|name| Hosts::Name(name.into())),
        name.prop_map(|name| Hosts::Below(name.into())),
        net,
    ];
    (hosts, proptest::option::of(1u16..)).prop_map(|(hosts, port)| NetGrant { hosts, port })
}

/// Addresses of all kinds, those that are special as often as others.
fn any_address() -> impl Strategy<Value = IpAddr> {
    let v4 = |high: Vec<[u8; 2]>| {
        (prop::sample::select(high), any::<[u8; 2]>()).prop_map(|([a, b], [c, d])| IpAddr::from([a, b, c, d]))
    };
    prop_oneof![
        any::<IpAddr>(),
        v4(vec![[10, 0], [127, 0], [169, 254], [172, 20], [192, 168], [100, 100], [0, 0], [8, 8], [224, 0]]),
        prop::sample::select(forbidden().collect::<Vec<_>>()).prop_map(ip),
        (any::<u32>(), prop::sample::select(vec!["::", "64:ff9b::", "2002::", "::ffff:0:0:0"])).prop_map(
            |(low, high)| Ipv6Addr::from(u128::from(high.parse::<Ipv6Addr>().unwrap()) | u128::from(low))
                .into()
        ),
    ]
}

proptest! {
    #[test]
    fn any_text_is_a_host_and_a_grant_or_errors(text in nearly()) {
        if let Ok(host) = text.parse::<NetHost>() {
            prop_assert_eq!(host.to_string().parse(), Ok(host));
        }
        match text.parse::<NetGrant>() {
            Ok(grant) => prop_assert_eq!(grant.to_string().parse(), Ok(grant)),
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }

    #[test]
    fn what_is_displayed_parses_back(grant in any_grant(), address in any_address()) {
        prop_assert_eq!(grant.to_string().parse(), Ok(grant));
        let host = NetHost::from(address);
        prop_assert_eq!(host.to_string().parse(), Ok(host));
    }

    #[test]
    fn no_address_that_is_not_public_is_allowed_without_a_grant_of_its_own(
        asked in proptest::collection::vec(any_grant(), 0..6), address in any_address(), port in 1u16..,
        name in prop::sample::select(vec!["example.com", "localhost", "a.b", "10.0.0.1", "[::1]"]),
    ) {
        let policy = NetPolicy { asked, ..NetPolicy::default() };
        let own = policy.asked.iter().any(|grant| {
            grant.port.is_none_or(|granted| granted == port)
                && matches!(&grant.hosts, Hosts::Net(net) if net.contains(address))
        });
        for host in [host(name), NetHost::Ip(address)] {
            if policy.decide(&host, port, Some(address)).is_ok() {
                prop_assert!(is_public(address) || own);
                // What is allowed once the address is known was so before.
                prop_assert!(policy.decide(&host, port, None).is_ok());
            }
        }
        prop_assert_eq!(
            policy.decide(&NetHost::Ip(address), port, None).is_ok(),
            policy.decide(&NetHost::Ip(address), port, Some(address)).is_ok()
        );
    }

    #[test]
    fn what_a_denial_says_to_add_is_enough(
        asked in proptest::collection::vec(any_grant(), 0..3), address in any_address(), port in 1u16..,
        name in proptest::option::of(Just("db.example.com")),
    ) {
        let mut policy = NetPolicy { asked, ..NetPolicy::default() };
        let host = name.map_or(NetHost::Ip(address), host);
        for _ in 0..2 {
            if let Err(denied) = policy.decide(&host, port, Some(address)) {
                policy.asked.push(denied.grant().to_string().parse().unwrap());
            }
        }
        prop_assert!(comes_to(&policy, &host, port, address));
    }

    #[test]
    fn a_ceiling_only_ever_takes_away(
        asked in proptest::collection::vec(any_grant(), 0..4), ceiling in proptest::collection::vec(any_grant(), 0..4),
        address in any_address(), port in prop::sample::select(vec![80u16, 443]),
    ) {
        let [app, host, both] = [(&asked, None), (&ceiling, None), (&asked, Some(ceiling.clone()))]
            .map(|(asked, ceiling)| NetPolicy { asked: asked.clone(), ceiling, ..NetPolicy::default() });
        let at = NetHost::Ip(address);
        let allows = |policy: &NetPolicy| policy.decide(&at, port, Some(address)).is_ok();
        prop_assert_eq!(allows(&both), allows(&app) && allows(&host));
    }

    #[test]
    fn an_ipv4_address_mapped_into_ipv6_is_the_ipv4_address(
        asked in proptest::collection::vec(any_grant(), 0..4), v4 in any::<Ipv4Addr>(), port in 1u16..,
    ) {
        let (plain, mapped) = (IpAddr::V4(v4), IpAddr::V6(v4.to_ipv6_mapped()));
        prop_assert_eq!(is_public(plain), is_public(mapped));
        let written: NetHost = format!("[{mapped}]").parse().unwrap();
        prop_assert_eq!(&written, &NetHost::Ip(plain));
        let mut asked = asked;
        for own in [false, true] {
            if own {
                asked.push(format!("[{mapped}]:{port}").parse().unwrap());
            }
            let policy = NetPolicy { asked: asked.clone(), ..NetPolicy::default() };
            let allowed = [plain, mapped].map(|address| {
                [NetHost::Ip(plain), NetHost::Ip(mapped)].map(|host| policy.decide(&host, port, Some(address)).is_ok())
            });
            prop_assert!(allowed.iter().flatten().all(|one| *one == allowed[0][0]));
            prop_assert!(!own || allowed[0][0]);
        }
    }
}
