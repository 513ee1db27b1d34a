use super::*;
use crate::source::assert_within;
use crate::{Manifest, NetPolicy, Roots, Scale};
use proptest::prelude::*;

fn parse(text: &str) -> HostConfig {
    HostConfig::parse(text, "nexus-host.toml").unwrap_or_else(|e| panic!("{e}"))
}

fn error(text: &str) -> String {
    HostConfig::parse(text, "nexus-host.toml").unwrap_err().to_string()
}

fn manifest(text: &str) -> Manifest {
    Manifest::parse(text, "shop/nexus.toml", "shop").unwrap()
}

const MB: u64 = 1024 * 1024;

#[test]
fn without_a_file_everything_has_its_default() {
    let config = HostConfig::default();
    let localhost = ListenAddress::Ip(Ipv4Addr::LOCALHOST.into());
    assert_eq!(config.listen, ListenSection { address: localhost, port: 8080, trusted_proxies: vec![] });
    assert_eq!(config.admin, None);
    assert_eq!(config.defaults, Limits::default());
    assert_eq!(config.defaults, Manifest::default_for("shop").unwrap().limits);
    assert_eq!(config.ceilings, Ceilings::default());
    assert!(Limit::ALL.iter().all(|limit| config.ceilings.get(*limit).is_none()));
    assert_eq!(config.net_ceiling, None);
    assert_eq!(config.outbound, OutboundSection { roots: Roots::Bundled, ca: vec![], name_servers: vec![] });
    assert_eq!(config.process, ProcessSection { memory: None, hosts: Hosts::Auto });
    assert_eq!(config.log, LogSection { format: None, level: LogLevel::Info, access: false });
    assert_eq!(config.shutdown, ShutdownSection { grace: Duration::from_secs(30) });
    assert_eq!(HostConfig { written: Written::default(), ..parse("") }, config);
}

#[test]
fn a_full_file_is_read() {
    let config = parse(
        r#"
        [listen]
        address = "unix:/run/nexus.sock"
        port = 0
        trusted_proxies = ["10.0.0.0/8", "::1"]
        [admin]
        address = "[::1]:9090"
        [defaults.limits]
        headers = "16 KB"
        memory = "256 MB"
        requests = 7
        [ceilings.limits]
        headers = "32 KB"
        body = "1 GB"
        wall = "1 m"
        requests = 8
        [ceilings.permissions]
        net = ["*.example.com:443", "10.0.0.0/8"]
        [outbound]
        roots = "platform"
        ca = ["ca.pem", "/etc/nexus/other.pem"]
        name_servers = ["127.0.0.1:5353", "[::1]:5353", "9.9.9.9", "2620:fe::fe"]
        [process]
        memory = "1 GB"
        hosts = 4
        [log]
        format = "json"
        level = "error"
        access = true
        [shutdown]
        grace = 5
        "#,
    );
    assert_eq!(config.listen.address, ListenAddress::Unix("/run/nexus.sock".into()));
    assert_eq!(config.listen.port, 0);
    assert_eq!(config.listen.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
    assert_eq!(config.admin, "[::1]:9090".parse().ok());
    let mut defaults = Limits::default();
    defaults.set(Limit::Headers, 16 * 1024);
    defaults.set(Limit::Memory, 256 * MB);
    defaults.set(Limit::Requests, 7);
    assert_eq!(config.defaults, defaults);
    let ceilings: Vec<_> =
        Limit::ALL.iter().filter_map(|limit| Some((limit.key(), config.ceilings.get(*limit)?))).collect();
    assert_eq!(ceilings, [("wall", 60_000), ("body", 1024 * MB), ("headers", 32 * 1024), ("requests", 8)]);
    let ceiling: Vec<_> = config.net_ceiling.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(ceiling, ["*.example.com:443", "10.0.0.0/8"]);
    assert_eq!(config.outbound.roots, Roots::Platform);
    assert_eq!(config.outbound.ca, [PathBuf::from("ca.pem"), PathBuf::from("/etc/nexus/other.pem")]);
    let servers: Vec<_> = config.outbound.name_servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["127.0.0.1:5353", "[::1]:5353", "9.9.9.9:53", "[2620:fe::fe]:53"]);
    assert_eq!(config.process, ProcessSection { memory: Some(1024 * MB), hosts: Hosts::Number(4) });
    let log = LogSection { format: Some(LogFormat::Json), level: LogLevel::Error, access: true };
    assert_eq!(config.log, log);
    assert_eq!(config.shutdown.grace, Duration::from_secs(5));
}

