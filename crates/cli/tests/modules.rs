//! ES modules: what can be imported and from where, and how it is told what cannot.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus, run};
use serde_json::json;

/// The start-up error of a folder whose only app is `app`.
#[track_caller]
fn error_of(folder: &Folder) -> String {
    let output = run(folder.path(), &["serve", ".", "--port", "0", "--log-format", "pretty"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    output.stdout
}

#[track_caller]
fn assert_error(files: &[(&str, &str)], parts: &[&str]) {
    let error = error_of(&Folder::new(files));
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in\n{error}");
    }
}

#[test]
fn modules_import_each_other_by_relative_and_rooted_paths_and_urls() {
    let folder = Folder::new(&[
        (
            "app/index.js",
            "import a, { name } from './lib/a.js';
             import * as all from '/lib/b.mjs';
             import { here } from 'file:///lib/c%20d.js';
             import './lib/../lib/side.js';
             export default { fetch() {
               return Response.json([a, name, all.b, here, globalThis.side, import.meta.url]);
             } };",
        ),
        (
            "app/lib/a.js",
            "import { b } from './b.mjs'; export default b + 1; export const name = import.meta.url;",
        ),
        ("app/lib/b.mjs", "import '../index.js'; export const b = 41;"),
        ("app/lib/c d.js", "export const here = new URL('x', import.meta.url).href;"),
        ("app/lib/side.js", "globalThis.side = (globalThis.side ?? 0) + 1;"),
    ]);
    let nexus = Nexus::serve(folder.path());
    let expected = json!([42, "file:///lib/a.js", 41, "file:///lib/x", 1, "file:///index.js"]);
    assert_eq!(nexus.get("app", "/").json(), expected);
}

#[test]
fn json_text_and_bytes_are_imported_by_their_attribute() {
    let folder = Folder::new(&[
        (
            "app/index.js",
            "import data from './data.json' with { type: 'json' };
             import same from './data.json' with { type: 'json' };
             import source from './data.json' with { type: 'text' };
             import page from './page.html' with { type: 'text' };
             import bytes from './raw.bin' with { type: 'bytes' };
             export default { fetch() {
               return Response.json([data.a, data === same, source.length, page, bytes.constructor.name, [...bytes]]);
             } };",
        ),
        ("app/data.json", "{\"a\": [1, 2]}"),
        ("app/page.html", "\u{feff}<p>h\u{e9}"),
    ]);
    folder.write("app/raw.bin", [0, 255, 128, 10]);
    let nexus = Nexus::serve(folder.path());
    let expected = json!([[1, 2], true, 13, "<p>h\u{e9}", "Uint8Array", [0, 255, 128, 10]]);
    assert_eq!(nexus.get("app", "/").json(), expected);
}

#[test]
fn imports_that_cannot_be_are_told_with_both_files_and_the_place() {
    let main = |import: &str| format!("// one\n{import}\nexport default {{ fetch() {{}} }};\n");
    let cases: [(&str, &[&str]); 13] = [
        (
            "import './gone.js';",
            &[
                "cannot import \"./gone.js\" from \"index.js\"",
                "there is no file \"gone.js\"",
                "index.js:2:8",
            ],
        ),
        ("import './LIB/a.js';", &["did you mean \"./lib/a.js\"?"]),
        ("import './lib/a';", &["did you mean \"./lib/a.js\"?"]),
        ("import './lib';", &["\"lib\" is a folder"]),
        (
            "import '../outside.js';",
            &["cannot import \"../outside.js\" from \"index.js\": it leaves the app's folder"],
        ),
        ("import './lib/../../outside.js';", &["it leaves the app's folder"]),
        ("import 'react';", &["cannot import \"react\" from \"index.js\"", "relative path"]),
        ("import 'https://example.com/x.js';", &["files of its own folder only"]),
        ("import 'node:fs';", &["files of its own folder only"]),
        ("import x from './data.json';", &["type: \"json\""]),
        ("import x from './bad.json' with { type: 'json' };", &["bad.json\" is not valid JSON"]),
        ("import x from './data.json' with { type: 'css' };", &["import type \"css\" is not supported"]),
        ("import { missing } from './lib/a.js';", &["SyntaxError", "missing", "index.js:2:10"]),
    ];
    for (import, parts) in cases {
        let folder = Folder::new(&[
            ("app/index.js", &main(import)),
            ("app/lib/a.js", "export const a = 1;"),
            ("app/data.json", "{}"),
            ("app/bad.json", "{\"a\": }"),
            ("outside.js", "export const secret = 1;"),
        ]);
        let error = error_of(&folder);
        for part in parts {
            assert!(error.contains(part), "{import}: {part:?} is not in\n{error}");
        }
        assert!(
            !error.contains(folder.path().to_str().unwrap()),
            "the guest's error names no path of the host"
        );
    }
}

#[test]
fn an_error_within_an_imported_module_names_that_module() {
    let main = ("app/index.js", "import './deep/er.js';\nexport default { fetch() {} };\n");
    assert_error(
        &[main, ("app/deep/er.js", "const x = 1;\nconst = 2;\n")],
        &["SyntaxError: Unexpected token '='", "--> deep/er.js:2:7\n", "2 | const = 2;\n", "  |       ^\n"],
    );
    assert_error(
        &[main, ("app/deep/er.js", "function f() {\n  null.x;\n}\nf();\n")],
        &[
            "TypeError: Cannot read properties of null",
            "--> deep/er.js:2:8",
            "2 |   null.x;",
            "at f",
            "deep/er.js:4:1",
        ],
    );
    assert_error(
        &[main, ("app/deep/er.js", "import '../nowhere.js';\n")],
        &[
            "cannot import \"../nowhere.js\" from \"deep/er.js\"",
            "--> deep/er.js:1:8",
            "1 | import '../nowhere.js';",
        ],
    );
}

#[test]
fn a_symbolic_link_out_of_the_folder_is_refused_and_one_within_is_followed() {
    let folder = Folder::new(&[
        (
            "app/index.js",
            "import { a } from './inner.js'; export default { fetch() { return new Response(a) } };",
        ),
        ("app/real/a.js", "export const a = 'real';"),
        ("secret/b.js", "export const a = 'secret';"),
    ]);
    let app = folder.path().join("app");
    std::os::unix::fs::symlink("real/a.js", app.join("inner.js")).unwrap();
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/").text(), "real");
    drop(nexus);

    for target in ["../secret/b.js", folder.path().join("secret/b.js").to_str().unwrap()] {
        std::fs::remove_file(app.join("inner.js")).unwrap();
        std::os::unix::fs::symlink(target, app.join("inner.js")).unwrap();
        let error = error_of(&folder);
        assert!(error.contains("cannot import \"./inner.js\" from \"index.js\""), "{error}");
        assert!(error.contains("leaves the app's folder by a symbolic link"), "{error}");
    }
    // The same by a link that is a folder.
    std::fs::remove_file(app.join("inner.js")).unwrap();
    std::os::unix::fs::symlink("../secret", app.join("linked")).unwrap();
    folder.write("app/index.js", "import './linked/b.js'; export default { fetch() {} };");
    assert!(error_of(&folder).contains("leaves the app's folder by a symbolic link"));
}

#[test]
fn a_dynamic_import_loads_when_it_is_called_and_rejects_what_cannot_be_had() {
    let folder = Folder::new(&[
        (
            "app/index.js",
            "export default { async fetch(request) {
               const specifier = decodeURIComponent(new URL(request.url).search.slice(1));
               try {
                 const module = await import(specifier);
                 return Response.json({ value: module.value, again: module === await import(specifier) });
               } catch (error) {
                 return Response.json({ name: error.name, message: error.message });
               }
             } };",
        ),
        (
            "app/lazy.js",
            "await new Promise((resolve) => setTimeout(resolve, 5)); export const value = ++globalThis.n || (globalThis.n = 1);",
        ),
        ("app/throws.js", "throw new RangeError('on load');"),
        ("app/broken.js", "export const = 1;"),
        ("outside.js", "export const value = 'secret'"),
    ]);
    let nexus = Nexus::serve(folder.path());
    let import = |specifier: &str| nexus.get("app", &format!("/?{specifier}")).json();
    assert_eq!(import("./lazy.js"), json!({ "value": 1, "again": true }));
    assert_eq!(import("./lazy.js"), json!({ "value": 1, "again": true }));
    assert_eq!(import("./throws.js"), json!({ "name": "RangeError", "message": "on load" }));
    assert_eq!(import("./throws.js"), json!({ "name": "RangeError", "message": "on load" }));
    assert!(import("./broken.js")["message"].as_str().unwrap().contains("Unexpected token"));
    for specifier in ["./gone.js", "../outside.js", "react", "data:text/javascript,1", "/etc/passwd"] {
        let error = import(specifier);
        assert_eq!(error["name"], "TypeError", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with(&format!("cannot import \"{specifier}\" from \"index.js\"")),
            "{message}"
        );
    }
    nexus.await_nothing_held("app");
}

