"""`./x bench-kv`: what key-value stores cost, beside redb called from Rust."""
