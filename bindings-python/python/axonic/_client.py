"""What `Client` and its methods make of their arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ._errors import InvalidArgumentError

if TYPE_CHECKING:
    from ._native import Client

# How long a stream whose input finds no room waits for an item before it looks again, in seconds.
_LOOK = 0.01


def is_input(value: Any) -> bool:
    """Whether an argument is to be streamed."""
    return hasattr(value, "__next__") or hasattr(value, "__anext__")


def arguments(name: str, args: tuple[Any, ...], params: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """What a call sends, and what it streams."""
    inputs = [value for value in args if is_input(value)]
    one = [value for value in args if not is_input(value)]
    by_name = {}
    for key, value in (params or {}).items():
        if is_input(value):
            inputs.append(value)
        else:
            by_name[key] = value
    if len(one) > 1 or (one and by_name):
        raise InvalidArgumentError(
            f"call of {name}: give arguments by name, or one by position; {len(one)} by position and "
            f"{len(by_name)} by name cannot be told apart"
        )
    if len(inputs) > 1:
        raise InvalidArgumentError(f"call of {name}: {len(inputs)} iterators; one can be streamed")
    return (one[0] if one else by_name), (inputs[0] if inputs else None)


def make(
    client: Client,
    name: str,
    args: tuple[Any, ...],
    params: Mapping[str, Any] | None,
    timeout: float | None,
    kind: str,
) -> Any:
    """Make a call of `client.<name>`."""
    value, source = arguments(name, args, params)
    if kind == "start":
        if source is not None:
            raise InvalidArgumentError(f"call of {name}: start() streams nothing; call it, or use stream()")
        return client.start(name, value, timeout=timeout)
    call: Any = client.call if kind == "call" else client.stream
    return call(name, value, input=source, timeout=timeout)


def call_with(client: Client, name: str, params: Any, source: Iterator[Any], timeout: float | None) -> Any:
    """Stream the items of an iterator, and return the result."""
    with client._start(name, params, timeout, True, False) as call:
        for item in source:
            call._send(item)
            # The service may have answered without waiting for the rest.
            if result := call._try_result():
                return result[0]
        call._finish_input()
        return call.result()


def stream_with(
    client: Client, name: str, params: Any, source: Iterator[Any], timeout: float | None
) -> Iterator[Any]:
    """Stream the items of an iterator, and yield those that come."""
    with client._start(name, params, timeout, True, True) as call:
        for item in source:
            while not call._try_send(item):
                # The service takes no more for now; it may wait for us to take some.
                if (came := call._next(_LOOK)) is not None:
                    if not came:
                        return
                    yield came[0]
            while (came := call._try_next()) is not None:
                if not came:
                    return
                yield came[0]
        call._finish_input()
        yield from call
