//! What a hostile guest may try: it is refused or stopped, or loses its thread, and others in the process never notice.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::survives;

#[test]
fn nothing_that_a_guest_allocates_in_one_step_ends_the_process() {
    for attack in [
        "new Array(1e8).fill(1.5)",
        "Object.keys(new Uint8Array(1e8))",
        "'é'.repeat(2 ** 28).normalize('NFD')",
        "new TextEncoder().encode('é'.repeat(2 ** 27))",
        "new WebAssembly.Table({ initial: 1e7, element: 'anyfunc' })",
        "const held = []; for (;;) held.push(new Uint8Array(2 ** 31).fill(1))",
        "const held = []; for (let i = 0; i < 5000; i++) held.push(new ArrayBuffer(2 ** 24))",
        "let text = 'x'; for (;;) text += text",
        "let text = 'x'; const held = []; for (;;) { held.push(text); text = (text + text).slice(0, 2 ** 28); text.charCodeAt(0) }",
        "JSON.parse('['.repeat(1e7))",
        // More than an array can have, which V8 finds fatal.
        "'x'.padEnd(2 ** 29 - 30).split('')",
        "[...'x'.padEnd(2 ** 29 - 30)]",
        "Object.keys(new Uint8Array(2 ** 28))",
        "Array.from('x'.padEnd(2 ** 28))",
        "Object.getOwnPropertyNames('x'.padEnd(2 ** 28))",
        "Object.entries('x'.padEnd(2 ** 28))",
        "new Float64Array(2 ** 27 + 1).toSorted(() => 0)",
        "Array.from(new Uint8Array(2 ** 28))",
        "'x,'.repeat(2 ** 27).split(',')",
        "new Set(new Uint8Array(2 ** 27))",
        "JSON.stringify('x'.padEnd(2 ** 28), null, ' ')",
        "'x'.padEnd(2 ** 28).replaceAll('x', 'yyyy').replace(/ /g, 'zzz')",
        "'x'.padEnd(2 ** 28).match(/ /g)",
        "Reflect.apply(Math.max, null, { length: 2 ** 28 })",
        "String.fromCharCode.apply(null, new Uint16Array(2 ** 27))",
        "structuredClone(new Array(1e8).fill(0))",
        "JSON.stringify(new Array(1e7).fill('xxxxxxxxxxxxxxxx'))",
    ] {
        survives(attack);
    }
}
