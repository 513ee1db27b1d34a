//! What the console writes: the formats of the standard, values of all kinds, groups, tables.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus, Start};

/// Serves a module with these declarations, whose handler runs `body`, and gives the lines of one request.
fn logged(declarations: &str, body: &str) -> Vec<String> {
    let folder = Folder::new(&[]);
    folder.write("nexus.toml", "[project]\nname = \"app\"\n[limits]\ncpu = \"30 s\"\nlog = \"10 MB\"\n");
    let source = format!(
        "{declarations}\nexport default {{ async fetch() {{\n{body}\nconsole.info('the end'); return new Response(); }} }};"
    );
    folder.write("index.js", source);
    let nexus = Start::in_folder(folder.path()).args(&["--log-level", "debug"]).start();
    let response = nexus.get("app", "/");
    assert_eq!(response.status, 200, "{:?}", nexus.lines());
    lines(&nexus)
}

/// The lines of requests, up to the one that says `the end`.
fn lines(nexus: &Nexus) -> Vec<String> {
    nexus.message("the end");
    let mut lines: Vec<_> =
        nexus.log().iter().filter(|line| line["request_id"].is_string()).map(text).collect();
    assert!(lines.pop().is_some_and(|line| line.contains("the end")), "{lines:?}");
    lines
}

fn text(line: &serde_json::Value) -> String {
    format!("{}: {}", line["level"].as_str().unwrap(), line["message"].as_str().unwrap())
}

#[track_caller]
fn assert_logged(body: &str, lines: &[&str]) {
    assert_eq!(logged("", body), lines);
}

#[test]
fn each_method_has_its_level_and_nothing_is_written_of_no_arguments() {
    assert_logged(
        "console.debug(1); console.log(2); console.info(3); console.warn(4); console.error(5); console.dirxml(6); console.dir(7);
         console.assert(false, 8); console.assert(false); console.assert(false, 'nine %d', 9); console.assert(true, 10);
         console.log(); console.error(); console.table(11); console.trace('%s', 12);",
        &[
            "debug: 1",
            "info: 2",
            "info: 3",
            "warn: 4",
            "error: 5",
            "info: 6",
            "info: 7",
            "error: Assertion failed 8",
            "error: Assertion failed",
            "error: Assertion failed: nine 9",
            "info: 11",
            "debug: Trace: 12",
        ],
    );
}

#[test]
fn specifiers_are_those_of_the_standard() {
    assert_logged(
        "const own = { toString: () => 'own' };
         console.log('%s %s %s %s', own, Symbol('x'), {}, [1, [2]]);
         console.log('%d %i %d %i %d', '42.9', 7.9, 'x', own, 5n);
         console.log('%f %f', '1.5x', Symbol());
         console.log('%o %O|%c|%%', { a: 1 }, [1], 'color: red', 'rest', { b: 2 });
         console.log('%s%s', '%s'); console.log('100%%'); console.log('%x %s', 1); console.log('%s'); console.log(1, '%s', 2);",
        &[
            "info: own Symbol(x) [object Object] 1,2",
            "info: 42 7 NaN NaN 5",
            "info: 1.5 NaN",
            "info: { a: 1 } [ 1 ]||% rest { b: 2 }",
            "info: %s%s",
            "info: 100%%",
            "info: %x 1",
            "info: %s",
            "info: 1 %s 2",
        ],
    );
}

#[test]
fn counts_and_timers_have_labels() {
    let lines = logged(
        "",
        "console.count(); console.count('x'); console.count('x'); console.countReset('x'); console.countReset('x');
         console.count('x'); console.countReset('none'); console.timeEnd(); console.time(); console.time();
         console.timeLog('default', '%s', { a: 1 }); console.timeEnd(); console.timeEnd();",
    );
    let fixed: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.contains("ms")).collect();
    assert_eq!(
        fixed,
        [
            "info: default: 1",
            "info: x: 1",
            "info: x: 2",
            "info: x: 1",
            "warn: Count for \"none\" does not exist",
            "warn: Timer \"default\" does not exist",
            "warn: Timer \"default\" already exists",
            "warn: Timer \"default\" does not exist",
        ]
    );
    let timed: Vec<&String> = lines.iter().filter(|line| line.contains("ms")).collect();
    assert!(timed.len() == 2 && timed[0].ends_with("ms %s { a: 1 }"), "{timed:?}");
    assert!(timed.iter().all(|line| line.starts_with("info: default: ")), "{timed:?}");
}

