"""asyncio in the interop matrix: all that is awaited; argv and stdout are those of every language."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Callable, Coroutine

from aio_calls import call, serve
from aio_channels import connect, listen
from aio_crowd import consult, provide
from jobs import IDLE, LEASE, PATIENCE, message, number_in, settle
from locks import MOMENT, must, raised, tell_holders, tell_time
from locks import number_in as number_at
from talk import HALF, HOUR, SIZE, SOON, checked, tell, tell_dead, tell_stats

import axonic
from axonic import aio


async def put(domain: str, queue: str, first: str, count: str, size: str) -> None:
    async with aio.open(domain) as ax:
        to = ax.queue(queue)
        for k in range(int(first), int(first) + int(count)):
            await to.put(message(k, int(size)), priority=k % 3, timeout=PATIENCE)
            print(f"put {k}", flush=True)
    print(f"sent {count}")


async def work(domain: str, queue: str) -> None:
    async with aio.open(domain) as ax:
        source = ax.queue(queue)
        for done in itertools.count():
            try:
                job = await source.get(timeout=IDLE, lease=LEASE if done % 2 == 1 else None)
            except axonic.TimeoutError:
                print(f"done {done}")
                break
            settle(job)


async def ask(domain: str, queue: str, count: str) -> None:
    async with aio.open(domain) as ax:
        to = ax.queue(queue)
        asked = [message(k, 64) for k in range(int(count))]
        tickets = [await to.put(data, result=True, timeout=PATIENCE) for data in asked]
        results = await asyncio.gather(*(ticket.result(timeout=PATIENCE) for ticket in tickets))
    must(results == [data[::-1] for data in asked], "each result is the reverse of its message")
    print(f"asked {count}")


async def answer(domain: str, queue: str, count: str) -> None:
    async with aio.open(domain) as ax:
        source = ax.queue(queue)
        for _ in range(int(count)):
            async with await source.get(timeout=PATIENCE) as job:
                number_in(job.data)
                job.ack(job.data[::-1])
    print(f"answered {count}")


async def keep(domain: str, queue: str, count: str) -> None:
    async with aio.open(domain) as ax:
        to = ax.queue(queue, durable=True, fsync="never")
        for k in range(int(count)):
            await to.put(message(k, 64), durable=True, timeout=PATIENCE)
        print(f"kept {count}", flush=True)
        await asyncio.sleep(PATIENCE)


async def hurry(domain: str, queue: str) -> None:
    async with aio.open(domain) as ax:
        try:
            await ax.queue(queue, durable=True, fsync="never").put(message(0, 64), durable=True, timeout=0.01)
            print("nothing")
        except axonic.AxonicError as error:
            print(error.kind, flush=True)


async def spend(domain: str, queue: str, count: str) -> None:
    async with aio.open(domain) as ax:
        source = ax.queue(queue, durable=True, fsync="never")
        # All are taken before one is given back.
        taken = [await source.get(timeout=PATIENCE) for _ in range(int(count))]
        for job in taken:
            if number_in(job.data) % 2 == 0:
                job.ack()
            else:
                job.nack()
        await source.flush(PATIENCE)
    print(f"spent {count}")


async def bring(domain: str, queue: str) -> None:
    async with aio.open(domain) as ax:
        to = ax.queue(queue)
        first = [message(k, SIZE) for k in range(3)]
        await to.put_many(first, timeout=PATIENCE)
        ticket = await to.put(message(3, SIZE), priority=2, result=True, timeout=PATIENCE)
        await to.put(message(4, SIZE), ttl=0.001, timeout=PATIENCE)
        put = [await to.put(message(k, SIZE), dedup_id="once", timeout=PATIENCE) for k in (5, 9)]
        await to.put(message(6, SIZE), delay=HOUR, timeout=PATIENCE)
        await to.put(message(7, SIZE), delay=SOON, timeout=PATIENCE)
        print("brought", len(first), *(int(not new) for new in put), flush=True)
        async with asyncio.timeout(PATIENCE):
            while ticket.progress != HALF:
                await asyncio.sleep(0.001)
        await to.put(message(8, SIZE), priority=7, timeout=PATIENCE)
        result = await ticket.result(timeout=PATIENCE)
    must(result == message(3, SIZE)[::-1], "the result is the message's reverse")
    print("answered")


async def fetch(domain: str, queue: str) -> None:
    clock = asyncio.get_running_loop().time
    async with aio.open(domain) as ax:
        source = ax.queue(queue)

        async def take(k: int, attempt: int) -> axonic.Job[object]:
            return checked(await source.get(timeout=PATIENCE), k, attempt)

        tell("peek", source.peek(5))
        asked, first, late = await source.get_many(3, timeout=PATIENCE, lease=PATIENCE)
        tell("many", (asked, first, late))
        first.ack()
        two = await source.get_many(2, timeout=PATIENCE)
        tell("many", two)
        for job in two:
            job.ack()
        (await take(7, 1)).ack()
        late.extend(SOON)
        again, given = await take(1, 2), clock()
        again.nack(SOON)
        (await take(1, 3)).reject("as agreed")
        must(clock() - given >= SOON, "what is given back for later comes later")
        asked.progress(HALF)
        (await take(8, 1)).ack()
        tell_dead(source.dead_letters(9))
        print("redriven", source.redrive(9))
        (await take(1, 1)).ack()
        (await take(4, 1)).reject()
        tell_stats(source.stats())
        print("purged", source.purge(), source.purge(dead=True))
        asked.ack(asked.data[::-1])
    print("fetched")


async def count(domain: str, path: str, times: str) -> None:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    async with aio.open(domain) as ax:
        mutex = ax.mutex("count", timeout=PATIENCE)
        for _ in range(int(times)):
            async with mutex as held:
                if held.owner_died:
                    print("owner died", flush=True)
                print(raised(file), flush=True)
    print(f"counted {times}")


async def share(domain: str, path: str, times: str) -> None:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    async with aio.open(domain) as ax:
        page, seats = ax.rwlock("page"), ax.semaphore("seats", 2, timeout=PATIENCE)
        for n in range(int(times)):
            if n % 4 == 0:
                async with page.write(timeout=PATIENCE) as held:
                    if held.owner_died:
                        print("owner died", flush=True)
                    print(raised(file), flush=True)
                continue
            async with page.read(timeout=PATIENCE) as held:
                number = number_at(file)
                if held.owner_died:
                    print("owner died", number, flush=True)
                async with seats:
                    tell_time("in")
                    await asyncio.sleep(MOMENT)
                    tell_time("out")
                must(number_at(file) == number, "nobody writes while somebody reads")
    print(f"shared {times}")


class Hall:
    def __init__(self, ax: aio.Domain) -> None:
        self.ax = ax
        self.barrier = ax.barrier("turn", 2)
        self.event = ax.event("go")
        self.bell = ax.event("bell", auto_reset=True)
        self.rwlock = ax.rwlock("page")
        self.seats = ax.semaphore("seat", 1)
        self.led = 0

    async def turn(self) -> None:
        self.led += await self.barrier.wait(timeout=PATIENCE)

    async def first(self) -> None:
        async with self.rwlock.write(timeout=PATIENCE):
            await self.seats.acquire(timeout=PATIENCE)
            self.bell.set()
            self.bell.set()
            await self.turn()
            await self.turn()
        self.seats.release()
        self.event.set()
        self.bell.set()
        await self.turn()
        must(not self.bell.is_set(), "who passed has cleared it")
        must(not self.rwlock.try_acquire_write(), "the other reads, so nobody writes")
        must(self.rwlock.try_acquire_read(), "two read")
        self.rwlock.release()
        must(not self.seats.try_acquire(), "the other has the only permit")
        tell_holders(self.ax.lock_holders("seat"), "seat")
        must(self.event.is_set(), "it stays set")
        self.event.clear()
        await self.turn()
        await self.turn()
        must(self.rwlock.try_acquire_write(), "the other has stopped reading")
        must(self.seats.try_acquire(), "the other has given its permit back")
        self.rwlock.release()
        self.seats.release()

    async def second(self) -> None:
        await self.turn()
        must(not self.rwlock.try_acquire_read(), "the other writes, so nobody reads")
        must(not self.rwlock.try_acquire_write(), "the other writes, so nobody else does")
        must(not self.seats.try_acquire(), "the other has the only permit")
        tell_holders(self.ax.lock_holders("page"), "page")
        must(not self.event.try_wait(), "nobody has set it")
        must(self.bell.try_wait(), "it was set before")
        must(not self.bell.try_wait(), "set twice it lets one pass")
        await self.turn()
        await self.event.wait(timeout=PATIENCE)
        await self.bell.wait(timeout=PATIENCE)
        async with self.rwlock.read(timeout=PATIENCE):
            await self.seats.acquire(timeout=PATIENCE)
            await self.turn()
            await self.turn()
            must(not self.event.try_wait(), "the other has cleared it")
        self.seats.release()
        await self.turn()


async def meet(domain: str, role: str) -> None:
    async with aio.open(domain) as ax:
        hall = Hall(ax)
        await (hall.first() if role == "first" else hall.second())
    print(f"met {hall.led}")


def main(arguments: list[str]) -> int:
    verbs: dict[str, Callable[..., Coroutine[None, None, None]]] = {
        "put": put,
        "work": work,
        "ask": ask,
        "answer": answer,
        "keep": keep,
        "spend": spend,
        "hurry": hurry,
        "bring": bring,
        "fetch": fetch,
        "count": count,
        "share": share,
        "meet": meet,
        "provide": provide,
        "consult": consult,
        "serve": serve,
        "call": call,
        "listen": listen,
        "connect": connect,
    }
    try:
        asyncio.run(verbs[arguments[0]](*arguments[1:]))
    except (axonic.AxonicError, ValueError) as error:
        print(f"bad {type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
