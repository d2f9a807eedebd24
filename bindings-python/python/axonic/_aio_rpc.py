"""Services and clients for asyncio."""

from __future__ import annotations

import asyncio
import builtins
import functools
import inspect
import types
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Self, TypeVar

from . import _native
from ._client import arguments
from ._elsewhere import Elsewhere
from ._errors import AxonicError, CancelledError, ClosedError, DisconnectedError
from ._native import Context
from ._readiness import BURST, Handle, Readiness, check_timeout, too_late
from ._service import Method as _Function
from ._service import Status, add, fail, find, note, trace

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

# How long after a call's end by the event loop's clock the core is asked again, in seconds.
_AGAIN = 0.001


def _not_sent(awaited: str, timeout: float | None) -> AxonicError:
    """The error of a call whose time is over before it began, as the core tells it."""
    error = too_late(awaited, timeout)
    error.code, error.retryable = "DEADLINE_EXCEEDED", True
    return error


class _Told(Readiness):
    """Wakes only those who wait for something of a call, by its id, when something came for that."""

    def __init__(self, fileno: Callable[[], int], of: object, news: Callable[[], list[int]]) -> None:
        super().__init__(fileno, of)
        self._news = news
        self._asked: dict[int, list[asyncio.Future[None]]] = {}

    def _wanted(self) -> bool:
        return bool(self._waiting or self._asked)

    def wake(self) -> None:
        """Let those look for whom something came."""
        super().wake()
        self.look()

    def look(self) -> None:
        """The same, by whoever read: what it read may have been another's."""
        try:
            news = self._news()
        except AxonicError:
            # Whoever waits is told so.
            news = list(self._asked)
        for call in news:
            for future in self._asked.get(call, ()):
                if not future.done():
                    future.set_result(None)

    def wake_all(self) -> None:
        """Let everybody look."""
        for futures in self._asked.values():
            for future in futures:
                if not future.done():
                    future.set_result(None)

    async def of_call(self, call: int, attempt: Callable[[], R | None]) -> R:
        """Repeat `attempt` whenever something came for a call, until it answers something else than None."""
        self._answered += 1
        if self._answered % BURST == 0:
            # A stream that always has something, or finds room, would keep everybody else waiting.
            await asyncio.sleep(0)
        while True:
            future = self._listen()
            self._asked.setdefault(call, []).append(future)
            try:
                try:
                    result = attempt()
                finally:
                    self.look()
                if result is not None:
                    return result
                await future
            finally:
                futures = self._asked[call]
                futures.remove(future)
                if not futures:
                    del self._asked[call]


