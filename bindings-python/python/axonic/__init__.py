"""Local messaging at memory speed between processes in Python, Node, C, C++ and Rust.

    import axonic

    with axonic.open("demo") as ax:
        sub = ax.subscriber("orders.>")
        ax.publisher("orders.created").publish({"id": 1})
        print(sub.receive(timeout=1).value)

Times are seconds. Handles may be shared by threads, are closed at the end of their `with` block (that of a
lock has the lock, and gives it back), pickle by name and work after a fork. Importing starts nothing: no
thread, no signal handler, no log output. What happens beside the answers of calls (who came, who died, what
was removed) goes to `logging.getLogger("axonic")`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from . import _native
from ._errors import (
    AlreadyExistsError,
    AxonicError,
    BusyError,
    CallFailedError,
    CancelledError,
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
    LeaseLostError,
    LimitReachedError,
    NoSpaceError,
    NotDurableError,
    NotFoundError,
    PermissionDeniedError,
    RejectedError,
    TimeoutError,
    TooLargeError,
    UnavailableError,
    UnsupportedError,
    WouldBlockError,
)
from ._native import (
    Barrier,
    Call,
    Can,
    Channel,
    ChannelMessage,
    ChannelStats,
    ChildPipe,
    Client,
    Condvar,
    Context,
    Domain,
    Event,
    Held,
    Job,
    Listener,
    Loan,
    LockHolder,
    Message,
    Method,
    Mutex,
    Peeked,
    Peer,
    Publisher,
    PublisherStats,
    Queue,
    QueueStats,
    Region,
    Reject,
    RingConsumer,
    RingMessage,
    RingProducer,
    RingReservation,
    RingStats,
    RwLock,
    Sample,
    Semaphore,
    Service,
    Subscriber,
    SubscriberStats,
    Ticket,
    WaitSet,
)

if TYPE_CHECKING:
    from contextvars import ContextVar

    from . import aio
    from ._service import Status
    from ._worker import Worker

    traceparent: ContextVar[str | None]

__version__: str = _native.__version__

__all__ = [
    "AlreadyExistsError",
    "AxonicError",
    "Barrier",
    "BusyError",
    "Call",
    "CallFailedError",
    "Can",
    "CancelledError",
    "Channel",
    "ChannelMessage",
    "ChannelStats",
    "ChildPipe",
    "Client",
    "ClosedError",
    "Condvar",
    "Context",
    "CorruptError",
    "DecodeError",
    "DisconnectedError",
    "Domain",
    "Event",
    "ForkedError",
    "FullError",
    "Held",
    "InUseError",
    "InterruptedError",
    "InvalidArgumentError",
    "InvalidNameError",
    "IoError",
    "Job",
    "LayoutMismatchError",
    "LeaseLostError",
    "LimitReachedError",
    "Listener",
    "Loan",
    "LockHolder",
    "Message",
    "Method",
    "Mutex",
    "NoSpaceError",
    "NotDurableError",
    "NotFoundError",
    "Peeked",
    "Peer",
    "PermissionDeniedError",
    "Publisher",
    "PublisherStats",
    "Queue",
    "QueueStats",
    "Region",
    "Reject",
    "RejectedError",
    "RingConsumer",
    "RingMessage",
    "RingProducer",
    "RingReservation",
    "RingStats",
    "RwLock",
    "Sample",
    "Semaphore",
    "Service",
    "Status",
    "Subscriber",
    "SubscriberStats",
    "Ticket",
    "TimeoutError",
    "TooLargeError",
    "UnavailableError",
    "UnsupportedError",
    "WaitSet",
    "Worker",
    "WouldBlockError",
    "aio",
    "open",
    "traceparent",
]


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
    """Open a domain: a named place on this machine where processes meet.

    Without a name, AXONIC_DOMAIN or "default". `runtime_dir` is where its shared memory lives (default
    AXONIC_RUNTIME_DIR, else a directory of yours on /dev/shm); `mode` and `group` (a number) are for a
    domain shared by a group in an explicit directory; `quota` and `participant_quota` limit the bytes of
    shared memory a new domain, and each participant of it, may take; `data_dir` is where what must survive
    a reboot is kept (default AXONIC_DATA_DIR, else ~/.local/state/axonic); `label` is what `axonic ls`
    shows, by default the program's name.
    """
    return Domain(
        name,
        runtime_dir=runtime_dir,
        mode=mode,
        group=group,
        max_participants=max_participants,
        quota=quota,
        participant_quota=participant_quota,
        data_dir=data_dir,
        label=_program() if label is None else label,
    )


def __getattr__(name: str) -> Any:
    # asyncio takes longer to import than all of this package; who does not use it does not wait for it.
    if name == "aio":
        from importlib import import_module

        return import_module(".aio", __name__)
    if name == "Worker":
        from ._worker import Worker

        return Worker
    if name == "traceparent":
        from ._service import trace

        _native._carry_traces()
        return trace
    if name == "Status":
        from ._service import Status

        return Status
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _program() -> str | None:
    """The script's name, which says more than "python3"; None lets the core find one."""
    program = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    return program if program not in ("", "-c", "-") else None
