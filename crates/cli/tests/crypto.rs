//! Web Crypto between tenants: what it takes, who waits for whom, and what is told of keys. What it computes is in
//! `tests/web/webcrypto-*.js` and in the tests of `nexus-crypto`.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus};

const RSA: &str =
    "{ name: 'RSA-PSS', modulusLength: 4096, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' }";

fn app(body: &str) -> String {
    format!(
        "const utf8 = (text) => new TextEncoder().encode(text);\nexport default {{ async fetch(request) {{ {body} }} }};"
    )
}

#[test]
fn what_is_calculated_beside_an_app_counts_as_its_cpu_time() {
    let body = format!(
        "if (request.url.endsWith('/alive')) return new Response('alive');
         if (request.url.endsWith('/pbkdf2')) {{
             const key = await crypto.subtle.importKey('raw', utf8('p'), 'PBKDF2', false, ['deriveBits']);
             const algorithm = {{ name: 'PBKDF2', hash: 'SHA-512', salt: utf8('s'), iterations: 190_000 }};
             for (let i = 0; i < 8; i++) await crypto.subtle.deriveBits(algorithm, key, 512);
             return new Response('derived');
         }}
         await crypto.subtle.generateKey({RSA}, false, ['sign']);
         return new Response('made');"
    );
    let folder = Folder::app(&app(&body));
    folder.write("app/nexus.toml", "[limits]\ncpu = \"50 ms\"\n");
    let nexus = Nexus::serve(folder.path());
    for path in ["/rsa", "/pbkdf2"] {
        let response = nexus.get("app", path);
        let text = "the app was stopped while it handled this request (limit: cpu 50 ms)\n";
        assert_eq!((response.status, &*response.text()), (503, text), "{path}");
        assert_eq!(nexus.get("app", "/alive").text(), "alive");
    }
    nexus.await_metric("nexus_guest_stops_total{app=\"app\",reason=\"cpu\"}", 2.0);
}

#[test]
fn who_calculates_much_lets_neighbours_calculate_too() {
    let derive = |iterations: u32| {
        format!(
            "const key = await crypto.subtle.importKey('raw', utf8('p'), 'PBKDF2', false, ['deriveBits']);
             const algorithm = {{ name: 'PBKDF2', hash: 'SHA-256', salt: utf8('s'), iterations: {iterations} }};
             const one = () => crypto.subtle.deriveBits(algorithm, key, 256);"
        )
    };
    let greedy = app(&format!(
        "{} console.log('begins'); await Promise.all(Array.from({{ length: 300 }}, one)); return new Response('done');",
        derive(2_000_000)
    ));
    let quiet = app(&format!("{} await one(); return new Response('derived');", derive(2_000)));
    let limits = "[limits]\ncpu = \"1 h\"\nwall = \"1 h\"\n[scale]\nworkers = 1\n";
    let folder = Folder::new(&[("greedy/index.js", &*greedy), ("quiet/index.js", &*quiet)]);
    folder.write("greedy/nexus.toml", limits);
    folder.write("quiet/nexus.toml", limits);
    let nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("greedy");
    client.send_request("GET", "/", &[], b"");
    nexus.message("begins");
    for _ in 0..10 {
        assert_eq!(nexus.get("quiet", "/").text(), "derived");
    }
    // It has not come far, and ends with its client.
    assert_eq!(nexus.metric("nexus_requests_in_flight{app=\"greedy\"}"), 1.0);
}

#[test]
fn keys_count_as_memory_also_when_they_were_used() {
    let body = "const kept = [];
        for (let i = 0; i < Number(new URL(request.url).pathname.slice(1)); i++) {
            const key = await crypto.subtle.importKey('raw', new Uint8Array(4_000_000), { name: 'HMAC', hash: 'SHA-1' }, false, ['sign']);
            await crypto.subtle.sign('HMAC', key, utf8('d'));
            kept.push(key);
        }
        return new Response(String(kept.length));";
    let folder = Folder::app(&app(body));
    folder.write("app/nexus.toml", "[limits]\nmemory = \"64 MB\"\ncpu = \"10 s\"\n[scale]\nworkers = 1\n");
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/5").text(), "5");
    assert_ne!(nexus.get("app", "/30").status, 200);
    assert_eq!(nexus.get("app", "/5").text(), "5");
}

#[test]
fn calculations_that_nobody_wants_any_more_are_not_begun() {
    let body = "const { pathname } = new URL(request.url);
        const key = await crypto.subtle.importKey('raw', utf8('p'), 'PBKDF2', false, ['deriveBits']);
        const derive = (iterations) => crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt: utf8('s'), iterations }, key, 256);
        if (pathname === '/left') { derive(8_000_000); derive(8_000_000); return new Response('left'); }
        await derive(2_000);
        return new Response('derived');";
    let folder = Folder::app(&app(body));
    folder.write("app/nexus.toml", "[limits]\ncpu = \"1 h\"\nwall = \"1 h\"\n[scale]\nworkers = 1\n");
    let nexus = Nexus::serve(folder.path());
    for _ in 0..100 {
        assert_eq!(nexus.get("app", "/left").text(), "left");
    }
    // One of them may be under way: it is waited for. Several minutes of calculations are not.
    assert_eq!(nexus.get("app", "/derive").text(), "derived");
    nexus.await_nothing_held("app");
}

