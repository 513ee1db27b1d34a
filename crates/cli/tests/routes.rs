//! Many apps on one port, by host and path; and within an app, a module for each path.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::net::{TcpListener, TcpStream};

use bytes::Bytes;
use harness::{Client, Folder, Nexus, Start, await_answers, run, under_load, until};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};

fn app(name: &str) -> String {
    format!(
        "let n = 0; export default {{ async fetch(request) {{
           const url = new URL(request.url);
           if (request.method === 'POST') return new Response(request.body);
           if (url.pathname.endsWith('/spin')) for (;;);
           if (url.pathname.endsWith('/stream')) return new Response(new ReadableStream({{
             async pull(c) {{ await new Promise((r) => setTimeout(r, 5)); c.enqueue(new TextEncoder().encode('part ')); if (++n % 5 === 0) c.close(); }} }}));
           if (url.pathname.endsWith('/never')) {{ await new Promise((r) => {{ request.signal.onabort = r; setInterval(() => {{}}, 1000); }}); console.log('aborted'); }}
           return new Response('{name} ' + url.pathname);
         }} }};"
    )
}

fn folder(apps: &[(&str, &str)]) -> Folder {
    let folder = Folder::new(&[]);
    for (name, manifest) in apps {
        folder.write(&format!("{name}/index.js"), app(name));
        folder.write(&format!("{name}/nexus.toml"), manifest);
    }
    folder
}

const SHARED: [(&str, &str); 5] = [
    ("shop", "[http]\nhosts = [\"shop.example\"]\n"),
    ("api", "[http]\nhosts = [\"shop.example\", \"blog.example\"]\npaths = [\"/api\"]\n"),
    ("blog", "[http]\nhosts = [\"blog.example\"]\n"),
    ("any", "[http]\nhosts = [\"*.shop.example\"]\npaths = [\"/open/*\"]\n"),
    ("own", ""),
];