class Client(Handle):
    """Calls a service: `await client.query(text="x", timeout=5)`. Made by `Domain.client`.

    Any name that it does not have itself is a method of the service. A cancelled call is given up, and its
    service told. One event loop uses it.
    """

    sync: _native.Client

    def __init__(self, sync: _native.Client) -> None:
        super().__init__(sync)
        sync._give_to_loop()
        self._ready: _Told = _Told(sync.fileno, sync, sync._take_news)
        self._connecting: Elsewhere[None] | None = None

    @property
    def service(self) -> str:
        """The service's name."""
        return self.sync.service

    @property
    def range(self) -> str:
        """The versions it can do with."""
        return self.sync.range

    @property
    def address(self) -> str | None:
        """Where the service is; None: at whoever provides it in the domain."""
        return self.sync.address

    async def call(
        self, method: str, params: Any = None, *, input: Any = None, timeout: float | None = None
    ) -> Any:
        """Call a method by name; see `axonic.Client.call`."""
        call = await self._start(method, params, timeout, input is not None, False)
        async with Call(self, call, timeout, input) as made:
            return await made.result()

    def stream(
        self, method: str, params: Any = None, *, input: Any = None, timeout: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """The same for a method that streams: `async for` what is returned."""
        return self._stream(method, params, input, timeout)

    async def _stream(
        self, method: str, params: Any, input: Any, timeout: float | None
    ) -> AsyncGenerator[Any, None]:
        call = await self._start(method, params, timeout, input is not None, True)
        async with Call(self, call, timeout, input) as made:
            async for item in made:
                yield item

    async def start(self, method: str, params: Any = None, *, timeout: float | None = None) -> Call:
        """Send a call on its way and return it: awaiting its result() waits."""
        return Call(self, await self._start(method, params, timeout, False, False), timeout, None)

    async def _start(
        self, method: str, params: Any, timeout: float | None, input: bool, stream: bool
    ) -> _native.Call:
        check_timeout(timeout)
        call = self.sync._try_start(method, params, timeout, input, stream)
        return call or await self._start_connecting(method, params, timeout, input, stream)

    async def _start_connecting(
        self, method: str, params: Any, timeout: float | None, input: bool, stream: bool
    ) -> _native.Call:
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        gone = 0
        while True:
            self.sync._may_try_again(gone)
            if self._connecting is None or self._connecting.is_over:
                self._connecting = Elsewhere(self.sync._connect)
            try:
                async with asyncio.timeout_at(end):
                    await self._connecting.wait()
            except builtins.TimeoutError as error:
                if isinstance(error, AxonicError):
                    raise
                raise _not_sent(f"service '{self.service}': no provider let it connect", timeout) from error
            left = None if end is None else max(end - loop.time(), 0)
            call = self.sync._try_start(method, params, left, input, stream)
            if call is not None:
                return call
            gone += 1

    def _wake(self) -> None:
        super()._wake()
        self._ready.wake_all()

    def __getattr__(self, name: str) -> Method:
        if name.startswith("_"):
            raise AttributeError(
                f"'Client' object has no attribute {name!r}; client.call({name!r}) calls a method"
            )
        return Method(self, name)


class Method:
    """A method of a service, to be called. Made by `client.<name>`."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.name = name

    async def __call__(self, *args: Any, timeout: float | None = None, **params: Any) -> Any:
        """Call it; see `axonic.Method`."""
        value, source = arguments(self.name, args, params)
        return await self._client.call(self.name, value, input=source, timeout=timeout)

    def stream(self, *args: Any, timeout: float | None = None, **params: Any) -> AsyncGenerator[Any, None]:
        """The same for a method that streams: `async for` what is returned."""
        value, source = arguments(self.name, args, params)
        return self._client.stream(self.name, value, input=source, timeout=timeout)

    def __repr__(self) -> str:
        return f"<axonic.aio.Method {self.name!r} of service {self._client.service!r}>"


class Call:
    """A call that is under way. Made by `Client.start`; given up at the end of its `async with` block."""

    def __init__(self, client: Client, sync: _native.Call, timeout: float | None, source: Any) -> None:
        self.sync = sync
        self._client = client
        loop = asyncio.get_running_loop()
        self._end = None if timeout is None else loop.time() + timeout
        self._feeding = None if source is None else loop.create_task(self._feed(source))

    async def _feed(self, source: Any) -> None:
        """Stream the items of an iterator to the service."""
        if hasattr(source, "__anext__"):
            async for item in source:
                await self._send(item)
        else:
            for item in source:
                await self._send(item)
                # The others get a turn even where it always finds room.
                await asyncio.sleep(0)
        self.sync._finish_input()

    async def _send(self, item: Any) -> None:
        await self._wait(lambda: self.sync._try_send(item) or None, None)

    async def _wait(self, attempt: Callable[[], R | None], timeout: float | None) -> R:
        end = self._end
        if timeout is not None:
            until = asyncio.get_running_loop().time() + timeout
            end = until if end is None else min(end, until)
        try:
            async with asyncio.timeout_at(end):
                return await self._client._ready.of_call(self.sync._id, attempt)
        except builtins.TimeoutError as error:
            if isinstance(error, AxonicError):
                raise
            if end is not self._end:
                raise too_late(f"call of {self.sync.method}: nothing came", timeout) from error
        # Its own time is over, which the core says in its own words, some microseconds later.
        while (last := attempt()) is None:
            await asyncio.sleep(_AGAIN)
        return last

    def _check_feeding(self) -> None:
        if self._feeding is not None and self._feeding.done() and not self._feeding.cancelled():
            self._feeding.result()

    async def result(self, timeout: float | None = None) -> Any:
        """Its result; once."""
        check_timeout(timeout)
        if self._feeding is None:
            return (await self._wait(self.sync._try_result, timeout))[0]
        return (await self._beside_feeding(self._wait(self.sync._try_result, timeout)))[0]

    async def _beside_feeding(self, wait: Any) -> Any:
        """Wait for something; an error of the iterator that feeds the call ends that."""
        waiting = asyncio.ensure_future(wait)
        try:
            if self._feeding is not None and not self._feeding.done():
                await asyncio.wait((waiting, self._feeding), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                self._check_feeding()
            return await waiting
        finally:
            waiting.cancel()

    @property
    def progress(self) -> tuple[float, str] | None:
        """How far it is, from 0 to 1, with a note, as its service told last."""
        try:
            return self.sync.progress
        finally:
            self._client._ready.look()

    def cancel(self) -> None:
        """Give it up; its service is told."""
        if self._feeding is not None:
            self._feeding.cancel()
        self.sync.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        item = await self._beside_feeding(self._wait(self.sync._try_next, None))
        if not item:
            raise StopAsyncIteration
        return item[0]

    def __repr__(self) -> str:
        return repr(self.sync).replace("<axonic.", "<axonic.aio.", 1)


class Service(Handle):
    """Provides a service. Made by `Domain.service`.

    `await service.serve()` answers calls until it is closed. Each call is a task, cancelled when its caller
    gives it up; a method that is not async runs in the event loop, which waits for it. At most `concurrency`
    are at work.
    """

    sync: _native.Service

    def __init__(self, sync: _native.Service) -> None:
        super().__init__(sync)
        sync._give_to_loop()
        self._ready: _Told = _Told(sync.fileno, sync, sync._take_news)
        self._tasks: dict[int, asyncio.Task[None]] = {}

    @property
    def name(self) -> str:
        """Its name."""
        return self.sync.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.sync.version

    @property
    def concurrency(self) -> int:
        """How many calls may be at work at the same time."""
        return self.sync.concurrency

    @property
    def at_work(self) -> int:
        """Calls that are at work."""
        return self.sync.at_work

    def method(self, function: F) -> F:
        """Add a function as the method of its name; `@service.method`. Returns it."""
        add(self.sync, function)
        return function

    async def listen(self, address: str) -> str:
        """Have it called at an address too; see `axonic.Service.listen`."""
        return self.sync.listen(address)

    async def serve(self) -> None:
        """Answer calls until close(), or until the pipe it listens at has ended."""
        self.sync._take_news()
        try:
            while True:
                ctx = await self._ready.until(self._take, None, "")
                task = asyncio.get_running_loop().create_task(self._answer(ctx))
                self._tasks[ctx._id] = task
                task.add_done_callback(functools.partial(self._forget, ctx._id))
        except DisconnectedError:
            pass
        except ClosedError:
            if not self.closed:
                raise
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, call: int, task: asyncio.Task[None]) -> None:
        if self._tasks.get(call) is task:
            del self._tasks[call]

    def _take(self) -> Context | None:
        """The next call; what else has come is passed on to whom it is for."""
        try:
            return self.sync._try_next()
        finally:
            for call in self.sync._take_given_up():
                if call in self._tasks:
                    self._tasks[call].cancel()
            self._ready.look()

    async def _answer(self, ctx: Context) -> None:
        method = find(self.sync, ctx)
        if method is None:
            return
        if (traceparent := ctx.traceparent) is not None:
            trace.set(traceparent)
        try:
            async with asyncio.timeout(ctx.remaining):
                ctx._reply(await self._work(method, ctx))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                fail(ctx, Status("UNAVAILABLE", "the service ended while it worked on the call"))
            else:
                # Something that the method waited for was.
                fail(ctx, error)
        except Exception as error:
            if ctx.cancelled:
                fail(ctx, CancelledError("its caller waits for it no more"))
                return
            note(self.name, method, ctx.method, error)
            fail(ctx, error)

    async def _work(self, method: _Function, ctx: Context) -> Any:
        if method.streams:
            ctx._begin_stream()
        result = method.call(ctx, self._items)
        if isinstance(result, (types.GeneratorType, types.AsyncGeneratorType)):
            if not method.streams:
                ctx._begin_stream()
            return await self._stream(ctx, result)
        return await result if inspect.isawaitable(result) else result

    async def _stream(self, ctx: Context, items: Any) -> Any:
        """Send what a generator yields; what a plain one returns."""
        if hasattr(items, "__anext__"):
            try:
                async for item in items:
                    await self._send(ctx, item)
            finally:
                await items.aclose()
            return None
        try:
            while True:
                try:
                    item = next(items)
                except StopIteration as end:
                    return end.value
                await self._send(ctx, item)
        finally:
            items.close()

    async def _send(self, ctx: Context, item: Any) -> None:
        await self._ready.of_call(ctx._id, lambda: ctx._try_send(item) or None)

    async def _items(self, ctx: Context) -> AsyncIterator[Any]:
        """What the caller streams."""
        while item := await self._ready.of_call(ctx._id, ctx._try_next):
            yield item[0]

    def _wake(self) -> None:
        super()._wake()
        self._ready.wake_all()
