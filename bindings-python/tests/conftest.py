"""Every test has a runtime directory of its own and leaves nothing in it."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

import axonic

# A job in the background ignores Ctrl-C, and so would what it starts: tests that press it begin from here.
signal.signal(signal.SIGINT, signal.default_int_handler)


def leftovers(directory: Path) -> list[str]:
    """Objects in a runtime directory: files other than a domain's own bookkeeping."""
    found = []
    for path in directory.rglob("*"):
        # <runtime>/<domain>/<kind>/<object>; what lies higher is the domain itself.
        if not path.is_dir() and len(path.relative_to(directory).parts) > 2:
            found.append(str(path.relative_to(directory)))
    return sorted(found)


def open_descriptors() -> set[str]:
    """What this process has open in shared memory."""
    found = set()
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except OSError:
            continue
        # A closed domain that is still referenced (pytest keeps the fixtures) holds its lock file.
        if re.search(r"/axonic-pytest-[^/]+/[^/]+/(participants|#\d+)( \(deleted\))?$", target):
            continue
        if "/axonic-pytest-" in target or "axonic" in target.partition("memfd:")[2]:
            found.add(f"{entry} {target}")
    return found


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory on shared memory, empty before and after the test."""
    directory = Path(tempfile.mkdtemp(prefix="axonic-pytest-", dir="/dev/shm"))
    monkeypatch.setenv("AXONIC_RUNTIME_DIR", str(directory))
    monkeypatch.delenv("AXONIC_DOMAIN", raising=False)
    try:
        yield directory
        gc.collect()
        if leftovers(directory):
            # Processes that were killed, or left through os._exit: whoever opens next collects them.
            for name in sorted(path.name for path in directory.iterdir() if path.is_dir()):
                with axonic.open(name) as domain, domain.publisher("collect"):
                    # A queue stays while something is in it, a lock until somebody is told of a death.
                    for noun in ("queue", "lock"):
                        for path in (directory / name / f"{noun}s").glob("*"):
                            if "*" not in path.name and path.exists():
                                domain.unlink(noun, path.name)
        assert leftovers(directory) == [], "objects were left behind"
        assert open_descriptors() == set(), "descriptors were left open"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def ax(runtime: Path) -> Iterator[axonic.Domain]:
    """An open domain, closed after the test."""
    domain = axonic.open("test")
    yield domain
    gc.collect()
    domain.close()


@pytest.fixture
def q(ax: axonic.Domain) -> axonic.Queue[Any]:
    """A queue in memory."""
    return ax.queue("jobs")


class Script(Protocol):
    def __call__(self, code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]: ...


@pytest.fixture
def script(runtime: Path) -> Iterator[Script]:
    """Starts Python code in another process; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str], timeout: float = 30) -> str:
    """Waits for a process that must succeed in silence and answers what it printed."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, f"exit {process.returncode}\n{out}\n{err}"
    assert err == "", err
    return out
