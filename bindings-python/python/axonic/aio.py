"""The same nouns for asyncio: whatever may wait is awaited. Only disks involve threads.

    async with axonic.aio.open("demo") as ax:
        async for m in ax.subscriber("orders.>"):
            print(m.topic, m.value)

Each handle wraps the blocking one (`handle.sync`) and sleeps in the event loop on its pollable
descriptor. A cancelled or timed out call has taken nothing: a message is either returned or still
there, and is published or not at all. Only a put that waits for the disk has put its message when it
is cancelled or out of time; `put(..., durable=False)` and then `flush()` tell one wait from the other.
A cancelled `put_many()` has put the first ones, as one that is out of time has.
What is put into a durable queue and settled is written and synced, as its `fsync` says,
by a thread; the event loop does no file work but opening and closing it.
"""

from __future__ import annotations

import asyncio
import builtins
import functools
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

from . import _native
from ._aio_lock import Barrier, Event, Held, Mutex, RwLock, Semaphore
from ._native import (
    AxonicError,
    DisconnectedError,
    InvalidArgumentError,
    Job,
    Message,
    NotDurableError,
    Peeked,
    PublisherStats,
    QueueStats,
    Region,
    RingStats,
    Sample,
    SubscriberStats,
    TimeoutError,
    WouldBlockError,
)
from ._readiness import Handle, Open, Readiness, check_timeout, elsewhere, too_late

if TYPE_CHECKING:
    import os

    from ._native import _Content, _Create, _Dedup, _Fsync, _Noun, _Overflow, _Readable, _Start, _Wait

__all__ = [
    "Barrier",
    "Domain",
    "Event",
    "Held",
    "Mutex",
    "Publisher",
    "Queue",
    "RingConsumer",
    "RingProducer",
    "RwLock",
    "Semaphore",
    "Subscriber",
    "Ticket",
    "WaitSet",
    "open",
]

T = TypeVar("T")
R = TypeVar("R")
H = TypeVar("H", bound=Open)


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


def _attempt(call: Callable[[], object]) -> Callable[[], Literal[True] | None]:
    """None while there is no room, True when it is done."""

    def once() -> Literal[True] | None:
        try:
            call()
        except (WouldBlockError, TimeoutError):
            return None
        return True

    return once


def _countdown(timeout: float | None) -> Callable[[], float | None]:
    """What is left of the time, for several waits one after another."""
    check_timeout(timeout)
    clock = asyncio.get_running_loop().time
    end = None if timeout is None else clock() + timeout
    return lambda: None if end is None else max(0, end - clock())


_ALL = "all values are"


def _not_durable(what: str, error: AxonicError) -> NotDurableError:
    """The error of what is in the queue all the same, in the words of the core's."""
    return NotDurableError(
        f"{what} accepted, do not put that again, but not known to be on the disk: {error}"
    )


class Publisher(Handle, Generic[T]):
    """The sending end of one topic. Made by `Domain.publisher`."""

    sync: _native.Publisher[T]

    @property
    def topic(self) -> str:
        """The topic it publishes on."""
        return self.sync.topic

    def stats(self) -> PublisherStats:
        """Counters since it was opened."""
        return self.sync.stats()

    async def publish(
        self,
        value: T | _Readable,
        *,
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        content: _Content | None = None,
    ) -> None:
        """Publish one value; with overflow="block" wait for room first."""
        await self._when_room(
            lambda: self.sync.try_publish(value, attributes=attributes, content=content), timeout
        )

    async def publish_many(
        self,
        values: Iterable[T | _Readable],
        *,
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        content: _Content | None = None,
    ) -> None:
        """Publish all values or, on an error, none."""
        batch = list(values)
        await self._when_room(
            lambda: self.sync.publish_many(batch, attributes=attributes, timeout=0, content=content), timeout
        )

    @asynccontextmanager
    async def loan(
        self,
        shape: int | Sequence[int],
        dtype: object = None,
        *,
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        content: _Content | None = None,
    ) -> AsyncIterator[memoryview]:
        """Lend shared memory to write a message in place; published at the end of the block."""
        loans: list[_native.Loan] = []
        await self._when_room(
            lambda: loans.append(
                self.sync.loan(shape, dtype, attributes=attributes, timeout=0, content=content)
            ),
            timeout,
        )
        loan = loans.pop()
        with memoryview(loan) as view:
            try:
                yield view
            except BaseException:
                view.release()
                loan.discard()
                raise
        await self._when_room(lambda: loan.commit(timeout=0), timeout)

    async def wait_for_subscribers(self, count: int = 1, timeout: float | None = None) -> None:
        """Wait until at least `count` subscribers are connected."""
        await self._ready.until(
            _attempt(lambda: self.sync.wait_for_subscribers(count, 0)),
            timeout,
            f"{count} subscribers not connected",
        )

    async def _when_room(self, call: Callable[[], object], timeout: float | None) -> None:
        await self._ready.until(_attempt(call), timeout, f"publisher {self.topic!r}: no room for the message")


