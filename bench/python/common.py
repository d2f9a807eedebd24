"""What the Python subjects share: `script subject case exchanges messages`, one JSON line per result.

The method is that of `bench/src/measure.rs`: two pinned processes, exchanges timed one by one after a tenth
of them to warm up, rates timed by the receiver in the middle of a longer stream.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns as clock

MIB = 1 << 20


@dataclass(frozen=True)
class Stream:
    """The receiver takes margin + timed + margin messages and times the middle ones."""

    margin: int
    timed: int
    # Messages of a part of the middle; the median of the parts' rates counts.
    part: int

    @property
    def all(self) -> int:
        return self.timed + 2 * self.margin


@dataclass(frozen=True)
class Effort:
    """How much of a case was asked for."""

    exchanges: int
    messages: int

    def spinning(self, size: int) -> int:
        return self.exchanges // 50 if size > 4096 else self.exchanges

    def sleeping(self) -> int:
        return self.exchanges // 10

    def fewer(self, times: int) -> Effort:
        """The same for what takes `times` as long."""
        return Effort(self.exchanges // times, self.messages // times)

    def syncs(self) -> Stream:
        """Waits for the disk, one after the other."""
        timed = self.exchanges // 100
        return Stream(timed // 10, timed, max(1, timed // 20))

    def stream(self, size: int) -> Stream:
        timed = max(200, self.messages * 256 // max(size, 256))
        part = max(10, min(timed // 20, 5000 * 256 // max(size, 256)))
        return Stream(max(80, timed // 4), timed, part)


def asked() -> tuple[str, str, Effort]:
    """The subject, the case and the effort of the command line."""
    subject, case, exchanges, messages = sys.argv[1:]
    return subject, case, Effort(int(exchanges), int(messages))


def folder() -> str:
    """The bench's folder, for sockets and files."""
    return os.environ["AXONIC_RUNTIME_DIR"]


def tell(size: int, metric: str, unit: str, values: list[float]) -> None:
    """One result: percentiles of latencies, or one rate."""
    values = sorted(values)
    p50, p99, p999 = (values[math.ceil(len(values) * part) - 1] for part in (0.5, 0.99, 0.999))
    result = {"size": size, "metric": metric, "unit": unit, "p50": p50, "p99": p99, "p999": p999}
    print(json.dumps(result), flush=True)


def disk() -> str:
    """The bench's folder on a disk."""
    return os.environ["AXONIC_DATA_DIR"]


def rates(size: int, per_second: float, metric: str = "rate") -> None:
    """A rate of messages, and of bytes where messages are large."""
    tell(size, metric, "msgs_per_s", [per_second])
    if size >= 4096:
        tell(size, metric, "bytes_per_s", [per_second * size])


def skip(why: str) -> None:
    """This subject cannot be measured here."""
    print(json.dumps({"skipped": why}), flush=True)
    sys.exit(0)


class Meeting:
    """Both processes wait until the other has come as far; made before the fork."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)
        self._child = os.getpid()

    def here(self, step: int) -> None:
        mine, theirs = (0, 64) if os.getpid() == self._child else (64, 0)
        self._memory[mine] = step
        while self._memory[theirs] < step:
            time.sleep(0.0005)


def pair(other: Callable[[], None], here: Callable[[], None]) -> None:
    """Fork: `other` runs on core 1, `here` in this process on core 0."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.sched_setaffinity(0, {1})
            other()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.sched_setaffinity(0, {0})
    here()
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("the other process failed")


def warm(n: int) -> int:
    """Exchanges before the counted ones."""
    return n // 10


def exchanges(
    n: int, message: bytes, send: Callable[[bytes], object], take: Callable[[], object]
) -> list[float]:
    """Nanoseconds of each of `n` exchanges. `take` answers `None` when there is nothing yet."""
    for _ in range(warm(n)):
        send(message)
        while take() is None:
            pass
    nanos: list[float] = []
    for _ in range(n):
        started = clock()
        send(message)
        while take() is None:
            pass
        nanos.append(clock() - started)
    return nanos


def answers(n: int, send: Callable[[bytes], object], take: Callable[[], bytes | None]) -> None:
    """What the other side does for `exchanges`."""
    for _ in range(warm(n) + n):
        while (message := take()) is None:
            pass
        send(message)


def receive(stream: Stream, take: Callable[[], object]) -> float:
    """Messages per second of a stream that `take` receives one by one, or `None` when there is none yet."""

    def part(count: int) -> None:
        for _ in range(count):
            while take() is None:
                pass

    return receive_parts(stream, stream.all, part)


def receive_parts(stream: Stream, total: int, take: Callable[[int], None]) -> float:
    """The same; `take(count)` receives `count` messages, of which `total` come."""
    count, parts = stream.part, stream.timed // stream.part
    take(stream.margin)
    rates: list[float] = []
    for _ in range(parts):
        started = clock()
        take(count)
        rates.append(count / (clock() - started) * 1e9)
    take(total - stream.margin - parts * count)
    return sorted(rates)[parts // 2]


def produce(stream: Stream, message: bytes, send: Callable[[bytes], object]) -> None:
    """What the other side does for `receive`. `send` answers `False` when there is no room."""
    for _ in range(stream.all):
        while send(message) is False:
            pass
