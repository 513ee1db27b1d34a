//! `fetch`: what a request's options do, and the encodings of responses.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::fetching::{GZIP, app, echo, result, serve};
use harness::{Folder, Nexus, Upstream};
use serde_json::json;

/// Each referrer policy, and the `referer` of a request whose referrer has the request's origin, whose referrer has
/// another one, and which goes from https to http: the referrer's whole address, its origin, or nothing.
const POLICIES: [(&str, [&str; 3]); 9] = [
    // As strict-origin-when-cross-origin.
    ("", ["whole", "origin", ""]),
    ("no-referrer", ["", "", ""]),
    ("no-referrer-when-downgrade", ["whole", "whole", ""]),
    ("same-origin", ["whole", "", ""]),
    ("origin", ["origin", "origin", "origin"]),
    ("strict-origin", ["origin", "origin", ""]),
    ("origin-when-cross-origin", ["whole", "origin", "origin"]),
    ("strict-origin-when-cross-origin", ["whole", "origin", ""]),
    ("unsafe-url", ["whole", "whole", "whole"]),
];

#[test]
fn a_referrer_is_told_as_its_policy_says() {
    let upstream = Upstream::new(echo);
    let origins =
        [format!("http://{}", upstream.address()), "http://a.example".into(), "https://a.example".into()];
    let policies: Vec<&str> = POLICIES.iter().map(|(policy, _)| *policy).collect();
    let told = result(
        &upstream,
        &format!(
            "async () => {{
                const told = {{}};
                for (const referrerPolicy of {}) {{
                    told[referrerPolicy] = [];
                    for (const origin of {}) {{
                        const init = {{ referrer: `${{origin.replace('//', '//user:pass@')}}/a/b?c=d#e`, referrerPolicy }};
                        const {{ fields }} = await (await fetch(U + '/to', init)).json();
                        told[referrerPolicy].push(fields.referer ?? '');
                    }}
                }}
                return told;
            }}",
            json!(policies),
            json!(origins)
        ),
    );
    for (policy, expected) in POLICIES {
        let expected: Vec<String> = expected
            .iter()
            .zip(&origins)
            .map(|(what, origin)| match *what {
                "whole" => format!("{origin}/a/b?c=d"),
                "origin" => format!("{origin}/"),
                _ => String::new(),
            })
            .collect();
        assert_eq!(told[policy], json!(expected), "{policy}");
    }
}

#[test]
fn what_is_no_address_is_no_referrer_and_a_long_one_is_its_origin() {
    let upstream = Upstream::new(echo);
    let told = result(
        &upstream,
        "async () => {
            const told = async (init, url = U) => (await (await fetch(url, init)).json()).fields.referer ?? null;
            const referrerPolicy = 'unsafe-url';
            const page = (length) => U + '/' + 'x'.repeat(length - U.length - 1);
            return [
                await told({}), await told({ referrerPolicy }), await told({ referrer: 'about:client', referrerPolicy }),
                await told({ referrer: '', referrerPolicy }), await told({ referrer: 'data:,x', referrerPolicy }),
                await told({ referrer: U + '/a', headers: { referer: 'own' } }),
                // A request's, and its policy, which new options may replace.
                await told({}, new Request(U, { referrer: 'http://a.example/b', referrerPolicy })),
                await told({ referrerPolicy: 'origin' }, new Request(U, { referrer: 'http://a.example/b', referrerPolicy })),
                (await told({ referrer: page(4096), referrerPolicy })).length, await told({ referrer: page(4097), referrerPolicy }) === U + '/',
            ];
        }",
    );
    assert_eq!(told, json!([null, null, null, null, null, "own", "http://a.example/b", null, 4096, true]));
}

#[test]
fn a_redirect_to_another_origin_is_told_the_referrers_origin() {
    let other = Upstream::new(echo);
    let to = format!("location: http://{}/", other.address());
    let upstream = Upstream::new(move |asked| match asked.path() {
        "/away" => {
            let own = asked.field("referer").ends_with("/page?q");
            asked.reply(if own { "302 Found" } else { "200 OK" }, &[&to], "");
        }
        _ => echo(asked),
    });
    let folder = Folder::app(&app(
        &upstream,
        "async () => (await (await fetch(U + '/away', { referrer: U + '/page?q#f' })).json()).fields.referer",
    ));
    let net = format!("[permissions]\nnet = [\"{}\", \"{}\"]\n", upstream.address(), other.address());
    folder.write("app/nexus.toml", net);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.client("app").get("/").json(), format!("http://{}/", upstream.address()));
}

