//! The examples do what they show.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Folder, Nexus, Output, Start, Upstream, run};
use serde_json::json;

/// Those that are no apps as they are: a program, and a service that is put together in target/examples.
const NO_APPS: [&str; 2] = ["wasm-files", "wasm-python"];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn serve() -> Nexus {
    Nexus::serve(&examples())
}

#[test]
fn all_of_them_are_in_order_and_served() {
    let output = run(&examples(), &["check", "."]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let nexus = serve();
    for entry in std::fs::read_dir(examples()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() && !NO_APPS.contains(&&*name) {
            nexus.address(&name);
        }
    }
    assert!(nexus.messages("not served").is_empty());
}

#[test]
fn hello_greets_with_the_path() {
    assert_eq!(serve().get("hello", "/you?x").text(), "Hello from /you\n");
}

#[test]
fn shortener_makes_links_that_lead_there_also_after_a_restart() {
    let storage = Folder::new(&[]);
    let serve = || {
        let folder = storage.path().to_str().unwrap().to_owned();
        Start::in_folder(&examples()).path("shortener").args(&["--storage", &folder]).start()
    };
    let nexus = serve();
    let mut client = nexus.client("shortener");
    let made = client.request("POST", "/", &[], b"https://example.org/a?b=c");
    assert_eq!(made.status, 201, "{}", made.text());
    let link = made.text();
    let id = link.trim().rsplit('/').next().unwrap().to_owned();
    assert_eq!(id.len(), 6);
    drop(nexus);
    let nexus = serve();
    let mut client = nexus.client("shortener");
    let redirect = client.get(&format!("/{id}"));
    assert_eq!((redirect.status, redirect.header("location")), (302, Some("https://example.org/a?b=c")));
    let listed = client.get("/").json();
    assert_eq!((&listed["links"][0]["id"], &listed["next"]), (&json!(id), &json!(null)));
    assert_eq!(client.get("/none").status, 404);
    assert_eq!(client.request("POST", "/", &[], b"no URL").status, 400);
}

#[test]
fn todo_keeps_its_list() {
    let storage = Folder::new(&[]);
    let folder = storage.path().to_str().unwrap();
    let nexus = Start::in_folder(&examples()).path("todo").args(&["--storage", folder]).start();
    let mut client = nexus.client("todo");
    assert!(client.get("/").text().contains("<title>To do</title>"));
    assert_eq!(client.get("/api/items").json(), json!([]));
    let added = client.request("POST", "/api/items", &[], br#"{"text":"buy milk"}"#);
    assert_eq!((added.status, added.json()), (201, json!({ "id": 1, "text": "buy milk", "done": 0 })));
    client.request("POST", "/api/items", &[], br#"{"text":"sleep"}"#);
    assert_eq!(client.request("PUT", "/api/items/1", &[], br#"{"done":true}"#).status, 204);
    assert_eq!(client.request("PUT", "/api/items/9", &[], br#"{"done":true}"#).status, 404);
    let listed = client.get("/api/items").json();
    assert_eq!((&listed[0]["text"], &listed[1]["done"]), (&json!("sleep"), &json!(1)));
    assert_eq!(client.request("DELETE", "/api/items", &[], b"").json(), json!({ "deleted": 1 }));
    assert_eq!(client.get("/api/items").json(), json!([{ "id": 2, "text": "sleep", "done": 0 }]));
    // What a client may do wrong.
    assert_eq!(client.request("POST", "/api/items", &[], br#"{"text":""}"#).status, 400);
    assert_eq!(client.request("POST", "/api/items", &[], b"no JSON").status, 400);
    assert_eq!(client.request("PATCH", "/api/items", &[], b"").status, 405);
    assert_eq!(client.get("/api/items/x").status, 404);
}

#[test]
fn greeter_has_another_app_greet() {
    let nexus = serve();
    let page = nexus.get("greeter", "/?name=Ann%20%3Cb%3E");
    assert_eq!(
        (page.status, page.text().as_str()),
        (200, "<!doctype html><h1>Hello, Ann &#60;b&#62;!</h1>\n")
    );
    assert_eq!(nexus.get("greeter", "/").text(), "<!doctype html><h1>Hello, world!</h1>\n");
}

#[test]
fn report_sums_up_the_day_before() {
    let (storage, socket) = (Folder::new(&[]), Folder::new(&[]));
    let control = format!("unix:{}", socket.path().join("host.sock").display());
    let nexus = Start::in_folder(&examples())
        .path("report")
        .args(&["--storage", storage.path().to_str().unwrap(), "--control", &control])
        .start();
    let mut client = nexus.client("report");
    for path in ["/a", "/b", "/a"] {
        assert_eq!(client.get(path).text(), "counted\n");
    }
    // As if it was tomorrow.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let tomorrow = (now.as_millis() + 24 * 3_600_000).to_string();
    let run = run(&examples(), &["cron", "trigger", "report", "--time", &tomorrow, "--host", &control]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let line = nexus.message("reported 2 pages of ");
    let day = line["message"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    let report = client.get(&format!("/reports/{day}"));
    assert_eq!(report.text(), format!("Visits of {day}\n       2  /a\n       1  /b\n"));
    assert_eq!(client.get("/reports/2000-01-01").text(), "no report of that day\n");
}

#[test]
fn api_keeps_notes() {
    let nexus = serve();
    let mut client = nexus.client("api");
    assert_eq!(client.get("/").json(), json!({ "message": "Welcome to the notes", "notes": 1 }));
    let created = client.request("POST", "/notes", &[], br#"{"text":"buy milk"}"#);
    assert_eq!((created.status, created.header("location")), (201, Some("/notes/2")));
    assert_eq!(created.json(), json!({ "id": 2, "text": "buy milk" }));
    assert_eq!(nexus.message("added note 2")["app"], "api");
    assert_eq!(client.get("/notes/2").json()["text"], "buy milk");
    assert_eq!(client.get("/notes").json().as_array().unwrap().len(), 2);
    assert_eq!(client.request("DELETE", "/notes/2", &[], b"").status, 204);
    let missing = client.get("/notes/2");
    assert_eq!((missing.status, missing.json()), (404, json!({ "error": "note 2 is not there" })));
    let bad = client.request("POST", "/notes", &[], b"{");
    assert_eq!((bad.status, bad.json()), (400, json!({ "error": "the body is not JSON" })));
    assert_eq!(
        client.request("POST", "/notes", &[], b"{}").json(),
        json!({ "error": "a note needs a text" })
    );
    assert_eq!(client.request("POST", "/notes", &[], &vec![b'x'; 70_000]).status, 413);
}

/// An example with a manifest of the test's, for its own names what others have.
fn with_manifest(example: &str, manifest: &str) -> (Folder, Nexus) {
    let folder = Folder::new(&[]);
    let source = std::fs::read(examples().join(example).join("index.js")).unwrap();
    folder.write(&format!("{example}/index.js"), source);
    folder.write(&format!("{example}/nexus.toml"), manifest);
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

#[test]
fn proxy_passes_requests_and_responses_on() {
    let origin = Upstream::new(|asked| match asked.path() {
        "/moved?x=1" => asked.reply("302 Found", &["location: /there"], ""),
        _ => {
            let body = String::from_utf8(asked.body()).unwrap();
            let text = format!("{} {body}", asked.line);
            asked.reply("201 Created", &["x-origin: yes"], text);
        }
    });
    let (_folder, nexus) = with_manifest(
        "proxy",
        &format!("[env]\nORIGIN = \"http://{0}\"\n[permissions]\nnet = [\"{0}\"]\n", origin.address()),
    );
    let mut client = nexus.client("proxy");
    let passed = client.request("PUT", "/a/b", &["x-mine: 1"], b"body");
    assert_eq!((passed.status, passed.text().as_str()), (201, "PUT /a/b HTTP/1.1 body"));
    assert_eq!((passed.header("x-origin"), passed.header("via")), (Some("yes"), Some("1.1 nexus")));
    let moved = client.get("/moved?x=1");
    assert_eq!((moved.status, moved.header("location")), (302, Some("/there")));

    let (_folder, nexus) = with_manifest("proxy", "[env]\nORIGIN = \"http://localhost:1\"\n");
    assert_eq!(nexus.client("proxy").get("/").status, 502);
    assert!(nexus.message("the origin does not answer")["message"].as_str().unwrap().contains("EPERM"));
}

#[test]
fn summary_tells_what_three_servers_say_even_if_one_fails() {
    let source = Upstream::new(|asked| match asked.path() {
        "/json" => asked.reply("200 OK", &["content-type: application/json"], "{\"a\":1}"),
        "/text" => asked.reply("200 OK", &["content-type: text/plain"], "hello"),
        "/never" => asked.await_close(),
        _ => asked.reply("404 Not Found", &[], "nothing"),
    });
    let at = source.address();
    let summary = |sources: &str| {
        let (_folder, nexus) = with_manifest(
            "summary",
            &format!("[env]\nSOURCES = \"{sources}\"\n[permissions]\nnet = [\"{at}\"]\n"),
        );
        let response = nexus.client("summary").get("/");
        (response.status, response.json())
    };
    let json = format!("http://{at}/json");
    let text = format!("http://{at}/text");
    let missing = format!("http://{at}/missing");
    let never = format!("http://{at}/never");
    assert_eq!(
        summary(&format!("{json} {text} {missing}")),
        (
            200,
            json!([
                { "source": json, "body": { "a": 1 } },
                { "source": text, "body": "hello" },
                { "source": missing, "error": "status 404" },
            ])
        )
    );
    let denied = "http://localhost:1/";
    assert_eq!(
        summary(&format!("{never} {denied}")),
        (502, json!([{ "source": never, "error": "TimeoutError" }, { "source": denied, "error": "EPERM" }]))
    );
}

/// Makes keys while it is loaded, and signs what it is asked to.
const ISSUER: &str = r#"
const { subtle } = crypto;
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const text = (value) => base64url(new TextEncoder().encode(JSON.stringify(value)));
const rsa = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" };
const KINDS = {
  EdDSA: [{ name: "Ed25519" }, {}],
  ES256: [{ name: "ECDSA", namedCurve: "P-256" }, { hash: "SHA-256" }],
  RS256: [{ name: "RSASSA-PKCS1-v1_5", ...rsa }, {}],
  PS256: [{ name: "RSA-PSS", ...rsa }, { saltLength: 32 }],
};
const made = {};
for (const [alg, [params]] of Object.entries(KINDS)) made[alg] = await subtle.generateKey(params, true, ["sign", "verify"]);

export default {
  async fetch(request) {
    if (request.method === "GET") {
      const keys = Object.entries(made).map(async ([alg, { publicKey }]) => {
        const { key_ops, ext, ...jwk } = await subtle.exportKey("jwk", publicKey);
        return { ...jwk, alg, kid: alg };
      });
      return Response.json({ keys: await Promise.all(keys) });
    }
    const { head, claims } = await request.json();
    const signed = `${text({ typ: "JWT", kid: head.alg, ...head })}.${text(claims)}`;
    const key = KINDS[head.by ?? head.alg];
    const { privateKey } = made[head.by ?? head.alg];
    const signature = await subtle.sign({ name: key[0].name, ...key[1] }, privateKey, new TextEncoder().encode(signed));
    return new Response(`${signed}.${base64url(new Uint8Array(signature))}`);
  },
};
"#;

#[test]
fn tokens_lets_in_who_has_a_valid_token() {
    let nexus = serve();
    let token = std::fs::read_to_string(examples().join("tokens/token.txt")).unwrap();
    let ask = |nexus: &Nexus, token: &str| {
        let field = format!("authorization: Bearer {}", token.trim());
        let response = nexus.client("tokens").request("GET", "/", &[&field], b"");
        (response.status, response.text())
    };
    assert_eq!(ask(&nexus, &token).0, 200);
    let changed = token.trim_end().rsplit_once('.').unwrap().0.to_owned() + "." + &"A".repeat(86);
    assert_eq!(ask(&nexus, &changed), (401, "the signature is not right\n".into()));
    assert_eq!(nexus.client("tokens").get("/").text(), "there is no token\n");

    let folder = Folder::new(&[("issuer/index.js", ISSUER)]);
    folder.write("issuer/nexus.toml", "[limits]\nstartup = \"30 s\"\n");
    let issuer = Nexus::serve(folder.path());
    let keys = issuer.get("issuer", "/").text();
    let source = std::fs::read(examples().join("tokens/index.js")).unwrap();
    let folder = Folder::new(&[]);
    folder.write("tokens/index.js", source);
    folder.write("tokens/keys.json", keys);
    folder.write("tokens/nexus.toml", "[env]\nISSUER = \"me\"\nAUDIENCE = \"you\"\n");
    let nexus = Nexus::serve(folder.path());
    let right = json!({ "iss": "me", "aud": "you", "exp": 4_102_444_800_u64 });
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = right.clone();
        claims[name] = value;
        claims
    };
    let made = |head: serde_json::Value, claims: &serde_json::Value| {
        let asked = json!({ "head": head, "claims": claims }).to_string();
        issuer.client("issuer").request("POST", "/", &[], asked.as_bytes()).text()
    };
    for alg in ["EdDSA", "ES256", "RS256", "PS256"] {
        assert_eq!(ask(&nexus, &made(json!({ "alg": alg }), &right)), (200, right.to_string()), "{alg}");
    }
    let es = || json!({ "alg": "ES256" });
    for (token, why) in [
        (made(es(), &with("exp", json!(1))), "the token has expired"),
        (made(es(), &with("nbf", json!(4_102_444_800_u64))), "the token is not valid yet"),
        (made(es(), &with("iss", json!("other"))), "the token is of another issuer"),
        (made(es(), &with("aud", json!(["a", "b"]))), "the token is for somebody else"),
        (made(json!({ "alg": "ES256", "by": "EdDSA" }), &right), "the signature is not right"),
        (
            made(json!({ "alg": "none", "by": "EdDSA", "kid": "EdDSA" }), &right),
            "nobody known has signed the token",
        ),
        (made(json!({ "alg": "RS256", "by": "PS256" }), &right), "the signature is not right"),
        ("a.b.c".into(), "the token is none"),
    ] {
        assert_eq!(ask(&nexus, &token), (401, format!("{why}\n")));
    }
}

#[test]
fn routes_leads_from_its_host_and_paths_to_modules() {
    let nexus = serve();
    let ask = |host: &str, path: &str| {
        let response = nexus.client("routes").get_of(host, path);
        (response.status, response.text())
    };
    let host = "routes.localhost";
    assert_eq!(ask(host, "/"), (200, r#"["dune","solaris"]"#.into()));
    assert_eq!(ask(host, "/books/dune"), (200, r#"{"title":"Dune","author":"Frank Herbert"}"#.into()));
    assert_eq!(ask(host, "/books/%3Cb%3E"), (404, r#"{"error":"there is no book <b>"}"#.into()));
    assert_eq!(ask(host, "/files/a/b%2Fc"), (200, "you asked for a/b%2Fc\n".into()));
    assert_eq!(ask(host, "/other").0, 404);
    assert_eq!(ask("other.localhost", "/").0, 421);
}

#[test]
fn stream_ticks_while_it_is_read_and_stops_when_its_client_leaves() {
    let nexus = serve();
    let mut client = nexus.client("stream");
    client.send_request("GET", "/?ticks=3", &[], b"");
    let head = client.head();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    for tick in 1..=3 {
        assert_eq!(client.chunk().unwrap(), format!("data: tick {tick}\n\n").into_bytes());
    }
    assert_eq!(client.chunk(), None);
    nexus.message("started a clock of 3 ticks");
    assert_eq!(client.request("POST", "/echo", &[], b"some body").text(), "some body");

    client.send_request("GET", "/?ticks=1000", &[], b"");
    client.head();
    client.chunk();
    drop(client);
    nexus.message("the client left after tick");
    nexus.await_nothing_held("stream");
}

#[test]
fn page_serves_its_files_and_its_api() {
    let nexus = serve();
    let mut client = nexus.client("page");
    let page = client.get("/");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("<h1>A page on Nexus</h1>"));
    for file in ["/style.css", "/script.js"] {
        assert!(page.text().contains(file));
        let file = client.get(file);
        assert!(file.status == 200 && file.header("etag").is_some());
    }
    assert!(client.get("/api/uptime").json()["seconds"].is_number());
    assert_eq!(client.get("/gone").status, 404);
}

#[test]
fn wasm_c_and_wasm_rust_greet_whom_the_query_names() {
    let nexus = serve();
    for app in ["wasm-c", "wasm-rust"] {
        let greeting = nexus.get(app, "/greet?name=Ann");
        assert_eq!((greeting.status, greeting.json()), (200, json!({ "greeting": "Hello, Ann!" })), "{app}");
    }
}

#[test]
fn wasm_files_counts_the_words_of_one_granted_folder_into_another() {
    let folder = Folder::new(&[("reports/old.txt", "")]);
    let reports = format!("{}=reports", folder.path().join("reports").display());
    let words = |granted: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
        command.arg("run").args(granted).args(["words.wasm", "texts", "reports"]);
        output(command.current_dir(examples().join("wasm-files")).env("NEXUS_CACHE", ""))
    };
    let done = words(&["--allow-read", "texts", "--allow-write", &reports]);
    assert_eq!((done.code, &*done.stdout), (Some(0), "25 words in 2 texts: reports/words.txt\n"), "{done:?}");
    let report = std::fs::read_to_string(folder.path().join("reports/words.txt")).unwrap();
    let lines: Vec<Vec<&str>> = report.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1..3], [["16", "2", "components.txt"], ["9", "1", "folders.txt"]]);
    assert_eq!(lines[3], ["25", "3", "in", "all"]);

    let denied = words(&["--allow-read", "texts", "--allow-read", &reports]);
    assert_eq!(denied.code, Some(1), "{denied:?}");
    assert!(denied.stderr.starts_with("words: cannot open reports/words.txt"), "{denied:?}");
    let denied = words(&["--allow-write", &reports]);
    assert!(denied.code == Some(1) && denied.stderr.starts_with("words: cannot list texts"), "{denied:?}");
}

#[test]
fn wasm_python_answers_with_statistics() {
    let app = examples().join("../target/examples/wasm-python");
    if !app.join("app.wasm").is_file() {
        // Not by a macro, whose text is kept back for a test that passes.
        let _ = writeln!(std::io::stderr(), "skipped: wasm-python is not built; `./x examples` builds it");
        return;
    }
    // It takes half a minute to compile in a debug build: once for the folder that the tests were built in.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples-cache");
    let mut compile = Command::new(env!("CARGO_BIN_EXE_nexus"));
    let compiled = output(compile.arg("compile").arg(app.join("app.wasm")).env("NEXUS_CACHE", &cache));
    assert_eq!(compiled.code, Some(0), "{compiled:?}");

    let nexus = Start::in_folder(&app).env("NEXUS_CACHE", cache.to_str().unwrap()).start();
    let mut client = nexus.client("wasm-python");
    for _ in 0..2 {
        let found = client.get("/statistics?of=3,4,8");
        assert_eq!(found.json(), json!({ "count": 3, "mean": 5.0, "median": 4.0 }));
        assert_eq!(found.header("content-type"), Some("application/json"));
    }
    assert_eq!(client.get("/statistics?of=some").status, 400);
    assert_eq!(client.get("/").status, 404);
}

fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
