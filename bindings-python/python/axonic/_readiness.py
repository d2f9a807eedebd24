"""What the wrappers for asyncio have in common: sleeping on a descriptor, and closing."""

from __future__ import annotations

import asyncio
import builtins
import functools
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from ._native import InvalidArgumentError, TimeoutError, _span

R = TypeVar("R")

# Messages handed to one task before the other tasks of the loop get a turn.
BURST = 64


class Readiness:
    """Sleeps in the event loop until a descriptor is readable.

    The descriptor stays registered while tasks wait for it. A wake-up nobody waits for removes it
    (it is level-triggered and would ring for ever); the next wait registers it again.
    """

    def __init__(self, fileno: Callable[[], int], of: object) -> None:
        self._fileno = fileno
        self._of = of
        self._waiting: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fd = -1
        self._answered = 0

    def wake(self) -> None:
        """Let every waiting task look again."""
        if not self._wanted():
            self.stop()
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _wanted(self) -> bool:
        return bool(self._waiting)

    def __del__(self) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the descriptor out of the event loop."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        self._loop = None

    def _listen(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and self._loop.is_running():
                raise elsewhere(self._of)
            self.stop()
            self._fd = self._fileno()
            # By weak reference: a handle its user has dropped must not live on in the event loop.
            loop.add_reader(self._fd, functools.partial(_ring, weakref.ref(self)))
            self._loop = loop
        return loop.create_future()

    async def until(self, attempt: Callable[[], R | None], timeout: float | None, awaited: str) -> R:
        """Repeat `attempt` at every wake-up until it answers something else than None."""
        check_timeout(timeout)
        self._answered += 1
        if self._answered % BURST == 0:
            await asyncio.sleep(0)
        if (result := attempt()) is not None:
            return result
        try:
            async with asyncio.timeout(timeout):
                return await self.retry(attempt)
        except builtins.TimeoutError as error:
            raise too_late(awaited, timeout) from error

    async def retry(self, attempt: Callable[[], R | None]) -> R:
        """The same without a look before the descriptor is there, and without end."""
        while True:
            # Only a failed attempt after registering makes the descriptor ring, so that comes first.
            future = self._listen()
            if (result := attempt()) is not None:
                return result
            self._waiting.append(future)
            try:
                await future
            finally:
                if future in self._waiting:
                    self._waiting.remove(future)


def _ring(ready: weakref.ref[Readiness]) -> None:
    if (alive := ready()) is not None:
        alive.wake()


def elsewhere(thing: object) -> InvalidArgumentError:
    """The error of waiting for what another thread's event loop waits for."""
    return InvalidArgumentError(
        f"{thing!r}: the event loop of another thread has it; wait there, or open one for this event loop too"
    )


def too_late(awaited: str, timeout: float | None) -> TimeoutError:
    """The error of a wait that is over, in the words of the core's."""
    return TimeoutError(f"{awaited} within {_span(timeout or 0)}")


def check_timeout(timeout: float | None) -> None:
    if timeout is not None and not timeout >= 0:
        raise InvalidArgumentError(
            f"timeout={timeout}: give seconds as a number from 0 up, or None to wait without end"
        )


class Open:
    """What every wrapper shares: closing."""

    sync: Any

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return bool(self.sync.closed)

    def close(self) -> None:
        """Close it; tasks waiting on it get ClosedError."""
        self._stop()
        try:
            self.sync.close()
        finally:
            self._wake()

    def _readinesses(self) -> Iterable[Readiness]:
        raise NotImplementedError

    def _stop(self) -> None:
        for ready in self._readinesses():
            ready.stop()

    def _wake(self) -> None:
        for ready in self._readinesses():
            ready.wake()

    def __repr__(self) -> str:
        return repr(self.sync).replace("<axonic.", "<axonic.aio.", 1)


class Handle(Open):
    """One that has a descriptor, and is closed at the end of its block."""

    def __init__(self, sync: Any) -> None:
        self.sync = sync
        self._ready = Readiness(sync.fileno, sync)

    def _readinesses(self) -> Iterable[Readiness]:
        return (self._ready,)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        try:
            self.sync.__exit__(kind, error, trace)
        finally:
            self._wake()
