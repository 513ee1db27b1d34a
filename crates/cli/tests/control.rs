//! The API that manages a host, and the commands that talk to it.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use harness::{Client, Folder, Managed, Start, run, until};
use serde_json::{Value, json};

const APP: &str = r#"
console.log("loaded");
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/fail") throw new Error("no");
    if (pathname === "/wait") await new Promise((resolve) => setTimeout(resolve, 300));
    console.log(`asked for ${pathname}`);
    return new Response("ok");
  },
};
"#;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn only_the_hosts_user_can_open_the_socket_and_a_network_address_needs_a_token() {
    let host = Managed::new(&[("shop/index.js", APP)]);
    let path = host.folder.path().join("data/nexus.sock");
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);

    let folder = Folder::new(&[("shop/index.js", APP), ("token", TOKEN), ("short", "secret")]);
    for args in [&["--control-token-file", "short"][..], &[]] {
        let line = [&["serve", "shop", "--port", "0", "--control", "127.0.0.1:0"], args].concat();
        let output = run(folder.path(), &line);
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.contains("token"), "{output:?}");
    }
    let args = ["--control", "127.0.0.1:0", "--control-token-file", "token"];
    let nexus = Start::in_folder(folder.path()).path("shop").args(&args).start();
    let url = nexus.message("serving the control API")["url"].as_str().unwrap().to_owned();
    let address = url.strip_prefix("http://").unwrap();
    let ask = |client: &mut Client, header: &str| {
        let headers: &[&str] = if header.is_empty() { &[] } else { &[header] };
        client.request("GET", "/v1/apps", headers, b"")
    };
    for wrong in
        ["", "Authorization: Bearer 0123456789abcdef", "Authorization: Bearer", "Authorization: Basic x"]
    {
        let mut client = Client::connect(address);
        let answer = ask(&mut client, wrong);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{wrong}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(client.is_closed(), "whoever has no token keeps no connection");
    }
    let mut client = Client::connect(address);
    for _ in 0..2 {
        assert_eq!(ask(&mut client, &format!("Authorization: Bearer {TOKEN}")).status, 200);
    }
    let refused = run(folder.path(), &["ps", "--host", address]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--token-file"), "{refused:?}");
    let listed = run(folder.path(), &["ps", "--host", address, "--token-file", "token"]);
    assert!(listed.code == Some(0) && listed.stdout.contains("shop"), "{listed:?}");
    // It has no data folder, so nothing can be deployed.
    let refused =
        run(folder.path(), &["deploy", "shop", "--name", "new", "--host", address, "--token-file", "token"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--data FOLDER"), "{refused:?}");
    assert!(!nexus.lines().iter().any(|line| line.contains(TOKEN)));
}

/// Whether a value is what a type of the description says.
fn fits(value: &Value, schema: &Value, all: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return fits(value, &all["components"]["schemas"][name], all);
    }
    if let Some(choices) = schema["enum"].as_array() {
        return choices.contains(value).then_some(()).ok_or(format!("{value} is none of {choices:?}"));
    }
    if let Some(only) = schema.get("const") {
        return (value == only).then_some(()).ok_or(format!("{value} is not {only}"));
    }
    let is = |kind: &str| match kind {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        kinds => kinds.as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect(),
    };
    if !kinds.iter().any(|kind| is(kind)) {
        return Err(format!("{value} is no {kinds:?}"));
    }
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        items.iter().try_for_each(|item| fits(item, schema, all))?;
    }
    if let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
        for name in schema["required"].as_array().into_iter().flatten() {
            object.get(name.as_str().unwrap()).ok_or(format!("{name} is missing in {value}"))?;
        }
        for (name, value) in object {
            let schema = properties.get(name).ok_or(format!("{name} is not described"))?;
            fits(value, schema, all).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}

#[test]
fn answers_are_as_the_api_describes_them() {
    let host = Managed::new(&[("shop/index.js", APP)]);
    let description = host.ask("GET", "/v1/openapi.json", b"").json();
    assert_eq!(description["openapi"], "3.1.0");
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let check = |method: &str, path: &str, answer: &harness::Response| {
        let pattern = path.split('?').next().unwrap().replace("/shop", "/{name}").replace("/none", "/{name}");
        let operation = &description["paths"][&pattern][method.to_lowercase()];
        let described = &operation["responses"][answer.status.to_string()];
        let schema = &described["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path}: {} is not described", answer.status);
        fits(&answer.json(), schema, &description).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    };
    host.done(&["deploy", "shop"]);
    host.get("shop");
    for (method, path, status) in [
        ("GET", "/v1/openapi.json", 200),
        ("GET", "/v1/apps", 200),
        ("GET", "/v1/apps/shop", 200),
        ("GET", "/v1/apps/none", 404),
        ("PUT", "/v1/apps/shop", 400),
        ("POST", "/v1/apps/shop/rollback", 404),
        ("POST", "/v1/apps/shop/rollback?to=x", 400),
        ("POST", "/v1/apps/shop/rollback?to=1", 200),
        ("POST", "/v1/apps/shop/stop", 200),
        ("PUT", "/v1/apps/none", 400),
        ("POST", "/v1/apps/shop/start", 200),
        ("GET", "/v1/apps/none/logs", 404),
        ("GET", "/v1/apps/shop/logs?tail=x", 400),
        ("DELETE", "/v1/apps/shop", 200),
        ("DELETE", "/v1/apps/shop", 404),
    ] {
        let answer = host.ask(method, path, b"");
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        check(method, path, &answer);
    }
    assert_eq!(host.ask("GET", "/metrics", b"").status, 404);
    let answer = host.ask("POST", "/v1/apps", b"");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
}

#[test]
fn the_status_tells_state_limits_and_usage() {
    let manifest = "[limits]\nmemory = \"64 MB\"\n[scale]\nidle = \"100 ms\"\n";
    let host = Managed::new(&[("shop/index.js", APP), ("shop/nexus.toml", manifest)]);
    host.done(&["deploy", "shop"]);
    let mut client = Client::connect(&host.address("shop"));
    assert_eq!((client.get("/").status, client.get("/fail").status), (200, 500));
    until("both to be counted", || {
        let usage = host.status("shop")["usage"].clone();
        (usage["requests"] == 2 && usage["errors"] == 1 && usage["p99_seconds"].is_number()).then_some(())
    });
    assert_eq!(host.status("shop")["limits"]["memory"], 64 << 20);
    drop(client);
    until("it to sleep", || (host.status("shop")["state"] == "asleep").then_some(()));
    let table = host.done(&["ps"]);
    assert!(table.starts_with("APP ") && table.contains("asleep"), "{table}");
    let detail = host.done(&["ps", "shop"]);
    assert!(detail.contains("VERSION") && detail.contains("limits"), "{detail}");
}

#[test]
fn top_shows_each_app_with_its_rates() {
    // On a busy machine it would get a helper.
    let manifest = "[scale]\nworkers = 1\n";
    let host = Managed::new(&[("shop/index.js", APP), ("shop/nexus.toml", manifest)]);
    host.done(&["deploy", "shop"]);
    let address = host.address("shop");
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Client::connect(&address);
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                client.get("/");
            }
        });
        let top = host.json(&["top", "--once"]);
        let row = &top["apps"][0];
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!((&row["name"], &row["workers"]), (&json!("shop"), &json!(1)), "{top}");
        assert!(
            row["requests_per_second"].as_f64().unwrap() > 0.0 && row["p99_seconds"].is_number(),
            "{top}"
        );
    });
    let table = host.done(&["top"]);
    assert!(table.starts_with("APP ") && table.contains("REQUESTS/S") && table.contains("shop"), "{table}");
}

