//! Values of a manifest that go together, and those that do not.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::manifest::tests::{error, errors, parse};
use crate::source::assert_within;
use crate::{Access, GrantedAccess, Isolation, Manifest, Routes, Scale, Switches};
use proptest::prelude::*;

const FULL: &str = r#"
[project]
main = "index.js"
isolation = "request"

[http]
port = 8000
hosts = ["Shop.example", "*.shop.example", "::1"]
paths = ["/api", "/users/:id", "/files/*"]

[scale]
idle = "5 m"
min_workers = 1
workers = 8

[[routes]]
path = "/admin/*"
module = "./admin.js"

[[routes]]
path = "/users/:id"
module = "src/users.mjs"
"#;

#[test]
fn where_and_how_an_app_is_served_is_read() {
    let manifest = parse(FULL);
    assert_eq!(manifest.isolation, Isolation::Request);
    let shown = |list: Vec<String>| list.join(" ");
    assert_eq!(manifest.http.port, Some(8000));
    assert_eq!(
        shown(manifest.http.hosts.iter().map(ToString::to_string).collect()),
        "shop.example *.shop.example [::1]"
    );
    assert_eq!(
        shown(manifest.http.paths.iter().map(ToString::to_string).collect()),
        "/api /users/:id /files/*"
    );
    assert!(manifest.http.is_shared());
    assert_eq!(manifest.scale, Scale { idle: Some(Duration::from_secs(300)), min_workers: 1, workers: 8 });
    let routes: Vec<_> =
        manifest.routes.iter().map(|route| (route.path.to_string(), route.module.as_str())).collect();
    assert_eq!(routes, [("/admin/*".into(), "admin.js"), ("/users/:id".into(), "src/users.mjs")]);
    assert!(Routes::new(manifest.routes.iter().map(|route| route.path.clone())).is_ok());
    assert_eq!(
        manifest.written.diagnostic("routes[1].module", "gone").to_string(),
        "nexus.toml:22:10: gone\n22 | module = \"src/users.mjs\"\n   |          ^^^^^^^^^^^^^^^"
    );
    assert_eq!(manifest.written.line("routes[0]"), Some(16));
}

#[test]
fn without_a_word_an_app_has_a_port_of_its_own_and_four_workers() {
    let manifest = parse("[http]\nhosts = []\n");
    assert!(!manifest.http.is_shared() && manifest.routes.is_empty());
    assert_eq!((manifest.isolation, manifest.scale), (Isolation::Worker, Scale::default()));
    assert!(parse("http.paths = [\"/\"]").http.is_shared());
    assert!(parse("routes = []").routes.is_empty());
    let inline = parse("routes = [{ path = \"/a\", module = \"a.mjs\" }]");
    assert_eq!(inline.routes[0].module, "a.mjs");
}

#[test]
fn workers_end_after_a_time_or_never() {
    let idle = |text: &str| parse(&format!("[scale]\nidle = {text}\n")).scale.idle;
    assert_eq!(idle("\"never\""), None);
    assert_eq!(idle("90"), Some(Duration::from_secs(90)));
    assert_eq!(idle("\"1 ms\""), Some(Duration::from_millis(1)));
    assert_eq!(idle("\"24 h\""), Some(Duration::from_secs(86_400)));
    assert_eq!(
        error("[scale]\nidle = \"none\"\n"),
        "nexus.toml:2:8: `idle` must be a time from 1 ms to 24 h, like \"30 s\", or a number of seconds, or \
         \"never\", not \"none\"\n2 | idle = \"none\"\n  |        ^^^^^^\n\
         help: a time is a whole number and ms, s, m or h, like `30 s`",
    );
    for bad in ["0", "\"25 h\"", "-1", "true", "\"Never\""] {
        assert!(error(&format!("[scale]\nidle = {bad}\n")).contains("`idle` must be a time"), "{bad}");
    }
    assert!(error("scale.idle = 0.5").ends_with("write `idle = \"500 ms\"`"));
}

