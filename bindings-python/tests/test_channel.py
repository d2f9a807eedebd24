"""Channels: messages both ways between two ends, by address."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import axonic
from conftest import Script, finish
from test_fork import in_child

Pair = tuple[axonic.Channel, axonic.Channel]


def address_of(transport: str, place: Path) -> str:
    """Where to listen by a transport."""
    return {
        "shm": "shm://test/pair",
        "inproc": "inproc://pair",
        "unix": f"unix://{place}/pair.sock",
        "tcp": "tcp://127.0.0.1:0",
    }[transport]


def connected(ax: axonic.Domain, address: str = "shm://test/pair", **options: Any) -> Pair:
    """Both ends of a channel."""
    with ax.listen(address, **options) as listener:
        ends: list[axonic.Channel] = []
        thread = threading.Thread(target=lambda: ends.append(listener.accept(timeout=10)))
        thread.start()
        here = ax.connect(listener.address, timeout=10, **options)
        thread.join()
    return here, ends[0]


@pytest.fixture(params=["shm", "inproc", "unix", "tcp"])
def pair(request: pytest.FixtureRequest, ax: axonic.Domain, tmp_path: Path) -> Iterator[Pair]:
    here, there = connected(ax, address_of(request.param, tmp_path))
    with here, there:
        yield here, there


def test_messages_both_ways(pair: Pair) -> None:
    here, there = pair
    here.send(b"one")
    here.try_send(bytearray(b"two"))
    here.send(np.arange(3, dtype="uint8"))
    assert [there.receive(timeout=1).data for _ in range(3)] == [b"one", b"two", b"\0\1\2"]
    assert there.try_receive() is None
    there.send(b"back")
    message = here.receive(timeout=1)
    assert (bytes(message), len(message), message.descriptors) == (b"back", 4, ())
    assert repr(message) == "<axonic.ChannelMessage of 4 bytes: back>"
    assert (here.stats().sent_messages, here.stats().received_bytes) == (3, 4)
    assert here.peer.pid == (os.getpid() if here.can.credentials else None)
    assert here.can.reliable
    assert here.can.max_message is None, "none of these has a limit of its own"
    assert repr(here.can).startswith("Can(reliable=True, ordered=True")
    assert repr(here.peer).startswith("Peer(pid=")
    assert repr(here) == f'<axonic.Channel "{here.address}", 3 sent, 1 received>'
    with pytest.raises(axonic.TimeoutError, match="no message"):
        here.receive(timeout=0.01)


def test_descriptors_are_passed_where_the_transport_can(pair: Pair) -> None:
    here, there = pair
    read, write = os.pipe()
    if not here.can.descriptors:
        with pytest.raises(axonic.UnsupportedError, match="descriptors"):
            here.send(b"x", descriptors=[read])
    else:
        with os.fdopen(os.dup(write), "wb") as file:
            here.send(b"with", descriptors=[read, file])
        message = there.receive(timeout=5)
        assert repr(message) == "<axonic.ChannelMessage of 4 bytes, 2 descriptors: with>"
        mine, again = message.descriptors
        assert message.descriptors == (mine, again)
        os.write(again, b"through")
        assert os.read(mine, 100) == b"through"
        os.close(mine)
        os.close(again)
        # Those that nobody asks for go with their message.
        before = len(os.listdir("/proc/self/fd"))
        here.send(b"ignored", descriptors=[read], timeout=5)
        message = there.receive(timeout=5)
        assert len(os.listdir("/proc/self/fd")) == before + 1
        del message
        assert len(os.listdir("/proc/self/fd")) == before
        with pytest.raises(axonic.InvalidArgumentError, match="fd="):
            here.send(b"", descriptors=[2**40])
        for number in (-1, -2, 9999):
            for send in (here.send, here.try_send):
                with pytest.raises(axonic.InvalidArgumentError, match=f"descriptor.* {number} is no"):
                    send(b"", descriptors=[read, number])
    os.close(read)
    os.close(write)


BACKWARDS = """
    import sys, axonic

    with axonic.open("test") as ax, ax.connect(sys.argv[1]) as channel:
        for message in channel:
            channel.send(message.data[::-1])
        channel.finish()
