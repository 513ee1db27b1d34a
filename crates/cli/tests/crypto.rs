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
             const algorithm = {{ name: 'PBKDF2', hash: 'SHA-512', salt: utf8('s'), iterations: 240_000 }};
             await crypto.subtle.deriveBits(algorithm, key, 512);
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
