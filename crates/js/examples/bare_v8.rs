//! V8 alone: starts it as its manual says, makes an isolate and a context without a snapshot of ours, evaluates
//! `'a' + 1`, and leaves. What a server that hosts V8 cannot start faster than; see bench/README.md.
//!
//! ```text
//! cargo run --release -p nexus-js --example bare_v8
//! ```
//!
//! With `loaded` it only loads the library, with `initialized` it stops after V8's initialization.

fn main() -> Result<(), &'static str> {
    let until = std::env::args().nth(1).unwrap_or_default();
    if until == "loaded" {
        return Ok(());
    }
    v8::V8::initialize_platform(v8::new_default_platform(1, false).make_shared());
    v8::V8::initialize();
    if until == "initialized" {
        return Ok(());
    }
    // Leaving is not what is measured: the isolate stays.
    let isolate: &'static mut v8::OwnedIsolate =
        Box::leak(Box::new(v8::Isolate::new(v8::CreateParams::default())));
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    let source = v8::String::new(scope, "'a' + 1").ok_or("no string")?;
    let script = v8::Script::compile(scope, source, None).ok_or("no script")?;
    let value = script.run(scope).ok_or("no value")?;
    println!("{}", value.to_rust_string_lossy(scope));
    Ok(())
}
