"""Peers that go through sockets and pipes: pyzmq over ipc:// (PAIR, PUSH, PULL, for calls REQ and REP) and
multiprocessing."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import os
from typing import Any

from common import (
    Effort,
    Meeting,
    answers,
    asked,
    clock,
    exchanges,
    folder,
    pair,
    produce,
    rates,
    receive,
    skip,
    tell,
    warm,
)

SIZE = 64


class Zmq:
    """pyzmq; each half has a context of its own, made after the fork."""

    def __init__(self) -> None:
        self.endpoint = f"ipc://{folder()}/pyzmq-{os.getpid()}"

    def blocking(self, n: int, asks: str = "PAIR", replies: str = "PAIR") -> None:
        import zmq

        meeting = Meeting()

        def echo() -> None:
            socket = zmq.Context().socket(getattr(zmq, replies))
            socket.bind(self.endpoint)
            meeting.here(1)
            answers(n, socket.send, socket.recv)
            meeting.here(2)

        def drive() -> None:
            meeting.here(1)
            socket = zmq.Context().socket(getattr(zmq, asks))
            socket.connect(self.endpoint)
            tell(SIZE, "latency", "ns", exchanges(n, bytes(SIZE), socket.send, socket.recv))
            meeting.here(2)

        pair(echo, drive)

    def calls(self, n: int) -> None:
        self.blocking(n, "REQ", "REP")

    def event_loop(self, n: int) -> None:
        import zmq
        import zmq.asyncio

        meeting = Meeting()

        async def echo() -> None:
            socket = zmq.asyncio.Context().socket(zmq.PAIR)
            socket.bind(self.endpoint)
            meeting.here(1)
            for _ in range(warm(n) + n):
                await socket.send(await socket.recv())
            meeting.here(2)

        async def drive() -> None:
            meeting.here(1)
            socket = zmq.asyncio.Context().socket(zmq.PAIR)
            socket.connect(self.endpoint)
            message, nanos = bytes(SIZE), []
            for _ in range(warm(n) + n):
                started = clock()
                await socket.send(message)
                await socket.recv()
                nanos.append(float(clock() - started))
            tell(SIZE, "latency", "ns", nanos[warm(n) :])
            meeting.here(2)

        pair(lambda: asyncio.run(echo()), lambda: asyncio.run(drive()))

    def throughput(self, effort: Effort, size: int) -> None:
        import zmq

        stream, meeting = effort.stream(size), Meeting()

        def push() -> None:
            meeting.here(1)
            socket = zmq.Context().socket(zmq.PUSH)
            socket.connect(self.endpoint)
            produce(stream, bytes(size), socket.send)
            meeting.here(2)

        def pull() -> None:
            socket = zmq.Context().socket(zmq.PULL)
            socket.bind(self.endpoint)
            meeting.here(1)
            rates(size, receive(stream, socket.recv))
            meeting.here(2)

        pair(push, pull)


class Multiprocessing:
    """A duplex `Pipe` and its byte messages, the fastest it has."""

    def blocking(self, n: int) -> None:
        here, there = multiprocessing.Pipe()
        pair(
            lambda: answers(n, there.send_bytes, there.recv_bytes),
            lambda: tell(SIZE, "latency", "ns", exchanges(n, bytes(SIZE), here.send_bytes, here.recv_bytes)),
        )

    def calls(self, n: int) -> None:
        """A listener and a client of `multiprocessing.connection`."""
        address, meeting = f"{folder()}/multiprocessing-{os.getpid()}", Meeting()

        def serve() -> None:
            with multiprocessing.connection.Listener(address, "AF_UNIX") as listener:
                meeting.here(1)
                with listener.accept() as there:
                    answers(n, there.send_bytes, there.recv_bytes)

        def drive() -> None:
            meeting.here(1)
            with multiprocessing.connection.Client(address, "AF_UNIX") as here:
                nanos = exchanges(n, bytes(SIZE), here.send_bytes, here.recv_bytes)
                tell(SIZE, "latency", "ns", nanos)

        pair(serve, drive)

    def throughput(self, effort: Effort, size: int) -> None:
        here, there = multiprocessing.Pipe()
        stream = effort.stream(size)
        pair(
            lambda: produce(stream, bytes(size), there.send_bytes),
            lambda: rates(size, receive(stream, here.recv_bytes)),
        )

    def queue(self, effort: Effort) -> None:
        """Its `Queue`, which has nothing to acknowledge."""
        queue: multiprocessing.Queue[bytes] = multiprocessing.Queue()
        stream, meeting = effort.stream(SIZE), Meeting()

        def put() -> None:
            produce(stream, bytes(SIZE), queue.put)
            meeting.here(1)

        def get() -> None:
            rates(SIZE, receive(stream, queue.get))
            meeting.here(1)

        pair(put, get)


def main() -> None:
    subject, case, effort = asked()
    if subject == "pyzmq":
        try:
            import zmq  # noqa: F401
        except ImportError as error:
            skip(str(error))
    of: Any = Zmq() if subject == "pyzmq" else Multiprocessing()
    match case:
        case "round_trip_blocking":
            of.blocking(effort.sleeping())
        case "round_trip_event_loop":
            of.event_loop(effort.sleeping())
        case "throughput":
            of.throughput(effort, 64)
            of.throughput(effort, 65536)
        case "queue":
            of.queue(effort)
        case "call_blocking":
            of.calls(effort.sleeping())


main()
