"""The same nouns for asyncio: whatever may wait is awaited, and no thread is involved.

    async with axonic.aio.open("demo") as ax:
        async for m in ax.subscriber("orders.>"):
            print(m.topic, m.value)

Each handle wraps the blocking one (`handle.sync`) and sleeps in the event loop on its pollable
descriptor. A cancelled or timed out call has taken nothing: a message is either returned or still
there, and is published or not at all.
"""

from __future__ import annotations

import asyncio
import builtins
import functools
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

from . import _native
from ._native import (
    DisconnectedError,
    InvalidArgumentError,
    Message,
    PublisherStats,
    Region,
    RingStats,
    Sample,
    SubscriberStats,
    TimeoutError,
    WouldBlockError,
)

if TYPE_CHECKING:
    import os

    from ._native import _Content, _Create, _Noun, _Overflow, _Readable, _Start, _Wait

__all__ = ["Domain", "Publisher", "RingConsumer", "RingProducer", "Subscriber", "WaitSet", "open"]

T = TypeVar("T")
R = TypeVar("R")
H = TypeVar("H", bound="_Handle")

# Messages handed to one task before the other tasks of the loop get a turn.
_BURST = 64


class _Readiness:
    """Sleeps in the event loop until a descriptor is readable.

    The descriptor stays registered while tasks wait for it. A wake-up nobody waits for removes it
    (it is level-triggered and would ring for ever); the next wait registers it again.
    """

    def __init__(self, fileno: Callable[[], int]) -> None:
        self._fileno = fileno
        self._waiting: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fd = -1
        self._answered = 0

    def wake(self) -> None:
        """Let every waiting task look again."""
        if not self._waiting:
            self.stop()
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

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
            self.stop()
            self._fd = self._fileno()
            # By weak reference: a handle its user has dropped must not live on in the event loop.
            loop.add_reader(self._fd, functools.partial(_ring, weakref.ref(self)))
            self._loop = loop
        return loop.create_future()

    async def until(self, attempt: Callable[[], R | None], timeout: float | None, awaited: str) -> R:
        """Repeat `attempt` at every wake-up until it answers something else than None."""
        if timeout is not None and not timeout >= 0:
            raise InvalidArgumentError(
                f"timeout={timeout}: give seconds as a number from 0 up, or None to wait without end"
            )
        self._answered += 1
        if self._answered % _BURST == 0:
            await asyncio.sleep(0)
        if (result := attempt()) is not None:
            return result
        try:
            async with asyncio.timeout(timeout):
                return await self._retry(attempt)
        except builtins.TimeoutError as error:
            raise TimeoutError(f"{awaited} within {timeout} s") from error

    async def _retry(self, attempt: Callable[[], R | None]) -> R:
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


def _ring(ready: weakref.ref[_Readiness]) -> None:
    if (alive := ready()) is not None:
        alive.wake()


class _Handle:
    """What every wrapper shares: closing, as a context manager or not."""

    def __init__(self, sync: Any) -> None:
        self.sync = sync
        self._ready = _Readiness(sync.fileno)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return bool(self.sync.closed)

    def close(self) -> None:
        """Close it; tasks waiting on it get ClosedError."""
        self._ready.stop()
        try:
            self.sync.close()
        finally:
            self._ready.wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ready.stop()
        try:
            self.sync.__exit__(kind, error, trace)
        finally:
            self._ready.wake()

    def __repr__(self) -> str:
        return repr(self.sync).replace("<axonic.", "<axonic.aio.", 1)


def _attempt(call: Callable[[], object]) -> Callable[[], Literal[True] | None]:
    """None while there is no room, True when it is done."""

    def once() -> Literal[True] | None:
        try:
            call()
        except (WouldBlockError, TimeoutError):
            return None
        return True

    return once


class Publisher(_Handle, Generic[T]):
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


class Subscriber(_Handle, Generic[T]):
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


class RingProducer(_Handle):
    """The sending end of a ring. Made by `Domain.ring_producer`."""

    sync: _native.RingProducer

    def stats(self) -> RingStats:
        """Counters of the ring."""
        return self.sync.stats()

    async def push(self, data: _Readable, timeout: float | None = None) -> None:
        """Send a copy of `data`, waiting for room."""
        awaited = f"ring producer {self.sync.name!r}: no room for the message"
        await self._ready.until(_attempt(lambda: self.sync.try_push(data)), timeout, awaited)


class RingConsumer(_Handle):
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


class WaitSet(_Handle):
    """Waits for any of several subscribers, publishers, descriptors and timers."""

    sync: _native.WaitSet

    def __init__(self) -> None:
        super().__init__(_native.WaitSet())

    def add(self, source: Any, key: object = None) -> object:
        """Wait for `source` too; `wait()` answers `key`, by default the source."""
        inner = source.sync if isinstance(source, _Handle) else source
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
        self._handles: weakref.WeakSet[_Handle] = weakref.WeakSet()

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
            handle._ready.stop()
        try:
            close()
        finally:
            for handle in handles:
                handle._ready.wake()


def open(
    name: str | None = None,
    *,
    runtime_dir: str | os.PathLike[str] | None = None,
    mode: int | None = None,
    group: int | None = None,
    max_participants: int | None = None,
    quota: int | None = None,
    participant_quota: int | None = None,
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
            label=label,
        )
    )
