"""Queues: each message to one consumer, until it is settled."""

from __future__ import annotations

import dataclasses
import gc
import mmap
import multiprocessing
import os
import pickle
import select
import signal
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import axonic
from conftest import Script, finish
from test_fork import in_child

ORDER = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}


@dataclasses.dataclass
class Order:
    id: int


def values(q: axonic.Queue[Any], count: int) -> list[Any]:
    """The next values, each acknowledged."""
    found = []
    for _ in range(count):
        with q.get(timeout=5) as job:
            found.append(job.value)
    return found


def test_values_of_every_kind(q: axonic.Queue[Any]) -> None:
    big = bytes(range(256)) * 8192
    for value in (b"bytes", bytearray(b"array"), big, {"id": 1}, [1, None], "text", 7, Order(3)):
        q.put(value)
    assert values(q, 8) == [b"bytes", b"array", big, {"id": 1}, [1, None], "text", 7, {"id": 3}]
    q.put({"packed": True}, content="msgpack", attributes={"type": "note"})
    with q.get(timeout=1) as job:
        assert (job.content, job.value, job.attributes) == ("msgpack", {"packed": True}, {"type": "note"})
        assert job.value is job.value
        assert job.dtype is job.shape is None
    with pytest.raises(axonic.InvalidArgumentError, match="raw"):
        q.put({"id": 1}, content="raw")
    assert q.try_get() is None
    stats = q.stats()
    assert (stats.put, stats.delivered, stats.acked, stats.ready, stats.bytes) == (9, 9, 9, 0, 0)
    assert repr(stats).startswith("QueueStats(ready=0, delayed=0, leased=0, done=0, dead=0, capacity=65536, ")


def test_arrays(q: axonic.Queue[Any]) -> None:
    for dtype in ("float32", "complex128", "uint8", "float16"):
        frame = np.arange(24).reshape(2, 3, 4).astype(dtype)
        q.put(frame)
        job = q.get(timeout=1)
        assert (job.content, job.dtype, job.shape) == ("tensor", dtype, (2, 3, 4))
        received = job.value
        job.ack()
        del job
        gc.collect()
        assert received.dtype == frame.dtype
        assert (received == frame).all()
        assert not received.flags.writeable


def test_types_and_schemas(ax: axonic.Domain, q: axonic.Queue[Any]) -> None:
    typed = ax.queue("jobs", type=Order, schema=ORDER)
    typed.put(Order(1))
    typed.put({"id": 2})
    assert values(typed, 2) == [Order(1), Order(2)]
    for wrong in ({"id": "one"}, b"bytes"):
        with pytest.raises(axonic.InvalidArgumentError, match=r"jobs.*nothing was put"):
            ax.queue("jobs", schema=ORDER).put(wrong)
    for bad in ("first", "second"):
        q.put({"id": bad})
    q.put({"id": 3})
    with pytest.raises(axonic.DecodeError, match="dead letters"):
        typed.get(timeout=1)
    assert [job.value for job in typed.get_many(timeout=1)] == [Order(3)]
    letters = q.dead_letters()
    assert [letter.value for letter in letters] == [{"id": "first"}, {"id": "second"}]
    assert all(letter.reason == "rejected" and "/id" in letter.reason_text for letter in letters)


def test_what_cannot_be_read_takes_nothing_with_it(ax: axonic.Domain, runtime: Path) -> None:
    q = ax.queue("jobs", max_attempts=2)
    q.put_many(["a", "b"])
    q.put("damaged", attributes={"subject": "it"})
    q.put_many(["c", "d"])
    with (runtime / "test" / "queues" / "jobs").open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        # No MessagePack value begins with this.
        memory[memory.find(b"\xa7subject")] = 0xC1
    jobs = q.get_many(timeout=1)
    assert [(job.value, job.attempt) for job in jobs] == [(value, 1) for value in "abcd"]
    with pytest.raises(axonic.CorruptError, match="attributes"):
        q.get_many(timeout=1)
    assert [letter.value for letter in q.dead_letters()] == ["damaged"]
    assert q.stats().leased == 4
    for job in jobs:
        job.ack()
    q.purge(dead=True)


