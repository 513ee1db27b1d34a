//! Apps that call one another within the process: what they get of each other, and how it ends.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::path::Path;
use std::time::Duration;

use harness::{Client, Folder, Managed, Nexus, functions};
use serde_json::json;

const OTHER: &str = "[bindings]\nOTHER = { app = \"other\" }\n";

/// A host with an app `shop`, of these functions, that may call the app `other`, of this source.
fn serve(tests: &str, other: &str) -> (Folder, Nexus) {
    let folder = Folder::new(&[
        ("shop/index.js", &*functions(tests)),
        ("shop/nexus.toml", OTHER),
        ("other/index.js", other),
    ]);
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

#[test]
fn a_call_is_a_request_and_its_answer_a_response() {
    let (_folder, nexus) = serve(
        "call: async ({ OTHER }) => {
           const response = await OTHER.fetch(new Request('https://example.org/a%20b?c=d#e', {
             method: 'PUT', headers: { 'x-one': '1', 'content-type': 'text/x' }, body: 'sent',
           }));
           return [response.status, response.statusText, response.headers.get('x-two'), response.ok, response.url, await response.json()];
         },
         plain: async ({ OTHER }) => (await OTHER.fetch('http://x/')).status,
         relative: ({ OTHER }) => OTHER.fetch('/path'),
         scheme: ({ OTHER }) => OTHER.fetch('data:,x'),
         redirect: async ({ OTHER }) => {
           const followed = await OTHER.fetch('http://one/redirect');
           const manual = await OTHER.fetch('http://one/redirect', { redirect: 'manual' });
           return [followed.url, followed.redirected, (await followed.json())[1], manual.status];
         }",
        "export default {
           async fetch(request, env, ctx) {
             if (request.url.endsWith('/redirect')) return Response.redirect('http://two/there');
             const fields = [...request.headers].filter(([name]) => name !== 'user-agent').map(([name, value]) => `${name}: ${value}`);
             return Response.json([request.method, request.url, fields, await request.text(), Object.keys(env), ctx.client.address],
               { status: 201, headers: { 'x-two': '2' } });
           },
         };",
    );
    let told = harness::value(&nexus, "/call");
    assert_eq!(told[0], 201);
    assert_eq!(
        (&told[2], &told[3], &told[4]),
        (&json!("2"), &json!(true), &json!("https://example.org/a%20b?c=d"))
    );
    let seen = &told[5];
    assert_eq!(
        (&seen[0], &seen[1], &seen[3]),
        (&json!("PUT"), &json!("https://example.org/a%20b?c=d"), &json!("sent"))
    );
    let fields = seen[2].as_array().unwrap();
    assert!(
        fields.contains(&json!("x-one: 1")) && fields.contains(&json!("content-type: text/x")),
        "{fields:?}"
    );
    // Nothing of the caller's.
    assert_eq!((&seen[4], &seen[5]), (&json!([]), &json!(null)));
    assert_eq!(harness::value(&nexus, "/plain"), 201);
    assert_eq!(harness::error(&nexus, "/relative")["name"], "TypeError");
    assert!(harness::error(&nexus, "/scheme")["error"].as_str().unwrap().contains("http or https"));
    assert_eq!(
        harness::value(&nexus, "/redirect"),
        json!(["http://two/there", true, "http://two/there", 302])
    );
}

