mod any;

use std::time::Duration;

use super::*;
use crate::{GrantedFolder, Limit, LimitUnit, WasiVersion, WasmCompiler};

pub(super) fn parse(text: &str) -> Manifest {
    Manifest::parse(text, "nexus.toml", "shop").unwrap_or_else(|e| panic!("{e}"))
}

pub(super) fn error(text: &str) -> String {
    Manifest::parse(text, "nexus.toml", "shop").unwrap_err().to_string()
}

/// The first lines of the problems, without the file's name.
pub(super) fn errors(text: &str) -> Vec<String> {
    let problems = Manifest::parse(text, "nexus.toml", "shop").unwrap_err();
    problems.iter().map(|d| format!("{}:{}: {}", d.line, d.column, d.message)).collect()
}

const FULL: &str = r#"
[project]
name = "my-shop"
version = "1.2.3"
main = "src/server.mjs"

[http]
port = 3000

[limits]
headers = "32 KB"
body = 1024
wall = "500 ms"
requests = 8

[wasm]
wasi = "0.3"
compiler = "winch"
reuse = 1_000_000
concurrency = 1000
tables = 1_000_000
instances = 1

[permissions]
read = ["./data", "/srv/shared"]
write = ["tmp"]
net = ["API.example.com:443", "*.example.org", "10.1.0.0/16:5432", "localhost"]

[env]
Z_LAST = "z"
A_FIRST = "a # b"

[assets]
folder = "public/"
"#;

#[test]
fn a_full_manifest_is_read() {
    let manifest = parse(FULL);
    assert_eq!(manifest.name.as_str(), "my-shop");
    assert_eq!(manifest.version.as_deref(), Some("1.2.3"));
    assert_eq!(manifest.main.as_deref(), Some("src/server.mjs"));
    assert_eq!(manifest.http, HttpSection { port: Some(3000), hosts: vec![], paths: vec![] });
    let mut limits = Limits::default();
    limits.set(Limit::Headers, 32 * 1024);
    limits.set(Limit::Body, 1024);
    limits.set(Limit::Wall, 500);
    limits.set(Limit::Requests, 8);
    assert_eq!(manifest.limits, limits);
    assert_eq!(
        manifest.wasm,
        WasmSection {
            wasi: WasiVersion::V0_3,
            compiler: WasmCompiler::Winch,
            reuse: 1_000_000,
            concurrency: 1000,
            tables: 1_000_000,
            instances: 1,
        }
    );
    let Permissions { read, write, net, env: _, granted: _ } = &manifest.permissions;
    assert_eq!(read.iter().map(GrantedFolder::as_str).collect::<Vec<_>>(), ["./data", "/srv/shared"]);
    assert_eq!(write.iter().map(GrantedFolder::as_str).collect::<Vec<_>>(), ["tmp"]);
    let asked: Vec<_> = net.asked.iter().map(ToString::to_string).collect();
    assert_eq!(asked, ["api.example.com:443", "*.example.org", "10.1.0.0/16:5432", "localhost"]);
    assert_eq!(net.ceiling, None);
    assert_eq!(manifest.env, [("Z_LAST".into(), "z".into()), ("A_FIRST".into(), "a # b".into())]);
    assert_eq!(manifest.assets, Some(AssetsSection { folder: "public".into() }));
}

#[test]
fn an_empty_manifest_is_all_defaults() {
    let manifest = parse("");
    assert_eq!(manifest.name.as_str(), "shop");
    assert_eq!((&manifest.version, &manifest.main, &manifest.assets), (&None, &None, &None));
    assert_eq!(manifest.http, HttpSection { port: None, hosts: vec![], paths: vec![] });
    assert_eq!((manifest.isolation, manifest.scale), (Isolation::Worker, Scale::default()));
    assert!(manifest.routes.is_empty());
    let limits = manifest.limits;
    assert_eq!(limits, Limits::default());
    assert_eq!((limits.get(Limit::Headers), limits.get(Limit::Body)), (64 * 1024, 100 * 1024 * 1024));
    assert_eq!(limits.time(Limit::Wall), Duration::from_secs(30));
    assert_eq!(manifest.wasm, WasmSection::default());
    assert_eq!(manifest.permissions, Permissions::default());
    assert!(manifest.env.is_empty() && !manifest.written.contains("limits.headers"));
}

