"""The subject axonic-python: the calls a user who wants speed makes, each written out where it is timed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Literal

from common import MIB, Effort, Meeting, asked, clock, pair, rates, receive, receive_parts, tell, warm

import axonic

Wait = Literal["adaptive", "spin", "block"]

_NUMBER = itertools.count()
_BATCH = 64


def _name() -> str:
    return f"py-{os.getpid()}-{next(_NUMBER)}"


class _Ends:
    """What one process sends by and receives by, once the other has its ends too."""

    def __init__(self, name: str, send: str, take: str, wait: Wait, meeting: Meeting) -> None:
        self.domain = axonic.open(name)
        self.input = self.domain.subscriber(take, wait=wait)
        self.output = self.domain.publisher(send, wait=wait)
        meeting.here(1)
        self.output.wait_for_subscribers(1)


def round_trips(n: int, size: int, wait: Wait) -> None:
    """There and back, copied in and out at each end."""
    name, meeting = _name(), Meeting()

    def echo() -> None:
        ends = _Ends(name, "pong", "ping", wait, meeting)
        publish, receive = ends.output.publish, ends.input.receive
        for _ in range(warm(n) + n):
            publish(receive().data)
        meeting.here(2)

    def drive() -> None:
        ends = _Ends(name, "ping", "pong", wait, meeting)
        publish, receive = ends.output.publish, ends.input.receive
        message = bytes(size)
        nanos: list[float] = []
        for _ in range(warm(n) + n):
            started = clock()
            publish(message)
            _ = receive().data
            nanos.append(clock() - started)
        tell(size, "latency", "ns", nanos[warm(n) :])
        meeting.here(2)

    pair(echo, drive)


def loan_borrow(n: int) -> None:
    """Half a round trip of a lent and borrowed megabyte of which one line is written and read."""
    name, meeting = _name(), Meeting()
    lines = [bytes([value]) * 64 for value in range(256)]

    def echo() -> None:
        ends = _Ends(name, "pong", "ping", "spin", meeting)
        for _ in range(warm(n) + n):
            with ends.input.borrow() as sample:
                value = sample.data[0]
            with ends.output.loan(MIB) as view:
                view[:64] = lines[value]
        meeting.here(2)

    def drive() -> None:
        ends = _Ends(name, "ping", "pong", "spin", meeting)
        nanos: list[float] = []
        for i in range(warm(n) + n):
            started = clock()
            with ends.output.loan(MIB) as view:
                view[:64] = lines[i % 256]
            with ends.input.borrow() as sample:
                value = sample.data[0]
            nanos.append((clock() - started) / 2)
            if value != i % 256:
                raise RuntimeError("not the message that was sent")
        tell(MIB, "latency", "ns", nanos[warm(n) :])
        meeting.here(2)

    pair(echo, drive)


def throughput(effort: Effort, size: int, many: bool) -> None:
    """None lost; `many` messages per call at both ends, or one."""
    name, meeting, stream = _name(), Meeting(), effort.stream(size)
    batches = stream.all // _BATCH + 1

    def produce() -> None:
        with axonic.open(name) as domain:
            output = domain.publisher("data", overflow="block", wait="spin", max_bytes=16 * MIB)
            meeting.here(1)
            output.wait_for_subscribers(1)
            message = bytes(size)
            if many:
                batch = [message] * _BATCH
                publish_many = output.publish_many
                for _ in range(batches):
                    publish_many(batch)
            else:
                publish = output.publish
                for _ in range(stream.all):
                    publish(message)
            meeting.here(2)

    def take_many(input: axonic.Subscriber[bytes]) -> Callable[[int], None]:
        receive_many = input.receive_many

        def take(count: int) -> None:
            taken = 0
            while taken < count:
                messages = receive_many(min(1024, count - taken))
                for message in messages:
                    _ = message.data
                taken += len(messages)

        return take

    def take_singly(input: axonic.Subscriber[bytes]) -> Callable[[int], None]:
        receive = input.receive

        def take(count: int) -> None:
            for _ in range(count):
                _ = receive().data

        return take

    def consume() -> None:
        with axonic.open(name) as domain:
            input = domain.subscriber("data", wait="spin")
            meeting.here(1)
            total = batches * _BATCH if many else stream.all
            rate = receive_parts(stream, total, (take_many if many else take_singly)(input))
            rates(size, rate, "rate" if many or size > 2048 else "rate_singly")
            meeting.here(2)

    pair(produce, consume)


def ring(effort: Effort, size: int) -> None:
    """Through a bare ring, by copy."""
    name, meeting, stream = _name(), Meeting(), effort.stream(size)

    def produce() -> None:
        with axonic.open(name) as domain:
            push = domain.ring_producer("ring", wait="spin").push
            message = bytes(size)
            meeting.here(1)
            for _ in range(stream.all):
                push(message)
            meeting.here(2)

    def consume() -> None:
        with axonic.open(name) as domain:
            pop = domain.ring_consumer("ring", wait="spin").pop
            meeting.here(1)

            def take(count: int) -> None:
                for _ in range(count):
                    pop()

            rates(size, receive_parts(stream, stream.all, take))
            meeting.here(2)

    pair(produce, consume)


def queue(effort: Effort, size: int, many: bool, durable: bool = False) -> None:
    """Jobs put, taken and acknowledged; `many` per call where a call takes them, or one."""
    name, meeting, stream = _name(), Meeting(), effort.stream(size)
    batches = stream.all // _BATCH + 1

    def opened(domain: axonic.Domain) -> axonic.Queue[bytes]:
        return domain.queue("jobs", durable=durable, fsync="never", wait="spin")

    def produce() -> None:
        with axonic.open(name) as domain:
            jobs = opened(domain)
            message = bytes(size)
            meeting.here(1)
            if many:
                batch = [message] * _BATCH
                put_many = jobs.put_many
                for _ in range(batches):
                    put_many(batch)
            else:
                put = jobs.put
                for _ in range(stream.all):
                    put(message)
            meeting.here(2)

    def take_many(jobs: axonic.Queue[bytes]) -> Callable[[int], None]:
        get_many = jobs.get_many

        def take(count: int) -> None:
            taken = 0
            while taken < count:
                some = get_many(min(1024, count - taken))
                for job in some:
                    _ = job.data
                    job.ack()
                taken += len(some)

        return take

    def take_singly(jobs: axonic.Queue[bytes]) -> Callable[[int], None]:
        get = jobs.get

        def take(count: int) -> None:
            for _ in range(count):
                job = get()
                _ = job.data
                job.ack()

        return take

    def consume() -> None:
        with axonic.open(name) as domain:
            jobs = opened(domain)
            meeting.here(1)
            total = batches * _BATCH if many else stream.all
            rate = receive_parts(stream, total, (take_many if many else take_singly)(jobs))
            rates(size, rate, "rate" if many else "rate_singly")
            meeting.here(2)

    pair(produce, consume)


def sync_each(effort: Effort) -> None:
    """One job after the other is put and is on the disk."""
    os.sched_setaffinity(0, {0, 1})
    with axonic.open(_name()) as domain:
        jobs = domain.queue("jobs", durable=True)
        message = bytes(256)
        rates(256, receive(effort.syncs(), lambda: jobs.put(message)))


def opens() -> None:
    """A new domain, a publisher, one publish."""
    os.sched_setaffinity(0, {0})
    nanos: list[float] = []
    for _ in range(20):
        name = _name()
        started = clock()
        domain = axonic.open(name)
        domain.publisher("first").publish(bytes(64))
        nanos.append(clock() - started)
        domain.close()
    tell(64, "latency", "ns", nanos)


def calls(effort: Effort) -> None:
    """What a call costs with nobody at the other end."""
    os.sched_setaffinity(0, {0})
    with axonic.open(_name()) as domain:
        output, input = domain.publisher("alone"), domain.subscriber("silent")
        message = bytes(64)
        publish, try_receive = output.publish, input.try_receive

        def batch(call: Callable[[], object]) -> list[float]:
            return [_mean(call) for _ in range(effort.exchanges // 100)]

        tell(64, "publish", "ns", batch(lambda: publish(message)))
        tell(64, "try_receive", "ns", batch(try_receive))


def _mean(call: Callable[[], object]) -> float:
    started = clock()
    for _ in range(1000):
        call()
    return (clock() - started) / 1000


def main() -> None:
    _, case, effort = asked()
    match case:
        case "round_trip_spin":
            round_trips(effort.spinning(64), 64, "spin")
        case "round_trip_blocking":
            round_trips(effort.sleeping(), 64, "block")
        case "round_trip_adaptive":
            round_trips(effort.spinning(64), 64, "adaptive")
        case "throughput":
            throughput(effort, 64, many=True)
            throughput(effort, 64, many=False)
            throughput(effort, 65536, many=False)
        case "loan_borrow":
            loan_borrow(effort.spinning(MIB))
        case "ring":
            ring(effort, 64)
            ring(effort, 4096)
        case "queue":
            queue(effort, 64, many=True)
            queue(effort, 64, many=False)
        case "durable_unsynced":
            queue(effort, 256, many=True, durable=True)
            queue(effort, 256, many=False, durable=True)
        case "durable_sync_each":
            sync_each(effort)
        case "open_and_first_publish":
            opens()
        case "binding_call":
            calls(effort)


main()
