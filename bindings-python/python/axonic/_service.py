"""What `Service.method` and `Service.serve` do: functions, their arguments, the threads that call them."""

from __future__ import annotations

import builtins
import contextvars
import inspect
import json
import logging
import threading
import traceback
import types
import typing
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import _codec
from ._errors import (
    AxonicError,
    CancelledError,
    ClosedError,
    DecodeError,
    DisconnectedError,
    InvalidArgumentError,
    TimeoutError,
)
from ._native import Context

if TYPE_CHECKING:
    from ._native import Service

# `axonic.traceparent`: the trace that this thread, or task, works for, as W3C writes it. Calls it makes, and
# messages it publishes and puts, carry it on; a method that is called, and a worker's function, find it set
# to their caller's.
trace: contextvars.ContextVar[str | None] = contextvars.ContextVar("axonic.traceparent", default=None)

# Threads beside the one that serves look this often whether they are to end, in seconds.
_LOOK = 0.1

CODES = (
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


class Status(Exception):
    """Raised by a method, it says exactly why the call failed, and nothing is logged.

    `code` is one of gRPC's, such as "NOT_FOUND"; `message` is for a person; `reason` a word of the service's
    own that stays the same while texts change; `details` what else it tells, as JSON can hold it; `retryable`
    whether the same call may succeed later and does no harm if it was done already (by default only of
    "UNAVAILABLE").
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        reason: str = "",
        details: Any = None,
        retryable: bool | None = None,
    ) -> None:
        if code not in CODES:
            raise InvalidArgumentError(f"Status: code={code!r} is none of {', '.join(CODES)}")
        if not isinstance(message, str) or not isinstance(reason, str):
            raise InvalidArgumentError(f"Status: message={message!r}, reason={reason!r}; both are to be str")
        if not isinstance(retryable, (bool, types.NoneType)):
            raise InvalidArgumentError(f"Status: retryable={retryable!r} is to be True, False or None")
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.reason = reason
        self.details = details
        self.retryable = code == "UNAVAILABLE" if retryable is None else retryable

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class Method:
    """A function, and how a call's arguments become its own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        self.streams = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        hints = _hints(function)
        self.context = self.input = None
        self.kinds: dict[str, Any] = {}
        # Those that may be given by position, in order, and how many of them must.
        self.positions: list[str] = []
        self.by_position_only = 0
        parameters = inspect.signature(function).parameters
        for name, parameter in parameters.items():
            hint = hints.get(name)
            by_position = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            if by_position:
                self.positions.append(name)
                self.by_position_only += parameter.kind is parameter.POSITIONAL_ONLY
            if name == "ctx" or hint is Context:
                self.context = name
            elif _is_stream(hint):
                self.input = name
            elif by_position or parameter.kind is parameter.KEYWORD_ONLY:
                self._add_kind(name, hint)
        self.defaults: dict[str, Any] = {
            name: parameter.default
            for name, parameter in parameters.items()
            if parameter.default is not parameter.empty
        }
        # The same of a caller's.
        self.taken = [name for name in self.positions if name not in (self.context, self.input)]
        kinds = [parameters[name].kind for name in self.taken[:1]]
        # One that is positional only is given the whole object, which else are the arguments by name.
        self.whole = inspect.Parameter.POSITIONAL_ONLY in kinds
        self.direct = self._is_direct()

    def _is_direct(self) -> bool:
        """Whether bytes are all that it needs."""
        if self.context is not None or self.input is not None or self.streams or self.kinds:
            return False
        try:
            inspect.signature(self.function).bind(b"")
        except TypeError:
            return False
        return True

    def _add_kind(self, name: str, hint: Any) -> None:
        if hint is not None and _has_shape(hint):
            self.kinds[name] = hint

    def arguments(self, ctx: Context) -> tuple[list[Any], dict[str, Any]]:
        """What a call gives the function by position and by name, without context and input."""
        if ctx._content == "raw":
            data = ctx._data
            return ([data] if data or self.taken else []), {}
        value = ctx._value
        if isinstance(value, dict) and not self.whole:
            # The call keeps its own, which must not come to hold the call.
            named = dict(value)
            for name in self.kinds.keys() & named.keys():
                named[name] = self._shaped(name, named[name])
            return [], named
        if value is None and not self.taken:
            return [], {}
        values = list(value) if ctx._by_position else [value]
        for index, name in enumerate(self.taken[: len(values)]):
            values[index] = self._shaped(name, values[index])
        return values, {}

    def _shaped(self, name: str, value: Any) -> Any:
        if (kind := self.kinds.get(name)) is None:
            return value
        return _codec._shape(value, kind, _codec._Refuse(InvalidArgumentError, f"argument {name!r}"))

    def _placed(self, values: list[Any], own: dict[str, Any]) -> Iterator[Any]:
        """The arguments by position: the caller's, and in its place what comes besides."""
        given = list(reversed(values))
        for index, name in enumerate(self.positions):
            if not given and index >= self.by_position_only:
                return
            if name in own:
                yield own.pop(name)
            elif given:
                yield given.pop()
            elif name in self.defaults:
                yield self.defaults[name]
            else:
                # The function says that this one is missing.
                return
        yield from reversed(given)

    def _takes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether these arguments fit the function."""
        try:
            inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError:
            return False
        return True

    def call(self, ctx: Context, source: Callable[[Context], Any]) -> Any:
        """Call the function; `source` makes what the caller streams. Wrong arguments are a Status."""
        try:
            values, named = self.arguments(ctx)
        except (DecodeError, InvalidArgumentError) as error:
            raise Status("INVALID_ARGUMENT", str(error), reason="arguments") from error
        own = {}
        if self.context is not None:
            own[self.context] = ctx
        if self.input is not None:
            own[self.input] = source(ctx)
        args = tuple(self._placed(values, own)) if values or self.by_position_only else ()
        try:
            return self.function(*args, **named, **own)
        except TypeError as error:
            if named.keys() & own.keys() or not self._takes(args, {**named, **own}):
                raise Status("INVALID_ARGUMENT", str(error), reason="arguments") from error
            raise


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:
        # A name that is known only where the types are checked.
        return {}


def _is_stream(hint: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    names = ("Iterator", "AsyncIterator", "Generator", "AsyncGenerator")
    return getattr(origin, "__module__", "") == "collections.abc" and getattr(origin, "__name__", "") in names


def _has_shape(hint: Any) -> bool:
    plain = (bytes, str, int, float, bool, dict, list, object, Any, bytearray, memoryview, type(None))
    return hint not in plain and not isinstance(hint, (str, typing.TypeVar))


def add(service: Service, function: Callable[..., Any]) -> None:
    """Make a function a method of a service."""
    name = getattr(function, "__name__", None)
    if not callable(function) or not isinstance(name, str):
        raise InvalidArgumentError(
            f"service {service.name!r}: method() is given {function!r}; give a function"
        )
    try:
        service._methods[name] = Method(function)
    except ValueError as error:
        # One that was not written in Python may not tell what it takes.
        raise InvalidArgumentError(f"service {service.name!r}: method {name!r}: {error}") from error


def logger(ctx: Context, service: str) -> logging.LoggerAdapter[logging.Logger]:
    """What `Context.log` is."""
    extra = {"method": ctx.method, "traceparent": ctx.traceparent}
    return logging.LoggerAdapter(logging.getLogger(f"axonic.service.{service}"), extra)


def fail(ctx: Context, error: BaseException) -> None:
    """Answer a call that ended with an exception: the core makes of it what the caller is told."""
    try:
        _fail(ctx, error)
    except Exception as wrong:
        # Whatever cannot be told of it, such as a code that was set to none, the call ends.
        text = f"{type(error).__name__}, of which nothing can be told: {_text(wrong)}"
        ctx._fail("", "", None, ("INTERNAL", text, "", False, "null", ""))


def _fail(ctx: Context, error: Any) -> None:
    if isinstance(error, Status):
        ctx._fail("", "", None, _told(error, error.message, ""))
    elif isinstance(error, AxonicError) and error.code:
        # A call that the function made: its failure is passed on as it is.
        ctx._fail("", "", None, _told(error, getattr(error, "_message", str(error)), error.origin))
    elif isinstance(error, AxonicError):
        ctx._fail("", _text(error), error.kind)
    else:
        ctx._fail(type(error).__name__, _text(error), _meaning(error))


def _text(error: BaseException) -> str:
    try:
        return _printable(str(error))
    except Exception:
        return f"a {type(error).__name__} that cannot be printed"


def _meaning(error: BaseException) -> str | None:
    """The kind of error of the core's that means the same."""
    if isinstance(error, builtins.TimeoutError):
        return "Timeout"
    # asyncio's and that of concurrent.futures, neither of which is imported for this.
    return "Cancelled" if type(error).__name__ == "CancelledError" else None


def _told(error: Any, message: str, origin: str) -> tuple[str, str, str, bool, str, str]:
    try:
        details = _codec.encode(error.details, None)
    except InvalidArgumentError:
        details = json.dumps(repr(error.details))
    return error.code, _printable(message), error.reason, error.retryable, details, origin


def _printable(text: str) -> str:
    """Python's text may hold what UTF-8 cannot."""
    return text.encode(errors="backslashreplace").decode()


def note(service: str, method: Method, name: str, error: BaseException) -> None:
    """Log an exception of which the caller is not told all: what a call says that failed it is."""
    told = isinstance(error, AxonicError) and error.code
    if told or isinstance(error, (Status, CancelledError)):
        return
    try:
        log = logging.getLogger(getattr(method.function, "__module__", None))
        log.error("service %r: method %r failed", service, name, exc_info=error)
    except Exception:
        # The program's own handler of records; the call is answered, and the service goes on.
        traceback.print_exc()


def find(service: Service, ctx: Context) -> Method | None:
    """The method that a call is for; without one the caller is told."""
    method: Method | None = service._methods.get(ctx.method)
    if method is None:
        ctx._no_such_method(sorted(service._methods))
    return method


def _items(ctx: Context) -> Iterator[Any]:
    """What the caller streams."""
    while item := ctx._next():
        yield item[0]


def answer(service: Service, ctx: Context) -> None:
    """Answer one call, in this thread."""
    method = find(service, ctx)
    if method is None:
        return
    token = None
    try:
        if method.direct and (data := ctx._direct) is not None:
            result = method.function(data)
        else:
            if (traceparent := ctx.traceparent) is not None:
                token = trace.set(traceparent)
            if method.streams:
                ctx._begin_stream()
            result = method.call(ctx, _items)
        # A function around the one that does it has them, too.
        if isinstance(result, types.CoroutineType):
            result.close()
            raise InvalidArgumentError(f"method {ctx.method!r} is async; open the service with axonic.aio")
        if isinstance(result, types.GeneratorType):
            if not method.streams:
                ctx._begin_stream()
            result = _stream(ctx, result)
        ctx._reply(result)
    except BaseException as error:
        # In the main thread it may have come from outside: Ctrl-C, or a signal's handler that exits.
        if not isinstance(error, Exception) and threading.current_thread() is threading.main_thread():
            fail(ctx, Status("UNAVAILABLE", "the service was interrupted while it worked on the call"))
            raise
        note(service.name, method, ctx.method, error)
        fail(ctx, error)
    finally:
        if token is not None:
            trace.reset(token)


def _stream(ctx: Context, items: types.GeneratorType[Any, None, Any]) -> Any:
    """Send what a generator yields; what it returns."""
    try:
        while True:
            try:
                item = next(items)
            except StopIteration as end:
                return end.value
            ctx._send(item)
    finally:
        items.close()


def serve(service: Service, threads: int) -> None:
    """Answer calls until the service is closed, or the pipe it listens at has ended."""
    if threads < 1:
        raise InvalidArgumentError(
            f"service {service.name!r}: threads={threads}; give a whole number from 1 up"
        )
    for name, method in service._methods.items():
        if method.is_async:
            raise InvalidArgumentError(
                f"service {service.name!r}: method {name!r} is async, which threads cannot call; open the "
                "service with axonic.aio"
            )
    stopping = threading.Event()
    others = [
        threading.Thread(target=_help, args=(service, stopping), name=f"{service.name}-{number}")
        for number in range(1, threads)
    ]
    try:
        for thread in others:
            thread.start()
        following = service._next
        while True:
            answer(service, following())
    except DisconnectedError:
        pass
    except ClosedError:
        if not service.closed:
            raise
    finally:
        stopping.set()
        for thread in others:
            if thread.is_alive():
                thread.join()


def _help(service: Service, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            ctx = service._next(_LOOK)
        except TimeoutError:
            continue
        except (ClosedError, DisconnectedError):
            return
        answer(service, ctx)
