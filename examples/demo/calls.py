"""What happens to calls: time that is left, time that is over, and a service that is killed.

The agent calls the tool, whose handler calls the plugin: three processes, three languages.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import secrets
import signal
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import axonic
from report import Failure, Screen, duration

if TYPE_CHECKING:
    from agent import Agent

PLENTY, LITTLE = 5.0, 0.1  # seconds


@contextlib.contextmanager
def traced() -> Iterator[str]:
    """Give the calls made meanwhile a trace, as W3C writes it; tool and plugin tell of such calls."""
    traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    token = axonic.traceparent.set(traceparent)
    try:
        yield traceparent
    finally:
        axonic.traceparent.reset(token)


@contextlib.contextmanager
def hanging(agent: Agent) -> Iterator[None]:
    """Stop the plugin, as if it hung."""
    pid = agent.children["plugin"].pid
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)  # until it has
    yield
    os.kill(pid, signal.SIGCONT)


def seen(agent: Agent, traceparent: str, *processes: str) -> list[float]:
    """Answer how many milliseconds a call had left when it came to each of these."""
    left: dict[str, float] = {}
    while not left.keys() >= set(processes):
        told = agent.hear(agent.spans, f"word of a call from {' and '.join(processes)}").attributes
        if told["traceparent"] == traceparent:
            left[told["by"]] = float(told["left"])
    return [left[process] for process in processes]


def in_time(agent: Agent, question: str, screen: Screen) -> None:
    """Ask with plenty of time; show what reaches whom, and when the answers come."""
    began = time.monotonic()
    with traced() as traceparent:
        hits = agent.search.query.stream(text=question, timeout=PLENTY)
        times = [time.monotonic() - began for _ in hits]
    tool, plugin = seen(agent, traceparent, "tool", "plugin")
    if not PLENTY * 1e3 >= tool >= plugin > 0:
        raise Failure(f"of {PLENTY} s the tool had {tool} ms and the plugin {plugin} ms")
    left = f"{tool:,.1f} ms, and the plugin, which the tool asks, has {plugin:,.1f} ms"
    screen.say(f"the agent gives {PLENTY * 1e3:,.0f} ms; the tool (Node) still has {left}")
    screen.say(f"all three see the same trace: {traceparent}")
    if times:
        first, last = duration(times[0]), duration(times[-1])
        screen.say(
            f"the results are streamed: the first of {len(times)} after {first}, the last after {last}"
        )


def too_late(agent: Agent, question: str, screen: Screen) -> None:
    """Ask with little time while the plugin hangs: the call ends when its time is over."""
    screen.say(f"SIGSTOP: the plugin hangs, and a question has {duration(LITTLE)}:")
    began = time.monotonic()
    with hanging(agent):
        try:
            agent.ask(question, timeout=LITTLE)
        except axonic.TimeoutError as error:
            failure(screen, error, time.monotonic() - began)
        else:
            raise Failure("a question was answered without the plugin")
    agent.ask(question)
    screen.say("SIGCONT: the next question is answered as if nothing had been")


def killed(agent: Agent, screen: Screen) -> None:
    """Kill the tool while it is in the middle of a call: the call ends at once."""

    def ask() -> tuple[axonic.AxonicError, float]:
        try:
            agent.ask("what becomes of this")
        except axonic.UnavailableError as error:
            return error, time.monotonic()
        raise Failure("a question was answered by a tool that is dead")

    with hanging(agent), traced() as traceparent, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(contextvars.copy_context().run, ask)
        seen(agent, traceparent, "tool")  # from here on it waits for the plugin
        pid = agent.children["tool"].pid
        screen.say(f"SIGKILL to the tool (process {pid}), in the middle of a call:")
        began = time.monotonic()
        agent.kill("tool")
        gone = time.monotonic() - began
        error, ended = asked.result()
    failure(screen, error, ended - began)
    screen.say(f"  (the kernel, which tells of it, needed {duration(gone)} to end the process)")


def failure(screen: Screen, error: axonic.AxonicError, seconds: float) -> None:
    """Show an error as whoever called sees it."""
    screen.say(f"  {duration(seconds)} later it ends with axonic.{type(error).__name__}, {error.code}:")
    for line in textwrap.wrap(str(error), 100):
        screen.say(f"  {line}")
