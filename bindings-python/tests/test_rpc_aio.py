"""Channels, services and clients in asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import axonic
import axonic.aio
from axonic.aio import Client, Domain, Service
from conftest import Script, finish
from test_aio import run
from test_channel import address_of
from test_rpc import json_rpc


def make(ax: Domain, **options: Any) -> Service:
    """A service with some methods."""
    svc = ax.service("shop", "1.2.0", **options)

    @svc.method
    async def echo(data: Any) -> Any:
        await asyncio.sleep(0)
        return data

    @svc.method
    def plain(a: int) -> int:
        return a + 1

    @svc.method
    async def count(up_to: int) -> AsyncIterator[int]:
        for n in range(up_to):
            yield n

    @svc.method
    def squares(up_to: int) -> Iterator[bytes]:
        for n in range(up_to):
            yield bytes(n * n)

    @svc.method
    async def total(numbers: AsyncIterator[int], start: int = 0) -> int:
        async for number in numbers:
            start += number
        return start

    @svc.method
    async def first(numbers: AsyncIterator[int]) -> int:
        return await anext(numbers)

    @svc.method
    async def double(numbers: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for number in numbers:
            yield number * 2

    @svc.method
    async def refuse() -> None:
        raise axonic.Status("ABORTED", "not now", reason="busy")

    @svc.method
    async def hasty(what: str) -> None:
        if what == "cancelled":
            waiting = asyncio.get_running_loop().create_future()
            waiting.cancel()
            await waiting
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)

    @svc.method
    async def about(ctx: axonic.Context) -> Any:
        ctx.progress(0.25, "on it")
        return ctx.traceparent

    return svc


@contextlib.asynccontextmanager
async def served(ax: Domain, svc: Service | None = None) -> AsyncIterator[tuple[Service, Client]]:
    svc = svc or make(ax)
    serving = asyncio.create_task(svc.serve())
    client = ax.client("shop", "^1.2")
    try:
        yield svc, client
    finally:
        client.close()
        svc.close()
        await serving


def test_calls() -> None:
    async def main(ax: Domain) -> None:
        async with served(ax) as (svc, client):
            assert await client.echo(b"raw", timeout=10) == b"raw"
            assert await client.echo(data=[1, {"x": None}]) == [1, {"x": None}]
            assert await client.plain(a=1) == 2
            large = bytes(range(256)) * 8000
            assert await client.call("echo", large, timeout=10) == large
            results = await asyncio.gather(*(client.plain(a=n) for n in range(300)))
            assert results == [n + 1 for n in range(300)]
            assert repr(client) == '<axonic.aio.Client of "shop" ^1.2 in "test">'
            assert repr(svc).startswith('<axonic.aio.Service "shop" 1.2.0')
            assert (svc.name, svc.version, svc.concurrency) == ("shop", "1.2.0", 64)
            call = await client.start("about")
            assert await call.result() is None
            assert repr(call).startswith('<axonic.aio.Call of "about"')

    run(main)


def test_failures() -> None:
    async def main(ax: Domain) -> None:
        client = ax.client("nobody")
        with pytest.raises(axonic.UnavailableError):
            await client.echo(b"x", timeout=5)
        async with served(ax) as (_, client):
            with pytest.raises(axonic.CallFailedError) as caught:
                await client.refuse()
            assert (caught.value.code, caught.value.reason) == ("ABORTED", "busy")
            with pytest.raises(axonic.TimeoutError) as late:
                await client.hasty(what="late")
            assert (late.value.code, late.value.reason) == ("DEADLINE_EXCEEDED", "TimeoutError")
            with pytest.raises(axonic.CancelledError) as cancelled:
                await client.hasty(what="cancelled")
            assert (cancelled.value.code, cancelled.value.reason) == ("CANCELLED", "CancelledError")
            with pytest.raises(axonic.CallFailedError) as caught:
                await client.missing()
            assert caught.value.code == "UNIMPLEMENTED"
            with pytest.raises(axonic.CallFailedError) as caught:
                await client.count(up_to=3)
            assert caught.value.reason == "stream"
            with pytest.raises(axonic.CallFailedError) as caught:
                await client.plain(b=3)
            assert caught.value.code == "INVALID_ARGUMENT"
            with pytest.raises(axonic.InvalidArgumentError):
                await client.plain(1, 2)

    run(main)


def test_streams_both_ways() -> None:
    async def main(ax: Domain) -> None:
        async def numbers(count: int) -> AsyncIterator[int]:
            for n in range(count):
                await asyncio.sleep(0)
                yield n

        async def endless() -> AsyncIterator[int]:
            n = 5
            while True:
                await asyncio.sleep(0)
                yield n
                n += 1

        async with served(ax) as (_, client):
            assert [n async for n in client.count.stream(up_to=2000)] == list(range(2000))
            assert [len(b) async for b in client.squares.stream(up_to=100)] == [n * n for n in range(100)]
            assert [n async for n in client.plain.stream(a=1)] == [2]
            assert [n async for n in client.count.stream(up_to=0)] == []
            assert await client.total(numbers(500), start=3, timeout=20) == sum(range(500)) + 3
            assert await client.total(iter(range(500)), timeout=20) == sum(range(500))
            assert await client.first(endless(), timeout=20) == 5
            items = [bytes(30_000)] * 100
            came = [len(item) async for item in client.double.stream(iter(items), timeout=20)]
            assert came == [60_000] * 100

            async def broken() -> AsyncIterator[int]:
                yield 1
                raise LookupError("no more")

            with pytest.raises(LookupError, match="no more"):
                await client.total(broken(), timeout=20)

    run(main)


def test_a_slow_taker_holds_a_stream_back() -> None:
    async def main(ax: Domain) -> None:
        sent = 0
        svc = ax.service("shop", "1.2.0")

        @svc.method
        async def flood() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1
                yield bytes(10_000)

        async with served(ax, svc) as (_, client):
            stream = client.flood.stream()
            await anext(stream)
            for _ in range(200):
                await asyncio.sleep(0)
            assert sent < 100
            before = sent
            for _ in range(100):
                await anext(stream)
            assert sent > before
            await stream.aclose()
            await until(lambda: svc.at_work == 0)

    run(main)


def test_a_fast_stream_lets_others_go_on() -> None:
    async def main(ax: Domain) -> None:
        svc = make(ax)
        made = 0

        @svc.method
        async def endless() -> AsyncIterator[int]:
            nonlocal made
            while True:
                made += 1
                yield 0

        async with served(ax, svc) as (_, client):
            items = client.endless.stream()
            assert await anext(items) == 0
            assert await client.plain(a=1, timeout=10) == 2
            # Of more than 200,000 that may be on their way.
            assert made < 20_000
            await items.aclose()

    run(main)


async def until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.002)


def test_handlers_are_tasks_cancelled_with_their_calls() -> None:
    async def main(ax: Domain) -> None:
        ended: list[str] = []
        svc = make(ax)

        @svc.method
        async def hang(name: str) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.append(name)
                raise

        async with served(ax, svc) as (svc, client):
            call = asyncio.create_task(client.hang(name="cancelled"))
            await until(lambda: svc.at_work == 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await until(lambda: ended == ["cancelled"])
            with pytest.raises(axonic.TimeoutError) as caught:
                await client.hang(name="late", timeout=0.05)
            assert caught.value.code == "DEADLINE_EXCEEDED"
            await until(lambda: ended == ["cancelled", "late"] and svc.at_work == 0)
            started = await client.start("hang", {"name": "given up"})
            with pytest.raises(axonic.TimeoutError, match="nothing came"):
                await started.result(timeout=0.01)
            await until(lambda: svc.at_work == 1)
            started.cancel()
            await until(lambda: len(ended) == 3)
            call = asyncio.create_task(client.hang(name="closed"))
            await until(lambda: svc.at_work == 1)
            svc.close()
            with pytest.raises(axonic.UnavailableError):
                await call
            await until(lambda: len(ended) == 4)

    run(main)


def test_no_more_than_its_concurrency_are_at_work() -> None:
    async def main(ax: Domain) -> None:
        now = most = 0
        svc = ax.service("shop", "1.2.0", concurrency=3)

        @svc.method
        async def work() -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.005)
            now -= 1

        async with served(ax, svc) as (_, client):
            await asyncio.gather(*(client.work(timeout=20) for _ in range(30)))
        assert most == 3

    run(main)


def test_a_trace_is_carried_on() -> None:
    async def main(ax: Domain) -> None:
        svc = make(ax)

        @svc.method
        async def ask() -> Any:
            return await client.about()

        async with served(ax, svc) as (_, client):
            trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            axonic.traceparent.set(trace)
            assert await client.ask() == trace

    run(main)


@pytest.mark.parametrize("transport", ["shm", "inproc", "unix", "tcp"])
def test_at_an_address_in_the_same_loop(transport: str, tmp_path: Path) -> None:
    async def main(ax: Domain) -> None:
        svc = make(ax)
        address = await svc.listen(address_of(transport, tmp_path))
        async with served(ax, svc), ax.client("shop", address=address) as client:
            assert await client.plain(a=1, timeout=10) == 2
            large = bytes(range(256)) * 8000
            echoes = await asyncio.gather(*(client.echo(large, timeout=20) for _ in range(5)))
            assert echoes == [large] * 5

    run(main)


def test_json_rpc_is_told_one_result_or_a_stream(tmp_path: Path) -> None:
    async def main(ax: Domain) -> None:
        svc = make(ax)
        address = await svc.listen(address_of("unix", tmp_path))
        async with served(ax, svc):
            assert await asyncio.to_thread(json_rpc, address, "plain", a=1) == 2
            for method, items in (("count", [0, 1]), ("squares", [None, "AA=="])):
                for n in (0, 1, 2):
                    assert await asyncio.to_thread(json_rpc, address, method, up_to=n) == items[:n]

    run(main)


CALLER = """
    import asyncio, axonic.aio

    async def main():
        async with axonic.aio.open("test") as ax:
            client = ax.client("shop", "^1.2")
            print(await asyncio.gather(*(client.plain(a=n, timeout=20) for n in range(5))))
            print("ready", flush=True)
            await client.echo(b"x")
            await client.hang()

    asyncio.run(main())
