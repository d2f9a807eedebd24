"""The lines in which the library explains itself in Python, one test each."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import Any

import numpy as np
import pytest

import axonic
import axonic.aio


@dataclasses.dataclass
class Order:
    id: int


def test_open() -> None:
    ax = axonic.open("demo")
    assert ax.name == "demo"
    ax.close()


def test_publisher_with_a_type(ax: axonic.Domain) -> None:
    sub = ax.subscriber("orders.created", type=Order)
    pub = ax.publisher("orders.created", type=Order)
    pub.publish(Order(id=1))
    assert sub.receive(timeout=1).value == Order(id=1)


def test_publish_raw_and_a_frame(ax: axonic.Domain) -> None:
    sub = ax.subscriber("orders.created")
    pub = ax.publisher("orders.created", type=Order)
    frame = np.arange(24, dtype="float32").reshape(2, 3, 4)
    pub.publish(b"raw")
    pub.publish(frame)
    assert sub.receive(timeout=1).value == b"raw"
    received = sub.receive(timeout=1).value
    assert received.dtype == np.float32
    assert received.shape == (2, 3, 4)
    assert (received == frame).all()


def test_loan(ax: axonic.Domain) -> None:
    sub = ax.subscriber("camera")
    pub = ax.publisher("camera")
    with pub.loan((480, 640, 3), "uint8") as view:
        np.asarray(view)[:] = 7
    value = sub.receive(timeout=1).value
    assert value.shape == (480, 640, 3)
    assert value.dtype == np.uint8
    assert (value == 7).all()


def test_loan_of_bytes(ax: axonic.Domain) -> None:
    sub = ax.subscriber("blob")
    pub = ax.publisher("blob")
    with pub.loan(5) as view:
        view[:] = b"hello"
    assert sub.receive(timeout=1).data == b"hello"


def test_loan_is_discarded_on_an_exception(ax: axonic.Domain) -> None:
    sub = ax.subscriber("camera")
    pub = ax.publisher("camera")
    with pytest.raises(ZeroDivisionError), pub.loan((480, 640, 3), "uint8") as view:
        view[0, 0, 0] = 1 // 0
    pub.publish(b"next")
    assert sub.receive(timeout=1).data == b"next"


def test_iteration(ax: axonic.Domain) -> None:
    sub = ax.subscriber("orders.>")
    ax.publisher("orders.created").publish({"id": 1})
    for m in sub:
        assert (m.topic, m.data, m.value, m.missed) == ("orders.created", b'{"id":1}', {"id": 1}, 0)
        break


def test_borrow_is_zero_copy(ax: axonic.Domain) -> None:
    sub = ax.subscriber("camera")
    ax.publisher("camera").publish(np.full((480, 640, 3), 9, dtype="uint8"))
    with sub.borrow(timeout=1) as m:
        array = np.asarray(m)
        assert m.pinned
        assert array.shape == (480, 640, 3)
        assert not array.flags.writeable
        assert not array.flags.owndata
        assert (array == 9).all()
        assert sub.stats().pinned == 1
        del array
    assert m.released
    assert sub.stats().pinned == 0


def test_receive_and_try_receive(ax: axonic.Domain) -> None:
    sub = ax.subscriber("orders.created")
    pub = ax.publisher("orders.created")
    assert sub.try_receive() is None
    pub.publish("a")
    pub.publish("b")
    m = sub.receive(timeout=1)
    assert m.value == "a"
    other = sub.try_receive()
    assert other is not None
    assert other.value == "b"


def test_aio_mirrors_it(runtime: Any) -> None:
    async def main() -> list[Any]:
        seen = []
        async with axonic.aio.open("demo") as ax:
            sub = ax.subscriber("orders.>")
            pub = ax.publisher("orders.created")
            for n in range(3):
                await pub.publish({"id": n})
            async for m in sub:
                seen.append(m.value["id"])
                if len(seen) == 3:
                    break
        return seen

    assert asyncio.run(main()) == [0, 1, 2]


def test_times_are_seconds_and_waits_release_the_gil(ax: axonic.Domain) -> None:
    sub = ax.subscriber("silence")
    ticks: list[int] = []

    def count() -> None:
        while not done.is_set():
            ticks.append(1)
            done.wait(0.001)

    done = threading.Event()
    counter = threading.Thread(target=count)
    counter.start()
    with pytest.raises(axonic.TimeoutError):
        sub.receive(timeout=0.3)
    done.set()
    counter.join()
    assert len(ticks) > 20, "the other thread could not run during the wait"


def test_everything_has_a_useful_repr(ax: axonic.Domain) -> None:
    sub = ax.subscriber("orders.>")
    pub = ax.publisher("orders.created")
    pub.publish({"id": 1})
    message = sub.receive(timeout=1)
    assert repr(ax).startswith('<axonic.Domain "test", participant ')
    assert repr(pub) == '<axonic.Publisher "orders.created" in "test", overflow drop_oldest>'
    assert repr(sub) == '<axonic.Subscriber "orders.>" in "test">'
    assert "'orders.created' #0, 8 bytes of json" in repr(message)
    assert '{"id":1}' in repr(message)
    assert "published=1" in repr(pub.stats())
    assert "received=1" in repr(sub.stats())
    region = ax.region("r", 64)
    assert repr(region) == '<axonic.Region "r" in "test", 64 bytes>'
    region.close()
    assert repr(region).endswith("closed>")
    ax.unlink("region", "r")
    with axonic.WaitSet() as waits:
        assert repr(waits) == "<axonic.WaitSet of 0>"
    producer = ax.ring_producer("r")
    assert repr(producer) == '<axonic.RingProducer "r" in "test">'
