"""Work queues for asyncio."""

from __future__ import annotations

import asyncio
import builtins
import functools
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

from . import _native
from ._native import (
    AxonicError,
    Job,
    NotDurableError,
    Peeked,
    QueueStats,
    TimeoutError,
    WouldBlockError,
)
from ._readiness import Handle, Readiness, check_timeout, elsewhere, too_late

if TYPE_CHECKING:
    from ._native import _Content, _Readable

T = TypeVar("T")


class _Results(Readiness):
    """The same for the descriptor of puts with a ticket: it tells of room, and of the results of all tickets.

    Whoever looks by a call that arms the descriptor anew may take a ring that was for another's ticket. So
    after each such call all tickets are looked at, by a call that does not.
    """

    def __init__(self, fileno: Callable[[], int], of: object) -> None:
        super().__init__(fileno, of)
        self._asked: list[tuple[_native.Ticket, asyncio.Future[None]]] = []

    def wake(self) -> None:
        """Arm the descriptor anew, and let those look again for whom there may be something."""
        if self._asked:
            self._arm(self._asked[0][0])
        super().wake()

    def _wanted(self) -> bool:
        return bool(self._waiting or self._asked)

    def _arm(self, ticket: _native.Ticket) -> None:
        # What the ticket answers, it keeps.
        with suppress(AxonicError):
            ticket.result(timeout=0)
        self.look()

    def look(self) -> None:
        """Let those go on whose tickets are answered."""
        for ticket, future in self._asked:
            if not future.done() and _answered(ticket):
                future.set_result(None)

    async def answer(self, ticket: _native.Ticket, timeout: float | None) -> Any:
        """Wait until the ticket is answered."""
        check_timeout(timeout)
        if not ticket.done():
            try:
                async with asyncio.timeout(timeout):
                    await self._ask(ticket)
            except builtins.TimeoutError as error:
                raise too_late(f"{ticket!r}: no result", timeout) from error
        return ticket.result(timeout=0)

    async def _ask(self, ticket: _native.Ticket) -> None:
        idle = self._loop is not asyncio.get_running_loop()
        asked = (ticket, self._listen())
        self._asked.append(asked)
        try:
            # Registered, the descriptor is armed or rings.
            if idle:
                self._arm(ticket)
            elif ticket.done():
                return
            await asked[1]
        finally:
            self._asked.remove(asked)


def _answered(ticket: _native.Ticket) -> bool:
    try:
        return ticket.done()
    except AxonicError:
        return True


def _countdown(timeout: float | None) -> Callable[[], float | None]:
    """What is left of the time, for several waits one after another."""
    check_timeout(timeout)
    clock = asyncio.get_running_loop().time
    end = None if timeout is None else clock() + timeout
    return lambda: None if end is None else max(0, end - clock())


class _Disk(Readiness):
    """Waits for the disk in one event loop. A thread syncs, once for all who asked before it began."""

    def __init__(self, sync: _native.Queue[Any]) -> None:
        self._disk = sync._disk()
        super().__init__(self._disk.fileno, sync)

    def wake(self) -> None:
        """Let those look who asked."""
        self._disk.hear()
        super().wake()

    async def sync(self) -> None:
        """Wait until all that was put and settled before is on the disk."""
        await self.retry(self._disk.ask().answer)


_ALL = "all values are"


def _accepting(error: AxonicError, accepted: int) -> AxonicError:
    """The same error of a call that has put so many messages all the same."""
    error.accepted = accepted
    return error


def _not_durable(what: str, accepted: int, error: AxonicError) -> AxonicError:
    """The error of what is in the queue all the same, in the words of the core's."""
    text = f"{what} accepted, do not put that again, but not known to be on the disk: {error}"
    return _accepting(NotDurableError(text), accepted)


class Ticket:
    """A claim on what becomes of one message: `await ticket`. Made by `Queue.put(..., result=True)`.

    It is awaited in the thread that put the message; others may ask `done()`, or call `ticket.sync.result()`.
    """

    def __init__(self, sync: _native.Ticket, ready: _Results) -> None:
        self.sync = sync
        self._ready = ready
        # Whose producer the descriptor is that tells of the result.
        self._thread = threading.get_ident()

    @property
    def progress(self) -> float:
        """How far the work is, from 0 to 1, as its consumer told."""
        return self.sync.progress

    def done(self) -> bool:
        """Whether result() would answer, or raise, at once."""
        return self.sync.done()

    async def result(self, timeout: float | None = None) -> Any:
        """What becomes of the message; see `axonic.Ticket.result`."""
        if self._thread != threading.get_ident() and not self.sync.done():
            raise elsewhere(self)
        return await self._ready.answer(self.sync, timeout)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    def __repr__(self) -> str:
        return repr(self.sync).replace("<axonic.", "<axonic.aio.", 1)


