"""Functions that work on a queue's jobs in threads."""

from __future__ import annotations

import itertools
import logging
import signal
import threading
import time
from typing import Any

import pytest

import axonic
from conftest import Script, finish


@pytest.fixture
def q(ax: axonic.Domain) -> axonic.Queue[Any]:
    return ax.queue("jobs", max_attempts=3)


def test_what_it_returns_is_the_result(q: axonic.Queue[Any]) -> None:
    @q.worker(concurrency=3)
    def square(job: axonic.Job[int]) -> int:
        """Squares."""
        return job.value * job.value

    assert isinstance(square, axonic.Worker)
    assert (square.__name__, square.__doc__) == ("square", "Squares.")
    assert "square of 'jobs', 3 threads, stopped" in repr(square)
    before = threading.active_count()
    with square:
        assert "running" in repr(square)
        assert threading.active_count() == before + 3
        assert square.start() is square
        tickets = q.put_many(range(100), result=True)
        assert [ticket.result(timeout=20) for ticket in tickets] == [n * n for n in range(100)]
    assert threading.active_count() == before
    q.put(7)
    with q.get(timeout=1) as job:
        assert square(job) == 49
    with square:
        assert q.put(2, result=True).result(timeout=20) == 4


def test_they_work_at_the_same_time(q: axonic.Queue[Any]) -> None:
    together = threading.Barrier(2)

    @q.worker(concurrency=2)
    def meet(job: axonic.Job[Any]) -> None:
        together.wait(20)

    with meet:
        for ticket in q.put_many(range(2), result=True):
            assert ticket.result(timeout=20) is None


def test_exceptions_give_the_job_back(q: axonic.Queue[Any], caplog: pytest.LogCaptureFixture) -> None:
    attempts = []

    @q.worker()
    def fail(job: axonic.Job[Any]) -> object:
        attempts.append(job.attempt)
        if job.value == "bad":
            raise axonic.Reject("no good")
        if job.value == "no result":
            return object()
        return 1 / 0

    with fail, caplog.at_level(logging.ERROR):
        bad, worse, odd = q.put_many(["bad", "worse", "no result"], result=True)
        with pytest.raises(axonic.RejectedError, match="no good"):
            bad.result(timeout=20)
        with pytest.raises(axonic.RejectedError, match="ZeroDivisionError: division by zero"):
            worse.result(timeout=20)
        with pytest.raises(axonic.RejectedError, match="has no JSON form"):
            odd.result(timeout=20)
    assert attempts[0] == 1
    assert sorted(attempts[1:]) == [1, 1, 2, 2, 3, 3]
    # What was rejected needs no traceback.
    assert [record.name for record in caplog.records] == [__name__] * 6
    assert "queue 'jobs': attempt 1 at a job failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    letters = {letter.value: (letter.reason, letter.reason_text) for letter in q.dead_letters()}
    assert letters["bad"] == ("rejected", "no good")
    assert letters["worse"] == ("rejected", "ZeroDivisionError: division by zero")


def test_the_last_attempt_is_the_last_by_the_queue(ax: axonic.Domain) -> None:
    # Whoever makes the queue decides.
    made = ax.queue("jobs", max_attempts=1)
    made.put(b"")

    @ax.queue("jobs").worker()
    def fail(job: axonic.Job[Any]) -> None:
        raise OSError(f"no file \udc80 {'x' * 5000}")

    with fail:
        while not (letters := made.dead_letters()):
            time.sleep(0.01)
    assert (letters[0].attempts, letters[0].reason) == (1, "rejected")
    assert letters[0].reason_text == r"OSError: no file \udc80 ".ljust(4096, "x")


def test_each_attempt_comes_later(ax: axonic.Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axonic._worker._LONGEST_PAUSE", 0.3)
    q, begun = ax.queue("jobs", max_attempts=0), []

    @q.worker()
    def fail(job: axonic.Job[Any]) -> str:
        begun.append(time.monotonic())
        if job.attempt == 5:
            return "at last"
        raise ValueError

    with fail:
        assert q.put(b"", result=True).result(timeout=20) == "at last"
    pauses = [later - earlier for earlier, later in itertools.pairwise(begun)]
    # Never sooner than asked for; how much later says nothing.
    assert [pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.3, 0.3), strict=True)] == [True] * 4


def test_a_function_may_settle_its_job(q: axonic.Queue[Any]) -> None:
    @q.worker(lease=60)
    def settle(job: axonic.Job[Any]) -> str:
        if job.attempt == 1:
            job.nack()
        else:
            job.ack("of its own")
        return "ignored"

    with settle:
        assert q.put(b"", result=True).result(timeout=20) == "of its own"