#[test]
fn every_level_and_format_is_read() {
    for (word, level) in [
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
    ] {
        assert_eq!(parse(&format!("log.level = \"{word}\"")).log.level, level);
    }
    assert_eq!(parse("log.format = \"pretty\"").log.format, Some(LogFormat::Pretty));
}

#[test]
fn the_number_of_hosts_is_a_number_or_auto() {
    assert_eq!(parse("process.hosts = \"auto\"").process.hosts, Hosts::Auto);
    assert_eq!(parse("process.hosts = 64").process.hosts, Hosts::Number(64));
    for wrong in ["0", "65", "-1", "true", "\"many\"", "\"AUTO\"", "1.5"] {
        let error = error(&format!("process.hosts = {wrong}"));
        assert!(error.contains("`hosts` must be \"auto\" or a whole number from 1 to 64, not "), "{error}");
    }
    assert!(error("process.hosts = \"4\"").ends_with("help: without quotes: `hosts = 4`"));
    assert_eq!("auto".parse(), Ok(Hosts::Auto));
    assert_eq!("2".parse(), Ok(Hosts::Number(2)));
    for wrong in ["", "0", "65", "Auto", "2 ", "99999999999999999999"] {
        assert_eq!(wrong.parse::<Hosts>(), Err(HostsError), "{wrong}");
    }
}

#[test]
fn wrong_values_are_told_with_what_would_be_right() {
    assert_eq!(
        error("[listen]\naddress = \"localhost\"\n"),
        "nexus-host.toml:2:11: `address` must be an IP address, \"unix:PATH\" or \"systemd\", not \"localhost\"\n\
         2 | address = \"localhost\"\n  |           ^^^^^^^^^^^\n\
         help: a name may mean several addresses; write `127.0.0.1` or `::1`",
    );
    assert!(
        error("admin.address = \"127.0.0.1\"").ends_with("help: the port is missing, as in `127.0.0.1:9090`")
    );
    assert!(error("log.level = \"warning\"").ends_with("help: did you mean \"warn\"?"));
    assert!(error("defaults.limits.memory = \"4 GB\"").contains("a size from 16 MB to 2 GB"));
    assert!(error("ceilings.limits.requests = 0").contains("a whole number from 1 to 100000"));
    assert!(error("ceilings.scale.workers = 33").contains("a whole number from 1 to 32"));
    assert!(error("ceilings.scale.idle = \"never\"").contains("a time from 1 ms to 24 h"));
    assert!(error("shutdown.grace = \"2 h\"").contains("a time from 0 s to 1 h"));
    assert!(error("[listen]\ntrusted_proxies = [\"::1\", \"x\"]").starts_with("nexus-host.toml:2:27: "));
    assert!(error("[deploy]\nallow = [\"read\", \"network\"]").ends_with(
        "`allow` must hold permissions, \"read\", \"write\", \"net\", \"env\", \"kv\" or \"sql\", not \"network\"\n\
             2 | allow = [\"read\", \"network\"]\n  |                  ^^^^^^^^^\n\
             help: a permission is \"read\", \"write\", \"net\", \"env\", \"kv\" or \"sql\""
    ));
}

#[test]
fn what_is_wrong_about_outbound_requests_is_told_at_its_place() {
    let told = |text: &str| {
        let problems = HostConfig::parse(text, "nexus-host.toml").unwrap_err();
        let first = problems.iter().next().unwrap();
        let help = first.help.clone().unwrap_or_default();
        format!("{}:{}: {}; {help}", first.line, first.column, first.message)
    };
    assert_eq!(
        told("[outbound]\nroots = \"system\"\n"),
        "2:9: `roots` must be \"bundled\" or \"platform\", not \"system\"; "
    );
    assert_eq!(
        told("[outbound]\nname_servers = [\"9.9.9.9\", \"dns.example\"]\n"),
        "2:28: `name_servers` must hold IP addresses with or without a port, not \"dns.example\"; \
         a name server is an IP address, or `IP:PORT`; its own name could not be looked up"
    );
    assert_eq!(
        told("[outbound]\nname_servers = \"::1\"\n"),
        "2:16: `name_servers` must be an array of IP addresses with or without a port, \
         like [\"9.9.9.9\", \"[::1]:5353\"], not \"::1\"; in brackets: `name_servers = [\"::1\"]`"
    );
    assert_eq!(
        told("[outbound]\nca = [\"\"]\n"),
        "2:7: `ca` must hold paths of files, not \"\"; a path is not empty"
    );
    assert_eq!(
        told("[ceilings.permissions]\nnet = [\"10.1.2.3/8\"]\n"),
        "2:8: `net` must hold hosts, not \"10.1.2.3/8\"; a range starts with its first address, `10.0.0.0/8`"
    );
    assert!(told("[permissions]\nnet = []\n").ends_with("did you mean [ceilings.permissions]?"));
    assert!(told("[outbound]\ndns = \"9.9.9.9\"\n").ends_with("did you mean `name_servers`?"));
}

