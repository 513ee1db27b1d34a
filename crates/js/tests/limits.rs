//! A guest's limits: what ends it, when, and what its clients and the log are told.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Outcome, give_up, handler, run};
use nexus_core::Limit;
use nexus_guest::{FailureKind, StopReason};

const MB: u64 = 1 << 20;

/// The guest was stopped for this, and its clients were told the limit.
#[track_caller]
fn assert_stopped(outcome: &Outcome, reason: StopReason, limit: Limit, value: u64) {
    let stop = outcome.stop.as_ref().unwrap_or_else(|| panic!("not stopped: {outcome:?}"));
    assert_eq!((stop.reason, stop.limit), (reason, Some((limit, value))), "{outcome:?}");
    assert!(stop.detail.contains(limit.key()) && stop.detail.contains(&limit.show(value)), "{stop:?}");
    if !outcome.abandoned {
        let kind = if reason == StopReason::Wall { FailureKind::TimedOut } else { FailureKind::Stopped };
        let failure = outcome.replies.last().unwrap().as_ref().unwrap_err();
        assert_eq!((failure.kind, failure.limit), (kind, stop.limit));
    }
}

#[test]
fn a_request_in_an_endless_loop_is_stopped_at_its_cpu_limit_with_the_guests_stack() {
    let source = handler("const spin = () => { for (;;); };\n spin();");
    let outcome = run(&[(Limit::Cpu, 100)], &source, &["/"]);
    assert_stopped(&outcome, StopReason::Cpu, Limit::Cpu, 100);
    let detail = &outcome.stop.unwrap().detail;
    assert!(detail.contains("at spin (file:///index.js:"), "{detail}");
    assert!(
        detail.contains("at Object.fetch (file:///index.js:9:") || detail.contains("at fetch"),
        "{detail}"
    );
}

#[test]
fn many_short_turns_of_one_request_count_together() {
    let source =
        handler("for (let i = 0; i < 100; i++) { burn(1.5); await wait(0); } return new Response('done');");
    let outcome = run(&[(Limit::Cpu, 100)], &source, &["/"]);
    assert_stopped(&outcome, StopReason::Cpu, Limit::Cpu, 100);
}

#[test]
fn a_request_that_waits_uses_nothing_and_each_has_its_own_account() {
    let source = handler("burn(40); await wait(150); return new Response('done');");
    let outcome = run(&[(Limit::Cpu, 100)], &source, &["/", "/&/&/", "/"]);
    assert_eq!(outcome.stop, None, "{outcome:?}");
    assert_eq!(outcome.replies.len(), 5);
}

#[test]
fn what_is_left_to_wait_until_has_as_much_again() {
    let source = handler(
        "burn(40); ctx.waitUntil((async () => { await wait(5); burn(40); console.log('tail'); })()); return new Response('done');",
    );
    let outcome = run(&[(Limit::Cpu, 100)], &source, &["/"]);
    assert_eq!((outcome.text(), &outcome.stop), ("done", &None));
    assert_eq!(outcome.messages(), ["tail"]);
    let source =
        handler("ctx.waitUntil((async () => { await wait(5); for (;;); })()); return new Response('done');");
    let outcome = run(&[(Limit::Cpu, 100)], &source, &["/"]);
    assert_eq!(outcome.text(), "done");
    assert_eq!(outcome.stop.unwrap().reason, StopReason::Cpu);
}

#[test]
fn an_app_that_takes_too_long_to_load_is_not_loaded_and_says_so() {
    for source in [
        "for (;;);",
        "await new Promise((resolve) => setTimeout(resolve, 1)); for (;;);",
        "setInterval(() => { for (const end = Date.now() + 20; Date.now() < end;); }, 1); await new Promise(() => {});",
        "export default { get fetch() { for (;;); } }",
    ] {
        let error = run(&[(Limit::Startup, 100)], source, &[]).load_error.expect("an error");
        assert_eq!(error.message, "the app reached its startup limit of 100 ms", "{source}");
    }
    let error =
        run(&[(Limit::Startup, 100)], "function spin() {\n for (;;); }\nspin();", &[]).load_error.unwrap();
    assert!(error.stack.unwrap().contains("at spin (file:///index.js:2:"));
}

