"""Publishing and subscribing: overflow, order, patterns, counters, many at once."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import axonic


def test_order_and_sequence(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    for n in range(1000):
        pub.publish(n)
    received = [sub.receive(timeout=1) for _ in range(1000)]
    assert [m.value for m in received] == list(range(1000))
    assert [m.sequence for m in received] == list(range(1000))
    assert {m.publisher for m in received} == {pub.id}
    assert sum(m.missed for m in received) == 0


@pytest.mark.parametrize("size", [0, 1, 47, 64, 2047, 2048, 2049, 4096, 1 << 20, 5 << 20])
def test_sizes_by_copy_and_in_place(ax: axonic.Domain, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    pub.publish(data)
    pub.publish(data)
    with pub.loan(size) as view:
        view[:] = data
    message = sub.receive(timeout=1)
    assert message.data == data
    assert len(message) == size
    assert bytes(message) == data
    with sub.borrow(timeout=1) as sample:
        assert sample.data == data
        assert sample.pinned == (size > 2048)
        assert len(sample) == size
    assert sub.receive(timeout=1).data == data


def test_patterns(ax: axonic.Domain) -> None:
    one = ax.subscriber("orders.*")
    rest = ax.subscriber("orders.>")
    pubs = [ax.publisher(topic) for topic in ("orders.created", "orders.created.eu", "other")]
    for pub in pubs:
        pub.publish(1)
    assert one.receive(timeout=1).topic == "orders.created"
    assert one.try_receive() is None
    assert {rest.receive(timeout=1).topic for _ in range(2)} == {"orders.created", "orders.created.eu"}
    assert rest.try_receive() is None
    assert one.publishers() == 1
    assert rest.publishers() == 2


def test_missed_is_exact(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t", capacity=64 << 10)
    count = 20_000
    for n in range(count):
        pub.publish(n)
    received = []
    while (message := sub.try_receive()) is not None:
        received.append(message)
    missed = sum(m.missed for m in received)
    assert missed > 0
    assert missed + len(received) == count
    assert received[-1].value == count - 1
    assert sub.missed == missed
    assert sub.stats().missed == missed
    assert sub.stats().received == len(received)


def test_block_waits_for_room_and_loses_nothing(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t", overflow="block", capacity=64 << 10)
    count = 5000
    body = b"x" * 100

    def send() -> None:
        for _ in range(count):
            pub.publish(body, timeout=20)

    sender = threading.Thread(target=send)
    sender.start()
    received = [sub.receive(timeout=20) for _ in range(count)]
    sender.join()
    assert [m.sequence for m in received] == list(range(count))
    assert sum(m.missed for m in received) == 0
    assert pub.stats().published == count


def fill(pub: axonic.Publisher[bytes]) -> int:
    """Fills the ring to the last byte."""
    count = 0
    for size in (1000, 0):
        with contextlib.suppress(BlockingIOError):
            while True:
                pub.try_publish(bytes(size))
                count += 1
    return count


def test_a_full_ring(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    blocking = ax.publisher("t", overflow="block", capacity=64 << 10)
    assert fill(blocking) > 30
    with pytest.raises(axonic.WouldBlockError):
        blocking.try_publish(b"x" * 1000)
    start = time.monotonic()
    with pytest.raises(axonic.TimeoutError):
        blocking.publish(b"x" * 1000, timeout=0.25)
    assert 0.2 < time.monotonic() - start < 2
    with pytest.raises(axonic.TimeoutError):
        blocking.publish_many([b"x" * 1000], timeout=0)
    blocking.close()
    rejecting = ax.publisher("t", overflow="reject", capacity=64 << 10)
    assert fill(rejecting) > 30
    with pytest.raises(axonic.FullError):
        rejecting.publish(b"x" * 1000)
    while sub.try_receive() is not None:
        pass


def test_many_at_once(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t", capacity=1 << 20)
    values = [b"%d" % n for n in range(3000)]
    pub.publish_many(values)
    received: list[bytes] = []
    while len(received) < len(values):
        batch = sub.receive_many(max=700, timeout=1)
        assert 1 <= len(batch) <= 700
        received += [m.data for m in batch]
    assert received == values
    pub.publish_many([])
    pub.publish_many(n for n in range(3))
    assert [m.value for m in sub.receive_many(timeout=1)] == [0, 1, 2]
    with pytest.raises(axonic.TimeoutError):
        sub.receive_many(timeout=0.01)
    with pytest.raises(axonic.InvalidArgumentError):
        sub.receive_many(max=0)


def test_many_is_all_or_nothing(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t", overflow="reject", capacity=64 << 10)
    with pytest.raises(axonic.TooLargeError):
        pub.publish_many([bytes(1000)] * 1000)
    with pytest.raises(axonic.InvalidArgumentError):
        pub.publish_many([b"fine", object()])
    pub.publish(b"after")
    assert sub.receive(timeout=1).data == b"after"
    assert sub.try_receive() is None


def test_late_joiners(ax: axonic.Domain) -> None:
    pub = ax.publisher("t")
    pub.publish("before")
    latest = ax.subscriber("t")
    oldest = ax.subscriber("t", start="oldest")
    pub.publish("after")
    assert latest.receive(timeout=1).value == "after"
    assert oldest.receive(timeout=1).value == "before"
    assert oldest.receive(timeout=1).value == "after"


def test_retain(ax: axonic.Domain) -> None:
    pub = ax.publisher("t", retain=True)
    pub.publish("kept")
    pub.close()
    sub = ax.subscriber("t", start="oldest")
    assert sub.receive(timeout=1).value == "kept"
    sub.close()
    ax.unlink("topic", "t")


def test_subscribers_are_waited_for(ax: axonic.Domain) -> None:
    pub = ax.publisher("t")
    assert pub.subscribers() == 0
    with pytest.raises(axonic.TimeoutError):
        pub.wait_for_subscribers(1, timeout=0.02)
    opened = []
    opener = threading.Timer(0.05, lambda: opened.append(ax.subscriber("t")))
    opener.start()
    pub.wait_for_subscribers(timeout=10)
    opener.join()
    assert pub.subscribers() == 1
    opened.clear()


def test_a_hundred_pinned_samples_stall_nobody(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    pinned = []
    for n in range(100):
        pub.publish(bytes([n]) * 4096)
        pinned.append(sub.borrow(timeout=1))
    for n in range(2000):
        pub.publish(b"%d" % n)
    assert sub.stats().pinned == 100
    assert all(sample.data[0] == n for n, sample in enumerate(pinned))
    for sample in pinned:
        sample.release()
    assert sub.stats().pinned == 0


def test_too_many_borrowed(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t", max_borrowed=2)
    pub = ax.publisher("t")
    for n in range(3):
        pub.publish(bytes([n]) * 4096)
    first, second = sub.borrow(timeout=1), sub.borrow(timeout=1)
    with pytest.raises(axonic.LimitReachedError, match="max_borrowed"):
        sub.borrow(timeout=1)
    first.release()
    with sub.borrow(timeout=1) as third:
        assert third.data[0] == 2
    second.release()


def test_a_copy_needs_no_place_to_borrow(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t", max_borrowed=1)
    pub = ax.publisher("t")
    for n in range(3):
        pub.publish(bytes([n]) * 4096)
    with sub.borrow(timeout=1) as first:
        assert first.data[0] == 0
        assert sub.receive(timeout=1).data[0] == 1
        received = sub.try_receive()
        assert received is not None
        assert received.data[0] == 2


def test_too_large(ax: axonic.Domain) -> None:
    pub = ax.publisher("t", max_bytes=1 << 20)
    with pytest.raises(axonic.TooLargeError, match="max_bytes"):
        pub.publish(bytes(2 << 20))
    with pytest.raises(axonic.TooLargeError):
        pub.loan(2 << 20)


def test_attributes(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    pub.publish(b"x")
    assert sub.receive(timeout=1).attributes == {}
    pub.publish(b"x", attributes={"traceparent": "00-abc", "type": "demo.made"})
    attributes = sub.receive(timeout=1).attributes
    assert attributes["traceparent"] == "00-abc"
    assert attributes["type"] == "demo.made"
    assert attributes["specversion"] == "1.0"
    assert {"id", "source", "time"} <= attributes.keys()
    with pub.loan(4, attributes={"subject": "loan"}):
        pass
    with sub.borrow(timeout=1) as sample:
        assert sample.attributes["subject"] == "loan"
    with pytest.raises(axonic.InvalidArgumentError):
        pub.publish(b"x", attributes={"Not Valid": "x"})
    with pytest.raises(axonic.InvalidArgumentError):
        pub.publish(b"x", attributes={"count": 1})  # type: ignore[dict-item]


def test_options_are_checked(ax: axonic.Domain) -> None:
    with pytest.raises(axonic.InvalidArgumentError, match="drop_oldest"):
        ax.publisher("t", overflow="sometimes")  # type: ignore[call-overload]
    with pytest.raises(axonic.InvalidArgumentError, match="adaptive"):
        ax.publisher("t", wait="never")  # type: ignore[call-overload]
    with pytest.raises(axonic.InvalidArgumentError, match="latest"):
        ax.subscriber("t", start="middle")  # type: ignore[call-overload]
    sub = ax.subscriber("t")
    for timeout in (-1, float("nan")):
        with pytest.raises(axonic.InvalidArgumentError, match="timeout"):
            sub.receive(timeout=timeout)
    for name in ("a/b", "..", "a\0b", "", "x" * 100_000):
        with pytest.raises(axonic.InvalidNameError):
            ax.publisher(name)


@pytest.mark.parametrize("wait", ["adaptive", "spin", "block"])
def test_waiting_modes(ax: axonic.Domain, wait: Any) -> None:
    sub = ax.subscriber("t", wait=wait)
    pub = ax.publisher("t", wait=wait)
    sender = threading.Timer(0.05, lambda: pub.publish("now"))
    sender.start()
    assert sub.receive(timeout=10).value == "now"
    sender.join()
    with pytest.raises(axonic.TimeoutError):
        sub.receive(timeout=0.15)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.binary(max_size=5000), max_size=20), max_size=10))
def test_whatever_is_published_arrives(ax: axonic.Domain, batches: list[list[bytes]]) -> None:
    with ax.subscriber("t") as sub, ax.publisher("t", overflow="block", capacity=1 << 20) as pub:
        for batch in batches:
            if len(batch) % 2:
                pub.publish_many(batch)
            else:
                for data in batch:
                    pub.publish(data)
            assert [sub.receive(timeout=1).data for _ in batch] == batch
        assert sub.try_receive() is None


def test_a_loan_without_room_may_be_tried_again(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t", overflow="block", capacity=64 << 10)
    loan = pub.loan(5000)
    with memoryview(loan) as view:
        view[:] = b"l" * 5000
    fill(pub)
    for timeout in (0, 0.15):
        with pytest.raises(axonic.TimeoutError, match="capacity"):
            loan.commit(timeout=timeout)
    while sub.try_receive() is not None:
        pass
    loan.commit(timeout=1)
    assert sub.receive(timeout=1).data == b"l" * 5000


def test_counters_of_both_ends(ax: axonic.Domain) -> None:
    sub = ax.subscriber("counted")
    with ax.publisher("counted") as ended:
        ended.publish(b"left behind")
    pub = ax.publisher("counted")
    pub.publish(bytes(5000))
    stats = pub.stats()
    assert (stats.published, stats.bytes, stats.blocked, stats.pinned) == (1, 5000, 0, 0)
    assert (stats.wakes_sent, stats.wakes_elided, stats.subscribers) == (0, 1, 1)
    assert (stats.orphans, stats.remnants) == (1, 0)
    assert bytes(sub.receive(timeout=1).data) == b"left behind"
    with sub.borrow(timeout=1):
        assert (pub.stats().pinned, sub.stats().pinned) == (1, 1)
    assert sub.try_receive() is None
    assert (pub.stats().orphans, sub.stats().orphans, sub.stats().rings) == (0, 0, 1)
    assert "orphans=0, remnants=0" in repr(pub.stats())
    assert "orphans=0" in repr(sub.stats())
