"""The Python peer of the live fuzzer; churn.rs tells what it does.

churn.py <domain> <milliseconds> <drop_oldest|block|reject>
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import axonic

SOON = 0.002
UNFAIR = {"InvalidArgument", "InvalidName", "Forked", "Unsupported"}
SIZES = [10, 2000, 5000, 40_000]

calls = errors = 0


def fair(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a call answers, or None; no damage may look like a mistake of the caller."""
    global calls, errors
    calls += 1
    try:
        return call(*args, **options)
    except axonic.AxonicError as error:
        if error.kind in UNFAIR:
            raise
        errors += 1
        return None


def topics(ax: Any, overflow: str) -> None:
    pub = fair(ax.publisher, "t", overflow=overflow, capacity=64 << 10, max_bytes=256 << 10)
    sub = fair(ax.subscriber, "t", start="oldest", max_borrowed=4)
    held = []
    for i in range(100):
        if pub is not None:
            fair(pub.publish, bytes(SIZES[i % 4]), timeout=SOON)
        if sub is not None and i % 2 == 0:
            sample = fair(sub.borrow, timeout=SOON)
            if sample is not None:
                with sample.data as view:
                    sum(view[::64])
                held.append(sample)
        elif sub is not None:
            message = fair(sub.receive, timeout=SOON)
            if message is not None:
                fair(lambda: message.attributes)  # noqa: B023
        if len(held) > 3:
            while held:
                held.pop().release()
    while held:
        held.pop().release()
    for handle in (sub, pub):
        if handle is not None:
            fair(handle.close)


def ring(ax: Any) -> None:
    producer = fair(ax.ring_producer, "r", capacity=10_000)
    consumer = fair(ax.ring_consumer, "r", capacity=10_000)
    for i in range(30):
        if producer is not None:
            fair(producer.push, bytes(i * 300), timeout=SOON)
        if consumer is not None:
            fair(consumer.pop, timeout=SOON)
    for handle in (producer, consumer):
        if handle is not None:
            fair(handle.close)


def main(domain: str, milliseconds: str, overflow: str) -> int:
    end = time.monotonic() + int(milliseconds) / 1000
    print("ready", flush=True)
    while time.monotonic() < end:
        ax = fair(axonic.open, domain)
        if ax is not None:
            topics(ax, overflow)
            ring(ax)
            fair(ax.close)
    print(f"ok {calls} {errors}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
