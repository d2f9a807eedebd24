"""A conversation in which everything that queues can do occurs once."""

from __future__ import annotations

import time
from collections.abc import Iterable

from jobs import PATIENCE, message, number_in
from locks import must

import axonic

SIZE = 64
HOUR = 3600
SOON = 0.1
# What its consumer says of message 3 while it has it.
HALF = 0.5


def bring(domain: str, queue: str) -> int:
    with axonic.open(domain) as ax:
        to = ax.queue(queue)
        first = [message(k, SIZE) for k in range(3)]
        to.put_many(first, timeout=PATIENCE)
        ticket = to.put(message(3, SIZE), priority=2, result=True, timeout=PATIENCE)
        to.put(message(4, SIZE), ttl=0.001, timeout=PATIENCE)
        put = [to.put(message(k, SIZE), dedup_id="once", timeout=PATIENCE) for k in (5, 9)]
        to.put(message(6, SIZE), delay=HOUR, timeout=PATIENCE)
        to.put(message(7, SIZE), delay=SOON, timeout=PATIENCE)
        print("brought", len(first), *(int(not new) for new in put), flush=True)
        until = time.monotonic() + PATIENCE
        while ticket.progress != HALF and time.monotonic() < until:
            time.sleep(0.001)
        to.put(message(8, SIZE), priority=7, timeout=PATIENCE)
        must(ticket.result(timeout=PATIENCE) == message(3, SIZE)[::-1], "the result is the message's reverse")
    print("answered")
    return 0


def checked(job: axonic.Job[object], k: int, attempt: int) -> axonic.Job[object]:
    """A message, which must be this one, delivered for the n-th time."""
    told = (number_in(job.data), job.attempt)
    must(told == (k, attempt), f"message {k} is next for time {attempt}, it is {told}")
    return job


def tell(what: str, seen: Iterable[axonic.Job[object] | axonic.Peeked[object]]) -> None:
    print(what, *(number_in(one.data) for one in seen))


def tell_dead(letters: Iterable[axonic.Peeked[object]]) -> None:
    lines = [f"dead {number_in(letter.data)} {letter.reason} '{letter.reason_text}'" for letter in letters]
    print("\n".join(sorted(lines)))


def tell_stats(stats: axonic.QueueStats) -> None:
    print("stats", stats.ready, stats.delayed, stats.leased, stats.dead, stats.put)


def fetch(domain: str, queue: str) -> int:
    with axonic.open(domain) as ax:
        source = ax.queue(queue)

        def take(k: int, attempt: int) -> axonic.Job[object]:
            return checked(source.get(timeout=PATIENCE), k, attempt)

        tell("peek", source.peek(5))
        asked, first, late = source.get_many(3, timeout=PATIENCE, lease=PATIENCE)
        tell("many", (asked, first, late))
        first.ack()
        two = source.get_many(2, timeout=PATIENCE)
        tell("many", two)
        for job in two:
            job.ack()
        take(7, 1).ack()
        late.extend(SOON)
        again, given = take(1, 2), time.monotonic()
        again.nack(SOON)
        take(1, 3).reject("as agreed")
        must(time.monotonic() - given >= SOON, "what is given back for later comes later")
        asked.progress(HALF)
        take(8, 1).ack()
        tell_dead(source.dead_letters(9))
        print("redriven", source.redrive(9))
        take(1, 1).ack()
        take(4, 1).reject()
        tell_stats(source.stats())
        print("purged", source.purge(), source.purge(dead=True))
        asked.ack(asked.data[::-1])
    print("fetched")
    return 0
