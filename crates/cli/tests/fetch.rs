//! `fetch`: requests that apps send to others, as far as they are granted.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::net::TcpListener;

use harness::fetching::{app, echo, result, serve};
use harness::{Folder, Nexus, Upstream};
use serde_json::json;

#[test]
fn a_guest_fetches_what_it_was_granted() {
    let upstream = Upstream::new(echo);
    let result = result(
        &upstream,
        "async () => {
            const r = await fetch(U + '/a%20b?c=d#e');
            return [r.status, r.statusText, r.url, r.ok, r.redirected, r.type, r.headers.get('x-a'), await r.json()];
        }",
    );
    let address = upstream.address();
    assert_eq!(
        result.as_array().unwrap()[..7],
        json!([200, "Fine", format!("http://{address}/a%20b?c=d"), true, false, "basic", "1, 2"])
            .as_array()
            .unwrap()[..]
    );
    assert_eq!(result[7]["line"], "GET /a%20b?c=d HTTP/1.1");
    let fields = &result[7]["fields"];
    assert_eq!((fields["host"].as_str(), fields["accept"].as_str()), (Some(&*address), Some("*/*")));
    assert!(fields["user-agent"].as_str().unwrap().starts_with("nexus/"));
    assert!(fields.get("content-length").is_none() && fields.get("transfer-encoding").is_none());
}

#[test]
fn a_connection_that_is_not_granted_is_a_type_error_that_says_what_to_add_and_is_told() {
    let forbidden = TcpListener::bind("127.0.0.1:0").unwrap();
    forbidden.set_nonblocking(true).unwrap();
    let port = forbidden.local_addr().unwrap().port();
    let upstream = Upstream::new(echo);
    let (_folder, nexus) = serve(
        &upstream,
        &format!(
            "async (request) => fetch(new URL(request.url).searchParams.get('u') ?? 'http://127.0.0.1:{port}/')"
        ),
    );
    let told = nexus.client("app").get("/").json();
    assert_eq!((told["threw"].as_str(), told["code"].as_str()), (Some("TypeError"), Some("EPERM")));
    let line = format!("net = [\"127.0.0.1:{port}\"]");
    assert!(told["message"].as_str().unwrap().contains(&line), "{told}");
    let log = nexus.message("denied: ");
    assert_eq!((log["level"].as_str(), log["app"].as_str()), (Some("warn"), Some("app")));
    assert!(log["request_id"].is_string());
    // The same place by other names.
    for host in
        ["localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "127.1", "%31%32%37.0.0.1"]
    {
        let told = nexus.client("app").get(&format!("/?u=http://{host}:{port}/")).json();
        assert_eq!(told["code"], "EPERM", "{host}: {told}");
    }
    for url in
        ["http://0.0.0.0/", "http://[::]/", "http://169.254.169.254/latest/meta-data/", "https://10.0.0.1/"]
    {
        let told = nexus.client("app").get(&format!("/?u={url}")).json();
        assert_eq!(told["code"], "EPERM", "{url}: {told}");
    }
    nexus.await_metric("nexus_subrequests_total{app=\"app\",result=\"denied\"}", 12.0);
    assert!(forbidden.accept().is_err(), "somebody connected");
}

#[test]
fn what_the_host_does_not_allow_is_not_granted() {
    let upstream = Upstream::new(echo);
    let folder = Folder::app(&app(&upstream, "() => fetch(U)"));
    folder.write("app/nexus.toml", format!("[permissions]\nnet = [\"{}\"]\n", upstream.address()));
    folder.write("nexus-host.toml", "[ceilings.permissions]\nnet = [\"*\"]\n");
    let nexus = Nexus::serve(folder.path());
    let told = nexus.client("app").get("/").json();
    assert_eq!(told["code"], "EPERM");
    assert!(told["message"].as_str().unwrap().contains("[ceilings.permissions]"), "{told}");
    assert_eq!(upstream.accepted(), 0);
}

#[test]
fn methods_fields_and_bodies_of_every_kind_are_sent() {
    let upstream = Upstream::new(echo);
    let result = result(
        &upstream,
        "async () => {
            const told = async (init) => {
                const { line, fields, body } = await (await fetch(U + '/', init)).json();
                return [line.split(' ')[0], fields['content-type'] ?? null, fields['content-length'] ?? fields['transfer-encoding'], body];
            };
            const form = new FormData();
            form.append('a', 'b');
            const stream = () => new ReadableStream({ async start(c) { c.enqueue(bytes('st')); await sleep(5); c.enqueue(bytes('ream')); c.close(); } });
            const [multipart] = [await told({ method: 'POST', body: form })];
            return [
                await told({ method: 'POST', body: 'text \\u00e4' }),
                await told({ method: 'PUT', body: bytes('bytes') }),
                await told({ method: 'PATCH', body: new URLSearchParams('q=1 2') }),
                await told({ method: 'POST', body: new Blob(['blob'], { type: 'x/y' }) }),
                await told({ method: 'POST', body: stream(), duplex: 'half' }),
                await told({ method: 'POST' }),
                await told({ method: 'DELETE' }),
                await told({ method: 'odd', headers: { 'content-type': 'a/b' }, body: 'x' }),
                [multipart[1].split(';')[0], multipart[3].includes('name=\"a\"')],
                (await told({ method: 'POST', body: new Uint8Array(300000) }))[3].length,
                (await (await fetch(new Request(U, { method: 'POST', body: 'of a request' }))).json()).fields['content-length'],
            ];
        }",
    );
    let text = "text/plain;charset=UTF-8";
    assert_eq!(
        result,
        json!([
            ["POST", text, "7", "text ä"],
            ["PUT", null, "5", "bytes"],
            ["PATCH", "application/x-www-form-urlencoded;charset=UTF-8", "5", "q=1+2"],
            ["POST", "x/y", "4", "blob"],
            ["POST", null, "chunked", "stream"],
            ["POST", null, "0", ""],
            ["DELETE", null, null, ""],
            ["odd", "a/b", "1", "x"],
            ["multipart/form-data", true],
            300000,
            "12",
        ])
    );
}

