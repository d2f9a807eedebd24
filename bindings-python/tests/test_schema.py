"""Topics whose ends are held to a JSON Schema."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import pickle
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import axonic
import axonic.aio

ORDER = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}

GOOD = {"id": 1}
WRONG: list[Any] = [{"id": "one"}, {}, [GOOD], None, "text", b'{"id": 1}', np.zeros(3)]


@dataclasses.dataclass
class Order:
    id: Any


def fill(pub: axonic.Publisher[Any], data: bytes, size: int) -> None:
    with pub.loan(size, content="json") as view:
        view[:] = data.ljust(size)


@pytest.mark.parametrize("schema", [ORDER, json.dumps(ORDER), types.MappingProxyType(ORDER)])
def test_a_publisher_refuses_what_does_not_satisfy_it(ax: axonic.Domain, schema: Any) -> None:
    sub, pub = ax.subscriber("t"), ax.publisher("t", schema=schema)
    for wrong in WRONG:
        with pytest.raises(axonic.InvalidArgumentError, match="'t'"):
            pub.publish(wrong)
        with pytest.raises(axonic.InvalidArgumentError, match="'t'"):
            pub.try_publish(wrong)
        with pytest.raises(axonic.InvalidArgumentError, match="'t'"):
            pub.publish_many([GOOD, wrong])
    with pytest.raises(axonic.InvalidArgumentError, match="/id"):
        pub.publish({"id": "one"}, content="msgpack")
    for size in (100, 100_000):
        with pytest.raises(axonic.InvalidArgumentError):
            fill(pub, b'{"id": "one"}', size)
        with pytest.raises(axonic.InvalidArgumentError), pub.loan(size) as view:
            view[:] = b'{"id": 1}'.ljust(size)
    loan = pub.loan((2, 2), "uint8")
    with pytest.raises(axonic.InvalidArgumentError):
        loan.commit()
    loan.discard()
    assert sub.try_receive() is None

    pub.publish(GOOD)
    pub.try_publish(GOOD, content="msgpack")
    pub.publish_many([GOOD, GOOD])
    fill(pub, b'{"id": 1}', 100)
    fill(pub, b'{"id": 1}', 100_000)
    assert [sub.receive(timeout=1).value for _ in range(6)] == [GOOD] * 6


RECEIVE: list[Callable[[axonic.Subscriber[Any]], Any]] = [
    lambda sub: sub.receive(timeout=1).value,
    lambda sub: found.value if (found := sub.try_receive()) else None,
    lambda sub: sub.receive_many(max=1, timeout=1)[0].value,
    lambda sub: sub.borrow(timeout=1).value,
    lambda sub: found.value if (found := sub.try_borrow()) else None,
    lambda sub: next(iter(sub)).value,
]


@pytest.mark.parametrize("receive", RECEIVE)
def test_a_subscriber_passes_over_what_does_not_satisfy_it(
    ax: axonic.Domain, receive: Callable[[axonic.Subscriber[Any]], Any]
) -> None:
    sub, pub = ax.subscriber("t", schema=ORDER), ax.publisher("t")
    large = {"text": "x" * 100_000}
    for wrong in [*WRONG, large]:
        pub.publish(wrong)
        pub.publish({"id": 2, **large})
        with pytest.raises(axonic.DecodeError, match="'t'"):
            receive(sub)
        assert receive(sub)["id"] == 2
    assert sub.try_receive() is None
    assert sub.stats().pinned == 0


def test_it_arrives_while_somebody_waits(ax: axonic.Domain, script: Any) -> None:
    sub = ax.subscriber("t", schema=ORDER)
    code = """
        import time, axonic
        with axonic.open("test") as ax, ax.publisher("t", overflow="block") as pub:
            for value in ({"id": "one"}, {"id": 1}):
                time.sleep(0.2)
                pub.publish(value)
    """
    process = script(code)
    with pytest.raises(axonic.DecodeError):
        sub.receive(timeout=20)
    assert sub.receive(timeout=20).value == GOOD
    process.wait(20)


def test_iteration_goes_on_behind_it(ax: axonic.Domain) -> None:
    sub, pub = ax.subscriber("t", schema=ORDER), ax.publisher("t")
    pub.publish_many([{"id": 1}, {}, {"id": 2}])
    seen = []
    with pytest.raises(axonic.DecodeError):
        for message in sub:
            seen.append(message.value["id"])
    for message in sub:
        seen.append(message.value["id"])
        break
    assert seen == [1, 2]


def test_many_at_once_lose_neither_messages_nor_the_error(ax: axonic.Domain) -> None:
    sub, pub = ax.subscriber("t", schema=ORDER), ax.publisher("t")
    for after in RECEIVE:
        pub.publish_many([{"id": 1}, {"id": 2}, {}, {"id": 3}])
        assert [m.value["id"] for m in sub.receive_many(timeout=1)] == [1, 2]
        with pytest.raises(axonic.DecodeError):
            after(sub)
        assert after(sub) == {"id": 3}


def test_no_place_to_borrow_is_left(ax: axonic.Domain) -> None:
    sub, pub = ax.subscriber("t", schema=ORDER, max_borrowed=1), ax.publisher("t")
    text = "x" * 100_000
    pub.publish({"id": 1, "text": text})
    with sub.borrow(timeout=1):
        for receive in (lambda: sub.receive(timeout=1), sub.try_receive):
            pub.publish({"text": text})
            pub.publish({"id": 2, "text": text})
            with pytest.raises(axonic.LimitReachedError):
                sub.try_borrow()
            with pytest.raises(axonic.DecodeError):
                receive()
            message = receive()
            assert message is not None
            assert message.value["id"] == 2


def test_beside_a_type(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t", type=Order, schema=ORDER)
    pub = ax.publisher("t", type=Order, schema=ORDER)
    with pytest.raises(axonic.InvalidArgumentError, match="/id"):
        pub.publish(Order("one"))
    pub.publish(Order(1))
    assert sub.receive(timeout=1).value == Order(1)


def test_it_is_pickled_with_the_handle(ax: axonic.Domain) -> None:
    sub = pickle.loads(pickle.dumps(ax.subscriber("t", schema=ORDER)))
    pub = pickle.loads(pickle.dumps(ax.publisher("t", schema=ORDER)))
    plain = pickle.loads(pickle.dumps(ax.publisher("t")))
    with pytest.raises(axonic.InvalidArgumentError):
        pub.publish({})
    plain.publish({})
    with pytest.raises(axonic.DecodeError):
        sub.receive(timeout=1)
    pub.publish(GOOD)
    assert sub.receive(timeout=1).value == GOOD
    del sub, pub, plain


@pytest.mark.parametrize(
    "bad",
    ["", "{", 7, b"{}", object(), {"type": "nothing"}, {"a": object()}, {"a": float("nan")}, "\ud800", Order],
)
def test_what_is_no_schema_is_refused(ax: axonic.Domain, bad: Any) -> None:
    for open_end in (ax.publisher, ax.subscriber):
        with pytest.raises(axonic.InvalidArgumentError, match="not a JSON Schema"):
            open_end("t", schema=bad)


def test_the_asyncio_face() -> None:
    async def main() -> None:
        async with axonic.aio.open("test") as ax:
            sub, pub, other = (
                ax.subscriber("t", schema=ORDER),
                ax.publisher("t", schema=ORDER),
                ax.publisher("t"),
            )
            for wrong in WRONG:
                with pytest.raises(axonic.InvalidArgumentError):
                    await pub.publish(wrong)
                with pytest.raises(axonic.InvalidArgumentError):
                    await pub.publish_many([GOOD, wrong])
            with pytest.raises(axonic.InvalidArgumentError):
                async with pub.loan(10, content="json") as view:
                    view[:] = b"[1]".ljust(10)
            with pytest.raises(axonic.TimeoutError):
                await sub.receive(timeout=0)

            async def borrow() -> Any:
                async with sub.borrow(timeout=5) as sample:
                    return sample.value

            async def many() -> Any:
                return (await sub.receive_many(max=1, timeout=5))[0].value

            async def receive() -> Any:
                return (await sub.receive(timeout=5)).value

            async def iterate() -> Any:
                async for message in sub:
                    return message.value
                return None

            for take in (borrow, many, receive, iterate):
                # There already, and while a task waits.
                for waits in (False, True):
                    for value in ({}, GOOD):
                        task = asyncio.ensure_future(take())
                        if waits:
                            await asyncio.sleep(0.01)
                        await other.publish(value)
                        if value == GOOD:
                            assert await task == GOOD
                        else:
                            with pytest.raises(axonic.DecodeError):
                                await task

            await other.publish_many([GOOD, {}, GOOD])
            assert [m.value for m in await sub.receive_many(timeout=1)] == [GOOD]
            with pytest.raises(axonic.DecodeError):
                await sub.receive_many(timeout=1)
            assert [m.value for m in await sub.receive_many(timeout=1)] == [GOOD]
            with pytest.raises(axonic.TimeoutError, match="'t'"):
                await sub.receive_many(timeout=0.01)
            with pytest.raises(axonic.InvalidArgumentError, match="not a JSON Schema"):
                ax.subscriber("t", schema="{")

    asyncio.run(asyncio.wait_for(main(), 30))
