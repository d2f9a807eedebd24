"""One producer, one consumer."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import axonic


@pytest.fixture
def ends(ax: axonic.Domain) -> Any:
    producer = ax.ring_producer("r", capacity=64 << 10)
    consumer = ax.ring_consumer("r", capacity=64 << 10)
    yield producer, consumer
    producer.close()
    consumer.close()


def test_messages_in_order(ends: Any) -> None:
    producer, consumer = ends
    messages = [bytes([n % 256]) * (n * 37 % 5000) for n in range(500)]

    def send() -> None:
        for message in messages:
            producer.push(message, timeout=20)

    sender = threading.Thread(target=send)
    sender.start()
    assert [consumer.pop(timeout=20) for _ in messages] == messages
    sender.join()
    assert consumer.try_pop() is None


def test_both_ends_tell_the_same_counters(ends: Any) -> None:
    producer, consumer = ends
    producer.push(b"one")
    producer.push(b"two")
    assert producer.stats().messages == 2
    assert producer.stats().pending_bytes == consumer.stats().pending_bytes == 64
    assert producer.stats().pending_messages == consumer.stats().pending_messages == 2
    assert (consumer.stats().wakes_sent, consumer.stats().wakes_elided) == (0, 2)
    assert consumer.pop() == b"one"
    assert repr(consumer.stats()).startswith("RingStats(messages=2, blocked=0, pending_bytes=")
    assert consumer.pop() == b"two"


def test_in_place(ends: Any) -> None:
    producer, consumer = ends
    with producer.reserve(100) as view:
        view[:] = b"x" * 100
    with consumer.borrow(timeout=1) as view:
        assert bytes(view) == b"x" * 100
        assert view.readonly
    reservation = producer.reserve(100)
    with memoryview(reservation) as view:
        view[:3] = b"abc"
    reservation.commit(3)
    assert consumer.pop(timeout=1) == b"abc"
    with pytest.raises(ZeroDivisionError), producer.reserve(100) as view:
        view[0] = 1 // 0
    assert consumer.try_pop() is None
    producer.push(b"next")
    assert consumer.pop(timeout=1) == b"next"


def test_lent_memory_keeps_its_end_busy(ends: Any) -> None:
    producer, consumer = ends
    with producer.reserve(10) as view:
        with pytest.raises(axonic.BusyError):
            producer.try_push(b"x")
        with pytest.raises(axonic.InUseError):
            producer.close()
        view[:] = b"0123456789"
    with consumer.borrow(timeout=1) as view:
        with pytest.raises(axonic.BusyError):
            consumer.try_pop()
        assert bytes(view) == b"0123456789"
    assert consumer.try_pop() is None


def test_views_that_outlive_their_block(ends: Any) -> None:
    producer, consumer = ends
    with pytest.raises(axonic.InUseError):
        with producer.reserve(10) as view:
            kept = view[2:5]
    with pytest.raises(axonic.BusyError):
        producer.try_push(b"x")
    kept.release()
    producer.push(b"y")
    with pytest.raises(axonic.InUseError):
        with consumer.borrow(timeout=1) as view:
            kept = view[:]
    assert bytes(kept) == b"y"
    kept.release()
    producer.push(b"z")
    assert consumer.pop(timeout=1) == b"z"


def test_full_and_empty(ends: Any) -> None:
    producer, consumer = ends
    with pytest.raises(axonic.TimeoutError):
        consumer.pop(timeout=0.15)
    pushed = 0
    with pytest.raises(axonic.WouldBlockError):
        while True:
            producer.try_push(bytes(10_000))
            pushed += 1
    with pytest.raises(axonic.TimeoutError):
        producer.push(bytes(10_000), timeout=0.15)
    with pytest.raises(axonic.TooLargeError):
        producer.push(bytes(1 << 20))
    for _ in range(pushed):
        assert consumer.pop(timeout=1) == bytes(10_000)


def test_one_of_each(ax: axonic.Domain, ends: Any) -> None:
    with pytest.raises(axonic.BusyError):
        ax.ring_producer("r", capacity=64 << 10)
    with pytest.raises(axonic.BusyError):
        ax.ring_consumer("r", capacity=64 << 10)


def test_the_end(ax: axonic.Domain) -> None:
    with ax.ring_producer("r") as producer:
        producer.push(b"one")
        producer.push(b"two")
    with ax.ring_consumer("r") as consumer:
        assert list(consumer) == [b"one", b"two"]
        with pytest.raises(axonic.DisconnectedError):
            consumer.pop(timeout=1)
