"""What the asyncio peer does with channels."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable

from channels import LAST, MANY, SMALL, Ear, in_file, made
from jobs import PATIENCE
from locks import must

import axonic
from axonic import aio


class End:
    def __init__(self, channel: aio.Channel, speaks_first: bool) -> None:
        self.channel = channel
        self.ear = Ear(channel.can, channel.max_message, speaks_first)

    async def in_turns(self, say: Callable[[], Awaitable[None]], hear: Callable[[], Awaitable[None]]) -> None:
        for turn in (say, hear) if self.ear.speaks_first else (hear, say):
            await turn()

    async def say(self, k: int, size: int) -> None:
        await self.channel.send(made(k + self.ear.ours, size), timeout=PATIENCE)

    async def take(self, size: int) -> bytes:
        taken = (await self.channel.receive(timeout=PATIENCE)).data
        while not self.ear.can.messages and len(taken) < size:
            taken += (await self.channel.receive(timeout=PATIENCE)).data
        return taken

    async def hear(self, k: int, size: int) -> None:
        self.ear.verify(await self.take(size), k, size)

    async def exchange(self, k: int, size: int) -> None:
        await self.in_turns(lambda: self.say(k, size), lambda: self.hear(k, size))

    async def say_many(self) -> None:
        messages = self.ear.many()
        must(await self.channel.send_many(messages, timeout=PATIENCE) == len(messages), "all are sent")

    async def hear_many(self) -> None:
        if not self.ear.can.messages:
            self.ear.verify_many(await self.take(self.ear.count * SMALL))
            return
        for n in range(self.ear.count):
            await self.hear(MANY + n, SMALL)

    async def give(self, path: str) -> None:
        with open(path) as file:
            await self.channel.send(b"file", timeout=PATIENCE, descriptors=[file])

    async def tell_file(self) -> None:
        message = await self.channel.receive(timeout=PATIENCE)
        must(message.data == b"file", "a descriptor comes with the message")
        print("descriptor", in_file(os.dup(file) for file in message.descriptors), flush=True)

    async def expect_end(self) -> None:
        try:
            await self.channel.receive(timeout=PATIENCE)
        except axonic.DisconnectedError:
            return
        must(False, "there is no message after the last")

    async def end(self) -> None:
        can, speaks_first = self.ear.can, self.ear.speaks_first
        if not can.end or (speaks_first and not can.half_close):
            return
        if speaks_first:
            await self.channel.finish()
            await self.hear(LAST, SMALL)
        await self.expect_end()
        if not speaks_first and can.half_close:
            await self.say(LAST, SMALL)
            await self.channel.finish()
        print("ended", flush=True)

    async def talk(self, file: str) -> None:
        self.ear.tell()
        for k, size in self.ear.sizes():
            await self.exchange(k, size)
        self.ear.tell_sum("sizes")
        if self.ear.can.credentials:
            print("peer", self.channel.peer.pid, flush=True)
        await self.in_turns(self.say_many, self.hear_many)
        self.ear.tell_sum("many", self.ear.count)
        if self.ear.can.descriptors:
            await self.in_turns(lambda: self.give(file), self.tell_file)
        await self.end()
        self.channel.close()


async def use(ends: AsyncIterator[End], talks: int, file: str) -> None:
    for _ in range(talks):
        await (await anext(ends)).talk(file)
    held = [end async for end in ends]
    for end in held:
        await end.exchange(0, SMALL)
    print("holding", flush=True)
    for end in held:
        await end.expect_end()
    print("gone", len(held))


async def listen(domain: str, file: str, talks: str, *addresses: str) -> None:
    async with aio.open(domain) as ax:
        doors: list[aio.Channel | aio.Listener] = []
        for address in addresses:
            # Pipes are there already.
            doors.append(await ax.connect(address) if address.startswith("pipe:") else ax.listen(address))
            print("at", doors[-1].address, flush=True)

        async def accepted() -> AsyncIterator[End]:
            for door in doors:
                if isinstance(door, aio.Channel):
                    yield End(door, False)
                    continue
                channel = await door.accept(timeout=PATIENCE)
                door.close()
                yield End(channel, False)

        await use(accepted(), int(talks), file)


async def connect(domain: str, file: str, talks: str, *addresses: str) -> None:
    async with aio.open(domain) as ax:

        async def connected() -> AsyncIterator[End]:
            for address in addresses:
                yield End(await ax.connect(address, timeout=PATIENCE), True)

        await use(connected(), int(talks), file)
