//! Guests that attack: each ends alone, as what it did says, and nothing of it is left.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::future::poll_fn;
use std::task::Poll;

use harness::shapes::{Service, module, plain};
use harness::{Outcome, TestGuest, http, id, load, memory, on_worker};
use nexus_core::Limit;
use nexus_guest::{Body, Failure, FailureKind};

const CPU: u64 = 50;
const MEMORY: u64 = 32 << 20;
/// For what is to end otherwise than by its CPU time, on slow machines, too.
const MUCH: u64 = 10_000;

fn stopped_at(limit: Limit, value: u64) -> Outcome {
    Err(Failure::at_limit(FailureKind::Stopped, limit, value))
}

fn cpu() -> Outcome {
    stopped_at(Limit::Cpu, CPU)
}

fn out_of_memory() -> Outcome {
    stopped_at(Limit::Memory, MEMORY)
}

fn threw() -> Outcome {
    Err(FailureKind::Threw.into())
}

/// What a request has that returns without an answer.
fn returned() -> Outcome {
    Err(FailureKind::NotAResponse.into())
}

/// The stop that is to be told of an outcome.
fn told(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Err(Failure { kind: FailureKind::Stopped, limit }) => {
            Some(limit.map_or("none", |limit| limit.0.key()))
        }
        _ => None,
    }
}