#[test]
fn where_apps_may_connect_to_is_narrowed_and_not_refused() {
    let policy = |config: &str, text: &str| {
        let mut app = manifest(text);
        parse(config).apply(&mut app).unwrap();
        app.permissions.net
    };
    let asks = "[permissions]\nnet = [\"*\", \"127.0.0.1\"]\n";
    let allowed = |policy: &NetPolicy, host: &str| policy.decide(&host.parse().unwrap(), 443, None).is_ok();
    let bounded = policy("[ceilings.permissions]\nnet = [\"*.example.com:443\"]\n", asks);
    assert_eq!(bounded.asked.len(), 2);
    assert!(allowed(&bounded, "api.example.com"));
    assert!(!allowed(&bounded, "api.example.org") && !allowed(&bounded, "127.0.0.1"));
    // A ceiling grants nothing that is not asked for.
    assert!(!allowed(&policy("ceilings.permissions.net = [\"*\"]\n", ""), "api.example.com"));
    let nowhere = policy("ceilings.permissions.net = []\n", asks);
    assert!(nowhere.is_empty() && !allowed(&nowhere, "api.example.com"));
    let free = policy("", asks);
    assert_eq!(free.ceiling, None);
    assert!(allowed(&free, "api.example.org") && allowed(&free, "127.0.0.1"));
    // It holds also where something else is over its ceiling.
    let mut app = manifest("limits.body = \"2 MB\"\npermissions.net = [\"*\"]\n");
    let config = parse("[ceilings]\nlimits.body = \"1 MB\"\npermissions.net = []\n");
    assert!(config.apply(&mut app).is_err() && app.permissions.net.is_empty());
}

#[test]
fn tables_within_tables_are_found_and_suggested() {
    assert!(error("[limits.defaults]\nbody = 1").ends_with("help: did you mean [defaults.limits]?"));
    assert!(error("[default.limits]").ends_with("help: did you mean [defaults.limits]?"));
    assert!(
        error("[limits]\nbody = 1").ends_with("help: did you mean [defaults.limits] or [ceilings.limits]?")
    );
    assert!(error("[defaults]\nlimits = 3").contains("help: write `[defaults.limits]` on a line of its own"));
    assert!(
        error("[defaults]\nbody = 3").contains("`body` belongs under [defaults.limits] or [ceilings.limits]")
    );
    assert!(error("defaults = 1").contains("write `[defaults.limits]`"));
    for text in ["[http]\nmax_body = 1", "[defaults.http]\nmax_body = 1", "[workers]\nbody = 1"] {
        assert!(
            error(text).ends_with("help: `body` belongs under [defaults.limits] or [ceilings.limits]"),
            "{text}"
        );
    }
    assert!(error("[ceilings.limits]\nmax_body = 1").ends_with("help: did you mean `body`?"));
    assert!(error("[defaults.colours_and_sizes]").ends_with("help: the tables are [defaults.limits]"));
}

#[test]
fn a_default_over_its_ceiling_is_an_error() {
    assert_eq!(
        error("[ceilings.limits]\nbody = \"1 MB\"\n[defaults.limits]\nbody = \"2 MB\"\n"),
        "nexus-host.toml:4:8: the default of `body` is 2 MB, above the ceiling of 1 MB\n\
         4 | body = \"2 MB\"\n  |        ^^^^^^\n\
         help: lower it, or raise `body` under [ceilings.limits] in line 2",
    );
}

#[test]
fn defaults_fill_in_what_a_manifest_leaves_out() {
    let config = parse("[defaults.limits]\nbody = \"1 MB\"\nwall = \"5 s\"\n");
    let mut app = manifest("[limits]\nbody = \"2 MB\"\n");
    config.apply(&mut app).unwrap();
    assert_eq!(app.limits.get(Limit::Body), 2 * MB);
    assert_eq!(app.limits.time(Limit::Wall), Duration::from_secs(5));
    assert_eq!(app.limits.get(Limit::Headers), 64 * 1024);
    let mut bare = Manifest::default_for("bare").unwrap();
    config.apply(&mut bare).unwrap();
    assert_eq!(bare.limits.get(Limit::Body), MB);
}