#[test]
fn cache_modes_are_fields_for_caches_on_the_way() {
    let upstream = Upstream::new(echo);
    let told = result(
        &upstream,
        "async () => {
            const told = async (init, url = U) => {
                const { fields } = await (await fetch(url, init)).json();
                return [fields['cache-control'] ?? null, fields.pragma ?? null];
            };
            const modes = {};
            for (const cache of ['default', 'no-store', 'reload', 'no-cache', 'force-cache']) modes[cache] = await told({ cache });
            const headers = { 'cache-control': 'max-age=5' };
            return [
                modes, await told({ cache: 'reload', headers }), await told({ cache: 'no-cache', headers }),
                await told({ cache: 'no-store', headers: { pragma: 'own' } }), await told({}, new Request(U, { cache: 'reload' })),
                await told({ cache: 'default' }, new Request(U, { cache: 'reload' })),
                // There is nothing to have it from.
                await told({ cache: 'only-if-cached', mode: 'same-origin' }).catch((error) => error.name),
            ];
        }",
    );
    assert_eq!(
        told,
        json!([
            {
                "default": [null, null],
                "no-store": ["no-cache", "no-cache"],
                "reload": ["no-cache", "no-cache"],
                "no-cache": ["max-age=0", null],
                "force-cache": [null, null],
            },
            ["max-age=5", "no-cache"],
            ["max-age=5", null],
            ["no-cache", "own"],
            ["no-cache", "no-cache"],
            [null, null],
            "TypeError",
        ])
    );
}

#[test]
fn without_cors_only_harmless_fields_are_sent() {
    let upstream = Upstream::new(echo);
    let told = result(
        &upstream,
        "async () => {
            const headers = { 'accept-language': 'de', accept: 'a/b', authorization: 'secret', cookie: 'a=b', 'x-own': '1' };
            const init = { mode: 'no-cors', method: 'POST', headers, body: 'text', cache: 'no-cache', referrer: U + '/a' };
            const { fields } = await (await fetch(U, init)).json();
            const names = ['accept-language', 'accept', 'authorization', 'cookie', 'x-own', 'content-type', 'cache-control'];
            return [names.map((name) => fields[name] ?? null), fields.referer === U + '/a'];
        }",
    );
    let fields = json!(["de", "a/b", null, null, null, "text/plain;charset=UTF-8", "max-age=0"]);
    assert_eq!(told, json!([fields, true]));
}

#[test]
fn a_response_is_what_its_integrity_says_or_an_error() {
    let upstream = Upstream::new(|asked| match asked.path() {
        "/gzip" => asked.reply("200 OK", &["content-encoding: gzip"], GZIP),
        "/long" => asked.reply("200 OK", &[], [b'x'; 1_000_000]),
        "/none" => asked.reply("204 No Content", &[], ""),
        "/to" => asked.reply("302 Found", &["location: /text"], "on"),
        "/cut" => {
            asked.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello, hello, hello");
            asked.close();
        }
        _ => asked.reply("200 OK", &["x-own: 1"], "hello, hello, hello"),
    });
    let told = result(
        &upstream,
        "async () => {
            const told = async (path, integrity) => {
                try {
                    const r = await fetch(U + path, { integrity });
                    return [r.status, r.url === U + path, r.headers.get('x-own'), (await r.text()).length];
                } catch (e) { return [e.name, e.message, e.cause?.code ?? null]; }
            };
            const right = 'sha256-nMY/1sAuGeFHhKOJs82mwQEiliaLD0qfMLNHELqYB6c=';
            const wrong = 'sha256-G5d+n4Txsmtu1/aLBJj67iOF6kElvSmtzkp9kQa6MTQ=';
            const right384 = 'sha384-Bjn+4am8rRxx8RyA3B55mLmnGmPa2NTPVad63J3s2ooxJV5JRvH8vTZZT57UW4My';
            const right512 = 'sha512-JQ1nloB+z4I/fAUmjcDacGUYphx25RWAf5bxDJBTsp9wBjUYMXJyWCZnieqmYWaqWKORxj0ShUeuKrBrjyXx9g==';
            return {
                right: await told('/text', right),
                wrong: await told('/text', wrong),
                either: await told('/text', wrong + ' ' + right),
                strongest: await told('/text', wrong + ' ' + right384),
                'strongest wrong': await told('/text', right + ' ' + right384.replace('B', 'C')),
                512: await told('/text', right512),
                unknown: await told('/text', 'md5-AAAA'),
                decoded: await told('/gzip', right),
                'decoded wrong': await told('/gzip', wrong),
                long: await told('/long', wrong),
                empty: await told('/none', 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='),
                redirected: await told('/to', right),
                cut: (await told('/cut', right)).toSpliced(1, 1),
            };
        }",
    );
    let text = json!([200, true, "1", 19]);
    let error = json!(["TypeError", "fetch: the response's body is not what integrity says", null]);
    assert_eq!(
        told,
        json!({
            "right": text,
            "wrong": error,
            "either": text,
            "strongest": text,
            "strongest wrong": error,
            "512": text,
            "unknown": text,
            "decoded": [200, true, null, 19],
            "decoded wrong": error,
            "long": [200, true, null, 1_000_000],
            "empty": [204, true, null, 0],
            "redirected": [200, false, "1", 19],
            "cut": ["TypeError", "ECONNRESET"],
        })
    );
}

