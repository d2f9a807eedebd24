"""Local messaging at memory speed between processes in Python, Node, C, C++ and Rust.

    import axonic

    with axonic.open("demo") as ax:
        sub = ax.subscriber("orders.>")
        ax.publisher("orders.created").publish({"id": 1})
        print(sub.receive(timeout=1).value)

Times are seconds. Handles may be shared by threads, are context managers, pickle by name and work
after a fork. Importing starts nothing: no thread, no signal handler, no log output.
"""

from __future__ import annotations

import os
import sys

from . import _native, aio
from ._errors import (
    AlreadyExistsError,
    AxonicError,
    BusyError,
    ClosedError,
    CorruptError,
    DecodeError,
    DisconnectedError,
    ForkedError,
    FullError,
    InterruptedError,
    InUseError,
    InvalidArgumentError,
    InvalidNameError,
    IoError,
    LayoutMismatchError,
    LimitReachedError,
    NoSpaceError,
    NotFoundError,
    PermissionDeniedError,
    TimeoutError,
    TooLargeError,
    UnsupportedError,
    WouldBlockError,
)
from ._native import (
    Domain,
    Loan,
    Message,
    Publisher,
    PublisherStats,
    Region,
    RingConsumer,
    RingMessage,
    RingProducer,
    RingReservation,
    Sample,
    Subscriber,
    SubscriberStats,
    WaitSet,
)

__version__: str = _native.__version__

__all__ = [
    "AlreadyExistsError",
    "AxonicError",
    "BusyError",
    "ClosedError",
    "CorruptError",
    "DecodeError",
    "DisconnectedError",
    "Domain",
    "ForkedError",
    "FullError",
    "InUseError",
    "InterruptedError",
    "InvalidArgumentError",
    "InvalidNameError",
    "IoError",
    "LayoutMismatchError",
    "LimitReachedError",
    "Loan",
    "Message",
    "NoSpaceError",
    "NotFoundError",
    "PermissionDeniedError",
    "Publisher",
    "PublisherStats",
    "Region",
    "RingConsumer",
    "RingMessage",
    "RingProducer",
    "RingReservation",
    "Sample",
    "Subscriber",
    "SubscriberStats",
    "TimeoutError",
    "TooLargeError",
    "UnsupportedError",
    "WaitSet",
    "WouldBlockError",
    "aio",
    "open",
]


def open(
    name: str | None = None,
    *,
    runtime_dir: str | os.PathLike[str] | None = None,
    mode: int | None = None,
    group: int | None = None,
    max_participants: int | None = None,
    label: str | None = None,
) -> Domain:
    """Open a domain: a named place on this machine where processes meet.

    Without a name, AXONIC_DOMAIN or "default". `runtime_dir` is where its shared memory lives (default
    AXONIC_RUNTIME_DIR, else a directory of yours on /dev/shm); `mode` and `group` (a number) are for a
    domain shared by a group in an explicit directory; `label` is what `axonic ls` shows, by default
    the program's name.
    """
    return Domain(
        name,
        runtime_dir=runtime_dir,
        mode=mode,
        group=group,
        max_participants=max_participants,
        label=_program() if label is None else label,
    )


def _program() -> str | None:
    """The script's name, which says more than "python3"; None lets the core find one."""
    program = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    return program if program not in ("", "-c", "-") else None