#[test]
fn a_folder_without_a_manifest_is_an_app_named_after_it() {
    let manifest = Manifest::default_for("My Shop").unwrap();
    assert_eq!(manifest.name.as_str(), "my-shop");
    assert_eq!((&manifest.http, manifest.limits), (&parse("").http, parse("").limits));
    assert_eq!(
        Manifest::default_for("日本").unwrap_err().to_string(),
        "日本: the folder's name `日本` makes no name for the app\n\
         help: rename the folder, or give it a `nexus.toml` that sets `name` under [project]",
    );
}

#[test]
fn a_manifest_without_a_name_in_a_folder_without_one_is_an_error() {
    let parse = |text| Manifest::parse(text, "nexus.toml", "...");
    assert_eq!(
        parse("[http]\nport = 1\n").unwrap_err().to_string(),
        "nexus.toml: the folder's name `...` makes no name for the app\nhelp: set `name` under [project]",
    );
    assert!(parse("[project]\nname = \"x\"").is_ok());
    // A name that is there, if wrong, is not also missing.
    assert_eq!(parse("[project]\nname = \"X\"").unwrap_err().len(), 1);
}

#[test]
fn an_unknown_key_suggests_the_one_that_was_meant() {
    assert_eq!(
        error("[http]\nprot = 8080\n"),
        "nexus.toml:2:1: unknown key `prot` in [http]\n2 | prot = 8080\n  | ^^^^\nhelp: did you mean `port`?",
    );
}

#[test]
fn a_key_in_the_wrong_table_is_told_its_table() {
    assert_eq!(
        error("[project]\nname = \"a\"\n  port = 80\n"),
        "nexus.toml:3:3: unknown key `port` in [project]\n3 |   port = 80\n  |   ^^^^\n\
         help: `port` belongs under [http]",
    );
    assert!(error("name = \"a\"").ends_with("help: `name` belongs under [project]"));
    assert!(
        error("[assets]\nfolder = \"a\"\nrequest = 1").ends_with("help: `requests` belongs under [limits]")
    );
}

#[test]
fn a_limit_by_the_name_that_it_has_elsewhere_is_told_its_own() {
    assert_eq!(
        error("[http]\nmax_body = 1\n"),
        "nexus.toml:2:1: unknown key `max_body` in [http]\n2 | max_body = 1\n  | ^^^^^^^^\n\
         help: `body` belongs under [limits]",
    );
    for (text, help) in [
        ("[http]\nmax-head = 1", "`headers` belongs under [limits]"),
        ("[http]\nresponse_timeout = 1", "`wall` belongs under [limits]"),
        ("[http.limits]\nbody = 1", "did you mean [limits]?"),
        ("[workers]\nmemory = 1", "`memory` belongs under [limits]"),
        ("timeout = 1", "`wall` belongs under [limits]"),
        ("[limits]\nmaxBody = 1", "did you mean `body`?"),
        ("[limits]\ntimeout = 1", "did you mean `wall`?"),
        ("[limits]\nqueue_wiat = 1", "did you mean `queue_wait`?"),
    ] {
        assert!(error(text).ends_with(&format!("help: {help}")), "{}", error(text));
    }
}

#[test]
fn every_limit_is_read_within_its_range() {
    for &limit in Limit::ALL {
        let key = limit.key();
        let (low, high) = (*limit.range().start(), *limit.range().end());
        for number in [low, high] {
            let mut expected = Limits::default();
            expected.set(limit, number);
            let manifest = parse(&format!("[limits]\n{key} = {}\n", limit.literal(number)));
            assert_eq!(manifest.limits, expected, "{key}");
            assert!(manifest.written.contains(&format!("limits.{key}")));
        }
        for number in [low.checked_sub(1), Some(high + 1)].into_iter().flatten() {
            let problem = error(&format!("[limits]\n{key} = {}\n", limit.literal(number)));
            let start = format!("nexus.toml:2:{}: `{key}` must be a", key.len() + 4);
            assert!(problem.starts_with(&start), "{problem}");
        }
    }
}

#[test]
fn limits_that_are_counts_are_whole_numbers() {
    assert_eq!(
        error("[limits]\nrequests = \"100\"\n"),
        "nexus.toml:2:12: `requests` must be a whole number from 1 to 100000, not \"100\"\n\
         2 | requests = \"100\"\n  |            ^^^^^\nhelp: without quotes: `requests = 100`",
    );
    assert_eq!(
        errors("limits.queue = -1"),
        ["1:16: `queue` must be a whole number from 0 to 1000000, not -1"]
    );
    assert_eq!(errors("limits.timers = 1.5").len(), 1);
    assert_eq!(parse("limits.queue = 0").limits.get(Limit::Queue), 0);
}

