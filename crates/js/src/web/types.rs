//! The list of everything that a guest finds beside ECMAScript, as declarations for TypeScript: what `nexus types` prints.
//!
//! It is the one list. The tests hold guests to it, and the documentation's page is made from it. So that both can read
//! it, a declaration, a member, a signature has a line of its own, and each global of a standard has a comment:
//!
//! - `@standard`: where it is written;
//! - `@differs`: what is different here, why, and what that means;
//! - `@inherited`: the global object has it from its prototypes;
//! - `@own`: each object has the member itself;
//! - `@object`: to Web IDL the promise is any object.
//!
//! An interface without a variable of its name is a dictionary, a mixin or a callback: it is nothing at run time.

/// The parts, one an area.
const PARTS: &[&str] = &[
    include_str!("types/app.d.ts"),
    include_str!("types/global.d.ts"),
    include_str!("types/events.d.ts"),
    include_str!("types/fetch.d.ts"),
    include_str!("types/url.d.ts"),
    include_str!("types/encoding.d.ts"),
    include_str!("types/crypto.d.ts"),
    include_str!("types/streams.d.ts"),
    include_str!("types/webassembly.d.ts"),
];

/// The declarations of all that a guest finds, for TypeScript.
pub fn types() -> String {
    PARTS.concat()
}