const TEXT: &str = "hello, hello, hello";

/// The text in each encoding, and the encoding's name in `content-encoding`. As of the tools gzip, brotli and zstd, and of
/// Python's `zlib.compress(text, 9)`; the last one is what a zlib stream has inside, as many servers send it.
const ENCODED: [(&str, &[u8]); 5] = [
    ("gzip", GZIP),
    ("br", b"\x1b\x12\x00\xf8\x8d\x94\x6e\xde\x44\x09\x52\x86\x96\x6c\x2c\x6f\x11\x4f\x24\xd0\x71\x00"),
    ("zstd", b"\x28\xb5\x2f\xfd\x00\x68\x6d\x00\x00\x38\x68\x65\x6c\x6c\x6f\x2c\x20\x01\x00\xe2\x8a\x11"),
    ("deflate", b"\x78\xda\xcb\x48\xcd\xc9\xc9\xd7\x51\xc8\x40\xa2\x00\x44\x28\x06\xd5"),
    ("deflate", b"\xcb\x48\xcd\xc9\xc9\xd7\x51\xc8\x40\xa2\x00"),
];

#[test]
fn responses_in_every_encoding_are_decoded_or_go_on_as_they_came() {
    let upstream = Upstream::new(|asked| {
        let (name, bytes) = ENCODED[asked.path()[1..].parse::<usize>().unwrap()];
        asked.reply("200 OK", &[&format!("content-encoding: {name}")], bytes);
    });
    let (_folder, nexus) = serve(
        &upstream,
        "async (request) => {
            const { pathname, search } = new URL(request.url);
            const get = () => fetch(U + pathname);
            if (search === '?pass') return get();
            const chunks = [];
            for await (const chunk of (await get()).body) chunks.push(...chunk);
            const response = await get();
            const { headers } = response;
            return [await response.text(), String.fromCharCode(...chunks), headers.has('content-encoding'), headers.has('content-length')];
        }",
    );
    for (number, (name, bytes)) in ENCODED.into_iter().enumerate() {
        let mut client = nexus.client("app");
        let told = client.get(&format!("/{number}")).json();
        assert_eq!(told, json!([TEXT, TEXT, false, false]), "{number}");
        let mut pass = |fields: &[&str]| client.request("GET", &format!("/{number}?pass"), fields, b"");
        let coded = pass(&[&format!("accept-encoding: x, {name}")]);
        assert_eq!((coded.header("content-encoding"), &coded.body[..]), (Some(name), bytes), "{number}");
        assert_eq!(coded.header("content-length"), Some(&*bytes.len().to_string()), "{number}");
        for fields in [vec![], vec![format!("accept-encoding: identity, {name};q=0")]] {
            let plain = pass(&fields.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!((plain.header("content-encoding"), plain.text().as_str()), (None, TEXT), "{number}");
        }
    }
}
