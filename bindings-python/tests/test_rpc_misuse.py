"""Methods that do what they should not: each call ends once, and the service goes on."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import axonic
import axonic.aio
from test_aio import run


class Silent(Exception):
    """Nothing can be told of it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def changed(**attributes: Any) -> axonic.Status:
    """A status that was made well, and changed."""
    status = axonic.Status("ABORTED", "again")
    for name, value in attributes.items():
        setattr(status, name, value)
    return status


WRONG: dict[str, tuple[Callable[[], BaseException], str]] = {
    "silent": (Silent, "UNKNOWN"),
    "message": (lambda: changed(message=5), "INTERNAL"),
    "reason": (lambda: changed(reason=None), "INTERNAL"),
    "code": (lambda: changed(code="NONE"), "INTERNAL"),
    "retryable": (lambda: changed(retryable="yes"), "INTERNAL"),
    "details": (lambda: changed(details=Silent()), "INTERNAL"),
    "surrogates": (lambda: ValueError("\ud800"), "UNKNOWN"),
    "arguments": (lambda: LookupError(Silent()), "UNKNOWN"),
}


def fail(what: str) -> None:
    raise WRONG[what][0]()


def fail_exiting(what: str) -> None:
    raise {"exit": SystemExit(3), "interrupt": KeyboardInterrupt(), "other": BaseException("base")}[what]


