"""A worker in Python: takes documents out of a queue, and answers how often each word occurs in them.

`worker.cpp` is the same in C++; they compete for the same documents, and nobody can tell who counted.
"""

from __future__ import annotations

import os
import re
from collections import Counter

import axonic

AT_ONCE = 8  # documents that a worker takes at a time


def words(text: bytes) -> bytes:
    """Answer the words of a text in order, a line with its number for each."""
    counts = Counter(re.findall(rb"[a-z]+", text.lower()))
    return b"".join(b"%s %d\n" % counted for counted in sorted(counts.items()))


def work(queue: axonic.Queue[bytes]) -> None:
    """Count until told to stop."""
    while True:
        for job in queue.get_many(AT_ONCE):
            if job.attributes["type"] == "stop":
                job.ack()
                return  # what else we took goes to the others
            job.ack(b"Python %d %d\n" % (os.getpid(), job.attempt) + words(job.data))


if __name__ == "__main__":
    with axonic.open(label="worker") as ax, ax.queue("documents") as documents:
        work(documents)