#[test]
fn fields_that_frame_a_request_are_the_hosts() {
    let upstream = Upstream::new(echo);
    let result = result(
        &upstream,
        "async () => {
            const headers = {
                host: 'other.example', connection: 'x-secret, close', 'transfer-encoding': 'chunked', 'content-length': '3',
                te: 'gzip', trailer: 'x', upgrade: 'h2c', 'keep-alive': '1', expect: '100-continue', 'x-kept': 'yes', cookie: 'a=b',
            };
            return (await (await fetch(U, { method: 'POST', headers, body: 'hello' })).json());
        }",
    );
    let fields = result["fields"].as_object().unwrap();
    assert_eq!(
        (fields["host"].as_str(), fields["content-length"].as_str()),
        (Some(&*upstream.address()), Some("5"))
    );
    assert_eq!((fields["x-kept"].as_str(), fields["cookie"].as_str()), (Some("yes"), Some("a=b")));
    for name in ["transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "expect", "connection"] {
        assert!(!fields.contains_key(name), "{name}: {result}");
    }
    assert_eq!(result["body"], "hello");
}

#[test]
fn redirects_are_followed_by_the_standards_rules() {
    let other = Upstream::new(echo);
    let to = other.address();
    let upstream = Upstream::new(move |asked| {
        let body = asked.body();
        let path = asked.path().to_owned();
        let (status, location) = match path.split_once('/').unwrap().1.split_once('/') {
            Some((status, rest)) => (status.to_owned(), rest.to_owned()),
            None => {
                return asked.reply(
                    "200 OK",
                    &[],
                    format!("{} {}", asked.line, String::from_utf8_lossy(&body)),
                );
            }
        };
        let location = match location.as_str() {
            "other" => format!("location: http://{to}/there"),
            "circle" => format!("location: {path}"),
            "forbidden" => "location: http://127.0.0.1:1/".into(),
            "file" => "location: file:///etc/passwd".into(),
            "login" => format!("location: http://user@{to}/"),
            "none" => "x: y".into(),
            "utf8" => "location: ../end?\u{2603}=\u{e9}".into(),
            _ => "location: ../end".into(),
        };
        let fields = if path.ends_with("/several") { vec![&*location; 2] } else { vec![&*location] };
        asked.reply(&format!("{status} Elsewhere"), &fields, "gone");
    });
    let folder = Folder::app(&app(
        &upstream,
        "async () => {
            const told = async (path, init) => {
                try {
                    const r = await fetch(U + path, init);
                    return [r.status, r.redirected, new URL(r.url).pathname + new URL(r.url).hash, await r.text()];
                } catch (e) { return e.message; }
            };
            const cookie = { headers: { cookie: 'a=b', authorization: 'c', 'x-d': 'e' } };
            const elsewhere = (await (await fetch(U + '/302/other', cookie)).json()).fields;
            return {
                get: await told('/302/x#f'),
                post301: await told('/301/x', { method: 'POST', body: 'b' }),
                post303: await told('/303/x', { method: 'POST', body: 'b' }),
                post307: await told('/307/x', { method: 'POST', body: 'b' }),
                put302: await told('/302/x', { method: 'PUT', body: 'b' }),
                head303: await told('/303/x', { method: 'HEAD' }),
                stream: await told('/307/x', { method: 'POST', body: new Blob(['s']).stream(), duplex: 'half' }),
                manual: (await fetch(U + '/302/x', { redirect: 'manual' })).headers.get('location'),
                error: await told('/302/x', { redirect: 'error' }),
                none: await told('/302/none'),
                utf8: await told('/302/utf8'),
                circle: await told('/302/circle'),
                several: await told('/302/several'),
                file: await told('/302/file'),
                login: await told('/302/login'),
                forbidden: await told('/302/forbidden'),
                elsewhere: [elsewhere.cookie ?? null, elsewhere.authorization ?? null, elsewhere['x-d']],
            };
        }",
    ));
    let grants = format!("[permissions]\nnet = [\"{}\", \"{}\"]\n", upstream.address(), other.address());
    folder.write("app/nexus.toml", grants);
    let nexus = Nexus::serve(folder.path());
    let mut result = nexus.client("app").get("/").json();
    for (key, part) in [
        ("stream", "was a stream"),
        ("error", "redirect mode is \"error\""),
        ("circle", "more than 20 times"),
        ("several", "several URLs at once"),
        ("file", "neither http nor https"),
        ("login", "a user name or a password"),
        ("forbidden", "net = [\"127.0.0.1:1\"]"),
    ] {
        let told = result[key].take();
        assert!(told.as_str().is_some_and(|told| told.contains(part)), "{key}: {told}");
        result.as_object_mut().unwrap().remove(key);
    }
    assert_eq!(
        result,
        json!({
            "get": [200, true, "/end", "GET /end HTTP/1.1 "],
            "post301": [200, true, "/end", "GET /end HTTP/1.1 "],
            "post303": [200, true, "/end", "GET /end HTTP/1.1 "],
            "post307": [200, true, "/end", "POST /end HTTP/1.1 b"],
            "put302": [200, true, "/end", "PUT /end HTTP/1.1 b"],
            "head303": [200, true, "/end", ""],
            "manual": "../end",
            "none": [302, false, "/302/none", "gone"],
            "utf8": [200, true, "/end", "GET /end?%E2%98%83=%C3%A9 HTTP/1.1 "],
            "elsewhere": [null, null, "e"],
        })
    );
}

