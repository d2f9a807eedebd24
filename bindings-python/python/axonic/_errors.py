"""The exceptions, made by the core from its one table of error kinds.

Each derives from AxonicError and, where Python has a fitting built-in, from that too: a timeout is
caught by `except TimeoutError` as well as by `except axonic.TimeoutError`. `kind` is the core's name
("Timeout"), `code` its stable number. `accepted` is how many messages of a queue's put() or put_many() are in
the queue all the same, the first ones: 0 with nearly every error, all of them with NotDurableError.
"""

from ._native import (
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
    LeaseLostError,
    LimitReachedError,
    NoSpaceError,
    NotDurableError,
    NotFoundError,
    PermissionDeniedError,
    RejectedError,
    TimeoutError,
    TooLargeError,
    UnsupportedError,
    WouldBlockError,
)

__all__ = [
    "AlreadyExistsError",
    "AxonicError",
    "BusyError",
    "ClosedError",
    "CorruptError",
    "DecodeError",
    "DisconnectedError",
    "ForkedError",
    "FullError",
    "InUseError",
    "InterruptedError",
    "InvalidArgumentError",
    "InvalidNameError",
    "IoError",
    "LayoutMismatchError",
    "LeaseLostError",
    "LimitReachedError",
    "NoSpaceError",
    "NotDurableError",
    "NotFoundError",
    "PermissionDeniedError",
    "RejectedError",
    "TimeoutError",
    "TooLargeError",
    "UnsupportedError",
    "WouldBlockError",
]
