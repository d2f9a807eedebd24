"""The `axonic` command: the Rust tool, run inside the interpreter so that pip can ship it."""

from __future__ import annotations

import signal
import sys

from ._native import run_cli


def main() -> int:
    """Run the command line tool and return its exit status."""
    # Python's handler only notes the signal until Python code runs again; the tool never returns to it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return run_cli(["axonic", *sys.argv[1:]])