def test_priorities_delays_and_time_to_live(q: axonic.Queue[Any]) -> None:
    q.put("later", delay=0.15)
    q.put("too late", ttl=0.0)
    for value, priority in (("low", 0), ("high", 7), ("middle", 3)):
        q.put(value, priority=priority)
    assert [peeked.value for peeked in q.peek(2)] == ["high", "middle"]
    with q.get(timeout=1) as job:
        assert (job.value, job.priority, job.attempt) == ("high", 7, 1)
    assert values(q, 2) == ["middle", "low"]
    assert q.try_get() is None
    assert q.stats().delayed == 1
    assert values(q, 1) == ["later"]
    (letter,) = q.dead_letters()
    assert (letter.value, letter.reason, letter.reason_text, letter.attempts) == (
        "too late",
        "expired",
        "",
        0,
    )
    with pytest.raises(axonic.InvalidArgumentError, match="priority 8"):
        q.put(b"", priority=8)
    for wrong in ({"delay": -1}, {"ttl": float("nan")}, {"timeout": -1}):
        with pytest.raises(axonic.InvalidArgumentError, match="seconds"):
            q.put(b"", **wrong)


def test_a_block_settles_its_job(q: axonic.Queue[Any]) -> None:
    q.put("work")
    with pytest.raises(ZeroDivisionError), q.get(timeout=1) as job:
        _ = 1 / 0
    assert job.settled
    with q.get(timeout=0) as again:
        assert (again.value, again.attempt) == ("work", 2)
        assert again.token > job.token
        assert "attempt 2" in repr(again)
    assert "settled" in repr(again)
    assert q.try_get() is None
    q.put("settled inside")
    with q.get(timeout=1) as job:
        job.nack(delay=0.05)
    with pytest.raises(axonic.Reject), q.get(timeout=1) as job:
        raise axonic.Reject("no good")
    (letter,) = q.dead_letters()
    assert (letter.reason, letter.reason_text, letter.attempts) == ("rejected", "no good", 2)
    assert "rejected, 2 attempts" in repr(letter)


def test_a_job_is_settled_once(q: axonic.Queue[Any]) -> None:
    for settle in (axonic.Job.ack, axonic.Job.nack, axonic.Job.reject):
        q.put(b"x")
        job = q.get(timeout=1)
        assert not job.settled
        settle(job)
        for late in (
            job.ack,
            job.nack,
            job.reject,
            lambda job=job: job.extend(1),
            lambda job=job: job.progress(1),
        ):
            with pytest.raises(axonic.ClosedError, match=r"jobs.*settled already"):
                late()
        assert job.data == b"x"
    q.purge()
    assert (q.stats().acked, q.stats().dead) == (1, 1)


def test_a_dropped_job_is_given_back(q: axonic.Queue[Any]) -> None:
    q.put(b"x")
    job = q.get(timeout=1)
    assert q.try_get() is None
    del job
    with q.get(timeout=0) as again:
        assert again.attempt == 2


def test_attempts_end_in_the_dead_letters_and_begin_again(ax: axonic.Domain) -> None:
    q = ax.queue("jobs", max_attempts=2)
    q.put("poison")
    for _ in range(2):
        q.get(timeout=1).nack()
    assert q.try_get() is None
    (letter,) = q.dead_letters()
    assert (letter.value, letter.reason, letter.attempts) == ("poison", "attempts", 2)
    assert q.redrive() == 1
    with q.get(timeout=1) as job:
        assert job.attempt == 1
        job.reject()
    q.put("waiting")
    assert q.purge() == 1
    assert q.purge(dead=True) == 1
    assert q.redrive(5) == 0
    assert (q.stats().ready, q.stats().dead, q.stats().buried) == (0, 0, 2)


def test_leases(q: axonic.Queue[Any]) -> None:
    q.put("leased")
    job = q.get(timeout=1, lease=0.05)
    with q.get(timeout=5) as again:
        assert (again.value, again.attempt) == ("leased", 2)
    with pytest.raises(axonic.LeaseLostError, match="lease"):
        job.ack()
    q.put("extended")
    job = q.get(timeout=1, lease=0.05)
    job.extend(60)
    with pytest.raises(axonic.TimeoutError, match=r"jobs.*no message within 200ms"):
        q.get(timeout=0.2)
    job.ack()


