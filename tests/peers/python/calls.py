"""What the Python peer does with services and calls."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from channels import made
from jobs import PATIENCE
from locks import must
from pattern import matches

import axonic

# So many are at work, of which some nap.
THREADS = 8
# Of the messages that are reversed.
SIZES = [0, 1, 64, 4096, 1 << 20]
# Items of a stream, which are more than its credit.
ITEMS = 600
ITEM = 1024
MOMENT = 0.001
LIMIT = 0.1
PARAMS = {
    "text": "ä€😀",
    "numbers": [1, -2.5, 1e300],
    "none": None,
    "yes": True,
    "deep": {"a": [{"b": []}]},
}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def checked(data: bytes, k: int, size: int) -> int:
    """The sum of a message's bytes, each of which must be as it should be."""
    must(len(data) == size and matches(memoryview(data), k), f"message {k} is as it was sent")
    return sum(data)


class Sum:
    """Of messages that come one after another."""

    def __init__(self) -> None:
        self.count = self.sum = 0

    def add(self, item: bytes) -> None:
        self.sum += checked(item, self.count, ITEM)
        self.count += 1

    def __str__(self) -> str:
        return f"{self.count} {self.sum & 0xFFFFFFFF}"


class Naps:
    """Calls that lasted until their caller waited no more."""

    def __init__(self) -> None:
        self.begun = self.over = 0
        # How many milliseconds the last one's caller gave it; -1: as long as it takes.
        self.given = 0

    def begin(self, ctx: axonic.Context) -> None:
        self.given = -1 if ctx.remaining is None else int(ctx.remaining * 1000)
        self.begun += 1

    def told(self) -> bytes:
        return f"{self.begun} {self.over} {self.given}".encode()


def pure_methods() -> list[Callable[..., Any]]:
    """What a service does that needs nobody."""

    def reverse(data: bytes) -> bytes:
        return data[::-1]

    def describe(**params: Any) -> Any:
        return {"got": params}

    def fail() -> None:
        details = {"left": 3, "why": ["a", None]}
        raise axonic.Status(
            "FAILED_PRECONDITION", "not now", reason="not_now", details=details, retryable=True
        )

    def items(count: bytes) -> Iterator[bytes]:
        for k in range(int(count)):
            yield made(k, ITEM)

    def trace(ctx: axonic.Context) -> bytes:
        return (ctx.traceparent or "").encode()

    return [reverse, describe, fail, items, trace]


def serve(domain: str, name: str, *addresses: str) -> int:
    with axonic.open(domain) as ax:
        service = ax.service(name, "1.2.0")
        naps = Naps()
        for method in pure_methods():
            service.method(method)

        @service.method
        def nap(ctx: axonic.Context) -> None:
            naps.begin(ctx)
            while not ctx.cancelled:
                time.sleep(MOMENT)
            naps.over += 1

        service.method(naps_of(naps))

        @service.method
        def total(numbers: Iterator[bytes]) -> bytes:
            heard = Sum()
            for item in numbers:
                heard.add(item)
            return str(heard).encode()

        # Who has seen how far some work is says so.
        seen = threading.Event()

        @service.method
        def work(ctx: axonic.Context) -> bytes:
            ctx.progress(0.5, "half")
            must(seen.wait(PATIENCE), "progress is seen")
            seen.clear()
            return b"worked"

        @service.method
        def go() -> None:
            seen.set()

        tell_addresses(addresses, [service.listen(address) for address in addresses])
        service.serve(threads=THREADS)
    return 0


def naps_of(counted: Naps) -> Callable[[], bytes]:
    def naps() -> bytes:
        return counted.told()

    return naps


def tell_addresses(given: tuple[str, ...], addresses: list[str]) -> None:
    if "pipe:0,1" in given:
        return
    for address in addresses:
        print("at", address, flush=True)
    print("serving", flush=True)


def tell(what: str, error: axonic.AxonicError) -> None:
    print(what, error.kind, error.code, flush=True)