#[test]
fn as_many_workers_are_kept_as_there_may_be() {
    assert_eq!(parse("[scale]\nmin_workers = 4\n").scale.min_workers, 4);
    assert_eq!(parse("[scale]\nmin_workers = 32\nworkers = 32\n").scale.workers, 32);
    assert_eq!(
        error("[scale]\nworkers = 2\nmin_workers = 3\n"),
        "nexus.toml:3:15: `min_workers` is 3, above `workers`, which is 2 in line 2\n3 | min_workers = 3\n  \
         |               ^\nhelp: lower it, or set `workers = 3`",
    );
    assert_eq!(
        errors("[scale]\nmin_workers = 5\n"),
        ["2:15: `min_workers` is 5, above `workers`, which is 4 if it is not set"]
    );
    assert_eq!(
        errors("[scale]\nmin_workers = 33\nworkers = 0\n"),
        [
            "2:15: `min_workers` must be a whole number from 0 to 32, not 33",
            "3:11: `workers` must be a whole number from 1 to 32, not 0",
        ]
    );
}

#[test]
fn a_host_or_path_that_is_none_is_told_at_its_place() {
    assert_eq!(
        error("[http]\nhosts = [\"a.x\", \"shop.example:80\"]\n"),
        "nexus.toml:2:17: `hosts` must hold host names, not \"shop.example:80\"\n\
         2 | hosts = [\"a.x\", \"shop.example:80\"]\n  |                 ^^^^^^^^^^^^^^^^^\n\
         help: a host is written without a port, as `shop.example`; that is `port` under [http]",
    );
    assert_eq!(
        error("[http]\npaths = [\n  \"/a\",\n  \"api\",\n]\n"),
        "nexus.toml:4:3: `paths` must hold paths that start with `/`, not \"api\"\n4 |   \"api\",\n  |   ^^^^^\n\
         help: a path starts with `/`: `/api`",
    );
    assert!(error("http.hosts = \"a.x\"").ends_with("help: in brackets: `hosts = [\"a.x\"]`"));
    assert!(error("http.paths = \"/a\"").ends_with("help: in brackets: `paths = [\"/a\"]`"));
    let many = |count: usize| (0..count).map(|n| format!("\"/{n}\"")).collect::<Vec<_>>().join(", ");
    assert_eq!(parse(&format!("http.paths = [{}]", many(100))).http.paths.len(), 100);
    let told = errors(&format!("http.paths = [{}]", many(101)));
    assert_eq!(told, ["1:14: `paths` must hold at most 100 paths that start with `/`, not 101"]);
}

#[test]
fn what_is_there_twice_is_told_with_both_lines() {
    assert_eq!(
        error(
            "[[routes]]\npath = \"/u/:a\"\nmodule = \"a.js\"\n\
             [[routes]]\nmodule = \"b.js\"\npath = \"/u/:b\"\n"
        ),
        "nexus.toml:6:8: `/u/:b` is there twice: it matches what `/u/:a` matches\n6 | path = \"/u/:b\"\n  \
         |        ^^^^^^^\nhelp: it is in line 2 already; remove one",
    );
    assert_eq!(
        errors("[http]\nhosts = [\"a.x\", \"A.X.\", \"*.a.x\"]\npaths = [\"/a\", \"/a/*\", \"/%61\"]\n"),
        ["2:17: `a.x` is there twice", "3:24: `/a` is there twice"]
    );
}

