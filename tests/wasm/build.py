#!/usr/bin/env python3
"""Builds the WebAssembly guests of the tests, examples and benchmarks from their sources.

    python3 tests/wasm/build.py               all of them
    python3 tests/wasm/build.py http wasm-c   some of them

The built files are checked in beside their sources, so that neither tests nor examples need any of
this. Everything that the build fetches or generates stays in target/wasm-tools:

* Zig, which compiles the C sources, from pip;
* jco, which makes components of core modules, from npm. It brings the WASI packages (WIT) that the
  worlds here name; they are copied beside a guest's own world.wit for its build;
* wit-bindgen, which writes the C bindings (`guest.h`, `guest.c`), from cargo;
* for the Rust guests, rustc's target wasm32-unknown-unknown: rustup's if it is installed, else on
  Debian the compiler and the library's sources of its own packages, unpacked and not installed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOLS = ROOT / "target" / "wasm-tools"
EXAMPLES = ROOT / "examples"

ZIG = "0.15.2"
JCO = "1.35.0"
# jco 1.35 does not work with newer ones.
PREVIEW2_SHIM = "0.25.0"
WIT_BINDGEN = "0.63.0"
WASI = "0.2.12"
WASI_03 = "0.3.0"

DEBIAN = ["rustc-web", "libstd-rust-web-1.96", "libstd-rust-web-dev", "rust-web-src", "libllvm22", "lld-22"]
RUST_TARGET = "wasm32-unknown-unknown"

# What a checked-in file may have: they are read by every clone.
LARGEST = 100 * 1024


def run(*command, **options):
    """Runs a command, and ends with its output if it fails."""
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


# ------------------------------------------------------------------ the tools

def zig():
    """The command line of Zig's C compiler."""
    folder = TOOLS / "py"
    python = folder / "bin" / "python"
    if not any(folder.glob("lib/*/site-packages/ziglang/zig")):
        run(sys.executable, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", f"ziglang=={ZIG}")
    return [python, "-m", "ziglang", "cc", "-target", "wasm32-wasi"]


def node_modules():
    """Where jco lies with all that it needs."""
    folder = TOOLS / "npm"
    jco = folder / "node_modules" / "@bytecodealliance" / "jco"
    if not (jco / "package.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(
            '{"private": true, '
            f'"dependencies": {{"@bytecodealliance/jco": "{JCO}", "@bytecodealliance/preview2-shim": "{PREVIEW2_SHIM}"}}, '
            f'"overrides": {{"@bytecodealliance/preview2-shim": "{PREVIEW2_SHIM}"}}}}\n')
        run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    return folder / "node_modules"


def jco(*arguments):
    return run(node_modules() / ".bin" / "jco", *arguments)


def wit_bindgen():
    program = TOOLS / "bin" / "wit-bindgen"
    if not program.exists():
        run("nice", "-n", "15", "cargo", "install", "wit-bindgen-cli", "--version", WIT_BINDGEN, "--locked",
            "--no-default-features", "--features", "c", "--root", TOOLS)
    return program


def rust():
    """The environment and the arguments with which cargo builds for WebAssembly."""
    libraries = subprocess.run(
        ["rustc", "--print", "target-libdir", "--target", RUST_TARGET], capture_output=True, text=True, cwd=ROOT)
    if libraries.returncode == 0 and Path(libraries.stdout.strip()).exists():
        return {}, []
    if not shutil.which("apt-get"):
        sys.exit(f"the Rust guests need the target {RUST_TARGET}: run `rustup target add {RUST_TARGET}`")
    folder = TOOLS / "debian"
    tree = folder / "tree"
    if not (tree / "usr" / "bin" / "rustc").exists():
        folder.mkdir(parents=True, exist_ok=True)
        run("apt-get", "download", *DEBIAN, cwd=folder)
        for package in sorted(folder.glob("*.deb")):
            run("dpkg", "-x", package, tree)
    llvm = tree / "usr" / "lib" / "llvm-22"
    return {
        "RUSTC": str(tree / "usr" / "bin" / "rustc"),
        "LD_LIBRARY_PATH": f"{tree / 'usr' / 'lib' / 'x86_64-linux-gnu'}:{llvm / 'lib'}",
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER": str(llvm / "bin" / "wasm-ld"),
        "RUSTC_BOOTSTRAP": "1",
    }, ["-Zbuild-std=std,panic_abort"]


# ----------------------------------------------------------------- the builds

def wit(name, world, wasi=WASI):
    """A folder with a world and the WASI packages that it may name."""
    folder = TOOLS / "build" / name / "wit"
    shutil.rmtree(folder, ignore_errors=True)
    packages = node_modules() / "@bytecodealliance" / "jco" / "lib" / "wit" / "builtin" / wasi
    shutil.copytree(packages, folder / "deps")
    # Our own, too.
    shutil.copytree(ROOT / "crates" / "wasm" / "wit", folder / "deps" / "nexus-sql")
    shutil.copy(world, folder)
    return folder


def number(module, at):
    """A number of the binary format (LEB128), and where the next thing begins."""
    value = shift = 0
    while True:
        byte = module[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def without(titles, module):
    """A file without its own sections whose titles begin so. The names of functions stay: a trap's stack shows them."""
    kept, at = [module[:8]], 8
    while at < len(module):
        length, content = number(module, at + 1)
        title = b""
        if module[at] == 0:
            size, begins = number(module, content)
            title = module[begins:begins + size]
        if not title.startswith(titles):
            kept.append(module[at:content + length])
        at = content + length
    return b"".join(kept)


def compile_c(name, *arguments):
    """A core module from C; its path."""
    core = TOOLS / "build" / name / "core.wasm"
    core.parent.mkdir(parents=True, exist_ok=True)
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(TOOLS / "zig"), "ZIG_LOCAL_CACHE_DIR": str(TOOLS / "zig")}
    # With -g Zig keeps the names of functions. Its own stack of 16 MB would be memory that each
    # instance has from the start.
    run(*zig(), "-Os", "-g", "-Wall", "-Werror", "-Wl,-z,stack-size=131072", *arguments, "-o", core,
        env={**os.environ, **caches})
    core.write_bytes(without(b".debug_", core.read_bytes()))
    return core


def c_component(name, source, world, output, *flags, model="reactor"):
    """A service in C, or a command: its world is `world` of the wit/world.wit beside it."""
    folder = TOOLS / "build" / name
    generated = folder / "gen"
    packages = wit(name, source.parent / "wit" / "world.wit")
    run(wit_bindgen(), "c", "--world", world, "--rename-world", "guest", "--out-dir", generated, packages)
    core = compile_c(
        name, f"-mexec-model={model}", f"-I{generated}", *flags,
        source, generated / "guest.c", generated / "guest_component_type.o")
    jco("new", core, f"--wasi-{model}", "-o", output)


def service(name, world=None, source=None, *flags):
    c_component(name, HERE / (source or f"{name}.c"), world or name, HERE / f"{name}.wasm", *flags)


def command():
    """The WASI command: a core module of preview 1, and a component made of it."""
    core = compile_c("command", HERE / "command.c")
    shutil.copyfile(core, HERE / "command.wasm")
    jco("new", core, "--wasi-command", "-o", HERE / "command.component.wasm")


def net():
    """The command that asks others. It has no names, or it would be too large."""
    output = HERE / "net.wasm"
    c_component("net", HERE / "net.c", "net", output, "-s", model="command")
    output.write_bytes(without(b"component-name", output.read_bytes()))


def wasi():
    """The checks of WASI preview 1: a core module."""
    core = compile_c("wasi", *(HERE / source for source in ("wasi.c", "files.c", "folders.c")))
    shutil.copyfile(core, HERE / "wasi.wasm")


def capabilities():
    """The guest of `./x bench-capabilities`."""
    folder = ROOT / "bench" / "capabilities" / "guest"
    c_component("capabilities", folder / "guest.c", "capabilities", folder / "guest.wasm", f"-I{HERE}")


def words():
    """The example's command: a core module of preview 1."""
    folder = EXAMPLES / "wasm-files"
    shutil.copyfile(compile_c("wasm-files", folder / "words.c"), folder / "words.wasm")


def rust_component(source, output, wasi=WASI, feature="default"):
    """A component in Rust, with one of its features. It is built in a copy, which gets the WASI packages."""
    name, folder = source.name, TOOLS / "build" / source.name
    wit(name, source / "wit" / "world.wit", wasi)
    shutil.copytree(source / "src", folder / "src", dirs_exist_ok=True)
    for file in ("Cargo.toml", "Cargo.lock"):
        shutil.copy(source / file, folder)
    environment, arguments = rust()
    target = folder / "target"
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    # Panics name source files: no path of this machine is to be in what they say.
    short = {TOOLS / "debian" / "tree" / "usr" / "lib" / "rustlib" / "src": "std", folder: name}
    short.update({registry: "crates" for registry in cargo_home.glob("registry/src/*")})
    flags = [f"--remap-path-prefix={path}={to}" for path, to in short.items()]
    environment = {**environment, "CARGO_TARGET_DIR": str(target), "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)}
    run("nice", "-n", "15", "cargo", "build", "--release", "--locked", "--features", feature, "--target", RUST_TARGET, *arguments, cwd=folder,
        env={**os.environ, **environment})
    built = target / RUST_TARGET / "release" / f"{name.replace('-', '_')}.wasm"
    jco("new", built, "-o", output)


GUESTS = {
    "http": lambda: service("http"),
    "proxy": lambda: service("proxy", "proxy", "http.c", "-DPROXY"),
    "outbound": lambda: service("outbound"),
    "sockets": lambda: service("sockets"),
    "keyvalue": lambda: service("keyvalue"),
    "keyvalue2": lambda: service("keyvalue2", "keyvalue2", "keyvalue.c", "-DDRAFT2"),
    "sql": lambda: service("sql"),
    "capabilities": capabilities,
    "command": command,
    "net": net,
    "wasi": wasi,
    # plain.wat is checked in as text alone; that it parses is all there is to see.
    "plain": lambda: jco("parse", HERE / "plain.wat", "-o", TOOLS / "build" / "plain.wasm"),
    "wasm-c": lambda: c_component("wasm-c", EXAMPLES / "wasm-c" / "app.c", "greeting", EXAMPLES / "wasm-c" / "app.wasm"),
    "wasm-files": words,
    "p3-service": lambda: rust_component(HERE / "p3", HERE / "p3-service.wasm", WASI_03, "service"),
    "p3-client": lambda: rust_component(HERE / "p3", HERE / "p3-client.wasm", WASI_03, "client"),
    "p3-sockets": lambda: rust_component(HERE / "p3", HERE / "p3-sockets.wasm", WASI_03, "sockets"),
    "p3-command": lambda: rust_component(HERE / "p3", HERE / "p3-command.wasm", WASI_03, "command"),
    "wasm-rust": lambda: rust_component(EXAMPLES / "wasm-rust", EXAMPLES / "wasm-rust" / "app.wasm"),
}


def main(names):
    unknown = [name for name in names if name not in GUESTS]
    if unknown:
        sys.exit(f"no guest {unknown[0]}; there are: {', '.join(GUESTS)}")
    (TOOLS / "build").mkdir(parents=True, exist_ok=True)
    for name in names or GUESTS:
        GUESTS[name]()
        print(f"built {name}")
    for file in sorted([*HERE.glob("*.wasm"), *EXAMPLES.glob("*/*.wasm"), *(ROOT / "bench").glob("*/guest/*.wasm")]):
        size = file.stat().st_size
        print(f"{size:7} {file.relative_to(ROOT)}")
        if size > LARGEST:
            sys.exit(f"{file.name} has more than {LARGEST} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
