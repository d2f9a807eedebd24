"""What the asyncio peer does with services and calls."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from channels import made
from jobs import PATIENCE
from locks import must

import axonic
from axonic import aio
from calls import (
    ITEM,
    ITEMS,
    LIMIT,
    MOMENT,
    PARAMS,
    SIZES,
    TRACE,
    Naps,
    Sum,
    checked,
    naps_of,
    pure_methods,
    tell,
    tell_addresses,
    tell_failure,
)


async def serve(domain: str, name: str, *addresses: str) -> None:
    async with aio.open(domain) as ax:
        service = ax.service(name, "1.2.0")
        naps = Naps()
        for method in pure_methods():
            service.method(method)

        @service.method
        async def nap(ctx: axonic.Context) -> None:
            naps.begin(ctx)
            try:
                await asyncio.sleep(PATIENCE)
            finally:
                naps.over += 1

        service.method(naps_of(naps))

        @service.method
        async def total(numbers: AsyncIterator[bytes]) -> bytes:
            heard = Sum()
            async for item in numbers:
                heard.add(item)
            return str(heard).encode()

        seen = asyncio.Event()

        @service.method
        async def work(ctx: axonic.Context) -> bytes:
            ctx.progress(0.5, "half")
            await seen.wait()
            seen.clear()
            return b"worked"

        @service.method
        def go() -> None:
            seen.set()

        tell_addresses(addresses, [await service.listen(address) for address in addresses])
        await service.serve()


async def failure(call: Awaitable[object]) -> axonic.AxonicError:
    try:
        await call
    except axonic.AxonicError as error:
        return error
    raise ValueError("not so: a call that has to fail does so")


class Way:
    """One way to the service."""

    def __init__(self, ax: aio.Domain, service: str, address: str) -> None:
        self.client = ax.client(service, "^1.2", address=None if address == "-" else address)

    async def call(self, method: str, params: Any, timeout: float = PATIENCE, **how: Any) -> Any:
        return await self.client.call(method, params, timeout=timeout, **how)

    async def naps(self) -> tuple[int, int, int]:
        begun, over, given = map(int, (await self.call("naps", b"")).split())
        return begun, over, given

    async def until(self, begun: int, over: int) -> int:
        end = time.monotonic() + PATIENCE
        while True:
            seen = await self.naps()
            if seen[0] >= begun and seen[1] >= over:
                return seen[2]
            must(time.monotonic() < end, "naps begin and end in time")
            await asyncio.sleep(MOMENT)

    async def reverse(self) -> None:
        calls = (self.call("reverse", made(k, size)) for k, size in enumerate(SIZES))
        results = await asyncio.gather(*calls)
        total = sum(checked(results[k][::-1], k, size) for k, size in enumerate(SIZES))
        print("reversed", total & 0xFFFFFFFF, flush=True)

    async def fail(self) -> None:
        tell_failure(await failure(self.call("fail", {})))
        tell("unknown", await failure(self.call("nonsense", {})))

    async def nap(self) -> None:
        begun, over, _ = await self.naps()
        tell("late", await failure(self.call("nap", {}, timeout=LIMIT)))
        print("given", await self.until(begun + 1, over + 1), flush=True)
        task = asyncio.create_task(self.client.call("nap", {}))
        await self.until(begun + 2, over + 1)
        task.cancel()
        print("cancelled", await self.until(begun + 2, over + 2), flush=True)

    async def stream(self) -> None:
        heard = Sum()
        async for item in self.client.stream("items", str(ITEMS).encode(), timeout=PATIENCE):
            heard.add(item)
        print("streamed", heard, flush=True)
        items = (made(k, ITEM) for k in range(ITEMS))
        print("total", (await self.call("total", {}, input=items)).decode(), flush=True)

    async def work(self) -> None:
        call = await self.client.start("work", {}, timeout=PATIENCE)
        end = time.monotonic() + PATIENCE
        while (progress := call.progress) is None:
            must(time.monotonic() < end, "progress is told in time")
            await asyncio.sleep(MOMENT)
        await self.call("go", b"")
        print("progress", *progress, (await call.result(PATIENCE)).decode(), flush=True)

    async def trace(self) -> None:
        token = axonic.traceparent.set(TRACE)
        print("trace", (await self.call("trace", {})).decode(), flush=True)
        axonic.traceparent.reset(token)

    async def talk(self) -> None:
        await self.reverse()
        print("described", json.dumps(await self.call("describe", PARAMS)), flush=True)
        await self.fail()
        await self.nap()
        await self.stream()
        await self.work()
        await self.trace()


async def call(domain: str, service: str, *addresses: str) -> None:
    async with aio.open(domain) as ax:
        ways = [Way(ax, service, address) for address in addresses]
        for way in ways:
            await way.talk()
        nobody = ax.client("nobody")
        tell("absent", await failure(nobody.call("reverse", b"", timeout=PATIENCE)))
        begun, over, _ = await ways[0].naps()
        calls = [await way.client.start("nap", {}) for way in ways]
        await ways[0].until(begun + len(calls), over)
        print("napping", flush=True)
        for one in calls:
            tell("gone", await failure(one.result(PATIENCE)))
