"""What the Python peer does with queues."""

from __future__ import annotations

import itertools
import time

from pattern import fill

import axonic

PATIENCE = 20
# A worker that got nothing for so long is done.
IDLE = 1
# Every second message is taken for this long only.
LEASE = 2


def message(k: int, size: int) -> bytes:
    """Its number, then bytes as in topics: one in three is in its slot, one in some parts and one in many."""
    data = bytearray(size * (1, 10, 300)[k % 3])
    fill(memoryview(data), k)
    data[:8] = k.to_bytes(8, "little")
    return bytes(data)


def number_in(data: bytes) -> int:
    """The number of a message, every byte of which must be as it should be."""
    k = int.from_bytes(data[:8], "little")
    wanted = bytearray(len(data))
    fill(memoryview(wanted), k)
    if len(data) < 8 or wanted[8:] != data[8:]:
        raise ValueError(f"message {k} of {len(data)} bytes is torn")
    return k


def put(domain: str, queue: str, first: str, count: str, size: str) -> int:
    with axonic.open(domain) as ax:
        to = ax.queue(queue)
        for k in range(int(first), int(first) + int(count)):
            to.put(message(k, int(size)), priority=k % 3, timeout=PATIENCE)
            print(f"put {k}", flush=True)
    print(f"sent {count}")
    return 0


def settle(job: axonic.Job[object]) -> None:
    """Gives some back once, rejects others, acknowledges the rest, and tells."""
    k, attempt = number_in(job.data), job.attempt
    print(f"take {k} {attempt}", flush=True)
    try:
        if attempt == 1 and k % 5 == 3:
            outcome = "back"
            job.nack()
        elif k % 11 == 7:
            outcome = "dead"
            job.reject("as agreed")
        else:
            outcome = "ack"
            job.ack()
    except axonic.LeaseLostError:
        outcome = "lost"
    print(f"{outcome} {k}", flush=True)


def work(domain: str, queue: str) -> int:
    with axonic.open(domain) as ax:
        source = ax.queue(queue)
        for done in itertools.count():
            try:
                job = source.get(timeout=IDLE, lease=LEASE if done % 2 == 1 else None)
            except axonic.TimeoutError:
                print(f"done {done}")
                break
            settle(job)
    return 0


def ask(domain: str, queue: str, count: str) -> int:
    with axonic.open(domain) as ax:
        to = ax.queue(queue)
        asked = [message(k, 64) for k in range(int(count))]
        tickets = [to.put(data, result=True, timeout=PATIENCE) for data in asked]
        for k, (data, ticket) in enumerate(zip(asked, tickets, strict=True)):
            if ticket.result(timeout=PATIENCE) != data[::-1]:
                print(f"bad result of message {k}: it is not its reverse")
                return 1
    print(f"asked {count}")
    return 0


def answer(domain: str, queue: str, count: str) -> int:
    with axonic.open(domain) as ax:
        source = ax.queue(queue)
        for _ in range(int(count)):
            with source.get(timeout=PATIENCE) as job:
                number_in(job.data)
                job.ack(job.data[::-1])
    print(f"answered {count}")
    return 0


def keep(domain: str, queue: str, count: str) -> int:
    with axonic.open(domain) as ax:
        to = ax.queue(queue, durable=True, fsync="never")
        for k in range(int(count)):
            to.put(message(k, 64), durable=True, timeout=PATIENCE)
        print(f"kept {count}", flush=True)
        time.sleep(PATIENCE)
    return 0


def hurry(domain: str, queue: str) -> int:
    with axonic.open(domain) as ax:
        try:
            ax.queue(queue, durable=True, fsync="never").put(message(0, 64), durable=True, timeout=0.01)
            print("nothing")
        except axonic.AxonicError as error:
            print(error.kind, flush=True)
    return 0


def spend(domain: str, queue: str, count: str) -> int:
    with axonic.open(domain) as ax:
        source = ax.queue(queue, durable=True, fsync="never")
        # All are taken before one is given back.
        taken = [source.get(timeout=PATIENCE, durable=True) for _ in range(int(count))]
        for job in taken:
            if number_in(job.data) % 2 == 0:
                job.ack()
            else:
                job.nack()
    print(f"spent {count}")
    return 0
