"""What values become, and come back as."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from typing import Any, Literal, TypedDict

import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import axonic


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclasses.dataclass
class Line:
    name: str
    amount: int = 1


@dataclasses.dataclass
class Basket:
    id: uuid.UUID
    lines: list[Line]
    when: datetime.datetime
    size: Size
    notes: dict[str, str | None] = dataclasses.field(default_factory=dict)
    total: float = 0
    place: tuple[int, int] | None = None
    kind: Literal["home", "shop"] = "home"


class Model(pydantic.BaseModel):
    id: int
    tags: list[str] = []


class Typed(TypedDict):
    id: int


BASKET = Basket(
    id=uuid.UUID(int=7),
    lines=[Line("apple", 3), Line("pear")],
    when=datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    size=Size.LARGE,
    notes={"a": "b", "c": None},
    total=2,
    place=(1, 2),
)


def test_what_cannot_be_sent_is_said_with_where_to(ax: axonic.Domain) -> None:
    pub, typed, q = ax.publisher("t"), ax.publisher("lines", Line), ax.queue("jobs")
    no_word = "this dict has no JSON form: JSON has no word for object; give bytes"
    for call, said in [
        (lambda: pub.publish({"a": object()}), f'^publisher "t": cannot publish: {no_word}'),
        (
            lambda: typed.publish({"name": 1}),
            '^publisher "lines": cannot publish: the value.name: expected str',
        ),  # type: ignore[arg-type]
        (lambda: q.put({"a": object()}), f'^queue "jobs": cannot put: {no_word}'),
        (lambda: q.try_put("\ud800"), '^queue "jobs": cannot put: this text has no JSON form'),
        (lambda: q.put_many([1], content="raw"), '^queue "jobs": cannot put: content="raw" sends bytes'),
    ]:
        with pytest.raises(axonic.InvalidArgumentError, match=said):
            call()
    with pytest.raises(axonic.InvalidArgumentError) as raised:
        q.put(object())
    assert isinstance(raised.value.__cause__, TypeError)
    q.put(1)
    with q.get(timeout=1) as job:
        with pytest.raises(
            axonic.InvalidArgumentError, match=r'^queue "jobs": cannot answer with this result'
        ):
            job.ack(object())
        assert not job.settled


@pytest.mark.parametrize("content", [None, "json", "msgpack"])
@pytest.mark.parametrize(
    "value", [None, True, 0, -5, 2**63, 1.5, "text é 🦀", [1, [2]], {"a": {"b": [None]}}, "", [], {}]
)
def test_plain_values(ax: axonic.Domain, value: Any, content: Any) -> None:
    sub = ax.subscriber("t")
    ax.publisher("t").publish(value, content=content)
    message = sub.receive(timeout=1)
    assert message.value == value
    assert message.content == (content or "json")
    assert message.value is message.value


@pytest.mark.parametrize("content", [None, "msgpack"])
def test_a_dataclass(ax: axonic.Domain, content: Any) -> None:
    sub = ax.subscriber("t", type=Basket)
    pub = ax.publisher("t", type=Basket)
    pub.publish(BASKET, content=content)
    assert sub.receive(timeout=1).value == BASKET
    pub.publish(BASKET, content=content)
    with sub.borrow(timeout=1) as sample:
        assert sample.value == BASKET


def test_a_pydantic_model(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t", type=Model)
    pub = ax.publisher("t", type=Model)
    pub.publish(Model(id=1, tags=["a"]))
    pub.publish({"id": "2"})  # type: ignore[arg-type]  # a mapping that fits is accepted too
    assert sub.receive(timeout=1).value == Model(id=1, tags=["a"])
    assert sub.receive(timeout=1).value == Model(id=2)


def test_other_annotations_pass_through(ax: axonic.Domain) -> None:
    pub = ax.publisher("t")
    typed = ax.subscriber("t", type=Typed)
    several = ax.subscriber("t", type=list[Model] | Line)
    pub.publish({"id": 1})
    assert typed.receive(timeout=1).value == {"id": 1}
    with pytest.raises(axonic.DecodeError):
        _ = several.receive(timeout=1).value
    pub.publish([{"id": 1}])
    assert several.receive(timeout=1).value == [Model(id=1)]
    pub.publish({"name": "x"})
    assert several.receive(timeout=1).value == Line("x")


@pytest.mark.parametrize(
    "wrong",
    [1, "text", [], {}, {"name": 1}, {"name": "x", "amount": "y"}, {"name": "x", "more": 1}, {"name": True}],
)
def test_values_that_do_not_fit(ax: axonic.Domain, wrong: Any) -> None:
    sub = ax.subscriber("t", type=Line)
    ax.publisher("t").publish(wrong)
    message = sub.receive(timeout=1)
    with pytest.raises(axonic.DecodeError):
        _ = message.value
    assert message.data, "the bytes are there all the same"
    if isinstance(wrong, dict):
        with pytest.raises(axonic.InvalidArgumentError):
            ax.publisher("t", type=Line).publish(wrong)  # type: ignore[arg-type]


def test_values_json_has_no_word_for(ax: axonic.Domain) -> None:
    pub = ax.publisher("t")
    for wrong in (object(), {"a": object()}, float("nan"), {1, object()}, {(1, 2): 3}):
        with pytest.raises(axonic.InvalidArgumentError):
            pub.publish(wrong)
    with pytest.raises(axonic.InvalidArgumentError):
        pub.publish("half a pair: \ud800")
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(axonic.InvalidArgumentError):
        pub.publish(circle)


def test_content_is_what_was_asked(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    pub.publish(b'{"already":"json"}', content="json")
    assert sub.receive(timeout=1).value == {"already": "json"}
    pub.publish(b"\x93\x01\x02\x03", content="msgpack")
    assert sub.receive(timeout=1).value == [1, 2, 3]
    with pytest.raises(axonic.InvalidArgumentError):
        pub.publish("text", content="raw")
    with pytest.raises(axonic.InvalidArgumentError, match="msgpack"):
        pub.publish("text", content="xml")  # type: ignore[arg-type]
    pub.publish(b"not json", content="json")
    message = sub.receive(timeout=1)
    with pytest.raises(axonic.DecodeError):
        _ = message.value
    assert message.data == b"not json"
    for wrong in (b"\xff", b"[" * 100_000):
        pub.publish(wrong, content="json")
        message = sub.receive(timeout=1)
        with pytest.raises(axonic.DecodeError):
            _ = message.value


@pytest.mark.parametrize(
    "data", [b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), memoryview(b"-b-y-t-e-s")[1::2]]
)
def test_bytes_like_objects_are_raw(ax: axonic.Domain, data: Any) -> None:
    sub = ax.subscriber("t")
    ax.publisher("t").publish(data)
    message = sub.receive(timeout=1)
    assert message.content == "raw"
    assert message.value == message.data == bytes(data)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_any_json_comes_back(ax: axonic.Domain, value: Any) -> None:
    with ax.subscriber("t") as sub, ax.publisher("t") as pub:
        pub.publish(value)
        pub.publish(value, content="msgpack")
        assert sub.receive(timeout=1).value == value
        assert sub.receive(timeout=1).value == value
