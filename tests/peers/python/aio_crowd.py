"""What the asyncio peer does in a crowd: see `crowd`."""

from __future__ import annotations

import asyncio
import itertools
import time

from crowd import DELAY, SIZE, judge, method_of, solve, tell
from jobs import message

import axonic
from axonic import aio


async def provide(domain: str, name: str) -> None:
    async with aio.open(domain) as ax:
        service = ax.service(name, "1.0.0")
        service.method(solve)

        @service.method
        async def delay(data: bytes) -> bytes:
            result = solve(data)
            await asyncio.sleep(DELAY)
            return result

        print("providing", flush=True)
        await service.serve()


async def consult(domain: str, name: str, first: str, milliseconds: str, together: str) -> None:
    numbers, end = itertools.count(int(first)), time.monotonic() + int(milliseconds) / 1000
    async with aio.open(domain) as ax:
        client = ax.client(name, "^1")

        async def ask() -> None:
            while time.monotonic() < end:
                k = next(numbers)
                method, limit = method_of(k)
                try:
                    outcome = judge(k, await client.call(method, message(k, SIZE), timeout=limit))
                except axonic.UnavailableError:
                    outcome = "gone"
                except axonic.TimeoutError:
                    outcome = "late"
                tell(outcome, k)

        await asyncio.gather(*(ask() for _ in range(int(together))))
    tell("consulted", next(numbers) - int(first))
