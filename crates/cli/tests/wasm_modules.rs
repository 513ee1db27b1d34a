//! WebAssembly modules that JavaScript imports: what the import gives, what is told of files that cannot be imported,
//! and that hostile ones harm nobody else.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus, run};
use serde_json::json;

/// `(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))`
const ADD: &[u8] = b"\0asm\x01\0\0\0\x01\x07\x01\x60\x02\x7f\x7f\x01\x7f\x03\x02\x01\0\
    \x07\x07\x01\x03add\0\0\x0a\x09\x01\x07\0\x20\0\x20\x01\x6a\x0b";
/// `(module (import "env" "n" (func (result i32))) (func (export "twice") (result i32) (i32.add (call 0) (call 0))))`
const TWICE: &[u8] = b"\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7f\x02\x09\x01\x03env\x01n\0\0\x03\x02\x01\0\
    \x07\x09\x01\x05twice\0\x01\x0a\x09\x01\x07\0\x10\0\x10\0\x6a\x0b";
/// A module that declares memory for threads to share.
const SHARED: &[u8] = b"\0asm\x01\0\0\0\x05\x04\x01\x03\x01\x01";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A module of so many empty functions, 4 bytes each in the file.
fn functions(count: u32) -> Vec<u8> {
    let section = |id: u8, content: &[u8]| [&[id][..], &leb(content.len() as u32), content].concat();
    let declared = [leb(count), vec![0; count as usize]].concat();
    let bodies = [leb(count), b"\x02\0\x0b".repeat(count as usize)].concat();
    [b"\0asm\x01\0\0\0", &section(1, b"\x01\x60\0\0")[..], &section(3, &declared), &section(10, &bodies)]
        .concat()
}

/// A module of so many types, each another one: functions of 16 parameters.
fn types(count: u32) -> Vec<u8> {
    let mut section = leb(count);
    for number in 0..count {
        let parameters = (0..16).map(|place| 0x7f - (number >> (2 * place) & 3) as u8);
        section.extend([0x60, 16].into_iter().chain(parameters).chain([0]));
    }
    [b"\0asm\x01\0\0\0\x01", &leb(section.len() as u32)[..], &section].concat()
}

/// An unsigned number in LEB128.
fn leb(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Bytes that are nothing, and the same each time (xorshift).
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..count).map(|_| next()).collect()
}

