"""Handles that are closed, shared by threads, pickled, interrupted, or still open at the end."""

from __future__ import annotations

import gc
import itertools
import pickle
import select
import signal
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import axonic
from conftest import Script, finish


def handles(ax: axonic.Domain) -> dict[str, Any]:
    return {
        "subscriber": ax.subscriber("t"),
        "publisher": ax.publisher("t"),
        "region": ax.region("r", 64),
        "producer": ax.ring_producer("ring"),
        "consumer": ax.ring_consumer("ring"),
    }


USES: dict[str, list[Callable[[Any], object]]] = {
    "subscriber": [
        lambda s: s.receive(timeout=1),
        lambda s: s.try_receive(),
        lambda s: s.receive_many(timeout=1),
        lambda s: s.borrow(timeout=1),
        lambda s: s.try_borrow(),
        lambda s: s.fileno(),
        lambda s: next(s),
    ],
    "publisher": [
        lambda p: p.publish(b"x"),
        lambda p: p.publish(bytes(100_000)),
        lambda p: p.try_publish(b"x"),
        lambda p: p.publish_many([b"x"]),
        lambda p: p.loan(10),
        lambda p: p.wait_for_subscribers(timeout=1),
        lambda p: p.fileno(),
    ],
    "region": [lambda r: r.read(), lambda r: r.write(0, b"x"), lambda r: memoryview(r)],
    "producer": [
        lambda p: p.push(b"x", timeout=1),
        lambda p: p.try_push(b"x"),
        lambda p: p.reserve(1, timeout=1),
    ],
    "consumer": [lambda c: c.pop(timeout=1), lambda c: c.try_pop(), lambda c: c.borrow(timeout=1)],
}


def check_closed(noun: str, handle: Any) -> None:
    assert handle.closed
    assert "closed" in repr(handle)
    for use in USES[noun]:
        with pytest.raises(axonic.ClosedError):
            use(handle)
    handle.close()


def test_use_after_close(ax: axonic.Domain) -> None:
    for noun, handle in handles(ax).items():
        assert not handle.closed
        handle.close()
        check_closed(noun, handle)
    ax.unlink("region", "r")


def test_use_after_the_domain_closed(ax: axonic.Domain) -> None:
    opened = handles(ax)
    ax.unlink("region", "r")
    ax.close()
    ax.close()
    assert ax.closed
    for noun, handle in opened.items():
        check_closed(noun, handle)
    for use in (lambda: ax.publisher("t"), lambda: ax.subscriber("t"), lambda: ax.region("r", 1)):
        with pytest.raises(axonic.ClosedError):
            use()


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["domain", "subscriber", "publisher", "sample"]))
)
def test_any_order(order: tuple[str, ...]) -> None:
    ax = axonic.open("test")
    sub, pub = ax.subscriber("t"), ax.publisher("t")
    pub.publish(bytes(5000))
    sample = sub.borrow(timeout=1)
    endings = {"domain": ax.close, "subscriber": sub.close, "publisher": pub.close, "sample": sample.release}
    for name in order:
        endings[name]()
    for name in order:
        endings[name]()


def test_context_managers_close(runtime: Any) -> None:
    with axonic.open("test") as ax:
        with ax.subscriber("t") as sub, ax.publisher("t") as pub:
            pub.publish(b"x")
            assert sub.receive(timeout=1).data == b"x"
        assert sub.closed
        assert pub.closed
    assert ax.closed


def test_closing_with_live_views(ax: axonic.Domain) -> None:
    sub, pub = ax.subscriber("t"), ax.publisher("t")
    pub.publish(np.arange(5000))
    sample = sub.borrow(timeout=1)
    array = np.asarray(sample)
    view = sample.data
    for close in (sample.release, sub.close, ax.close):
        with pytest.raises(axonic.InUseError) as caught:
            close()
        assert isinstance(caught.value, BufferError)
        assert "view" in str(caught.value)
    pub.publish(b"more")
    assert sub.receive(timeout=1).data == b"more", "it stays usable"
    assert array[4999] == 4999
    del array
    with pytest.raises(axonic.InUseError):
        sub.close()
    view.release()
    sub.close()


