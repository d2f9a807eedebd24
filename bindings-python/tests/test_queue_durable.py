"""Durable queues: what is on the disk survives a reboot, and who waits for the disk."""

from __future__ import annotations

import gc
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import axonic
from conftest import Script
from test_queue import values


def given_by_this_thread() -> int:
    """Bytes that it has given to files and pipes so far."""
    io = dict(line.split(": ") for line in Path("/proc/thread-self/io").read_text().splitlines())
    return int(io["wchar"])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where durable queues are."""
    monkeypatch.setenv("AXONIC_DATA_DIR", str(tmp_path))
    return tmp_path


def reboot(runtime: Path) -> None:
    """Forgets everything in memory."""
    gc.collect()
    shutil.rmtree(runtime / "test")


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_a_durable_queue_survives_a_reboot(data: Path, runtime: Path, fsync: Any) -> None:
    with axonic.open("test") as ax:
        q = ax.queue("jobs", durable=True, fsync=fsync, fsync_interval=0.01)
        assert q.fsync == ax.queue("jobs").fsync == fsync
        q.put_many(["done", "kept", {"large": "x" * 10_000}], durable=True)
        q.put("last", durable=True)
        with q.get(timeout=1, durable=True):
            pass
        q.get(timeout=1).nack()
        q.sync(timeout=20)
    reboot(runtime)
    with axonic.open("test", data_dir=data) as ax:
        q = ax.queue("jobs", durable=True)
        assert values(q, 3) == ["kept", {"large": "x" * 10_000}, "last"]
        assert q.try_get() is None
        # A process that comes now shares it; where data is kept is known to it too.
        again = pickle.loads(pickle.dumps(q))
        again.put("by name")
        assert values(q, 1) == ["by name"]
    reboot(runtime)
    assert list((data / "test" / "queues" / "jobs").iterdir())


@pytest.mark.parametrize("fsync", ["always", "never"])
def test_what_a_full_disk_does_not_take_is_put_all_the_same(
    data: Path, ax: axonic.Domain, fsync: Any
) -> None:
    q = ax.queue("jobs", durable=True, fsync=fsync)
    # So that memory for as many is there.
    q.put_many([bytes(1 << 20)] * 20)
    q.purge()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A segment of the journal is larger than this.
    resource.setrlimit(resource.RLIMIT_FSIZE, (7 << 20, before[1]))
    try:
        with pytest.raises(
            axonic.NotDurableError, match="all values are accepted, do not put that again"
        ) as all_of_them:
            q.put_many([bytes(1 << 20)] * 20)
        assert (all_of_them.value.accepted, q.stats().ready) == (20, 20)
        for _ in ("first", "duplicate"):
            with pytest.raises(
                axonic.NotDurableError, match="message is accepted, do not put that again"
            ) as one:
                q.put("one more", durable=True, dedup_id="one")
            assert one.value.accepted == 1
        assert q.stats().ready == 21
        with pytest.raises(axonic.NotDurableError, match="all values are accepted") as lost:
            q.put_many(["with a ticket"], durable=False, result=True)
        assert lost.value.accepted == 1
        # Nothing was put.
        with pytest.raises(axonic.NotDurableError, match="is acknowledged, but") as acknowledged:
            q.get(timeout=0, durable=True).ack()
        assert acknowledged.value.accepted == 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not q.put("one more", durable=True, timeout=20, dedup_id="one")
    assert q.purge() == 21


def test_no_values_are_put_and_cost_nothing(data: Path, ax: axonic.Domain) -> None:
    memory, durable = ax.queue("memory"), ax.queue("jobs", durable=True)
    for q in (memory, durable):
        assert q.put_many([]) is None
        assert q.put_many(iter(()), result=True, timeout=0) == []
        assert q.stats().put == 0
    durable.put("x", durable=False)
    # Nothing of it waits for the disk.
    before = given_by_this_thread()
    durable.put_many([], durable=True)
    assert given_by_this_thread() - before < 100
    for wrong in ({"durable": True}, {"delay": -1}):
        with pytest.raises(axonic.InvalidArgumentError):
            memory.put_many([], **wrong)  # type: ignore[call-overload]
    assert durable.purge() == 1
    memory.close()
    with pytest.raises(axonic.ClosedError):
        memory.put_many([])


def test_queues_are_in_memory_unless_asked(data: Path, q: axonic.Queue[Any]) -> None:
    for refused in (
        lambda: q.put("x", durable=True),
        lambda: q.put_many(["x"], durable=True),
        lambda: q.get(timeout=0, durable=True),
    ):
        with pytest.raises(axonic.InvalidArgumentError, match=r"'jobs'.*memory"):
            refused()
    q.sync(timeout=0)
    assert (q.fsync, q.stats().put) == (None, 0)
    assert list(data.iterdir()) == []
    with axonic.open("test") as again, pytest.raises(axonic.InvalidArgumentError, match=r"'jobs'.*memory"):
        again.queue("jobs", durable=True).stats()
    with pytest.raises(axonic.InvalidArgumentError, match="fsync"):
        q.__reduce__()[0]({"name": "test"}, "queue", "jobs", {"fsync": "sometimes"})


def test_threads_that_wait_for_the_disk_share_a_sync(data: Path, ax: axonic.Domain) -> None:
    with ax.queue("jobs", durable=True) as q:
        threads = [threading.Thread(target=q.put, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(values(q, 8)) == list(range(8))


class Alarm(Exception):
    """Raised by the handler of a signal."""


def busy_writer(script: Script) -> subprocess.Popen[str]:
    """A process that writes to the journal of `jobs` all the time."""
    writer = script(
        "import axonic\n"
        "q = axonic.open('test').queue('jobs', durable=True)\n"
        "print('ready', flush=True)\n"
        "while True:\n    q.put('x')\n    q.get().ack()"
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def stop_while_it_writes(writer: subprocess.Popen[str], q: axonic.Queue[Any]) -> axonic.NotDurableError:
    """Stops it where nobody else comes to the disk; the error of one who tried."""
    for _ in range(100):
        writer.send_signal(signal.SIGSTOP)
        try:
            q.put("mine", timeout=0.2)
        except axonic.NotDurableError as error:
            return error
        writer.send_signal(signal.SIGCONT)
        time.sleep(0.002)
    pytest.fail("it was never stopped while it wrote")


def test_who_waits_for_a_stopped_writer_can_be_interrupted(
    data: Path, ax: axonic.Domain, script: Script
) -> None:
    """Not even by a handler that uses what it interrupts."""
    writer = busy_writer(script)

    def handle(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with ax.queue("jobs", durable=True) as q:
            job = q.get(timeout=5)
            error = stop_while_it_writes(writer, q)
            assert "do not put that again" in str(error)
            assert error.accepted == 1
            with pytest.raises(axonic.NotDurableError) as many:
                q.put_many(["a", "b"], timeout=0.01)
            assert many.value.accepted == 2
            for call in (lambda: q.put("mine"), job.ack, q.purge, lambda: q.try_put("mine")):
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                with pytest.raises(Alarm):
                    call()

            def use(*_: object) -> None:
                # Its own thread would wait for itself.
                for call in (q.purge, q.try_get, q.close):
                    with pytest.raises(axonic.InUseError, match="handler interrupted; use it after"):
                        call()
                raise Alarm

            signal.signal(signal.SIGALRM, use)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Alarm):
                q.purge()
            writer.send_signal(signal.SIGCONT)
            q.close()
        with ax.queue("jobs", durable=True) as q:
            q.sync(timeout=5)
            writer.kill()
    finally:
        writer.send_signal(signal.SIGCONT)
        signal.signal(signal.SIGALRM, before)


def test_other_threads_run_while_one_does_file_work(data: Path, ax: axonic.Domain) -> None:
    """Nobody takes the interpreter from a thread here: only who lets go of it is followed by others."""
    turns, ended = 0, threading.Event()

    def turn() -> None:
        nonlocal turns
        while not ended.wait(0):
            turns += 1
            time.sleep(0)

    q = ax.queue("jobs", durable=True)
    q.put("x")
    calls: list[Callable[[], Any]] = [lambda: q.try_put("x"), q.try_get]
    # In an event loop it has a thread for that, for which others wait.
    dropped = [ax.queue(f"dropped{n}", durable=True) for n in range(20)]
    for looped in dropped:
        looped._use_in_loop()
        looped.put("x")
    del looped
    jobs = ax.queue("looped", durable=True)
    jobs._use_in_loop()
    jobs.put_many(["x"] * 100)
    calls += [lambda: jobs.get(timeout=0).ack(), lambda: dropped.pop() and None]
    interval = sys.getswitchinterval()
    other = threading.Thread(target=turn)
    other.start()
    try:
        sys.setswitchinterval(1000)
        for call in calls:
            before, end = turns, time.monotonic() + 5
            while turns == before:
                assert time.monotonic() < end, "the interpreter was kept"
                call()
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        other.join()
    q.purge()
