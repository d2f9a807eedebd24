"""The Python side of the interop matrix; argv and stdout are those of every language (peers/rust/peer.rs)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import channels
import crowd
import jobs
import locks
import talk
from pattern import fill, matches

import axonic
import calls


def total(view: memoryview) -> int:
    """The sum of all bytes, by whole periods (already known to match the pattern) and the rest."""
    periods, rest = divmod(len(view), 256)
    return periods * (255 * 128) + sum(view[len(view) - rest :])


def messages(sizes: str, count: str) -> Iterator[tuple[int, int]]:
    return enumerate(int(size) for size in sizes.split(",") for _ in range(int(count)))


def send(domain: str, topic: str, mode: str, sizes: str, count: str) -> int:
    with axonic.open(domain) as ax, ax.publisher(topic, overflow="block", max_bytes=512 << 20) as pub:
        pub.wait_for_subscribers(1, timeout=10)
        sent = 0
        for k, size in messages(sizes, count):
            if mode == "loan":
                with pub.loan(size, timeout=20) as view:
                    fill(view, k)
            else:
                data = bytearray(size)
                fill(memoryview(data), k)
                pub.publish(data, timeout=20)
            sent += 1
        deadline = time.monotonic() + 20
        while pub.subscribers() > 0 and time.monotonic() < deadline:
            time.sleep(0.002)
    print(f"sent {sent}")
    return 0


def check(view: memoryview, missed: int, k: int, size: int) -> str | None:
    if missed:
        return f"message {k}: {missed} missed before it"
    if len(view) != size:
        return f"message {k}: {len(view)} bytes, expected {size}"
    return None if matches(view, k) else f"message {k}: {size} bytes differ from the pattern"


def recv(domain: str, topic: str, mode: str, sizes: str, count: str) -> int:
    with axonic.open(domain) as ax, ax.subscriber(topic) as sub:
        print("ready", flush=True)
        received = checksum = 0
        for k, size in messages(sizes, count):
            if mode == "borrow":
                with sub.borrow(timeout=20) as sample, sample.data as view:
                    wrong = check(view, sample.missed, k, size)
                    checksum += total(view)
            else:
                message = sub.receive(timeout=20)
                wrong = check(memoryview(message.data), message.missed, k, size)
                checksum += total(memoryview(message.data))
            if wrong:
                print(f"bad {wrong}")
                return 1
            received += 1
    print(f"ok {received} {checksum & 0xFFFFFFFF}")
    return 0


def errors() -> int:
    classes = [c for c in vars(axonic).values() if isinstance(c, type) and issubclass(c, axonic.AxonicError)]
    for kind in sorted((c for c in classes if c is not axonic.AxonicError), key=lambda c: c.number):
        print(kind.number, kind.kind)
    return 0


def reject(queue: axonic.Queue[object]) -> None:
    """The result of a message that is rejected."""
    ticket = queue.put(b"x", result=True)
    with queue.get(timeout=20) as job:
        job.reject("as agreed")
    ticket.result(timeout=20)


def lose(queue: axonic.Queue[object]) -> None:
    """An acknowledgement after the lease, once another has the message."""
    queue.put(b"x")
    late = queue.get(timeout=20, lease=0.001)
    queue.get(timeout=20).ack()
    late.ack()


def provoke(domain: str) -> int:
    ax = axonic.open(domain)
    sub = ax.subscriber("peer.silence")
    small = ax.publisher("peer.small", max_bytes=1 << 20)
    first = ax.ring_producer("peer-ring")
    other = axonic.open(domain)
    late = other.publisher("peer.late")
    other.close()
    mutex = ax.mutex("peer-lock")
    full = ax.queue("peer-full", capacity=1)
    full.put(b"x")
    cases: dict[str, Callable[[], object]] = {
        "invalid-name": lambda: ax.publisher("a/b"),
        "not-found": lambda: ax.region("peer-nothing", create="open"),
        "timeout": lambda: sub.receive(timeout=0.001),
        "too-large": lambda: small.publish(bytes(2 << 20)),
        "closed": lambda: late.publish(b"x"),
        "busy": lambda: ax.ring_producer("peer-ring"),
        "rejected": lambda: reject(ax.queue("peer-queue")),
        "lease-lost": lambda: lose(ax.queue("peer-queue")),
        "full": lambda: full.try_put(b"x"),
        "other-lock": lambda: ax.rwlock(mutex.name),
    }
    for name, case in cases.items():
        try:
            case()
        except axonic.AxonicError as error:
            print(name, error.kind)
        else:
            print(name, "nothing")
    first.close()
    ax.close()
    return 0


def main(arguments: list[str]) -> int:
    verbs: dict[str, Callable[..., int]] = {
        "send": send,
        "recv": recv,
        "put": jobs.put,
        "work": jobs.work,
        "ask": jobs.ask,
        "answer": jobs.answer,
        "keep": jobs.keep,
        "spend": jobs.spend,
        "hurry": jobs.hurry,
        "bring": talk.bring,
        "fetch": talk.fetch,
        "count": locks.count,
        "share": locks.share,
        "alternate": locks.alternate,
        "meet": locks.meet,
        "provide": crowd.provide,
        "consult": crowd.consult,
        "serve": calls.serve,
        "call": calls.call,
        "listen": channels.listen,
        "connect": channels.connect,
        "errors": errors,
        "raise": provoke,
    }
    try:
        return verbs[arguments[0]](*arguments[1:])
    except (axonic.AxonicError, ValueError) as error:
        print(f"bad {type(error).__name__}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
