"""Locks in asyncio."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import axonic
import axonic.aio
from axonic.aio import Domain
from conftest import Script
from test_aio import run
from test_lock import holding, kill

OPENERS: dict[str, Callable[[Domain], Any]] = {
    "mutex": lambda ax: ax.mutex("lock"),
    "rwlock": lambda ax: ax.rwlock("lock"),
    "semaphore": lambda ax: ax.semaphore("lock", 1),
    "event": lambda ax: ax.event("lock"),
    "barrier": lambda ax: ax.barrier("lock", 2),
}


def test_a_mutex(script: Script) -> None:
    async def main(ax: Domain) -> None:
        mutex, other = ax.mutex("gpu", timeout=0.03), ax.mutex("gpu")
        assert (mutex.name, mutex.timeout, other.timeout, mutex.closed) == ("gpu", 0.03, None, False)
        assert repr(mutex) == '<axonic.aio.Mutex "gpu" in "test">'
        async with other as held:
            assert held is other
            assert other.locked()
            assert not any((other.owner_died, mutex.locked(), mutex.try_acquire()))
            with pytest.raises(
                axonic.TimeoutError,
                match=r"mutex 'gpu': it was not unlocked within 30ms: had by this process, for 0",
            ):
                async with mutex:
                    pytest.fail("two have it")
            for timeout, written in ((0, "0ns"), (0.05, "50ms")):
                with pytest.raises(axonic.TimeoutError, match=f"within {written}: had by this process"):
                    await mutex.acquire(timeout=timeout)
            with pytest.raises(axonic.InvalidArgumentError, match="timeout=-1"):
                await mutex.acquire(timeout=-1)
        assert await mutex.acquire() is True
        mutex.release()
        assert mutex.try_acquire()
        mutex.release()
        with pytest.raises(axonic.InvalidArgumentError, match="not locked"):
            mutex.release()
        process = holding(script, '[ax.mutex("gpu")]; lock[0].acquire()')
        waiting = asyncio.create_task(other.acquire())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        kill(process)
        await waiting
        assert other.owner_died
        other.release()

    run(main)


def test_tasks_that_share_a_mutex_take_turns() -> None:
    async def main(ax: Domain) -> None:
        mutex, count, turns = ax.mutex("m"), 0, []

        async def work(name: str) -> None:
            nonlocal count
            for _ in range(30):
                async with mutex:
                    before = count
                    await asyncio.sleep(0.0001)
                    count = before + 1
                    turns.append(name)

        await asyncio.gather(*(work(name) for name in "abcd"))
        assert count == 120
        # None keeps the others out by taking it again at once.
        assert set(turns[:8]) == set("abcd")

    run(main)


def test_tasks_and_threads_and_objects_exclude_each_other() -> None:
    async def main(ax: Domain) -> None:
        mutexes, count = [ax.mutex("m"), ax.mutex("m")], 0

        def thread() -> None:
            nonlocal count
            for _ in range(50):
                with mutexes[0].sync:
                    before = count
                    count = before + 1

        async def task(mutex: axonic.aio.Mutex) -> None:
            nonlocal count
            for _ in range(50):
                async with mutex:
                    before = count
                    await asyncio.sleep(0)
                    count = before + 1

        await asyncio.gather(asyncio.to_thread(thread), *(task(mutex) for mutex in mutexes * 2))
        assert count == 250

    async def inside() -> None:
        async with axonic.aio.open("test") as ax:
            await asyncio.wait_for(main(ax), 60)

    asyncio.run(inside())


def test_a_lock_that_many_read_or_one_writes(script: Script) -> None:
    async def main(ax: Domain) -> None:
        lock, other = ax.rwlock("rw"), ax.rwlock("rw")
        # The call alone takes nothing.
        writes = lock.write()
        assert not lock.locked()
        assert repr(writes) == "<axonic.aio.Held of 'rw', to write, not held>"
        async with writes:
            assert repr(writes) == "<axonic.aio.Held of 'rw', to write, held>"
        assert repr(lock.read()) == "<axonic.aio.Held of 'rw', to read, not held>"
        async with lock.read(), other.read(timeout=1) as held, lock.read():
            assert not held.owner_died
            assert lock.locked()
            assert not other.try_acquire_write()
            with pytest.raises(axonic.TimeoutError, match="rwlock 'rw'"):
                await other.acquire_write(timeout=0.03)
        waiting = []
        async with lock.write():
            assert not any((other.try_acquire_read(), other.try_acquire_write()))
            waiting = [asyncio.create_task(task) for task in (other.acquire_read(), lock.acquire_read())]
            await asyncio.sleep(0.03)
            assert not any(task.done() for task in waiting)
        assert await asyncio.gather(*waiting) == [True, True]
        lock.release()
        other.release()
        assert await lock.acquire_write() is True
        lock.release()
        kill(holding(script, '[ax.rwlock("rw")]; lock[0].acquire_write()'))
        async with lock.write(timeout=20) as held:
            assert held.owner_died
            assert lock.owner_died
        with pytest.raises(ZeroDivisionError):
            async with lock.write():
                lock.close()
                _ = 1 / 0

    run(main)


def test_it_is_written_at_some_time_however_many_read() -> None:
    async def main(ax: Domain) -> None:
        lock, reads, over = ax.rwlock("rw"), 0, False

        async def read(number: int) -> None:
            nonlocal reads
            # Another object, so that it does not stand in line with the writer.
            other = ax.rwlock("rw")
            await asyncio.sleep(number / 1000)
            while not over:
                async with other.read(timeout=20):
                    await asyncio.sleep(0.003)
                    reads += 1

        async def go_on() -> None:
            nonlocal reads
            reads = 0
            while reads < 6:
                await asyncio.sleep(0.001)

        readers = [asyncio.create_task(read(number)) for number in range(3)]
        await go_on()
        async with lock.write(timeout=5):
            pass
        # Whoever gives up lets them in again, and who only tries stops nobody.
        await go_on()
        last = ax.rwlock("rw")
        async with last.read():
            for timeout in (0, 0.02):
                with pytest.raises(axonic.TimeoutError):
                    await lock.acquire_write(timeout=timeout)
                await go_on()
            writing = asyncio.create_task(lock.acquire_write())
            await asyncio.sleep(0.02)
            assert not ax.rwlock("rw").try_acquire_read()
            writing.cancel()
            await go_on()
            assert not lock.try_acquire_write()
            assert ax.rwlock("rw").try_acquire_read()
        over = True
        await asyncio.gather(*readers)

    run(main)


def test_permits() -> None:
    async def main(ax: Domain) -> None:
        semaphore, inside, most = ax.semaphore("s", 2), 0, 0
        assert (semaphore.permits, semaphore.available, semaphore.timeout) == (2, 2, None)

        async def work() -> None:
            nonlocal inside, most
            async with semaphore:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.005)
                inside -= 1

        await asyncio.gather(*(work() for _ in range(10)))
        assert (most, semaphore.available) == (2, 2)
        assert semaphore.try_acquire()
        assert await semaphore.acquire(timeout=0) is True
        assert not semaphore.try_acquire()
        with pytest.raises(axonic.TimeoutError, match="no permit"):
            await semaphore.acquire(timeout=0.03)
        semaphore.release()
        semaphore.release()

    run(main)


def test_many_permits_cost_few_descriptors() -> None:
    async def main(ax: Domain) -> None:
        semaphore, other = ax.semaphore("s", 500), ax.semaphore("s", 500)
        for _ in range(400):
            await semaphore.acquire()
        for _ in range(100):
            await other.acquire()
        before = len(os.listdir("/proc/self/fd"))
        # Those that are waited for are no more to keep.
        for _ in range(100):
            waiting = asyncio.create_task(semaphore.acquire())
            await asyncio.sleep(0)
            other.release()
            await waiting
        assert len(os.listdir("/proc/self/fd")) <= before + 8
        assert semaphore.available == 0
        for _ in range(500):
            semaphore.release()
        assert semaphore.available == 500

    run(main)


def test_an_event() -> None:
    async def main(ax: Domain) -> None:
        event = ax.event("e")
        assert not any((event.auto_reset, event.is_set(), event.try_wait()))
        for timeout in (0, 0.03):
            with pytest.raises(axonic.TimeoutError, match="event 'e': it was not set"):
                await event.wait(timeout=timeout)
        for _ in range(3):
            waiting = [asyncio.create_task(event.wait()) for _ in range(4)]
            await asyncio.sleep(0.02)
            # However soon it is cleared.
            event.set()
            event.clear()
            assert await asyncio.gather(*waiting) == [True] * 4
        # What was set before is over for those who come now.
        with pytest.raises(axonic.TimeoutError):
            await event.wait(timeout=0.03)
        event.set()
        event.clear()
        with pytest.raises(axonic.TimeoutError):
            await event.wait(timeout=0)
        event.set()
        assert await event.wait() is True
        assert event.is_set()

        one = ax.event("one", auto_reset=True)
        waiting = [asyncio.create_task(one.wait()) for _ in range(2)]
        await asyncio.sleep(0.02)
        one.set()
        await asyncio.wait(waiting, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.02)
        assert sum(task.done() for task in waiting) == 1
        one.set()
        assert await asyncio.gather(*waiting) == [True, True]
        assert not one.is_set()

    run(main)


def test_a_barrier() -> None:
    async def main(ax: Domain) -> None:
        barrier = ax.barrier("b", 3)
        assert (barrier.parties, barrier.waiting) == (3, 0)
        with pytest.raises(axonic.TimeoutError, match="not all parties"):
            await barrier.wait(timeout=0.03)
        assert barrier.waiting == 0
        for _ in range(10):
            assert sorted(await asyncio.gather(*(barrier.wait() for _ in range(3)))) == [False, False, True]
        waiting = [asyncio.create_task(barrier.wait()) for _ in range(2)]
        await asyncio.sleep(0.02)
        assert barrier.waiting == 2
        waiting[0].cancel()
        await asyncio.sleep(0.02)
        assert barrier.waiting == 1
        waiting[1].cancel()

    run(main)


@pytest.mark.parametrize("noun", ["mutex", "rwlock", "semaphore"])
def test_a_cancelled_wait_leaves_nothing_held(noun: str) -> None:
    async def main(ax: Domain) -> None:
        lock, other = OPENERS[noun](ax), OPENERS[noun](ax)

        def take(lock: Any) -> Any:
            return lock.acquire_write() if noun == "rwlock" else lock.acquire()

        def try_take(lock: Any) -> bool:
            return bool(lock.try_acquire_write() if noun == "rwlock" else lock.try_acquire())

        for pause in (0.0, 0.002, 0.02):
            await take(lock)
            tasks = [asyncio.create_task(take(lock)) for _ in range(3)]
            tasks.append(asyncio.create_task(take(other)))
            await asyncio.sleep(pause)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            lock.release()
            assert try_take(other)
            other.release()
        # One that is woken and cancelled at the same time passes it on.
        await take(lock)
        tasks = [asyncio.create_task(take(other)) for _ in range(2)]
        await asyncio.sleep(0.02)
        lock.release()
        tasks[0].cancel()
        assert await asyncio.wait_for(tasks[1], 5)
        other.release()
        assert try_take(lock)
        lock.release()

    run(main)


def waiting(ax: Domain, name: str = "lock") -> int:
    """How many handles wait for it, in all processes; see docs/protocol.md."""
    file = (Path(ax.sync.path) / "locks" / name).read_bytes()
    rows = (file[at : at + 16] for at in range(4096, 4096 + 1024 * 128, 128))
    return sum(row[8] & 1 for row in rows if any(row[:8]))


@pytest.mark.parametrize("noun", ["mutex", "rwlock", "semaphore"])
def test_a_wait_that_is_given_up_takes_no_wake_up_from_others(noun: str) -> None:
    async def main(ax: Domain) -> None:
        lock, patient, holder = (OPENERS[noun](ax) for _ in range(3))

        def take(lock: Any, timeout: float | None = None) -> Any:
            return lock.acquire_write(timeout) if noun == "rwlock" else lock.acquire(timeout)

        def try_take(lock: Any) -> bool:
            return bool(lock.try_acquire_write() if noun == "rwlock" else lock.try_acquire())

        for turn in range(10):
            await take(holder)
            for timeout in (0, 0.001):
                with pytest.raises(axonic.TimeoutError):
                    await take(lock, timeout)
            assert waiting(ax) == 0
            given_up, taken = (asyncio.create_task(take(one)) for one in (lock, patient))
            await asyncio.sleep(0.002)
            assert waiting(ax) == 2
            # By a handle that somebody has waited by.
            assert not any((try_take(lock), try_take(holder)))
            assert waiting(ax) == 2
            begun = time.monotonic()
            holder.release()
            given_up.cancel()
            await taken
            # A wake-up that is lost is noticed after a second only.
            assert time.monotonic() - begun < 0.5, turn
            patient.release()
            assert waiting(ax) == 0

    run(main)


def test_an_event_stays_set_when_a_wait_for_it_is_given_up() -> None:
    async def main(ax: Domain) -> None:
        event = ax.event("lock")
        for _ in range(2):
            given_up = asyncio.create_task(event.wait())
            await asyncio.sleep(0.002)
            with axonic.open("test") as other:
                other.event("lock").set()
            given_up.cancel()
            await asyncio.wait([given_up])
            assert given_up.cancelled()
            assert event.is_set()
            event.clear()
            # What was set before is no news to those who come now.
            assert not event.try_wait()
            with pytest.raises(axonic.TimeoutError):
                await event.wait(timeout=0.002)
            assert waiting(ax) == 0

    run(main)


@pytest.mark.parametrize("noun", list(OPENERS))
def test_those_who_wait_learn_of_the_end(noun: str) -> None:
    async def main(ax: Domain) -> None:
        for end in ("lock", "domain"):
            lock = OPENERS[noun](ax)
            waits = {
                "mutex": lambda lock=lock: lock.acquire(),
                "rwlock": lambda lock=lock: lock.acquire_read(),
                "semaphore": lambda lock=lock: lock.acquire(),
                "event": lambda lock=lock: lock.wait(),
                "barrier": lambda lock=lock: lock.wait(),
            }
            if noun == "rwlock":
                await lock.acquire_write()
            elif noun in ("mutex", "semaphore"):
                await lock.acquire()
            waiting = [asyncio.create_task(waits[noun]())]
            if noun != "barrier":
                waiting.append(asyncio.create_task(waits[noun]()))
            await asyncio.sleep(0.03)
            (lock if end == "lock" else ax).close()
            for task in waiting:
                with pytest.raises(axonic.ClosedError):
                    await task
            assert lock.closed
            with pytest.raises(axonic.ClosedError):
                await waits[noun]()

    run(main)


def test_one_object_in_several_event_loops() -> None:
    ax = axonic.aio.open("test")
    mutex = ax.mutex("m")

    async def main() -> None:
        async def work() -> None:
            async with mutex:
                await asyncio.sleep(0.001)

        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(5))), 20)

    for _ in range(2):
        asyncio.run(main())
    ax.close()


def test_waiting_leaves_no_descriptors_behind() -> None:
    async def main(ax: Domain) -> None:
        mutex, event = ax.mutex("m"), ax.event("e")

        async def wait() -> None:
            for call in (mutex.acquire, event.wait):
                with pytest.raises(axonic.TimeoutError):
                    await call(timeout=0.002)

        async with mutex:
            await wait()
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(20):
                await wait()
            assert len(os.listdir("/proc/self/fd")) == before

    run(main)


def test_an_unfair_task_lets_others_run() -> None:
    async def main(ax: Domain) -> None:
        mutex, ran = ax.mutex("m"), []

        async def other() -> None:
            ran.append(True)

        task = asyncio.create_task(other())
        for _ in range(100):
            async with mutex:
                pass
        assert ran
        await task

    run(main)


def test_who_is_out_of_time_is_told_what_the_core_tells(script: Script) -> None:
    async def main(ax: Domain) -> None:
        process = holding(script, 'ax.rwlock("lock"); lock.acquire_write()')
        had = rf"had by '.*' \(pid {process.pid}\), for .* s; give it more time, or see with `axonic doctor`"
        lock = ax.rwlock("lock")
        with pytest.raises(axonic.TimeoutError, match=f"rwlock 'lock': its writers .* within 10ms: {had}"):
            await lock.acquire_read(timeout=0.01)
        with pytest.raises(
            axonic.TimeoutError, match=f"rwlock 'lock': those who had it .* within 10ms: {had}"
        ):
            await lock.acquire_write(timeout=0.01)
        [holder] = ax.lock_holders("lock")
        assert (holder.pid, holder.role, holder.alive) == (process.pid, "owner", True)
        kill(process)
        barrier, seats, event = ax.barrier("b", 3), ax.semaphore("s", 1), ax.event("e")
        party = asyncio.create_task(barrier.wait())
        while barrier.waiting != 1:
            await asyncio.sleep(0.001)
        for waits, told in (
            (barrier.wait, "not all .* within 10ms: of 3 parties 1 are missing; there waits this process"),
            (seats.acquire, "no permit was released within 10ms: had by this process"),
            (event.wait, "event 'e': it was not set within 10ms; give it more time"),
        ):
            if waits == seats.acquire:
                await seats.acquire()
            with pytest.raises(axonic.TimeoutError, match=told):
                await waits(timeout=0.01)
        party.cancel()

    run(main)
