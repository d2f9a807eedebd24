"""Structured values: Python objects to JSON and back.

The compiled module calls `encode`, `decode`, `schema_text` and `as_array`. A `type` is a dataclass, a
pydantic model, or any other annotation (TypedDict, list[Order], str | None): dataclasses and models are
built, the rest passes through as the plain objects JSON knows.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import os
import types
import typing
import uuid
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from ._native import DecodeError, InvalidArgumentError


def _is_model(kind: object) -> bool:
    """Whether this is a pydantic model class. Asked by name, so that pydantic need not be installed."""
    return isinstance(kind, type) and hasattr(kind, "model_validate_json") and hasattr(kind, "model_validate")


def _plain(value: Any) -> Any:
    """What JSON has no word for, as something it has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if _is_model(type(value)):
        return value.model_dump(mode="json")
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays inside a structure
        return value.tolist()
    raise TypeError(f"JSON has no word for {type(value).__name__}")


_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode


_PLAIN = frozenset({dict, list, str, int, float, bool, type(None)})


def encode(value: Any, kind: Any) -> str:
    """Write a value as JSON. A mapping given to a typed publisher must fit the type."""
    if kind is not None and isinstance(value, Mapping):
        value = _shape(value, kind, _Refuse(InvalidArgumentError))
    try:
        if type(value) not in _PLAIN and _is_model(type(value)):
            return typing.cast(str, value.model_dump_json())
        return _to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            f"this {type(value).__name__} has no JSON form: {error}; give bytes, an array, or a "
            "structure of dicts, lists, strings, numbers, dataclasses and pydantic models"
        ) from error


def schema_text(schema: Any) -> str:
    """Write a JSON Schema that was given as a mapping."""
    try:
        return _to_json(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            f"not a JSON Schema: {error}; give it as a mapping of what JSON can hold, or as JSON text"
        ) from error


def decode(text: str, kind: Any) -> Any:
    """Read JSON, as a `kind` if one is given."""
    if kind is not None and _is_model(kind):
        try:
            return kind.model_validate_json(text)
        except ValueError as error:
            raise DecodeError(f"the message does not fit {kind.__name__}: {error}") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"the message is not JSON: {error}") from error
    return value if kind is None else _shape(value, kind, _Refuse(DecodeError))


@dataclasses.dataclass(frozen=True)
class _Refuse:
    """How a value that does not fit is reported, and where in the structure it is."""

    error: Callable[[str], Exception]
    where: str = "the value"

    def at(self, step: str) -> _Refuse:
        return _Refuse(self.error, f"{self.where}{step}")

    def __call__(self, expected: str, value: object) -> Exception:
        return self.error(f"{self.where}: expected {expected}, found {type(value).__name__} ({value!r:.60})")


def _shape(value: Any, kind: Any, refuse: _Refuse) -> Any:
    """Give a decoded value the form its annotation asks for."""
    if _is_model(kind):
        try:
            return kind.model_validate(value)
        except ValueError as error:
            raise refuse.error(f"{refuse.where} does not fit {kind.__name__}: {error}") from error
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass(value, kind, refuse)
    origin = typing.get_origin(kind)
    if origin is not None:
        return _generic(value, origin, typing.get_args(kind), refuse)
    if kind in _LEAVES:
        return _LEAVES[kind](value, refuse)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _parsed(kind, value, refuse, kind.__name__)
    return value


def _dataclass(value: Any, kind: type[Any], refuse: _Refuse) -> Any:
    if not isinstance(value, Mapping):
        raise refuse(f"a {kind.__name__}", value)
    hints = _hints(typing.cast(Hashable, kind))
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    unknown = value.keys() - fields.keys()
    if unknown:
        raise refuse.error(f"{refuse.where}: {kind.__name__} has no field {min(map(str, unknown))!r}")
    shaped = {name: _shape(item, hints[name], refuse.at(f".{name}")) for name, item in value.items()}
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in shaped:
            raise refuse.error(f"{refuse.where}: {kind.__name__} needs a field {name!r}")
    return kind(**shaped)