"""


def test_callers_in_other_processes(script: Script) -> None:
    async def main(ax: Domain) -> None:
        ended = asyncio.Event()
        svc = make(ax)

        @svc.method
        async def hang() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

        async with served(ax, svc):
            process = script(CALLER)
            await until(lambda: svc.at_work == 1 and len(svc._tasks) == 1 and process.poll() is None)
            while not any(task.get_coro() for task in svc._tasks.values()):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            process.kill()
            await asyncio.wait_for(ended.wait(), 10)
            assert process.stdout is not None
            assert process.stdout.readline() == "[1, 2, 3, 4, 5]\n"

    run(main)


def test_serving_ends_with_its_task() -> None:
    async def main(ax: Domain) -> None:
        svc = make(ax)
        serving = asyncio.create_task(svc.serve())
        client = ax.client("shop")
        assert await client.plain(a=1, timeout=10) == 2
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        serving = asyncio.create_task(svc.serve())
        assert await client.plain(a=2, timeout=10) == 3
        svc.close()
        await serving

    run(main)


@pytest.mark.parametrize("transport", ["shm", "inproc", "unix", "tcp"])
def test_channels(transport: str, tmp_path: Path) -> None:
    async def main(ax: Domain) -> None:
        listener = ax.listen(address_of(transport, tmp_path))
        assert repr(listener) == f'<axonic.aio.Listener "{listener.address}">'

        async def answer() -> None:
            async for channel in listener:
                async with channel:
                    async for message in channel:
                        await channel.send(message.data[::-1])
                    await channel.finish()

        answering = asyncio.create_task(answer())
        async with await ax.connect(listener.address, timeout=10) as channel:
            for n in range(100):
                await channel.send(b"%d" % n)
            large = bytes(3 << 20)
            sending = asyncio.create_task(channel.send(large))
            assert [(await channel.receive(timeout=10)).data for _ in range(100)] == [
                (b"%d" % n)[::-1] for n in range(100)
            ]
            assert (await channel.receive(timeout=10)).data == large
            await sending
            assert channel.try_receive() is None
            with pytest.raises(axonic.TimeoutError, match="no message"):
                await channel.receive(timeout=0.01)
            await channel.finish()
            assert [message async for message in channel] == []
            assert channel.stats().received_messages == 101
            assert channel.can.half_close
            assert bool(channel.peer.pid) == channel.can.credentials
            assert channel.address == listener.address
        listener.close()
        await answering

    run(main)


def test_a_channel_that_is_full_waits_in_the_loop() -> None:
    async def main(ax: Domain) -> None:
        listener = ax.listen("shm://test/l")
        accepting = asyncio.create_task(listener.accept(timeout=10))
        here = await ax.connect("shm://test/l", timeout=10)
        there = await accepting
        with pytest.raises(axonic.TimeoutError, match="no room"):
            while True:
                await here.send(bytes(10_000), timeout=0.02)
        sending = asyncio.create_task(here.send(last := bytes(10_001)))
        await asyncio.sleep(0.01)
        assert not sending.done()
        while (await there.receive(timeout=10)).data != last:
            pass
        await sending
        here.close()
        there.close()
        listener.close()

    run(main)


def test_sync_and_aio_meet(script: Script) -> None:
    async def main(ax: Domain) -> None:
        async with served(ax):
            process = script("""
                import axonic
                client = axonic.open("test").client("shop")
                print(client.plain(a=1, timeout=10), list(client.count.stream(up_to=3, timeout=10)))
            """)
            out = await asyncio.to_thread(finish, process)
            assert out == "2 [0, 1, 2]\n"

    run(main)


class Fickle:
    """A client all of whose providers go just when they are to be called."""

    def __init__(self, sync: axonic.Client) -> None:
        self._sync = sync
        self.tries = 0

    def _try_start(self, *call: Any) -> None:
        self.tries += 1

    def _connect(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sync, name)


def test_providers_that_come_and_go_are_unavailable() -> None:
    async def main(ax: Domain) -> None:
        client = ax.client("shop")
        fickle: Any = Fickle(client.sync)
        client.sync = fickle
        with pytest.raises(axonic.UnavailableError, match="come and go") as told:
            await client.call("plain", {"a": 1}, timeout=20)
        error: Any = told.value
        assert (error.code, error.retryable, error.kind) == ("UNAVAILABLE", True, "Unavailable")
        assert fickle.tries == 17

    run(main)