/// The start-up error of a folder whose only app is `app`.
#[track_caller]
fn error_of(folder: &Folder) -> String {
    let output = run(folder.path(), &["serve", ".", "--port", "0", "--log-format", "pretty"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    output.stdout
}

#[test]
fn a_wasm_file_is_imported_as_a_module_that_instances_are_made_of() {
    let folder = Folder::app(
        "import add from './lib/add.wasm';
         import same from 'file:///lib/./add.wasm';
         import * as all from './twice.wasm';
         import bytes from './lib/add.wasm' with { type: 'bytes' };
         import './other.js';
         export default { async fetch() {
           const { default: late } = await import('/lib/add.wasm');
           const instance = new WebAssembly.Instance(add);
           const made = await WebAssembly.instantiate(all.default, { env: { n: () => 21 } });
           const { value } = await import('./dynamic.wasm').then(
             async (module) => ({ value: await WebAssembly.instantiate(module.default) }));
           return Response.json({
             kinds: [add, late, made, value].map(String),
             same: [add === same, add === late, add === globalThis.other, add instanceof WebAssembly.Module],
             values: [instance.exports.add(40, 2), made.exports.twice(), value.exports.add(1, 2)],
             names: [Object.keys(all), WebAssembly.Module.exports(add)[0].name],
             bytes: [bytes.length, (await WebAssembly.instantiate(bytes)).instance.exports.add(2, 2)],
           });
         } };",
    );
    folder.write("app/other.js", "import m from './lib/add.wasm'; globalThis.other = m;");
    folder.write("app/lib/add.wasm", ADD);
    folder.write("app/dynamic.wasm", ADD);
    folder.write("app/twice.wasm", TWICE);
    let nexus = Nexus::serve(folder.path());
    let (module, instance) = ("[object WebAssembly.Module]", "[object WebAssembly.Instance]");
    for _ in 0..2 {
        assert_eq!(
            nexus.get("app", "/").json(),
            json!({
                "kinds": [module, module, instance, instance],
                "same": [true, true, true, true],
                "values": [42, 42, 3],
                "names": [["default"], "add"],
                "bytes": [ADD.len(), 4],
            })
        );
    }
    nexus.await_nothing_held("app");
}

#[test]
fn a_wasm_file_that_cannot_be_imported_is_told_with_both_files_and_the_place() {
    let long = [ADD, &[0; 64]].concat();
    let cases: [(&str, &str, &[u8], &[&str]); 14] = [
        ("lib/x.wasm", "", b"", &["it is not valid WebAssembly: expected 4 bytes, fell off end @+0"]),
        (
            "lib/x.wasm",
            "",
            b"(module)",
            &["CompileError: cannot import \"lib/x.wasm\" from \"index.js\": ", "expected magic word"],
        ),
        (
            "lib/x.wasm",
            "",
            &noise(4096),
            &["expected magic word", "--> index.js:2:15", "2 | import m from './lib/x.wasm'"],
        ),
        ("lib/x.wasm", "", &ADD[..ADD.len() - 3], &["CompileError", "it is not valid WebAssembly: "]),
        ("lib/x.wasm", "", &ADD[..7], &["expected 4 bytes, fell off end @+4"]),
        ("lib/x.wasm", "", &long, &["CompileError", "it is not valid WebAssembly: "]),
        ("lib/x.wasm", "", COMPONENT, &["it is a WebAssembly component, not a module", "an app of its own"]),
        ("lib/x.wasm", "", SHARED, &["CompileError", "shared memory is not supported"]),
        (
            "lib/y.wasm",
            "",
            ADD,
            &[
                "cannot import \"./lib/x.wasm\" from \"index.js\": there is no file \"lib/x.wasm\"",
                "index.js:2:15",
            ],
        ),
        ("lib/x.wasm/y", "", ADD, &["\"lib/x.wasm\" is a folder"]),
        (
            "lib/x.wasm",
            "with { type: 'webassembly' }",
            ADD,
            &["import type \"webassembly\" is not supported", "none for a .js, .mjs or .wasm file"],
        ),
        ("lib/x.wasm", "with { type: 'css' }", ADD, &["import type \"css\" is not supported"]),
        ("lib/x.wasm", "with { type: 'json' }", b"{", &["\"lib/x.wasm\" is not valid JSON"]),
        ("lib/x.wasm", "with { type: 'text' }", b"\xff", &["\"lib/x.wasm\" is not UTF-8 text"]),
    ];
    for (file, attributes, bytes, parts) in cases {
        let main = format!(
            "// one\nimport m from './lib/x.wasm'{attributes};\nexport default {{ fetch() {{}} }};\n"
        );
        let folder = Folder::app(&main);
        folder.write(&format!("app/{file}"), bytes);
        let error = error_of(&folder);
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in\n{error}");
        }
        assert!(!error.contains(folder.path().to_str().unwrap()), "{error}");
    }
    // What a module exports are its instance's names, not the import's.
    let folder = Folder::app("import { add } from './add.wasm'; export default { fetch() {} };");
    folder.write("app/add.wasm", ADD);
    assert!(error_of(&folder).contains("does not provide an export named 'add'"));
}

#[test]
fn a_dynamic_import_of_broken_webassembly_rejects_with_a_compile_error_and_can_be_tried_again() {
    let folder = Folder::app(
        "const told = (error) => [error instanceof WebAssembly.CompileError, error.name, error.message];
         export default { async fetch(request) {
           const specifier = '.' + new URL(request.url).pathname;
           try { return Response.json(String((await import(specifier)).default)); }
           catch (error) { return Response.json(told(error)); }
         } };",
    );
    folder.write("app/text.wasm", "(module)");
    folder.write("app/component.wasm", COMPONENT);
    folder.write("app/shared.wasm", SHARED);
    let nexus = Nexus::serve(folder.path());
    for (file, reason) in [
        ("text", "it is not valid WebAssembly: expected magic word 00 61 73 6d, found 28 6d 6f 64 @+0"),
        (
            "component",
            "it is a WebAssembly component, not a module: make it the main file of an app of its own",
        ),
        ("shared", "shared memory is not supported"),
    ] {
        let message = format!("cannot import \"{file}.wasm\" from \"index.js\": {reason}");
        for _ in 0..2 {
            let told = nexus.get("app", &format!("/{file}.wasm")).json();
            assert_eq!(told, json!([true, "CompileError", message]));
        }
    }
    let told = nexus.get("app", "/gone.wasm").json();
    assert_eq!(told[1], "TypeError");
    assert!(told[2].as_str().unwrap().contains("there is no file \"gone.wasm\""), "{told}");
    folder.write("app/text.wasm", ADD);
    assert_eq!(nexus.get("app", "/text.wasm").json(), "[object WebAssembly.Module]");
    nexus.await_nothing_held("app");
}

#[test]
fn any_bytes_are_a_module_or_a_compile_error() {
    let folder = Folder::app(
        "export default { async fetch(request) {
           try { return new Response(String((await import('.' + new URL(request.url).pathname)).default)); }
           catch (error) { return new Response(error.name); }
         } };",
    );
    let mut files: Vec<Vec<u8>> = (0..TWICE.len()).map(|end| TWICE[..end].to_vec()).collect();
    for (place, byte) in noise(TWICE.len()).into_iter().enumerate() {
        let mut bytes = TWICE.to_vec();
        bytes[place] ^= byte | 1;
        files.push(bytes);
    }
    for (number, bytes) in files.iter().enumerate() {
        folder.write(&format!("app/{number}.wasm"), bytes);
    }
    let mut nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("app");
    for (number, bytes) in files.iter().enumerate() {
        let answer = client.get(&format!("/{number}.wasm")).text();
        assert!(["CompileError", "[object WebAssembly.Module]"].contains(&&*answer), "{answer}: {bytes:?}");
    }
    assert!(nexus.runs());
}