# Reading annotations costs more than decoding a small message.
_hints = functools.lru_cache(maxsize=256)(typing.get_type_hints)


def _generic(value: Any, origin: Any, args: tuple[Any, ...], refuse: _Refuse) -> Any:
    """list[T], dict[str, T], T | None and their relatives."""
    if origin is typing.Annotated:
        return _shape(value, args[0], refuse)
    if origin is typing.Literal:
        if value not in args:
            raise refuse(f"one of {', '.join(map(repr, args))}", value)
        return value
    if origin in (typing.Union, types.UnionType):
        return _union(value, args, refuse)
    if origin in (list, set, frozenset, Sequence, Iterable):
        if not isinstance(value, (list, set, frozenset, tuple)):
            raise refuse("a list", value)
        items = [_shape(item, args[0], refuse.at(f"[{i}]")) for i, item in enumerate(value)]
        return origin(items) if origin in (set, frozenset) else items
    if origin is tuple:
        return _tuple(value, args, refuse)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise refuse("an object", value)
        return {key: _shape(item, args[1], refuse.at(f"[{key!r}]")) for key, item in value.items()}
    return value


def _tuple(value: Any, args: tuple[Any, ...], refuse: _Refuse) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise refuse("a list", value)
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(value)
    if len(args) != len(value):
        raise refuse(f"{len(args)} items", value)
    return tuple(
        _shape(item, kind, refuse.at(f"[{i}]"))
        for i, (item, kind) in enumerate(zip(value, args, strict=True))
    )


def _union(value: Any, args: tuple[Any, ...], refuse: _Refuse) -> Any:
    """The first alternative that fits."""
    reasons = []
    for kind in args:
        try:
            return _shape(value, kind, refuse)
        except (DecodeError, InvalidArgumentError) as error:
            reasons.append(str(error))
    raise refuse.error("; ".join(reasons))


def _exactly(kind: type[Any]) -> Callable[[Any, _Refuse], Any]:
    def check(value: Any, refuse: _Refuse) -> Any:
        # True is an int to Python; to JSON it is not a number.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise refuse(kind.__name__, value)
        return value

    return check


def _float(value: Any, refuse: _Refuse) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refuse("float", value)
    return float(value)


def _nothing(value: Any, refuse: _Refuse) -> None:
    if value is not None:
        raise refuse("null", value)


def _parsed(parse: Callable[[Any], Any], value: Any, refuse: _Refuse, name: str) -> Any:
    try:
        return parse(value)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise refuse(name, value) from error


def _parser(kind: type[Any], parse: Callable[[Any], Any]) -> Callable[[Any, _Refuse], Any]:
    def read(value: Any, refuse: _Refuse) -> Any:
        return value if isinstance(value, kind) else _parsed(parse, value, refuse, kind.__name__)

    return read


_LEAVES: dict[object, Callable[[Any, _Refuse], Any]] = {
    str: _exactly(str),
    int: _exactly(int),
    bool: _exactly(bool),
    list: _exactly(list),
    dict: _exactly(dict),
    float: _float,
    None: _nothing,
    type(None): _nothing,
    datetime.datetime: _parser(datetime.datetime, datetime.datetime.fromisoformat),
    datetime.date: _parser(datetime.date, datetime.date.fromisoformat),
    datetime.time: _parser(datetime.time, datetime.time.fromisoformat),
    uuid.UUID: _parser(uuid.UUID, uuid.UUID),
    decimal.Decimal: _parser(decimal.Decimal, lambda value: decimal.Decimal(str(value))),
}


def as_array(owner: Any) -> Any:
    """Show a tensor message as a numpy array, or as a memoryview where numpy is not installed."""
    try:
        from numpy import asarray
    except ImportError:
        return memoryview(owner)
    return asarray(owner)


def to_array(view: memoryview, dtype: Any, copy: bool | None) -> Any:
    """What `__array__` answers; whoever asks for it has numpy."""
    import numpy

    return numpy.array(view, dtype=dtype, copy=copy)