#[test]
fn a_route_has_a_path_and_a_module_that_can_be_one() {
    assert_eq!(
        error("[[routes]]\npath = \"/a\"\n"),
        "nexus.toml:1:1: [[routes]] needs the key `module`\n1 | [[routes]]\n  | ^^^^^^^^^^\n\
         help: `module` must be the path of a `.js` or `.mjs` module inside the app's folder, in quotes",
    );
    for (route, told) in [
        ("path = \"a\"\nmodule = \"a.js\"", "2:8: `path` must be a path that starts with `/`"),
        ("path = \"/a/\"\nmodule = \"a.js\"", "help: leave out the `/` at the end"),
        ("path = \"/a\"\nmodule = \"../a.js\"", "help: a path with `..` could leave the app's folder"),
        ("path = \"/a\"\nmodule = \"/a.js\"", "help: the path is relative to the app's folder"),
        ("path = \"/a\"\nmodule = \"a.wasm\"", "help: `.wasm` files are no JavaScript modules; `.js` and"),
        ("path = \"/a\"\nmodule = \"a\"", "help: the file's name ends in `.js` or `.mjs`"),
        ("path = \"/a\"\nmodul = \"a.js\"", "3:1: unknown key `modul` in [[routes]]"),
        ("path = \"/a\"\nmodul = \"a.js\"", "help: did you mean `module`?"),
        ("colour = 1\npath = \"/a\"\nmodule = \"a.js\"", "help: [[routes]] takes `path`, `module`"),
        ("pattern = \"/a\"\nmodule = \"a.js\"", "help: did you mean `path`?"),
    ] {
        let error = error(&format!("[[routes]]\n{route}\n"));
        assert!(error.contains(told), "{route}\n{error}");
    }
}

#[test]
fn routes_that_are_no_array_of_tables_are_told_how_to_write_them() {
    assert_eq!(
        error("[routes]\npath = \"/a\"\nmodule = \"a.js\"\n"),
        "nexus.toml:1:2: `routes` is an array of tables, not a table\n1 | [routes]\n  |  ^^^^^^\n\
         help: write `[[routes]]`, in double brackets, for each of them",
    );
    let own = "help: write `[[routes]]` on a line of its own, and its keys below it";
    assert!(error("routes = 5").ends_with(own));
    let told = error("routes = [{ path = \"/a\", module = \"a.js\" }, \"/b\"]");
    assert!(
        told.starts_with("nexus.toml:1:45: `routes` must hold tables, not \"/b\"") && told.ends_with(own)
    );
    assert!(error("[[route]]\npath = \"/a\"\n").starts_with("nexus.toml:1:3: unknown table [[route]]"));
    assert!(error("[[route]]\npath = \"/a\"\n").ends_with("help: did you mean [[routes]]?"));
    assert!(error("[route]\npath = \"/a\"\n").ends_with("help: did you mean [[routes]]?"));
    assert!(error("[http]\nmodule = \"a.js\"\n").ends_with("help: `module` belongs under [[routes]]"));
    assert!(error("[\"routes[0]\"]\npath = \"/a\"\n").contains("unknown table [routes[0]]"));
    assert!(errors("[[routes]]\npath = \"/a\"\n[http\n").iter().all(|told| !told.contains("needs")));
}

#[test]
fn a_misspelt_key_finds_its_word() {
    for (text, help) in [
        ("[scale]\nmax_workers = 2", "did you mean `workers`?"),
        ("[scale]\nminWorkers = 2", "did you mean `min_workers`?"),
        ("[scale]\nidle_timeout = 2", "did you mean `idle`?"),
        ("[http]\nhost = \"a.x\"", "did you mean `hosts`?"),
        ("[http]\npath = \"/a\"", "did you mean `paths`?"),
        ("[http]\ndomains = [\"a.x\"]", "did you mean `hosts`?"),
        ("[project]\nisolaton = \"worker\"", "did you mean `isolation`?"),
        ("[http]\nmin_workers = 2", "`min_workers` belongs under [scale]"),
        ("[scales]\nworkers = 2", "did you mean [scale]?"),
        ("[project]\nisolation = \"requests\"", "did you mean \"request\"?"),
        ("[http]\nidle = 1", "`idle` belongs under [scale] or [limits]"),
    ] {
        assert!(error(text).ends_with(&format!("help: {help}")), "{}", error(text));
    }
}