#[test]
fn an_imported_module_leads_to_no_constructor_that_makes_shared_memory() {
    // Nothing here has used `WebAssembly` when the module is there.
    let folder = Folder::app(
        "import m from './add.wasm';
         import shared from './shared.wasm' with { type: 'bytes' };
         const Module = Object.getPrototypeOf(m).constructor;
         let made;
         try { made = String(new Module(shared)); } catch (error) { made = error.name; }
         export default { fetch: () => Response.json([made, Module === WebAssembly.Module]) };",
    );
    folder.write("app/add.wasm", ADD);
    folder.write("app/shared.wasm", SHARED);
    // What the guest has put in its place stays, and is not what modules are compiled with.
    folder.write(
        "patched/index.js",
        "globalThis.WebAssembly = { Module: class {}, CompileError: class {} };
         const own = WebAssembly;
         const names = [String((await import('./add.wasm')).default)];
         try { await import('./bad.wasm'); } catch (error) { names.push(error.name); }
         export default { fetch: () => Response.json([...names, WebAssembly === own]) };",
    );
    folder.write("patched/add.wasm", ADD);
    folder.write("patched/bad.wasm", "");
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/").json(), json!(["CompileError", true]));
    assert_eq!(
        nexus.get("patched", "/").json(),
        json!(["[object WebAssembly.Module]", "CompileError", true])
    );
}

