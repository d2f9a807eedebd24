"""Locks for asyncio."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from types import TracebackType
from typing import Any, Literal, Self

from . import _native
from ._native import AxonicError
from ._readiness import BURST, Open, Readiness, check_timeout


class Lock(Open):
    """What the locks share: each task that waits has a handle and a descriptor of its own."""

    def __init__(self, sync: Any) -> None:
        self.sync = sync
        self._waits: set[Readiness] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._line = asyncio.Lock()
        self._asked = 0

    def _readinesses(self) -> Iterable[Readiness]:
        return tuple(self._waits)

    @property
    def name(self) -> str:
        """The lock's name."""
        return str(self.sync.name)

    def _turn(self) -> AbstractAsyncContextManager[None]:
        """Tasks that share the object stand in line: who takes it again at once would keep out the others."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._line = loop, asyncio.Lock()
        return self._line

    async def _get(self, attempts: _native._Attempts, timeout: float | None) -> bool:
        """Wait until an attempt gets something."""
        check_timeout(timeout)
        self._asked += 1
        if self._asked % BURST == 0:
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(timeout), self._turn():
                return await self._try(attempts)
        except builtins.TimeoutError as error:
            if (late := attempts.end()) is None:
                raise attempts.timed_out(timeout or 0) from error
            return late
        finally:
            attempts.end()

    async def _try(self, attempts: _native._Attempts) -> bool:
        if (got := attempts.attempt()) is not None:
            return got
        ready = Readiness(attempts.fileno, self.sync)
        self._waits.add(ready)
        try:
            return await ready.retry(attempts.attempt)
        finally:
            self._waits.discard(ready)
            ready.stop()


class Acquired(Lock):
    """What a block has for its length: a mutex, or a permit of a semaphore."""

    sync: _native.Mutex | _native.Semaphore

    @property
    def timeout(self) -> float | None:
        """How many seconds `async with` and acquire() wait; None: without end."""
        return self.sync.timeout

    async def acquire(self, timeout: float | None = None) -> Literal[True]:
        """Take it, or a permit, waiting up to `timeout` seconds, by default what it was opened with."""
        timeout = self.timeout if timeout is None else timeout
        await self._get(self.sync._attempts(), timeout)
        return True

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync.__exit__(kind, error, trace)


class Mutex(Acquired):
    """A mutex between processes, and the tasks that share this object. Made by `Domain.mutex`.

    `async with mutex:` has it for the length of the block.
    """

    sync: _native.Mutex

    @property
    def owner_died(self) -> bool:
        """Whether the owner before died while it had it; until it is released."""
        return self.sync.owner_died

    def try_acquire(self) -> bool:
        """Take it if nobody alive has it; whether it did."""
        return self.sync.try_acquire()

    def release(self) -> None:
        """Give it back."""
        self.sync.release()

    def locked(self) -> bool:
        """Whether this object has it, for any of its tasks."""
        return self.sync.locked()


class Held:
    """What an `async with` block has of a lock that many read or one writes; nothing until it begins."""

    def __init__(self, lock: RwLock, write: bool, timeout: float | None) -> None:
        self._lock = lock
        self._write = write
        self._timeout = timeout
        self._blocks = 0
        self._owner_died = False

    @property
    def owner_died(self) -> bool:
        """Whether a writer died while it wrote, so that what the lock protects may be half-changed."""
        return self._owner_died

    async def __aenter__(self) -> Self:
        self._owner_died = await self._lock._take(self._write, self._timeout)
        self._blocks += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blocks -= 1
        try:
            self._lock.release()
        except AxonicError:
            # It must not hide what passes through.
            if error is None:
                raise

    def __repr__(self) -> str:
        how = "to write" if self._write else "to read"
        held = "held" if self._blocks else "not held"
        return f"<axonic.aio.Held of {self._lock.name!r}, {how}, {held}>"


class RwLock(Lock):
    """A lock that many read or one writes. Made by `Domain.rwlock`.

    One that waits to write stops those who come to read.
    """

    sync: _native.RwLock

    @property
    def owner_died(self) -> bool:
        """Whether it was got after a writer died while it wrote; until it is released."""
        return self.sync.owner_died

    def read(self, timeout: float | None = None) -> Held:
        """For `async with lock.read() as held:`, which waits up to `timeout` seconds.

        The call alone takes nothing; `acquire_read()` does without a block.
        """
        return Held(self, False, timeout)

    def write(self, timeout: float | None = None) -> Held:
        """The same for writing."""
        return Held(self, True, timeout)

    async def acquire_read(self, timeout: float | None = None) -> Literal[True]:
        """Take it for reading, until release()."""
        await self._take(False, timeout)
        return True

    async def acquire_write(self, timeout: float | None = None) -> Literal[True]:
        """Take it for writing, until release()."""
        await self._take(True, timeout)
        return True

    def try_acquire_read(self) -> bool:
        """Take it for reading if nobody alive writes or waits to; whether it did."""
        return self.sync.try_acquire_read()

    def try_acquire_write(self) -> bool:
        """Take it for writing if nobody alive has it; whether it did."""
        return self.sync.try_acquire_write()

    def release(self) -> None:
        """Give back what one of acquire_read() and acquire_write() took."""
        self.sync.release()

    def locked(self) -> bool:
        """Whether this object has it, for any of its tasks."""
        return self.sync.locked()

    async def _take(self, write: bool, timeout: float | None) -> bool:
        return await self._get(self.sync._attempts(write), timeout)


class Semaphore(Acquired):
    """A number of permits, each of which one has at a time. Made by `Domain.semaphore`.

    `async with semaphore:` has one for the length of the block.
    """

    sync: _native.Semaphore

    @property
    def permits(self) -> int:
        """How many permits there are."""
        return self.sync.permits

    @property
    def available(self) -> int:
        """How many of them nobody alive has."""
        return self.sync.available

    def try_acquire(self) -> bool:
        """Take a permit if there is one; whether it did."""
        return self.sync.try_acquire()

    def release(self) -> None:
        """Give a permit back."""
        self.sync.release()


class Together(Lock):
    """What all wait for at the same time."""

    def _turn(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()


class Event(Together):
    """Something that is set or clear, and waited for. Made by `Domain.event`."""

    sync: _native.Event

    @property
    def auto_reset(self) -> bool:
        """Whether the one that passes clears it."""
        return self.sync.auto_reset

    def set(self) -> None:
        """Set it; see `axonic.Event.set`."""
        self.sync.set()

    def clear(self) -> None:
        """Clear it."""
        self.sync.clear()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self.sync.is_set()

    async def wait(self, timeout: float | None = None) -> Literal[True]:
        """Wait until it is set."""
        await self._get(self.sync._attempts(), timeout)
        return True

    def try_wait(self) -> bool:
        """Whether it is set; if so, and with auto_reset, clear it."""
        return self.sync.try_wait()


class Barrier(Together):
    """A place where so many wait until all have arrived; each task is a party. Made by `Domain.barrier`."""

    sync: _native.Barrier

    @property
    def parties(self) -> int:
        """How many must arrive."""
        return self.sync.parties

    @property
    def waiting(self) -> int:
        """How many have arrived and wait."""
        return self.sync.waiting

    async def wait(self, timeout: float | None = None) -> bool:
        """Arrive, and wait until all have; see `axonic.Barrier.wait`."""
        return await self._get(self.sync._attempts(), timeout)
