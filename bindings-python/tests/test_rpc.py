"""Services and clients: calls between programs."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import itertools
import json
import logging
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import axonic
from conftest import Script, finish
from test_channel import address_of
from test_fork import in_child


@dataclasses.dataclass
class Order:
    item: str
    count: int = 1


def make(ax: axonic.Domain, **options: Any) -> axonic.Service:
    """A service with some methods."""
    svc = ax.service("shop", "1.2.0", **options)

    @svc.method
    def echo(data: Any) -> Any:
        return data

    @svc.method
    def add(a: int, b: int = 1, *, ctx: axonic.Context) -> int:
        ctx.progress(0.5, "half")
        return a + b

    @svc.method
    def buy(order: Order) -> str:
        return f"{order.count} {order.item}"

    @svc.method
    def whole(document: Any, /) -> Any:
        return sorted(document)

    @svc.method
    def between(ctx: axonic.Context, a: int, order: Order, *rest: Any, b: int = 0) -> Any:
        return [ctx.method, a, order.item, *rest, b]

    @svc.method
    def nothing() -> None:
        pass

    @svc.method
    def count(up_to: int) -> Iterator[int]:
        yield from range(up_to)

    @svc.method
    def total(numbers: Iterator[int], start: int = 0) -> int:
        return start + sum(numbers)

    @svc.method
    def first(numbers: Iterator[int]) -> int:
        return next(numbers)

    @svc.method
    def double(numbers: Iterator[bytes]) -> Iterator[bytes]:
        for number in numbers:
            yield number * 2

    @svc.method
    def refuse(item: str) -> None:
        raise axonic.Status(
            "NOT_FOUND", f"no {item}", reason="no_such_item", details={"item": item}, retryable=True
        )

    @svc.method
    def crash() -> None:
        raise LookupError("nowhere")

    @svc.method
    def hasty(what: str) -> None:
        if what == "own":
            svc._next(0.001)
        if what == "cancelled":
            raise concurrent.futures.CancelledError
        raise TimeoutError("no answer of the disk")

    @svc.method
    def inside() -> None:
        len(5)  # type: ignore[arg-type]

    @svc.method
    def nap(ctx: axonic.Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)

    @svc.method
    def about(ctx: axonic.Context) -> Any:
        left = ctx.remaining
        return {
            "pid": ctx.caller.pid,
            "left": None if left is None else left,
            "trace": ctx.traceparent,
            "repr": repr(ctx),
        }

    return svc


@contextlib.contextmanager
def served(ax: axonic.Domain, threads: int = 2, **options: Any) -> Iterator[axonic.Client]:
    svc = make(ax, **options)
    thread = threading.Thread(target=svc.serve, args=(threads,))
    thread.start()
    try:
        with ax.client("shop", "^1.2") as client:
            yield client
    finally:
        svc.close()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def client(ax: axonic.Domain) -> Iterator[axonic.Client]:
    with served(ax) as client:
        yield client


def test_arguments_and_results(client: axonic.Client) -> None:
    assert client.echo(b"raw", timeout=5) == b"raw"
    assert client.echo(b"") == b""
    assert client.echo(data={"a": [1, None, "x"]}) == {"a": [1, None, "x"]}
    assert client.echo([1, 2]) == [1, 2]
    array = client.echo(np.arange(6, dtype="float32").reshape(2, 3))
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert array.dtype == np.float32
    assert client.add(a=1) == 2
    assert client.add(a=1, b=5) == 6
    assert client.add(1) == 2
    assert client.buy(order={"item": "pear", "count": 3}) == "3 pear"
    assert client.buy({"order": {"item": "pear"}}) == "1 pear"
    assert client.whole({"b": 1, "a": 2}) == ["a", "b"]
    assert client.between(a=3, order={"item": "pear"}, b=1) == ["between", 3, "pear", 1]
    assert client.nothing() is None
    assert client.call("add", {"a": 2, "b": 2}, timeout=5) == 4
    assert client.call("nothing") is None
    large = os.urandom(2 << 20)
    assert client.echo(large, timeout=10) == large
    assert repr(client) == '<axonic.Client of "shop" ^1.2 in "test">'
    assert repr(client.add) == '<axonic.Method "add" of service "shop">'
    assert (client.service, client.range, client.address, client.closed) == ("shop", "^1.2", None, False)


def test_arguments_that_do_not_fit(client: axonic.Client) -> None:
    for call in (
        lambda: client.add(),
        lambda: client.add(nonsense=1),
        lambda: client.nothing(b"x"),
        lambda: client.buy(order=7),
        lambda: client.buy(order={"item": "x", "color": "red"}),
    ):
        with pytest.raises(axonic.CallFailedError) as caught:
            call()
        assert (caught.value.code, caught.value.reason) == ("INVALID_ARGUMENT", "arguments")
    with pytest.raises(axonic.InvalidArgumentError, match="one by position"):
        client.add(1, 2)
    with pytest.raises(axonic.InvalidArgumentError, match="one by position"):
        client.add(1, b=2)
    with pytest.raises(axonic.InvalidArgumentError, match="JSON"):
        client.add(a=object())


def test_streams(client: axonic.Client) -> None:
    assert list(client.count.stream(up_to=1000)) == list(range(1000))
    assert list(client.stream("count", {"up_to": 3}, timeout=5)) == [0, 1, 2]
    # A method with one result streams that; one that streams cannot give one.
    assert list(client.add.stream(a=1)) == [2]
    assert list(client.nothing.stream()) == [None]
    assert list(client.count.stream(up_to=0)) == []
    with pytest.raises(axonic.CallFailedError) as caught:
        client.count(up_to=3)
    assert (caught.value.code, caught.value.reason) == ("INVALID_ARGUMENT", "stream")
    stream = client.stream("count", {"up_to": 10**9})
    assert next(stream) == 0
    stream.cancel()
    assert "over" in repr(stream)


def test_input_is_streamed(client: axonic.Client) -> None:
    assert client.total(iter(range(1000)), start=7) == sum(range(1000)) + 7
    assert client.call("total", {"start": 1}, input=iter([1, 2])) == 4
    # The service answers without waiting for all of it.
    assert client.first(itertools.count(5), timeout=10) == 5
    items = [os.urandom(30_000) for _ in range(100)]
    assert list(client.double.stream(iter(items), timeout=30)) == [item * 2 for item in items]
    with pytest.raises(ZeroDivisionError):
        client.total(1 // n for n in (1, 0))


def test_failures_say_why(client: axonic.Client, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(axonic.CallFailedError, match="no moon") as caught:
        client.refuse(item="moon")
    error = caught.value
    assert (error.code, error.reason, error.retryable) == ("NOT_FOUND", "no_such_item", True)
    assert error.details == {"item": "moon"}
    assert error.origin.startswith("shop@1.2.0")
    assert error.kind == "CallFailed"
    assert isinstance(error, RuntimeError)
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.details, str(again)) == (error.code, error.details, str(error))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    with pytest.raises(axonic.CallFailedError, match="nowhere") as caught:
        client.crash()
    assert (caught.value.code, caught.value.reason) == ("UNKNOWN", "LookupError")
    assert caught.value.details is None
    assert any(record.exc_info for record in caplog.records if record.levelno >= logging.ERROR)
    with pytest.raises(axonic.CallFailedError) as caught:
        client.inside()
    assert (caught.value.code, caught.value.reason) == ("UNKNOWN", "TypeError")
    for what, reason in (("own", "Timeout"), ("other", "TimeoutError")):
        with pytest.raises(axonic.TimeoutError) as late:
            client.hasty(what=what)
        assert (late.value.code, late.value.reason) == ("DEADLINE_EXCEEDED", reason)
    with pytest.raises(axonic.CancelledError) as cancelled:
        client.hasty(what="cancelled")
    assert (cancelled.value.code, cancelled.value.reason) == ("CANCELLED", "CancelledError")
    with pytest.raises(axonic.CallFailedError, match="has no method 'missing'; it has about, add") as caught:
        client.missing()
    assert caught.value.code == "UNIMPLEMENTED"
    with pytest.raises(AttributeError):
        client._private  # noqa: B018


def test_a_failure_is_passed_on_as_it_is(
    ax: axonic.Domain, client: axonic.Client, caplog: pytest.LogCaptureFixture
) -> None:
    front = ax.service("front", "1.0.0")

    @front.method
    def ask(ctx: axonic.Context) -> None:
        client.refuse(item="moon")

    thread = threading.Thread(target=front.serve)
    thread.start()
    with ax.client("front") as asking, pytest.raises(axonic.CallFailedError) as caught:
        asking.ask()
    assert (caught.value.code, caught.value.details) == ("NOT_FOUND", {"item": "moon"})
    assert caught.value.origin.startswith("shop@")
    assert str(caught.value).count("call of ") == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    front.close()
    thread.join()


def test_a_status_has_one_of_the_codes() -> None:
    with pytest.raises(axonic.InvalidArgumentError, match="NOT_FOUND"):
        axonic.Status("NONSENSE", "x")
    assert axonic.Status("UNAVAILABLE", "later").retryable
    assert str(axonic.Status("ABORTED", "again")) == "ABORTED: again"


def test_a_call_that_is_out_of_time_is_given_up(client: axonic.Client) -> None:
    started = time.monotonic()
    with pytest.raises(axonic.TimeoutError) as caught:
        client.nap(timeout=0.05)
    assert time.monotonic() - started < 5
    assert caught.value.code == "DEADLINE_EXCEEDED"
    # Both threads are free again.
    for _ in range(4):
        with pytest.raises(axonic.TimeoutError):
            client.nap(timeout=0.02)
    assert client.echo(b"x", timeout=5) == b"x"


def test_calls_under_way(client: axonic.Client) -> None:
    calls = [client.start("add", {"a": n}) for n in range(50)]
    assert [call.result(timeout=10) for call in calls] == [n + 1 for n in range(50)]
    with pytest.raises(axonic.ClosedError, match="taken already"):
        calls[0].result()
    with client.start("nap") as nap:
        with pytest.raises(axonic.TimeoutError, match="nothing came yet") as caught:
            nap.result(timeout=0.01)
        assert (caught.value.number, caught.value.code) == (6, "")
        assert nap.progress is None
    with pytest.raises(axonic.ClosedError):
        nap.result()
    call = client.add.start(a=1)
    deadline = time.monotonic() + 10
    while call.progress is None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert call.progress == (0.5, "half")
    assert call.result() == 2


def test_threads_share_a_client(client: axonic.Client) -> None:
    failed: list[BaseException] = []

    def call(thread: int) -> None:
        try:
            for n in range(200):
                assert client.add(a=thread, b=n, timeout=30) == thread + n
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=call, args=(1000 * n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_what_a_method_is_told(ax: axonic.Domain, client: axonic.Client) -> None:
    told = client.about(timeout=30)
    assert told["pid"] == os.getpid()
    assert 25 < told["left"] <= 30
    assert told["trace"] is None
    assert told["repr"].startswith('<axonic.Context of "about" at service')
    assert client.about()["left"] is None


def test_a_trace_is_carried_on(ax: axonic.Domain, client: axonic.Client) -> None:
    front = ax.service("front", "1.0.0")

    @front.method
    def ask() -> Any:
        return client.about()["trace"]

    thread = threading.Thread(target=front.serve)
    thread.start()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with ax.client("front") as asking:
        assert asking.ask() is None
        token = axonic.traceparent.set(trace)
        assert asking.ask() == trace
        axonic.traceparent.reset(token)
        assert asking.ask() is None
    front.close()
    thread.join()


def test_a_trace_goes_from_message_to_call_to_message(ax: axonic.Domain) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    svc, jobs, topic = ax.service("middle", "1.0.0"), ax.queue("jobs"), ax.publisher("done")
    done = ax.subscriber("done")

    @svc.method
    def work(value: Any) -> None:
        topic.publish(value)
        topic.publish(b"bytes")
        topic.try_publish(value, attributes={"traceparent": "own"})
        topic.publish_many([1, 2])
        jobs.put(b"job")

    thread = threading.Thread(target=svc.serve)
    thread.start()
    client = ax.client("middle")

    def traces(count: int) -> list[str | None]:
        return [done.receive(timeout=10).attributes.get("traceparent") for _ in range(count)]

    try:
        token = axonic.traceparent.set(trace)
        client.work(value=1, timeout=10)
        axonic.traceparent.reset(token)
        assert traces(5) == [trace, trace, "own", trace, trace]

        @jobs.worker()
        def handle(job: axonic.Job[Any]) -> None:
            client.work(value=2, timeout=10)
            jobs.purge()

        with handle:
            assert traces(5) == [trace, trace, "own", trace, trace]
        jobs.purge()
        client.work(value=3, timeout=10)
        assert traces(5) == [None, None, "own", None, None]
    finally:
        svc.close()
        thread.join()
    jobs.purge()


def test_nobody_provides_it(ax: axonic.Domain) -> None:
    client = ax.client("none", "^1.2")
    with pytest.raises(axonic.UnavailableError, match="nobody provides it") as caught:
        client.echo(b"x")
    assert (caught.value.code, caught.value.retryable) == ("UNAVAILABLE", True)
    assert isinstance(caught.value, ConnectionError)
    with pytest.raises(axonic.InvalidArgumentError):
        ax.client("none", "one dot two")
    with served(ax), ax.client("shop", "^2") as newer:
        with pytest.raises(axonic.UnavailableError, match=r"1\.2\.0"):
            newer.echo(b"x")
    client.close()
    with pytest.raises(axonic.ClosedError):
        client.echo(b"x")


PROVIDER = """
    import axonic, os, signal
    ax = axonic.open("test")
    svc = ax.service("shop", "1.2.0")

    @svc.method
    def pid():
        return os.getpid()

    @svc.method
    def hang(ctx):
        print("hangs", flush=True)
        while not ctx.cancelled:
            pass

    signal.signal(signal.SIGTERM, lambda *_: svc.close())
    print("ready", flush=True)
    try:
        svc.serve()
        print("closed", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def provide(script: Script) -> Any:
    process = script(PROVIDER)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_provider_that_dies_fails_its_calls(ax: axonic.Domain, script: Script) -> None:
    process = provide(script)
    with ax.client("shop") as client:
        assert client.pid(timeout=10) == process.pid
        call = client.start("hang")
        assert process.stdout.readline() == "hangs\n"
        process.kill()
        started = time.monotonic()
        with pytest.raises(axonic.UnavailableError) as caught:
            call.result()
        assert time.monotonic() - started < 5
        assert caught.value.code == "UNAVAILABLE"


def test_several_providers_share_the_calls(ax: axonic.Domain, script: Script) -> None:
    processes = [provide(script) for _ in range(2)]
    with ax.client("shop") as client:
        assert {client.pid(timeout=10) for _ in range(20)} == {process.pid for process in processes}
        processes[0].terminate()
        assert finish(processes[0]) == "closed\n"
        for _ in range(10):
            assert client.pid(timeout=10) == processes[1].pid


@pytest.mark.parametrize(("number", "says"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "closed")])
def test_signals_end_serving(ax: axonic.Domain, script: Script, number: int, says: str) -> None:
    process = provide(script)
    time.sleep(0.2)
    process.send_signal(number)
    assert finish(process) == f"{says}\n"