#[test]
fn a_default_gives_way_to_a_lower_ceiling() {
    let mut app = manifest("");
    parse("[ceilings.limits]\nbody = \"1 MB\"\n").apply(&mut app).unwrap();
    assert_eq!(app.limits.get(Limit::Body), MB);
}

#[test]
fn a_manifest_over_a_ceiling_is_an_error_that_names_both_files() {
    let config = parse("[ceilings.limits]\nbody = \"1 MB\"\nwall = \"5 s\"\n");
    let mut app = manifest("[limits]\nbody = \"2 MB\"\nwall = \"6 s\"\n");
    let problems = config.apply(&mut app).unwrap_err();
    assert_eq!(problems.len(), 2);
    assert_eq!(
        problems.iter().next().unwrap().to_string(),
        "shop/nexus.toml:2:8: `body` is 2 MB, above the host's ceiling of 1 MB\n\
         2 | body = \"2 MB\"\n  |        ^^^^^^\n\
         help: lower it to \"1 MB\", or raise `body` under [ceilings.limits] in nexus-host.toml:2",
    );
    config.apply(&mut manifest("[limits]\nbody = \"1 MB\"\nwall = 5\n")).unwrap();
}

#[test]
fn workers_have_ceilings_and_what_a_manifest_leaves_out_gives_way_to_them() {
    let config = parse("[ceilings.scale]\nidle = \"30 s\"\nmin_workers = 1\nworkers = 2\n");
    let applied = |text: &str| {
        let mut app = manifest(text);
        config.apply(&mut app).map(|()| app.scale).map_err(|problems| {
            problems
                .iter()
                .map(|problem| format!("{}: {}", problem.line, problem.message))
                .collect::<Vec<_>>()
        })
    };
    let idle = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(applied(""), Ok(Scale { idle: idle(30), min_workers: 0, workers: 2 }));
    assert_eq!(
        applied("[scale]\nidle = \"20 s\"\nmin_workers = 1\nworkers = 1\n"),
        Ok(Scale { idle: idle(20), min_workers: 1, workers: 1 })
    );
    assert_eq!(
        applied("[scale]\nidle = \"never\"\nmin_workers = 2\n"),
        Err(vec![
            "2: `idle` is \"never\", above the host's ceiling of 30 s".into(),
            "3: `min_workers` is 2, above the host's ceiling of 1".into(),
        ])
    );
    assert_eq!(
        applied("[scale]\nidle = \"1 m\"\nworkers = 3\n"),
        Err(vec![
            "2: `idle` is 1 m, above the host's ceiling of 30 s".into(),
            "3: `workers` is 3, above the host's ceiling of 2".into(),
        ])
    );
}

#[test]
fn workers_over_a_ceiling_are_told_with_both_files() {
    let help = |config: &str, text: &str| {
        parse(config).apply(&mut manifest(text)).unwrap_err().iter().next().unwrap().to_string()
    };
    assert_eq!(
        help("[ceilings.scale]\nidle = \"1 m\"\n", "[scale]\nidle = \"never\"\n"),
        "shop/nexus.toml:2:8: `idle` is \"never\", above the host's ceiling of 1 m\n\
         2 | idle = \"never\"\n  |        ^^^^^^^\n\
         help: lower it to \"1 m\", or raise `idle` under [ceilings.scale] in nexus-host.toml:2",
    );
    // The fewer of both bounds what is always kept.
    for config in ["workers = 2\n", "workers = 2\nmin_workers = 3\n"] {
        assert!(help(&format!("[ceilings.scale]\n{config}"), "[scale]\nmin_workers = 4\n").ends_with(
            "`min_workers` is 4, above the host's ceiling of 2\n2 | min_workers = 4\n  |               ^\n\
             help: lower it to 2, or raise `workers` under [ceilings.scale] in nexus-host.toml:2"
        ));
    }
    assert!(help("ceilings.scale.min_workers = 0\n", "[scale]\nmin_workers = 1\n").ends_with(
        "help: lower it to 0, or raise `min_workers` under [ceilings.scale] in nexus-host.toml:1"
    ));
}

