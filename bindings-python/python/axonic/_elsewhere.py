"""What may wait for others, such as connecting: on a thread of its own, of which the event loop hears.

The system looks names of hosts up only for who waits, and the core connects by waiting for the other side.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ._native import Channel, _Attempt

R = TypeVar("R", None, Channel)


class Elsewhere(Generic[R]):
    """The outcome of a thread's work, for all who wait for it. When nobody does any more, it is given up."""

    def __init__(self, work: Callable[[], R]) -> None:
        self._attempt = _Attempt()
        self._waiting = 0
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[R] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(work,), name="axonic connect", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has come to something."""
        return self._outcome.done()

    async def wait(self) -> R:
        """What it comes to."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._outcome)
        except asyncio.CancelledError:
            if self._waiting == 1:
                self._give_up()
            raise
        finally:
            self._waiting -= 1

    def _give_up(self) -> None:
        self._attempt.give_up()
        if not self._outcome.cancel() and self._outcome.exception() is None:
            _close(self._outcome.result())

    def _run(self, work: Callable[[], R]) -> None:
        try:
            done = self._attempt.run(work)
        except BaseException as error:
            self._tell(self._outcome.set_exception, error, None)
        else:
            self._tell(self._outcome.set_result, done, done)

    def _tell(self, settle: Callable[[Any], None], outcome: Any, made: R | None) -> None:
        def tell() -> None:
            # It has nothing left to do.
            self._thread.join()
            if self._outcome.done():
                _close(made)
            else:
                settle(outcome)

        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:
            # The event loop has ended, and with it whoever waited.
            _close(made)


def _close(made: Channel | None) -> None:
    """What came of it too late is nobody's."""
    if made is not None:
        made.close()