#[test]
fn a_turn_that_takes_longer_than_a_response_may_is_stopped_with_504() {
    let outcome = run(&[(Limit::Cpu, 60_000), (Limit::Wall, 100)], &handler("for (;;);"), &["/"]);
    assert_stopped(&outcome, StopReason::Wall, Limit::Wall, 100);
}

#[test]
fn every_request_in_flight_is_told_the_limit() {
    let source = handler("if (request.url.endsWith('/wait')) await wait(100000); for (;;);");
    let outcome = run(&[(Limit::Cpu, 100)], &source, &["/wait&/wait&/"]);
    assert_stopped(&outcome, StopReason::Cpu, Limit::Cpu, 100);
    assert_eq!(outcome.replies.len(), 3);
    for reply in &outcome.replies {
        assert_eq!(
            reply.as_ref().unwrap_err().to_string(),
            "the app was stopped while it handled this request (limit: cpu 100 ms)"
        );
    }
}

/// Memory as a limit, with CPU time to spare.
fn with_memory(mb: u64) -> [(Limit, u64); 3] {
    [(Limit::Memory, mb * MB), (Limit::Cpu, 60_000), (Limit::Startup, 60_000)]
}

#[test]
fn heap_buffers_and_webassembly_memories_count_together() {
    for (name, hold) in [
        ("heap", "held.push(new Array(1e5).fill(held.length));"),
        ("strings", "held.push('x'.repeat(1e6) + held.length); held.at(-1).charCodeAt(5);"),
        ("buffers", "held.push(new Uint8Array(1e6).fill(1));"),
        ("resizable", "held.push(new ArrayBuffer(1e6, { maxByteLength: 2e6 })); held.at(-1).resize(2e6);"),
        ("wasm", "held.push(new WebAssembly.Memory({ initial: 1 })); held.at(-1).grow(15);"),
        (
            "wasm, resizable",
            "held.push(new WebAssembly.Memory({ initial: 1, maximum: 20 })); held.at(-1).toResizableBuffer().resize(1 << 20);",
        ),
        ("maps", "held.push(new Map(Array.from({ length: 1e4 }, (_, i) => [i, {}])));"),
    ] {
        for (spread, source) in [
            ("one turn", format!("const held = []; for (;;) {{ {hold} }}")),
            ("many turns", format!("const held = []; for (;;) {{ {hold} await wait(0); }}")),
        ] {
            let within =
                source.replace("for (;;)", "while (held.length < 30)") + " return new Response('done');";
            let outcome = run(&with_memory(80), &handler(&within), &["/"]);
            assert_eq!(outcome.text(), "done", "{name}, {spread}");
            let outcome = run(&with_memory(48), &handler(&source), &["/"]);
            assert_stopped(&outcome, StopReason::Memory, Limit::Memory, 48 * MB);
            assert!(!outcome.abandoned, "{name}, {spread}: {outcome:?}");
            // The limit, what V8's heap may have above it, and what it gets once to be unwound.
            assert!(outcome.memory < (48 + 8 + 64 + 2) * MB, "{name}, {spread}: {}", outcome.memory);
        }
    }
}

