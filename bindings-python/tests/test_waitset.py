"""Waiting for several sources."""

from __future__ import annotations

import gc
import os
import select
import socket
import threading
import time
import weakref

import pytest

import axonic


def test_subscribers_timers_and_descriptors(ax: axonic.Domain) -> None:
    a, b = ax.subscriber("a"), ax.subscriber("b")
    ours, theirs = socket.socketpair()
    with axonic.WaitSet() as waits, ours, theirs:
        assert waits.add(a) is a
        assert waits.add(b, "b") == "b"
        assert waits.add(ours, "socket") == "socket"
        assert len(waits) == 3
        # A subscriber is ready until somebody looked and found nothing.
        assert waits.wait(timeout=5) == [a, "b"]
        assert a.try_receive() is b.try_receive() is None
        assert waits.wait(timeout=0.05) == []
        ax.publisher("b").publish(1)
        assert waits.wait(timeout=5) == ["b"]
        assert waits.wait(timeout=5) == ["b"], "ready until it is read"
        assert b.receive(timeout=1).value == 1
        assert b.try_receive() is None
        assert waits.wait(timeout=0.05) == []
        theirs.send(b"x")
        assert waits.wait(timeout=5) == ["socket"]
        waits.remove("socket")
        assert waits.wait(timeout=0.05) == []
        waits.add_timer(0.02, "tick")
        start = time.monotonic()
        assert waits.wait(timeout=5) == ["tick"]
        assert waits.wait(timeout=5) == ["tick"]
        assert 0.03 < time.monotonic() - start < 2
        assert waits.add_timer(60) == 60.0
    assert waits.closed
    with pytest.raises(axonic.ClosedError):
        waits.wait(timeout=1)
    waits.close()


def test_a_publisher_is_ready_when_there_is_room(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t", overflow="block", capacity=64 << 10)
    with axonic.WaitSet() as waits:
        waits.add(pub, "room")
        with pytest.raises(axonic.WouldBlockError):
            while True:
                pub.try_publish(bytes(1000))
        assert waits.wait(timeout=0.05) == []
        reader = threading.Timer(0.05, lambda: [sub.receive(timeout=1) for _ in range(40)])
        reader.start()
        assert waits.wait(timeout=5) == ["room"]
        reader.join()
        pub.try_publish(bytes(1000))
        while sub.try_receive() is not None:
            pass


def test_a_wait_is_woken(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    with axonic.WaitSet() as waits:
        waits.add(sub, 1)
        sender = threading.Timer(0.2, lambda: pub.publish(b"x"))
        sender.start()
        assert waits.wait() == [1]
        sender.join()


def test_mistakes(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    with axonic.WaitSet() as waits:
        waits.add(sub, "key")
        with pytest.raises(axonic.InvalidArgumentError, match="already"):
            waits.add(sub, "key")
        with pytest.raises(axonic.InvalidArgumentError, match="not in it"):
            waits.remove("other")
        with pytest.raises(axonic.InvalidArgumentError):
            waits.add_timer(-1)
        with pytest.raises((AttributeError, TypeError)):
            waits.add("text", "text")  # type: ignore[call-overload]
        with pytest.raises(axonic.AxonicError):
            waits.add(10_000, "no such descriptor")
        assert len(waits) == 1
        closed = ax.subscriber("t")
        closed.close()
        with pytest.raises(axonic.ClosedError):
            waits.add(closed)


def test_it_is_pollable_itself(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    with axonic.WaitSet() as waits:
        waits.add(sub, "t")
        assert sub.try_receive() is None
        assert select.select([waits], [], [], 0)[0] == []
        ax.publisher("t").publish(b"x")
        assert select.select([waits], [], [], 5)[0] == [waits]
        assert waits.wait(timeout=0) == ["t"]
        assert sub.receive(timeout=1).data == b"x"


def test_descriptors_of_the_handles(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    poller = select.epoll()
    poller.register(sub.fileno(), select.EPOLLIN)
    while sub.try_receive() is not None:
        pass
    assert poller.poll(0.05) == []
    ax.publisher("t").publish(b"x")
    assert poller.poll(5) == [(sub.fileno(), select.EPOLLIN)]
    assert sub.receive(timeout=1).data == b"x"
    assert sub.try_receive() is None
    assert poller.poll(0.05) == []
    poller.close()
    assert os.fstat(sub.fileno())


def test_cycles_are_collected() -> None:
    class Key:
        waits: axonic.WaitSet

    key = Key()
    key.waits = axonic.WaitSet()
    key.waits.add_timer(60, key)
    gone = weakref.ref(key)
    del key
    gc.collect()
    assert gone() is None