#[test]
fn bodies_pass_as_streams_in_both_directions() {
    let (_folder, nexus) = serve(
        "echo: async ({ OTHER }) => {
           // What is written is read back before the next piece is: nobody waits for the whole.
           const { readable, writable } = new TransformStream();
           const writer = writable.getWriter();
           const response = await OTHER.fetch('http://other/', { method: 'POST', body: readable, duplex: 'half' });
           const reader = response.body.getReader();
           const out = [];
           for (const piece of ['one', 'two', 'three']) {
             await writer.write(new TextEncoder().encode(piece));
             out.push(new TextDecoder().decode((await reader.read()).value));
           }
           await writer.close();
           return [...out, (await reader.read()).done];
         },
         large: async ({ OTHER }) => {
           let length = 0;
           for await (const chunk of (await OTHER.fetch('http://other/large')).body) length += chunk.length;
           return length;
         },
         early: async ({ OTHER }) => {
           const controller = new AbortController();
           const response = await OTHER.fetch('http://other/endless', { signal: controller.signal });
           const reader = response.body.getReader();
           await reader.read();
           controller.abort();
           return reader.read().catch((error) => error.name);
         },
         ended: async ({ OTHER }) => (await OTHER.fetch('http://other/ended')).text()",
        "let ended = 'not yet';
         export default {
           fetch(request) {
             const { pathname } = new URL(request.url);
             if (pathname === '/') return new Response(request.body);
             if (pathname === '/ended') return new Response(ended);
             request.signal.addEventListener('abort', () => { ended = 'aborted'; });
             let left = pathname === '/large' ? 300 : Infinity;
             return new Response(new ReadableStream({
               pull(controller) {
                 if (left-- === 0) controller.close(); else controller.enqueue(new Uint8Array(100_000));
               },
             }));
           },
         };",
    );
    assert_eq!(harness::value(&nexus, "/echo"), json!(["one", "two", "three", true]));
    assert_eq!(harness::value(&nexus, "/large"), 30_000_000);
    assert_eq!(harness::value(&nexus, "/early"), "AbortError");
    harness::until("the other app to hear of it", || {
        (harness::value(&nexus, "/ended") == "aborted").then_some(())
    });
}

#[test]
fn what_the_other_app_comes_to_is_its_answer_and_the_caller_goes_on() {
    let folder = Folder::new(&[
        (
            "shop/index.js",
            &*functions(
                "call: async ({ OTHER }, path) => {
                   const response = await OTHER.fetch(`http://other/${path}`);
                   return [response.status, (await response.text()).split('\\n')[0]];
                 },
                 gone: ({ GONE }) => GONE.fetch('http://gone/')",
            ),
        ),
        ("shop/nexus.toml", "[bindings]\nOTHER = { app = \"other\" }\nGONE = { app = \"gone\" }\n"),
        (
            "other/index.js",
            "export default { fetch(request) {
               if (request.url.endsWith('/throw')) throw new Error('mine');
               if (request.url.endsWith('/spin')) for (;;);
               return new Response('well');
             } };",
        ),
        ("other/nexus.toml", "[limits]\ncpu = \"100 ms\"\n"),
    ]);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(harness::value(&nexus, "/call/x"), json!([200, "well"]));
    assert_eq!(harness::value(&nexus, "/call/throw")[0], 500);
    let line = nexus.message("mine");
    assert_eq!(line["app"], "other");
    assert_eq!(harness::value(&nexus, "/call/spin")[0], 503);
    assert_eq!(harness::value(&nexus, "/call/x"), json!([200, "well"]));
    let told = harness::error(&nexus, "/gone");
    assert_eq!((&told["name"], &told["code"]), (&json!("TypeError"), &json!("ECONNREFUSED")));
    assert!(told["error"].as_str().unwrap().contains("gone"), "{told}");
}

#[test]
fn a_grant_that_is_taken_away_stops_the_next_call() {
    let folder = Folder::new(&[
        (
            "shop/index.js",
            &*functions("call: async ({ OTHER }) => (await OTHER.fetch('http://other/')).text()"),
        ),
        ("shop/nexus.toml", OTHER),
        ("other/index.js", "export default { fetch: () => new Response('well') };"),
    ]);
    let managed = Managed::start(folder, &[]);
    managed.done(&["deploy", "other"]);
    let told = managed.done(&["deploy", "shop"]);
    assert!(told.contains("not granted: OTHER = { app = \"other\" }"), "{told}");
    let address = managed.address("shop");
    let mut client = Client::connect(&address);
    let denied = client.get("/call").json();
    assert_eq!(denied["code"], "EPERM");
    assert!(
        denied["error"].as_str().unwrap().contains(
            "the app may not call app `other` by its binding OTHER: the host does not grant it; `nexus grants add shop app other` does"
        ),
        "{denied}"
    );
    managed.done(&["grants", "add", "shop", "app", "other"]);
    assert_eq!(client.get("/call").json()["value"], "well");
    let listed = managed.done(&["grants"]);
    assert!(listed.contains("app") && listed.contains("call"), "{listed}");
    managed.done(&["grants", "remove", "shop", "app", "other"]);
    assert_eq!(client.get("/call").json()["code"], "EPERM");
    managed.nexus.message("the app may not call app `other`");
    managed.nexus.await_metric(
        "nexus_capability_calls_total{app=\"shop\",provider=\"apps\",capability=\"app\",operation=\"fetch\",result=\"denied\"}",
        2.0,
    );
}

