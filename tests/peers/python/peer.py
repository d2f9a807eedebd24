"""The Python side of the interop matrix; every language's peer has this argv and stdout contract.

    peer.py send <domain> <topic> <copy|loan> <sizes> <count>
    peer.py recv <domain> <topic> <copy|borrow> <sizes> <count>
    peer.py errors
    peer.py raise <domain>

Byte i of message k (k counts over all sizes) is (i*31 + k*7 + size) & 0xff.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import axonic

# i*31 mod 256 repeats every 256 bytes, so a message is this turned by some steps and repeated.
PERIOD = bytes(i * 31 & 0xFF for i in range(256))
# PERIOD[i + STEPS[c]] == PERIOD[i] + c: 31 * 223 == 1 (mod 256).
STEPS = [c * 223 & 0xFF for c in range(256)]
# So many bytes are written or compared at a time.
CHUNK = 1 << 20
LONG = PERIOD * (CHUNK // 256 + 1)


def pattern(k: int, size: int) -> memoryview:
    """The first min(size, CHUNK) bytes of message k; the rest repeats them."""
    start = STEPS[(k * 7 + size) & 0xFF]
    return memoryview(LONG)[start : start + min(size, CHUNK)]


def fill(view: memoryview, k: int) -> None:
    chunk = pattern(k, len(view))
    for at in range(0, len(view), CHUNK):
        left = min(CHUNK, len(view) - at)
        view[at : at + left] = chunk[:left]


def matches(view: memoryview, k: int) -> bool:
    chunk = pattern(k, len(view))
    for at in range(0, len(view), CHUNK):
        left = min(CHUNK, len(view) - at)
        # bytes against bytes is one memcmp; memoryviews compare element by element.
        if bytes(view[at : at + left]) != bytes(chunk[:left]):
            return False
    return True


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
    for kind in sorted((c for c in classes if c is not axonic.AxonicError), key=lambda c: c.code):
        print(kind.code, kind.kind)
    return 0


def provoke(domain: str) -> int:
    ax = axonic.open(domain)
    sub = ax.subscriber("peer.silence")
    small = ax.publisher("peer.small", max_bytes=1 << 20)
    first = ax.ring_producer("peer-ring")
    other = axonic.open(domain)
    late = other.publisher("peer.late")
    other.close()
    cases: dict[str, Callable[[], object]] = {
        "invalid-name": lambda: ax.publisher("a/b"),
        "not-found": lambda: ax.region("peer-nothing", create="open"),
        "timeout": lambda: sub.receive(timeout=0.001),
        "too-large": lambda: small.publish(bytes(2 << 20)),
        "closed": lambda: late.publish(b"x"),
        "busy": lambda: ax.ring_producer("peer-ring"),
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
    verbs: dict[str, Callable[..., int]] = {"send": send, "recv": recv, "errors": errors, "raise": provoke}
    try:
        return verbs[arguments[0]](*arguments[1:])
    except axonic.AxonicError as error:
        print(f"bad {type(error).__name__}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