def test_tickets(q: axonic.Queue[Any]) -> None:
    results: list[Any] = [{"answer": 42}, b"raw", "text", None, np.arange(6.0).reshape(2, 3)]
    tickets = q.put_many(range(len(results)), result=True)
    first = tickets[0]
    assert (first.done(), first.progress, "open" in repr(first)) == (False, 0.0, True)
    with pytest.raises(axonic.TimeoutError, match=r"jobs.*no result within 50ms"):
        first.result(timeout=0.05)
    for result in results:
        with q.get(timeout=1) as job:
            job.progress(0.5)
            assert tickets[job.value].progress == 0.5
            job.ack(result)
    assert first.done()
    assert first.progress == 1.0
    for ticket, result in zip(tickets, results, strict=True):
        assert np.array_equal(ticket.result(timeout=1), result)
    assert first.result() is first.result()
    assert "done" in repr(first)
    large = q.put(b"", result=True)
    q.get(timeout=1).ack(bytes(1 << 20))
    assert large.result(timeout=1) == bytes(1 << 20)


def test_threads_that_wait_for_one_ticket_are_all_told(q: axonic.Queue[Any]) -> None:
    ticket = q.put("question", result=True)
    told: list[Any] = []
    waiting = threading.Barrier(4)

    def wait() -> None:
        waiting.wait()
        told.append(ticket.result(timeout=20))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    waiting.wait()
    time.sleep(0.05)
    q.get(timeout=1).ack("answer")
    for thread in threads:
        thread.join(20)
    assert told == ["answer"] * 3
    assert ticket.result(timeout=0) == "answer"


def test_tickets_of_what_is_not_done(q: axonic.Queue[Any]) -> None:
    rejected, purged, dropped = (q.put(n, result=True) for n in range(3))
    q.get(timeout=1).reject("no such model")
    for _ in range(2):
        with pytest.raises(axonic.RejectedError, match="no such model"):
            rejected.result(timeout=1)
    assert rejected.done()
    del dropped
    assert q.purge() == 2
    with pytest.raises(axonic.NotFoundError):
        purged.result(timeout=1)
    ticket = q.put(b"", result=True)
    q.close()
    with pytest.raises(axonic.ClosedError):
        ticket.result(timeout=1)


def test_a_full_queue(ax: axonic.Domain) -> None:
    q = ax.queue("small", capacity=2)
    q.put_many([1, 2])
    with pytest.raises(axonic.WouldBlockError, match=r"small.*2 messages"):
        q.try_put(3)
    for timeout in (0, 0.15):
        with pytest.raises(axonic.TimeoutError, match="small"):
            q.put(3, timeout=timeout)
    assert values(q, 1) == [1]
    with pytest.raises(axonic.TimeoutError, match="1 of 3 values"):
        q.put_many([3, 4, 5], timeout=0.15)
    assert values(q, 1) == [2]
    assert q.try_put(3)
    waiting = threading.Thread(target=q.put, args=(4,))
    waiting.start()
    assert values(q, 2) == [3, 3]
    waiting.join(10)
    assert values(q, 1) == [4]
    with pytest.raises(axonic.TooLargeError):
        ax.queue("tiny", max_bytes=1000).put(bytes(100_000))
    with pytest.raises(axonic.InvalidArgumentError, match="JSON"):
        q.put_many([1, object()])
    assert q.try_get() is None


def test_many_at_once(q: axonic.Queue[Any]) -> None:
    q.put_many(range(100), priority=1)
    q.put_many(iter([]))
    jobs = q.get_many(60, timeout=1)
    assert [job.value for job in jobs] == list(range(60))
    jobs += q.get_many(timeout=1)
    assert len(jobs) == 100
    for job in jobs:
        job.ack()
    with pytest.raises(axonic.TimeoutError):
        q.get_many(timeout=0)
    with pytest.raises(axonic.InvalidArgumentError, match="max=0"):
        q.get_many(0)