#[test]
fn what_is_for_javascript_is_refused_beside_a_webassembly_main_file() {
    let text = "[project]\nmain = \"a.wasm\"\nisolation = \"request\"\n\
                [[routes]]\npath = \"/\"\nmodule = \"a.js\"\n";
    assert_eq!(
        errors(text),
        [
            "3:13: `isolation` is for JavaScript, and the main file `a.wasm` is WebAssembly",
            "4:3: [[routes]] are for JavaScript, and the main file `a.wasm` is WebAssembly",
        ]
    );
    assert!(error(text).contains("set `reuse` under [wasm]"));
    assert_eq!(parse("[project]\nmain = \"a.wasm\"\nisolation = \"worker\"").isolation, Isolation::Worker);
    // The main file may also be found, or named on the command line.
    let manifest = parse(FULL);
    assert!(manifest.fits("other.mjs").is_ok());
    assert_eq!(manifest.fits("app.wasm").unwrap_err().len(), 2);
    assert!(parse("").fits("app.wasm").is_ok());
}

#[test]
fn triggers_are_read_and_are_for_javascript() {
    let text = "[triggers]\ncron = [\"*/5 * * * *\", \"@daily\"]\n";
    let manifest = parse(text);
    assert_eq!(manifest.triggers.cron[1].as_str(), "@daily");
    assert!(manifest.fits("a.js").is_ok() && parse("").fits_static_files().is_ok());
    let wasm = manifest.fits("a.wasm").unwrap_err().to_string();
    assert!(wasm.starts_with(
        "nexus.toml:2:8: `triggers` are for JavaScript, and the main file `a.wasm` is WebAssembly"
    ));
    let files = manifest.fits_static_files().unwrap_err().to_string();
    assert!(files.contains("`triggers` are for JavaScript, and the app has static files only"));
    assert_eq!(
        error("[triggers]\ncron = [\"* * * * *\", \"0 0 30 2 *\"]\n"),
        "nexus.toml:2:22: `cron` must hold cron patterns, not \"0 0 30 2 *\"\n2 | cron = [\"* * * * *\", \"0 0 30 2 *\"]\n  |                      ^^^^^^^^^^^^\nhelp: no such day ever comes",
    );
    assert_eq!(
        errors("triggers.cron = [\"0 9 * * MON\", \"0 9  * * 1\"]"),
        ["1:33: `0 9  * * 1` is there twice: it matches what `0 9 * * MON` matches"]
    );
    let many = (0..33).map(|n| format!("\"{n} * * * *\"")).collect::<Vec<_>>().join(", ");
    let told = errors(&format!("triggers.cron = [{many}]"));
    assert_eq!(told, ["1:17: `cron` must hold at most 32 cron patterns, not 33"]);
    assert!(error("triggers.cron = \"@daily\"").ends_with("help: in brackets: `cron = [\"@daily\"]`"));
}

#[test]
fn a_name_leads_to_one_thing() {
    let text = "[permissions]\nenv = [\"A\", \"B\"]\n[env]\nA = \"1\"\n[bindings]\nB = { kv = \"b\" }\nC = { kv = \"c\" }\n\
                [secrets]\nC = { from = \"file:c\" }\nD = { from = \"env:D\" }\n";
    assert_eq!(
        errors(text),
        [
            "2:8: `A` is the name of a variable, too",
            "6:1: `B` is the name of a variable of the host, too",
            "9:1: `C` is the name of a binding, too",
        ]
    );
    assert!(error(text).contains("help: the binding is in line 7; give one of the two another name"));
    assert_eq!(errors("permissions.env = [\"A\", \"A\"]"), ["1:25: `A` is there twice"]);
}

