//! `nexus test --wpt`: the harness for web platform tests, and what is told of them.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{Folder, Nexus, Output, run, send_signal, until};
use serde_json::Value;

fn own_tests() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/wpt"))
}

/// The objects that `--json` prints.
fn files(output: &Output) -> Vec<Value> {
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The status that a text's beginning stands for.
fn said<'s>(text: &str, marks: &[(&str, &'s str)], usual: &'s str) -> &'s str {
    marks.iter().find(|(mark, _)| text.contains(mark)).map_or(usual, |(_, status)| status)
}

#[test]
fn each_file_and_test_of_the_harness_ends_as_its_name_says() {
    // A machine under load has time enough.
    let output = run(own_tests(), &["test", "--wpt", "--json", "--timeout", "5", "harness"]);
    let files = files(&output);
    assert!(files.len() > 20, "{output:?}");
    let mut wrong = Vec::new();
    let mut check = |name: String, status: &Value, expected: &str, message: &Value| {
        if status != expected {
            wrong.push(format!("{name}: {status}, not {expected}: {message}"));
        }
    };
    let file_marks = [(".error.", "ERROR"), (".timeout.", "TIMEOUT"), (".unreached.", "OUT_OF_REACH")];
    let test_marks = [
        ("fails: ", "FAIL"),
        ("times out: ", "TIMEOUT"),
        ("not run: ", "NOTRUN"),
        ("optional: ", "PRECONDITION_FAILED"),
        ("out of reach: ", "OUT_OF_REACH"),
    ];
    for file in &files {
        let path = file["path"].as_str().unwrap();
        check(path.to_owned(), &file["status"], said(path, &file_marks, "OK"), &file["message"]);
        let tests = file["tests"].as_array().unwrap();
        for test in tests {
            let name = test["name"].as_str().unwrap();
            let expected = said(name, &test_marks, "PASS");
            check(format!("{path}: {name}"), &test["status"], expected, &test["message"]);
        }
        assert!(!tests.is_empty() || file["status"] != "OK", "{path} has no tests");
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), output.stderr);
    let variants: Vec<_> = files.iter().filter(|file| file["variant"] != "").collect();
    let totals: Vec<_> = variants.iter().map(|file| (&file["variant"], &file["total"])).collect();
    assert_eq!(totals, [(&"?1-1".into(), &1.into()), (&"?2-last".into(), &2.into())]);
}

