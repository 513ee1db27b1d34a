"""Tests of what stands behind `./x`: `./x test` runs them, ahead of cargo's."""

import contextlib
import ctypes
import io
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

from bench import measure, report
from bench.limits import exactness, leaks
from bench.wasm import endless, load
from tools import cli, examples, installing, need, prepare
from tools.paths import ROOT
from tools.term import Problem
from tools.v8 import elf, recipe, sources

WRK = """\
Running 1s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.68ms    4.25ms  48.61ms   92.35%
    Req/Sec    23.06k     2.02k   25.86k    70.00%
  Latency Distribution
     50%  780.00us
     75%    2.60ms
     90%    7.24ms
     99%    1.02s
  22937 requests in 1.00s, 3.04MB read
Requests/sec:  22911.50
Transfer/sec:      3.04MB
"""


class Elf(unittest.TestCase):
    def setUp(self):
        self.v8 = prepare.assembled_folder()
        if not self.v8:
            self.skipTest("V8 is not the assembled one")
        self.data = (self.v8 / "libmini_racer.so").read_bytes()

    def symbols(self):
        library = elf.Library(self.data)
        strings = library.sections[".dynstr"][elf.OFFSET]
        return [(library.string(strings + name), kind, section)
                for name, kind, _, section, _, _ in elf.SYMBOL.iter_unpack(library.content(".dynsym"))]

    def test_the_library_exports_no_allocator(self):
        taken = {*elf.ALLOCATOR, *elf.ALIGNED_NEW, *elf.HIDDEN}
        self.assertEqual([name for name, _, section in self.symbols() if name in taken and section], [])

    def test_the_library_takes_malloc_and_free_from_outside(self):
        wanted = {name for name, kind, section in self.symbols() if kind >> 4 == elf.STB_GLOBAL and not section}
        self.assertLessEqual({"malloc", "free", "realloc", "aligned_alloc"}, wanted)

    def test_the_stripped_library_loads_and_works(self):
        stripped = elf.stripped(self.data)
        self.assertLess(len(stripped), len(self.data))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "libmini_racer.so"
            path.write_bytes(stripped)
            library = ctypes.CDLL(str(path))
            library.mr_v8_version.restype = ctypes.c_char_p
            self.assertRegex(library.mr_v8_version().decode(), r"^14\.4\.")

    def test_stripping_twice_changes_nothing_more(self):
        once = elf.stripped(self.data)
        self.assertEqual(elf.stripped(once), once)

    def test_another_library_is_refused(self):
        for data in (b"", b"\x7fELF", bytes(100), Path(sys.executable).read_bytes()):
            with self.assertRaises(elf.Unexpected):
                elf.adapt(data)

    def test_a_library_adapted_before_is_refused(self):
        with self.assertRaises(elf.Unexpected):
            elf.adapt(self.data)


class Sources(unittest.TestCase):
    def test_a_text_that_is_not_there_once_is_refused(self):
        self.assertEqual(sources.replaced("a.h", "one two", "two", "three"), "one three")
        for text in ("one", "two two"):
            with self.assertRaisesRegex(ValueError, "a.h does not say once: two"):
                sources.replaced("a.h", text, "two", "three")


