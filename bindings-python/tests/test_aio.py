"""The asyncio face: the same nouns, awaited, without a thread."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

import axonic
import axonic.aio
from axonic.aio import Domain


def run(main: Callable[[Domain], Coroutine[Any, Any, Any]]) -> Any:
    async def inside() -> Any:
        async with axonic.aio.open("test") as ax:
            return await asyncio.wait_for(main(ax), 30)

    try:
        return asyncio.run(inside())
    finally:
        assert threading.active_count() == 1, "a thread was started"


async def fill(pub: axonic.aio.Publisher[Any]) -> None:
    """Fills the ring to the last byte."""
    for size in (1000, 0):
        with pytest.raises(axonic.TimeoutError):
            while True:
                await pub.publish(bytes(size), timeout=0.02)


def test_iteration_and_waiting() -> None:
    async def main(ax: Domain) -> None:
        sub, pub = ax.subscriber("t.>"), ax.publisher("t.a")

        async def send() -> None:
            for n in range(300):
                await pub.publish(n)
                if n % 7 == 0:
                    await asyncio.sleep(0)

        sender = asyncio.create_task(send())
        seen = []
        async for message in sub:
            seen.append(message.value)
            if len(seen) == 300:
                break
        await sender
        assert seen == list(range(300))
        assert repr(sub).startswith("<axonic.aio.Subscriber ")
        assert (pub.stats().published, sub.stats().received, sub.stats().missed) == (300, 300, 0)
        async with ax.ring_producer("r") as producer, ax.ring_consumer("r") as consumer:
            await producer.push(b"x")
            assert (producer.stats().messages, consumer.stats().pending_bytes) == (1, 32)
            assert await consumer.pop() == b"x"

    run(main)


def test_timeouts() -> None:
    async def main(ax: Domain) -> None:
        sub = ax.subscriber("t")
        for timeout in (0, 0.05):
            with pytest.raises(axonic.TimeoutError, match="t"):
                await sub.receive(timeout=timeout)
        await ax.publisher("t").publish("x")
        assert (await sub.receive(timeout=1)).value == "x"

    run(main)


def test_a_message_from_another_process_wakes_the_loop(script: Any) -> None:
    async def main(ax: Domain) -> None:
        sub = ax.subscriber("t")
        process = script("import axonic\nwith axonic.open('test') as ax: ax.publisher('t').publish('hi')")
        assert (await sub.receive(timeout=20)).value == "hi"
        process.wait(20)

    run(main)


def test_publish_waits_for_room() -> None:
    async def main(ax: Domain) -> None:
        sub = ax.subscriber("t")
        pub = ax.publisher("t", overflow="block", capacity=64 << 10)
        await fill(pub)
        last = b"l" * 1000
        for many in (False, True):
            publish = pub.publish_many([last]) if many else pub.publish(last)
            waiting = asyncio.create_task(publish)
            await asyncio.sleep(0.05)
            assert not waiting.done()
            while (await sub.receive(timeout=5)).data != last:
                pass
            await waiting
            await fill(pub)

    run(main)


def test_a_loan_waits_for_room_too() -> None:
    async def main(ax: Domain) -> None:
        sub = ax.subscriber("t")
        pub = ax.publisher("t", overflow="block", capacity=64 << 10)
        await fill(pub)

        async def lend() -> None:
            async with pub.loan(5000) as view:
                view[:] = b"l" * 5000

        waiting = asyncio.create_task(lend())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        while len(message := await sub.receive(timeout=5)) != 5000:
            pass
        assert message.data == b"l" * 5000
        await waiting

    run(main)


def test_cancelling_loses_nothing() -> None:
    async def main(ax: Domain) -> None:
        sub, pub = ax.subscriber("t"), ax.publisher("t", overflow="block")
        received = []
        for n in range(200):
            task = asyncio.create_task(sub.receive())
            await asyncio.sleep(0)
            if n % 3 == 0:
                await pub.publish(n)
            if n % 2 == 0:
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                received.append((await task).value)
        while (message := sub.sync.try_receive()) is not None:
            received.append(message.value)
        assert received == list(range(0, 200, 3))

    run(main)


def test_several_tasks_on_one_subscriber() -> None:
    async def main(ax: Domain) -> None:
        sub, pub = ax.subscriber("t"), ax.publisher("t")
        tasks = [asyncio.create_task(sub.receive()) for _ in range(5)]
        await asyncio.sleep(0.01)
        for n in range(5):
            await pub.publish(n)
        messages = await asyncio.gather(*tasks)
        assert sorted(m.value for m in messages) == list(range(5))

    run(main)


def test_a_busy_topic_leaves_the_loop_to_others() -> None:
    async def main(ax: Domain) -> None:
        sub, pub = ax.subscriber("t"), ax.publisher("t")
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticker = asyncio.create_task(tick())
        for n in range(2000):
            await pub.publish(n)
            await sub.receive()
        assert ticks > 20
        ticker.cancel()

    run(main)


def test_an_idle_loop_sleeps() -> None:
    """A descriptor that is readable while nobody receives must not keep the loop spinning."""

    async def main(ax: Domain) -> None:
        sub, pub = ax.subscriber("t"), ax.publisher("t")
        with pytest.raises(axonic.TimeoutError):
            await sub.receive(timeout=0.01)
        await pub.publish("unread")
        start, cpu = time.monotonic(), time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - cpu < 0.25 * (time.monotonic() - start)
        assert (await sub.receive(timeout=1)).value == "unread"

    run(main)


def test_borrow_and_loan() -> None:
    async def main(ax: Domain) -> None:
        sub, pub = ax.subscriber("t"), ax.publisher("t")
        async with pub.loan((100, 100), "float32") as view:
            np.asarray(view)[:] = 0.5
        async with sub.borrow(timeout=1) as sample:
            assert np.asarray(sample).sum() == 5000
        assert sample.released
        with pytest.raises(ZeroDivisionError):
            async with pub.loan(10) as view:
                view[0] = 1 // 0
        await pub.publish_many([1, 2, 3])
        assert [m.value for m in await sub.receive_many(timeout=1)] == [1, 2, 3]

    run(main)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_that_is_none_is_refused_as_without_asyncio(timeout: float) -> None:
    async def main(ax: Domain) -> None:
        sub, pub = ax.subscriber("t"), ax.publisher("t")
        for call in (sub.receive, sub.receive_many, pub.wait_for_subscribers, axonic.aio.WaitSet().wait):
            with pytest.raises(axonic.InvalidArgumentError, match="timeout="):
                await call(timeout=timeout)

    run(main)


def test_no_messages_at_all_are_not_received() -> None:
    async def main(ax: Domain) -> None:
        sub = ax.subscriber("t")
        await ax.publisher("t").publish(b"kept")
        with pytest.raises(axonic.InvalidArgumentError, match="max=0"):
            await sub.receive_many(0)
        assert [m.data for m in await sub.receive_many()] == [b"kept"]

    run(main)


def test_rings() -> None:
    async def main(ax: Domain) -> None:
        producer, consumer = (
            ax.ring_producer("r", capacity=64 << 10),
            ax.ring_consumer("r", capacity=64 << 10),
        )
        messages = [bytes([n]) * 20_000 for n in range(50)]

        async def send() -> None:
            async with producer:
                for message in messages:
                    await producer.push(message)

        sender = asyncio.create_task(send())
        assert [data async for data in consumer] == messages
        await sender

    run(main)


def test_wait_sets_and_regions() -> None:
    async def main(ax: Domain) -> None:
        sub, pub = ax.subscriber("t"), ax.publisher("t")
        async with axonic.aio.WaitSet() as waits:
            waits.add(sub)
            await waits.wait(timeout=0.05)  # ready until somebody looked and found nothing
            assert sub.sync.try_receive() is None
            assert await waits.wait(timeout=0.05) == []
            asyncio.get_running_loop().call_later(0.05, lambda: pub.sync.publish(b"x"))
            assert await waits.wait(timeout=5) == [sub]
            waits.remove(sub)
            waits.add_timer(0.02, "tick")
            assert await waits.wait() == ["tick"]
        with ax.region("r", 64) as region:
            region.write(0, b"plain")
        ax.unlink("region", "r")

    run(main)


def test_closing_wakes_the_waiting() -> None:
    async def main(ax: Domain) -> None:
        sub, other = ax.subscriber("t"), ax.subscriber("t")
        tasks = [asyncio.create_task(handle.receive()) for handle in (sub, other)]
        await asyncio.sleep(0.02)
        sub.close()
        ax.close()
        for task in tasks:
            with pytest.raises(axonic.ClosedError):
                await task
        assert sub.closed
        assert ax.closed

    run(main)


def test_subscribers_are_waited_for() -> None:
    async def main(ax: Domain) -> None:
        pub = ax.publisher("t")
        with pytest.raises(axonic.TimeoutError):
            await pub.wait_for_subscribers(timeout=0.05)
        waiting = asyncio.create_task(pub.wait_for_subscribers(timeout=10))
        await asyncio.sleep(0.02)
        sub = ax.subscriber("t")
        await waiting
        sub.close()

    run(main)


def test_dropped_handles_leave_the_loop() -> None:
    async def main(ax: Domain) -> None:
        pub = ax.publisher("t")
        sub = ax.subscriber("t")
        with pytest.raises(axonic.TimeoutError):
            await sub.receive(timeout=0.01)
        assert pub.sync.subscribers() == 1
        del sub
        await asyncio.sleep(0)  # the timeout's exception lives on in the event loop until now
        gc.collect()
        assert pub.sync.subscribers() == 0

    run(main)


def test_one_handle_in_two_loops(ax: axonic.Domain) -> None:
    wrapped = axonic.aio.Subscriber[Any](ax.subscriber("t"))
    pub = ax.publisher("t")
    for _ in range(2):

        async def main() -> Any:
            asyncio.get_running_loop().call_later(0.02, lambda: pub.publish("x"))
            return (await wrapped.receive(timeout=5)).value

        assert asyncio.run(main()) == "x"
    wrapped.close()