def test_run_ends_when_it_is_stopped_or_the_queue_closed(q: axonic.Queue[Any]) -> None:
    started = threading.Event()

    @q.worker(concurrency=2)
    def work(job: axonic.Job[Any]) -> None:
        started.set()
        time.sleep(0.2)

    for end in (work.stop, q.close):
        started.clear()
        q.put(b"")
        runner = threading.Thread(target=work.run)
        runner.start()
        assert started.wait(20)
        end()
        runner.join(20)
        assert not runner.is_alive()
        assert threading.active_count() == 1
        if end == work.stop:
            assert q.stats().acked == 1, "the job it had was finished"


def test_the_function_may_stop_it(q: axonic.Queue[Any]) -> None:
    together, asked = threading.Barrier(2), []

    @q.worker(concurrency=2)
    def last(job: axonic.Job[Any]) -> str:
        together.wait(20)
        last.stop()
        asked.append(last.start() is last)
        return "done"

    for _ in range(2):
        tickets = q.put_many(range(2), result=True)
        last.run()
        assert [ticket.result(timeout=0) for ticket in tickets] == ["done", "done"]
        assert asked == [True, True]
        asked.clear()
        assert threading.active_count() == 1
    # Threads that ended are started again, too.
    for _ in range(2):
        tickets = q.put_many(range(2), result=True)
        last.start()
        assert [ticket.result(timeout=20) for ticket in tickets] == ["done", "done"]
    last.stop()
    assert threading.active_count() == 1


def test_ctrl_c_ends_it_when_the_job_is_done(script: Script) -> None:
    process = script("""
        import time, axonic
        with axonic.open("test") as ax:
            q = ax.queue("jobs")

            @q.worker(concurrency=2)
            def work(job):
                print("begun", flush=True)
                time.sleep(0.3)

            q.put(b"")
            work.run()
            print("ended", q.stats().acked)
        """)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == "ended 1\n"


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(0)", "work.stop()"])
def test_the_program_ends_when_the_jobs_are_done(script: Script, end: str) -> None:
    process = script(f"""
        import threading, axonic
        q = axonic.open("test").queue("jobs")
        begun, may_end = threading.Event(), threading.Event()

        @q.worker(concurrency=2)
        def work(job):
            begun.set()
            may_end.wait()
            if end != "work.stop()":
                threading.main_thread().join()
            print("done\\n", end="", flush=True)  # in one piece, beside the other thread's

        end = {end!r}
        q.put_many(range(2))
        work.start()
        begun.wait()
        print("bye", flush=True)
        may_end.set()
        {end}
        """)
    lines = finish(process).splitlines()
    assert lines[0] == "bye"
    assert lines[1:] in (["done"], ["done"] * 2)


def test_what_cannot_work(q: axonic.Queue[Any]) -> None:
    with pytest.raises(axonic.InvalidArgumentError, match="concurrency"):
        q.worker(concurrency=0)
    with pytest.raises(axonic.InvalidArgumentError, match="lease"):
        q.worker(lease=-1)

    async def later(job: axonic.Job[Any]) -> None: ...

    with pytest.raises(axonic.InvalidArgumentError, match="coroutine"):
        q.worker()(later)


def test_it_says_that_it_stops(q: axonic.Queue[Any]) -> None:
    may_end = threading.Event()

    @q.worker(concurrency=2)
    def work(job: axonic.Job[Any]) -> None:
        if job.value == "leave":
            raise SystemExit(3)
        may_end.wait(20)

    q.put_many(["stay", "leave"])
    work.start()
    while not work._stopping.is_set():
        time.sleep(0.01)
    assert repr(work).endswith("stopping>")
    may_end.set()
    with pytest.raises(SystemExit):
        work.stop()
    assert repr(work).endswith("stopped>")


def test_what_ends_a_thread_is_raised(q: axonic.Queue[Any]) -> None:
    @q.worker()
    def leave(job: axonic.Job[Any]) -> None:
        raise SystemExit(3)

    q.put(b"")
    with pytest.raises(SystemExit):
        leave.run()
    leave.start()
    while threading.active_count() > 1:
        time.sleep(0.01)
    assert repr(leave).endswith("stopped>")
    with pytest.raises(SystemExit):
        leave.start()
    with q.get(timeout=1) as job:
        assert job.attempt == 3
