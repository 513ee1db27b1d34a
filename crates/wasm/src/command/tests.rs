use std::time::Duration;

use nexus_core::Limit;

use super::*;

const PLAIN: &str = include_str!("../../../../tests/wasm/plain.wat");
/// A component with functions of its own and of an interface.
const ADDER: &str = r#"(component
    (core module $m
        (memory (export "mem") 1)
        (global $at (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (local $old i32)
            (local.set $old (global.get $at))
            (global.set $at (i32.add (global.get $at) (local.get 3)))
            (local.get $old))
        (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func (export "echo") (param i32 i32) (result i32)
            (i32.store (i32.const 8) (local.get 0))
            (i32.store (i32.const 12) (local.get 1))
            (i32.const 8))
        (func (export "spin") (loop $l (br $l))))
    (core instance $i (instantiate $m))
    (func $add (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add")))
    (func $echo (param "text" string) (result string)
        (canon lift (core func $i "echo") (memory (core memory $i "mem")) (realloc (core func $i "realloc"))))
    (func $spin (canon lift (core func $i "spin")))
    (instance $math (export "sum" (func $add)))
    (export "add" (func $add))
    (export "echo" (func $echo))
    (export "spin" (func $spin))
    (export "test:math/sums@1.0.0" (instance $math)))"#;

fn runner() -> Runner {
    Runner::new(&WasmConfig::default()).unwrap()
}

fn module(text: &str) -> Module {
    runner().module("plain.wasm", &wat::parse_str(text).unwrap()).unwrap()
}

fn command(text: &str) -> Result<Command, RunError> {
    runner().command("it.wasm", &wat::parse_str(text).unwrap())
}

fn refused<T>(result: Result<T, RunError>) -> String {
    match result.err() {
        Some(RunError::Refused(text)) => text,
        other => panic!("it is not refused: {other:?}"),
    }
}

fn limit<T: std::fmt::Debug>(result: Result<T, RunError>) -> Limit {
    match result {
        Err(RunError::Limit { limit, .. }) => limit,
        other => panic!("no limit: {other:?}"),
    }
}

#[test]
fn a_core_modules_functions_are_called_by_name_and_type() {
    let module = module(PLAIN);
    let mut instance = module.instantiate(&Policy::default()).unwrap();
    assert_eq!(instance.call("fac", &[Value::I64(10)]).unwrap(), [Value::I64(3_628_800)]);
    let add = instance.function::<(i32, i32), i32>("add").unwrap();
    assert_eq!(instance.call_function(&add, (i32::MAX, 1)).unwrap(), i32::MIN);
    let trap = instance.call("div", &[Value::I32(1), Value::I32(0)]).unwrap_err();
    assert_eq!(trap.to_string(), "trap: integer divide by zero");
    assert!(trap.stack().is_some_and(|stack| stack.contains("    at ")), "{trap:?}");
    assert_eq!(
        instance.call("div", &[Value::I32(6), Value::I32(-2)]).unwrap(),
        [Value::I32(-3)],
        "it goes on"
    );
    for wrong in [&[][..], &[Value::I64(1), Value::I32(1)], &[Value::I32(1)]] {
        assert_eq!(refused(instance.call("add", wrong)), "add is func(i32, i32) -> i32");
    }
    assert!(refused(instance.function::<i64, i64>("add")).contains("func(i32, i32) -> i32"));
    let none = refused(instance.call("Add", &[]));
    assert!(none.contains("did you mean add?") && none.contains("add, div, fac, loop"), "{none}");
}

#[test]
fn imports_and_exports_are_told_with_their_types() {
    let exports = module(PLAIN).exports();
    let of = |name: &str| exports.iter().find(|item| item.name == name).unwrap().ty.clone();
    assert_eq!(
        (&*of("mem"), &*of("fac"), &*of("loop")),
        ("memory(1..4 pages)", "func(i64) -> i64", "func()")
    );
    let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
        (global (export "g") (mut i64) (i64.const 0)) (table (export "t") 1 2 funcref))"#;
    let module = module(text);
    assert_eq!(
        module.imports(),
        [Item { name: "wasi_snapshot_preview1.proc_exit".into(), ty: "func(i32)".into() }]
    );
    assert_eq!(module.exports()[0].ty, "global(mut i64)");
    let exports = command(ADDER).unwrap().exports();
    assert_eq!(exports[1].ty, "func(text: string) -> string");
    assert_eq!(
        exports[3],
        Item { name: "test:math/sums@1.0.0#sum".into(), ty: "func(a: u32, b: u32) -> u32".into() }
    );
}

#[test]
fn memory_is_read_and_written_within_its_bounds_only() {
    let mut instance = module(PLAIN).instantiate(&Policy::default()).unwrap();
    let mut read = [0; 10];
    instance.read("mem", 16, &mut read).unwrap();
    assert_eq!(&read, b"plain text");
    instance.write("mem", 65_526, &read).unwrap();
    assert_eq!(instance.memory_size("mem").unwrap(), 65_536);
    for offset in [65_527, 65_537, usize::MAX] {
        assert!(refused(instance.write("mem", offset, &read)).contains("65536 bytes"));
        assert!(refused(instance.read("mem", offset, &mut [0; 10])).contains("within"));
    }
    assert!(refused(instance.read("memory", 0, &mut read)).contains("no memory"));
}

#[test]
fn a_modules_calls_each_end_at_their_time() {
    for (policy, which) in [
        (Policy { cpu: Some(Duration::from_millis(10)), ..Policy::default() }, Limit::Cpu),
        (Policy { wall: Some(Duration::from_millis(10)), ..Policy::default() }, Limit::Wall),
    ] {
        let mut instance = module(PLAIN).instantiate(&policy).unwrap();
        for _ in 0..2 {
            assert_eq!(limit(instance.call("loop", &[])), which);
            assert_eq!(instance.call("add", &[Value::I32(1), Value::I32(1)]).unwrap(), [Value::I32(2)]);
        }
    }
}

#[test]
fn a_start_function_has_limits_too() {
    let policy = Policy { cpu: Some(Duration::from_millis(10)), memory: 1 << 20, ..Policy::default() };
    let spins = module("(module (func $f (loop $l (br $l))) (start $f))");
    assert_eq!(limit(spins.instantiate(&policy).map(drop)), Limit::Cpu);
    let large = module("(module (memory 17))");
    assert_eq!(limit(large.instantiate(&policy).map(drop)), Limit::Memory);
    let tables = module("(module (table 100001 funcref))");
    assert!(matches!(tables.instantiate(&policy), Err(RunError::Failed { .. })));
}

#[test]
fn arguments_are_numbers_of_their_parameters_types() {
    let module =
        module("(module (func (export \"f\") (param i32 i64 f32 f64)) (func (export \"v\") (param v128)))");
    let parse = |args: &[&str]| module.parse_args("f", args);
    assert_eq!(
        parse(&["0xffffffff", "-1", "1.5", "-inf"]).unwrap(),
        [Value::I32(-1), Value::I64(-1), Value::F32(1.5), Value::F64(f64::NEG_INFINITY)]
    );
    assert_eq!(parse(&["-2147483648", "18446744073709551615", "1e3", "0"]).unwrap()[1], Value::I64(-1));
    for wrong in ["4294967296", "-2147483649", "x", "", "--1", "-+1", "1.0", "0x"] {
        let text = refused(parse(&[wrong, "1", "1", "1"]));
        assert!(text.contains("is no i32: f is func(i32, i64, f32, f64)"), "{text}");
    }
    assert!(refused(parse(&["1"])).contains("f takes 4 arguments, not 1"));
    assert!(refused(module.parse_args("v", &["1"])).contains("is no v128"));
}

#[test]
fn a_components_functions_are_called_with_wave() {
    let command = command(ADDER).unwrap();
    let policy = Policy { cpu: Some(Duration::from_millis(500)), ..Policy::default() };
    let call = |name: &str, args: &[&str]| command.call(&policy, name, args);
    assert_eq!(call("add", &["2", "3"]).unwrap(), ["5"]);
    assert_eq!(call("echo", &["\"a \\\"b\\\"\""]).unwrap(), ["\"a \\\"b\\\"\""]);
    for name in ["sum", "test:math/sums@1.0.0#sum"] {
        assert_eq!(call(name, &["4294967295", "2"]).unwrap(), ["1"], "{name}");
    }
    assert_eq!(limit(call("spin", &[])), Limit::Cpu);
    let text = refused(call("add", &["2", "-3"]));
    assert!(text.starts_with("add: b is a u32, and \"-3\" is none"), "{text}");
    let text = refused(call("echo", &["plain"]));
    assert!(text.contains("text is a string, in quotes"), "{text}");
    assert!(refused(call("add", &[])).contains("add takes 2 arguments, not 0: func(a: u32, b: u32) -> u32"));
    let text = refused(call("ecko", &[]));
    assert!(text.contains("did you mean echo?") && text.contains("test:math/sums@1.0.0#sum"), "{text}");
    assert!(
        refused(command.run(&policy)).contains("it does not export wasi:cli/run; --invoke calls one of add")
    );
}

#[test]
fn what_cannot_run_is_refused_in_one_line() {
    let text = refused(command("(component (import \"other:thing/it\" (instance)) (import \"f\" (func)))"));
    assert_eq!(text, "it.wasm imports what nothing provides: other:thing/it, f");
    let text = refused(command("(module (import \"env\" \"f\" (func)) (func (export \"_start\")))"));
    assert_eq!(text, "it.wasm imports what nothing provides: env.f");
    let text = refused(command("(module (func (export \"add\")))"));
    assert!(text.contains("_start") && text.contains("--invoke") && text.contains("add"), "{text}");
    let text =
        refused(runner().module("m", &wat::parse_str("(module (import \"env\" \"f\" (func)))").unwrap()));
    assert_eq!(text, "m imports what nothing provides: env.f");
    for (bytes, part) in [
        (&b""[..], "is no WebAssembly"),
        (b"\0asm\x01\0\0\0\x01", "is no valid module"),
        (b"\0asm\x0d\0\x01\0\x01", "is no valid component"),
    ] {
        let text = refused(runner().command("it", bytes));
        assert!(text.contains(part) && !text.contains('\n'), "{text}");
    }
    assert!(refused(runner().command_file("no-such.wasm")).contains("cannot be read"));
}

#[test]
fn exit_codes_arrive_whole_from_modules() {
    let exits = |code: i32| {
        let text = format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const {code}))))"#
        );
        command(&text).unwrap().run(&Policy::default()).unwrap()
    };
    assert_eq!([0, 1, 3, 255, 256, -1].map(exits), [0, 1, 3, 255, 0, 255]);
    let returns = command("(module (memory (export \"memory\") 1) (func (export \"_start\")))").unwrap();
    assert_eq!(returns.run(&Policy::default()).unwrap(), 0);
}

