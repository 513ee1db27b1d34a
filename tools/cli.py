"""The commands of `./x`."""

import argparse
import os
import subprocess
import sys

from . import examples, need, prepare
from .paths import ROOT, TARGET
from .term import Problem, say

EXAMPLES = """\
begin with one of these, right after the clone:
  ./x serve            set everything up and serve the examples
  ./x test             set everything up and run all tests

After any of them plain cargo works: cargo build, cargo test, cargo run -- serve examples.
Set-up needs cargo, cc and Python with pip, no root, and writes below target/ and to
.cargo/config.toml only. docs/setup.md says where V8 comes from, docs/install.md how to install.
"""


def parser():
    top = argparse.ArgumentParser(
        prog="./x", description="Sets up, builds, tests, serves, installs and measures nexus.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name, function, text, **options):
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", **options)
        command.set_defaults(function=function)
        return command

    add("setup", setup, "find V8 and tell cargo where it is; the other commands do it by themselves")
    serve_ = add("serve", serve, "build nexus and serve the apps in examples/", usage="./x serve [-- ARGS]")
    serve_.add_argument("args", nargs="*", metavar="ARGS", help="more arguments for `nexus serve`")
    test_ = add("test", test, "run all tests", usage="./x test [ARGS]")
    test_.add_argument("args", nargs="*", metavar="ARGS", help="arguments for `cargo test`")
    add("build", build, "build nexus to be installed, in target/dist/nexus; takes some minutes")
    install_ = add("install", install, "install nexus as a folder that can be moved")
    install_.add_argument("prefix", metavar="PREFIX", help="the folder; it gets bin/nexus and lib/nexus/")
    add("examples", build_examples, "build the example that is not checked in as built, in target/examples")
    add("bench", bench, "measure nexus against workerd, Deno, Bun and bare hyper; see ./x bench --help", add_help=False)
    add("bench-limits", bench_limits, "measure whether limits hold; see ./x bench-limits --help", add_help=False)
    add("bench-apps", bench_apps, "measure many apps in one host; see ./x bench-apps --help", add_help=False)
    add("bench-churn", bench_churn, "deploy, reload, remove and crash apps under load; see ./x bench-churn --help", add_help=False)
    add("bench-web", bench_web, "measure the Web APIs against workerd, Deno and Bun; see ./x bench-web --help", add_help=False)
    add("bench-fetch", bench_fetch, "measure requests to others against workerd, Deno and Bun; see ./x bench-fetch --help", add_help=False)
    add("bench-crypto", bench_crypto, "measure Web Crypto against Node.js, Deno and Bun; see ./x bench-crypto --help", add_help=False)
    add("bench-capabilities", bench_capabilities, "measure calls to stores and other apps; see ./x bench-capabilities --help", add_help=False)
    add("bench-wasm", bench_wasm, "measure WebAssembly apps beside wasmtime serve; see ./x bench-wasm --help", add_help=False)
    add("soak-storage", soak_storage, "kill nexus in the middle of writes, and fill its disk; see ./x soak-storage --help", add_help=False)
    add("ci", ci, "check what continuous integration checks")
    return top


def main(arguments):
    """Runs the command that `arguments` names; returns the exit code."""
    command, rest = arguments[:1], arguments[1:]
    if command in (["bench"], ["bench-limits"], ["bench-apps"], ["bench-churn"], ["bench-web"], ["bench-fetch"], ["bench-crypto"], ["bench-capabilities"], ["bench-wasm"], ["soak-storage"]) or command in (["serve"], ["test"]) and rest not in (["-h"], ["--help"]):
        # What follows is for the program behind the command.
        options = parser().parse_args(command)
        options.args = rest
    else:
        options = parser().parse_args(arguments)
    try:
        return options.function(options) or 0
    except Problem as problem:
        print(f"x: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("x: interrupted", file=sys.stderr)
        return 130


def cargo(*arguments):
    """Runs cargo in the checkout; returns its exit code."""
    return subprocess.run(["cargo", *arguments], cwd=ROOT, env=need.environment()).returncode


def after_dashes(arguments):
    return arguments[1:] if arguments[:1] == ["--"] else arguments


def setup(_):
    prepare.ready()


def build(_):
    prepare.ready()
    return cargo("build", "--profile", "dist", "--bin", "nexus")


def test(options):
    prepare.ready()
    if not options.args:
        own = subprocess.run(
            [sys.executable, "-m", "unittest", "--quiet", "tools.tests"], cwd=ROOT,
            env={**os.environ, "PYTHONPYCACHEPREFIX": str(TARGET / "pycache")}).returncode
        if own:
            return own
    examples.ready()
    # One run tells of all that fails.
    return cargo("test", *(after_dashes(options.args) or ["--no-fail-fast"]))


def serve(options):
    prepare.ready()
    # The quicker of the two optimised builds.
    code = cargo("build", "--release", "--bin", "nexus")
    if code:
        return code
    nexus = str(TARGET / "release" / "nexus")
    built = examples.ready()
    examples.compile_ahead(nexus, built)
    say("Serving the apps in examples/: the table below says where to look; Ctrl-C ends it.")
    os.chdir(ROOT)
    paths = ["examples", *(str(folder.relative_to(ROOT)) for folder in built)]
    os.execv(nexus, [nexus, "serve", *paths, *after_dashes(options.args)])


def build_examples(_):
    for folder in examples.ready():
        say(f"Built {folder.relative_to(ROOT)}: serve it with `nexus serve {folder.relative_to(ROOT)}`")


def install(options):
    from . import installing

    code = build(options)
    if code:
        return code
    return installing.install(TARGET / "dist" / "nexus", options.prefix)


def bench(options):
    from bench import main as benchmark

    return benchmark.main(options.args)


def bench_limits(options):
    from bench.limits import main as benchmark

    return benchmark.main(options.args)


def bench_apps(options):
    from bench.apps import main as benchmark

    return benchmark.main(options.args)


def bench_churn(options):
    from bench.churn import main as benchmark

    return benchmark.main(options.args)


def bench_fetch(options):
    from bench.fetch import main as benchmark

    return benchmark.main(options.args)


def bench_crypto(options):
    from bench.crypto import main as benchmark

    return benchmark.main(options.args)


def bench_capabilities(options):
    from bench.capabilities import main as benchmark

    return benchmark.main(options.args)


def bench_wasm(options):
    from bench.wasm import main as benchmark

    return benchmark.main(options.args)


def bench_web(options):
    from bench.web import main as benchmark

    return benchmark.main(options.args)


def soak_storage(options):
    from . import soak_storage as soak

    return soak.main(options.args)


def ci(_):
    return subprocess.run([str(ROOT / ".ci" / "run")], cwd=ROOT).returncode