#[test]
fn values_are_shown_as_what_they_are() {
    let lines = logged(
        "const circular = { a: 1 }; circular.self = circular; circular.list = [circular];
         class Point { constructor() { this.x = 1; } get y() { return 2; } }
         class Own extends Map {}",
        r#"for (const value of [
             circular, new Point(), Point, class extends Point {}, new Own([[1, { a: [1] }]]), new Set(["a", Symbol("s")]),
             new Uint8Array([1, 255]), new ArrayBuffer(3), new Date(0), new Date(NaN), /x/g, Object(1n), Object("text"),
             { [Symbol("k")]: 1, get g() { throw 1; }, set s(v) {}, get b() { throw 1; }, set b(v) {} },
             new Proxy({ a: 1 }, { get() { throw 1; }, ownKeys() { throw 1; } }), Object.create(null), Object.assign(Object.create(null), { a: 1 }),
             Promise.resolve(5), new Promise(() => {}), [1, , 3, undefined, null], new Array(1e9), new WeakSet(), -0, 10n, "it's",
             { text: "it's \"x\"\n\ud800\u{1f600}" }, { "a-b": 1, $c: 2 }, function f() {}, () => {}, async function* g() {},
             [["deep", [["er", [["and", [["deeper", { a: { b: { c: 1 } } }]]]]]]]], new Map([[{ k: 1 }, new Map()]]).entries(),
             new Headers({ a: "b" }), Object.assign(() => {}, { a: 1 }), new Number(3), [new Point()], { point: new Point() },
           ]) console.log(value);
           const rejected = Promise.reject(5); rejected.catch(() => {}); console.log(rejected);
           const detached = new ArrayBuffer(8); detached.transfer(); console.log(detached);
           console.log({ a: "x".repeat(40), b: "y".repeat(40), c: [{ d: "z".repeat(80) }] });
           console.dir({ a: { b: { c: 1 } } }, { depth: 0 }); console.log(await import("./index.js").then((m) => ({ m })));"#,
    );
    let expected = r#"<ref *1> { a: 1, self: [Circular *1], list: [ [Circular *1] ] }
Point { x: 1 }
[class Point]
[class (anonymous) extends Point]
Own(1) [Map] { 1 => { a: [ 1 ] } }
Set(2) { 'a', Symbol(s) }
Uint8Array(2) [ 1, 255 ]
ArrayBuffer { [Uint8Contents]: <00 00 00>, byteLength: 3 }
1970-01-01T00:00:00.000Z
Invalid Date
/x/g
[BigInt: 1n]
[String: 'text']
{ g: [Getter], s: [Setter], b: [Getter/Setter], [Symbol(k)]: 1 }
{ a: 1 }
[Object: null prototype] {}
[Object: null prototype] { a: 1 }
Promise { 5 }
Promise { <pending> }
[ 1, <1 empty item>, 3, undefined, null ]
[ <100000 empty items>, ... 999900000 more items ]
WeakSet { <items unknown> }
-0
10n
it's
{ text: `it's "x"\n\ud800😀` }
{ 'a-b': 1, $c: 2 }
[Function: f]
[Function (anonymous)]
[AsyncGeneratorFunction: g]
[
  [
    'deep',
    [ [ 'er', [ [ 'and', [ [ 'deeper', { a: { b: { c: 1 } } } ] ] ] ] ] ]
  ]
]
[Map Iterator] { { k: 1 }, Map(0) {} }
Headers { 'a' => 'b' }
[Function (anonymous)] { a: 1 }
[Number: 3]
[ Point { x: 1 } ]
{ point: Point { x: 1 } }
Promise { <rejected> 5 }
ArrayBuffer { [Uint8Contents]: <>, byteLength: 0 }
{
  a: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',
  b: 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy',
  c: [
    {
      d: 'zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz'
    }
  ]
}
{ a: [Object] }
{
  m: [Module: null prototype] { default: { fetch: [AsyncFunction: fetch] } }
}"#;
    let shown: Vec<&str> = lines.iter().map(|line| line.strip_prefix("info: ").unwrap()).collect();
    assert_eq!(shown.join("\n"), expected);
}

#[test]
fn errors_show_their_stacks_causes_and_what_else_they_have() {
    let lines = logged(
        "",
        r#"console.log(new Error("outer", { cause: new TypeError("inner") }));
           console.log({ list: [new AggregateError([new RangeError("one"), 2], "many")] });
           console.log(Object.assign(new Error("with"), { code: 5 }));
           console.log(new DOMException("gone", "AbortError"));
           const circular = new Error("round"); circular.cause = circular; console.log(circular);"#,
    );
    let is = |line: &String, parts: &[&str]| parts.iter().all(|part| line.contains(part));
    assert!(
        is(&lines[0], &["info: Error: outer\n    at ", "{\n  [cause]: TypeError: inner\n      at "]),
        "{}",
        lines[0]
    );
    let parts = [
        "{\n  list: [\n    AggregateError: many\n        at ",
        "[errors]: [\n",
        "RangeError: one",
        "\n        2\n",
    ];
    assert!(is(&lines[1], &parts), "{}", lines[1]);
    assert!(is(&lines[2], &["Error: with\n    at ", "{\n  code: 5\n}"]), "{}", lines[2]);
    assert!(is(&lines[3], &["AbortError: gone\n    at "]), "{}", lines[3]);
    assert!(is(&lines[4], &["<ref *1> Error: round", "[Circular *1]"]), "{}", lines[4]);
}

