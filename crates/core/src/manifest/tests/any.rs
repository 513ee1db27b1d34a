//! Manifests at random: read as they were meant, or with errors that lie within them.

use super::*;
use crate::source::assert_within;
use crate::{Access, Binding, BindingTarget, SecretSetting};
use proptest::prelude::*;

/// A manifest as people may write it, and what it means.
fn model() -> impl Strategy<Value = (String, Manifest)> {
    let name = proptest::option::of("[a-z0-9][a-z0-9_.-]{0,20}");
    let version = proptest::option::of("[1-9]\\.[0-9]\\.[0-9](-rc\\.[1-9])?");
    let main = proptest::option::of("[a-z]{1,8}(/[a-z]{1,8})?\\.(m?js|wasm)");
    let port = proptest::option::of(1u16..);
    let limit = |limit: &Limit| proptest::option::of(limit.range());
    let limits: Vec<_> = Limit::ALL.iter().map(limit).collect();
    let env = proptest::collection::btree_map("[A-Za-z_][A-Za-z0-9_]{0,8}", "[^\\p{Cc}\"\\\\]{0,12}", 0..4);
    let folder = proptest::option::of("[a-z]{1,8}(/[a-z]{1,8})?");
    let reuse = proptest::option::of(1u32..=1_000_000);
    let read = proptest::collection::vec("[^\\p{Cc}\"\\\\]{1,12}", 0..3);
    let bindings = proptest::collection::btree_map(
        "b[A-Za-z0-9_]{0,8}",
        ("([a-z]{1,4}/)?[a-z]{1,4}", any::<bool>()),
        0..3,
    );
    let cron = proptest::collection::btree_set("[1-5]?[0-9] (\\*|1?[0-9]) (\\*|L) (\\*|JAN) [0-6]", 0..3);
    let host_env = proptest::collection::btree_set("h[A-Za-z0-9_]{0,8}", 0..3);
    let secrets =
        proptest::collection::btree_map("s[a-z]{0,4}", "(file:[a-z][a-z.]{0,4}|env:[A-Z]{1,4})", 0..3);
    let net = proptest::collection::vec("(\\*\\.)?[a-z]{1,4}\\.[a-z]{2,4}(:[1-9][0-9]{0,3})?", 0..3);
    let wasm = (reuse, (read, net, bindings), (cron, host_env, secrets), any::<bool>());
    let scale = proptest::option::of((0usize..=4, 4usize..=32));
    let hosts = proptest::collection::btree_set("(\\*\\.)?[a-z]{1,4}\\.[a-z]{2,4}", 0..4);
    let routes = proptest::collection::btree_map("(/[a-z]{1,4}){1,3}(/\\*)?", "[a-z]{1,8}\\.m?js", 0..4);
    let served = (port, scale, hosts, routes);
    (name, version, main, served, limits, env, folder, wasm).prop_map(
        |(
            name,
            version,
            main,
            (port, scale, hosts, routes),
            limits,
            env,
            folder,
            (reuse, (read, net, bindings), (cron, host_env, secrets), units),
        )| {
            let mut text = String::from("[project]\n");
            let mut expected = Manifest::default_for("folder").unwrap();
            let mut line = |key: &str, value: String| text.push_str(&format!("{key} = {value}\n"));
            if let Some(name) = name {
                line("name", format!("\"{name}\""));
                expected.name = AppName::parse(&name).unwrap();
            }
            if let Some(version) = version {
                line("version", format!("'{version}'"));
                expected.version = Some(version);
            }
            let is_wasm = main.as_ref().is_some_and(|main| main.ends_with(".wasm"));
            if let Some(main) = main {
                line("main", format!("\"./{main}\""));
                expected.main = Some(main);
            }
            if let Some(port) = port {
                line("\n[http]\nport", port.to_string());
            } else {
                line("\n[http]\n# port", String::new());
            }
            expected.http.port = port;
            if !hosts.is_empty() {
                line("hosts", format!("[\"{}\"]", Vec::from_iter(hosts.clone()).join("\", \"")));
                expected.http.hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
            }
            if let Some((least, most)) = scale {
                line("\n[scale]\nmin_workers", format!("{least}\nworkers = {most}\nidle = \"never\""));
                expected.scale = Scale { idle: None, min_workers: least, workers: most };
            }
            for (path, module) in routes.into_iter().filter(|_| !is_wasm) {
                line("\n[[routes]]\npath", format!("\"{path}\"\nmodule = \"{module}\""));
                expected.routes.push(Route { path: path.parse().unwrap(), module });
            }
            line("\n[limits]\n# limits", String::new());
            for (limit, number) in Limit::ALL.iter().zip(limits) {
                let Some(number) = number else { continue };
                let plain = units && limit.unit() == LimitUnit::Bytes;
                line(limit.key(), if plain { number.to_string() } else { limit.literal(number) });
                expected.limits.set(*limit, number);
            }
            if let Some(reuse) = reuse {
                line("\n[wasm]\nreuse", reuse.to_string());
                expected.wasm.reuse = reuse;
            }
            line("\n[triggers]\n# cron", String::new());
            if !cron.is_empty() && !is_wasm {
                line("cron", format!("{:?}", cron.iter().collect::<Vec<_>>()));
                expected.triggers.cron = cron.iter().map(|cron| cron.parse().unwrap()).collect();
            }
            line(
                "\n[permissions]\nnet",
                format!("[{}]", net.iter().map(|host| format!("'{host}',")).collect::<String>()),
            );
            expected.permissions.net.asked = net.iter().map(|host| host.parse().unwrap()).collect();
            if !read.is_empty() {
                line("read", format!("[\"{}\"]", read.join("\", \"")));
                expected.permissions.read = read.iter().map(|folder| folder.parse().unwrap()).collect();
            }
            // No other name ends so.
            let host_env: Vec<String> = host_env.iter().map(|name| format!("{name}__H")).collect();
            line("env", format!("{host_env:?}"));
            expected.permissions.env = host_env.iter().map(|name| name.parse().unwrap()).collect();
            line("\n[env]\n# variables", String::new());
            for (name, value) in env {
                line(&name, format!("\"{value}\""));
                expected.env.push((name, value));
            }
            line("\n[bindings]\n# bindings", String::new());
            for (name, (namespace, reads)) in bindings {
                let name = format!("{name}_");
                if expected.env.iter().any(|(variable, _)| *variable == name) {
                    continue;
                }
                let access = if reads { Access::Read } else { Access::Write };
                line(
                    &name,
                    format!(
                        "{{ access = '{access}', {} = \"{namespace}\" }}",
                        if reads { "sql" } else { "kv" }
                    ),
                );
                let store = crate::StoreBinding { name: namespace.parse().unwrap(), access, provider: None };
                let to = if reads { BindingTarget::Sql(store) } else { BindingTarget::Kv(store) };
                expected.bindings.push(Binding { name: name.into(), to });
            }
            line("\n[secrets]\n# secrets", String::new());
            for (name, from) in secrets {
                let name = format!("{name}__S");
                line(&name, format!("{{ from = '{from}' }}"));
                expected.secrets.push(SecretSetting { name: name.into(), from: from.parse().unwrap() });
            }
            if let Some(folder) = folder {
                line("\n[assets]\nfolder", format!("\"{folder}\""));
                expected.assets = Some(AssetsSection { folder });
            }
            (text, expected)
        },
    )
}