def test_ctrl_c_ends_a_call(ax: axonic.Domain, script: Script) -> None:
    with served(ax):
        process = script("""
            import axonic
            ax = axonic.open("test")
            client = ax.client("shop")
            client.nothing()
            print("ready", flush=True)
            try:
                client.nap()
            except KeyboardInterrupt:
                print("interrupted", client.add(a=1), flush=True)
        """)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert finish(process) == "interrupted 2\n"


def test_a_caller_that_dies_is_noticed(ax: axonic.Domain, script: Script) -> None:
    ended = threading.Event()
    svc = ax.service("shop", "1.0.0")

    @svc.method
    def nap(ctx: axonic.Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)
        ended.set()

    thread = threading.Thread(target=svc.serve)
    thread.start()
    process = script('import axonic; axonic.open("test").client("shop").nap()')
    deadline = time.monotonic() + 20
    while svc.at_work == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert ended.wait(10)
    svc.close()
    thread.join()


def test_a_closed_service_fails_what_it_has_not_answered(ax: axonic.Domain) -> None:
    svc = make(ax)
    client = ax.client("shop")
    results: list[BaseException] = []

    def call() -> None:
        try:
            client.echo(b"x")
        except axonic.AxonicError as error:
            results.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    ctx = svc._next(timeout=10)
    assert "1 calls at work" in repr(svc)
    svc.close()
    thread.join(10)
    assert [type(error) for error in results] == [axonic.UnavailableError]
    assert svc.closed
    with pytest.raises(axonic.ClosedError):
        svc._next(timeout=0)
    ctx._reply(b"late")
    with pytest.raises(axonic.ClosedError, match="answered already"):
        ctx._reply(b"twice")
    client.close()


