"""The `axonic` command: the Rust tool, run inside the interpreter so that pip can ship it."""

from __future__ import annotations

import signal
import sys

from ._native import run_cli


def main() -> int:
    """Run the command line tool and return its exit status."""
    # Python's handler only notes the signal until Python code runs again; the tool never returns to it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return run_cli(["axonic", *sys.argv[1:]], _again())


def _again() -> list[str]:
    """How this program was started, up to its arguments: `python -m axonic`, or `python .../bin/axonic`."""
    if not sys.executable:
        return []
    arguments = sys.argv[1:]
    first = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]
    if first and sys.orig_argv[1 + len(first) :] == arguments:
        return [sys.executable, *first]
    return [sys.executable, "-m", "axonic"]