def test_of_many_all_are_put_or_what_is_too_large_says_that_none_is(ax: axonic.Domain) -> None:
    q = ax.queue("small", max_bytes=1 << 20)
    with pytest.raises(axonic.TooLargeError, match="max_bytes") as told:
        q.put_many([b"little", bytes(2 << 20)])
    assert told.value.accepted == 0
    assert q.stats().put == 0


def test_iteration(q: axonic.Queue[Any]) -> None:
    q.put_many("abc")
    seen = []
    for job in q:
        with job:
            seen.append(job.value)
        if len(seen) == 3:
            break
    assert seen == ["a", "b", "c"]


def test_closing(ax: axonic.Domain) -> None:
    with ax.queue("jobs") as q:
        q.put(b"x")
        job = q.get(timeout=1)
        assert "closed" not in repr(q)
    assert q.closed
    assert "closed" in repr(q)
    for use in (lambda: q.put(b""), q.get, q.peek, lambda: q.put(b"", result=True), job.ack):
        with pytest.raises(axonic.ClosedError, match="jobs"):
            use()
    q.close()
    with ax.queue("jobs") as other, other.get(timeout=1) as again:
        assert again.attempt == 2
    fresh = ax.queue("unused")
    fresh.close()
    with pytest.raises(axonic.ClosedError):
        fresh.put(b"")
    with pytest.raises(axonic.InvalidNameError, match="queue"):
        ax.queue("a b")


def test_a_domain_closes_its_queues(runtime: Any) -> None:
    with axonic.open("test") as ax:
        q = ax.queue("jobs")
        q.put(b"x")
        ticket = q.put(b"y", result=True)
        job = q.get(timeout=1)
        participant = ax.participant
    assert q.closed
    for use in (job.ack, lambda: ticket.result(timeout=1), lambda: q.put(b"")):
        with pytest.raises(axonic.ClosedError):
            use()
    with axonic.open("test") as ax:
        # The place was given back, although job, ticket and queue are still here.
        assert ax.participant.split(".")[0] == participant.split(".")[0]
        other = ax.queue("jobs")
        assert [job.data for job in other.get_many(timeout=1)] == [b"x", b"y"]
        other.close()
        ax.unlink("queue", "jobs")
        with pytest.raises(axonic.NotFoundError):
            ax.unlink("queue", "jobs")


def test_threads_share_one_object(q: axonic.Queue[Any]) -> None:
    count, seen, lock = 2000, [], threading.Lock()

    def work() -> None:
        while True:
            with q.get(timeout=20) as job:
                if job.value is None:
                    return
                with lock:
                    seen.append(job.value)

    def put(start: int) -> None:
        for n in range(start, count, 2):
            q.put(n)

    workers = [threading.Thread(target=work) for _ in range(4)]
    putters = [threading.Thread(target=put, args=(start,)) for start in range(2)]
    for thread in workers + putters:
        thread.start()
    for thread in putters:
        thread.join()
    q.put_many([None] * 4)
    for thread in workers:
        thread.join(30)
    assert sorted(seen) == list(range(count))
    assert q.stats().acked == count + 4


def test_putting_goes_on_while_others_wait(q: axonic.Queue[Any]) -> None:
    """Neither a thread in get() nor one that waits for a result holds up those that put."""
    asked = q.put("asked", delay=60, result=True)

    def wait_for_result() -> None:
        with pytest.raises(axonic.NotFoundError):
            asked.result(timeout=20)

    waiters = [threading.Thread(target=values, args=(q, 1)), threading.Thread(target=wait_for_result)]
    for thread in waiters:
        thread.start()
    time.sleep(0.05)

    started = time.monotonic()
    tickets = []

    def put() -> None:
        for _ in range(30):
            tickets.append(q.put("more", delay=60, result=True))
            q.put("more", delay=60)

    putter = threading.Thread(target=put)
    putter.start()
    putter.join()
    # Had it to wait for a turn, each of these would take up to a tenth of a second.
    assert time.monotonic() - started < 1
    q.put("the end")
    waiters[0].join(10)
    assert q.purge() == 61
    waiters[1].join(10)
    assert not any(thread.is_alive() for thread in waiters)