#[test]
fn an_unknown_key_like_no_other_is_told_what_there_is() {
    assert!(error("[assets]\nfolder = \"a\"\ncolour = 1").ends_with("help: [assets] takes `folder`"));
    assert!(error("[quux]").ends_with(
        "help: the tables are [project], [http], [[routes]], [scale], [limits], [wasm], [triggers], [permissions], [env], [bindings], \
         [secrets], [assets]"
    ));
    assert!(error("[htpp]\nport = 1").ends_with("help: did you mean [http]?"));
    assert!(error("[http.port]").contains("`port` must be a whole number from 1 to 65535, not a table"));
    assert!(error("[http.tls]\na = 1").starts_with("nexus.toml:1:7: unknown table [http.tls]"));
}

#[test]
fn a_table_that_is_none_is_told_how_to_write_it() {
    assert_eq!(
        error("http = 8080\n"),
        "nexus.toml:1:1: `http` is a table, not 8080\n1 | http = 8080\n  | ^^^^\n\
         help: write `[http]` on a line of its own, and its keys below it",
    );
    assert!(error("[[http]]\nport = 1\n").ends_with("help: write `[http]` in single brackets"));
    assert_eq!(parse("http.port = 1\n").http.port, Some(1));
    assert_eq!(parse("http = { port = 1 }\n").http.port, Some(1));
}

#[test]
fn all_problems_are_told_at_once_in_order() {
    let text = "nam = 1\n[http]\nport = 70000\n[limits]\nheaders = \"2 MB\"\nwall = \"soon\"\n\
                [project]\nmain = \"../x.js\"\nversion = \"1\"\n[env]\nA = 1\n\"a-b\" = \"c\"\n[assets]\n";
    assert_eq!(
        errors(text),
        [
            "1:1: unknown key `nam` outside of any table",
            "3:8: `port` must be a whole number from 1 to 65535, not 70000",
            "5:11: `headers` must be a size from 1 KB to 1 MB, like \"64 KB\", or a number of bytes, not \"2 MB\"",
            "6:8: `wall` must be a time from 1 ms to 1 h, like \"30 s\", or a number of seconds, not \"soon\"",
            "8:8: `main` must be the path of a `.js`, `.mjs` or `.wasm` file inside the app's folder, in quotes, not \"../x.js\"",
            "9:11: `version` must be a version like \"1.2.3\", not \"1\"",
            "11:5: `A` must be text in quotes, not 1",
            "12:1: `a-b` is no name of a variable",
            "13:2: [assets] needs the key `folder`",
        ]
    );
}

#[test]
fn a_variable_that_is_a_number_is_told_to_take_quotes() {
    assert_eq!(
        error("[env]\nPORT = 8080\n"),
        "nexus.toml:2:8: `PORT` must be text in quotes, not 8080\n2 | PORT = 8080\n  |        ^^^^\n\
         help: put it in quotes: `PORT = \"8080\"`",
    );
}

#[test]
fn a_main_file_that_cannot_be_run_is_told_what_can() {
    assert!(
        error("project.main = \"a.ts\"")
            .ends_with("help: `.ts` files cannot be run; `.js`, `.mjs` and `.wasm` can")
    );
    assert_eq!(parse("project.main = \"out/a.wasm\"").main.as_deref(), Some("out/a.wasm"));
    assert_eq!(parse("project.main = \"./a.js\"").main.as_deref(), Some("a.js"));
}

#[test]
fn wasm_settings_are_read_within_their_ranges() {
    let ranges =
        [("reuse", 1, 1_000_000), ("concurrency", 1, 1000), ("tables", 1, 1_000_000), ("instances", 1, 1000)];
    for (key, low, high) in ranges {
        for fine in [low, high] {
            assert!(parse(&format!("[wasm]\n{key} = {fine}\n")).written.contains(&format!("wasm.{key}")));
        }
        for bad in [low - 1, high + 1] {
            let told = error(&format!("[wasm]\n{key} = {bad}\n"));
            assert!(
                told.starts_with(&format!("nexus.toml:2:{}: `{key}` must be a", key.len() + 4)),
                "{told}"
            );
        }
    }
    assert!(error("[wasm]\nwasi = 0.3").contains("`wasi` must be \"0.2\" or \"0.3\""));
    assert!(error("[wasm]\ncompiler = \"crane\"").ends_with("help: did you mean \"cranelift\"?"));
    assert!(error("[wasm]\nmemory = \"1 MB\"").ends_with("help: `memory` belongs under [limits]"));
}