/// A guest with the limits of these tests; with so much CPU time that it cannot be what ends its requests, unless that is
/// expected.
async fn guest(file: Vec<u8>, expected: &Outcome) -> TestGuest {
    let time = if *expected == cpu() { CPU } else { MUCH };
    let limits = [(Limit::Cpu, time), (Limit::Memory, MEMORY)];
    load(file, &limits).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Drives a guest until its instances hold so many bytes: it may have to give way to others before that.
async fn has_grown(guest: &TestGuest, held: u64) {
    let held_by_now = poll_fn(|cx| match guest.watch.memory() >= held {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    guest.drive(held_by_now).await;
}

/// Has a guest wait in one request, for which its instances hold so many bytes, and attack in another: the attack ends
/// as expected, the wait as it would by itself, and nothing is left.
async fn round(
    guest: &TestGuest,
    number: u8,
    held: u64,
    path: &str,
    wait: &(&'static str, Outcome),
    expected: &Outcome,
) {
    let (_, waiting) = guest.start(number + 1, wait.0, Body::Empty);
    assert!(!waiting.is_answered(), "it is to wait");
    has_grown(guest, held).await;
    let outcome = guest.get(number, path).await;
    assert_eq!(outcome, *expected, "{path}: {:?}", guest.messages());
    assert_eq!(guest.outcome(waiting).await, wait.1, "{path}: the other one: {:?}", guest.messages());
    guest.assert_all_is_given_back().await;
}

/// Asserts that these requests were stopped, each once, if that is how they are to end, and no other.
fn assert_told(guest: &TestGuest, requests: [u8; 2], expected: &Outcome) {
    let key = told(expected);
    let stops = requests.iter().filter_map(|number| Some((id(*number), key?)));
    assert_eq!(guest.stops(), stops.collect::<Vec<_>>());
}

/// Two [`round`]s. Gives what was logged.
fn ends(file: Vec<u8>, path: &'static str, wait: (&'static str, Outcome), expected: Outcome) -> Vec<String> {
    on_worker(async move || {
        let guest = guest(file, &expected).await;
        for number in [1, 3] {
            round(&guest, number, 1, path, &wait, &expected).await;
        }
        assert_told(&guest, [1, 3], &expected);
        guest.messages()
    })
}

/// A service that attacks in its start function if it is refused the memory that another instance of it has, which waits
/// in that function meanwhile.
fn ends_at_start(attack: &str, expected: Outcome) {
    // More than half of what there is.
    let pages = 320_u64;
    let held = pages << 16;
    let fields = format!(
        "(start $begin) (func $begin
            (if (i32.eq (memory.grow $libc (i32.const {pages})) (i32.const -1))
              (then {attack})
              (else (call $wait))))"
    );
    let file = Service { fields: &fields, ..Service::default() }.build();
    on_worker(async move || {
        let guest = guest(file, &expected).await;
        round(&guest, 1, held, "/", &("/", returned()), &expected).await;
        // It is known by now how large an instance is: requests wait until there is memory, and none is refused it.
        let (_, first) = guest.start(2, "/", Body::Empty);
        has_grown(&guest, held).await;
        assert_eq!(guest.get(3, "/").await, returned());
        assert_eq!(guest.outcome(first).await, returned());
        guest.assert_all_is_given_back().await;
        assert_eq!(guest.stops(), told(&expected).map(|key| (id(1), key)).into_iter().collect::<Vec<_>>());
    });
}

/// An attack on top of what all services of text have.
fn attack(service: &Service<'_>, expected: Outcome) -> Vec<String> {
    ends(service.build(), "/attack", ("/wait", returned()), expected)
}

/// A service that ends before its handler is called, whatever it is asked; a guest with other code waits meanwhile.
fn fails_to_begin(file: Vec<u8>, expected: Outcome) -> Vec<String> {
    on_worker(async move || {
        let (guest, other) = (guest(file, &expected).await, guest(http(), &threw()).await);
        let (_, waiting) = other.start(0, "/sleep/150", Body::Empty);
        for number in [1, 2] {
            assert_eq!(guest.get(number, "/").await, expected, "{:?}", guest.messages());
            guest.assert_all_is_given_back().await;
        }
        assert_eq!(other.outcome(waiting).await, Ok((200, "slept".into())));
        assert_told(&guest, [1, 2], &expected);
        guest.messages()
    })
}

#[test]
fn what_the_c_guest_attacks_with_ends_it_alone() {
    let slept = || ("/sleep/300", Ok((200, "slept".to_owned())));
    for (path, expected) in
        [("/spin", cpu()), ("/grow", out_of_memory()), ("/recurse", threw()), ("/trap", threw())]
    {
        ends(http(), path, slept(), expected);
    }
}

#[test]
fn a_loop_without_an_end_is_stopped_at_the_cpu_limit() {
    attack(&Service { attack: "(loop (br 0))", ..Service::default() }, cpu());
}

#[test]
fn memory_that_is_grown_in_a_loop_is_stopped_at_the_memory_limit_if_its_guest_traps() {
    let grow = "(loop (br_if 0 (i32.ne (memory.grow $libc (i32.const 16)) (i32.const -1)))) unreachable";
    attack(&Service { attack: grow, ..Service::default() }, out_of_memory());
}

#[test]
fn a_guest_that_is_refused_memory_and_goes_on_growing_is_stopped_at_the_cpu_limit() {
    let grow = "(loop (drop (memory.grow $libc (i32.const 1))) (br 0))";
    attack(&Service { attack: grow, ..Service::default() }, cpu());
}

#[test]
fn memory_that_a_guest_can_bear_not_to_have_is_no_failure() {
    let grow = "(drop (memory.grow $libc (i32.const 60000)))";
    attack(&Service { attack: grow, ..Service::default() }, returned());
}

#[test]
fn tables_do_not_grow_beyond_their_bound() {
    let fields = "(table $table 0 funcref)";
    let size = "(if (i32.gt_u (table.size $table) (i32.const 100000)) (then (loop (br 0))))";
    let grow =
        "(loop (br_if 0 (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1))))";
    let service = Service { fields, attack: &format!("{grow} {size} unreachable"), ..Service::default() };
    assert!(attack(&service, threw()).iter().any(|line| line.starts_with("trap: ")));
    let forever = "(loop (drop (table.grow $table (ref.null func) (i32.const 1000))) (br 0))";
    attack(&Service { fields, attack: forever, ..Service::default() }, cpu());
}

#[test]
fn tables_of_one_instance_are_bounded_together() {
    let tables = "(table 3000 funcref)".repeat(50);
    fails_to_begin(plain(&module(&tables)), threw());
}

#[test]
fn recursion_is_a_trap() {
    let service = Service {
        fields: "(func $deep (param i64) (result i64)
            (i64.add (i64.const 1) (call $deep (i64.add (local.get 0) (i64.const 1)))))",
        attack: "(drop (call $deep (i64.const 0)))",
        ..Service::default()
    };
    assert!(attack(&service, threw()).iter().any(|line| line.contains("call stack exhausted")));
}

#[test]
fn a_start_function_that_does_not_end_is_stopped_and_another_request_goes_on() {
    ends_at_start("(loop (br 0))", cpu());
}

#[test]
fn a_start_function_that_takes_all_memory_is_stopped_and_another_request_goes_on() {
    let grow = "(loop (br_if 0 (i32.ne (memory.grow $libc (i32.const 1)) (i32.const -1)))) unreachable";
    ends_at_start(grow, out_of_memory());
}

#[test]
fn a_start_function_that_recurses_is_a_trap() {
    let messages = fails_to_begin(plain(&module("(start $f) (func $f (call $f) (call $f))")), threw());
    assert!(messages.iter().any(|line| line.contains("call stack exhausted")), "{messages:?}");
}

#[test]
fn memories_that_are_too_large_from_the_beginning_are_the_memory_limit() {
    // 3 GB; 90 of 64 MB; 64-bit ones.
    fails_to_begin(plain(&module("(memory 49152)")), out_of_memory());
    fails_to_begin(plain(&module(&"(memory 1024)".repeat(90))), out_of_memory());
    fails_to_begin(plain(&module("(memory i64 49152)")), out_of_memory());
    // Each instance a little: it is their sum that counts.
    let instances = "(core instance (instantiate $module))".repeat(90);
    fails_to_begin(plain(&format!("{} {instances}", module("(memory 16)"))), out_of_memory());
}

#[test]
fn data_segments_do_not_take_more_than_the_memory_they_are_for() {
    // 10,000 segments of 1 KB over the whole of 30 MB, and then a trap at the end of it.
    let data: String = (0..10_000u32)
        .map(|n| format!("(data (i32.const {}) \"{}\")", (n % 480) * 65_536, "x".repeat(1024)))
        .collect();
    let fields = format!("(memory 480) {data} (start $f) (func $f unreachable)");
    let before = memory("VmRSS");
    assert!(fails_to_begin(plain(&module(&fields)), threw()).iter().any(|line| line.starts_with("trap: ")));
    let grown = memory("VmRSS").saturating_sub(before);
    // Compiling 12 MB takes 260 MB by itself, if nothing else has been compiled before.
    assert!(grown < 384 << 20, "{} MB more are resident", grown >> 20);
    // One beyond the memory's end.
    fails_to_begin(plain(&module("(memory 1) (data (i32.const 65536) \"x\")")), threw());
}

#[test]
fn one_instruction_over_all_memory_is_counted() {
    let fill = "(drop (memory.grow $libc (i32.const 450)))
        (loop (memory.fill $libc (i32.const 0) (i32.const 1) (i32.const 29000000)) (br 0))";
    attack(&Service { attack: fill, ..Service::default() }, cpu());
}

#[test]
fn objects_of_the_collector_are_memory_like_any_other() {
    let service = Service {
        fields: "(type $bytes (array (mut i8))) (type $link (struct (field (ref null $link)) (field (ref $bytes))))",
        attack: "(local $last (ref null $link))
            (loop (local.set $last
                (struct.new $link (local.get $last) (array.new_default $bytes (i32.const 65536))))
              (br 0))",
        ..Service::default()
    };
    attack(&service, out_of_memory());
    let service = Service {
        fields: "(type $bytes (array (mut i8)))",
        attack: "(drop (array.new_default $bytes (i32.const 1073741824)))",
        ..Service::default()
    };
    attack(&service, out_of_memory());
}

#[test]
fn objects_that_are_dropped_are_collected() {
    let service = Service {
        fields: "(type $bytes (array (mut i8)))",
        attack: "(loop (drop (array.new_default $bytes (i32.const 100000))) (br 0))",
        ..Service::default()
    };
    attack(&service, cpu());
}

#[test]
fn handles_without_an_end_are_refused() {
    let service = Service {
        before: r#"(core func $fields (canon lower (func $types "[constructor]fields")))"#,
        x: r#"(export "fields" (func $fields))"#,
        imports: r#"(import "x" "fields" (func $fields (result i32)))"#,
        attack: "(loop (drop (call $fields)) (br 0))",
        ..Service::default()
    };
    attack(&service, threw());
}

#[test]
fn random_bytes_come_in_bounded_portions() {
    for length in ["-1", "4294967296", "1073741824"] {
        let service = Service {
            before: r#"(import "wasi:random/random@0.2.0" (instance $random
                (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
                (core func $random (canon lower (func $random "get-random-bytes")
                  (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))"#,
            x: r#"(export "random" (func $random))"#,
            imports: r#"(import "x" "random" (func $random (param i64 i32)))"#,
            attack: &format!("(call $random (i64.const {length}) (i32.const 16))"),
            ..Service::default()
        };
        let peak = memory("VmHWM");
        attack(&service, threw());
        assert!(memory("VmHWM") < peak.max(memory("VmRSS")) + (256 << 20), "{length}");
    }
}

#[test]
fn a_request_that_is_aborted_leaves_nothing_behind_wherever_it_is() {
    let spin = Service { attack: "(loop (br 0))", ..Service::default() }.build();
    let start = Service { fields: "(start $begin) (func $begin (call $wait))", ..Service::default() }.build();
    for (file, path) in [(http(), "/sleep/60000"), (http(), "/drip"), (spin, "/attack"), (start, "/")] {
        on_worker(async move || {
            // A loop gives way at the watchdog's first look.
            let guest = load(file, &[(Limit::Cpu, 60_000)]).await.unwrap_or_else(|error| panic!("{error}"));
            let (ticket, pending) = guest.start(1, path, Body::Empty);
            assert_eq!(guest.guest.in_flight(), 1, "{path}");
            guest.guest.abort(ticket);
            drop(pending);
            guest.assert_all_is_given_back().await;
            assert_eq!(guest.stops(), [], "nobody stopped it");
        });
    }
}

/// A service that holds so many header fields of so many bytes, and then waits.
fn hoard(count: u32, length: u32) -> Vec<u8> {
    let pages = length / 65_536 + 2;
    let service = Service {
        before: r#"(core func $fields (canon lower (func $types "[constructor]fields")))
            (core func $append (canon lower (func $types "[method]fields.append")
              (memory (core memory $libc "memory"))))"#,
        x: r#"(export "fields" (func $fields)) (export "append" (func $append))"#,
        imports: r#"(import "x" "fields" (func $fields (result i32)))
            (import "x" "append" (func $append (param i32 i32 i32 i32 i32 i32)))"#,
        attack: &format!(
            "(local $count i32)
            (drop (memory.grow $libc (i32.const {pages})))
            (memory.fill $libc (i32.const 65536) (i32.const 120) (i32.const {length}))
            (loop
              (call $append (call $fields) (i32.const 65536) (i32.const 1)
                (i32.const 65536) (i32.const {length}) (i32.const 64))
              (local.set $count (i32.add (local.get $count) (i32.const 1)))
              (br_if 0 (i32.lt_u (local.get $count) (i32.const {count}))))
            (call $wait)"
        ),
        ..Service::default()
    };
    service.build()
}

#[test]
fn what_the_host_holds_for_a_guest_is_bounded_too() {
    on_worker(async || {
        let guest = guest(hoard(9_000, 100_000), &returned()).await;
        let (before, peak) = (memory("VmRSS"), memory("VmHWM"));
        let outcome = guest.get(1, "/attack").await;
        let more = memory("VmHWM").saturating_sub(before.max(peak));
        assert!(more < 256 << 20, "{outcome:?} with {} MB more resident at once", more >> 20);
        guest.assert_all_is_given_back().await;
    });
}

#[test]
fn what_a_guest_passes_in_one_call_is_bounded() {
    for (length, told) in [(4_000_000, "size of fields"), (5_000_000, "fuel")] {
        let messages = ends(hoard(1, length), "/attack", ("/wait", returned()), threw());
        assert!(messages.iter().any(|line| line.contains(told)), "{messages:?}");
    }
}