/// The resident memory of this process, in bytes.
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods)] // The kernel's account, not a guest's module.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[test]
fn no_step_takes_more_than_the_whole_limit() {
    // (module (memory (export "m") 1) (func (export "grow") (result i32) (memory.grow (i32.const 20000))))
    let module = "new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0,
        5, 3, 1, 0, 1, 7, 12, 2, 1, 109, 2, 0, 4, 103, 114, 111, 119, 0, 0, 10, 10, 1, 8, 0, 65, 160, 156, 1, 64, 0, 11]))";
    let grown = format!(
        "const {{ grow, m }} = new WebAssembly.Instance({module}).exports;
        if (grow() < 0) throw new RangeError(); new Uint8Array(m.buffer).fill(1);"
    );
    let steps = [
        "new Uint8Array(1.3e9).fill(1);",
        "new Float64Array(2e8).fill(1);",
        "new Uint8Array(new ArrayBuffer(1.3e9, { maxByteLength: 2 ** 31 })).fill(1);",
        "const b = new ArrayBuffer(1, { maxByteLength: 2 ** 31 }); b.resize(1.3e9); new Uint8Array(b).fill(1);",
        "new Uint8Array(new Uint8Array(10).buffer.transfer(1.3e9)).fill(1);",
        "new Uint8Array(new WebAssembly.Memory({ initial: 20000 }).buffer).fill(1);",
        "const m = new WebAssembly.Memory({ initial: 1 }); m.grow(20000); new Uint8Array(m.buffer).fill(1);",
        &grown,
        // Many in one built-in function, which looks at nothing in between.
        "new Array(3000).fill(0).map(ArrayBuffer.prototype.slice.bind(new ArrayBuffer(1e6), 0, 1e6));",
        "new Array(200000).fill(0).map(ArrayBuffer.prototype.slice.bind(new ArrayBuffer(15e3), 0, 15e3));",
        "const m = new WebAssembly.Memory({ initial: 1 }); new Array(20000).fill(1).map(WebAssembly.Memory.prototype.grow.bind(m));
         new Uint8Array(m.buffer).fill(1);",
    ];
    for step in steps {
        let source = format!(
            "try {{ {step} }} catch (error) {{ if (error instanceof RangeError) return new Response('refused'); }}
             return new Response('taken');"
        );
        let (sender, stop) = std::sync::mpsc::channel::<()>();
        let before = resident();
        let watch = std::thread::spawn(move || {
            let mut peak = 0;
            while stop.try_recv().is_err() {
                peak = resident().max(peak);
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            peak
        });
        let outcome = run(&with_memory(64), &handler(&source), &["/"]);
        sender.send(()).unwrap();
        let peak = watch.join().unwrap().saturating_sub(before);
        match outcome.stop {
            None => assert_eq!(outcome.text(), "refused", "{step}"),
            Some(_) => assert_stopped(&outcome, StopReason::Memory, Limit::Memory, 64 * MB),
        }
        assert!(!outcome.abandoned, "{step}: {outcome:?}");
        // Other tests of this process run meanwhile.
        assert!(peak < 500 * MB, "{step}: {} MB", peak / MB);
    }
}