#[test]
fn a_redirect_gets_every_body_again_that_has_a_source() {
    let upstream = Upstream::new(|asked| {
        let length = asked.body().len();
        match asked.path() {
            "/307" => asked.reply("307 Again", &["location: /end"], ""),
            _ => asked.reply("200 OK", &[], format!("\"{} {length}\"", asked.line)),
        }
    });
    let told = result(
        &upstream,
        "async () => {
            const form = new FormData();
            form.append('a', new Blob(['x'.repeat(10)]));
            const large = new Blob([new Uint8Array(900000), new Uint8Array(900000)]);
            const again = async (body) => (await fetch(U + '/307', { method: 'PUT', body })).json();
            return [await again('text'), await again(new Blob(['blob'])), await again(large), (await again(form)).startsWith('PUT /end HTTP/1.1 2'), await again(new URLSearchParams('a=b'))];
        }",
    );
    assert_eq!(
        told,
        json!([
            "PUT /end HTTP/1.1 4",
            "PUT /end HTTP/1.1 4",
            "PUT /end HTTP/1.1 1800000",
            true,
            "PUT /end HTTP/1.1 3"
        ])
    );
}

#[test]
fn an_empty_body_is_a_body_and_no_body_is_none() {
    let upstream = Upstream::new(|asked| match asked.path() {
        "/204" => {
            asked.write("HTTP/1.1 204 No Content\r\n\r\n");
        }
        _ => asked.reply("200 OK", &[], ""),
    });
    let told = result(
        &upstream,
        "async () => {
            const empty = await fetch(U);
            const { done } = await empty.body.getReader().read();
            return [done, (await fetch(U + '/204')).body, (await fetch(U, { method: 'HEAD' })).body, await (await fetch(U)).text()];
        }",
    );
    assert_eq!(told, json!([true, null, null, ""]));
}

