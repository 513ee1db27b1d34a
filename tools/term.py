"""What the commands say: one line a problem, one line a step, plain where nobody watches."""

import contextlib
import sys
import time


class Problem(Exception):
    """What stops a command: one line that says what is wrong and what to do about it."""


def say(text):
    """Prints a line, ahead of whatever a child process prints next."""
    print(text, flush=True)


@contextlib.contextmanager
def step(text):
    """Announces a step while it runs and says how long it took.

    On a terminal the line is completed when the step ends; elsewhere it is printed once, at the end,
    so that logs hold no control characters.
    """
    live = sys.stdout.isatty()
    start = time.monotonic()
    if live:
        print(f"  {text} …", end="", flush=True)
    try:
        yield
    except BaseException:
        if live:
            print(flush=True)
        raise
    took = f"{time.monotonic() - start:.1f} s"
    if live:
        print(f"\r\x1b[K  {text}  \x1b[2m{took}\x1b[0m", flush=True)
    else:
        print(f"  {text} ({took})", flush=True)