def test_threads_that_ask_for_results_leave_nothing_behind(q: axonic.Queue[Any]) -> None:
    descriptors = []

    def ask(n: int) -> None:
        ticket = q.put(n, result=True)
        q.get(timeout=5).ack(n)
        assert ticket.result(timeout=5) == n
        descriptors.append(len(os.listdir("/proc/self/fd")))

    threads = len(os.listdir("/proc/self/task"))
    for n in range(10):
        thread = threading.Thread(target=ask, args=(n,))
        thread.start()
        thread.join()
        # It is joined a moment before it has ended.
        while len(os.listdir("/proc/self/task")) > threads:
            time.sleep(0.001)
    assert descriptors[0] == descriptors[-1]


def test_what_many_threads_had_open_goes_when_few_are_left(q: axonic.Queue[Any]) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def ask(tickets: int) -> None:
        kept.extend(q.put(0, result=True) for _ in range(tickets))

    def in_threads(count: int) -> None:
        threads = [threading.Thread(target=ask, args=(1,)) for _ in range(count)]
        for thread in threads:
            thread.start()
            thread.join()

    kept: list[Any] = []
    in_threads(1)
    few = descriptors()
    in_threads(20)
    assert descriptors() >= few + 20
    kept.clear()
    gc.collect()
    in_threads(1)
    assert descriptors() <= few + 10, "two threads' at most"
    q.purge()


def test_descriptors(q: axonic.Queue[Any], ax: axonic.Domain) -> None:
    poll = select.poll()
    poll.register(q.fileno(), select.POLLIN)
    while q.try_get() is not None or poll.poll(0):
        pass
    with axonic.WaitSet() as waits:
        waits.add(q)
        assert waits.wait(0) == []
        q.put(b"x")
        assert waits.wait(5) == [q]
    values(q, 1)
    small = ax.queue("small", capacity=1)
    poll = select.poll()
    poll.register(small.put_fileno(), select.POLLIN)
    small.put(b"")
    with pytest.raises(axonic.WouldBlockError):
        while True:
            small.try_put(b"")
    assert poll.poll(0) == []
    values(small, 1)
    assert poll.poll(5000)
    ticket = small.put(b"", result=True)
    poll = select.poll()
    poll.register(small.put_fileno(result=True), select.POLLIN)
    while poll.poll(0):
        with pytest.raises(axonic.TimeoutError):
            ticket.result(timeout=0)
    values(small, 1)
    assert poll.poll(5000)
    assert ticket.done()


def test_another_process_works(q: axonic.Queue[Any], script: Script) -> None:
    process = script("""
        import axonic
        with axonic.open("test") as ax, ax.queue("jobs") as q:
            for job in q:
                with job:
                    if job.value is None:
                        break
                    job.ack(job.value * 2)
        """)
    tickets = q.put_many(range(50), result=True)
    assert [ticket.result(timeout=20) for ticket in tickets] == [2 * n for n in range(50)]
    q.put(None)
    finish(process)


def test_what_a_killed_process_had_comes_back_at_once(q: axonic.Queue[Any], script: Script) -> None:
    q.put("precious")
    process = script("""
        import axonic, sys
        job = axonic.open("test").queue("jobs").get(timeout=20)
        print(job.value, flush=True)
        sys.stdin.read()
        """)
    assert process.stdout is not None
    assert process.stdout.readline() == "precious\n"
    assert q.try_get() is None
    process.kill()
    with q.get(timeout=5) as job:
        assert (job.value, job.attempt) == ("precious", 2)


def test_ctrl_c_in_get(script: Script) -> None:
    process = script("""
        import axonic
        with axonic.open("test") as ax, ax.queue("jobs") as q:
            q.put("x", result=True)
            with q.get() as job:
                job.nack(delay=60)
            print("waiting", flush=True)
            try:
                q.get()
            except KeyboardInterrupt:
                print("interrupted", q.stats().delayed)
        """)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert finish(process) == "interrupted 1\n"


def test_the_same_message_only_once(q: axonic.Queue[Any]) -> None:
    assert q.put("order", dedup_id="7")
    assert not q.put("order", dedup_id="7")
    assert not q.try_put("order", dedup_id="7")
    assert q.put("order", dedup_id="7", result=True) is None
    ticket = q.put("order", dedup_id="8", result=True)
    assert [job.value for job in q.get_many(timeout=1)] == ["order", "order"]
    assert ticket is not None
    assert not ticket.done()