#[test]
fn a_file_that_loops_for_ever_is_stopped_and_said_where() {
    let folder = Folder::new(&[
        ("loops.any.js", "test(() => {}, 'first');\nfor (;;);"),
        ("waits.any.js", "async_test(() => { setInterval(() => {}, 1); }, 'never');"),
    ]);
    let output = run(folder.path(), &["test", "--wpt", "--json", "--timeout", "0.2", "."]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let files = files(&output);
    assert_eq!(files.len(), 2);
    for file in &files {
        assert_eq!(file["status"], "TIMEOUT", "{file}");
    }
    assert_eq!((&files[0]["passed"], &files[0]["total"]), (&1.into(), &1.into()));
    assert!(files[0]["message"].as_str().unwrap().contains("loops.any.js:2:"), "{}", files[0]);
    assert_eq!(files[1]["tests"][0]["status"], "TIMEOUT", "{}", files[1]);
}

#[test]
fn a_guest_that_runs_out_of_memory_takes_no_other_with_it() {
    let hog = "test(() => {}, 'first');\nconst all = [];\nfor (;;) all.push(new Uint8Array(1 << 24));";
    let folder = Folder::new(&[
        ("a.any.js", hog),
        ("b.any.js", "test(() => 'x'.repeat(2 ** 29 - 30).split(''), 'one step');"),
        ("c.any.js", "test(() => {}, 'fine');"),
    ]);
    let output = run(folder.path(), &["test", "--wpt", "--json", "--timeout", "5", "."]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let statuses: Vec<_> = files(&output).iter().map(|file| file["status"].clone()).collect();
    assert_eq!(statuses, ["ERROR", "ERROR", "OK"], "{output:?}");
}

const MIXED: &str = "
    test(() => {}, 'good');
    test(() => assert_equals(1, 2), 'bad');
    test(() => assert_equals(3, 4), 'bad # too');
";

#[test]
fn what_failed_is_told_with_its_message_and_place() {
    let folder = Folder::new(&[("a/mixed.any.js", MIXED), ("a/fine.any.js", "test(() => {}, 'good');")]);
    let output = run(folder.path(), &["test", "--wpt", "--root", ".", "a"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let lines: Vec<_> = output.stdout.lines().map(str::trim).collect();
    assert!(lines[0].starts_with("ok   a/fine.any.js: 1/1 ("), "{lines:?}");
    assert!(lines[1].starts_with("FAIL a/mixed.any.js: 1/3 ("), "{lines:?}");
    let told = ["FAIL bad", "assert_equals: expected 2 but got 1"];
    assert_eq!(lines[2..4], told);
    assert!(lines[4].contains("a/mixed.any.js:3:16"), "{lines:?}");
    assert_eq!(lines.last(), Some(&"2 files, 2 of 4 tests passed, 2 not as expected"));
    assert_eq!(output.stderr, "error: 2 failed in 1 file\n");
}

#[test]
fn failures_that_are_expected_are_none_and_expectations_that_are_wrong_are_told() {
    let folder = Folder::new(&[("mixed.any.js", MIXED), ("loops.any.js", "throw 1")]);
    let test = |list: &str, files: &[&str]| {
        folder.write("expected.txt", list);
        run(folder.path(), &[&["test", "--wpt", "--expect", "expected.txt"], files].concat())
    };
    let list = "mixed.any.js\n  bad  # why\n  bad # too  # why not\nloops.any.js\n  (file)  # it throws\n";
    let output = test(list, &["."]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    assert!(output.stdout.contains("ok   mixed.any.js: 1/3, 2 failed as expected"), "{output:?}");

    let output = test("mixed.any.js\n  bad*  # why\nloops.any.js\n  x  # not run\n", &["mixed.any.js"]);
    assert_eq!(output.code, Some(0), "{output:?}");

    let output = test("mixed.any.js\n  bad*  # why\n  good  # no more\n", &["mixed.any.js"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("do not:\n  mixed.any.js: good (line 3)"), "{}", output.stderr);

    let output = test("mixed.any.js\n  bad\n", &["mixed.any.js"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("expected.txt:2: the reason is missing"), "{}", output.stderr);
}

#[test]
fn the_list_of_expected_failures_is_well_formed() {
    let folder = Folder::new(&[("fine.any.js", "test(() => {}, 'good');")]);
    let list = own_tests().join("expected.txt");
    let output = run(folder.path(), &["test", "--wpt", "--expect", list.to_str().unwrap(), "."]);
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[test]
fn scripts_are_found_without_a_whole_checkout() {
    let script = "// META: script=../resources/one.js\n// META: script=/common/gc.js\n";
    let folder = Folder::new(&[
        (
            "a/b/one.any.js",
            &format!("{script}test(() => assert_equals(typeof garbageCollect, one), 'found');"),
        ),
        ("a/resources/one.js", "const one = 'function';"),
        ("two.any.js", "// META: script=../one.js\ntest(() => {}, 'not run');"),
        ("c/d/e.any.js", "// META: script=/c/three.js\ntest(() => assert_equals(three, 3), 'found');"),
        ("c/three.js", "const three = 3;"),
    ]);
    let output = run(folder.path(), &["test", "--wpt", "a/b/one.any.js"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with("ok   b/one.any.js: 1/1"), "{output:?}");
    let output = run(folder.path(), &["test", "--wpt", "c"]);
    assert!(output.stdout.starts_with("ok   c/d/e.any.js: 1/1"), "{output:?}");
    let output = run(folder.path(), &["test", "--wpt", "--root", ".", "two.any.js", "a/b/one.any.js"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let beyond = "--   two.any.js: out of reach, needs ../one.js, which is beyond the checkout\n";
    assert!(output.stdout.starts_with(beyond), "{output:?}");
}

#[test]
fn idlharness_finds_a_worker_however_it_is_loaded() {
    let test = "test(() => assert_true(kind), 'a worker');\n";
    let folder = Folder::new(&[
        ("common/x", ""),
        ("resources/idlharness.js", "const kind = self instanceof DedicatedWorkerGlobalScope;"),
        ("resources/WebIDLParser.js", ""),
        ("a.any.js", &format!("// META: script=/resources/idlharness.js\n{test}")),
        (
            "b.worker.js",
            &format!(
                "importScripts('/resources/WebIDLParser.js', '/resources/idlharness.js');\n{test}done();"
            ),
        ),
        ("c.window.js", &format!("// META: script=/resources/idlharness-shadowrealm.js\n{test}")),
        ("d.any.js", "test(() => assert_false('DedicatedWorkerGlobalScope' in self), 'others do not');"),
    ]);
    let output = run(folder.path(), &["test", "--wpt", "."]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("--   c.window.js: out of reach, needs a shadow realm"), "{output:?}");
    assert!(output.stdout.contains("4 files, 3 of 3 tests passed"), "{output:?}");
}

#[test]
fn test_guests_reach_the_tests_server_and_nothing_else() {
    let forbidden = TcpListener::bind("127.0.0.1:0").unwrap();
    forbidden.set_nonblocking(true).unwrap();
    let port = forbidden.local_addr().unwrap().port();
    let source = format!(
        "
        for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '2130706433', 'web-platform.test', 'x.localhost']) {{
            promise_test((t) => promise_rejects_js(t, TypeError, fetch('http://' + host + ':{port}/')), host);
            promise_test((t) => promise_rejects_js(t, TypeError, fetch(
                '/fetch/api/resources/redirect.py?simple&location=http://' + host + ':{port}/')), 'led to ' + host);
        }}
        promise_test(async () => assert_equals(await (await fetch('b.txt')).text(), 'text'), 'a file');"
    );
    let folder =
        Folder::new(&[("common/x", ""), ("a.any.js", &source), ("c.any.js", &source), ("b.txt", "text")]);
    let output = run(folder.path(), &["test", "--wpt", "."]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("2 files, 26 of 26 tests passed\n"), "{output:?}");
    assert!(forbidden.accept().is_err());
}

#[test]
fn an_app_finds_nothing_of_what_test_guests_have() {
    let source = "
        const throws = (run) => { try { run(); return false; } catch (error) { return error instanceof EvalError; } };
        const isThere = (name) => name in globalThis;
        const names = ['$262', 'gc', 'location', 'GLOBAL', 'importScripts', 'test'].filter(isThere);
        const refused = [throws(() => eval('1')), throws(() => new Function(''))];
        const relative = async () => { try { await fetch('/x'); } catch (error) { return error.name; } };
        export default { fetch: async () => Response.json([names, refused, await relative()]) };
    ";
    let folder = Folder::app(source);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/").text(), "[[],[true,true],\"TypeError\"]");
}

#[test]
fn wrong_usage_is_told() {
    let folder = Folder::new(&[("a.any.js", ""), ("empty/a.txt", "")]);
    let cases: [(&[&str], &str); 5] = [
        (&["test", "a.any.js"], "add --wpt"),
        (&["test", "--wpt"], "FILE"),
        (&["test", "--wpt", "gone.any.js"], "gone.any.js: "),
        (&["test", "--wpt", "empty"], "empty: has no .any.js"),
        (&["test", "--wpt", "--timeout", "0", "a.any.js"], "from 0.01"),
    ];
    for (args, told) in cases {
        let output = run(folder.path(), args);
        assert_eq!(output.code, Some(2), "{args:?}: {output:?}");
        assert!(output.stderr.contains(told), "{args:?}: {}", output.stderr);
    }
}

#[test]
fn ctrl_c_ends_it_with_what_was_run() {
    let folder = Folder::new(&[
        ("a.any.js", "test(() => {}, 'good');"),
        ("b.any.js", "// META: timeout=long\nasync_test(() => { setInterval(() => {}, 1000); }, 'never');"),
    ]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_nexus"))
        .args(["test", "--wpt", "."])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert!(line.starts_with("ok   a.any.js: 1/1"), "{line}");
    send_signal("INT", &child.id().to_string());
    let status = until("the command to end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
    assert_eq!(rest, "1 file, 1 of 1 tests passed\n");
}
