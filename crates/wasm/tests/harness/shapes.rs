//! Components of special shapes, written as text.

/// Ends what waits in a [`Service`] so many milliseconds after it began.
const WAIT: u32 = 150;

/// A service with one core module of its own. A request for `/wait` waits, touches nothing and returns without an
/// answer; any other one calls `$attack`.
#[derive(Default)]
pub(crate) struct Service<'a> {
    /// What the component imports beyond what all do, and defines before its module; may use `$libc`, which exports
    /// `memory` and `realloc`.
    pub(crate) before: &'a str,
    /// The exports of the instance `x`, which the module may import.
    pub(crate) x: &'a str,
    /// The module's imports from `x`.
    pub(crate) imports: &'a str,
    /// The module's fields; `(call $wait)` waits.
    pub(crate) fields: &'a str,
    /// The code of `$attack`.
    pub(crate) attack: &'a str,
}

impl Service<'_> {
    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        parse(&self.text())
    }

    /// The component as text.
    pub(crate) fn text(&self) -> String {
        let Self { before, x, imports, fields, attack } = self;
        let nanoseconds = u64::from(WAIT) * 1_000_000;
        format!(
            r#"(component $c
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer $c $pollable (type $outer))
    (export "pollable" (type $pollable (eq $outer)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:http/types@0.2.0" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type $request (sub resource)))
    (export "response-outparam" (type (sub resource)))
    (type $error (variant (case "invalid-syntax") (case "forbidden") (case "immutable")))
    (export "header-error" (type $header-error (eq $error)))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]fields.append" (func
      (param "self" (borrow $fields)) (param "name" string) (param "value" (list u8))
      (result (result (error $header-error)))))
    (export "[method]incoming-request.path-with-query"
      (func (param "self" (borrow $request)) (result (option string))))))
  (core module $libc-module
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc-module))
  (core func $path (canon lower (func $types "[method]incoming-request.path-with-query")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  {before}
  (core instance $x {x})
  (core module $app-module
    (import "wasi" "path" (func $path (param i32 i32)))
    (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "wasi" "block" (func $block (param i32)))
    (import "libc" "memory" (memory $libc 1))
    {imports}
    {fields}
    (func $wait (call $block (call $subscribe (i64.const {nanoseconds}))))
    (func $attack {attack})
    (func (export "handle") (param $request i32) (param $out i32)
      (call $path (local.get $request) (i32.const 16))
      (if (i32.eq (i32.load8_u offset=1 (i32.load (i32.const 20))) (i32.const {w}))
        (then (call $wait))
        (else (call $attack)))))
  (core instance $app (instantiate $app-module
    (with "x" (instance $x))
    (with "libc" (instance $libc))
    (with "wasi" (instance
      (export "path" (func $path)) (export "subscribe" (func $subscribe)) (export "block" (func $block))))))
  {EXPORT}
)"#,
            w = u32::from(b'w'),
        )
    }
}

/// Exports the handler, which `handle` of the core instance `$app` is.
const EXPORT: &str = r#"
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $outparam))
  (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
    (canon lift (core func $app "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler))"#;

/// A service that imports no more than the types of its handler: its core instance `$app` comes of this text.
pub(crate) fn plain(text: &str) -> Vec<u8> {
    parse(&format!(
        r#"(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  {text}
  {EXPORT}
)"#
    ))
}

/// The core module of a [`plain`] service, with these fields beside its handler, instantiated.
pub(crate) fn module(fields: &str) -> String {
    format!(
        r#"(core module $module {fields} (func (export "handle") (param i32 i32)))
  (core instance $app (instantiate $module))"#
    )
}

/// Text as a binary.
pub(crate) fn parse(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A number as it stands in a binary: LEB128.
pub(crate) fn leb(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A section with its length.
pub(crate) fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len() as u64), content].concat()
}

/// What a component begins with.
pub(crate) const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// What a core module begins with.
pub(crate) const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A component that has this core module in it.
pub(crate) fn around(module: &[u8]) -> Vec<u8> {
    [COMPONENT, &section(1, module)].concat()
}