proptest! {
    #[test]
    fn any_text_is_a_manifest_or_errors_within_it(text in "(\\PC|[a-z]|[\\[\\]{}=.,\"'#\\\\]|\n|\r\n|\t){0,60}") {
        if let Err(problems) = Manifest::parse(&text, "nexus.toml", "shop") {
            prop_assert!(!problems.is_empty());
            problems.iter().for_each(|problem| assert_within(problem, &text));
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn a_manifest_with_a_slip_is_a_manifest_or_errors_within_it(
        (text, _) in model(), at in any::<prop::sample::Index>(), cut in 0usize..12,
        insert in "([\\[\\]{}=.,\"'#\\\\\n\u{0}é-]|[a-z]|[0-9]){0,4}",
    ) {
        let mut text = text;
        let start = text.floor_char_boundary(at.index(text.len() + 1));
        let end = text.ceil_char_boundary((start + cut).min(text.len()));
        text.replace_range(start..end, &insert);
        if let Err(problems) = Manifest::parse(&text, "nexus.toml", "shop") {
            problems.iter().for_each(|problem| assert_within(problem, &text));
        }
    }

    #[test]
    fn what_a_model_writes_is_read_as_the_model((text, expected) in model()) {
        let manifest = Manifest::parse(&text, "nexus.toml", "folder").unwrap();
        prop_assert_eq!(Manifest { written: Written::default(), ..manifest }, expected);
    }
}