@contextlib.contextmanager
def serving(svc: axonic.Service, threads: int = 1) -> Iterator[None]:
    """Answers its calls in threads that are to end well."""
    ended: list[BaseException] = []

    def serve() -> None:
        try:
            svc.serve(threads)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        svc.close()
        thread.join(20)
        assert not thread.is_alive()
        assert ended == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_whatever_a_method_raises_its_call_ends(
    ax: axonic.Domain, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    caplog.set_level(logging.CRITICAL)
    svc = ax.service("shop", "1.0.0")
    svc.method(fail)
    with serving(svc), ax.client("shop", "^1") as client:
        for what, (_, code) in WRONG.items():
            with pytest.raises(axonic.CallFailedError) as failed:
                client.fail(what=what, timeout=10)
            assert (what, failed.value.code) == (what, code)
            assert svc.at_work == 0


def test_whatever_a_method_raises_its_call_ends_in_an_event_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    caplog.set_level(logging.CRITICAL)

    async def main(ax: axonic.aio.Domain) -> None:
        async with ax.service("shop", "1.0.0") as svc, ax.client("shop", "^1") as client:
            svc.method(fail)
            serving = asyncio.create_task(svc.serve())
            for what, (_, code) in WRONG.items():
                with pytest.raises(axonic.CallFailedError) as failed:
                    await client.fail(what=what, timeout=10)
                assert (what, failed.value.code) == (what, code)
                assert svc.at_work == 0
            svc.close()
            await serving

    run(main)


@pytest.mark.parametrize(
    "given", [{"message": 5}, {"message": None}, {"reason": None}, {"retryable": "yes"}, {"reason": b"x"}]
)
def test_a_status_is_checked_where_it_is_made(given: dict[str, Any]) -> None:
    with pytest.raises(axonic.InvalidArgumentError, match=next(iter(given))):
        axonic.Status("ABORTED", **{"message": "again", **given})


def test_a_method_that_exits_ends_no_other_thread(
    ax: axonic.Domain, caplog: pytest.LogCaptureFixture
) -> None:
    svc = ax.service("shop", "1.0.0")
    svc.method(fail_exiting)
    svc.method(fail)
    with serving(svc, threads=2), ax.client("shop", "^1") as client:
        for _ in range(3):
            for what, reason in (
                ("exit", "SystemExit"),
                ("interrupt", "KeyboardInterrupt"),
                ("other", "BaseException"),
            ):
                with pytest.raises(axonic.CallFailedError) as failed:
                    client.fail_exiting(what=what, timeout=10)
                assert (failed.value.code, failed.value.reason) == ("UNKNOWN", reason)
    assert len(caplog.records) == 9


def test_a_log_handler_that_raises_stops_no_service(
    ax: axonic.Domain, capfd: pytest.CaptureFixture[str]
) -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("no room for records")

    svc = ax.service("shop", "1.0.0")
    svc.method(fail)
    handler = Raising()
    logging.getLogger().addHandler(handler)
    try:
        with serving(svc), ax.client("shop", "^1") as client:
            for _ in range(2):
                with pytest.raises(axonic.CallFailedError) as failed:
                    client.fail(what="surrogates", timeout=10)
                assert (failed.value.code, failed.value.reason) == ("UNKNOWN", "ValueError")
    finally:
        logging.getLogger().removeHandler(handler)
    assert "no room for records" in capfd.readouterr().err


def around(function: Any) -> Any:
    """As decorators do it."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@around
def ones(count: int) -> Iterator[int]:
    yield from [1] * count


@around
async def later(value: Any) -> Any:
    return value


@around
def plain(a: int, b: int = 2) -> int:
    return a + b


@around
def inside(a: int) -> int:
    return len(a)  # type: ignore[arg-type]


def test_functions_around_others(ax: axonic.Domain) -> None:
    svc = ax.service("shop", "1.0.0")
    for function in (ones, later, plain, inside):
        svc.method(function)
    with serving(svc), ax.client("shop", "^1") as client:
        assert list(client.ones.stream(count=3, timeout=10)) == [1, 1, 1]
        assert client.plain(a=1, timeout=10) == 3
        for call, code, reason in (
            (lambda: client.ones(count=3, timeout=10), "INVALID_ARGUMENT", "stream"),
            (lambda: client.plain(c=1, timeout=10), "INVALID_ARGUMENT", "arguments"),
            (lambda: client.inside(a=1, timeout=10), "UNKNOWN", "TypeError"),
        ):
            with pytest.raises(axonic.CallFailedError) as failed:
                call()
            assert (failed.value.code, failed.value.reason) == (code, reason)
        for data in ({"value": 1}, b"x"):
            with pytest.raises(axonic.CallFailedError, match=r"axonic\.aio"):
                client.call("later", data, timeout=10)


def test_functions_around_others_in_an_event_loop() -> None:
    async def main(ax: axonic.aio.Domain) -> None:
        async with ax.service("shop", "1.0.0") as svc, ax.client("shop", "^1") as client:
            for function in (ones, later, plain):
                svc.method(function)
            serving = asyncio.create_task(svc.serve())
            assert [item async for item in client.ones.stream(count=2, timeout=10)] == [1, 1]
            assert await client.later(value=5, timeout=10) == 5
            assert await client.plain(a=5, timeout=10) == 7
            svc.close()
            await serving

    run(main)


def test_what_comes_besides_may_be_by_position_alone(ax: axonic.Domain) -> None:
    svc = ax.service("shop", "1.0.0")
    kind = axonic.Context

    @svc.method
    def none(ctx: kind, /) -> Any:  # type: ignore[valid-type]
        return type(ctx) is kind

    @svc.method
    def last(a: str, ctx: kind, /) -> Any:  # type: ignore[valid-type]
        return [a, type(ctx) is kind]

    @svc.method
    def default(a: str, b: int = 2, ctx: Any = None, /) -> Any:
        return [a, b, type(ctx) is kind]

    @svc.method
    def rest(ctx: kind, /, **more: Any) -> Any:  # type: ignore[valid-type]
        return [more, type(ctx) is kind]

    with serving(svc), ax.client("shop", "^1") as client:
        assert client.none(timeout=10) is True
        assert client.last("x", timeout=10) == ["x", True]
        assert client.default("x", timeout=10) == ["x", 2, True]
        assert client.rest(c=3, timeout=10) == [{"c": 3}, True]
        assert client.rest(timeout=10) == [{}, True]


def test_serving_threads_end_when_the_service_is_closed(ax: axonic.Domain) -> None:
    for _ in range(20):
        svc = ax.service("shop", "1.0.0")
        svc.method(fail)
        with serving(svc, threads=4):
            time.sleep(0.005)


def test_calls_leave_nothing_behind(ax: axonic.Domain) -> None:
    svc = ax.service("shop", "1.0.0")
    seen: list[Any] = []

    @svc.method
    def size(ctx: axonic.Context, text: str) -> int:
        seen[:] = [ctx]
        return len(text)

    @svc.method
    def total(numbers: Iterator[int], text: str) -> int:
        return sum(numbers) + len(text)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    text = "x" * 100_000
    with serving(svc), ax.client("shop", "^1") as client:
        for round_ in range(5):
            for _ in range(100):
                assert client.size(text=text, timeout=10) == len(text)
                assert client.total(iter((1, 2)), text=text, timeout=10) == len(text) + 3
            if round_ == 0:
                gc.collect()
                before = resident()
        # What 800 calls were given is 80 MB.
        assert resident() - before < 20_000_000
        assert seen.pop()._value == {"text": text}


def test_a_stream_that_another_thread_waits_for_does_not_stop_the_service(ax: axonic.Domain) -> None:
    svc = ax.service("shop", "1.0.0")
    readers: list[threading.Thread] = []

    @svc.method
    def leave(numbers: Iterator[int]) -> int:
        reader = threading.Thread(target=lambda: list(numbers))
        readers.append(reader)
        reader.start()
        time.sleep(0.05)
        return 1

    @svc.method
    def echo(value: Any) -> Any:
        return value

    with serving(svc), ax.client("shop", "^1") as client:
        stopped = threading.Event()

        def numbers() -> Iterator[int]:
            yield 1
            stopped.wait(10)

        def call() -> None:
            with pytest.raises(axonic.CallFailedError, match="without an answer"):
                client.leave(numbers(), timeout=20)

        caller = threading.Thread(target=call)
        caller.start()
        while not readers:
            time.sleep(0.01)
        time.sleep(0.1)
        assert client.echo(3, timeout=10) == 3
        stopped.set()
        caller.join(20)
        readers[0].join(20)
        assert not caller.is_alive()
        assert not readers[0].is_alive()
