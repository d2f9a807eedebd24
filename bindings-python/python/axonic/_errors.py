"""The exceptions, made by the core from its one table of error kinds.

Each derives from AxonicError and, where Python has a fitting built-in, from that too: a timeout is
caught by `except TimeoutError` as well as by `except axonic.TimeoutError`. `kind` is the core's name
("Timeout"), `number` its stable number. `accepted` is how many messages of a queue's put() or put_many()
are in the queue all the same, the first ones: 0 with nearly every error, all of them with NotDurableError.

The error of a call that failed says why, as its service does: its `code` is gRPC's, such as "NOT_FOUND"
(out of time: TimeoutError with "DEADLINE_EXCEEDED"), `reason` a word of the service's that stays the same,
`retryable` whether the same call may succeed later, `details` what else it tells, `origin` who failed. Of
other errors they are empty.
"""

from ._native import (
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

__all__ = [
    "AlreadyExistsError",
    "AxonicError",
    "BusyError",
    "CallFailedError",
    "CancelledError",
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
    "UnavailableError",
    "UnsupportedError",
    "WouldBlockError",
]
