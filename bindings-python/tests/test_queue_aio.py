"""Queues in asyncio."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any, Literal

import pytest

import axonic
import axonic.aio
from axonic.aio import Domain
from conftest import Script, finish
from test_aio import run
from test_fork import in_child
from test_queue_durable import busy_writer, given_by_this_thread, stop_while_it_writes


def test_putting_and_getting() -> None:
    async def main(ax: Domain) -> None:
        q = ax.queue("jobs")
        assert (q.name, q.closed) == ("jobs", False)
        assert repr(q).startswith('<axonic.aio.Queue "jobs"')

        async def put() -> None:
            for n in range(300):
                await q.put(n)
                if n % 7 == 0:
                    await asyncio.sleep(0)

        putter = asyncio.create_task(put())
        seen = []
        async for job in q:
            async with job:
                seen.append(job.value)
            if len(seen) == 300:
                break
        await putter
        assert seen == list(range(300))
        for timeout in (0, 0.05):
            with pytest.raises(axonic.TimeoutError, match="jobs"):
                await q.get(timeout=timeout)
        await q.put_many("abc", priority=2)
        assert [peeked.value for peeked in q.peek()] == ["a", "b", "c"]
        for job in await q.get_many(timeout=1):
            job.reject("each")
        assert [letter.reason_text for letter in q.dead_letters()] == ["each"] * 3
        assert (q.redrive(1), q.purge(), q.purge(dead=True)) == (1, 1, 2)
        assert q.stats().acked == 300

    run(main)


def test_a_block_gives_back_what_it_did_not_finish() -> None:
    async def main(ax: Domain) -> None:
        q = ax.queue("jobs")
        await q.put("work")
        with pytest.raises(ZeroDivisionError):
            async with await q.get(timeout=1):
                _ = 1 / 0

        async def slow() -> None:
            async with await q.get(timeout=1) as job:
                assert job.attempt == 2
                await asyncio.sleep(60)

        task = asyncio.create_task(slow())
        await asyncio.sleep(0.05)
        task.cancel()
        async with await q.get(timeout=1, lease=60) as job:
            assert (job.value, job.attempt) == ("work", 3)

    run(main)


def test_a_cancelled_get_takes_nothing() -> None:
    async def main(ax: Domain) -> None:
        q = ax.queue("jobs")
        waiting = asyncio.create_task(q.get())
        await asyncio.sleep(0.02)
        waiting.cancel()
        await q.put("still there")
        with await q.get(timeout=1) as job:
            assert (job.value, job.attempt) == ("still there", 1)

    run(main)


def test_putting_waits_for_room() -> None:
    async def main(ax: Domain) -> None:
        q = ax.queue("jobs", capacity=2)
        await q.put_many([1, 2])
        with pytest.raises(axonic.TimeoutError, match="no room"):
            await q.put(3, timeout=0.05)
        with pytest.raises(axonic.TimeoutError, match="0 of 2 values") as none:
            await q.put_many([3, 4], timeout=0.05)
        assert none.value.accepted == 0
        q.purge()
        with pytest.raises(axonic.TimeoutError, match="2 of 3 values") as some:
            await q.put_many([1, 2, 3], timeout=0.05)
        assert some.value.accepted == 2
        plain = asyncio.create_task(q.put(3))
        await asyncio.sleep(0.02)
        asked = asyncio.create_task(q.put(4, result=True))
        await asyncio.sleep(0.02)
        for expected in (1, 2, 3):
            async with await q.get(timeout=5) as job:
                assert job.value == expected
        await plain
        ticket = await asked
        with await q.get(timeout=5) as job:
            job.ack("four")
        assert await ticket == "four"

    run(main)


def test_an_error_in_a_value_puts_none() -> None:
    async def main(ax: Domain) -> None:
        q = ax.queue("jobs", schema={"type": "integer"})
        for bad in (object(), "no integer"):
            with pytest.raises(axonic.InvalidArgumentError):
                await q.put_many([1, bad, 2])
        small = ax.queue("small", max_bytes=1 << 20)
        with pytest.raises(axonic.TooLargeError):
            await small.put_many([b"little", bytes(2 << 20)])
        assert (q.stats().put, small.stats().put) == (0, 0)
        with pytest.raises(TypeError, match="dedup_id"):
            await q.put_many([1], dedup_id="all")  # type: ignore[call-overload]
        assert await q.put_many((n for n in (1, 2)), priority=3) is None
        assert (await q.put_many([]), await q.put_many("", result=True)) == (None, [])
        for wrong in ({"durable": True}, {"delay": -1}):
            with pytest.raises(axonic.InvalidArgumentError):
                await q.put_many([], **wrong)  # type: ignore[call-overload]
        assert [(peeked.value, peeked.priority) for peeked in q.peek()] == [(1, 3), (2, 3)]

    run(main)


def test_trying_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXONIC_DATA_DIR", str(tmp_path))

    async def main(ax: Domain) -> None:
        q = ax.queue("jobs", capacity=2)
        assert q.try_get() is None
        assert q.try_put("a", dedup_id="a") is True
        assert q.try_put("a", dedup_id="a") is False
        assert q.try_put("a", dedup_id="a", result=True) is None
        ticket = q.try_put("b", priority=7, result=True)
        waiting = asyncio.create_task(q.put("c"))
        await asyncio.sleep(0.02)
        with pytest.raises(axonic.WouldBlockError):
            q.try_put("d")
        assert not waiting.done()
        job = q.try_get(lease=60)
        assert job is not None
        with pytest.raises(axonic.WouldBlockError):
            q.try_put("d", result=True)
        job.ack(job.value)
        assert (await ticket, await waiting) == ("b", True)

        async with await q.get(timeout=5):
            pass
        kept = ax.queue("kept", durable=True)
        assert kept.try_put("x") is True
        kept_job = kept.try_get()
        assert kept_job is not None
        kept_job.ack()
        with pytest.raises(TypeError, match="durable"):
            kept.try_put("x", durable=True)  # type: ignore[call-overload]
        await kept.flush(timeout=20)

    run(main)


def test_tickets() -> None:
    async def main(ax: Domain) -> None:
        q = ax.queue("jobs")
        ticket = await q.put("a", result=True)
        assert (ticket.done(), ticket.progress) == (False, 0.0)
        assert "axonic.aio.Ticket" in repr(ticket)
        for timeout in (0, 0.05):
            with pytest.raises(axonic.TimeoutError, match="no result"):
                await ticket.result(timeout=timeout)
        twice = asyncio.gather(ticket.result(), ticket.result())
        await asyncio.sleep(0.02)
        async with await q.get(timeout=1) as job:
            job.progress(0.25)
            assert ticket.progress == 0.25
            job.ack({"answer": 42})
        assert await twice == [{"answer": 42}] * 2
        assert await ticket is await ticket
        rejected = await q.put("b", result=True)
        with await q.get(timeout=1) as job:
            job.reject("no")
        with pytest.raises(axonic.RejectedError, match="no"):
            await rejected

    run(main)


def test_a_loop_waits_for_its_own() -> None:
    async def main(ax: Domain) -> None:
        q = ax.queue("jobs")
        ticket = await q.put("a", result=True)

        async def elsewhere(timeout: float) -> Any:
            return await ticket.result(timeout)

        async def get() -> None:
            await q.get(timeout=1)

        with pytest.raises(axonic.InvalidArgumentError, match=r"aio.Ticket.*another thread"):
            await asyncio.to_thread(asyncio.run, elsewhere(1))
        (await q.get(timeout=1)).ack("done")
        assert await asyncio.to_thread(asyncio.run, elsewhere(1)) == "done"
        waiting = asyncio.create_task(q.get())
        await asyncio.sleep(0.02)
        with pytest.raises(axonic.InvalidArgumentError, match=r"Queue.*another thread"):
            await asyncio.to_thread(asyncio.run, get())
        await q.put("b")
        (await waiting).ack()
        await asyncio.get_running_loop().shutdown_default_executor()

    run(main)


def test_many_tickets_wait_for_another_process(script: Script) -> None:
    async def main(ax: Domain) -> None:
        process = script("""
            import axonic, random
            with axonic.open("test") as ax, ax.queue("jobs") as q:
                random.seed(1)
                todo = 300
                while todo:
                    jobs = q.get_many(timeout=20)
                    random.shuffle(jobs)
                    for job in jobs:
                        job.ack(job.value * 2)
                    todo -= len(jobs)
            """)
        q = ax.queue("jobs", capacity=40)

        async def ask(n: int) -> None:
            ticket = await q.put(n, result=True, timeout=20)
            assert await ticket.result(timeout=20) == 2 * n

        await asyncio.gather(*(ask(n) for n in range(300)))
        await asyncio.to_thread(finish, process)

    async def inside() -> None:
        async with axonic.aio.open("test") as ax:
            await asyncio.wait_for(main(ax), 60)

    asyncio.run(inside())


def test_a_durable_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXONIC_DATA_DIR", str(tmp_path))

    async def main() -> None:
        async with axonic.aio.open("test") as ax:
            q = ax.queue("jobs", durable=True)
            await asyncio.gather(*(q.put(n) for n in range(20)))
            tickets = await q.put_many(range(20, 40), result=True)
            seen = set()
            for _ in range(40):
                async with await q.get(timeout=5) as job:
                    seen.add(job.value)
            assert seen == set(range(40))
            assert [await ticket.result(timeout=5) for ticket in tickets] == [None] * 20
            await q.flush(timeout=20)

    asyncio.run(asyncio.wait_for(main(), 60))


def threads() -> list[str]:
    """The names of all threads of this process, Python's and others."""
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]