#[test]
fn a_value_is_whole_up_to_64_kb_and_says_so_where_it_is_cut() {
    let lines = logged(
        "",
        r#"const wide = {}; for (let i = 0; i < 600; i++) wide["key" + i] = [i, "value", { deep: { i } }];
           console.log(wide); console.log(["x".repeat(60_000)]); console.log(Array.from({ length: 12_000 }, (_, i) => i % 10));
           let deep = "bottom"; for (let i = 0; i < 90; i++) deep = [deep]; console.log(deep);
           console.log(["x".repeat(70_000)]); console.log(new Uint8Array(1e6)); console.log(new ArrayBuffer(1e6));
           console.log(new Array(1e6).fill("item")); console.log(new Set(new Array(1e5).keys())); console.log("y".repeat(100_000));
           console.log({ deep: Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`k${i}`, { i }])) });"#,
    );
    for i in 0..600 {
        let entry = format!("  key{i}: [ {i}, 'value', {{ deep: {{ i: {i} }} }} ]");
        assert!(lines[0].contains(&entry), "{entry}");
    }
    assert_eq!(lines[1].matches('x').count(), 60_000);
    assert_eq!(lines[2].matches([',', ']']).count(), 12_000);
    assert!(lines[3].contains("bottom") && lines[3].matches('[').count() == 90, "{}", lines[3]);
    for line in lines[..4].iter().chain([&lines[9]]) {
        assert!(!line.contains("cut at") && !line.contains(" more "), "{}", &line[line.len() - 100..]);
    }
    for line in lines[4..9].iter().chain([&lines[10]]) {
        assert!(line.ends_with("… (cut at 64 KB)") && line.len() < 66_000, "{}", &line[line.len() - 100..]);
    }
}

#[test]
fn groups_indent_the_lines_of_their_request_only() {
    let folder = Folder::app(
        r#"let opened = false;
           export default { async fetch(request) {
             if (request.url.endsWith("/other")) { console.log("other's"); opened = true; return new Response(); }
             console.group("group %d", 1);
             console.log("inside\nof it");
             while (!opened) await new Promise((resolve) => setTimeout(resolve, 2));
             console.groupCollapsed();
             console.log({ a: "x".repeat(80) });
             console.groupEnd();
             console.warn("again");
             console.groupEnd();
             console.groupEnd();
             console.log("after");
             console.group(); console.group(); console.clear(); console.log("cleared"); console.log("the end");
             return new Response();
           } };"#,
    );
    let nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("app");
    let waiting = std::thread::spawn(move || client.get("/").status);
    nexus.message("inside");
    assert_eq!(nexus.get("app", "/other").status, 200);
    assert_eq!(waiting.join().unwrap(), 200);
    let long = format!("info:     {{\n      a: '{}'\n    }}", "x".repeat(80));
    let expected = [
        "info: group 1",
        "info:   inside\n  of it",
        "info: other's",
        &long,
        "warn:   again",
        "info: after",
        "info: cleared",
    ];
    assert_eq!(lines(&nexus), expected);
}

#[test]
fn tables_have_rows_and_columns_unless_they_would_be_too_large() {
    let lines = logged(
        "",
        r#"console.table([{ a: 1, b: "x" }, { a: 2, c: true }, 5]);
           console.table(new Map([["k", { v: 1 }]]), ["v", "none"]);
           console.table({ one: [1], two: { get g() { throw 1; } } });
           console.table("text"); console.table(); console.table(null);
           console.table(Array.from({ length: 1e5 }, (_, i) => ({ i })));
           console.table([{ ["k".repeat(50_000)]: 1 }, ...new Array(100).fill({ a: 1 })]);"#,
    );
    let expected = "info: ┌─────────┬───┬─────┬──────┬────────┐
│ (index) │ a │ b   │ c    │ Values │
├─────────┼───┼─────┼──────┼────────┤
│ 0       │ 1 │ 'x' │      │        │
│ 1       │ 2 │     │ true │        │
│ 2       │   │     │      │ 5      │
└─────────┴───┴─────┴──────┴────────┘
info: ┌─────────┬───┬──────┐
│ (index) │ v │ none │
├─────────┼───┼──────┤
│ 'k'     │ 1 │      │
└─────────┴───┴──────┘
info: ┌─────────┬───┬──────────┐
│ (index) │ 0 │ g        │
├─────────┼───┼──────────┤
│ one     │ 1 │          │
│ two     │   │ [Getter] │
└─────────┴───┴──────────┘
info: text
info: undefined
info: null";
    assert_eq!(lines[..6].join("\n"), expected);
    assert!(
        lines[6].ends_with("(cut at 64 KB)") && lines[7].starts_with("info: [\n  {\n"),
        "{:?}",
        &lines[6..]
    );
}