def test_an_exception_is_not_hidden_by_live_views(ax: axonic.Domain) -> None:
    pub = ax.publisher("t")
    with pytest.raises(ZeroDivisionError):
        with ax.subscriber("t") as sub:
            pub.publish(np.arange(5000))
            kept = np.asarray(sub.borrow(timeout=1))
            _ = kept[0] // 1 + 1 // 0
    assert kept[10] == 10
    del kept


def test_samples_outlive_everything(runtime: Any) -> None:
    def make() -> Any:
        ax = axonic.open("test")
        sub, pub = ax.subscriber("t"), ax.publisher("t")
        pub.publish(np.arange(5000))
        return np.asarray(sub.borrow(timeout=1))

    array = make()
    gc.collect()
    assert array.sum() == sum(range(5000))


def test_dropped_handles_go_away(ax: axonic.Domain) -> None:
    pub = ax.publisher("t")
    sub = ax.subscriber("t")
    gone = weakref.ref(sub)
    assert pub.subscribers() == 1
    del sub
    assert gone() is None
    assert pub.subscribers() == 0


@pytest.mark.parametrize("noun", ["subscriber", "publisher"])
def test_pickled_handles_reopen(ax: axonic.Domain, noun: str) -> None:
    if noun == "subscriber":
        sub = pickle.loads(pickle.dumps(ax.subscriber("orders.*", max_borrowed=7, wait="block")))
        pub = ax.publisher("orders.new")
    else:
        sub = ax.subscriber("orders.*")
        pub = pickle.loads(pickle.dumps(ax.publisher("orders.new", overflow="block", capacity=128 << 10)))
        assert "overflow block" in repr(pub)
    pub.publish({"id": 1})
    assert sub.receive(timeout=1).value == {"id": 1}
    del sub, pub


def test_pickled_domains_regions_and_rings(ax: axonic.Domain) -> None:
    other = pickle.loads(pickle.dumps(ax))
    assert other.name == ax.name
    assert other.path == ax.path
    with ax.region("r", 64) as region:
        region.write(0, b"same")
        copy = pickle.loads(pickle.dumps(region))
        assert copy.read(size=4) == b"same"
        copy.close()
    ax.unlink("region", "r")
    with ax.ring_producer("ring") as producer:
        frozen = pickle.dumps(producer)
        with pytest.raises(axonic.BusyError):
            pickle.loads(frozen)
    assert pickle.loads(frozen).name == "ring"
    # Handles that were pickled apart share one participant.
    one, two = (pickle.loads(pickle.dumps(ax.publisher(name))) for name in ("a", "b"))
    assert pickle.loads(pickle.dumps(ax)).participant == other.participant
    with pytest.raises(axonic.UnsupportedError):
        pickle.dumps(axonic.Region.sealed(b"x"))
    with pytest.raises(TypeError):
        pickle.dumps(axonic.WaitSet())
    del one, two, other


