"""What the Python peer does with channels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from jobs import PATIENCE
from locks import must
from pattern import fill, matches

import axonic

# Of the messages both ways, as far as a transport takes them.
SIZES = [64, 0, 1, 4096, 60_000, 1 << 20]
# Of those that are sent many at a time, and their first number.
SMALL = 64
MANY = 100
# The number of the last message.
LAST = 999
# What who listens says has numbers that are so much higher.
ANSWERS = 1000


def made(k: int, size: int) -> bytes:
    data = bytearray(size)
    fill(memoryview(data), k)
    return bytes(data)


def in_file(descriptors: Iterable[int]) -> str:
    """What is in the file whose descriptor came."""
    (file,) = descriptors
    with open(file) as text:
        return text.read()


class Ear:
    """What was heard of a peer that speaks first, or answers."""

    def __init__(self, can: axonic.Can, largest: int, speaks_first: bool) -> None:
        self.can = can
        self.largest = largest
        self.ours, self.theirs = (0, ANSWERS) if speaks_first else (ANSWERS, 0)
        self.speaks_first = speaks_first
        # Of the bytes.
        self.sum = 0

    def sizes(self) -> Iterator[tuple[int, int]]:
        """The messages both ways, by their numbers."""
        for k, size in enumerate(SIZES):
            if size <= self.largest and (self.can.messages or size > 0):
                yield k, size

    @property
    def count(self) -> int:
        """Of many messages at a time: nobody waits for room, and so much there is."""
        return 200 if self.can.back_pressure else 8

    def many(self) -> list[bytes]:
        return [made(MANY + n + self.ours, SMALL) for n in range(self.count)]

    def verify(self, data: bytes, k: int, size: int) -> None:
        must(
            len(data) == size and matches(memoryview(data), k + self.theirs), f"message {k} is as it was sent"
        )
        self.sum = (self.sum + sum(data)) & 0xFFFFFFFF

    def verify_many(self, data: bytes) -> None:
        for n in range(self.count):
            self.verify(data[n * SMALL : (n + 1) * SMALL], MANY + n, SMALL)

    def tell(self) -> None:
        can = self.can
        bits = (can.reliable, can.ordered, can.messages, can.back_pressure, can.end, can.half_close)
        bits += (can.descriptors, can.credentials)
        print("can", "".join("01"[bit] for bit in bits), self.largest, flush=True)

    def tell_sum(self, *what: object) -> None:
        print(*what, self.sum, flush=True)
        self.sum = 0


class End:
    def __init__(self, channel: axonic.Channel, speaks_first: bool) -> None:
        self.channel = channel
        self.ear = Ear(channel.can, channel.max_message, speaks_first)

    def in_turns(self, say: Callable[[], object], hear: Callable[[], object]) -> None:
        for turn in (say, hear) if self.ear.speaks_first else (hear, say):
            turn()

    def say(self, k: int, size: int) -> None:
        self.channel.send(made(k + self.ear.ours, size), timeout=PATIENCE)

    def take(self, size: int) -> bytes:
        """So many bytes: one message, or what comes until that is all."""
        taken = self.channel.receive(timeout=PATIENCE).data
        while not self.ear.can.messages and len(taken) < size:
            taken += self.channel.receive(timeout=PATIENCE).data
        return taken

    def hear(self, k: int, size: int) -> None:
        self.ear.verify(self.take(size), k, size)

    def exchange(self, k: int, size: int) -> None:
        self.in_turns(lambda: self.say(k, size), lambda: self.hear(k, size))

    def say_many(self) -> None:
        sent = self.channel.send_many(self.ear.many(), timeout=PATIENCE)
        must(sent == self.ear.count, "all are sent")

    def hear_many(self) -> None:
        if not self.ear.can.messages:
            self.ear.verify_many(self.take(self.ear.count * SMALL))
            return
        for n in range(self.ear.count):
            self.hear(MANY + n, SMALL)

    def give(self, path: str) -> None:
        with open(path) as file:
            self.channel.send(b"file", timeout=PATIENCE, descriptors=[file])

    def tell_file(self) -> None:
        message = self.channel.receive(timeout=PATIENCE)
        must(message.data == b"file", "a descriptor comes with the message")
        print("descriptor", in_file(os.dup(file) for file in message.descriptors), flush=True)

    def expect_end(self) -> None:
        try:
            self.channel.receive(timeout=PATIENCE)
        except axonic.DisconnectedError:
            return
        must(False, "there is no message after the last")

    def end(self) -> None:
        """Who spoke first ends first, and hears one more message where it can."""
        can, speaks_first = self.ear.can, self.ear.speaks_first
        if not can.end or (speaks_first and not can.half_close):
            return
        if speaks_first:
            self.channel.finish()
            self.hear(LAST, SMALL)
        self.expect_end()
        if not speaks_first and can.half_close:
            self.say(LAST, SMALL)
            self.channel.finish()
        print("ended", flush=True)

    def talk(self, file: str) -> None:
        self.ear.tell()
        for k, size in self.ear.sizes():
            self.exchange(k, size)
        self.ear.tell_sum("sizes")
        if self.ear.can.credentials:
            print("peer", self.channel.peer.pid, flush=True)
        self.in_turns(self.say_many, self.hear_many)
        self.ear.tell_sum("many", self.ear.count)
        if self.ear.can.descriptors:
            self.in_turns(lambda: self.give(file), self.tell_file)
        self.end()
        self.channel.close()


def use(ends: Iterator[End], talks: int, file: str) -> None:
    """Talks over the first so many channels, and holds the others until their other ends have died."""
    for _ in range(talks):
        next(ends).talk(file)
    held = list(ends)
    for end in held:
        end.exchange(0, SMALL)
    print("holding", flush=True)
    for end in held:
        end.expect_end()
    print("gone", len(held))


def listen(domain: str, file: str, talks: str, *addresses: str) -> int:
    with axonic.open(domain) as ax:
        # Pipes are there already.
        doors: list[axonic.Channel | axonic.Listener] = [
            ax.connect(address) if address.startswith("pipe:") else ax.listen(address)
            for address in addresses
        ]
        for door in doors:
            print("at", door.address, flush=True)

        def accepted() -> Iterator[End]:
            for door in doors:
                if isinstance(door, axonic.Channel):
                    yield End(door, False)
                    continue
                with door:
                    channel = door.accept(timeout=PATIENCE)
                yield End(channel, False)

        use(accepted(), int(talks), file)
    return 0


def connect(domain: str, file: str, talks: str, *addresses: str) -> int:
    with axonic.open(domain) as ax:
        use((End(ax.connect(address, timeout=PATIENCE), True) for address in addresses), int(talks), file)
    return 0