class Prepare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for module, name, value in (
                (prepare, "CARGO_CONFIG", self.root / ".cargo" / "config.toml"),
                (prepare, "TARGET", self.root / "target"), (prepare, "V8", self.root / "target" / "v8")):
            patch = mock.patch.object(module, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        patch = mock.patch.dict(os.environ)
        patch.start()
        self.addCleanup(patch.stop)
        os.environ.pop("RUSTY_V8_ARCHIVE", None)

    def ready(self):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            prepare.ready()
        return said.getvalue()

    def assembled(self):
        def fill(out, _):
            for name in recipe.OUTPUTS:
                (out / name).write_text(name)
        return mock.patch("tools.v8.assemble.assemble", fill)

    def test_a_named_archive_is_taken_as_it_is(self):
        archive = self.root / "an archive.a"
        archive.write_text("")
        os.environ["RUSTY_V8_ARCHIVE"] = str(archive)
        self.assertIn(str(archive), self.ready())
        text = prepare.CARGO_CONFIG.read_text()
        self.assertIn(f'RUSTY_V8_ARCHIVE = "{archive}"', text)
        self.assertNotIn("rustflags", text)
        self.assertEqual(self.ready(), "")

    def test_a_named_archive_that_is_not_there_is_refused(self):
        os.environ["RUSTY_V8_ARCHIVE"] = str(self.root / "none.a")
        with self.assertRaisesRegex(Problem, "RUSTY_V8_ARCHIVE names .*none.a, and there is no such file"):
            self.ready()

    def test_a_second_run_does_nothing(self):
        with self.assembled():
            self.assertIn("14.4", self.ready())
        with mock.patch("tools.need.run", side_effect=AssertionError("something ran")):
            self.assertEqual(self.ready(), "")

    def test_a_damaged_result_is_made_again(self):
        with self.assembled():
            self.ready()
            (prepare.V8 / recipe.name() / "icudtl.dat").write_text("")
            self.assertIn("assembling", self.ready())
            self.assertEqual((prepare.V8 / recipe.name() / "icudtl.dat").read_text(), "icudtl.dat")

    def test_an_interrupted_run_leaves_nothing_half(self):
        def interrupted(out, _):
            (out / "icudtl.dat").write_text("half")
            raise KeyboardInterrupt
        with mock.patch("tools.v8.assemble.assemble", interrupted), self.assertRaises(KeyboardInterrupt):
            self.ready()
        self.assertEqual([path.name for path in prepare.TARGET.iterdir()], [".setup.lock"])
        self.assertFalse(prepare.CARGO_CONFIG.exists())
        with self.assembled():
            self.ready()
        self.assertIsNotNone(prepare.assembled_folder())

    def test_what_a_killed_run_left_is_cleared(self):
        left = prepare.TARGET / f"{prepare.WORK}killed"
        left.mkdir(parents=True)
        (left / "binding.o").write_text("half")
        with self.assembled():
            self.ready()
        self.assertFalse(left.exists())

    def test_two_runs_at_once_assemble_once(self):
        made = []

        def fill(out, _):
            made.append(out)
            for name in recipe.OUTPUTS:
                (out / name).write_text(name)
        with mock.patch("tools.v8.assemble.assemble", fill), contextlib.redirect_stdout(io.StringIO()):
            threads = [threading.Thread(target=prepare.ready) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(len(made), 1)

    def test_a_moved_checkout_gets_a_new_configuration(self):
        with self.assembled():
            self.ready()
            text = prepare.CARGO_CONFIG.read_text()
            prepare.CARGO_CONFIG.write_text(text.replace(str(self.root), "/where/it/was"))
            self.ready()
        self.assertEqual(prepare.CARGO_CONFIG.read_text(), text)

    def test_a_configuration_of_somebody_else_is_left_alone(self):
        prepare.CARGO_CONFIG.parent.mkdir()
        prepare.CARGO_CONFIG.write_text("[build]\njobs = 1\n")
        with self.assembled(), self.assertRaisesRegex(Problem, "is not from ./x setup"):
            self.ready()
        self.assertEqual(prepare.CARGO_CONFIG.read_text(), "[build]\njobs = 1\n")


class Need(unittest.TestCase):
    def without(self, *tools):
        """A PATH with the tools that set-up asks for, without the given ones."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name in {"cargo", "rustc", "cc"} - set(tools):
            (Path(folder.name) / name).symlink_to("/bin/true")
        return mock.patch.dict(os.environ, {"PATH": folder.name})

    def test_a_missing_tool_is_said_in_one_line_with_its_remedy(self):
        for tool, check in (("cargo", need.rust_host), ("rustc", need.rust_host), ("cc", need.linker)):
            with self.without(tool), self.assertRaisesRegex(Problem, f"^{tool} is missing.*install.*$"):
                check()

    def test_an_old_rust_is_refused(self):
        told = "rustc 1.60.0\nrelease: 1.60.0\nhost: x86_64-unknown-linux-gnu\n"
        with self.without(), mock.patch("tools.need.run", return_value=told):
            with self.assertRaisesRegex(Problem, r"or newer is needed, this is 1\.60.*rustup update"):
                need.rust_host()

    def test_pip_that_is_missing_is_made_or_said(self):
        failed, worked = mock.Mock(returncode=1), mock.Mock(returncode=0)
        folder = Path("/nowhere")
        with mock.patch("subprocess.run", side_effect=[failed, worked]):
            self.assertEqual(need.pip(folder), ["/nowhere/bin/python3", "-m", "pip"])
        with mock.patch("subprocess.run", side_effect=[failed, failed]):
            with self.assertRaisesRegex(Problem, "pip is missing"):
                need.pip(folder)

    def test_flags_of_the_user_keep_those_of_v8(self):
        with mock.patch.dict(os.environ, {"RUSTFLAGS": "-C target-cpu=native"}), \
                mock.patch("tools.prepare.link_flags", return_value=["--cfg", "a"]):
            env = need.environment()
        self.assertEqual(env["CARGO_ENCODED_RUSTFLAGS"].split("\x1f"), ["-C", "target-cpu=native", "--cfg", "a"])
        self.assertNotIn("RUSTFLAGS", env)

    def test_a_failure_names_the_error_of_the_tool(self):
        with self.assertRaisesRegex(Problem, "^it fails: error: why$"):
            need.run([sys.executable, "-c", "import sys; sys.exit('note\\nerror: why\\nlast')"], "it fails")


class Examples(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name, value in (("FOLDER", Path(folder.name)), ("PYTHON", Path(folder.name) / "wasm-python")):
            patch = mock.patch.object(examples, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def ready(self):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            return examples.ready(), said.getvalue()

    def test_what_cannot_be_fetched_is_skipped_and_said_so(self):
        with mock.patch("tools.examples.fetch", side_effect=Problem("componentize-py cannot be fetched: why")):
            built, said = self.ready()
        self.assertEqual(built, [])
        self.assertIn("examples: wasm-python is skipped: componentize-py cannot be fetched: why", said)
        self.assertEqual(list(examples.FOLDER.iterdir()), [])

    def test_what_was_built_is_not_built_again(self):
        def build(work):
            (work / "app").mkdir()
            (work / "app" / "app.wasm").write_text("it")
        with mock.patch("tools.examples.fetch"), mock.patch("tools.examples.packages"), \
                mock.patch("tools.examples.build", side_effect=build) as builds:
            self.assertEqual([self.ready()[0] for _ in range(2)], [[examples.PYTHON]] * 2)
        self.assertEqual((builds.call_count, (examples.PYTHON / "app.wasm").read_text()), (1, "it"))


class Install(unittest.TestCase):
    def test_the_program_forgets_the_checkout(self):
        v8 = Path("/checkout/target/v8/0123")
        kept = ":".join(prepare.RUN_PATHS).encode()
        program = b"before\0" + kept + b":" + bytes(v8) + b"\0after"
        self.assertEqual(
            installing.without_checkout(program, v8), b"before\0" + kept.ljust(len(kept) + len(bytes(v8)) + 2, b"\0") + b"after")
        with self.assertRaises(Problem):
            installing.without_checkout(b"another program", v8)

    def test_a_folder_that_cannot_be_written_is_said_in_one_line(self):
        with tempfile.NamedTemporaryFile() as file, mock.patch("tools.prepare.assembled_folder", return_value=None):
            with self.assertRaisesRegex(Problem, "cannot install: Not a directory"):
                installing.install(Path(file.name), file.name)


class Bench(unittest.TestCase):
    def test_what_wrk_prints_is_read(self):
        self.assertEqual(measure.parse_wrk(WRK), {
            "requests_s": 22911.5, "p50_ms": 0.78, "p99_ms": 1020.0, "requests": 22937, "failed": 0})

    def test_failed_requests_are_counted(self):
        text = WRK + "  Socket errors: connect 0, read 3, write 0, timeout 2\n  Non-2xx or 3xx responses: 7\n"
        self.assertEqual(measure.parse_wrk(text)["failed"], 12)

    def test_the_table_compares_with_the_best_peer(self):
        def result(value):
            round_ = {key: value for key in ("requests_s", "cpu_us", "p50_ms", "p99_ms", "idle_mb", "loaded_mb")}
            return {"rounds": [round_], "start_ms": [value], "app_mb": None}
        rows = report.medians({"nexus": result(3.0), "deno": result(2.0), "bun": result(1.0), "hyper": result(6.0)})
        best, which, limit = (line.split() for line in report.ratios(rows)[1:])
        self.assertEqual(which[2:5], ["deno", "bun", "bun"])
        self.assertEqual(best[2:6], ["×", "1.50", "×", "3.00"])
        self.assertEqual(limit[1:3], ["×", "0.50"])


class BenchLimits(unittest.TestCase):
    def test_a_stop_below_the_limit_and_a_run_beyond_it_are_faults(self):
        def run(stopped, cpu, account):
            return {"stopped": stopped, "cpu_ms": cpu, "account_ms": account}
        def faults(factor, *results, tolerance=0.005):
            return exactness.judge(factor, results, tolerance)["faults"]

        self.assertEqual(faults(0.9, run(False, 45, 44), run(False, 49, 48)), [])
        self.assertEqual(faults(0.9, run(True, 45, 46)), ["stopped after 45.0 ms"])
        self.assertEqual(faults(0.9, run(False, 45, 30)), ["30.0 ms are charged for 45.0"])
        self.assertEqual(faults(2.0, run(True, 60, 52), run(True, 58, 50)), [])
        self.assertEqual(faults(2.0, run(False, 100, 99)), ["not stopped in 100.0 ms"])
        self.assertEqual(faults(2.0, run(True, 100, 80)), ["stopped at 80.0 ms"])
        self.assertEqual(faults(2.0, run(True, 100, 75), run(False, 70, 60), tolerance=0.03), [])
        self.assertEqual(faults(2.0, run(False, 81, 80), tolerance=0.03), ["not stopped in 81.0 ms"])

    def test_what_grows_or_stays_is_a_fault(self):
        def sample(memory, held=0, threads=7):
            return {"memory": memory, **dict.fromkeys(leaks.GAUGES, held), **dict.fromkeys(leaks.PROCESS, threads)}
        flat = [sample(20e6), *[sample(40e6)] * 10]
        self.assertEqual(leaks.grown(flat, memory=True), [])
        self.assertEqual(leaks.grown([*flat[:-1], sample(90e6)], memory=True), ["memory went from 40.0 MB to 90.0 MB"])
        self.assertEqual(len(leaks.grown([*flat[:-1], sample(40e6, held=1)], memory=True)), len(leaks.GAUGES))
        self.assertEqual(len(leaks.grown([*flat[:-1], sample(40e6, threads=20)], memory=True)), len(leaks.PROCESS))


class BenchWasm(unittest.TestCase):
    def test_nexus_is_compared_with_wasmtime_as_it_is(self):
        def rounds(value):
            return [dict.fromkeys((key for _, key, _, _ in load.KEYS), value)]
        result = {"guests": {"c": {"nexus": rounds(5.0), "wasmtime": rounds(2.0), "wasmtime-reuse": rounds(4.0)}},
                  "sizes": {"c": 30_000}, "cores": [0, 1]}
        told = load.table(result)
        self.assertIn("nexus: × 2.50 requests/s, the goal is × 2; p99 5.00 ms, the goal is wasmtime's p50, 2.00 ms", told)
        self.assertRegex(told, r"\n  wasmtime-reuse +× 2\.00")

    def test_a_loop_that_goes_beyond_its_limit_is_a_fault(self):
        self.assertEqual(endless.judge([50.2, 54.9], [50.1], 0.10), [])
        self.assertEqual(endless.judge([50.2, 55.1], [], 0.10), ["a loop was stopped after 55.1 ms of CPU time, its limit is 50 ms"])
        self.assertEqual(len(endless.judge([], [44.9, 56.0], 0.10)), 2)
        self.assertEqual(endless.judge([60.0], [], 0.50), [])


class Cli(unittest.TestCase):
    def test_a_problem_is_one_line_and_exit_code_2(self):
        with mock.patch("tools.prepare.ready", side_effect=Problem("nothing works: do this")):
            with contextlib.redirect_stderr(io.StringIO()) as said:
                self.assertEqual(cli.main(["setup"]), 2)
        self.assertEqual(said.getvalue(), "x: nothing works: do this\n")

    def test_help_names_every_command(self):
        told = subprocess.run([ROOT / "x", "--help"], capture_output=True, text=True, check=True).stdout
        for command in ("setup", "serve", "test", "build", "install", "examples", "bench", "bench-limits", "bench-web", "bench-crypto", "bench-wasm", "ci"):
            self.assertRegex(told, rf"\n    {command}\s")
