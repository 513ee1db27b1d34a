//! What a hostile guest may make much of. A process of its own, beside `attacks`: lost threads keep what they hold, and
//! nobody here keeps the sum of them within what V8 can address, as the host does.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::survives;

#[test]
fn floods_of_all_kinds_end_in_a_clean_stop_or_an_exception() {
    for attack in [
        // Code: many compiled functions, many modules.
        "const held = []; for (let i = 0; ; i++) { const f = new (class { m(a) { return a + i; } })(); for (let j = 0; j < 100; j++) f.m(j); held.push(f); }",
        "const held = []; for (let i = 0; ; i++) held.push(new RegExp('a'.repeat(1000) + i + '[a-z]*'.repeat(100)).test('aaaa' + i));",
        "const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 4, 1, 2, 0, 11]);
         const held = []; for (;;) held.push(new WebAssembly.Instance(new WebAssembly.Module(bytes)));",
        "const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 4, 1, 2, 0, 11]);
         const held = []; for (;;) held.push(await Promise.all(Array.from({ length: 100 }, () => WebAssembly.compile(bytes))));",
        "const held = []; for (;;) held.push(new WebAssembly.Memory({ initial: 0, maximum: 65536 }));",
        "const held = []; for (;;) held.push(new WebAssembly.Table({ initial: 1000, element: 'externref' }));",
        // Streams, proxies, sorts, JSON.
        "const held = []; for (;;) held.push(new ReadableStream({ start(c) { c.enqueue(new Uint8Array(100)); } }).tee());",
        "let p = {}; for (;;) p = new Proxy(p, {});",
        "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x;",
        "new Array(1e7).fill(0).map(Math.random).sort(() => Math.random() - 0.5);",
        "/^(a+)+$/.test('a'.repeat(50) + 'b');",
        "'a'.repeat(1e6).match(/(a*)*b/);",
        "JSON.stringify(Array.from({ length: 1e4 }, () => 'x'.repeat(1e5)));",
        "const deep = []; let at = deep; for (let i = 0; i < 1e6; i++) { at.push([]); at = at[0]; } JSON.stringify(deep);",
        "JSON.parse('[' + '[1,2,3],'.repeat(5e6) + '0]');",
        // What the host calls.
        "return new Response('', { headers: { get a() { for (;;); } } });",
        "throw { toString() { for (;;); } };",
        "console.log({ toString() { for (;;); }, get a() { for (;;); } }); console.log('%s', { toString() { for (;;); } });",
        "const error = new Error('x'); Object.defineProperty(error, 'stack', { get() { for (;;); } }); Promise.reject(error); await 1;",
        "Promise.reject({ get cause() { for (;;); }, toString() { for (;;); } }); await 1;",
        "console.log('x'.repeat(2 ** 28), new Array(1e7).fill('y'), new Map(Array.from({ length: 1e6 }, (_, i) => [i, i])));",
        "for (;;) console.log('x');",
        // Storms.
        "const storm = () => Promise.resolve().then(storm); await storm();",
        "const storm = () => { Promise.resolve().then(storm); Promise.resolve().then(storm); }; storm(); await 1;",
        "for (;;) new Promise(() => {}).then(() => {});",
        "for (;;) Promise.reject(1);",
        "const storm = () => queueMicrotask(storm); storm(); await 1;",
        "for (;;) ctx.waitUntil(new Promise(() => {}));",
        "for (;;) try { setTimeout(() => {}, 1e6) } catch {}",
        "for (;;) import('./gone' + Math.random() + '.js').catch(() => {});",
        "const storm = async () => { for (;;) await import('./gone' + Math.random() + '.js').catch(() => {}); }; await storm();",
        "const f = () => { try { f(); } finally { f(); } }; f();",
        "const big = 'x'.repeat(1e6); const decoders = []; for (;;) { const d = new TextDecoder('utf-16le'); d.decode(new Uint8Array(1), { stream: true }); decoders.push(d); }",
        "let n = 3n; for (;;) n *= n;",
        "(2n ** 30000000n).toString();",
        "'x'.padEnd(2 ** 29 - 30).split('');",
        "Math.max(...new Array(1e7));",
        "[].concat(...Array.from({ length: 1000 }, () => new Array(1e5)));",
        "new Intl.Segmenter().segment('x'.repeat(1e8)); for (;;) new Intl.NumberFormat('de');",
        "const held = []; for (;;) held.push(new Intl.DateTimeFormat('de'));",
        "const held = []; for (;;) held.push(Symbol('x'.repeat(1000)));",
        "const o = {}; for (let i = 0; ; i++) o['key' + i] = i;",
        "const weak = new WeakMap(), held = []; for (;;) { const k = {}; held.push(k); weak.set(k, new Array(100)); }",
        "const registry = new FinalizationRegistry(() => { for (;;); }); for (;;) registry.register({}, 1);",
        "const held = []; for (;;) held.push(new AbortController().signal, AbortSignal.any(held.slice(0, 10)));",
        "const held = []; for (;;) held.push(new Request('http://a/', { method: 'POST', body: 'x'.repeat(1e5) }).clone());",
        "const held = []; for (;;) held.push(new Headers(Array.from({ length: 100 }, (_, i) => ['n' + i, 'v'])));",
        "const held = []; for (;;) held.push(new URL('http://a/' + held.length));",
    ] {
        survives(attack);
    }
}
