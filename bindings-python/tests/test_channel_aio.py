"""Channels in an event loop: what waits for room."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import axonic
from axonic.aio import Channel, Domain
from test_aio import run
from test_channel import BACKWARDS, address_of

transports = pytest.mark.parametrize("transport", ["shm", "inproc", "unix", "tcp"])


def with_pair(transport: str, place: Path, main: Callable[[Channel, Channel], Awaitable[None]]) -> None:
    """Runs `main` with both ends of a channel."""

    async def opened(ax: Domain) -> None:
        async with ax.listen(address_of(transport, place)) as listener:
            here, there = await asyncio.gather(ax.connect(listener.address, timeout=10), listener.accept(10))
        async with here, there:
            await main(here, there)

    run(opened)


@transports
def test_many_go_out_as_there_is_room(transport: str, tmp_path: Path) -> None:
    messages = [n.to_bytes(4, "little") * 256 for n in range(8000)]

    async def main(here: Channel, there: Channel) -> None:
        sending = asyncio.create_task(here.send_many(iter(messages)))
        await asyncio.sleep(0.05)
        assert not sending.done(), "there is not room for all"
        assert [(await there.receive(timeout=10)).data for _ in messages] == messages
        assert await sending == len(messages)

    with_pair(transport, tmp_path, main)


@transports
def test_many_are_counted_when_the_time_is_over(transport: str, tmp_path: Path) -> None:
    async def main(here: Channel, there: Channel) -> None:
        sent = await here.send_many([b"x" * 1024] * 20_000, timeout=0.1)
        assert 0 < sent < 20_000
        with pytest.raises(axonic.TimeoutError, match="no room"):
            await here.send_many([b"y" * 1024], timeout=0.05)
        # Of the last one a part may have gone out.
        flushing = asyncio.create_task(here.flush(timeout=10))
        for _ in range(sent):
            assert (await there.receive(timeout=10)).data == b"x" * 1024
        await flushing
        assert await here.send_many([b"z"]) == 1
        assert (await there.receive(timeout=10)).data == b"z"

    with_pair(transport, tmp_path, main)


def test_an_end_is_said_as_soon_as_there_is_room(tmp_path: Path) -> None:
    async def main(here: Channel, there: Channel) -> None:
        here.try_send(bytes(8 << 20))
        with pytest.raises(axonic.TimeoutError, match="not all is sent"):
            await here.finish(timeout=0.05)
        with pytest.raises(axonic.TimeoutError, match="no room"):
            await asyncio.to_thread(here.sync.finish, 0.05)
        finishing = asyncio.create_task(here.finish(timeout=10))
        assert len((await there.receive(timeout=10)).data) == 8 << 20
        await finishing
        with pytest.raises(axonic.DisconnectedError):
            await there.receive(timeout=10)

    with_pair("unix", tmp_path, main)


def test_what_is_left_of_a_large_one_is_waited_for_as_long_as_its_time(tmp_path: Path) -> None:
    async def main(here: Channel, there: Channel) -> None:
        began = time.monotonic()
        await here.send(bytes(8 << 20), timeout=0.1)
        assert time.monotonic() - began < 5
        receiving = asyncio.create_task(there.receive(timeout=10))
        await here.send(b"next")
        assert len((await receiving).data) == 8 << 20
        assert (await there.receive(timeout=10)).data == b"next"

    with_pair("unix", tmp_path, main)


@transports
def test_descriptors_are_passed_where_the_transport_can(transport: str, tmp_path: Path) -> None:
    async def main(here: Channel, there: Channel) -> None:
        with (tmp_path / "file").open("w+") as file:
            if not here.can.descriptors:
                with pytest.raises(axonic.UnsupportedError, match="descriptors"):
                    await here.send(b"x", descriptors=[file])
                return
            await here.send(b"one", descriptors=[file])
            here.try_send(b"two", descriptors=iter([file, file.fileno()]))
        for count in (1, 2):
            message = await there.receive(timeout=10)
            assert len(message.descriptors) == count
            os.write(message.descriptors[0], b"here")
        assert (tmp_path / "file").read_bytes() == b"herehere"

    with_pair(transport, tmp_path, main)


def test_pipes_to_a_child() -> None:
    async def main(ax: Domain) -> None:
        channel, child = ax.pipe()
        async with channel:
            with child:
                started = [sys.executable, "-c", textwrap.dedent(BACKWARDS), child.address]
                process = await asyncio.create_subprocess_exec(*started, pass_fds=child.descriptors)
            await channel.send(b"there", timeout=10)
            assert (await channel.receive(timeout=10)).data == b"ereht"
            await channel.finish()
            async for _ in channel:
                raise AssertionError("nothing more is sent")
            assert await process.wait() == 0

    run(main)