"""


def test_pipes_to_a_child(script: Script) -> None:
    with axonic.open("test") as ax:
        with pytest.raises(axonic.InvalidArgumentError, match="max_message"):
            ax.pipe(max_message=2 << 30)
        channel, child = ax.pipe(max_message=1 << 20)
        with channel:
            with child:
                read, write = child.descriptors
                assert child.address == channel.address == f"pipe:{read},{write}"
                assert repr(child) == f'<axonic.ChildPipe "{child.address}">'
                process = script(BACKWARDS, child.address, pass_fds=child.descriptors)
                assert not child.closed
            assert child.closed
            for gone in (read, write):
                with pytest.raises(OSError, match="Bad file descriptor"):
                    os.fstat(gone)
            with pytest.raises(axonic.ClosedError, match=f"child pipe '{child.address}'"):
                _ = child.descriptors
            child.close()
            channel.send(b"there", timeout=10)
            assert channel.receive(timeout=10).data == b"ereht"
            channel.finish()
            with pytest.raises(axonic.DisconnectedError):
                channel.receive(timeout=10)
        assert finish(process) == ""


def test_large_messages_and_many(pair: Pair) -> None:
    here, there = pair
    large = os.urandom(3 << 20)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(there.receive(timeout=10).data))
    thread.start()
    here.send(large, timeout=10)
    thread.join()
    assert got == [large]
    assert here.send_many([bytes([n]) for n in range(100)]) == 100
    assert [there.receive(timeout=1).data[0] for _ in range(100)] == list(range(100))
    with pytest.raises(axonic.TooLargeError, match=str(here.max_message)):
        here.send(bytes(here.max_message + 1))


def test_room(pair: Pair) -> None:
    here, there = pair
    with pytest.raises(axonic.WouldBlockError):
        while True:
            here.try_send(bytes(10_000))
    with pytest.raises(axonic.TimeoutError, match="no room"):
        here.send(bytes(10_000), timeout=0.01)
    assert here.stats().blocked > 0
    room = here.send_fileno()
    with pytest.raises(axonic.WouldBlockError):
        here.try_send(bytes(10_000))
    assert select.select([room], [], [], 0)[0] == []
    with contextlib.suppress(axonic.TimeoutError):
        while there.receive(timeout=0.2):
            pass
    assert select.select([room], [], [], 10)[0] == [room]
    here.try_send(bytes(10_000))


def test_what_was_sent_is_received_before_the_end(pair: Pair) -> None:
    here, there = pair
    here.send(b"last")
    here.finish()
    assert [message.data for message in there] == [b"last"]
    with pytest.raises(axonic.DisconnectedError):
        there.receive()
    there.send(b"half closed")
    assert here.receive(timeout=1).data == b"half closed"
    there.close()
    assert list(here) == []


def test_the_descriptor_tells_of_messages(pair: Pair) -> None:
    here, there = pair
    fd = there.fileno()
    assert there.try_receive() is None
    assert select.select([fd], [], [], 0)[0] == []
    here.send(b"x")
    assert select.select([fd], [], [], 10)[0] == [fd]
    assert there.receive(timeout=0).data == b"x"
    with axonic.WaitSet() as waits:
        waits.add(there)
        assert there.try_receive() is None
        here.send(b"y")
        assert waits.wait(timeout=10) == [there]


def test_listening(ax: axonic.Domain) -> None:
    with pytest.raises(axonic.NotFoundError, match="nobody listens"):
        ax.connect("shm://test/none", timeout=1)
    with pytest.raises(axonic.InvalidArgumentError):
        ax.connect("nonsense")
    with pytest.raises(axonic.InvalidArgumentError, match="max_message"):
        ax.listen("shm://test/l", max_message=0)
    with pytest.raises(axonic.InvalidArgumentError, match=r"max_message=-1: give"):
        ax.listen("shm://test/l", max_message=-1)
    listener = ax.listen("shm://test/l")
    assert repr(listener) == '<axonic.Listener "shm://test/l">'
    assert listener.try_accept() is None
    with pytest.raises(axonic.TimeoutError, match="nobody connected"):
        listener.accept(timeout=0.01)
    accepted: list[axonic.Channel] = []
    thread = threading.Thread(target=lambda: accepted.extend(listener))
    thread.start()
    channels = [ax.connect("shm://test/l", timeout=10) for _ in range(3)]
    listener.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(accepted) == 3
    assert listener.closed
    assert "closed" in repr(listener)
    for channel in [*channels, *accepted]:
        channel.close()


@pytest.mark.parametrize("call", ["receive", "accept"])
def test_closing_ends_other_threads_waits(ax: axonic.Domain, call: str) -> None:
    here, there = connected(ax)
    listener = ax.listen("shm://test/l")
    waiting: Any = here.receive if call == "receive" else listener.accept
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            waiting()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    here.close()
    listener.close()
    thread.join(10)
    assert [type(error) for error in caught] == [axonic.ClosedError]
    there.close()


def test_a_domain_that_is_closed_closes_its_channels(ax: axonic.Domain) -> None:
    here, there = connected(ax)
    ax.close()
    assert here.closed
    assert there.closed
    with pytest.raises(axonic.ClosedError):
        here.send(b"x")
    here.close()


INTERRUPTED = """
    import axonic, sys
    ax = axonic.open("test")
    channel = ax.connect("shm://test/l", timeout=10)
    print("ready", flush=True)
    try:
        channel.receive()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    channel.send(b"on")
    print(channel.receive(timeout=10).data)
