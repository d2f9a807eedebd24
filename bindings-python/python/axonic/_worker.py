"""Threads that work on a queue's jobs: what `Queue.worker` makes of a function."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from ._errors import ClosedError, DecodeError, InvalidArgumentError, TimeoutError
from ._native import Reject, _carry_traces
from ._service import trace

if TYPE_CHECKING:
    from ._native import Job, Queue

T = TypeVar("T")
R = TypeVar("R")

# The pauses before the next attempt at a job, in seconds: each is twice as long as the one before.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0

# Threads that wait for a job look this often whether they are to end, in seconds.
_LOOK = 0.1


class Worker(Generic[T, R]):
    """A function and the threads that call it with each job of a queue. Made by `Queue.worker`.

    The function can be called as before. What it returns is the result that the ticket of the job's
    producer answers. An exception gives the job back, to another attempt after 0.1 s, twice as long each
    time, up to 10 s. At the last attempt that the queue allows it rejects the job: the dead letter's
    reason is the exception. Its traceback goes to the logger of the function's module. `raise
    Reject("why")` sends the job to the dead letters at once, and silently.

    When the main thread has ended, its threads finish the jobs they have and take no more, as after `stop()`.
    """

    def __init__(
        self, queue: Queue[T], function: Callable[[Job[T]], R], concurrency: int, lease: float | None
    ) -> None:
        functools.update_wrapper(self, function)
        self._queue = queue
        self._function = function
        self._concurrency = concurrency
        self._lease = lease
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def __call__(self, job: Job[T]) -> R:
        """Call the function itself."""
        return self._function(job)

    def start(self) -> Self:
        """Start the threads; does nothing while they run. A `with` block around it stops them.

        Raises what ended one of them early, if `stop()` has not.
        """
        if self._stopping.is_set():
            self.stop()
        if not self._threads:
            self._stopping.clear()
            self._failure = None
            name = getattr(self._function, "__name__", "worker")
            self._threads = [
                threading.Thread(target=self._work, name=f"{name}-{number}")
                for number in range(self._concurrency)
            ]
            for thread in self._threads:
                thread.start()
        return self

    def stop(self) -> None:
        """Let the threads finish the jobs they have and end. Raises what ended one of them early.

        Called in one of them, by the function, it asks for that and does not wait: it would wait for itself.
        """
        self._stopping.set()
        if threading.current_thread() in self._threads:
            return
        for thread in self._threads:
            # Ctrl-C may have come before all were started.
            if thread.is_alive():
                thread.join()
        self._threads = []
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def run(self) -> None:
        """Work until `stop()`, Ctrl-C or the end of the queue. Jobs that were begun are finished."""
        try:
            with contextlib.suppress(KeyboardInterrupt):
                self.start()
                self._stopping.wait()
        finally:
            self.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        name = getattr(self._function, "__qualname__", repr(self._function))
        return f"<axonic.Worker {name} of {self._queue.name!r}, {self._concurrency} threads, {self._state()}>"

    def _state(self) -> str:
        if not any(thread.is_alive() for thread in self._threads):
            return "stopped"
        return "stopping" if self._stopping.is_set() else "running"

    def _work(self) -> None:
        try:
            # The interpreter ends when its threads have, and says so by the end of the main one.
            while not self._stopping.is_set() and threading.main_thread().is_alive():
                try:
                    job = self._queue.get(timeout=_LOOK, lease=self._lease)
                except (TimeoutError, DecodeError):
                    continue  # what does not satisfy the schema is a dead letter
                self._do(job)
        except ClosedError:
            pass
        except BaseException as error:
            self._failure = error
        finally:
            # Without one of its threads it would go on in silence, slower or not at all.
            self._stopping.set()

    def _do(self, job: Job[T]) -> None:
        try:
            with job:
                try:
                    result = self._call(job)
                    if not job.settled:
                        job.ack(result)
                except Exception as error:
                    self._give_back(job, error)
                    raise
        except Reject:
            pass
        except Exception:
            logger = logging.getLogger(self._function.__module__)
            logger.exception("queue %r: attempt %d at a job failed", self._queue.name, job.attempt)

    def _call(self, job: Job[T]) -> R:
        """Call the function; what it does belongs to the job's trace."""
        if (traceparent := job.attributes.get("traceparent")) is None:
            return self._function(job)
        _carry_traces()
        token = trace.set(traceparent)
        try:
            return self._function(job)
        finally:
            trace.reset(token)

    def _give_back(self, job: Job[T], error: Exception) -> None:
        if job.settled or isinstance(error, Reject):
            return
        if job.attempt == self._queue._max_attempts:
            why = "".join(traceback.format_exception_only(error)).strip()
            # Python's text may hold what UTF-8 cannot.
            job.reject(why.encode(errors="backslashreplace").decode())
        else:
            job.nack(delay=min(_FIRST_PAUSE * 2 ** min(job.attempt - 1, 16), _LONGEST_PAUSE))


def decorator(
    queue: Queue[T], concurrency: int, lease: float | None
) -> Callable[[Callable[[Job[T]], R]], Worker[T, R]]:
    """What `Queue.worker` returns."""

    def decorate(function: Callable[[Job[T]], R]) -> Worker[T, R]:
        if inspect.iscoroutinefunction(function):
            raise InvalidArgumentError(
                f"worker: {function.__qualname__} is a coroutine function, which threads cannot call; use "
                "`async for job in queue` of axonic.aio"
            )
        return Worker(queue, function, concurrency, lease)

    return decorate
