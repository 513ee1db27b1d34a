"""Assembles a linkable V8 for the `v8` crate from the crate registry and PyPI alone.

The crate's prebuilt archive lies on its release page, which not every machine can reach. This takes
V8 itself (14.4, JIT, WebAssembly, Intl, inspector) from the mini-racer wheel, whose library exports
all of V8's C++ symbols with the C++ library ABI that the crate uses, and compiles the crate's C
bindings for it with the C++ compiler of the ziglang wheel. The crate's headers are 14.5: sources.py
puts back what 14.4 lays out differently, elf.py prepares the library.

The result:

    libmini_racer.so   V8
    librusty_v8.a      the crate's C bindings
    src_binding.rs     the crate's pregenerated constants
    icudtl.dat         the data of V8's Intl

The proof is the crate's own test-suite, run against this: 191 of the 199 tests of test_api pass. The
others need what this V8 was built without (promise hooks; typed arrays off the heap in fast calls),
the exact version number or ICU's own interface. Not to be used with it: `v8::cppgc`, and fast calls
with typed arrays or pointers.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import need
from ..term import Problem, step
from . import elf, sources
from .recipe import HERE

V8_CRATE, FRAMES_CRATE = "145.0.0", "142.2.0"
BINDING = "src_binding_ptrcomp_release_x86_64-unknown-linux-gnu.rs"

COMPILER = ("-target x86_64-linux-gnu.2.28 -x c++ -O2 -fPIC -w -fno-sanitize=all -fno-exceptions -fno-rtti "
            "-ffunction-sections -fdata-sections").split()
# How the wheel's V8 was built. The bindings must agree with it on every layout.
V8_BUILD = ("-DNDEBUG -DV8_COMPRESS_POINTERS -DV8_COMPRESS_POINTERS_IN_SHARED_CAGE -DV8_31BIT_SMIS_ON_64BIT_ARCH "
            "-DV8_ENABLE_SANDBOX -DV8_EXTERNAL_CODE_SPACE -DV8_ENABLE_LEAPTIERING -DV8_ENABLE_WEBASSEMBLY "
            "-DV8_INTL_SUPPORT -DV8_ENABLE_TURBOFAN -DV8_ENABLE_MAGLEV -DV8_ENABLE_SPARKPLUG "
            "-DV8_HAVE_TARGET_OS -DV8_TARGET_OS_LINUX -DV8_TARGET_ARCH_X64 "
            "-DV8_CONTIGUOUS_COMPRESSED_RO_SPACE_SIZE_MB=8 "
            "-DCPPGC_CAGED_HEAP -DCPPGC_YOUNG_GENERATION -DCPPGC_POINTER_COMPRESSION "
            "-DCPPGC_SLIM_WRITE_BARRIER").split()
# The parts of the C++ library that the wheel's hides.
LIBCXX_PARTS = ("functional", "memory", "string")


def assemble(out, work):
    """Fills the folder `out`; `work` is an empty folder for what is needed on the way."""
    with step("fetching V8, its C++ compiler and the crate's sources, checked by hash"):
        with ThreadPoolExecutor() as pool:
            crates = pool.submit(fetch_crates)
            wheels = pool.submit(fetch_wheels, work)
            (crate, frames), wheel = crates.result(), wheels.result()
    with step("compiling the bindings"):
        try:
            sources.prepare(crate, frames, work)
        except (OSError, ValueError) as error:
            raise Problem(f"the sources of the v8 crate are not as expected ({error}): "
                          "remove the crate's folder from cargo's registry and try again") from error
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            adapted = pool.submit(adapt, wheel / "libmini_racer.so", out / "libmini_racer.so")
            compile_bindings(crate, work, out / "librusty_v8.a", pool, icu_flags(wheel / "libmini_racer.so"))
            adapted.result()
    (wheel / "icudtl.dat").rename(out / "icudtl.dat")
    (out / "src_binding.rs").write_bytes((crate / "gen" / BINDING).read_bytes())


def adapt(wheel, out):
    try:
        out.write_bytes(elf.adapt(wheel.read_bytes()))
    except elf.Unexpected as error:
        raise Problem(f"libmini_racer.so is not as expected: {error}") from error


def icu_flags(wheel):
    """What the shim needs to call ICU's hidden functions."""
    hidden = {"SET_COMMON_DATA": "udata_setCommonData_77", "SET_FILE_ACCESS": "udata_setFileAccess_77"}
    try:
        places = elf.distances(wheel.read_bytes(), "_ZN2v82V813InitializeICUEPKc", list(hidden.values()))
    except elf.Unexpected as error:
        raise Problem(f"libmini_racer.so is not as expected: {error}") from error
    return [f"-D{name}={place}" for name, place in zip(hidden, places)]


def fetch_crates():
    """The folders of the v8 crate and of its predecessor, downloaded and checked by cargo."""
    # Away from the checkout, whose .cargo/config.toml this is about to write.
    told = need.run(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--quiet",
         "--filter-platform", need.LINUX_X64, "--manifest-path", HERE / "fetch" / "Cargo.toml"],
        "the v8 crate cannot be fetched (is there a network?)", cwd="/")
    found = {package["version"]: Path(package["manifest_path"]).parent
             for package in json.loads(told)["packages"] if package["name"] == "v8"}
    return found[V8_CRATE], found[FRAMES_CRATE]


def fetch_wheels(work):
    """Installs the two wheels into `work`/python; returns the folder that holds V8."""
    python = work / "python"
    # Neither the user's settings nor a cache outside target/ may play in.
    env = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
           "PIP_ROOT_USER_ACTION": "ignore"}
    need.run(
        [*need.pip(work / "venv"), "install", "--quiet", "--no-deps", "--no-compile", "--no-cache-dir", "--no-input",
         "--only-binary", ":all:", "--require-hashes", "--requirement", HERE / "requirements.txt", "--target", python],
        "V8's wheel and its compiler cannot be fetched (is there a network?)", env=env)
    return python / "py_mini_racer"


def compile_bindings(crate, work, archive, pool, shim_flags):
    """Compiles the crate's C bindings and what they miss in the wheel into `archive`."""
    zig = work / "python" / "ziglang" / "zig"
    env = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(work / "zig"), "ZIG_LOCAL_CACHE_DIR": str(work / "zig")}
    third_party = crate / "third_party"
    libcxx = ["-nostdinc++", "-D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_NONE"] + [
        f"-I{folder}" for folder in (
            crate / "buildtools/third_party/libc++", third_party / "libc++/src/include",
            third_party / "libc++abi/src/include")]
    v8 = V8_BUILD + [
        f"-I{folder}" for folder in (
            work / "tree/v8/include", work / "tree", work / "tree/v8", crate / "src", crate,
            third_party / "icu/source/common", third_party / "abseil-cpp", third_party / "fp16/src/include")]
    sources = third_party / "libc++/src/src"
    parts = {"binding.o": [*v8, *libcxx, "-std=c++20", work / "binding.cc"], "shim.o": [*shim_flags, HERE / "shim.cc"]}
    for part in LIBCXX_PARTS:
        parts[f"libcxx_{part}.o"] = [
            "-std=c++23", *libcxx, "-D_LIBCPP_BUILDING_LIBRARY", f"-I{sources}", sources / f"{part}.cpp"]

    def compile_one(entry):
        name, arguments = entry
        need.run([zig, "c++", *COMPILER, "-c", *arguments, "-o", work / name], f"{name} does not compile", env=env)

    list(pool.map(compile_one, parts.items()))
    need.run([zig, "ar", "rcsD", archive, *(work / name for name in parts)], "librusty_v8.a cannot be made", env=env)