@pytest.mark.parametrize("transport", ["shm", "inproc", "unix", "tcp"])
def test_at_an_address(ax: axonic.Domain, transport: str, tmp_path: Path) -> None:
    svc = make(ax)
    address = svc.listen(address_of(transport, tmp_path))
    thread = threading.Thread(target=svc.serve)
    thread.start()
    with ax.client("shop", "^1", address=address) as client:
        assert client.add(a=1, timeout=10) == 2
        assert list(client.count.stream(up_to=100, timeout=10)) == list(range(100))
        large = os.urandom(3 << 20)
        assert client.echo(large, timeout=20) == large
        assert address in repr(client)
    with ax.client("other", "^1", address=address) as other:
        with pytest.raises(axonic.UnavailableError, match=r"here is shop@1\.2\.0"):
            other.add(a=1, timeout=10)
    svc.close()
    thread.join()


STDIO = """
    import time, axonic

    with axonic.open("test") as ax, ax.service("maths", "1.0.0") as svc:
        @svc.method
        def add(a: int) -> int:
            time.sleep(0.02)
            return a + 1

        svc.listen("pipe:0,1")
        svc.serve(threads=2)
"""

AIO_STDIO = """
    import asyncio, axonic.aio

    async def main():
        async with axonic.aio.open("test") as ax, ax.service("maths", "1.0.0") as svc:
            @svc.method
            async def add(a: int) -> int:
                await asyncio.sleep(0.02)
                return a + 1

            await svc.listen("pipe:0,1")
            await svc.serve()

    asyncio.run(main())
"""