#[test]
fn a_module_that_imports_more_than_preview_1_goes_through_the_adapter() {
    const START: &str =
        "(memory (export \"memory\") 1) (func (export \"_start\") (call $exit (i32.const 7)))";
    let alone = command(&format!(
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32))) {START})"
    ));
    let alone = alone.unwrap();
    assert_eq!(
        alone.imports(),
        [Item { name: "wasi_snapshot_preview1.proc_exit".into(), ty: "func(i32)".into() }]
    );
    assert_eq!(alone.exports()[1], Item { name: "_start".into(), ty: "func()".into() });
    assert!(refused(alone.call(&Policy::default(), "_start", &[])).contains("is a core module"));
    assert_eq!(alone.run(&Policy::default()).unwrap(), 7);

    let both = wat::parse_str(format!(
        "(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32)))
            (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32))) {START})"
    ));
    let both = preview1::with_exit_codes(&both.unwrap()).unwrap();
    let both = runner().command("both.wasm", &both).unwrap();
    assert!(
        both.imports().iter().any(|item| item.name.starts_with("wasi:cli/exit@")),
        "{:?}",
        both.imports()
    );
    assert_eq!(both.run(&Policy::default()).unwrap(), 7);
}

/// As the allocators of AssemblyScript count on it, which nobody else may take memory from.
#[test]
fn a_modules_memory_grows_by_what_it_asked_for_alone() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")
            (if (call $sizes (i32.const 0) (i32.const 4)) (then unreachable))
            (if (call $args (i32.const 8) (i32.const 64)) (then unreachable))
            (if (i32.ne (memory.grow (i32.const 1)) (i32.const 1)) (then unreachable))
            (memory.fill (i32.const 65536) (i32.const 255) (i32.const 65536))
            (if (call $args (i32.const 8) (i32.const 64)) (then unreachable))))"#;
    let policy = Policy { args: vec!["it".into(), "argument".into()], ..Policy::default() };
    assert_eq!(command(text).unwrap().run(&policy), Ok(0));
}

