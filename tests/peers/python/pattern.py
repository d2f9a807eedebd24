"""Byte i of message k of some size is (i*31 + k*7 + size) & 0xff."""

from __future__ import annotations

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