@pytest.mark.parametrize("code", [STDIO, AIO_STDIO])
def test_serving_ends_with_standard_input(script: Script, code: str) -> None:
    process = script(code)
    assert process.stdin is not None
    # Its end is that of the line, too.
    process.stdin.write('{"jsonrpc":"2.0","method":"add","params":{"a":6},"id":1}')
    process.stdin.close()
    process.stdin = None
    assert finish(process) == '{"jsonrpc":"2.0","result":7,"id":1}\n'


def json_rpc(address: str, method: str, *array: Any, **params: Any) -> Any:
    """The result of a call by JSON-RPC, which says nothing of whether it takes a stream."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(address.removeprefix("unix://"))
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": array or params}
        connection.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(connection.makefile("rb").readline())["result"]


def test_json_rpc_is_told_one_result_or_a_stream(ax: axonic.Domain, tmp_path: Path) -> None:
    svc = make(ax)
    address = svc.listen(address_of("unix", tmp_path))
    thread = threading.Thread(target=svc.serve)
    thread.start()
    assert json_rpc(address, "add", a=1) == 2
    assert json_rpc(address, "nothing") is None
    assert json_rpc(address, "between", 3, {"item": "pear"}, 4, [5]) == ["between", 3, "pear", 4, [5], 0]
    assert json_rpc(address, "whole", [4, 3]) == [3, 4]
    assert json_rpc(address, "echo", 5) == 5
    with pytest.raises(KeyError):
        json_rpc(address, "echo", 5, 6)
    assert [json_rpc(address, "count", up_to=n) for n in (0, 1, 2)] == [[], [0], [0, 1]]
    svc.close()
    thread.join()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_calls_and_provides(ax: axonic.Domain, client: axonic.Client) -> None:
    assert client.add(a=1) == 2
    call = client.start("nap")

    def child() -> None:
        assert client.add(a=5, timeout=10) == 6
        with pytest.raises(axonic.AxonicError):
            call.result(timeout=1)

    in_child(child)
    assert client.add(a=2) == 3
    call.cancel()


def test_pickling(client: axonic.Client, ax: axonic.Domain) -> None:
    again = pickle.loads(pickle.dumps(client))
    assert (again.service, again.range) == ("shop", "^1.2")
    assert again.add(a=1, timeout=10) == 2
    again.close()
    with ax.service("other", "1.0.0") as svc, pytest.raises(TypeError, match="pickle"):
        pickle.dumps(svc)


def test_what_a_service_refuses(ax: axonic.Domain) -> None:
    with pytest.raises(axonic.InvalidArgumentError, match="concurrency"):
        ax.service("s", "1.0.0", concurrency=0)
    with pytest.raises(axonic.AxonicError):
        ax.service("s", "one")
    with ax.service("s", "1.0.0", concurrency=3) as svc:
        assert (svc.name, svc.version, svc.concurrency, svc.at_work) == ("s", "1.0.0", 3, 0)
        assert repr(svc) == '<axonic.Service "s" 1.0.0 in "test", 0 calls at work>'
        with pytest.raises(axonic.InvalidArgumentError, match="function"):
            svc.method(7)  # type: ignore[type-var]
        with pytest.raises(axonic.InvalidArgumentError, match="'max'"):
            svc.method(max)
        with pytest.raises(axonic.InvalidArgumentError, match="threads=0"):
            svc.serve(threads=0)

        @svc.method
        async def later() -> None: ...

        with pytest.raises(axonic.InvalidArgumentError, match="later"):
            svc.serve()


def test_no_more_than_its_concurrency_are_at_work(ax: axonic.Domain) -> None:
    most, now, lock = 0, 0, threading.Lock()
    svc = ax.service("s", "1.0.0", concurrency=2)

    @svc.method
    def work() -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    thread = threading.Thread(target=svc.serve, args=(4,))
    thread.start()
    with ax.client("s") as client:
        calls = [client.start("work") for _ in range(20)]
        for call in calls:
            call.result(timeout=30)
    svc.close()
    thread.join()
    assert most == 2


def test_a_service_that_is_forgotten_goes(ax: axonic.Domain, runtime: Any) -> None:
    import gc

    def forget() -> Callable[[], object]:
        svc = ax.service("s", "1.0.0")
        keep = [svc]

        @svc.method
        def cycle() -> Any:
            return keep

        import weakref

        return weakref.ref(svc)

    gone = forget()
    gc.collect()
    assert gone() is None
    with ax.client("s") as client, pytest.raises(axonic.UnavailableError):
        client.cycle()