def test_those_who_wait_for_the_disk_take_no_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXONIC_DATA_DIR", str(tmp_path))

    async def main(ax: Domain) -> None:
        q = ax.queue("jobs", durable=True, fsync="always")
        memory = ax.queue("memory")
        await q.put(0)
        before = threads()
        assert before.count("axonic-disk") == 1
        seen = set()

        async def put(n: int) -> None:
            assert await q.put(n) is True
            seen.update(set(threads()) - set(before))

        await asyncio.gather(*(put(n) for n in range(1, 200)), q.flush(), memory.flush())
        await q.put_many(range(200, 300))
        assert (seen, len(threads())) == (set(), len(before))
        # Another thread's loop waits for itself.
        other = threading.Thread(target=asyncio.run, args=(q.put(300),))
        other.start()
        await asyncio.gather(*(q.put(n) for n in range(301, 320)))
        other.join(20)
        assert q.purge() == 320

    run(main)


def test_nobody_who_stopped_waiting_keeps_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    monkeypatch.setenv("AXONIC_DATA_DIR", str(tmp_path))
    writer = busy_writer(script)
    with axonic.open("test") as ax, ax.queue("jobs", durable=True) as q:
        try:
            program = script("""
                import asyncio, axonic, axonic.aio, sys, time

                async def main():
                    q = axonic.aio.open("test").queue("jobs", durable=True)
                    print(await q.put("first", durable=False), flush=True)
                    sys.stdin.readline()
                    begun = time.monotonic()
                    for wait in (q.flush(), q.put("one"), q.put_many(["two", "three"])):
                        task = asyncio.create_task(wait)
                        await asyncio.sleep(0.02)
                        task.cancel()
                        try:
                            await task
                        except asyncio.CancelledError:
                            print("cancelled")
                    try:
                        await q.put_many(["four", "five"], timeout=0.02)
                    except axonic.NotDurableError as error:
                        print(error.accepted)
                    print(time.monotonic() - begun < 5)

                asyncio.run(main())
                print("over", flush=True)
                """)
            assert program.stdout is not None
            assert program.stdout.readline() == "True\n"
            stop_while_it_writes(writer, q)
            begun = time.monotonic()
            out, err = program.communicate("go on\n", timeout=20)
            assert (out.split(), err) == (["cancelled"] * 3 + ["2", "True", "over"], "")
            assert time.monotonic() - begun < 10
        finally:
            # Stopped, it takes nothing any more.
            writer.kill()
        q.sync(timeout=20)
        values = {peeked.value for peeked in q.peek()}
        assert values >= {"one", "two", "three", "four", "five"}
        q.purge()


