"""Methods that do what they should not: each call ends once, and the service goes on."""

from __future__ import annotations

import asyncio
import contextlib
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