#[test]
fn the_element_of_a_permission_that_is_wrong_is_told_at_its_place() {
    assert_eq!(
        errors("[permissions]\nread = [\"a\", 5]"),
        ["2:14: `read` must hold paths of folders, not 5"]
    );
    assert!(error("[permissions]\nwrite = \"tmp\"").ends_with("help: in brackets: `write = [\"tmp\"]`"));
    for (net, message, help) in [
        (
            "[\"*\", \"https://a.example\"]",
            "2:13: `net` must hold hosts, not \"https://a.example\"",
            "without a scheme",
        ),
        ("[\"127.1\"]", "2:8: `net` must hold hosts, not \"127.1\"", "four decimal numbers"),
        ("[\"a.example:0\"]", "2:8: `net` must hold hosts, not \"a.example:0\"", "from 1 to 65535"),
        ("[443]", "2:8: `net` must hold hosts, not 443", ""),
        ("true", "2:7: `net` must be an array of up to 1000 hosts, like [\"api.example.com:443\", ", ""),
        ("\"*:443\"", "2:7: `net` must be an array", "help: in brackets: `net = [\"*:443\"]`"),
        ("\"a b\"", "2:7: `net` must be an array", ""),
    ] {
        let text = format!("[permissions]\nnet = {net}\n");
        assert!(errors(&text)[0].starts_with(message) && errors(&text).len() == 1, "{}", error(&text));
        assert!(
            error(&text).contains(help) && error(&text).contains("help:") != help.is_empty(),
            "{}",
            error(&text)
        );
    }
    let many = |number| format!("permissions.net = [{}]", "\"a.example\",".repeat(number));
    assert_eq!(parse(&many(1000)).permissions.net.asked.len(), 1000);
    assert_eq!(errors(&many(1001)), ["1:19: `net` must hold at most 1000 hosts, not 1001"]);
    assert!(error("[permissions]\nnetwork = []").ends_with("help: did you mean `net`?"));
    assert!(error("net = []").ends_with("help: `net` belongs under [permissions]"));
    assert!(error("[permission]\nread = []").ends_with("help: did you mean [permissions]?"));
    assert!(error("[permissions]\nsystem = []").contains("unknown key `system`"));
    let manifest = parse("[permissions]\nread = [\n  \"a\",\n  \"b\",\n]\n");
    assert_eq!(
        manifest.written.diagnostic("permissions.read[1]", "gone").to_string(),
        "nexus.toml:4:3: gone\n4 |   \"b\",\n  |   ^^^"
    );
}

#[test]
fn behind_a_syntax_error_nothing_is_guessed() {
    // The unknown key above the broken line is certain, those below it are not.
    assert_eq!(
        errors("[project]\nmian = 1\n[http\nport = 8080\nprot = 1\n"),
        ["2:1: unknown key `mian` in [project]", "3:6: unclosed table, expected `]`"]
    );
    assert_eq!(errors("[assets]\nfolder = public\n"), ["2:10: text stands in quotes"]);
}

#[test]
fn a_duplicate_is_told_beside_the_other_problems() {
    assert_eq!(
        errors("[http]\nport = 1\nport = 2\nprot = 3\n"),
        ["3:1: the key `port` is set twice", "4:1: unknown key `prot` in [http]"]
    );
}

#[test]
fn what_turns_out_later_is_told_at_its_place() {
    let manifest = parse("\u{feff}[project]\r\nmain = \"a.js\"\r\n");
    assert_eq!(
        manifest.written.diagnostic("project.main", "there is no such file").to_string(),
        "nexus.toml:2:8: there is no such file\n2 | main = \"a.js\"\n  |        ^^^^^^",
    );
    assert_eq!(manifest.written.diagnostic("http.port", "taken").to_string(), "nexus.toml: taken");
}

#[test]
fn a_file_full_of_problems_is_told_in_part() {
    let lines = |line: &dyn Fn(usize) -> String| (0..20_000).map(line).collect::<String>();
    for text in [
        lines(&|index| format!("k{index}=1\n")),
        lines(&|index| format!("k{}=1\n", index % 10_000)),
        lines(&|_| "[http]\n".to_owned()),
        lines(&|_| "x y\n".to_owned()),
    ] {
        let problems = Manifest::parse(&text, "nexus.toml", "shop").unwrap_err();
        assert_eq!(problems.len(), Diagnostics::MAX);
        assert!(problems.to_string().ends_with(" more"));
    }
}

#[test]
fn a_key_like_a_path_does_not_reach_another_table() {
    assert!(error("\"http.port\" = 1").contains("unknown key `http.port`"));
    assert!(error("[\"http.port\"]").contains("unknown table"));
    assert!(error("[env]\n\"A.B\" = \"c\"").contains("no name of a variable"));
}