/// Runs the rest of its arguments on a terminal, until the screen was drawn twice; then types Ctrl-C. Prints all that was
/// written, and last the exit code.
const TERMINAL: &str = r#"
import os, pty, signal, sys
signal.alarm(60)
child, terminal = pty.fork()
if not child:
    os.execv(sys.argv[1], sys.argv[1:])
written = b""
try:
    while written.count(b"\x1b[H") < 2:
        written += os.read(terminal, 65536)
    os.write(terminal, b"\x03")
    while True:
        written += os.read(terminal, 65536)
except OSError:
    pass
sys.stdout.buffer.write(written)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

#[test]
fn top_draws_on_a_terminals_other_screen_and_leaves_it_as_it_was() {
    let host = Managed::new(&[("shop/index.js", APP)]);
    host.done(&["deploy", "shop"]);
    let top = [env!("CARGO_BIN_EXE_nexus"), "top", "--host", &host.socket()];
    let output = Command::new("python3").args(["-c", TERMINAL]).args(top).output().unwrap();
    let written = String::from_utf8(output.stdout).unwrap();
    assert!(written.starts_with("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H"), "{written:?}");
    assert!(written.ends_with("\x1b[?7h\x1b[?25h\x1b[?1049l0\n"), "{written:?}");
    assert!(written.contains("1 apps") && written.contains("shop") && written.contains("P99"), "{written:?}");
}