#[test]
fn a_dynamic_import_of_what_does_not_compile_rejects_with_the_syntax_error_itself() {
    let folder = Folder::new(&[
        (
            "app/index.js",
            "export default { async fetch() {
               try { await import('./broken.js'); } catch (error) { return new Response(error.name); }
             } };",
        ),
        ("app/broken.js", "export const = 1;"),
    ]);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/").text(), "SyntaxError");
}

#[test]
fn top_level_await_is_waited_for() {
    let folder = Folder::new(&[
        (
            "app/index.js",
            "import { value } from './late.js'; export default { fetch() { return new Response(value) } };",
        ),
        (
            "app/late.js",
            "await new Promise((resolve) => setTimeout(resolve, 30)); export const value = 'late';",
        ),
    ]);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/").text(), "late");
    drop(nexus);
    assert_error(
        &[(
            "app/index.js",
            "await 1;\nawait Promise.reject(new Error('too late'));\nexport default { fetch() {} };",
        )],
        &["Error: too late", "index.js:2:"],
    );
}

#[test]
fn code_cannot_be_made_of_text() {
    let folder = Folder::app(
        "const attempts = {
           eval: () => eval('1 + 1'),
           indirect: () => (0, eval)('1 + 1'),
           Function: () => new Function('return 1')(),
           constructor: () => (() => {}).constructor('return 1')(),
           async: () => (async () => {}).constructor('return 1')(),
           generator: () => (function* () {}).constructor('yield 1')().next(),
           timer: () => setTimeout('globalThis.evil = 1', 0),
         };
         export default { async fetch() {
           const results = {};
           for (const [name, attempt] of Object.entries(attempts)) {
             try { results[name] = `made ${await attempt()}`; } catch (error) { results[name] = error.name; }
           }
           await new Promise((resolve) => setTimeout(resolve, 20));
           return Response.json({ ...results, evil: globalThis.evil ?? null });
         } };",
    );
    let nexus = Nexus::serve(folder.path());
    let results = nexus.get("app", "/").json();
    for name in ["eval", "indirect", "Function", "constructor", "async", "generator"] {
        assert_eq!(results[name], "EvalError", "{results}");
    }
    assert_eq!(results["evil"], json!(null));
}

#[test]
fn the_main_file_cannot_be_a_link_out_of_the_folder() {
    let folder = Folder::new(&[
        ("secret.js", "export default { fetch() { return new Response('secret') } }"),
        ("app/x", ""),
    ]);
    std::os::unix::fs::symlink("../secret.js", folder.path().join("app/index.js")).unwrap();
    let error = error_of(&folder);
    assert!(error.contains("leaves the app's folder by a symbolic link"), "{error}");
}
