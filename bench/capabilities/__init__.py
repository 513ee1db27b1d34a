"""`./x bench-capabilities`: what calls to stores and to other apps take, beside redb and SQLite from Rust, and HTTP over loopback."""