def test_two_threads_on_one_subscriber(ax: axonic.Domain) -> None:
    sub, pub = ax.subscriber("t"), ax.publisher("t", overflow="block")
    count = 400
    seen: list[int] = []

    def receive() -> None:
        while True:
            value = sub.receive(timeout=20).value
            if value < 0:
                return
            seen.append(value)

    threads = [threading.Thread(target=receive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for n in range(count):
        pub.publish(n)
    for _ in threads:
        pub.publish(-1)
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(count))


def test_many_threads_on_one_publisher(ax: axonic.Domain) -> None:
    sub, pub = ax.subscriber("t"), ax.publisher("t", overflow="block", capacity=64 << 10)

    def send(who: int) -> None:
        for n in range(300):
            pub.publish([who, n], timeout=30)

    threads = [threading.Thread(target=send, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    received = [sub.receive(timeout=30).value for _ in range(1200)]
    for thread in threads:
        thread.join()
    for who in range(4):
        assert [n for sender, n in received if sender == who] == list(range(300))


def test_other_calls_get_their_turn_during_a_wait(ax: axonic.Domain) -> None:
    sub, pub = ax.subscriber("t"), ax.publisher("t")
    waiter = threading.Thread(target=lambda: sub.receive(timeout=20))
    waiter.start()
    time.sleep(0.05)
    start = time.monotonic()
    for _ in range(5):
        assert sub.stats().received == 0
    assert time.monotonic() - start < 5
    pub.publish(b"x")
    waiter.join()


def test_closing_ends_a_wait_in_another_thread(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    raised: list[BaseException] = []

    def receive() -> None:
        try:
            sub.receive()
        except axonic.ClosedError as error:
            raised.append(error)

    waiter = threading.Thread(target=receive)
    waiter.start()
    time.sleep(0.05)
    sub.close()
    waiter.join(timeout=10)
    assert not waiter.is_alive()
    assert len(raised) == 1


def test_a_finalizer_may_use_a_handle_that_is_being_read(ax: axonic.Domain) -> None:
    """The collector may run whenever a message is made, and finds the handle free."""
    sub, pub = ax.subscriber("t"), ax.publisher("t")
    taken: list[object] = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            taken.append(sub.try_receive())

    pub.publish_many([b"x"] * 100)
    thresholds = gc.get_threshold()
    gc.collect()
    Cycle()
    gc.set_threshold(1)
    try:
        messages = sub.receive_many(50)
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert len(messages) == 50
    assert len(taken) == 1


INTERRUPTED = """
    import os, signal, sys, time, axonic
    ax = axonic.open("test")
    sub = ax.subscriber("t")
    pub = ax.publisher("t", overflow="block", capacity=64 << 10)
    waits = axonic.WaitSet()
    producer, consumer = ax.ring_producer("r"), ax.ring_consumer("r")
    def full():
        while True:
            pub.publish(bytes(1000))
    calls = {
        "receive": lambda: sub.receive(),
        "receive with timeout": lambda: sub.receive(timeout=60),
        "receive_many": lambda: sub.receive_many(),
        "borrow": lambda: sub.borrow(),
        "iterate": lambda: next(iter(sub)),
        "publish": full,
        "wait": lambda: waits.wait(),
        "subscribers": lambda: pub.wait_for_subscribers(5),
        "pop": lambda: consumer.pop(),
    }
    print("ready", flush=True)
    try:
        calls[sys.argv[1]]()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    waits.close()
    ax.close()
"""


@pytest.mark.parametrize(
    "call",
    [
        "receive",
        "receive with timeout",
        "receive_many",
        "borrow",
        "iterate",
        "publish",
        "wait",
        "subscribers",
        "pop",
    ],
)
def test_control_c_interrupts_a_wait(script: Script, call: str) -> None:
    process = script(INTERRUPTED, call)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert select.select([process.stdout], [], [], 10)[0]
    assert time.monotonic() - start < 2
    assert finish(process) == "interrupted\n"


def test_signal_handlers_run_during_a_wait(ax: axonic.Domain) -> None:
    sub, pub = ax.subscriber("t"), ax.publisher("t")
    before = signal.signal(signal.SIGALRM, lambda *_: pub.publish("from the handler"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert sub.receive(timeout=10).value == "from the handler"
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "keep", ["globals", "views", "thread", "threads on one handle", "cycle", "exception"]
)
def test_interpreter_exit_with_open_handles(script: Script, keep: str) -> None:
    process = script(
        """
        import sys, threading, time, axonic
        keep = sys.argv[1]
        ax = axonic.open("test")
        sub, pub = ax.subscriber("t"), ax.publisher("t")
        region, waits = ax.region("r", 64), axonic.WaitSet()
        waits.add(sub)
        ax.unlink("region", "r")
        if keep == "views":
            pub.publish(bytes(5000))
            sample = sub.borrow(timeout=1)
            views = [memoryview(sample), sample.data, memoryview(region)]
            views.append(sample.__dlpack__(max_version=(1, 0)))
            loan = pub.loan(5000)
            lent = memoryview(loan)
        elif keep.startswith("thread"):
            for _ in range(3 if keep == "threads on one handle" else 1):
                threading.Thread(target=sub.receive, daemon=True).start()
            time.sleep(0.2)
        elif keep == "cycle":
            me = [ax, sub, pub]
            me.append(me)
            waits.add_timer(60, waits)
        elif keep == "exception":
            def fail():
                with sub, pub.loan(10) as view:
                    raise SystemExit(0)
            fail()
        print("end", flush=True)
        """,
        keep,
    )
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out == ("" if keep == "exception" else "end\n")


def test_killed_processes_leave_nothing_behind(script: Script, ax: axonic.Domain) -> None:
    process = script(
        """
        import axonic, time
        ax = axonic.open("test")
        sub, pub = ax.subscriber("t"), ax.publisher("t")
        pub.publish(bytes(5000))
        sample = sub.borrow(timeout=1)
        print("ready", flush=True)
        time.sleep(60)
        """
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    # Whoever opens next collects what the dead left.
    with (
        axonic.open("test") as other,
        other.subscriber("t", start="oldest") as sub,
        other.publisher("t") as pub,
    ):
        pub.publish(b"fresh")
        assert sub.receive(timeout=5).data == b"fresh"


def test_lent_memory_outlives_its_domain(runtime: Any) -> None:
    """Objects without a view do not keep a domain open; what they lend stays mapped all the same."""
    ax = axonic.open("test")
    sub, pub = ax.subscriber("t"), ax.publisher("t")
    producer, consumer = ax.ring_producer("r"), ax.ring_consumer("r")
    producer.push(b"unread")
    pub.publish(bytes(5000))
    sample, loan, room, message = (
        sub.borrow(timeout=1),
        pub.loan(5000),
        producer.reserve(100),
        consumer.borrow(),
    )
    ax.close()
    for lent in (loan, room):
        with memoryview(lent) as view:
            view[:] = bytes(len(view))
    assert bytes(sample) == bytes(5000)
    assert bytes(memoryview(message)) == b"unread"
    for publish in (loan.commit, room.commit):
        with pytest.raises(axonic.ClosedError):
            publish()
    sample.release()
    message.release()
    loan.discard()
    room.discard()
    del producer, consumer, room, message, publish, lent
    with axonic.open("test") as other:
        other.unlink("ring", "r")  # it was not released, so the next consumer would be owed it


def test_a_closed_domain_holds_no_role(runtime: Any) -> None:
    ax = axonic.open("test")
    producer, consumer = ax.ring_producer("r"), ax.ring_consumer("r")
    ax.close()
    with axonic.open("test") as again:
        with again.ring_producer("r") as mine, again.ring_consumer("r") as theirs:
            mine.push(b"x")
            assert theirs.pop(timeout=1) == b"x"
    assert producer.closed
    assert consumer.closed


def test_handles_go_before_what_they_lent(ax: axonic.Domain) -> None:
    producer, consumer = ax.ring_producer("r"), ax.ring_consumer("r")
    room = producer.reserve(100)
    del producer
    with memoryview(room) as view:
        view[:] = b"x" * 100
    room.commit()
    with consumer.borrow(timeout=1) as read:
        del consumer
        assert bytes(read) == b"x" * 100
    del room
    lent = ax.publisher("t").loan(5000)
    gc.collect()
    with memoryview(lent) as view:
        view[:] = bytes(5000)
    lent.commit()