#[test]
fn every_limit_has_a_default_and_a_ceiling_of_the_hosts() {
    for &limit in Limit::ALL {
        let key = limit.key();
        let (low, high) = (*limit.range().start(), *limit.range().end());
        let table = |table: &str, number| format!("[{table}]\n{key} = {}\n", limit.literal(number));

        let mut expected = Limits::default();
        expected.set(limit, high);
        let config = parse(&table("defaults.limits", high));
        let mut bare = manifest("");
        config.apply(&mut bare).unwrap();
        assert_eq!((config.defaults, bare.limits), (expected, expected), "{key}");

        let config = parse(&table("ceilings.limits", low));
        config.apply(&mut manifest(&table("limits", low))).unwrap();
        let others = |other: &&Limit| config.ceilings.get(**other).is_some();
        assert_eq!(Limit::ALL.iter().filter(others).collect::<Vec<_>>(), [&limit]);
        let problem = config.apply(&mut manifest(&table("limits", low + 1))).unwrap_err().to_string();
        let message = format!(
            "shop/nexus.toml:2:{}: `{key}` is {}, above the host's ceiling of {}\n",
            key.len() + 4,
            limit.show(low + 1),
            limit.show(low),
        );
        assert!(problem.starts_with(&message), "{problem}");
        let help = format!(
            "help: lower it to {}, or raise `{key}` under [ceilings.limits] in nexus-host.toml:2",
            limit.literal(low),
        );
        assert!(problem.ends_with(&help), "{problem}");
        // What the help says to write is right.
        config.apply(&mut manifest(&format!("limits.{key} = {}", limit.literal(low)))).unwrap();

        let problem = error(&(table("ceilings.limits", low) + &table("defaults.limits", low + 1)));
        assert!(problem.contains(&format!("the default of `{key}` is {}", limit.show(low + 1))));
    }
}

#[test]
fn a_count_over_its_ceiling_is_told_without_quotes() {
    let config = parse("ceilings.limits.requests = 50\n");
    assert_eq!(
        config.apply(&mut manifest("[limits]\nrequests = 60\n")).unwrap_err().to_string(),
        "shop/nexus.toml:2:12: `requests` is 60, above the host's ceiling of 50\n\
         2 | requests = 60\n  |            ^^\n\
         help: lower it to 50, or raise `requests` under [ceilings.limits] in nexus-host.toml:1",
    );
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_errors_within_it(
        pieces in proptest::collection::vec(
            prop_oneof![
                "\\PC{0,4}", "[a-z]{0,4}",
                prop::sample::select(vec![
                    "[listen]\n", "[defaults.limits]\n", "[ceilings.limits]\n", "defaults", "limits", "body", "requests",
                    "trusted_proxies", "address", " = ", "\"", "[", "]", ".", ",", "\n", "\r\n", "1 MB", "2", "{", "}",
                ]).prop_map(str::to_owned),
            ],
            0..20,
        ),
    ) {
        let text = pieces.concat();
        match HostConfig::parse(&text, "nexus-host.toml") {
            Ok(config) => drop(config.apply(&mut manifest(""))),
            Err(problems) => problems.iter().for_each(|problem| assert_within(problem, &text)),
        }
    }

    #[test]
    fn what_is_applied_never_passes_a_ceiling(
        limit in prop::sample::select(Limit::ALL),
        own in proptest::option::of(0u64..100), default in proptest::option::of(0u64..100),
        ceiling in proptest::option::of(0u64..100),
    ) {
        let line = |table: &str, value: Option<u64>| {
            value
                .map(|value| format!("{table}.{} = {}\n", limit.key(), limit.literal(value)))
                .unwrap_or_default()
        };
        let [own, default, ceiling] = [own, default, ceiling].map(|n| Some(n? + limit.range().start()));
        let text = line("defaults.limits", default) + &line("ceilings.limits", ceiling);
        let Ok(config) = HostConfig::parse(&text, "nexus-host.toml") else {
            prop_assert!(default > ceiling && ceiling.is_some());
            return Ok(());
        };
        let mut app = manifest(&line("limits", own));
        match config.apply(&mut app) {
            Ok(()) => {
                let wanted = own.or(default).unwrap_or(Limits::default().get(limit));
                let got = app.limits.get(limit);
                prop_assert_eq!(got, ceiling.map_or(wanted, |ceiling| ceiling.min(wanted)));
                prop_assert!(own.is_none_or(|own| own == got));
            }
            Err(_) => prop_assert!(own > ceiling && ceiling.is_some()),
        }
    }
}
