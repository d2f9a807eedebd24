"""The exceptions come from the core's table and carry what to branch on."""

from __future__ import annotations

import builtins
import pickle
from pathlib import Path

import pytest

import axonic

CLASSES = [
    c
    for c in vars(axonic).values()
    if isinstance(c, type) and issubclass(c, axonic.AxonicError) and c is not axonic.AxonicError
]


def test_numbers_and_names_are_unique_and_dense() -> None:
    assert sorted(c.code for c in CLASSES) == list(range(1, len(CLASSES) + 1))
    assert len({c.kind for c in CLASSES}) == len(CLASSES) >= 22


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: c.__name__)
def test_each_class(kind: type[axonic.AxonicError]) -> None:
    assert kind.__name__ == f"{kind.kind}Error"
    assert kind.__module__ == "axonic"
    assert getattr(axonic, kind.__name__) is kind
    assert kind.__name__ in axonic.__all__
    assert kind.__bases__[0] is axonic.AxonicError
    assert all(base.__module__ == "builtins" for base in kind.__bases__[1:])
    again = pickle.loads(pickle.dumps(kind("text")))
    assert type(again) is kind
    assert str(again) == "text"


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("TimeoutError", TimeoutError),
        ("WouldBlockError", BlockingIOError),
        ("NotFoundError", FileNotFoundError),
        ("AlreadyExistsError", FileExistsError),
        ("PermissionDeniedError", PermissionError),
        ("DisconnectedError", BrokenPipeError),
        ("InUseError", BufferError),
        ("InvalidArgumentError", ValueError),
        ("InterruptedError", InterruptedError),
    ],
)
def test_builtin_bases(name: str, base: type[Exception]) -> None:
    assert issubclass(getattr(axonic, name), base)


def test_a_raised_error_tells_everything(ax: axonic.Domain) -> None:
    with pytest.raises(builtins.TimeoutError) as caught:
        ax.subscriber("orders.>").receive(timeout=0.01)
    error = caught.value
    assert isinstance(error, axonic.TimeoutError)
    assert (error.kind, error.code) == ("Timeout", 6)
    assert "orders.>" in str(error)
    assert error.errno == 110
    with pytest.raises(FileNotFoundError) as missing:
        ax.region("nothing", create="open")
    assert isinstance(missing.value, axonic.NotFoundError)
    assert "nothing" in str(missing.value)


def test_long_waits_name_the_whole_time(ax: axonic.Domain) -> None:
    with pytest.raises(axonic.TimeoutError, match=r"0\.25 ?s"):
        ax.subscriber("t").receive(timeout=0.25)


def test_a_quota_names_itself(runtime: Path) -> None:
    with axonic.open("small", quota=4 << 20) as ax, ax.publisher("t") as pub:
        with pytest.raises(axonic.AxonicError, match="quota") as caught:
            pub.publish(bytes(8 << 20))
        assert isinstance(caught.value, axonic.LimitReachedError | axonic.NoSpaceError)
        pub.publish(b"what fits still goes")
        again = pickle.loads(pickle.dumps(ax))
        assert again.name == "small"
        again.close()