#[cfg(target_os = "linux")]
#[test]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)] // The kernel's account and a process, no guest's.
fn what_is_given_back_is_made_in_small_pages_again() {
    // In a process of its own: those of other tests may have mappings of this kind for as long as they run.
    const ALONE: &str = "NEXUS_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "what_is_given_back_is_made_in_small_pages_again";
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let output = alone.args([name, "--exact"]).env(ALONE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let source = handler(
        "for (let i = 0; i < 10; i++) { new Array(3e6).fill(i); new Uint8Array(12e6).fill(1); 'x'.repeat(1e6).split(''); }
         return new Response('done');",
    );
    assert_eq!(run(&with_memory(256), &source, &["/"]).text(), "done");
    // Mappings that nobody may access, and that are to be made in huge pages once somebody may.
    let left = || {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = text.lines();
        let mut left = 0;
        while let Some(line) = lines.find(|line| line.contains(" ---p ")) {
            let flags = lines.by_ref().find_map(|line| line.strip_prefix("VmFlags:"));
            assert!(flags.is_some(), "{line}");
            left += usize::from(flags.unwrap().split(' ').any(|flag| flag == "hg"));
        }
        left
    };
    assert_eq!(left(), 0, "mappings");
}

#[test]
fn garbage_does_not_count() {
    for waste in [
        "new Uint8Array(4e6).fill(1);",
        "new Array(1e5).fill({});",
        "'x'.repeat(1e6).split('');",
        "new WebAssembly.Memory({ initial: 32 });",
        "structuredClone(new Uint8Array(4e6));",
    ] {
        for pause in ["", "await wait(0);"] {
            let source =
                format!("for (let i = 0; i < 200; i++) {{ {waste} {pause} }} return new Response('fine');");
            let outcome = run(&with_memory(48), &handler(&source), &["/"]);
            assert_eq!(outcome.stop, None, "{waste} {outcome:?}");
            assert_eq!(outcome.text(), "fine", "{waste}");
        }
    }
}

#[test]
fn a_guest_works_within_the_smallest_memory_limit() {
    let source = handler(
        "let list = []; for (let i = 0; i < 200000; i++) { list.push({ i }); if (list.length > 1e4) list = []; }
         return Response.json({ list: list.length, text: structuredClone(['a']).join() });",
    );
    let outcome = run(&with_memory(16), &source, &["/", "/", "/"]);
    assert_eq!(outcome.stop, None, "{outcome:?}");
    assert!(outcome.replies.iter().all(Result::is_ok), "{outcome:?}");
}

#[test]
fn one_timer_or_operation_too_many_is_refused_and_the_guest_goes_on() {
    let source = handler(
        "let set = 0; try { for (;;) { setTimeout(() => {}, 1e6); set++; } } catch (error) { return new Response(`${set} ${error}`); }",
    );
    let outcome = run(&[(Limit::Timers, 100)], &source, &["/", "/"]);
    assert_eq!(outcome.text_of(0), "100 RangeError: the app has as many timers as it may: 100");
    // The first request's went with it.
    assert_eq!(outcome.text_of(1), outcome.text_of(0));
    let source = handler(
        "const results = await Promise.allSettled(Array.from({ length: 150 }, () => import('./index.js')));
         const failed = results.filter((result) => result.status === 'rejected');
         return new Response(`${failed.length} ${failed[0].reason}`);",
    );
    let outcome = run(&[(Limit::Operations, 100)], &source, &["/"]);
    assert_eq!(outcome.text(), "50 RangeError: the app has as many operations under way as it may: 100");
}

#[test]
fn many_timers_start_and_end_without_a_search_among_them() {
    let source = handler(
        "const ids = []; for (let i = 0; i < 500000; i++) ids.push(setTimeout(() => {}, 1e6));
         for (const id of ids) clearTimeout(id); return new Response('done');",
    );
    let limits = [(Limit::Timers, 1_000_000), (Limit::Cpu, 60_000), (Limit::Memory, 1 << 30)];
    let outcome = run(&limits, &source, &["/"]);
    assert_eq!((outcome.text(), outcome.usage.timers), ("done", 0));
}

#[test]
fn what_a_request_logs_beyond_its_limit_is_dropped_and_a_line_says_so() {
    let source = format!(
        "console.log('e'.repeat(2000)); {}",
        handler(
            "for (let i = 0; i < 300; i++) console.log('line', i); console.log('x'.repeat(1e8)); return new Response('done');"
        )
    );
    let outcome = run(&[(Limit::Log, 1024), (Limit::Cpu, 10_000)], &source, &["/", "/"]);
    assert_eq!(outcome.stop, None);
    let told = "this request has logged as much as it may (1 KB): what follows is dropped";
    let messages = outcome.messages();
    assert_eq!(messages.iter().filter(|message| **message == told).count(), 2, "{messages:?}");
    assert!(messages[1].starts_with("this turn has logged as much"), "{messages:?}");
    assert!(outcome.log.iter().map(|record| record.message.len()).sum::<usize>() < 4000);
    let one = run(
        &[(Limit::Log, 1024), (Limit::Cpu, 10_000)],
        &handler("console.log('x'.repeat(1e8)); return new Response('done');"),
        &["/"],
    );
    assert_eq!((one.log.len(), one.messages()[1]), (2, told));
}

#[test]
fn what_the_host_makes_of_large_values_is_refused_where_it_would_pass_the_memory_limit() {
    for attack in [
        "new TextEncoder().encode(text)",
        "new TextDecoder().decode(bytes)",
        "new TextDecoder('utf-16le').decode(bytes)",
        "btoa(text)",
        "atob(text)",
        "new URL('http://a/' + text)",
        "new URLSearchParams('%41' + text)",
        "Reflect.set(new URL('http://a/'), 'search', text)",
        "(await new Response(bytes).text()).length",
        "await new Response(text).arrayBuffer()",
    ] {
        let source = handler(&format!(
            "const text = 'a'.repeat(3e7), bytes = new Uint8Array(3e7).fill(97); text.charCodeAt(1);
             try {{ const made = {attack}; return new Response('made'); }} catch (error) {{ return new Response(String(error)); }}",
        ));
        let outcome = run(&with_memory(64), &source, &["/"]);
        match &outcome.stop {
            // What JavaScript itself makes before it comes to that.
            Some(stop) => {
                assert_eq!((stop.reason, outcome.abandoned), (StopReason::Memory, false), "{attack}")
            }
            None => assert_eq!(
                outcome.text(),
                "RangeError: this takes more memory than the app's limit leaves (64 MB)",
                "{attack}"
            ),
        }
    }
}

#[test]
fn bodies_that_wait_for_their_clients_count() {
    // Nobody reads before all are there.
    let source = handler("return new Response('x'.repeat(1e7));");
    let outcome = run(&with_memory(64), &source, &["/&/&/&/&/&/&/&/&/&/"]);
    let made = outcome.replies.iter().filter(|reply| matches!(reply, Ok((200, _)))).count();
    assert!((3..8).contains(&made), "{made}");
    let told = "this takes more memory than the app's limit leaves (64 MB)";
    assert!(outcome.messages().iter().any(|message| message.contains(told)), "{:?}", outcome.messages());
}

#[test]
fn rejections_without_end_are_counted_not_kept() {
    let source = handler(
        "for (let i = 0; i < 5000; i++) Promise.reject(i); const late = []; for (let i = 0; i < 2000; i++) late.push(Promise.reject(i));
         for (const promise of late) promise.catch(() => {}); return new Response('done');",
    );
    let outcome = run(&[(Limit::Log, 1 << 20), (Limit::Cpu, 10_000)], &source, &["/"]);
    assert_eq!(outcome.text(), "done");
    assert_eq!(outcome.log.len(), 1001);
    assert_eq!(outcome.messages()[1000], "4000 more promises were rejected with nobody to hear it");
}

/// A module with one memory of one page, exported as `m`, with these limits.
fn module_with_memory(limits: &str) -> String {
    format!("new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 5, {limits}, 7, 5, 1, 1, 109, 2, 0])")
}

#[test]
fn no_guest_gets_memory_that_threads_could_share() {
    let (own, shared) = (module_with_memory("4, 1, 1, 1, 1"), module_with_memory("4, 1, 3, 1, 1"));
    for (attack, told) in [
        ("typeof SharedArrayBuffer", "undefined"),
        ("new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })", "TypeError"),
        ("new WebAssembly.Memory({ initial: 1, maximum: 1, get shared() { return 1; } })", "TypeError"),
        ("new WebAssembly.Module(SHARED)", "CompileError"),
        ("await WebAssembly.compile(SHARED)", "CompileError"),
        ("await WebAssembly.instantiate(SHARED.buffer)", "CompileError"),
        ("await WebAssembly.instantiate(new DataView(SHARED.buffer))", "CompileError"),
        // Ways to V8's own constructors.
        (
            "(await WebAssembly.instantiate(OWN)).instance.exports.m.constructor === WebAssembly.Memory",
            "true",
        ),
        ("(await WebAssembly.compile(OWN)).constructor === WebAssembly.Module", "true"),
        ("(await WebAssembly.instantiate(OWN)).module.constructor === WebAssembly.Module", "true"),
        ("WebAssembly.Memory.prototype.constructor === WebAssembly.Memory", "true"),
        ("new (class extends WebAssembly.Memory {})({ initial: 1, maximum: 1, shared: true })", "TypeError"),
        ("Reflect.construct(WebAssembly.Module, [SHARED], Object)", "CompileError"),
        ("Atomics.wait", "undefined"),
        // What a guest patches before it is first used is not what looks.
        (
            "(Uint8Array.prototype.slice = () => OWN, Reflect.construct = () => 1, new WebAssembly.Module(SHARED))",
            "CompileError",
        ),
        (
            "(Object.defineProperty(Uint8Array.prototype, 'constructor', { value: { [Symbol.species]: function () { return OWN; } } }), new WebAssembly.Module(SHARED))",
            "CompileError",
        ),
        // All else works.
        ("new WebAssembly.Memory({ initial: 1, maximum: 2, shared: false }).grow(1)", "1"),
        ("WebAssembly.Module.exports(new WebAssembly.Module(OWN))[0].kind", "memory"),
        ("new WebAssembly.Instance(new WebAssembly.Module(OWN)).exports.m.buffer.byteLength", "65536"),
        ("await WebAssembly.instantiate(await WebAssembly.compile(OWN))", "[object WebAssembly.Instance]"),
        ("WebAssembly.validate(OWN) && WebAssembly.Module.name + WebAssembly.Memory.length", "Module1"),
        ("new WebAssembly.Module(new Uint8Array(4))", "CompileError"),
        ("new WebAssembly.Module()", "TypeError"),
        ("WebAssembly.Module(OWN)", "TypeError"),
        ("String(WebAssembly)", "[object WebAssembly]"),
    ] {
        let attack = attack.replace("SHARED", &shared).replace("OWN", &own);
        let source = handler(&format!(
            "try {{ return new Response(String({attack})); }} catch (error) {{ return new Response(error.name); }}"
        ));
        let outcome = run(&[(Limit::Cpu, 10_000)], &source, &["/"]);
        match outcome.load_error {
            Some(error) => assert!(error.message.starts_with(told), "{attack}: {error:?}"),
            None => assert_eq!(outcome.text(), told, "{attack} {:?}", outcome.messages()),
        }
    }
}

#[test]
fn a_clone_takes_what_it_holds_and_no_more() {
    for value in [
        "new Array(1e5).fill(text)",
        "Array.from({ length: 1e4 }, () => ({ get a() { return text; } }))",
        "[new Map(Array.from({ length: 1e4 }, (_, i) => [i, text]))]",
    ] {
        let source = handler(&format!(
            "const text = 'x'.repeat(1e6); return new Response(String(structuredClone({value}).length));"
        ));
        let outcome = run(&with_memory(64), &source, &["/"]);
        assert!(outcome.text().parse::<u32>().is_ok_and(|length| length >= 1), "{value}: {outcome:?}");
    }
    // As deep as it is long: what remains to be done is not on the stack.
    let source = handler(
        "let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep];
         let depth = 0; for (let at = structuredClone(deep); at.length > 0; at = at[0]) depth++;
         return new Response(String(depth));",
    );
    let outcome = run(&with_memory(64), &source, &["/"]);
    assert_eq!(outcome.text(), "100000", "{outcome:?}");
}

#[test]
fn a_turn_that_was_given_up_tells_nothing_and_sleeps_where_it_comes_to() {
    for body in [
        "burn(2000); return new Response('done');",
        // The look that the giving up asks for comes at once,
        "for (;;);",
        // or after the built-in, or in what it calls.
        "[].indexOf.call({ length: 2 ** 53 - 1 }, 1, 2 ** 53 - 1e7); return new Response('done');",
        "[].forEach.call({ length: 1, get 0() { for (;;); } }, (x) => x);",
        "burn(2000); throw new Error();",
    ] {
        give_up(&handler(body));
    }
}

#[test]
fn what_one_guest_leaves_in_its_buffers_no_other_finds() {
    // Of the sizes that are kept for the next one, and of others.
    let fill = handler(
        "for (let size = 1000; size < 2e6; size = Math.floor(size * 1.3)) {
             for (let i = 0; i < 20; i++) new Uint8Array(size).fill(0xaa);
         }
         return new Response('done');",
    );
    let look = handler(
        "let bytes = 0;
         for (let size = 1000; size < 2e6; size = Math.floor(size * 1.3)) {
             for (let i = 0; i < 20; i++) {
                 for (const made of [new Uint8Array(size), new Uint8Array(new ArrayBuffer(size).slice(1)), new Uint8Array(structuredClone(new ArrayBuffer(size)))]) {
                     if (made.some((byte) => byte !== 0)) bytes++;
                 }
             }
         }
         return new Response(String(bytes));",
    );
    for _ in 0..2 {
        assert_eq!(run(&with_memory(64), &fill, &["/"]).text(), "done");
        assert_eq!(run(&with_memory(64), &look, &["/"]).text(), "0");
    }
}
