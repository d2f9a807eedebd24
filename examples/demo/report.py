"""What the demonstration shows: progress on the terminal, and the table of what was measured."""

from __future__ import annotations

import io
import sys
import time
from collections import defaultdict
from typing import Any

import axonic

# Topic, from, to: in the order of the table.
HOPS = (
    ("agent.passages", "agent", "plugin"),
    ("agent.passages", "agent", "tool"),
    ("vectors.passages", "plugin", "tool"),
    ("tool.status", "tool", "agent"),
)


class Failure(Exception):
    """What went wrong, in a sentence for the terminal."""


class Report:
    """Latencies, bytes and misses of each hop: our own, and what the children tell about theirs."""

    def __init__(self) -> None:
        self.latencies: dict[tuple[str, str], list[float]] = defaultdict(list)  # nanoseconds
        self.bytes: dict[tuple[str, str], int] = defaultdict(int)
        self.missed = 0

    def arrived(self, message: axonic.Message[Any]) -> axonic.Message[Any]:
        """Note a message that came to the agent; answer it."""
        self.missed += message.missed
        if sent := message.attributes.get("sent"):
            self.latencies[message.topic, "agent"].append(time.monotonic_ns() - int(sent))
            self.bytes[message.topic, "agent"] += len(message)
        return message

    def add(self, message: axonic.Message[Any]) -> tuple[str, str]:
        """Add what a child measured: a tensor of latencies. Answer the hop it is about."""
        hop = (message.attributes["hop"], message.topic.removeprefix("report."))
        self.latencies[hop].extend(memoryview(message.data).cast("d"))
        self.bytes[hop] += int(message.attributes["bytes"])
        self.missed += int(message.attributes["missed"])
        return hop

    def total(self) -> str:
        """Answer what all hops carried."""
        messages = sum(len(times) for times in self.latencies.values())
        return f"{messages:,} messages, {amount(sum(self.bytes.values()))}"

    def table(self) -> list[str]:
        """Answer the lines of the table."""
        heads = "".join(f"{head:>10}" for head in ("messages", "bytes", "p50", "p99", "max"))
        lines = [f"{'topic':<18}{'from':<7}  {'to':<7}{heads}"]
        for topic, sender, receiver in HOPS:
            times = sorted(self.latencies[topic, receiver])
            if times:
                shown = "".join(f"{duration(at(times, part) / 1e9):>10}" for part in (0.5, 0.99, 1.0))
                size = amount(self.bytes[topic, receiver])
                lines.append(f"{topic:<18}{sender:<7}> {receiver:<7}{len(times):>10,}{size:>10}{shown}")
        return lines


def at(ordered: list[float], part: float) -> float:
    """Answer the value below which `part` of them are."""
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def duration(seconds: float) -> str:
    """Write a duration for people."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def amount(size: float) -> str:
    """Write a number of bytes for people."""
    for unit, scale in (("MB", 1e6), ("KB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size:.0f} B"


class Screen:
    """The terminal: stages, what happens in them, and a line of progress where there is a terminal."""

    def __init__(self) -> None:
        self.stages = 0
        self.shown = 0.0  # when progress was shown last
        self.live = sys.stdout.isatty()
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # documents may hold letters that this terminal lacks

    def stage(self, text: str) -> None:
        """Begin another stage."""
        self.stages += 1
        self._print(f"\n{self.stages}. \033[1m{text}\033[0m" if self.live else f"\n{self.stages}. {text}")

    def say(self, text: str = "") -> None:
        """Tell something."""
        self._print(f"   {text}" if text else "")

    def progress(self, done: int, total: int) -> None:
        """Show how far we are, in a line that the next one overwrites."""
        if self.live and time.monotonic() - self.shown > 0.05:
            self.shown = time.monotonic()
            print(f"\r\033[K   {done:,} of {total:,} passages", end="", flush=True)

    def _print(self, text: str) -> None:
        print(("\r\033[K" if self.live else "") + text, flush=True)