def test_whoever_stops_waiting_for_the_disk_has_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    monkeypatch.setenv("AXONIC_DATA_DIR", str(tmp_path))
    writer = busy_writer(script)

    async def main(ax: Domain) -> None:
        q, other = ax.queue("jobs", durable=True), ax.queue("jobs", durable=True)
        await other.put("opened", durable=False)
        stop_while_it_writes(writer, held)
        q.purge()
        puts = {
            "the message is": (1, q.put("late", timeout=0.02)),
            "all values are": (2, q.put_many(["later", "latest"], timeout=0.02)),
        }
        for what, (accepted, put) in puts.items():
            with pytest.raises(
                axonic.NotDurableError, match=f"^{what} accepted, .* disk within 20ms$"
            ) as caught:
                await put
            assert caught.value.accepted == accepted
        cancelled = asyncio.create_task(q.put("cancelled"))
        await asyncio.sleep(0.02)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert [job.value for job in await q.get_many(timeout=1)] == ["late", "later", "latest", "cancelled"]
        waiting = asyncio.create_task(other.flush())
        await asyncio.sleep(0.02)
        other.close()
        for late in (waiting, other.flush()):
            with pytest.raises(axonic.ClosedError):
                await late
        writer.kill()
        await q.put("in time", timeout=20)
        q.purge()

    with axonic.open("test") as ax, ax.queue("jobs", durable=True) as held:
        run(main)


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_the_event_loop_has_no_file_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: Literal["always", "interval", "never"]
) -> None:
    monkeypatch.setenv("AXONIC_DATA_DIR", str(tmp_path))

    async def main(ax: Domain) -> None:
        q = ax.queue("jobs", durable=True, fsync=fsync, fsync_interval=0.005)
        # Both sides are opened by their first use.
        await q.put(b"")
        (await q.get(timeout=1)).ack()
        before = given_by_this_thread()
        for n in range(100):
            await q.put(b"#" * 5000, result=n % 2 == 0, durable=False)
        for _ in range(20):
            async with await q.get(timeout=1):
                pass
            (await q.get(timeout=1)).reject()
            # What is overdue is none of the loop's, either.
            await asyncio.sleep(0.001)
        with pytest.raises(axonic.TimeoutError):
            await q.get(timeout=0) if q.purge() + q.purge(dead=True) == 80 else None
        assert given_by_this_thread() - before < 5000
        await q.put(b"#" * 5000, durable=False)
        # Nobody asks for it, and it is written.
        while all(b"#" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()):
            await asyncio.sleep(0.001)
        (await q.get(timeout=1)).ack()

    run(main)


