"""Locks between processes: what each type promises, in threads and processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from subprocess import Popen
from typing import Any

import pytest

import axonic
from conftest import Script, finish
from test_fork import in_child

OPENERS: dict[str, Callable[[axonic.Domain], Any]] = {
    "mutex": lambda ax: ax.mutex("lock"),
    "rwlock": lambda ax: ax.rwlock("lock"),
    "semaphore": lambda ax: ax.semaphore("lock", 2),
    "event": lambda ax: ax.event("lock"),
    "barrier": lambda ax: ax.barrier("lock", 2),
    "condvar": lambda ax: ax.condvar("lock", ax.mutex("its mutex".replace(" ", "-"))),
}


def within(seconds: float, done: Callable[[], bool]) -> None:
    """Waits until it is so."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.002)


@contextlib.contextmanager
def thread(work: Callable[[], Any]) -> Iterator[list[Any]]:
    """Runs `work` beside the block, and answers what it returned or raised once the block has ended."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    yield outcome
    worker.join(20)
    assert not worker.is_alive(), "it waits for ever"


def holding(script: Script, take: str) -> Popen[str]:
    """A process that has taken something, until its input ends or it is killed."""
    process = script(f"""
        import axonic, sys
        ax = axonic.open("test")
        lock = {take}
        print("taken", flush=True)
        sys.stdin.read()
        """)
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n", process.communicate()[1]
    return process


def kill(process: Popen[str]) -> None:
    process.kill()
    process.wait(20)


def test_a_mutex(ax: axonic.Domain) -> None:
    mutex, other = ax.mutex("gpu", timeout=5), ax.mutex("gpu")
    assert (mutex.name, mutex.timeout, other.timeout, mutex.closed) == ("gpu", 5, None, False)
    assert repr(mutex) == '<axonic.Mutex "gpu" in "test">'
    with mutex as held:
        assert held is mutex
        assert mutex.locked()
        assert not any((mutex.owner_died, other.locked(), other.try_acquire()))
        assert repr(mutex) == '<axonic.Mutex "gpu" in "test", held>'
        for timeout in (0, 0.03):
            with pytest.raises(axonic.TimeoutError, match=r"gpu.*not unlocked within.*doctor"):
                other.acquire(timeout=timeout)
    assert not mutex.locked()
    assert other.acquire() is True
    assert not mutex.try_acquire()
    other.release()
    assert mutex.try_acquire()
    mutex.release()
    with pytest.raises(axonic.InvalidArgumentError, match=r"mutex 'gpu'.*not locked"):
        mutex.release()
    with pytest.raises(ZeroDivisionError):
        with mutex:
            _ = 1 / 0
    assert not mutex.locked()
    assert other.try_acquire()


def test_the_timeout_of_a_mutex_is_that_of_its_block(ax: axonic.Domain) -> None:
    short = ax.mutex("gpu", timeout=0.03)
    with ax.mutex("gpu"):
        started = time.monotonic()
        with pytest.raises(axonic.TimeoutError):
            with short:
                pytest.fail("two have it")
        with pytest.raises(axonic.TimeoutError):
            short.acquire()
        assert time.monotonic() - started < 5
        with pytest.raises(axonic.TimeoutError):
            short.acquire(timeout=0.2)
        assert time.monotonic() - started >= 0.25
    for timeout in (-1, float("nan")):
        with pytest.raises(axonic.InvalidArgumentError, match="timeout"):
            ax.mutex("gpu", timeout=timeout)
        with pytest.raises(axonic.InvalidArgumentError, match="timeout"):
            short.acquire(timeout=timeout)


def test_threads_that_share_a_mutex_take_turns(ax: axonic.Domain) -> None:
    mutex, count = ax.mutex("m"), [0]

    def work() -> None:
        for _ in range(300):
            with mutex:
                before = count[0]
                time.sleep(0)
                count[0] = before + 1

    with contextlib.ExitStack() as stack:
        outcomes = [stack.enter_context(thread(work)) for _ in range(4)]
    assert outcomes == [[None]] * 4
    assert count == [1200]


def test_any_thread_may_release(ax: axonic.Domain) -> None:
    mutex = ax.mutex("m")
    mutex.acquire()
    with thread(mutex.release) as outcome:
        assert mutex.acquire(timeout=10)
    assert outcome == [None]
    mutex.release()


def test_who_takes_a_mutex_from_the_dead_is_told(ax: axonic.Domain, script: Script) -> None:
    mutex = ax.mutex("m", timeout=20)
    process = holding(script, 'ax.mutex("m").acquire()')
    # The object is forgotten at once there, and so is what it had.
    assert mutex.try_acquire()
    mutex.release()
    kill(process)
    process = holding(script, '[ax.mutex("m")]; lock[0].acquire()')
    assert not mutex.try_acquire()
    with thread(lambda: mutex.acquire() and mutex.owner_died) as outcome:
        time.sleep(0.05)
        kill(process)
    assert outcome == [True]
    mutex.release()
    assert not mutex.owner_died
    with mutex as held:
        assert not held.owner_died
    kill(holding(script, '[ax.mutex("m")]; lock[0].acquire()'))
    with mutex as held:
        assert held.owner_died


def test_many_read_or_one_writes(ax: axonic.Domain) -> None:
    lock, other = ax.rwlock("rw"), ax.rwlock("rw")
    assert (lock.name, lock.closed, repr(lock)) == ("rw", False, '<axonic.RwLock "rw" in "test">')
    # The call alone takes nothing.
    reads = lock.read()
    assert not lock.locked()
    assert repr(reads) == '<axonic.Held "rw" in "test", to read, not held>'
    with reads, reads:
        with reads:
            pass
        assert repr(reads) == '<axonic.Held "rw" in "test", to read, held>'
    assert repr(lock.write()) == '<axonic.Held "rw" in "test", to write, not held>'
    # A block of one object, of another, and of the same again.
    with lock.read(), other.read(timeout=1) as held, lock.read():
        assert not held.owner_died
        assert lock.locked()
        assert not other.try_acquire_write()
        with pytest.raises(axonic.TimeoutError, match="rwlock 'rw'"):
            other.acquire_write(timeout=0.03)
        assert other.try_acquire_read()
        other.release()
    assert not lock.locked()
    with lock.write(timeout=1):
        assert not any((other.try_acquire_read(), other.try_acquire_write(), lock.try_acquire_write()))
        with pytest.raises(axonic.TimeoutError):
            with other.read(timeout=0.03):
                pytest.fail("it reads what is written")
    assert lock.acquire_read() is True
    lock.release()
    assert lock.acquire_write() is True
    assert not lock.owner_died
    lock.release()
    with pytest.raises(axonic.InvalidArgumentError, match=r"rwlock 'rw'.*not locked"):
        lock.release()
    unused = lock.read()
    assert lock.try_acquire_write(), "a block that does not begin has nothing"
    lock.release()
    del unused


def test_a_writer_that_waits_keeps_its_place(ax: axonic.Domain) -> None:
    lock = ax.rwlock("rw", wait="block")
    lock.acquire_read()

    def turned_away() -> bool:
        if came_in := lock.try_acquire_read():
            lock.release()
        return not came_in

    with thread(lambda: lock.acquire_write(timeout=10)) as outcome:
        within(5, turned_away)
        # Signals are looked at several times meanwhile.
        started = time.monotonic()
        while time.monotonic() - started < 0.35:
            assert not lock.try_acquire_read()
        lock.release()
    assert outcome == [True]
    lock.release()


def test_who_comes_after_a_dead_writer_is_told(ax: axonic.Domain, script: Script) -> None:
    lock = ax.rwlock("rw")
    kill(holding(script, '[ax.rwlock("rw")]; lock[0].acquire_read()'))
    with lock.write(timeout=20) as held:
        assert not held.owner_died
    for block in (lock.read, lock.write):
        kill(holding(script, '[ax.rwlock("rw")]; lock[0].acquire_write()'))
        with block(timeout=20) as held:
            assert held.owner_died
            assert lock.owner_died
        assert not lock.owner_died
    kill(holding(script, '[ax.rwlock("rw")]; lock[0].acquire_write()'))
    # Whichever of those that read was told.
    with lock.read(timeout=20) as first, lock.read() as second:
        assert (first.owner_died, second.owner_died) == (True, False)
        assert lock.owner_died


def test_permits(ax: axonic.Domain, script: Script) -> None:
    semaphore = ax.semaphore("s", 3, timeout=0.03)
    assert (semaphore.name, semaphore.permits, semaphore.available) == ("s", 3, 3)
    assert (semaphore.timeout, semaphore.closed) == (0.03, False)
    assert repr(semaphore) == '<axonic.Semaphore "s" in "test", 3 permits>'
    with semaphore as held, semaphore:
        assert held is semaphore
        assert semaphore.available == 1
        assert semaphore.acquire() is True
        assert not semaphore.try_acquire()
        started = time.monotonic()
        with pytest.raises(axonic.TimeoutError, match="semaphore 's': no permit"):
            semaphore.acquire()
        assert time.monotonic() - started < 5
        with thread(lambda: semaphore.acquire(timeout=20)) as outcome:
            time.sleep(0.05)
            semaphore.release()
        assert outcome == [True]
        semaphore.release()
    assert semaphore.available == 3
    with pytest.raises(axonic.InvalidArgumentError, match="no permit"):
        semaphore.release()
    process = holding(script, '[ax.semaphore("s", 3)]; [lock[0].acquire() for _ in range(3)]')
    assert semaphore.available == 0
    kill(process)
    assert semaphore.acquire(timeout=20)
    assert semaphore.available == 2
    with pytest.raises(axonic.InvalidArgumentError, match="permits"):
        ax.semaphore("s", 4)
    with pytest.raises(axonic.InvalidArgumentError, match="1 to 1024"):
        ax.semaphore("none", 0)


def test_many_permits_cost_few_descriptors(ax: axonic.Domain) -> None:
    semaphore = ax.semaphore("s", 500)
    assert all(semaphore.acquire() for _ in range(2))
    before = len(os.listdir("/proc/self/fd"))
    assert all(semaphore.acquire() for _ in range(249))
    assert all(semaphore.try_acquire() for _ in range(249))
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    assert (semaphore.available, semaphore.try_acquire()) == (0, False)
    for _ in range(500):
        semaphore.release()
    assert semaphore.available == 500
    with pytest.raises(axonic.InvalidArgumentError, match="no permit"):
        semaphore.release()


def test_an_event(ax: axonic.Domain, script: Script) -> None:
    event, other = ax.event("e"), ax.event("e")
    assert (event.name, event.auto_reset, event.closed) == ("e", False, False)
    assert not any((event.is_set(), event.try_wait()))
    for timeout in (0, 0.03):
        with pytest.raises(axonic.TimeoutError, match="event 'e': it was not set"):
            event.wait(timeout=timeout)
    other.set()
    assert event.is_set()
    assert event.try_wait()
    assert event.wait() is True
    event.clear()
    assert not other.is_set()
    process = script("""
        import axonic
        with axonic.open("test") as ax:
            event = ax.event("e")
            print("ready", flush=True)
            print(event.wait(timeout=20))
        """)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    event.set()
    assert finish(process) == "True\n"


def test_an_event_that_is_set_and_cleared_lets_all_pass(ax: axonic.Domain) -> None:
    event = ax.event("e", wait="block")
    for _ in range(5):
        with contextlib.ExitStack() as stack:
            outcomes = [stack.enter_context(thread(lambda: event.wait(timeout=10))) for _ in range(4)]
            # Around the moments at which signals are looked at.
            time.sleep(0.1)
            event.set()
            event.clear()
        assert outcomes == [[True]] * 4


def test_an_event_that_resets_itself_lets_one_pass(ax: axonic.Domain) -> None:
    event = ax.event("e", auto_reset=True)
    assert repr(event) == '<axonic.Event "e" in "test", auto_reset>'
    event.set()
    assert event.try_wait()
    assert not event.try_wait()
    passed = []
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(thread(lambda: passed.append(event.wait(timeout=10))))
        for count in (1, 2, 3):
            event.set()
            within(5, lambda count=count: len(passed) == count)  # type: ignore[misc]
    assert not event.is_set()
    with pytest.raises(axonic.InvalidArgumentError, match="reset"):
        ax.event("e")


def test_a_barrier_releases_all_and_one_leads(ax: axonic.Domain, script: Script) -> None:
    barrier = ax.barrier("b", 4)
    assert (barrier.name, barrier.parties, barrier.waiting, barrier.closed) == ("b", 4, 0, False)
    assert repr(barrier) == '<axonic.Barrier "b" in "test", 4 parties>'
    with pytest.raises(axonic.TimeoutError, match="barrier 'b': not all parties"):
        barrier.wait(timeout=0.03)
    process = script("""
        import axonic
        with axonic.open("test") as ax:
            barrier = ax.barrier("b", 4)
            leads = 0
            for _ in range(20):
                leads += barrier.wait(timeout=20)
            print(leads)
        """)
    leads = []

    def arrive() -> None:
        for _ in range(20):
            leads.append(barrier.wait(timeout=20))

    with contextlib.ExitStack() as stack:
        outcomes = [stack.enter_context(thread(arrive)) for _ in range(3)]
    assert outcomes == [[None]] * 3
    assert sum(leads) + int(finish(process)) == 20
    assert barrier.waiting == 0


def test_who_looks_at_a_barrier_takes_no_partys_place(ax: axonic.Domain) -> None:
    barrier, others = ax.barrier("b", 64), [ax.barrier("b", 64) for _ in range(63)]
    with thread(lambda: barrier.wait(timeout=0.5)) as outcome:
        within(5, lambda: others[0].waiting == 1)
        assert barrier.waiting == 1
    assert isinstance(outcome[0], axonic.TimeoutError)
    assert barrier.waiting == 0


def test_a_barrier_does_not_count_the_dead(ax: axonic.Domain, script: Script) -> None:
    barrier = ax.barrier("b", 2)
    process = script('import axonic; axonic.open("test").barrier("b", 2).wait(timeout=20)')
    within(20, lambda: barrier.waiting == 1)
    kill(process)
    with pytest.raises(axonic.TimeoutError):
        barrier.wait(timeout=0.2)
    # In slices a party would be away now and then; this one waits all the time.
    with thread(lambda: barrier.wait(timeout=20)) as outcome:
        within(5, lambda: barrier.waiting == 1)
        for _ in range(300):
            assert barrier.waiting == 1
            time.sleep(0.001)
        leads = barrier.wait(timeout=10)
    assert sorted([*outcome, leads]) == [False, True]


def test_a_condition(ax: axonic.Domain, script: Script) -> None:
    mutex = ax.mutex("m", timeout=20)
    condvar = ax.condvar("c", mutex)
    assert (condvar.name, condvar.closed, repr(condvar)) == ("c", False, '<axonic.Condvar "c" in "test">')
    items: list[int] = []

    def consume() -> list[int]:
        taken: list[int] = []
        while len(taken) < 100:
            with condvar:
                assert condvar.wait_for(lambda: len(items), timeout=20) == len(items)
                taken.append(items.pop(0))
        return taken

    with thread(consume) as outcome:
        for n in range(100):
            with condvar as held:
                assert held is condvar
                assert mutex.locked()
                items.append(n)
                condvar.notify()
            if n % 10 == 0:
                time.sleep(0.003)
    assert outcome == [list(range(100))]
    assert (condvar.notify(), condvar.notify_all()) == (0, 0)

    process = script("""
        import axonic
        with axonic.open("test") as ax:
            mutex = ax.mutex("m")
            condvar = ax.condvar("c", mutex)
            with condvar:
                print("ready", flush=True)
                print(condvar.wait(timeout=20), mutex.locked())
        """)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with condvar:
        assert condvar.notify_all() == 1
    assert finish(process) == "True True\n"


def test_a_wait_for_a_condition_ends_with_the_mutex(ax: axonic.Domain) -> None:
    mutex = ax.mutex("m")
    condvar = ax.condvar("c", mutex)
    with pytest.raises(axonic.InvalidArgumentError, match=r"mutex 'm' is not locked"):
        condvar.wait(timeout=1)
    with condvar:
        for timeout in (0, 0.03, 0.25):
            with pytest.raises(
                axonic.TimeoutError,
                match=r"condvar 'c': it was not notified within .*, and its mutex is locked again",
            ):
                condvar.wait(timeout=timeout)
            assert mutex.locked()
            with pytest.raises(axonic.TimeoutError, match="did not come true within"):
                condvar.wait_for(lambda: 0, timeout=timeout)
            assert mutex.locked()
        with pytest.raises(ZeroDivisionError):
            condvar.wait_for(lambda: 1 // 0)
        assert condvar.wait_for(lambda: "at once", timeout=0) == "at once"
    assert not mutex.locked()
    with axonic.open("other") as there, there.mutex("m") as foreign:
        with pytest.raises(axonic.InvalidArgumentError, match="of domain 'other'"):
            ax.condvar("c", foreign).wait()


def test_a_condition_wakes_as_many_as_are_asked_for(ax: axonic.Domain) -> None:
    mutex = ax.mutex("m")
    condvar = ax.condvar("c", mutex)
    waiting, woken = [], []

    def wait() -> None:
        with condvar:
            waiting.append(1)
            condvar.wait(timeout=20)
            woken.append(1)

    with contextlib.ExitStack() as stack:
        outcomes = [stack.enter_context(thread(wait)) for _ in range(5)]
        within(10, lambda: len(waiting) == 5)
        with condvar:
            assert condvar.notify(2) == 2
        within(10, lambda: len(woken) == 2)
        time.sleep(0.05)
        assert len(woken) == 2
        with condvar:
            assert condvar.notify_all() == 3
    assert outcomes == [[None]] * 5


INTERRUPTED = """
    import axonic, sys
    ax = axonic.open("test")
    mutex, rw, semaphore = ax.mutex("m"), ax.rwlock("rw"), ax.semaphore("s", 1)
    event, barrier = ax.event("e"), ax.barrier("b", 2)
    mine = ax.mutex("mine")
    condvar = ax.condvar("c", mine)
    calls = {
        "mutex": mutex.acquire,
        "mutex with timeout": lambda: mutex.acquire(timeout=60),
        "block": lambda: mutex.__enter__(),
        "read": rw.acquire_read,
        "write": rw.write().__enter__,
        "semaphore": semaphore.acquire,
        "event": event.wait,
        "barrier": barrier.wait,
        "condvar": condvar.wait,
        "wait_for": lambda: condvar.wait_for(lambda: False),
    }
    mine.acquire()
    print("ready", flush=True)
    try:
        calls[sys.argv[1]]()
    except KeyboardInterrupt:
        print("interrupted", mutex.locked(), rw.locked(), barrier.waiting, mine.locked(), flush=True)
    sys.stdin.read()
    mine.release()
    print(mutex.acquire(timeout=20), rw.acquire_write(timeout=20), semaphore.acquire(timeout=20))
    ax.close()
