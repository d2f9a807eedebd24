"""The exceptions come from the core's table and carry what to branch on."""

from __future__ import annotations

import builtins
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

import axonic

CLASSES = [
    c
    for c in vars(axonic).values()
    if isinstance(c, type) and issubclass(c, axonic.AxonicError) and c is not axonic.AxonicError
]


def test_numbers_and_names_are_unique_and_dense() -> None:
    assert sorted(c.number for c in CLASSES) == list(range(1, len(CLASSES) + 1))
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
    assert (error.kind, error.number, error.code) == ("Timeout", 6, "")
    assert "orders.>" in str(error)
    assert error.errno == 110
    with pytest.raises(FileNotFoundError) as missing:
        ax.region("nothing", create="open")
    assert isinstance(missing.value, axonic.NotFoundError)
    assert "nothing" in str(missing.value)


WHOLE_NUMBERS: dict[str, Callable[[axonic.Domain, int], object]] = {
    "capacity": lambda ax, n: ax.queue("q", capacity=n),
    "max_bytes": lambda ax, n: ax.queue("q", max_bytes=n),
    "max_attempts": lambda ax, n: ax.queue("q", max_attempts=n),
    "dedup count": lambda ax, n: ax.queue("q", dedup={"count": n}),
    "priority": lambda ax, n: ax.queue("q").put(b"", priority=n),
    "priority ": lambda ax, n: ax.queue("q").try_put(b"", priority=n),
    "priority  ": lambda ax, n: ax.queue("q").put_many([b""], priority=n),
    "max": lambda ax, n: ax.queue("q").get_many(n),
    "max ": lambda ax, n: ax.queue("q").peek(n),
    "max  ": lambda ax, n: ax.queue("q").dead_letters(n),
    "max   ": lambda ax, n: ax.queue("q").redrive(n),
    "max    ": lambda ax, n: ax.subscriber("t").receive_many(n),
    "concurrency": lambda ax, n: ax.queue("q").worker(concurrency=n),
    "permits": lambda ax, n: ax.semaphore("s", n),
    "parties": lambda ax, n: ax.barrier("b", n),
    "n": lambda ax, n: ax.condvar("c", ax.mutex("m")).notify(n),
    "capacity ": lambda ax, n: ax.publisher("t", capacity=n),
    "capacity  ": lambda ax, n: ax.ring_producer("r", capacity=n),
    "max_borrowed": lambda ax, n: ax.subscriber("t", max_borrowed=n),
    "count": lambda ax, n: ax.publisher("t").wait_for_subscribers(n),
    "shape": lambda ax, n: ax.publisher("t").loan(n),
    "shape ": lambda ax, n: ax.publisher("t").loan((2, n), "uint8"),
    "nbytes": lambda ax, n: ax.ring_producer("r").reserve(n),
    "size": lambda ax, n: ax.region("r", n),
    "offset": lambda ax, n: axonic.Region.sealed(b"x").read(n),
    "offset ": lambda ax, n: axonic.Region.sealed(b"x").write(n, b""),
    "fd": lambda ax, n: axonic.WaitSet().add(n * 2**40),
    "fd ": lambda ax, n: axonic.Region.from_fd(n * 2**40),
    "mode": lambda ax, n: axonic.open("other", mode=n),
    "group": lambda ax, n: axonic.open("other", group=n),
    "max_participants": lambda ax, n: axonic.open("other", max_participants=n),
    "quota": lambda ax, n: axonic.open("other", quota=n),
    "participant_quota": lambda ax, n: axonic.open("other", participant_quota=n),
}


@pytest.mark.parametrize("number", [-1, 1 << 64])
@pytest.mark.parametrize("argument", WHOLE_NUMBERS)
def test_a_number_that_fits_nothing_is_named(ax: axonic.Domain, argument: str, number: int) -> None:
    with pytest.raises(axonic.InvalidArgumentError, match=rf"^{argument.strip()}=.*: give .+") as raised:
        WHOLE_NUMBERS[argument](ax, number)
    assert str(number) in str(raised.value) or argument.startswith("fd")


def test_what_is_no_number_is_a_type_error(ax: axonic.Domain) -> None:
    with pytest.raises(TypeError, match="str"):
        ax.queue("q", capacity="5")  # type: ignore[call-overload]


def test_long_waits_name_the_whole_time(ax: axonic.Domain) -> None:
    with pytest.raises(axonic.TimeoutError, match=r"within 250ms$"):
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