#[test]
fn a_secret_says_where_it_is_from() {
    let manifest = parse("[secrets]\nTOKEN = { from = \"file:token\" }\nKEY = { from = \"env:KEY\" }\n");
    let told: Vec<String> =
        manifest.secrets.iter().map(|secret| format!("{} {}", secret.name, secret.from)).collect();
    assert_eq!(told, ["TOKEN file:token", "KEY env:KEY"]);
    let wrong = error("[secrets]\nTOKEN = { from = \"file:../token\" }\n");
    assert!(wrong.contains("2:18: `from` must be `file:NAME` or `env:NAME`, in quotes"), "{wrong}");
    assert!(wrong.contains("help: a secret's file is no path"), "{wrong}");
    assert!(error("[secrets]\nTOKEN = \"x\"\n").contains("`TOKEN` must be a table with `from`"));
    assert!(error("[secrets]\nTOKEN = {}\n").contains("[secrets] needs the key `from`"));
    let many: String = (0..101).map(|n| format!("S{n} = {{ from = \"file:a\" }}\n")).collect();
    assert_eq!(errors(&format!("[secrets]\n{many}")), ["102:1: [secrets] has 101 secrets, and 100 at most"]);
    let told = errors("permissions.env = [\"A-B\"]");
    assert_eq!(told, ["1:20: `env` must hold names of variables, not \"A-B\""]);
}

#[test]
fn variables_and_secrets_of_the_host_are_there_as_far_as_they_are_granted() {
    let text = "[permissions]\nenv = [\"REGION\"]\n[secrets]\nA = { from = \"file:a\" }\nB = { from = \"env:B\" }\nC = { from = \"env:C\" }\n";
    let mut manifest = parse(text);
    let told = |manifest: &Manifest| -> String {
        let variables = manifest.granted_variables().map(ToString::to_string);
        let secrets = manifest.granted_secrets().map(|secret| secret.name.to_string());
        variables.chain(secrets).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(told(&manifest), "REGION A B C");
    let cells: Vec<GrantedAccess> = (0..3).map(|_| GrantedAccess::default()).collect();
    manifest.permissions.granted.env = Switches::new(&manifest.name, cells.iter().cloned());
    assert_eq!(told(&manifest), "A");
    cells[2].set(Some(Access::Read));
    assert_eq!(told(&manifest), "A C");
    cells[0].set(Some(Access::Read));
    assert_eq!(told(&manifest), "REGION A C");
}

proptest! {
    #[test]
    fn a_manifest_with_a_slip_is_read_or_has_errors_within_it(
        at in any::<prop::sample::Index>(), cut in 0usize..12,
        insert in "([\\[\\]{}=.,\"'#\\\\\n/:*é-]|[a-z]|[0-9]){0,4}",
    ) {
        let mut text = FULL.to_owned();
        let start = at.index(text.len() + 1);
        text.replace_range(start..(start + cut).min(text.len()), &insert);
        if let Err(problems) = Manifest::parse(&text, "nexus.toml", "shop") {
            prop_assert!(!problems.is_empty());
            problems.iter().for_each(|problem| assert_within(problem, &text));
        }
    }

    #[test]
    fn a_list_without_repetition_is_read_as_it_is(
        paths in prop::collection::btree_set("/[a-z]{1,6}(/:[a-z]{1,3})?(/\\*)?", 0..20),
        hosts in prop::collection::btree_set("(\\*\\.)?[a-z]{1,5}\\.[a-z]{2,5}", 0..20),
    ) {
        let list = |texts: &BTreeSet<String>| format!("{:?}", texts.iter().collect::<Vec<_>>());
        let text = format!("[http]\nhosts = {}\npaths = {}\n", list(&hosts), list(&paths));
        let manifest = match Manifest::parse(&text, "nexus.toml", "shop") {
            Ok(manifest) => manifest,
            // Two names in the same place are the same path.
            Err(problems) => {
                prop_assert!(problems.iter().all(|problem| problem.message.contains("is there twice")));
                return Ok(());
            }
        };
        let read: Vec<String> = manifest.http.paths.iter().map(ToString::to_string).collect();
        prop_assert_eq!(read, paths.into_iter().collect::<Vec<_>>());
        let read: Vec<String> = manifest.http.hosts.iter().map(ToString::to_string).collect();
        prop_assert_eq!(read, hosts.into_iter().collect::<Vec<_>>());
    }
}
