"""The same nouns for asyncio: whatever may wait is awaited. Only disks, and connecting, involve threads.

    async with axonic.aio.open("demo") as ax:
        async for m in ax.subscriber("orders.>"):
            print(m.topic, m.value)

Each handle wraps the blocking one (`handle.sync`) and sleeps in the event loop on its pollable
descriptor. A cancelled or timed out call has taken nothing: a message is either returned or still
there, and is published or not at all. Only a put that waits for the disk has put its message when it
is cancelled or out of time; `put(..., durable=False)` and then `flush()` tell one wait from the other.
A cancelled `put_many()`, or `send_many()` of a channel, has put or sent the first ones, as one that is out
of time has. What is left of a large message on a channel goes out before the next one.
What is put into a durable queue and settled is written and synced, as its `fsync` says,
by a thread; the event loop does no file work but opening and closing it.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

from . import _native
from ._aio_channel import Channel, Listener
from ._aio_lock import Barrier, Event, Held, Mutex, RwLock, Semaphore
from ._aio_queue import Queue, Ticket
from ._aio_rpc import Call, Client, Service
from ._elsewhere import Elsewhere
from ._native import (
    ChildPipe,
    DisconnectedError,
    InvalidArgumentError,
    LockHolder,
    Message,
    PublisherStats,
    Region,
    RingStats,
    Sample,
    SubscriberStats,
    TimeoutError,
    WouldBlockError,
)
from ._readiness import Handle, Open

if TYPE_CHECKING:
    import os

    from ._native import _Content, _Create, _Dedup, _Fsync, _Noun, _Overflow, _Readable, _Start, _Wait

__all__ = [
    "Barrier",
    "Call",
    "Channel",
    "Client",
    "Domain",
    "Event",
    "Held",
    "Listener",
    "Mutex",
    "Publisher",
    "Queue",
    "RingConsumer",
    "RingProducer",
    "RwLock",
    "Semaphore",
    "Service",
    "Subscriber",
    "Ticket",
    "WaitSet",
    "open",
]

T = TypeVar("T")
R = TypeVar("R")
H = TypeVar("H", bound=Open)


def _attempt(call: Callable[[], object]) -> Callable[[], Literal[True] | None]:
    """None while there is no room, True when it is done."""

    def once() -> Literal[True] | None:
        try:
            call()
        except (WouldBlockError, TimeoutError):
            return None
        return True

    return once


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

    def listen(self, address: str, *, max_message: int | None = None, wait: _Wait = "adaptive") -> Listener:
        """Listen for channels at an address; see `axonic.Domain.listen`."""
        return self._keep(Listener(self.sync.listen(address, max_message=max_message, wait=wait)))

    async def connect(
        self,
        address: str,
        *,
        timeout: float | None = None,
        max_message: int | None = None,
        reconnect: bool = False,
        wait: _Wait = "adaptive",
    ) -> Channel:
        """Open a channel; see `axonic.Domain.connect`. A thread of its own waits until it is open."""
        connect = functools.partial(
            self.sync.connect,
            address,
            timeout=timeout,
            max_message=max_message,
            reconnect=reconnect,
            wait=wait,
        )
        return self._keep(Channel(await Elsewhere(connect).wait()))

    def pipe(self, *, max_message: int | None = None, wait: _Wait = "adaptive") -> tuple[Channel, ChildPipe]:
        """Open a channel to a child of this process; see `axonic.Domain.pipe`."""
        channel, child = self.sync.pipe(max_message=max_message, wait=wait)
        return self._keep(Channel(channel)), child

    def service(
        self,
        name: str,
        version: str,
        *,
        concurrency: int | None = None,
        max_message: int | None = None,
        wait: _Wait = "adaptive",
    ) -> Service:
        """Provide a service; see `axonic.Domain.service`."""
        sync = self.sync.service(name, version, concurrency=concurrency, max_message=max_message, wait=wait)
        return self._keep(Service(sync))

    def client(
        self,
        service: str,
        range: str = "*",
        *,
        address: str | None = None,
        max_message: int | None = None,
        wait: _Wait = "adaptive",
    ) -> Client:
        """Call a service; see `axonic.Domain.client`. A thread of its own connects to its providers.

        What an event loop has is for that event loop alone: threads that call open a client of their own.
        """
        sync = self.sync.client(service, range, address=address, max_message=max_message, wait=wait)
        return self._keep(Client(sync))

    def lock_holders(self, name: str) -> list[LockHolder]:
        """Who has a lock; see `axonic.Domain.lock_holders`."""
        return self.sync.lock_holders(name)

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