#[test]
fn requests_of_one_connection_go_to_their_apps_by_host_and_path() {
    let folder = folder(&SHARED);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("shop");
    for other in ["api", "blog", "any"] {
        assert_eq!(nexus.address(other), address);
    }
    assert_ne!(nexus.address("own"), address);
    let mut client = Client::connect(&address);
    for (host, path, answer) in [
        ("shop.example", "/", (200, "shop /")),
        ("SHOP.example:8080", "/api/items?x=1", (200, "api /api/items")),
        ("blog.example", "/api", (200, "api /api")),
        ("blog.example.", "/apis", (200, "blog /apis")),
        ("shop.example", "/x/../api", (200, "api /x/../api")),
        ("a.b.shop.example", "/open/x", (200, "any /open/x")),
        ("a.shop.example", "/", (404, "no app of this host is served at this path\n")),
        ("other.example", "/", (421, "no app is served under this host\n")),
    ] {
        let response = client.get_of(host, path);
        let text = response.text();
        // The guest sees the path as the URL standard has it.
        let expected = answer.1.replace("/x/../api", "/api");
        assert_eq!((response.status, &*text), (answer.0, &*expected), "{host} {path}");
    }
    assert_eq!(nexus.get("own", "/x").text(), "own /x");
    assert_eq!(nexus.metric("nexus_requests_total{app=\"api\",status=\"2xx\"}"), 3.0);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn bodies_stream_both_ways_across_the_shared_port() {
    let folder = folder(&SHARED[..3]);
    folder.write("shop/nexus.toml", "[http]\nhosts = [\"shop.example\"]\n[limits]\nbody = \"3 MB\"\n");
    let mut nexus = Nexus::serve(folder.path());
    let mut client = Client::connect(&nexus.address("shop"));
    let body: Vec<u8> = (0..2_000_000u32).map(|n| (n / 7) as u8).collect();
    let head = format!("POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {}\r\n\r\n", body.len());
    for _ in 0..3 {
        client.send([head.as_bytes(), &body].concat());
        let response = client.response();
        assert_eq!(response.status, 200);
        assert!(response.body == body, "it comes back as it went");
    }
    assert_eq!(client.get_of("shop.example", "/stream").text(), "part part part part part ");
    client.send("POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 4000000\r\n\r\n");
    assert_eq!(client.response().status, 413, "the app's own limit holds");
    nexus.await_nothing_held("shop");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_client_that_leaves_is_told_to_the_guest() {
    let folder = folder(&SHARED[..3]);
    let mut nexus = Nexus::serve(folder.path());
    let mut client = Client::connect(&nexus.address("shop"));
    client.send("GET /never HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    until("the request to be there", || {
        (nexus.metric("nexus_requests_in_flight{app=\"shop\"}") == 1.0).then_some(())
    });
    drop(client);
    nexus.message("aborted");
    nexus.await_nothing_held("shop");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_guest_that_hangs_keeps_nobody_else_on_the_same_port_and_connection_waiting() {
    let folder = folder(&SHARED[..3]);
    folder.write("shop/nexus.toml", "[http]\nhosts = [\"shop.example\"]\n[limits]\ncpu = \"1 s\"\n");
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("shop");
    let mut spinning = Client::connect(&address);
    spinning.send("GET /spin HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let mut other = Client::connect(&address);
    for _ in 0..50 {
        assert_eq!(other.get_of("blog.example", "/").text(), "blog /");
    }
    assert_eq!(spinning.response().status, 503);
    // The connection is the host's: it stays.
    assert_eq!(spinning.get_of("shop.example", "/").text(), "shop /");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn an_app_on_a_shared_port_sleeps_and_wakes_and_is_replaced_under_its_connections() {
    let folder = folder(&SHARED[..3]);
    folder.write("shop/nexus.toml", "[http]\nhosts = [\"shop.example\"]\n[scale]\nidle = \"100 ms\"\n");
    let mut nexus = Start::in_folder(folder.path()).args(&["--watch"]).start();
    let mut client = Client::connect(&nexus.address("shop"));
    for _ in 0..3 {
        assert_eq!(client.get_of("shop.example", "/").text(), "shop /");
        nexus.await_metric("nexus_app_asleep{app=\"shop\"}", 1.0);
    }
    folder.write("shop/index.js", "export default { fetch: () => new Response('second') };");
    until("the second version", || (client.get_of("shop.example", "/").text() == "second").then_some(()));
    folder.write("shop/nexus.toml", "[http]\nhosts = [\"other.example\"]\n");
    until("the other host", || (client.get_of("other.example", "/").status == 200).then_some(()));
    assert_eq!(client.get_of("other.example", "/").text(), "second");
    assert_eq!(client.get_of("shop.example", "/").status, 404);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn two_apps_that_claim_the_same_are_refused_with_both_named() {
    let folder = folder(&[
        ("a", "[http]\nhosts = [\"x.example\"]\npaths = [\"/u/:id\", \"/v\"]\n"),
        ("b", "[http]\nhosts = [\"x.example\"]\npaths = [\"/u/:name\"]\n"),
        ("c", "[http]\nhosts = [\"x.example\"]\nport = 18099\npaths = [\"/u/:name\"]\n"),
    ]);
    let output = run(folder.path(), &["check", "."]);
    assert_eq!(output.code, Some(2));
    let said = output.stderr + &output.stdout;
    assert!(said.contains("`b` claims the path `/u/:name` of `x.example`, and so does `a`"), "{said}");
    assert!(said.contains("b/nexus.toml:3") && !said.contains("`c` claims"), "{said}");
    std::fs::remove_dir_all(folder.path().join("c")).unwrap();
    let mut nexus = Start::in_folder(folder.path()).start();
    let line = nexus.message("`b` claims the path `/u/:name` of `x.example`, and so does `a`");
    assert_eq!((&line["app"], &line["level"]), (&"b".into(), &"error".into()));
    assert_eq!(nexus.client("a").get_of("x.example", "/u/1").text(), "a /u/1");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn http_2_is_routed_stream_by_stream() {
    let folder = folder(&SHARED[..3]);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("shop");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = TokioIo::new(tokio::net::TcpStream::connect(&address).await.unwrap());
        let (mut send, connection) = handshake(TokioExecutor::new(), socket).await.unwrap();
        tokio::spawn(connection);
        let mut ask = |url: &str| send.send_request(Request::get(url).body(Empty::<Bytes>::new()).unwrap());
        let asked = [
            ask("http://shop.example/1"),
            ask("http://blog.example/2"),
            ask("http://blog.example/api/3"),
            ask("http://nobody.example/"),
        ];
        let mut answers = Vec::new();
        for response in asked {
            let response = response.await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            answers.push((status, String::from_utf8(body.to_vec()).unwrap()));
        }
        let expected = [
            (200, "shop /1"),
            (200, "blog /2"),
            (200, "api /api/3"),
            (421, "no app is served under this host\n"),
        ];
        assert_eq!(answers, expected.map(|(status, text)| (status, text.to_owned())));
    });
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn routes_lead_from_paths_to_modules() {
    let folder = Folder::new(&[
        (
            "app/index.js",
            "export default { fetch: (request, env, ctx) => Response.json(['main', ctx.params]) };",
        ),
        (
            "app/admin.js",
            "import { count } from './shared.js'; export default { fetch: (request, env, ctx) => Response.json(['admin', ctx.params, env.A, count()]) };",
        ),
        (
            "app/src/user.mjs",
            "import { count } from '../shared.js'; export default { name: 'user', fetch(request, env, ctx) { return Response.json([this.name, ctx.params, new URL(request.url).pathname, count()]); } };",
        ),
        ("app/shared.js", "let n = 0; export const count = () => ++n;"),
        (
            "app/nexus.toml",
            "[env]\nA = \"a\"\n[[routes]]\npath = \"/admin/*\"\nmodule = \"admin.js\"\n[[routes]]\npath = \"/users/:id\"\nmodule = \"src/user.mjs\"\n[[routes]]\npath = \"/users/:id/orders/:order\"\nmodule = \"admin.js\"\n",
        ),
    ]);
    let mut nexus = Nexus::serve(folder.path());
    for (path, expected) in [
        ("/", r#"["main",{}]"#),
        ("/admin/a/b%2Fc?x=1", r#"["admin",{"*":"a/b%2Fc"},"a",1]"#),
        ("/users/a%20b/c", r#"["user",{"id":"a b"},"/users/a%20b/c",2]"#),
        ("/users/7/orders/9", r#"["admin",{"id":"7","order":"9"},"a",3]"#),
        ("/users", r#"["main",{}]"#),
        ("/x/..%2fadmin", r#"["main",{}]"#),
    ] {
        assert_eq!(nexus.get("app", path).text(), expected, "{path}");
    }
    assert_eq!(nexus.stop(), Some(0));
    for (module, said) in [
        ("export const x = 1;", "the module `admin.js` of a route has no default export"),
        ("export default {};", "the default export of the module `admin.js` of a route has no fetch handler"),
        ("throw new Error('in admin');", "in admin"),
        ("broken(", "admin.js:1"),
    ] {
        folder.write("app/admin.js", module);
        let output = run(folder.path(), &["serve", "app", "--port", "0"]);
        let text = output.stdout + &output.stderr;
        assert!(output.code == Some(1) && text.contains(said), "{said}: {text}");
    }
    std::fs::remove_file(folder.path().join("app/admin.js")).unwrap();
    let output = run(folder.path(), &["check", "app"]);
    let text = output.stdout + &output.stderr;
    assert!(text.contains("the module `admin.js` is not there") && text.contains("nexus.toml:5"), "{text}");
}

const OK: &str = "export default { fetch: () => new Response('ok') };";

/// An app on the shared port, with these lines in its manifest.
fn shared(name: &str, more: &str) -> String {
    format!("[http]\nhosts = [\"{name}.example\"]\n{more}")
}

/// Sends a request and does not wait for its answer.
fn ask(nexus: &Nexus, app: &str, path: &str) -> Client {
    let mut client = nexus.client(app);
    client.send(format!("GET {path} HTTP/1.1\r\nhost: {app}.example\r\n\r\n"));
    client
}

#[test]
fn requests_for_an_app_that_cannot_be_loaded_are_answered() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = |name: &str| shared(name, &format!("port = {port}\n"));
    let folder = Folder::new(&[
        ("bad/index.js", "await new Promise((resolve) => setTimeout(resolve, 1500)); throw new Error('no');"),
        ("bad/nexus.toml", &at("bad")),
        ("good/index.js", &app("good")),
        ("good/nexus.toml", &at("good")),
    ]);
    let mut nexus = Start::in_folder(folder.path()).start();
    let address = format!("127.0.0.1:{port}");
    until("the port", || TcpStream::connect(&address).ok());
    let mut client = Client::connect(&address);
    assert_eq!(client.get_of("bad.example", "/").status, 503, "it waits until the app has failed");
    nexus.message("not served");
    assert_eq!(client.get_of("bad.example", "/").status, 503);
    assert_eq!(client.get_of("good.example", "/").status, 200);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn requests_that_no_worker_takes_in_time_are_refused() {
    let handler = "export default { async fetch(request) {
        if (new URL(request.url).pathname === '/slow') {
          console.log('slow begins');
          await new Promise((resolve) => setTimeout(resolve, 4000));
        }
        return new Response('done');
      } };";
    let limits = "[limits]\nrequests = 1\nqueue_wait = \"300 ms\"\n[scale]\nworkers = 1\n";
    let folder = Folder::new(&[("busy/index.js", handler), ("busy/nexus.toml", &shared("busy", limits))]);
    let nexus = Nexus::serve(folder.path());
    let mut slow = ask(&nexus, "busy", "/slow");
    nexus.message("slow begins");
    let refused = ask(&nexus, "busy", "/").response();
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("limit: queue_wait 300 ms"), "{}", refused.text());
    assert_eq!(slow.response().text(), "done", "it was not disturbed");
    assert_eq!(nexus.metric("nexus_unserved_requests_total{app=\"busy\"}"), 1.0);
    assert_eq!(ask(&nexus, "busy", "/").response().text(), "done");
}

#[test]
fn each_app_on_a_shared_port_has_its_own_limits_of_heads_and_urls() {
    let folder = Folder::new(&[
        ("small/index.js", &app("small")),
        ("small/nexus.toml", &shared("small", "[limits]\nheaders = \"4 KB\"\nurl = \"1 KB\"\n")),
        ("large/index.js", &app("large")),
        ("large/nexus.toml", &shared("large", "[limits]\nheaders = \"200 KB\"\nurl = \"100 KB\"\n")),
    ]);
    let nexus = Nexus::serve(folder.path());
    let head = |app: &str, url: usize, field: usize| {
        let mut client = nexus.client(app);
        let (url, field) = ("u".repeat(url), "f".repeat(field));
        client.send(format!("GET /{url} HTTP/1.1\r\nhost: {app}.example\r\nx: {field}\r\n\r\n"));
        let response = client.response();
        (response.status, response.text())
    };
    assert_eq!(head("small", 900, 1000).0, 200);
    assert_eq!(head("small", 1100, 10), (414, "the request's URL is too long (limit: url 1 KB)\n".into()));
    assert_eq!(
        head("small", 10, 5000),
        (431, "the request's head is too large (limit: headers 4 KB)\n".into())
    );
    assert_eq!(head("large", 90_000, 90_000).0, 200);
    assert_eq!(head("large", 110_000, 10).0, 414);
    assert_eq!(head("large", 10, 210_000).0, 431);
}

#[test]
fn a_stream_on_a_shared_port_takes_nothing_from_those_on_other_ports_when_the_host_is_replaced() {
    let stream = "export default { fetch() {
        return new Response(new ReadableStream({
          async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 50));
            controller.enqueue(new TextEncoder().encode('tick'));
          },
        }));
      } };";
    let folder = Folder::new(&[
        ("stream/index.js", stream),
        ("stream/nexus.toml", &shared("stream", "")),
        ("own/index.js", OK),
        ("other/index.js", OK),
    ]);
    let mut nexus = Start::in_folder(folder.path()).args(&["--grace", "3s"]).start();
    let mut streaming = ask(&nexus, "stream", "/");
    assert_eq!(streaming.head().status, 200);
    under_load(&nexus, &["own", "other"], false, |answered| {
        nexus.signal("USR2");
        nexus.message("a fresh host has taken over");
        nexus.message("workers were still busy after the grace period");
        await_answers(answered);
    });
    let told = nexus.messages("workers were still busy after the grace period");
    assert!(told[0]["message"].as_str().unwrap().starts_with("1 workers"), "{told:?}");
    drop(streaming);
    assert_eq!(nexus.stop(), Some(0));
}
