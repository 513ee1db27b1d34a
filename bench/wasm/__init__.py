"""`./x bench-wasm`: WebAssembly apps, measured beside `wasmtime serve`."""