def test_how_many_ids_are_remembered_and_for_how_long(ax: axonic.Domain) -> None:
    few = ax.queue("few", dedup={"count": 3, "within": 60})
    assert [few.put(n, dedup_id=str(n)) for n in (1, 2, 3, 1)] == [True, True, True, False]
    assert few.put(4, dedup_id="4")
    assert few.put(1, dedup_id="1"), "three others came"
    assert not few.put(4, dedup_id="4")
    short = ax.queue("short", dedup={"within": 0.05})
    assert short.put("x", dedup_id="1")
    time.sleep(0.1)
    assert short.put("x", dedup_id="1"), "its time is over"
    assert pickle.loads(pickle.dumps(short)).__reduce__()[1][3]["dedup"] == {"count": 4096, "within": 0.05}
    for wrong, said in (({"count": 0}, "1048576"), ({"within": -1}, "within"), ({"size": 1}, "count")):
        with pytest.raises(axonic.InvalidArgumentError, match=said):
            ax.queue("none", dedup=wrong).put("x")  # type: ignore[arg-type]
    few.purge()
    short.purge()


@pytest.mark.parametrize(
    "options",
    [{"capacity": 0}, {"max_bytes": 1 << 60}, {"max_attempts": 1 << 20}, {"dedup": {"count": 0}}],
    ids=str,
)
def test_options_that_no_queue_can_have(ax: axonic.Domain, runtime: Path, options: Any) -> None:
    with pytest.raises(axonic.InvalidArgumentError, match=r"queue 'zz': .*\b1 to "):
        ax.queue("zz", **options)
    ax.queue("zz")
    assert not list(runtime.glob("test/queues/zz")), "it is made at its first use"


def test_pickled_by_name(ax: axonic.Domain) -> None:
    q = ax.queue("jobs", Order, schema=ORDER, capacity=100, max_bytes=1 << 20, max_attempts=3, wait="block")
    q.put(Order(1))
    again = pickle.loads(pickle.dumps(q))
    with again.get(timeout=1) as job:
        assert job.value == Order(1)
    assert again.__reduce__()[1][1:] == q.__reduce__()[1][1:]
    durable = ax.queue("kept", durable=True, fsync="interval", fsync_interval=0.5)
    assert durable.__reduce__()[1][3].items() >= {"durable": True, "fsync_interval": 0.5}.items()
    assert q.__reduce__()[1][1:3] == ("queue", "jobs")
    assert (again.stats().capacity, again.stats().max_bytes <= 1 << 20) == (100, True)
    with pytest.raises(TypeError):
        pickle.dumps(job)


def double(q: axonic.Queue[Any]) -> None:
    with q.get(timeout=20) as job:
        job.ack(2 * job.value)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(q: axonic.Queue[Any], method: str) -> None:
    ticket = q.put(21, result=True)
    process: Any = multiprocessing.get_context(method).Process(target=double, args=(q,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process.start()
    assert ticket.result(timeout=60) == 42
    process.join(30)
    assert process.exitcode == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork(q: axonic.Queue[Any]) -> None:
    q.put("for the child")
    q.put("held", priority=1)
    held = q.get(timeout=1)
    ticket = q.put("asked", delay=60, result=True)

    def child() -> None:
        uses = (held.ack, held.nack, held.reject, lambda: held.extend(1), lambda: held.progress(1))
        for use in (*uses, ticket.done, lambda: ticket.result(timeout=1), lambda: ticket.progress):
            with pytest.raises(axonic.ForkedError, match=r"jobs.*before the fork"):
                use()
        assert held.value == "held"
        assert values(q, 1) == ["for the child"]
        mine = q.put("of the child", priority=7, result=True)
        q.get(timeout=1).ack("done")
        assert mine.result(timeout=5) == "done"
        q.put("for the parent")

    in_child(child)
    held.ack()
    assert values(q, 1) == ["for the parent"]
    assert not ticket.done()
