"""What the Python peer does in a crowd: it provides a service with others, or calls it many times at once."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from jobs import PATIENCE, message, number_in

import axonic

THREADS = 8
SIZE = 64
# How long a call may take that takes longer.
LIMIT = 0.02
DELAY = 0.04

_telling = threading.Lock()


def tell(what: str, k: int) -> None:
    """One line, whichever threads tell others."""
    with _telling:
        sys.stdout.write(f"{what} {k}\n")
        sys.stdout.flush()


def method_of(k: int) -> tuple[str, float]:
    """What call k is to do, and in what time."""
    return ("delay", LIMIT) if k % 16 == 5 else ("solve", PATIENCE)


def judge(k: int, result: bytes) -> str:
    return "ok" if result == message(k, SIZE)[::-1] else "wrong"


def solve(data: bytes) -> bytes:
    tell("did", number_in(data))
    return data[::-1]


def provide(domain: str, name: str) -> int:
    with axonic.open(domain) as ax:
        service = ax.service(name, "1.0.0")
        service.method(solve)

        @service.method
        def delay(data: bytes) -> bytes:
            result = solve(data)
            time.sleep(DELAY)
            return result

        print("providing", flush=True)
        service.serve(threads=THREADS)
    return 0


def consult(domain: str, name: str, first: str, milliseconds: str, together: str) -> int:
    numbers, end = itertools.count(int(first)), time.monotonic() + int(milliseconds) / 1000
    with axonic.open(domain) as ax, ThreadPoolExecutor(int(together)) as threads:
        client = ax.client(name, "^1")

        def ask(_thread: int) -> None:
            while time.monotonic() < end:
                k = next(numbers)
                method, limit = method_of(k)
                try:
                    outcome = judge(k, client.call(method, message(k, SIZE), timeout=limit))
                except axonic.UnavailableError:
                    outcome = "gone"
                except axonic.TimeoutError:
                    outcome = "late"
                tell(outcome, k)

        list(threads.map(ask, range(int(together))))
    tell("consulted", next(numbers) - int(first))
    return 0