#[test]
fn what_an_app_fetches_while_it_is_loaded_is_there_for_its_requests() {
    let upstream = Upstream::new(|asked| asked.reply("200 OK", &[], "configured"));
    let folder = Folder::app(&format!(
        "const text = await (await fetch('http://{}')).text();
         export default {{ fetch: () => new Response(text) }};",
        upstream.address()
    ));
    folder.write("app/nexus.toml", format!("[permissions]\nnet = [\"{}\"]\n", upstream.address()));
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.client("app").get("/").text(), "configured");
}

#[test]
fn what_requests_share_ends_with_the_one_that_began_it_unless_it_is_kept() {
    let (go, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::new(move |asked| match asked.path() {
        "/forgotten" => asked.await_close(),
        "/kept" | "/awaited" => {
            wait.lock().unwrap().recv().unwrap();
            asked.reply("200 OK", &[], "\"kept\"");
        }
        _ => {
            wait.lock().unwrap().recv().unwrap();
            asked.reply("200 OK", &[], "no JSON");
        }
    });
    // By path: what is shared under way.
    let (_folder, nexus) = serve(
        &upstream,
        "async (request, ctx) => {
            const { pathname } = new URL(request.url);
            globalThis.all ??= {};
            request.signal.addEventListener('abort', () => console.log('gone from', pathname));
            if (!all[pathname]) {
                const shared = (async () => (await fetch(U + pathname, { signal: AbortSignal.timeout(20_000) })).json())();
                all[pathname] = shared;
                shared.catch(() => { all[pathname] = undefined; console.log('dropped', pathname); });
                if (pathname === '/forgotten') return 'begun';
                if (pathname !== '/awaited') ctx.waitUntil(shared);
            }
            console.log('shared', pathname);
            return all[pathname];
        }",
    );
    let leave = |path: &str| {
        let mut first = nexus.client("app");
        first.send_request("GET", path, &[], b"");
        nexus.message(&format!("shared {path}"));
        drop(first);
        nexus.message(&format!("gone from {path}"));
    };
    assert_eq!(nexus.client("app").get("/forgotten").json(), "begun");
    assert_eq!(nexus.client("app").get("/forgotten").status, 500);
    nexus.message("can never settle");
    for path in ["/kept", "/awaited"] {
        leave(path);
        let mut second = nexus.client("app");
        second.send_request("GET", path, &[], b"");
        go.send(()).unwrap();
        assert_eq!(second.response().json(), "kept");
    }
    // One that fails is begun anew.
    leave("/failing");
    go.send(()).unwrap();
    nexus.message("dropped /failing");
    go.send(()).unwrap();
    assert_eq!(nexus.client("app").get("/failing").json()["threw"], "SyntaxError");
    assert_eq!(upstream.asked().iter().filter(|line| line.contains("/failing")).count(), 2);
}