def tell_failure(error: axonic.AxonicError) -> None:
    """All that a failed call's error says."""
    message = str(error).rpartition(": ")[2]
    print("failed", error.kind, error.code, error.reason, int(error.retryable), end="|")
    print(message, json.dumps(error.details), error.origin, sep="|", flush=True)


def failure(call: Callable[[], object]) -> axonic.AxonicError:
    try:
        call()
    except axonic.AxonicError as error:
        return error
    raise ValueError("not so: a call that has to fail does so")


class Way:
    """One way to the service."""

    def __init__(self, ax: axonic.Domain, service: str, address: str) -> None:
        self.client = ax.client(service, "^1.2", address=None if address == "-" else address)

    def call(self, method: str, params: Any, timeout: float = PATIENCE, **how: Any) -> Any:
        return self.client.call(method, params, timeout=timeout, **how)

    def naps(self) -> tuple[int, int, int]:
        begun, over, given = map(int, self.call("naps", b"").split())
        return begun, over, given

    def until(self, begun: int, over: int) -> int:
        """Waits until so many naps were begun, and are over."""
        end = time.monotonic() + PATIENCE
        while True:
            seen = self.naps()
            if seen[0] >= begun and seen[1] >= over:
                return seen[2]
            must(time.monotonic() < end, "naps begin and end in time")
            time.sleep(MOMENT)

    def reverse(self) -> None:
        results = [self.call("reverse", made(k, size)) for k, size in enumerate(SIZES)]
        total = sum(checked(results[k][::-1], k, size) for k, size in enumerate(SIZES))
        print("reversed", total & 0xFFFFFFFF, flush=True)

    def fail(self) -> None:
        tell_failure(failure(lambda: self.call("fail", {})))
        tell("unknown", failure(lambda: self.call("nonsense", {})))

    def nap(self) -> None:
        """One nap that is too long, and one that is given up."""
        begun, over, _ = self.naps()
        tell("late", failure(lambda: self.call("nap", {}, timeout=LIMIT)))
        print("given", self.until(begun + 1, over + 1), flush=True)
        call = self.client.start("nap", {})
        self.until(begun + 2, over + 1)
        call.cancel()
        print("cancelled", self.until(begun + 2, over + 2), flush=True)

    def stream(self) -> None:
        heard = Sum()
        for item in self.client.stream("items", str(ITEMS).encode(), timeout=PATIENCE):
            heard.add(item)
        print("streamed", heard, flush=True)
        items = (made(k, ITEM) for k in range(ITEMS))
        print("total", self.call("total", {}, input=items).decode(), flush=True)

    def work(self) -> None:
        call = self.client.start("work", {}, timeout=PATIENCE)
        end = time.monotonic() + PATIENCE
        while (progress := call.progress) is None:
            must(time.monotonic() < end, "progress is told in time")
            time.sleep(MOMENT)
        self.call("go", b"")
        print("progress", *progress, call.result(PATIENCE).decode(), flush=True)

    def trace(self) -> None:
        token = axonic.traceparent.set(TRACE)
        print("trace", self.call("trace", {}).decode(), flush=True)
        axonic.traceparent.reset(token)

    def talk(self) -> None:
        self.reverse()
        print("described", json.dumps(self.call("describe", PARAMS)), flush=True)
        self.fail()
        self.nap()
        self.stream()
        self.work()
        self.trace()


def call(domain: str, service: str, *addresses: str) -> int:
    with axonic.open(domain) as ax:
        ways = [Way(ax, service, address) for address in addresses]
        for way in ways:
            way.talk()
        nobody = ax.client("nobody")
        tell("absent", failure(lambda: nobody.call("reverse", b"", timeout=PATIENCE)))
        begun, over, _ = ways[0].naps()
        calls = [way.client.start("nap", {}) for way in ways]
        ways[0].until(begun + len(calls), over)
        print("napping", flush=True)
        for one in calls:
            tell("gone", failure(lambda one=one: one.result(PATIENCE)))
    return 0
