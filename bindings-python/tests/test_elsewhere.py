"""What asyncio has threads do: connecting, and giving it up."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import axonic
import axonic.aio
from axonic._elsewhere import Elsewhere
from axonic.aio import Domain
from conftest import Script, finish
from test_aio import run
from test_rpc_aio import until


def connecting() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "axonic connect"]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class _Both:
    def __init__(self, *sockets: socket.socket) -> None:
        self._sockets = sockets

    def close(self) -> None:
        for one in self._sockets:
            one.close()


def unanswered(transport: str, ax: Domain, place: Path) -> tuple[str, Any]:
    """An address at which nobody is let in, and what keeps it so."""
    if transport == "shm":
        listener = ax.listen("shm://test/deaf")
        return listener.address, listener
    if transport == "ws":
        deaf = socket.create_server(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{deaf.getsockname()[1]}/", deaf
    if transport == "fifo":
        listener = ax.listen(f"fifo://{place}/deaf")
        return listener.address, listener
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind(f"{place}/deaf.sock")
    deaf.listen(0)
    first = socket.socket(socket.AF_UNIX)
    # It fills the backlog.
    first.connect(f"{place}/deaf.sock")
    return f"unix://{place}/deaf.sock", _Both(deaf, first)


@pytest.mark.parametrize("transport", ["shm", "fifo", "unix", "ws"])
def test_a_connect_that_is_cancelled_leaves_nothing(transport: str, tmp_path: Path, runtime: Path) -> None:
    async def main(ax: Domain) -> None:
        address, deaf = unanswered(transport, ax, tmp_path)
        before = descriptors(), sorted(runtime.rglob("*"))
        # More than there are threads in the loop's executor.
        many = [asyncio.create_task(ax.connect(address)) for _ in range(50)]
        await until(lambda: len(connecting()) == 50)
        with ax.sync.listen("inproc://fine"):
            async with await asyncio.wait_for(ax.connect("inproc://fine"), 5):
                pass
        with pytest.raises(axonic.TimeoutError):
            await ax.connect(address, timeout=0.01)
        for task in many:
            task.cancel()
        ended = await asyncio.gather(*many, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
        await until(lambda: not connecting())
        assert (descriptors(), sorted(runtime.rglob("*"))) == before
        deaf.close()

    run(main)


def test_what_comes_after_it_was_given_up_is_closed() -> None:
    async def main(ax: Domain) -> None:
        made: list[axonic.Channel] = []
        go_on = threading.Event()

        def connect() -> axonic.Channel:
            go_on.wait(10)
            made.append(ax.sync.connect("inproc://late"))
            return made[0]

        with ax.sync.listen("inproc://late"):
            waiting = asyncio.create_task(Elsewhere(connect).wait())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            go_on.set()
            await until(lambda: made and made[0].closed)

            # It is there, and its task cancelled, in the same turn of the loop.
            made.clear()
            go_on.clear()
            attempt = Elsewhere(connect)
            waiting = asyncio.create_task(attempt.wait())
            attempt._outcome.add_done_callback(lambda _: waiting.cancel())
            await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert made[0].closed

    run(main)


def test_a_loop_that_ends_takes_its_connects_along(script: Script) -> None:
    child = script(
        """
        import asyncio, axonic.aio
        async def main():
            ax = axonic.aio.open("test")
            listener = ax.listen("shm://test/deaf")
            client = ax.client("shop", address="shm://test/deaf")
            asyncio.create_task(client.price())
            asyncio.create_task(ax.connect("shm://test/deaf"))
            await asyncio.sleep(0.05)
        asyncio.run(main())
        print("over")
        """
    )
    begun = time.monotonic()
    assert finish(child) == "over\n"
    assert time.monotonic() - begun < 20


def test_calls_that_wait_for_a_connection_share_a_thread(tmp_path: Path) -> None:
    async def main(ax: Domain) -> None:
        address, deaf = unanswered("shm", ax, tmp_path)
        client = ax.client("shop", address=address)
        calls = [asyncio.create_task(client.price(n=n)) for n in range(20)]
        await until(connecting)
        with pytest.raises(
            axonic.TimeoutError, match="service 'shop': no provider let it connect within 10ms"
        ) as told:
            await client.price(timeout=0.01)
        error: Any = told.value
        assert (error.code, error.retryable) == ("DEADLINE_EXCEEDED", True)
        assert len(connecting()) == 1
        calls.pop().cancel()
        await asyncio.sleep(0.3)
        assert len(connecting()) == 1, "the others wait on"
        for call in calls:
            call.cancel()
        await until(lambda: not connecting())
        client.close()
        deaf.close()

    run(main)


def refused(of_loop: Callable[[], Any]) -> None:
    """A thread may not wait for what an event loop reads."""
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            of_loop()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(caught[0], axonic.InUseError), caught
    assert "an event loop has it" in str(caught[0])


def test_a_thread_and_an_event_loop_share_no_reader() -> None:
    async def main(ax: Domain) -> None:
        listener = ax.listen("inproc://both")
        refused(lambda: listener.sync.accept(timeout=5))
        refused(lambda: next(iter(listener.sync)))
        channel = await ax.connect("inproc://both")
        other = await listener.accept()
        refused(lambda: channel.sync.receive(timeout=5))
        refused(lambda: next(iter(channel.sync)))
        # To send is nobody else's business.
        channel.sync.send(b"x")
        assert (await other.receive()).data == b"x"
        service = ax.service("shop", "1.0.0")
        refused(service.sync.serve)
        client = ax.client("shop")
        refused(lambda: client.sync.call("price", timeout=5))
        refused(lambda: client.sync.price(timeout=5))
        refused(lambda: list(client.sync.stream("price")))

    run(main)


def test_threads_and_event_loops_with_clients_of_their_own() -> None:
    async def main(ax: Domain) -> None:
        service = ax.service("shop", "1.0.0")

        @service.method
        async def double(n: int) -> int:
            await asyncio.sleep(0)
            return 2 * n

        serving = asyncio.create_task(service.serve())
        got: list[list[int]] = []

        def calls(begin: int) -> None:
            with axonic.open("test") as mine, mine.client("shop") as client:
                got.append([client.double(n=n, timeout=20) for n in range(begin, begin + 100)])

        threads = [threading.Thread(target=calls, args=(1000 * n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        client = ax.client("shop")
        results = await asyncio.gather(*(client.double(n=n, timeout=20) for n in range(300)))
        assert results == [2 * n for n in range(300)]
        await until(lambda: not any(thread.is_alive() for thread in threads))
        wanted = [[2 * n for n in range(begin, begin + 100)] for begin in (0, 1000, 2000)]
        assert sorted(got) == wanted
        service.close()
        await serving

    run(main)
