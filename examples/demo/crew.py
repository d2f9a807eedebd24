"""The crew: workers in C++ and Python that compete for documents in a queue, one of which is killed."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING

import axonic
from report import Screen, amount, duration
from worker import words

if TYPE_CHECKING:
    from agent import Agent

WORKERS = ("C++", "C++", "Python", "Python")
UNDERWAY = 16 << 20  # bytes of documents that are in the queue at a time


class Crew:
    """Workers, the queue they take documents from, and what they have answered."""

    def __init__(self, agent: Agent, documents: int, screen: Screen) -> None:
        self.agent, self.half, self.screen = agent, documents // 2, screen
        self.queue: axonic.Queue[bytes] = agent.ax.queue("documents")
        self.names = [self.hire(language, number) for number, language in enumerate(WORKERS, start=1)]
        self.tickets: deque[tuple[str, int, axonic.Ticket]] = deque()
        self.underway = 0  # bytes
        self.answers: dict[str, bytes] = {}
        self.by_whom: Counter[str] = Counter()
        self.again: list[str] = []  # documents that somebody had before
        self.killed = False

    def hire(self, language: str, number: int) -> str:
        """Start a worker; answer what we call it."""
        name = f"worker {number} ({language})"
        self.agent.start_worker(name, language)
        return name

    def give(self, path: str, text: bytes) -> None:
        """Put a document into the queue, once there is not too much in it."""
        while self.underway > UNDERWAY:
            self.collect()
        ticket = self.queue.put(text, result=True, attributes={"type": "document", "subject": path})
        self.tickets.append((path, len(text), ticket))
        self.underway += len(text)

    def collect(self) -> None:
        """Take the oldest answer; half-way, kill a worker."""
        if not self.killed and self.queue.stats().acked >= self.half:
            self.replace_one()
        path, size, ticket = self.tickets.popleft()
        answer = bytes(self.agent.patiently(f"answer about {path}", ticket.result))
        who, _, counted = answer.partition(b"\n")
        language, _, attempt = who.decode().split()
        self.by_whom[language] += 1
        if int(attempt) > 1:
            self.again.append(path)
        self.answers[path] = counted
        self.underway -= size

    def replace_one(self) -> None:
        """Kill a worker in the middle of its work, and start another."""
        victim, done = self.names.pop(0), self.queue.stats().acked
        self.agent.kill(victim)
        self.killed = True
        self.screen.say(f"SIGKILL to {victim} at {done:,} documents; another one is started")
        self.names.append(self.hire("C++", len(WORKERS) + 1))

    def stop(self) -> None:
        """Tell the workers to end, and see that they do."""
        for _ in self.names:
            self.queue.put(b"", attributes={"type": "stop"})
        for name in self.names:
            self.agent.dismiss(name)


def distribute(agent: Agent, texts: dict[str, bytes], screen: Screen) -> str:
    """Let a crew count the words of all texts; answer what is not as it should be, if anything."""
    began = time.monotonic()
    crew = Crew(agent, len(texts), screen)
    for path, text in texts.items():
        crew.give(path, text)
    while crew.tickets:
        crew.collect()
    seconds = time.monotonic() - began
    crew.stop()
    stats = crew.queue.stats()
    crew.queue.close()
    size, shares = amount(sum(map(len, texts.values()))), crew.by_whom.most_common()
    shown = ", ".join(f"{count:,} by workers in {language}" for language, count in shares)
    screen.say(f"{len(texts):,} documents, {size}, in {duration(seconds)}: {shown}")
    if crew.again:
        screen.say(f"{len(crew.again):,} of them went to a second worker: the dead one had them in its hands")
    # Who is killed may have acknowledged one and not have counted it, so we count the answers.
    counted, left = len(crew.answers), stats.ready + stats.leased + stats.dead
    screen.say(f"answered: {counted:,}; left in the queue: {left}")
    wrong = [path for path, text in texts.items() if crew.answers.get(path) != words(text)]
    if wrong:
        return f"{len(wrong)} documents were not counted right, {wrong[0]} is one"
    if counted != len(texts) or left or not crew.killed:
        return f"{counted} answers about {len(texts)} documents, {left} left"
    screen.say("each document is counted once, as the agent counts it itself")
    return ""