#[test]
fn large_and_many_wasm_files_are_bounded_and_harm_no_neighbour() {
    let quiet = "let count = 0; export default { fetch: () => new Response(String(++count)) };";
    let main = "import m from './x.wasm'; export default { fetch: () => new Response(String(m)) };";
    let again = "export default { async fetch(request) {
        const held = [];
        for (let i = 0; ; i++) await import(new URL(request.url).pathname.replace('#', i)).then(
          (module) => held.push(module.default), (error) => { if (error.name === 'RangeError') throw error; });
      } };";
    let many = "export default { async fetch(request) {
        const held = [];
        try { for (let i = 0; i < 12; i++) held.push((await import(`./${i}.wasm`)).default); }
        catch (error) { return new Response(`${held.length}: ${error.message}`); }
        return new Response('all');
      } };";
    let more_types = "import bytes from './x.wasm' with { type: 'bytes' };
        const KINDS = ['i32', 'i64', 'f32', 'f64'];
        const told = [WebAssembly.validate(bytes)];
        try { new WebAssembly.Module(bytes); } catch (error) { told.push(error.name); }
        export default { fetch() {
          try {
            for (let n = 0; ; n++) {
              const parameters = Array.from({ length: 16 }, (_, place) => KINDS[n >> (2 * place) & 3]);
              new WebAssembly.Tag({ parameters });
            }
          } catch (error) { return Response.json([...told, error.message]); }
        } };";
    let folder = Folder::new(&[
        ("quiet/index.js", quiet),
        ("noise/index.js", main),
        ("larger/index.js", main),
        ("functions/index.js", main),
        ("types/index.js", main),
        ("more-types/index.js", more_types),
        ("more-types/nexus.toml", "[limits]\ncpu = \"1 m\"\nstartup = \"1 m\"\n"),
        ("slow/index.js", main),
        ("slow/nexus.toml", "[limits]\nstartup = \"5 ms\"\n"),
        ("again/index.js", again),
        ("again/nexus.toml", "[limits]\ncpu = \"50 ms\"\n"),
        ("many/index.js", many),
        ("many/nexus.toml", "[limits]\ncpu = \"1 m\"\nmemory = \"1 GB\"\n"),
    ]);
    folder.write("noise/x.wasm", noise(10 << 20));
    folder.write("larger/x.wasm", noise(20 << 20));
    folder.write("functions/x.wasm", functions(400_000));
    folder.write("types/x.wasm", types(200_000));
    folder.write("more-types/x.wasm", types(200_000));
    folder.write("slow/x.wasm", functions(240_000));
    folder.write("again/bad.wasm", &functions(100_000)[..300_000]);
    folder.write("again/x.wasm", ADD);
    for number in 0..12 {
        // A custom section makes each another one to V8, which knows what it has compiled.
        let module = [functions(150_000), vec![0, 2, 1, b'a' + number]].concat();
        folder.write(&format!("many/{number}.wasm"), module);
    }
    let mut nexus = Nexus::serve(folder.path());
    let mut neighbour = nexus.client("quiet");
    let mut count = 0;
    let mut look = |nexus: &mut Nexus| {
        count += 1;
        assert_eq!(neighbour.get("/").text(), count.to_string());
        assert!(nexus.runs());
    };
    look(&mut nexus);
    for (app, reason) in [
        ("noise", "it is not valid WebAssembly: expected magic word"),
        ("larger", "larger than the limit of 10 MB for a module"),
        ("functions", "more WebAssembly functions than"),
        ("types", "more WebAssembly types than"),
        ("slow", "its startup limit of 5 ms"),
    ] {
        let line = nexus.line(app, |line| {
            line["app"] == app && line["message"].as_str().is_some_and(|text| text.starts_with("not served"))
        });
        assert!(line["message"].as_str().unwrap().contains(reason), "{line}");
    }
    look(&mut nexus);
    let stopped = nexus.get("again", "/bad.wasm");
    assert_eq!(stopped.status, 503);
    assert!(stopped.text().contains("limit: cpu"), "{}", stopped.text());
    look(&mut nexus);
    let answer = nexus.get("many", "/").text();
    assert!(answer.contains("more WebAssembly functions than"), "{answer}");
    look(&mut nexus);
    // V8 keeps types for good, and cannot go on without room for one more, in none of its guests.
    let answer = nexus.get("more-types", "/").json();
    assert_eq!((&answer[0], &answer[1]), (&json!(false), &json!("CompileError")), "{answer}");
    assert!(answer[2].as_str().unwrap().contains("more WebAssembly types than"), "{answer}");
    look(&mut nexus);
    // What the guest has been stopped for is released with it.
    assert_eq!(nexus.get("again", "/x.wasm").status, 503);
    look(&mut nexus);
}
