"""Costs: a request in a fresh instance and in a used one, a cold start, calls from the host; V8's call beside it.

The measuring itself is crates/wasm/examples/costs.rs, and call.mjs for V8.
"""

import shutil
import subprocess
from pathlib import Path

from bench.measure import median, pinned
from bench.report import lines
from tools import cli, prepare
from tools.paths import ROOT
from tools.term import Problem, say, step

from . import contenders

# What is shown: the name in the output, what it is, and the goal.
ROWS = (
    ("fresh_us", "a request in a fresh instance, µs", None),
    ("used_us", "a request in a used instance, µs", None),
    ("instance_us", "store, instantiation and taking down, µs", 100),
    ("cold_ms", "cached, not loaded, to its answer, ms", 5),
    ("first_ms", "the same for a process's first app, ms", None),
    ("call_ns", "a core function with its type, ns", 25),
    ("limited_call_ns", "the same under a CPU limit, ns", None),
    ("wasmtime_call_ns", "the same in Wasmtime alone, ns", None),
    ("v8_call_ns", "the same in V8 (node), ns", None),
    ("wasmtime_string_call_ns", "a component's function with a string in Wasmtime alone, ns", None),
    ("invoke_us", "the same in nexus by name and as text, in a fresh instance, µs", None),
)


def measure(program, cores, options):
    """Runs both programs in turn, on one core."""
    prepare.ready()
    with step("building crates/wasm/examples/costs.rs"):
        if cli.cargo("build", "--locked", "--quiet", "--profile", options.profile, "--example", "costs"):
            raise Problem("the example does not build")
    costs = [contenders.built(options.profile) / "examples" / "costs"]
    node = shutil.which("node")
    if not node:
        say("bench-wasm: node is missing, so V8's call is not measured")
    rounds = []
    for round_ in range(options.rounds):
        with step(f"round {round_ + 1} of {options.rounds}: costs"):
            found = run(costs, cores, options)
            if node:
                found["v8_call_ns"] = run([node, Path(__file__).parent / "call.mjs"], cores, options)["call_ns"]
        # Taking the instance down is in it: the whole difference of the two kinds of requests.
        found["instance_us"] = found["fresh_us"] - found["used_us"]
        rounds.append(found)
    return {"rounds": rounds}


def run(command, cores, options):
    """The numbers that a program prints, by name."""
    command = [str(part) for part in [*command, *(["--quick"] if options.smoke else [])]]
    with pinned(cores.server):
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Problem(f"{command[0]} failed: {' '.join(done.stderr.split()[-20:])}")
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def table(result):
    """Medians of the rounds, with the goals."""
    rows = [["costs", "median", "lowest", "goal"]]
    for key, title, goal in ROWS:
        values = [found[key] for found in result["rounds"] if key in found]
        if values:
            rows.append([title, f"{median(values):,.1f}", f"{min(values):,.1f}", f"< {goal}" if goal else "-"])
    return "\n".join(lines(rows))