class Queue(Handle, Generic[T]):
    """A work queue. Made by `Domain.queue`.

    Jobs are those of `axonic`: `async with job:` settles one as `with job:` does, for settling does not wait,
    here not for the disk either: a thread syncs it, with `fsync="always"` at once. `flush()` waits for that.
    """

    sync: _native.Queue[T]

    def __init__(self, sync: _native.Queue[T]) -> None:
        super().__init__(sync)
        sync._use_in_loop()
        self._room = Readiness(sync.put_fileno, sync)
        self._results = _Results(functools.partial(sync.put_fileno, result=True), sync)
        self._disks: dict[asyncio.AbstractEventLoop, _Disk] = {}

    def _readinesses(self) -> Iterable[Readiness]:
        return (self._ready, self._room, self._results, *self._disks.values())

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.sync.name

    @overload
    async def put(
        self,
        value: T | _Readable,
        *,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
        dedup_id: str | None = None,
        result: Literal[False] = False,
        durable: bool | None = None,
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        content: _Content | None = None,
    ) -> bool: ...
    @overload
    async def put(
        self,
        value: T | _Readable,
        *,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
        dedup_id: None = None,
        result: Literal[True],
        durable: bool | None = None,
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        content: _Content | None = None,
    ) -> Ticket: ...
    @overload
    async def put(
        self,
        value: T | _Readable,
        *,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
        dedup_id: str,
        result: Literal[True],
        durable: bool | None = None,
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        content: _Content | None = None,
    ) -> Ticket | None: ...
    async def put(
        self,
        value: T | _Readable,
        *,
        result: bool = False,
        durable: bool | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> bool | Ticket | None:
        """Put one value, waiting for room and for the disk; see `axonic.Queue.put`.

        Cancelled or out of time while it waits for the disk it has put the value, whose ticket is lost: for a
        ticket of its own put with `durable=False` and then `flush()`. With a `dedup_id` it may be put again.
        """
        ready = self._results if result else self._room
        left = _countdown(timeout)
        options.update(result=result, durable=self._now(durable))

        def put() -> tuple[bool | Ticket | None] | None:
            try:
                # In a tuple, so that no answer counts as none.
                return (self._put_now(value, **options),)
            except WouldBlockError:
                return None

        (answer,) = await ready.until(put, timeout, f"queue {self.name!r}: no room for the message")
        await self._on_disk("the message is", 1, durable, left(), timeout)
        return answer

    @overload
    def try_put(
        self,
        value: T | _Readable,
        *,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
        dedup_id: str | None = None,
        result: Literal[False] = False,
        attributes: Mapping[str, str] | None = None,
        content: _Content | None = None,
    ) -> bool: ...
    @overload
    def try_put(
        self,
        value: T | _Readable,
        *,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
        dedup_id: None = None,
        result: Literal[True],
        attributes: Mapping[str, str] | None = None,
        content: _Content | None = None,
    ) -> Ticket: ...
    @overload
    def try_put(
        self,
        value: T | _Readable,
        *,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
        dedup_id: str,
        result: Literal[True],
        attributes: Mapping[str, str] | None = None,
        content: _Content | None = None,
    ) -> Ticket | None: ...
    def try_put(self, value: T | _Readable, **options: Any) -> bool | Ticket | None:
        """Put one value without waiting, not for room (WouldBlockError) nor for the disk (see `flush()`)."""
        return self._put_now(value, durable=False, **options)

    def _put_now(self, value: T | _Readable, **options: Any) -> bool | Ticket | None:
        try:
            answer: Any = self.sync.try_put(value, **options)
        except WouldBlockError:
            self._results.look()
            raise
        return Ticket(answer, self._results) if isinstance(answer, _native.Ticket) else answer

    def _now(self, durable: bool | None) -> bool | None:
        # Nobody waits for the disk in the event loop. A queue in memory refuses who asks for that.
        return durable if self.sync.fsync is None else False

    def _awaits_disk(self, durable: bool | None) -> bool:
        return self.sync.fsync == "always" if durable is None else durable

    async def _on_disk(
        self, what: str, accepted: int, durable: bool | None, left: float | None, timeout: float | None
    ) -> None:
        if not self._awaits_disk(durable):
            return
        try:
            await self._flush(left, timeout)
        except AxonicError as error:
            raise _not_durable(what, accepted, error) from error

    @overload
    async def put_many(
        self,
        values: Iterable[T | _Readable],
        *,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
        result: Literal[False] = False,
        durable: bool | None = None,
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        content: _Content | None = None,
    ) -> None: ...
    @overload
    async def put_many(
        self,
        values: Iterable[T | _Readable],
        *,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
        result: Literal[True],
        durable: bool | None = None,
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        content: _Content | None = None,
    ) -> list[Ticket]: ...
    async def put_many(
        self,
        values: Iterable[T | _Readable],
        *,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
        result: bool = False,
        durable: bool | None = None,
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        content: _Content | None = None,
    ) -> list[Ticket] | None:
        """Put several values in their order; an error's `accepted` is how many were put, the first ones.

        An error in a value comes before any is put. No values: nothing is done.
        """
        left = _countdown(timeout)
        batch, tickets = list(values), []
        if not batch:
            self.sync.put_many([], priority=priority, delay=delay, ttl=ttl, durable=durable, content=content)
            return [] if result else None
        self.sync._check(batch, attributes, content)
        put: Any = functools.partial(
            self.put,
            priority=priority,
            delay=delay,
            ttl=ttl,
            result=result,
            durable=self._now(durable),
            attributes=attributes,
            content=content,
        )
        unwritten: NotDurableError | None = None
        for done, value in enumerate(batch):
            try:
                tickets.append(await put(value, timeout=left()))
            except NotDurableError as error:
                tickets.append(None)
                unwritten = error
            except TimeoutError as error:
                text = f"no room in time; {done} of {len(batch)} values were put, in their order"
                raise _accepting(TimeoutError(f"queue {self.name!r}: {text}"), done) from error
            except AxonicError as error:
                error.accepted = done
                raise
        await self._on_disk(_ALL, len(batch), durable, left(), timeout)
        # By now it may be there, but a ticket was lost.
        if unwritten is not None and (result or not self._awaits_disk(durable)):
            raise _not_durable(_ALL, len(batch), unwritten) from unwritten
        return tickets if result else None

    def try_get(self, lease: float | None = None) -> Job[T] | None:
        """The next message if one is there, else None."""
        return self.sync.try_get(lease, durable=False)

    async def get(self, timeout: float | None = None, lease: float | None = None) -> Job[T]:
        """The next message; see `axonic.Queue.get`."""
        return await self._ready.until(lambda: self.try_get(lease), timeout, self._awaited())

    async def get_many(
        self, max: int = 1024, timeout: float | None = None, lease: float | None = None
    ) -> list[Job[T]]:
        """The next message with all that are there too, at most `max`."""

        def take() -> list[Job[T]] | None:
            try:
                return self.sync.get_many(max, timeout=0, lease=lease, durable=False)
            except TimeoutError:
                return None

        return await self._ready.until(take, timeout, self._awaited())

    def peek(self, max: int = 1024) -> list[Peeked[T]]:
        """Up to `max` messages that can be delivered now, in that order, without taking them."""
        return self.sync.peek(max)

    def dead_letters(self, max: int = 1024) -> list[Peeked[T]]:
        """Up to `max` dead letters."""
        return self.sync.dead_letters(max)

    def purge(self, dead: bool = False) -> int:
        """Take all messages away that nobody has, or all dead letters; see `axonic.Queue.purge`."""
        return self.sync.purge(dead)

    def redrive(self, max: int | None = None) -> int:
        """Let up to `max` dead letters be delivered again; see `axonic.Queue.redrive`."""
        return self.sync.redrive(max)

    async def flush(self, timeout: float | None = None) -> None:
        """Wait until all that was put and settled is on the disk; see `axonic.Queue.sync`.

        Cancelled, or out of time, it leaves that to the queue's thread, for which nobody waits.
        """
        check_timeout(timeout)
        await self._flush(timeout, timeout)

    async def _flush(self, left: float | None, timeout: float | None) -> None:
        """The same with what is `left` of the caller's time, which the error names."""
        if self.sync.fsync is None:
            return
        try:
            async with asyncio.timeout(left):
                await self._disk().sync()
        except builtins.TimeoutError as error:
            raise too_late(f"queue {self.name!r}: not all is on the disk", timeout) from error

    def _disk(self) -> _Disk:
        loop = asyncio.get_running_loop()
        if loop not in self._disks:
            for ended in [other for other in list(self._disks) if other.is_closed()]:
                del self._disks[ended]
            self._disks[loop] = _Disk(self.sync)
        return self._disks[loop]

    def stats(self) -> QueueStats:
        """What is in it now, and counters."""
        return self.sync.stats()

    def _awaited(self) -> str:
        return f"queue {self.name!r}: no message"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Job[T]:
        return await self.get()