"""


@pytest.mark.parametrize(
    "call",
    [
        "mutex",
        "mutex with timeout",
        "block",
        "read",
        "write",
        "semaphore",
        "event",
        "barrier",
        "condvar",
        "wait_for",
    ],
)
def test_ctrl_c_ends_a_wait(ax: axonic.Domain, script: Script, call: str) -> None:
    mutex, rw, semaphore = ax.mutex("m"), ax.rwlock("rw"), ax.semaphore("s", 1)
    with mutex, rw.write(), semaphore:
        process = script(INTERRUPTED, call)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert select.select([process.stdout], [], [], 10)[0]
        assert time.monotonic() - started < 2
        # Nothing is held but the mutex of the condition, which its block releases.
        assert process.stdout.readline() == "interrupted False False 0 True\n"
    assert finish(process) == "True True True\n"


def test_a_condition_ends_with_its_mutex_after_many_ctrl_c(ax: axonic.Domain, script: Script) -> None:
    mutex = ax.mutex("m")
    process = script("""
        import axonic, threading
        ax = axonic.open("test")
        mutex = ax.mutex("m")
        condvar = ax.condvar("c", mutex)
        taken, done = threading.Event(), threading.Event()

        def take():
            # By the same object, whose block must not give it back.
            with mutex:
                taken.set()
                done.wait(20)

        try:
            with condvar:
                print("ready", flush=True)
                try:
                    condvar.wait()
                finally:
                    print("interrupted", mutex.locked(), flush=True)
                    thread = threading.Thread(target=take)
                    thread.start()
                    print("alone", not taken.wait(0.1), flush=True)
        except KeyboardInterrupt:
            print("released", taken.wait(20) and mutex.locked(), flush=True)
        done.set()
        thread.join()
        print(mutex.acquire(timeout=20))
        ax.close()
        """)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    mutex.acquire()
    for _ in range(3):
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert not select.select([process.stdout], [], [], 0.3)[0], "the mutex is expected back"
    mutex.release()
    assert finish(process) == "interrupted True\nalone True\nreleased True\nTrue\n"


def test_signal_handlers_run_during_a_wait_and_may_wait_too(ax: axonic.Domain) -> None:
    event, inner, mutex = ax.event("e"), ax.event("inner"), ax.mutex("m")

    def handle(*_: object) -> None:
        with mutex, pytest.raises(axonic.TimeoutError):
            inner.wait(timeout=0.15)
        event.set()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert event.wait(timeout=10)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("close", ["lock", "domain"])
def test_closing_gives_back_and_ends_waits(runtime: Any, close: str) -> None:
    with axonic.open("test") as there:
        ax = axonic.open("test")
        mutex, rw, semaphore = ax.mutex("m"), ax.rwlock("rw"), ax.semaphore("s", 1)
        event, barrier = ax.event("e"), ax.barrier("b", 2)
        condvar = ax.condvar("c", ax.mutex("its"))
        locks = (mutex, rw, semaphore, event, barrier, condvar)
        mutex.acquire()
        rw.acquire_write()
        semaphore.acquire()

        def wait() -> None:
            with condvar:
                condvar.wait()

        calls = (mutex.acquire, rw.acquire_read, semaphore.acquire, event.wait, barrier.wait, wait)
        with contextlib.ExitStack() as stack:
            outcomes = [stack.enter_context(thread(call)) for call in calls]
            within(5, lambda: barrier.waiting == 1)
            time.sleep(0.05)
            if close == "domain":
                ax.close()
            else:
                for lock in locks:
                    lock.close()
                    lock.close()
        for (outcome,) in outcomes:
            assert isinstance(outcome, axonic.ClosedError), outcome
        assert all(lock.closed and "closed" in repr(lock) for lock in locks)
        assert there.mutex("m").try_acquire()
        assert there.rwlock("rw").try_acquire_write()
        assert there.semaphore("s", 1).available == 1
        for use in (
            mutex.acquire,
            mutex.release,
            mutex.try_acquire,
            mutex.__enter__,
            rw.acquire_read,
            rw.release,
            semaphore.try_acquire,
            event.set,
            event.is_set,
            barrier.wait,
            condvar.notify,
        ):
            with pytest.raises(axonic.ClosedError, match="closed"):
                use()
        assert not any((mutex.locked(), mutex.owner_died))
        ax.close()


def test_what_passes_through_a_block_is_not_hidden(ax: axonic.Domain) -> None:
    mutex, rw = ax.mutex("m"), ax.rwlock("rw")
    with pytest.raises(ZeroDivisionError):
        with mutex, rw.read():
            mutex.close()
            rw.close()
            _ = 1 / 0
    with pytest.raises(axonic.ClosedError):
        with ax.mutex("m") as closed:
            closed.close()


def test_a_forgotten_object_releases(ax: axonic.Domain) -> None:
    mutex = ax.mutex("m")
    mutex.acquire()
    del mutex
    assert ax.mutex("m").try_acquire()


def test_waiting_lets_other_threads_run(ax: axonic.Domain) -> None:
    mutex = ax.mutex("m")
    mutex.acquire()
    with thread(lambda: mutex.acquire(timeout=20)):
        within(5, lambda: mutex.locked())
        steps, started = 0, time.monotonic()
        while time.monotonic() - started < 0.3:
            steps += 1
        mutex.release()
    assert steps > 1000
    mutex.release()


def test_a_lock_is_what_it_is(ax: axonic.Domain) -> None:
    for noun, opener in OPENERS.items():
        lock = opener(ax)
        for other, wrong in OPENERS.items():
            if other != noun:
                with pytest.raises(axonic.InvalidArgumentError, match=f"lock.*{noun}"):
                    wrong(ax)
        with pytest.raises(axonic.BusyError):
            ax.unlink("lock", "lock")
        lock.close()
    with pytest.raises(axonic.InvalidNameError):
        ax.mutex("no spaces")
    with pytest.raises(axonic.InvalidArgumentError, match="wait"):
        ax.mutex("m", wait="sleepy")  # type: ignore[arg-type]
    with pytest.raises(axonic.InvalidArgumentError, match="2 to 64"):
        ax.barrier("b", 1)
    with pytest.raises(TypeError):
        ax.condvar("c", ax.rwlock("rw"))  # type: ignore[arg-type]


def test_a_lock_that_a_dead_one_held_is_unlinked(ax: axonic.Domain, script: Script) -> None:
    kill(holding(script, '[ax.mutex("m")]; lock[0].acquire()'))
    ax.unlink("lock", "m")
    with ax.mutex("m", timeout=5) as mutex:
        assert not mutex.owner_died


@pytest.mark.parametrize("noun", list(OPENERS))
def test_pickled_by_name(ax: axonic.Domain, noun: str) -> None:
    lock = OPENERS[noun](ax)
    again = pickle.loads(pickle.dumps(lock))
    assert type(again) is type(lock)
    assert again.__reduce__()[1][1:3] == lock.__reduce__()[1][1:3] == (noun, "lock")
    again.close()
    mutex = pickle.loads(pickle.dumps(ax.mutex("m", timeout=3, wait="block")))
    assert mutex.timeout == 3
    assert mutex.__reduce__()[1][3] == {"timeout": 3, "wait": "block"}


def add(mutex: axonic.Mutex, region: axonic.Region) -> None:
    for _ in range(100):
        with mutex:
            count = int.from_bytes(region.read(0, 8), sys.byteorder)
            region.write(0, (count + 1).to_bytes(8, sys.byteorder))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_count_under_a_mutex(ax: axonic.Domain, method: str) -> None:
    mutex, region = ax.mutex("m", timeout=60), ax.region("count", 8)
    context: Any = multiprocessing.get_context(method)
    processes = [context.Process(target=add, args=(mutex, region)) for _ in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert int.from_bytes(region.read(0, 8), sys.byteorder) == 300
    region.close()
    ax.unlink("region", "count")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork(ax: axonic.Domain) -> None:
    mutex, free, rw = ax.mutex("m"), ax.mutex("free"), ax.rwlock("rw")
    semaphore, event, barrier = ax.semaphore("s", 2), ax.event("e"), ax.barrier("b", 2)
    mutex.acquire()
    semaphore.acquire()
    rw.acquire_read()

    def child() -> None:
        assert not any((mutex.locked(), mutex.owner_died, rw.locked()))
        for use in (mutex.release, semaphore.release, rw.release):
            with pytest.raises(axonic.ForkedError, match="fork"):
                use()
        # That was the parent's; here nothing is held.
        with pytest.raises(axonic.InvalidArgumentError):
            mutex.release()
        assert not any((mutex.try_acquire(), rw.try_acquire_write()))
        assert semaphore.available == 1
        with free, semaphore, rw.read():
            assert semaphore.available == 0
        event.set()
        barrier.wait(timeout=20)
        assert mutex.acquire(timeout=20)
        assert not mutex.owner_died
        mutex.release()

    def release_when_told() -> None:
        barrier.wait(timeout=20)
        mutex.release()

    with thread(release_when_told) as outcome:
        in_child(child)
    assert outcome == [None]
    assert event.is_set()
    assert semaphore.available == 1
    assert free.try_acquire()


def test_the_interpreter_ends_while_threads_wait(script: Script) -> None:
    process = script("""
        import axonic, threading, time
        ax = axonic.open("test")
        mutex, event = ax.mutex("m"), ax.event("e")
        mutex.acquire()
        for call in (mutex.acquire, event.wait):
            threading.Thread(target=call, daemon=True).start()
        time.sleep(0.2)
        print("done")
        """)
    assert finish(process) == "done\n"


@pytest.mark.parametrize("wait", ["adaptive", "spin", "block"])
def test_waiting_modes(ax: axonic.Domain, wait: Any) -> None:
    ping, pong = ax.event("ping", auto_reset=True, wait=wait), ax.event("pong", auto_reset=True, wait=wait)

    def answer() -> None:
        for _ in range(20):
            ping.wait(timeout=20)
            pong.set()

    with thread(answer) as outcome:
        for _ in range(20):
            ping.set()
            pong.wait(timeout=20)
    assert outcome == [None]


def test_handles_are_used_again(ax: axonic.Domain) -> None:
    mutex = ax.mutex("m")

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    with mutex:
        with pytest.raises(axonic.TimeoutError):
            mutex.acquire(timeout=0)
        before = descriptors()
        for _ in range(20):
            with pytest.raises(axonic.TimeoutError):
                mutex.acquire(timeout=0)
            assert not mutex.try_acquire()
    for _ in range(20):
        with mutex:
            pass
    assert descriptors() == before


def test_who_has_a_lock(script: Script) -> None:
    with axonic.open("test") as ax:
        with pytest.raises(axonic.NotFoundError, match="lock 'gpu' does not exist in domain 'test'"):
            ax.lock_holders("gpu")
        process = holding(script, 'ax.mutex("gpu"); lock.acquire()')
        [holder] = ax.lock_holders("gpu")
        assert isinstance(holder, axonic.LockHolder)
        assert (holder.pid, holder.role, holder.alive, holder.stopped) == (process.pid, "owner", True, False)
        assert holder.label
        assert holder.since is not None
        assert abs(time.time() - holder.since) < 60
        assert repr(holder) == (
            f"LockHolder(pid={process.pid}, label={holder.label!r}, since={holder.since!r}, alive=True, "
            "stopped=False, role='owner')"
        )
        kill(process)
        assert [(dead.pid, dead.alive) for dead in ax.lock_holders("gpu")] == [(process.pid, False)]
        mutex = ax.mutex("gpu")
        with mutex:
            assert [(mine.pid, mine.alive) for mine in ax.lock_holders("gpu")] == [(os.getpid(), True)]
        assert ax.lock_holders("gpu") == []
        table, seats = ax.rwlock("table"), ax.semaphore("seats", 3)
        with table.read(), table.read(), seats, seats:
            assert [held.role for held in ax.lock_holders("table")] == ["reader"] * 2
            assert [held.role for held in ax.lock_holders("seats")] == ["permit"] * 2
        ready = ax.event("ready")
        assert ax.lock_holders(ready.name) == []
    with pytest.raises(axonic.ClosedError):
        ax.lock_holders("gpu")