class Subscriber(Handle, Generic[T]):
    """The receiving end of one or more topics. Made by `Domain.subscriber`."""

    sync: _native.Subscriber[T]

    @property
    def pattern(self) -> str:
        """The topic or pattern it receives."""
        return self.sync.pattern

    def stats(self) -> SubscriberStats:
        """Counters since it was opened."""
        return self.sync.stats()

    async def receive(self, timeout: float | None = None) -> Message[T]:
        """The next message, a copy."""
        return await self._ready.until(self.sync.try_receive, timeout, self._awaited())

    async def receive_many(self, max: int = 1024, timeout: float | None = None) -> list[Message[T]]:
        """The next message with all that are there too, at most `max`."""
        if max < 1:
            raise InvalidArgumentError(f"receive_many(max={max}): ask for at least one message")

        def take() -> list[Message[T]] | None:
            try:
                return self.sync.receive_many(max, timeout=0)
            except TimeoutError:
                return None

        return await self._ready.until(take, timeout, self._awaited())

    @asynccontextmanager
    async def borrow(self, timeout: float | None = None) -> AsyncIterator[Sample[T]]:
        """The next message where it lies in shared memory, for the length of the block."""
        with await self._ready.until(self.sync.try_borrow, timeout, self._awaited()) as sample:
            yield sample

    def _awaited(self) -> str:
        return f"subscriber {self.pattern!r}: no message arrived"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message[T]:
        return await self.receive()


class RingProducer(Handle):
    """The sending end of a ring. Made by `Domain.ring_producer`."""

    sync: _native.RingProducer

    def stats(self) -> RingStats:
        """Counters of the ring."""
        return self.sync.stats()

    async def push(self, data: _Readable, timeout: float | None = None) -> None:
        """Send a copy of `data`, waiting for room."""
        awaited = f"ring producer {self.sync.name!r}: no room for the message"
        await self._ready.until(_attempt(lambda: self.sync.try_push(data)), timeout, awaited)


class RingConsumer(Handle):
    """The receiving end of a ring. Made by `Domain.ring_consumer`."""

    sync: _native.RingConsumer

    def stats(self) -> RingStats:
        """Counters of the ring."""
        return self.sync.stats()

    async def pop(self, timeout: float | None = None) -> bytes:
        """The next message, a copy."""
        awaited = f"ring consumer {self.sync.name!r}: no message arrived"
        return await self._ready.until(self.sync.try_pop, timeout, awaited)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.pop()
        except DisconnectedError:
            raise StopAsyncIteration from None


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

    def _readinesses(self) -> Iterable[Readiness]:
        return (self._ready, self._room, self._results)

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
        await self._on_disk("the message is", durable, left(), timeout)
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
        self, what: str, durable: bool | None, left: float | None, timeout: float | None
    ) -> None:
        if not self._awaits_disk(durable):
            return
        try:
            await self._flush(left, timeout)
        except AxonicError as error:
            raise _not_durable(what, error) from error

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
        """Put several values in their order; a TimeoutError tells how many were put, the first ones.

        An error in a value comes before any is put.
        """
        left = _countdown(timeout)
        batch, tickets = list(values), []
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
                raise TimeoutError(f"queue {self.name!r}: {text}") from error
        await self._on_disk(_ALL, durable, left(), timeout)
        # By now it may be there, but a ticket was lost.
        if unwritten is not None and (result or not self._awaits_disk(durable)):
            raise _not_durable(_ALL, unwritten) from unwritten
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
        """Wait, in a thread, until all that was put and settled is on the disk; see `axonic.Queue.sync`."""
        check_timeout(timeout)
        await self._flush(timeout, timeout)

    async def _flush(self, left: float | None, timeout: float | None) -> None:
        """The same with what is `left` of the caller's time, which the error names."""
        if self.sync.fsync is None:
            return
        try:
            # All threads may be waiting already, so the time is not left to the one that will.
            async with asyncio.timeout(left):
                await asyncio.to_thread(self.sync.sync, left)
        except builtins.TimeoutError as error:
            raise too_late(f"queue {self.name!r}: not all is on the disk", timeout) from error

    def stats(self) -> QueueStats:
        """What is in it now, and counters."""
        return self.sync.stats()

    def _awaited(self) -> str:
        return f"queue {self.name!r}: no message"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Job[T]:
        return await self.get()