"""


def test_ctrl_c_ends_a_wait_and_the_channel_goes_on(ax: axonic.Domain, script: Script) -> None:
    with ax.listen("shm://test/l") as listener:
        process = script(INTERRUPTED)
        with listener.accept(timeout=30) as channel:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert channel.receive(timeout=10).data == b"on"
            channel.send(b"bye")
            assert finish(process) == "b'bye'\n"


def test_a_handler_may_close_what_is_waited_for_but_not_wait_for_it(pair: Pair) -> None:
    here, _ = pair
    refused: list[axonic.AxonicError] = []

    def handler(_number: int, _frame: object) -> None:
        with pytest.raises(axonic.InUseError, match="handler") as caught:
            here.receive(timeout=1)
        refused.append(caught.value)
        here.close()

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(axonic.ClosedError):
            here.receive(timeout=10)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(refused) == 1
    assert here.closed


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_leaves_it_alone(pair: Pair) -> None:
    here, there = pair

    def child() -> None:
        with pytest.raises(axonic.ForkedError, match="fork"):
            here.send(b"x")
        with pytest.raises(axonic.ForkedError, match="fork"):
            here.receive(timeout=1)
        here.close()

    in_child(child)
    here.send(b"still")
    assert there.receive(timeout=1).data == b"still"


def test_it_does_not_pickle(pair: Pair) -> None:
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(pair[0])


def test_threads_share_it(pair: Pair) -> None:
    here, there = pair

    def send(thread: int) -> None:
        for n in range(500):
            here.send(bytes([thread]) * (n + 1))

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    seen = [there.receive(timeout=10).data for _ in range(2000)]
    for thread in threads:
        thread.join()
    for n in range(4):
        own = [message for message in seen if message[0] == n]
        assert own == [bytes([n]) * (length + 1) for length in range(500)]


def test_the_other_end_is_killed(ax: axonic.Domain, script: Script) -> None:
    with ax.listen("shm://test/l") as listener:
        process = script(INTERRUPTED)
        with listener.accept(timeout=30) as channel:
            threading.Timer(0.1, process.kill).start()
            with pytest.raises(axonic.DisconnectedError):
                channel.receive(timeout=30)
