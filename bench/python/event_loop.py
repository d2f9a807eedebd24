"""Round trips of two asyncio event loops: the subjects axonic-asyncio and unix-socket (asyncio's streams)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from common import Meeting, asked, clock, folder, pair, tell, warm

import axonic.aio

SIZE = 64


async def _drive(n: int, exchange: Callable[[], Awaitable[object]]) -> None:
    for _ in range(warm(n)):
        await exchange()
    nanos: list[float] = []
    for _ in range(n):
        started = clock()
        await exchange()
        nanos.append(clock() - started)
    tell(SIZE, "latency", "ns", nanos)


def topics(n: int) -> None:
    """Through two topics."""
    name, meeting = f"aio-{os.getpid()}", Meeting()

    async def echo() -> None:
        async with axonic.aio.open(name) as domain:
            input, output = domain.subscriber("ping"), domain.publisher("pong")
            meeting.here(1)
            await output.wait_for_subscribers(1)
            for _ in range(warm(n) + n):
                await output.publish((await input.receive()).data)
            meeting.here(2)

    async def drive() -> None:
        async with axonic.aio.open(name) as domain:
            input, output = domain.subscriber("pong"), domain.publisher("ping")
            meeting.here(1)
            await output.wait_for_subscribers(1)
            message = bytes(SIZE)

            async def exchange() -> bytes:
                await output.publish(message)
                return (await input.receive()).data

            await _drive(n, exchange)
            meeting.here(2)

    pair(lambda: asyncio.run(echo()), lambda: asyncio.run(drive()))


def streams(n: int) -> None:
    """Through a Unix socket and asyncio's streams."""
    path, meeting = f"{folder()}/aio-{os.getpid()}", Meeting()

    async def echo() -> None:
        done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(warm(n) + n):
                writer.write(await reader.readexactly(SIZE))
                await writer.drain()
            done.set()

        async with await asyncio.start_unix_server(serve, path):
            meeting.here(1)
            await done.wait()
            meeting.here(2)

    async def drive() -> None:
        meeting.here(1)
        reader, writer = await asyncio.open_unix_connection(path)
        message = bytes(SIZE)

        async def exchange() -> bytes:
            writer.write(message)
            await writer.drain()
            return await reader.readexactly(SIZE)

        await _drive(n, exchange)
        meeting.here(2)
        writer.close()

    pair(lambda: asyncio.run(echo()), lambda: asyncio.run(drive()))


def main() -> None:
    subject, _, effort = asked()
    (topics if subject == "axonic-asyncio" else streams)(effort.sleeping())


main()