#[test]
fn what_hashes_its_salt_again_and_again_is_refused() {
    let body = "const { pathname } = new URL(request.url);
        const data = new Uint8Array(2_000_000);
        const name = pathname.slice(1);
        const key = await crypto.subtle.importKey('raw', utf8('p'), name, false, ['deriveBits']);
        const algorithm = { name, hash: 'SHA-256', salt: data, info: data, iterations: 1 };
        await crypto.subtle.deriveBits(algorithm, key, name === 'HKDF' ? 8 * 255 * 32 : 8_000_000).then(() => { throw new Error('done'); }, (error) => { if (error.name !== 'OperationError') throw error; });
        return new Response('refused');";
    let folder = Folder::app(&app(body));
    folder.write("app/nexus.toml", "[limits]\ncpu = \"1 s\"\n");
    let nexus = Nexus::serve(folder.path());
    for name in ["PBKDF2", "HKDF"] {
        assert_eq!(nexus.get("app", &format!("/{name}")).text(), "refused", "{name}");
    }
}

#[test]
fn an_exponent_of_many_zeroes_keeps_nobody_waiting() {
    let greedy = app("const publicExponent = new Uint8Array(1_000_003);
         publicExponent.set([1, 0, 1], 1_000_000);
         const make = () => crypto.subtle.generateKey({ name: 'RSA-PSS', modulusLength: 512, publicExponent, hash: 'SHA-256' }, false, ['sign']);
         await Promise.all([make(), make(), make()]);
         return new Response('made');");
    let quiet = app("const key = await crypto.subtle.importKey('raw', utf8('p'), 'PBKDF2', false, ['deriveBits']);
         await crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt: utf8('s'), iterations: 2_000 }, key, 256);
         return new Response('derived');");
    let folder = Folder::new(&[("greedy/index.js", &*greedy), ("quiet/index.js", &*quiet)]);
    folder.write("greedy/nexus.toml", "[limits]\ncpu = \"10 s\"\n");
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("greedy", "/").text(), "made");
    assert_eq!(nexus.get("quiet", "/").text(), "derived");
}

#[test]
fn signatures_that_are_none_are_not_kept_until_their_turn() {
    let body = "const { subtle } = crypto;
        const password = await subtle.importKey('raw', utf8('p'), 'PBKDF2', false, ['deriveBits']);
        subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt: utf8('s'), iterations: 8_000_000 }, password, 256);
        const key = await subtle.importKey('raw', utf8('k'), { name: 'HMAC', hash: 'SHA-512' }, false, ['verify']);
        const [data, signature] = [new Uint8Array(600_000), new Uint8Array(20_000_000)];
        for (let i = 0; i < 60; i++) subtle.verify('HMAC', key, signature, data);
        const isRight = await subtle.verify('HMAC', key, signature, utf8('short'));
        return new Response(String(isRight));";
    let folder = Folder::app(&app(body));
    folder.write("app/nexus.toml", "[limits]\ncpu = \"1 h\"\nwall = \"1 h\"\n[scale]\nworkers = 1\n");
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/").text(), "false");
    // Of 1.2 GB of signatures.
    let resident = nexus.resident();
    assert!(resident < 500 << 20, "{resident}");
}

#[test]
fn no_secret_is_told_of_a_key() {
    let body = "const secret = utf8('0123456789abcdef');
        const key = await crypto.subtle.importKey('raw', secret, 'AES-GCM', true, ['encrypt']);
        console.log(key, { key }, [key]);
        const told = JSON.stringify({ key, own: Reflect.ownKeys(key) });
        try { await crypto.subtle.importKey('jwk', { kty: 'oct', k: 'MDEyMzQ1Njc4OWFiY2RlZg=' }, 'AES-GCM', true, ['encrypt']); }
        catch (error) { console.error(error); }
        await crypto.subtle.importKey('raw', secret.subarray(1), 'AES-GCM', true, ['encrypt']).catch(console.error);
        throw new Error(`${told} ${key}`, { cause: key });";
    let nexus_folder = Folder::app(&app(body));
    let nexus = Nexus::serve(nexus_folder.path());
    assert_eq!(nexus.get("app", "/").status, 500);
    nexus.message("[object CryptoKey]");
    let told: String = nexus.log().iter().map(ToString::to_string).collect();
    for secret in ["0123456789abcdef", "123456789abcdef", "MDEyMzQ1", "48, 49, 50", "48,49,50", "30313233"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    assert!(told.contains("AES-GCM"), "{told}");
}
