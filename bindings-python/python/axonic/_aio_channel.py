"""Channels for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from . import _native
from ._errors import AxonicError, ClosedError, DisconnectedError, TimeoutError, WouldBlockError
from ._native import Can, ChannelMessage, ChannelStats, Peer
from ._readiness import Handle, Readiness

if TYPE_CHECKING:
    from ._native import _Descriptor, _Readable


class Channel(Handle):
    """One end of a channel. Made by `Domain.connect`, `Domain.pipe` and `Listener.accept`."""

    sync: _native.Channel

    def __init__(self, sync: _native.Channel) -> None:
        super().__init__(sync)
        sync._give_to_loop()
        self._room = Readiness(sync.send_fileno, sync)

    def _readinesses(self) -> Iterable[Readiness]:
        return (self._ready, self._room)

    @property
    def address(self) -> str:
        """The address it was opened by."""
        return self.sync.address

    @property
    def can(self) -> Can:
        """What its transport can do."""
        return self.sync.can

    @property
    def peer(self) -> Peer:
        """Who is at the other end, as far as the kernel tells."""
        return self.sync.peer

    @property
    def max_message(self) -> int:
        """The largest message it takes, in bytes."""
        return self.sync.max_message

    def stats(self) -> ChannelStats:
        """Counters of this end."""
        return self.sync.stats()

    def try_send(self, data: _Readable, descriptors: Iterable[int | _Descriptor] | None = None) -> None:
        """Send a message if there is room now, else raise WouldBlockError; see `axonic.Channel.try_send`."""
        self.sync.try_send(data, descriptors)

    async def send(
        self,
        data: _Readable,
        timeout: float | None = None,
        descriptors: Iterable[int | _Descriptor] | None = None,
    ) -> None:
        """Send a message, waiting for room; see `axonic.Channel.send`.

        Cancelled or out of time it has sent nothing of it, or all but what is left of a large one, which goes
        before whatever is sent next.
        """

        passed = None if descriptors is None else list(descriptors)

        def once() -> bool | None:
            try:
                self.sync.try_send(data, passed)
            except WouldBlockError:
                return None
            return True

        await self._room.until(once, timeout, f"channel '{self.address}': no room")
        await self._flush_on(timeout)

    async def send_many(self, messages: Iterable[_Readable], timeout: float | None = None) -> int:
        """Send several messages, which costs less than one by one; see `axonic.Channel.send_many`.

        Cancelled, it has sent the first ones.
        """
        left = list(messages)
        total = len(left)

        def once() -> bool | None:
            while left:
                with contextlib.suppress(TimeoutError):
                    del left[: self.sync.send_many(left, 0)]
                if left:
                    # Only who tries in vain to send one is told of room.
                    try:
                        self.sync.try_send(left[0])
                    except WouldBlockError:
                        return None
                    del left[0]
            return True

        try:
            await self._room.until(once, timeout, f"channel '{self.address}': no room")
        except AxonicError:
            if len(left) == total:
                raise
        await self._flush_on(timeout)
        return total - len(left)

    async def flush(self, timeout: float | None = None) -> None:
        """Send what is left of a large message, waiting for room."""
        left = f"channel '{self.address}': not all is sent"
        await self._room.until(lambda: self.sync._try_flush() or None, timeout, left)

    async def _flush_on(self, timeout: float | None) -> None:
        # A part is on its way, so all of it counts as sent.
        if not self.sync._try_flush():
            with contextlib.suppress(TimeoutError):
                await self.flush(timeout)

    def try_receive(self) -> ChannelMessage | None:
        """The next message if one is there, else None."""
        return self.sync.try_receive()

    async def receive(self, timeout: float | None = None) -> ChannelMessage:
        """The next message; see `axonic.Channel.receive`."""
        return await self._ready.until(
            self.sync.try_receive, timeout, f"channel '{self.address}': no message came"
        )

    async def finish(self, timeout: float | None = None) -> None:
        """Say that nothing more will be sent; see `axonic.Channel.finish`."""
        left = f"channel '{self.address}': not all is sent"
        await self._room.until(lambda: self.sync._try_finish() or None, timeout, left)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChannelMessage:
        try:
            return await self.receive()
        except DisconnectedError:
            raise StopAsyncIteration from None


class Listener(Handle):
    """Listens for channels at an address. Made by `Domain.listen`."""

    sync: _native.Listener

    def __init__(self, sync: _native.Listener) -> None:
        super().__init__(sync)
        sync._give_to_loop()

    @property
    def address(self) -> str:
        """The address, with what the system chose where the one that was given left something open."""
        return self.sync.address

    async def accept(self, timeout: float | None = None) -> Channel:
        """Wait for the next channel that somebody opens."""
        awaited = f"listener '{self.address}': nobody connected"
        return Channel(await self._ready.until(self.sync.try_accept, timeout, awaited))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Channel:
        try:
            return await self.accept()
        except ClosedError:
            raise StopAsyncIteration from None