#[test]
fn apps_that_call_one_another_without_end_come_to_one() {
    let back = "export default {
        async fetch(request, { OTHER }) {
          const depth = Number(new URL(request.url).pathname.slice(1));
          try {
            const response = await OTHER.fetch(`http://x/${depth + 1}`);
            return new Response(await response.text());
          } catch (error) {
            return new Response(`${depth} ${error.cause.code}`);
          }
        },
      };";
    let fork = "let calls = 0;
      export default {
        async fetch(request, { OTHER }) {
          if (request.url.endsWith('/count')) return new Response(String(calls));
          calls++;
          const all = await Promise.allSettled([OTHER.fetch('http://x/'), OTHER.fetch('http://x/'), OTHER.fetch('http://x/')]);
          return new Response(String(all.length));
        },
      };";
    let folder = Folder::new(&[
        ("one/index.js", back),
        ("one/nexus.toml", "[bindings]\nOTHER = { app = \"two\" }\n"),
        ("two/index.js", back),
        ("two/nexus.toml", "[bindings]\nOTHER = { app = \"one\" }\n"),
        ("fork/index.js", fork),
        (
            "fork/nexus.toml",
            "[bindings]\nOTHER = { app = \"fork\" }\n[limits]\nrequests = 50\nqueue = 50\nqueue_wait = \"1 s\"\n",
        ),
        (
            "own/index.js",
            "export default { fetch: (request, { OTHER }) => request.url.endsWith('/again') ? new Response('again') : OTHER.fetch('http://x/again') };",
        ),
        (
            "own/nexus.toml",
            "[bindings]\nOTHER = { app = \"own\" }\n[limits]\nrequests = 1\nqueue_wait = \"500 ms\"\n[scale]\nworkers = 1\n",
        ),
        ("quiet/index.js", "export default { fetch: () => new Response('well') };"),
    ]);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("one", "/0").text(), "8 ELOOP");
    // Whatever it comes to, it ends, and a neighbour goes on.
    let address = nexus.address("fork");
    let forking = std::thread::spawn(move || Client::connect(&address).get("/").status);
    for _ in 0..20 {
        assert_eq!(nexus.get("quiet", "/").text(), "well");
        std::thread::sleep(Duration::from_millis(10));
    }
    forking.join().unwrap();
    // It waits for the place that it has itself.
    assert_eq!(nexus.get("own", "/").status, 503);
    assert_eq!(nexus.get("own", "/again").text(), "again");
}

#[test]
fn webassembly_calls_apps_by_the_names_of_its_bindings() {
    let guest = |name: &str| {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/wasm/{name}.wasm")))
            .unwrap()
    };
    let folder = Folder::new(&[
        ("one/nexus.toml", "[bindings]\nMY_OTHER = { app = \"other\" }\n"),
        ("other/index.js", "export default { fetch: (request) => new Response(`seen ${request.url}`) };"),
    ]);
    folder.write("one/app.wasm", guest("outbound"));
    let nexus = Nexus::serve(folder.path());
    for host in ["my_other.nexus.internal", "MY_OTHER.nexus.internal"] {
        let answer = nexus.get("one", &format!("/forward/{host}/a"));
        assert_eq!(answer.text(), format!("seen http://{}/a", host.to_lowercase()), "{}", answer.status);
    }
    // What no binding names is none of them.
    assert_eq!(nexus.get("one", "/forward/other.nexus.internal/a").status, 502);
}