#[test]
fn a_call_of_an_exit_by_name_has_its_whole_code() {
    let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (func (export "f") (call $exit (i32.const 254))))"#;
    let mut instance = module(text).instantiate(&Policy::default()).unwrap();
    assert_eq!(instance.call("f", &[]), Err(RunError::Exited(254)));
}

#[test]
fn compiled_code_is_kept_for_components_and_modules_alike() {
    let folder = std::env::temp_dir().join(format!("nexus-run-cache-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let kept = || std::fs::read_dir(&folder).unwrap().count();
    let config = WasmConfig { cache: Some(folder.clone()), ..WasmConfig::default() };
    let start = wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"_start\")))").unwrap();
    for _ in 0..2 {
        let runner = Runner::new(&config).unwrap();
        assert_eq!(runner.command("start", &start).unwrap().run(&Policy::default()).unwrap(), 0);
        assert!(runner.module("start", &start).unwrap().instantiate(&Policy::default()).is_ok());
        assert_eq!(kept(), 1, "a module is compiled once, whether it is run or called");
        let adder = wat::parse_str(ADDER).unwrap();
        assert_eq!(runner.command("adder", &adder).unwrap().exports().len(), 4);
        assert_eq!(kept(), 2);
        std::fs::remove_file(runner.0.v0_2.cache.as_ref().unwrap().path(&runner.0.v0_2.key(&adder, "")))
            .unwrap();
    }
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn programs_and_apps_share_compiled_code() {
    let apps = crate::runtime::Runtime::new(WasmCompiler::Cranelift, WasiVersion::V0_2, None).unwrap();
    assert_eq!(Key::new(&apps.engine, b"it"), runner().0.v0_2.key(b"it", ""));
}

#[test]
fn a_program_is_not_run_in_an_event_loop() {
    let events = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let module = module(PLAIN);
    let result = events.block_on(async { module.instantiate(&Policy::default()) });
    assert!(refused(result).contains("asynchronous"));
}

#[test]
fn unusual_modules_are_refused_or_run_but_never_panic() {
    const PREVIEW: &str = "wasi_snapshot_preview1";
    for text in [
        "(module (func (export \"_start\") (param i32)))".to_owned(),
        "(module (global (export \"_start\") i32 (i32.const 1)))".to_owned(),
        "(module (func (export \"_start\")) (func (export \"cabi_realloc\")))".to_owned(),
        "(module (memory (export \"memory\") i64 1) (func (export \"_start\")))".to_owned(),
        "(module (func (export \"_start\")) (func (export \"wasi:cli/run@0.2.0#run\")))".to_owned(),
        format!(
            "(module (import \"{PREVIEW}\" \"proc_exit\" (func (param i64))) (func (export \"_start\")))"
        ),
        format!("(module (import \"{PREVIEW}\" \"proc_exit\" (global i32)) (func (export \"_start\")))"),
        format!("(module (import \"{PREVIEW}\" \"no_such\" (func)) (func (export \"_start\")))"),
        format!("(module (import \"{PREVIEW}\" \"fd_write\" (func)) (func (export \"_start\")))"),
        format!(
            "(module (import \"{PREVIEW}\" \"sched_yield\" (func (result i32))) (func (export \"_start\")))"
        ),
        "(module (import \"wasi:cli/exit@0.2.0\" \"exit\" (func (param i32))) (func (export \"_start\")))"
            .to_owned(),
        "(module (memory 1 1 shared) (func (export \"_start\")))".to_owned(),
    ] {
        let Ok(bytes) = wat::parse_str(&text) else { panic!("{text}") };
        match runner().command("it.wasm", &bytes).and_then(|command| command.run(&Policy::default())) {
            Ok(_) => {}
            Err(error) => {
                let line = error.to_string();
                assert!(!line.is_empty() && !line.contains('\n'), "{text}: {line}");
            }
        }
    }
}