class WaitSet(Handle):
    """Waits for any of several subscribers, publishers, descriptors and timers."""

    sync: _native.WaitSet

    def __init__(self) -> None:
        super().__init__(_native.WaitSet())

    def add(self, source: Any, key: object = None) -> object:
        """Wait for `source` too; `wait()` answers `key`, by default the source."""
        inner = source.sync if isinstance(source, Handle) else source
        return self.sync.add(inner, source if key is None else key)

    def add_timer(self, period: float, key: object = None) -> object:
        """Add a timer that is ready every `period` seconds."""
        return self.sync.add_timer(period, key)

    def remove(self, key: object) -> None:
        """Stop waiting for the source or timer with this key."""
        self.sync.remove(key)

    async def wait(self, timeout: float | None = None) -> list[Any]:
        """The keys of all that are ready; empty when nothing was in time."""
        try:
            return await self._ready.until(
                lambda: self.sync.wait(0) or None, timeout, "wait set: nothing ready"
            )
        except TimeoutError:
            return []


class Domain:
    """A domain whose handles are awaited. Made by `axonic.aio.open`."""

    def __init__(self, sync: _native.Domain) -> None:
        self.sync = sync
        self._handles: weakref.WeakSet[Open] = weakref.WeakSet()

    @property
    def name(self) -> str:
        """The domain's name."""
        return self.sync.name

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.sync.closed

    @overload
    def publisher(
        self,
        topic: str,
        type: type[T],
        *,
        schema: Mapping[str, Any] | str | None = None,
        overflow: _Overflow = "drop_oldest",
        capacity: int | None = None,
        max_bytes: int | None = None,
        retain: bool = False,
        wait: _Wait = "adaptive",
    ) -> Publisher[T]: ...
    @overload
    def publisher(
        self,
        topic: str,
        type: Any = None,
        *,
        schema: Mapping[str, Any] | str | None = None,
        overflow: _Overflow = "drop_oldest",
        capacity: int | None = None,
        max_bytes: int | None = None,
        retain: bool = False,
        wait: _Wait = "adaptive",
    ) -> Publisher[Any]: ...
    def publisher(self, topic: str, type: Any = None, **options: Any) -> Publisher[Any]:
        """Open a publisher; see `axonic.Domain.publisher`."""
        return self._keep(Publisher(self.sync.publisher(topic, type, **options)))

    @overload
    def subscriber(
        self,
        pattern: str,
        type: type[T],
        *,
        schema: Mapping[str, Any] | str | None = None,
        start: _Start = "latest",
        max_borrowed: int | None = None,
        wait: _Wait = "adaptive",
    ) -> Subscriber[T]: ...
    @overload
    def subscriber(
        self,
        pattern: str,
        type: Any = None,
        *,
        schema: Mapping[str, Any] | str | None = None,
        start: _Start = "latest",
        max_borrowed: int | None = None,
        wait: _Wait = "adaptive",
    ) -> Subscriber[Any]: ...
    def subscriber(self, pattern: str, type: Any = None, **options: Any) -> Subscriber[Any]:
        """Open a subscriber; see `axonic.Domain.subscriber`."""
        return self._keep(Subscriber(self.sync.subscriber(pattern, type, **options)))

    def region(
        self,
        name: str,
        size: int | None = None,
        *,
        create: _Create = "open_or_create",
    ) -> Region:
        """Open a region; memory needs no awaiting, so this is the plain one."""
        return self.sync.region(name, size, create=create)

    def ring_producer(
        self, name: str, *, capacity: int | None = None, wait: _Wait = "adaptive"
    ) -> RingProducer:
        """Open the sending end of a ring."""
        return self._keep(RingProducer(self.sync.ring_producer(name, capacity=capacity, wait=wait)))

    def ring_consumer(
        self, name: str, *, capacity: int | None = None, wait: _Wait = "adaptive"
    ) -> RingConsumer:
        """Open the receiving end of a ring."""
        return self._keep(RingConsumer(self.sync.ring_consumer(name, capacity=capacity, wait=wait)))

    @overload
    def queue(
        self,
        name: str,
        type: type[T],
        *,
        schema: Mapping[str, Any] | str | None = None,
        capacity: int | None = None,
        max_bytes: int | None = None,
        max_attempts: int | None = None,
        dedup: _Dedup | None = None,
        durable: bool = False,
        fsync: _Fsync = "always",
        fsync_interval: float = 0.1,
        wait: _Wait = "adaptive",
    ) -> Queue[T]: ...
    @overload
    def queue(
        self,
        name: str,
        type: Any = None,
        *,
        schema: Mapping[str, Any] | str | None = None,
        capacity: int | None = None,
        max_bytes: int | None = None,
        max_attempts: int | None = None,
        dedup: _Dedup | None = None,
        durable: bool = False,
        fsync: _Fsync = "always",
        fsync_interval: float = 0.1,
        wait: _Wait = "adaptive",
    ) -> Queue[Any]: ...
    def queue(self, name: str, type: Any = None, **options: Any) -> Queue[Any]:
        """Open a work queue; see `axonic.Domain.queue`."""
        return self._keep(Queue(self.sync.queue(name, type, **options)))

    def mutex(self, name: str, timeout: float | None = None, *, wait: _Wait = "adaptive") -> Mutex:
        """Open a mutex; see `axonic.Domain.mutex`."""
        return self._keep(Mutex(self.sync.mutex(name, timeout, wait=wait)))

    def rwlock(self, name: str, *, wait: _Wait = "adaptive") -> RwLock:
        """Open a lock that many read or one writes."""
        return self._keep(RwLock(self.sync.rwlock(name, wait=wait)))

    def semaphore(
        self, name: str, permits: int, timeout: float | None = None, *, wait: _Wait = "adaptive"
    ) -> Semaphore:
        """Open a semaphore; see `axonic.Domain.semaphore`."""
        return self._keep(Semaphore(self.sync.semaphore(name, permits, timeout, wait=wait)))

    def event(self, name: str, auto_reset: bool = False, *, wait: _Wait = "adaptive") -> Event:
        """Open an event; see `axonic.Domain.event`."""
        return self._keep(Event(self.sync.event(name, auto_reset, wait=wait)))

    def barrier(self, name: str, parties: int, *, wait: _Wait = "adaptive") -> Barrier:
        """Open a barrier; see `axonic.Domain.barrier`."""
        return self._keep(Barrier(self.sync.barrier(name, parties, wait=wait)))

    def unlink(self, noun: _Noun, name: str) -> None:
        """Remove an object; see `axonic.Domain.unlink`."""
        self.sync.unlink(noun, name)

    def close(self) -> None:
        """Leave the domain and close its handles; tasks waiting on them get ClosedError."""
        self._leave(self.sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(lambda: self.sync.__exit__(kind, error, trace))

    def __repr__(self) -> str:
        return repr(self.sync).replace("<axonic.", "<axonic.aio.", 1)

    def _keep(self, handle: H) -> H:
        self._handles.add(handle)
        return handle

    def _leave(self, close: Callable[[], None]) -> None:
        handles = list(self._handles)
        for handle in handles:
            handle._stop()
        try:
            close()
        finally:
            for handle in handles:
                handle._wake()


def open(
    name: str | None = None,
    *,
    runtime_dir: str | os.PathLike[str] | None = None,
    mode: int | None = None,
    group: int | None = None,
    max_participants: int | None = None,
    quota: int | None = None,
    participant_quota: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    label: str | None = None,
) -> Domain:
    """Open a domain for asyncio; the arguments are those of `axonic.open`."""
    from . import open as open_sync

    return Domain(
        open_sync(
            name,
            runtime_dir=runtime_dir,
            mode=mode,
            group=group,
            max_participants=max_participants,
            quota=quota,
            participant_quota=participant_quota,
            data_dir=data_dir,
            label=label,
        )
    )