#[test]
fn logs_are_shown_and_followed() {
    let host = Managed::new(&[("shop/index.js", APP), ("blog/index.js", APP)]);
    host.done(&["deploy", "shop"]);
    host.done(&["deploy", "blog"]);
    let shop = host.address("shop");
    Client::connect(&shop).get("/first");
    let socket = host.socket();
    let mut child = Command::new(env!("CARGO_BIN_EXE_nexus"))
        .args(["logs", "shop", "-f", "--host", &socket])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("info  asked for /first")));
    Client::connect(&host.address("blog")).get("/other");
    Client::connect(&shop).get("/second");
    let next = lines.find(|line| line.contains("asked for")).unwrap();
    assert!(next.ends_with("asked for /second"), "another app's line is not shown: {next}");
    // It ends with the app.
    host.done(&["rm", "shop"]);
    assert!(lines.any(|line| line.contains("the app was removed")));
    host.done(&["deploy", "shop"]);
    let _ = child.kill();
    child.wait().unwrap();
    until("the lines to be there", || {
        host.done(&["logs", "blog"]).contains("asked for /other").then_some(())
    });
    let printed = host.done(&["logs", "blog", "--json", "-n", "1"]);
    let line: Value = serde_json::from_str(printed.trim_end()).unwrap();
    assert_eq!((&line["app"], &line["message"]), (&json!("blog"), &json!("asked for /other")));
    assert!(host.refused(&["logs", "none"], 2).contains("there is no app `none`"));
}

#[test]
fn a_host_that_is_drained_finishes_its_requests_and_ends_with_0() {
    let mut host = Managed::new(&[("shop/index.js", APP)]);
    host.done(&["deploy", "shop"]);
    let mut client = Client::connect(&host.address("shop"));
    client.send_request("GET", "/wait", &[], b"");
    until("the request to begin", || (host.status("shop")["usage"]["in_flight"] == 1).then_some(()));
    assert!(host.done(&["drain"]).contains("finishes what it has in flight"));
    assert_eq!(client.response().text(), "ok");
    assert_eq!(host.nexus.wait().code(), Some(0));
    let refused = host.refused(&["ps"], 3);
    assert!(
        refused.contains("no host answers at unix:") && refused.contains("nexus serve --data"),
        "{refused}"
    );
}

#[test]
fn a_data_folder_is_one_hosts_and_several_hosts_have_none() {
    let host = Managed::new(&[("shop/index.js", APP)]);
    let args = ["serve", "--data", "data", "--control", "unix:other.sock", "--port", "0"];
    let second = run(host.folder.path(), &args);
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(second.stderr.contains("another host uses this data folder"), "{second:?}");
    let several =
        run(host.folder.path(), &["serve", "shop", "--data", "more", "--hosts", "2", "--port", "0"]);
    assert!(several.code == Some(2) && several.stderr.contains("--hosts 1"), "{several:?}");
    let nothing = run(host.folder.path(), &["serve"]);
    assert!(nothing.code == Some(2) && nothing.stderr.contains("nothing to serve"), "{nothing:?}");
}
