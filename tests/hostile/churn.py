"""The Python peer of the live fuzzer; churn.rs tells what it does.

churn.py <domain> <milliseconds> <drop_oldest|block|reject>
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
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


def settle(job: Any, i: int) -> None:
    sum(job.data[::64])
    fair(lambda: job.attributes)
    fair(job.progress, 0.5)
    if i % 6 == 0:
        fair(job.nack, 0.0001)
    elif i % 6 == 1:
        fair(job.reject, "no good")
    elif i % 6 == 2:
        fair(job.extend, 0.0001)
    elif i % 6 == 3:
        fair(job.ack, bytes(1000))
    elif i % 6 == 5:
        fair(job.ack)


def jobs(ax: Any, name: str, *, durable: bool) -> None:
    queue = fair(ax.queue, name, capacity=64, max_bytes=64 << 10, durable=durable, fsync="never")
    if queue is None:
        return
    for i in range(30):
        how = {"priority": i % 8, "delay": 0.0005 if i % 3 == 2 else 0, "result": i % 7 == 0}
        if i % 5 == 0:
            how["dedup_id"] = str(i)
        answer = fair(queue.put, bytes([10, 129, 3000, 20_000][i % 4]), timeout=SOON, **how)
        if i % 7 == 0 and answer is not None:
            fair(answer.result, timeout=SOON)
        job = fair(queue.get, timeout=SOON, lease=0.0002 if i % 3 == 0 else None)
        if job is not None:
            settle(job, i)
    for call in (queue.peek, queue.dead_letters, queue.redrive, queue.purge, queue.stats, queue.close):
        fair(call)


def opened(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The same as fair() for what a file says that it is: that is not the caller's mistake."""
    try:
        return fair(call, *args, **options)
    except axonic.InvalidArgumentError:
        return None


def released(lock: Any) -> None:
    """What is given back may be somebody else's by then, as far as its memory tells."""
    with suppress(axonic.AxonicError):
        lock.release()


def locks(ax: Any) -> None:
    mutex, rwlock = opened(ax.mutex, "m"), opened(ax.rwlock, "w")
    condvar = mutex and opened(ax.condvar, "c", mutex)
    semaphore, event = opened(ax.semaphore, "s", 2), opened(ax.event, "e", auto_reset=True)
    barrier = opened(ax.barrier, "b", 2)
    for i in range(10):
        if condvar is not None and fair(mutex.acquire, timeout=SOON):
            fair(condvar.wait, timeout=SOON)
            fair(condvar.notify_all)
            released(mutex)
        if rwlock is not None:
            fair(rwlock.acquire_read if i % 2 == 0 else rwlock.acquire_write, timeout=SOON)
            released(rwlock)
        if semaphore is not None:
            fair(semaphore.acquire, timeout=SOON)
            released(semaphore)
        if event is not None:
            fair(event.wait, timeout=SOON)
            fair(event.set)
        if barrier is not None:
            fair(barrier.wait, timeout=SOON)
    for lock in (condvar, mutex, rwlock, semaphore, event, barrier):
        if lock is not None:
            fair(lock.close)


def main(domain: str, milliseconds: str, overflow: str) -> int:
    end = time.monotonic() + int(milliseconds) / 1000
    print("ready", flush=True)
    while time.monotonic() < end:
        ax = fair(axonic.open, domain)
        if ax is not None:
            topics(ax, overflow)
            ring(ax)
            jobs(ax, "q", durable=False)
            jobs(ax, "d", durable=True)
            locks(ax)
            fair(ax.close)
    print(f"ok {calls} {errors}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