@pytest.mark.parametrize("fsync", ["always", "never"])
def test_a_forked_child_has_a_thread_of_its_own_for_its_file_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: Literal["always", "never"]
) -> None:
    monkeypatch.setenv("AXONIC_DATA_DIR", str(tmp_path))
    ax = axonic.aio.open("test")
    q = ax.queue("jobs", durable=True, fsync=fsync)

    async def work(value: bytes) -> None:
        # All that is inherited is opened anew by its first use.
        for n in range(2):
            await q.put(value, result=n % 2 == 0)
        (await q.get(timeout=1)).ack()
        before = given_by_this_thread()
        for n in range(38):
            await q.put(value, result=n % 2 == 0)
        await q.flush(timeout=20)
        for job in await q.get_many(19, timeout=1):
            job.ack()
        assert given_by_this_thread() - before < 5000
        assert threads().count("axonic-disk") == 1

    def child() -> None:
        assert "axonic-disk" not in threads()
        asyncio.run(work(b"#" * 5000))
        q.close()
        assert "axonic-disk" not in threads()

    asyncio.run(work(b"parent"))
    in_child(child)
    asyncio.run(work(b"again"))
    assert q.purge() == 60
    ax.close()


def test_what_cannot_be_written_is_told_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AXONIC_DATA_DIR", str(tmp_path))

    async def main(ax: Domain) -> None:
        q = ax.queue("jobs", durable=True)
        assert q.sync.fsync == "always"
        (tmp_path / "test").rename(tmp_path / "elsewhere")
        while "not written yet" not in caplog.text:
            await q.put("x", durable=False)
            await asyncio.sleep(0.01)
        with pytest.raises(axonic.NotDurableError, match="the message is accepted") as caught:
            await q.put("waits")
        assert caught.value.accepted == 1
        (tmp_path / "elsewhere").rename(tmp_path / "test")
        await q.flush(timeout=20)
        q.purge()

    run(main)
    assert "WARNING" in {record.levelname for record in caplog.records if "not written" in record.message}


def test_those_who_wait_learn_of_the_end() -> None:
    async def main(ax: Domain) -> None:
        for end in ("queue", "domain"):
            q: Any = ax.queue("jobs", capacity=1)
            ticket = await q.put("x", delay=60, result=True)
            waiting = [asyncio.create_task(task) for task in (q.get(), q.put("y"), ticket.result())]
            await asyncio.sleep(0.05)
            if end == "queue":
                async with q:
                    q.purge()
                    await waiting[1]
                    (await waiting[0]).ack()
            else:
                ax.close()
            for task in waiting[2:] if end == "queue" else waiting:
                with pytest.raises((axonic.ClosedError, axonic.NotFoundError)):
                    await task

    run(main)
