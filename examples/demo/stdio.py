"""The tool's service, called in two ways: by Axonic, and as JSON-RPC 2.0 on its standard input and output.

`JsonRpc` is what anybody might write with Python's standard library; it knows nothing of Axonic.
"""

from __future__ import annotations

import itertools
import json
import select
import subprocess
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import axonic
import documents
from report import Failure, Screen, amount, at, duration

if TYPE_CHECKING:
    from agent import Agent, Answer

ROUNDS = 200  # questions each
PATIENCE = 60.0  # seconds until we believe that something hangs
HEADER = 16  # bytes before each message of a call: docs/protocol.md


class JsonRpc:
    """A client of JSON-RPC 2.0: a line for a request, a line for its answer."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.requests, self.answers = process.stdin, process.stdout
        self.ids = itertools.count(1)
        self.bytes = 0  # of both
        self.last = (b"", b"")  # request and answer

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Answer the response, which has a result or an error."""
        request = {"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params}
        line = json.dumps(request).encode() + b"\n"
        self.requests.write(line)
        self.requests.flush()
        if not select.select([self.answers], [], [], PATIENCE)[0]:
            raise Failure(f"no answer came over JSON-RPC for {PATIENCE:.0f} s")
        answer = self.answers.readline()
        if not answer:
            raise Failure("the tool has closed its standard output")
        self.bytes += len(line) + len(answer)
        self.last = (line, answer)
        response: dict[str, Any] = json.loads(answer)
        return response


class Way(ABC):
    """One of the two ways to ask: how long it took, and what it carried."""

    def __init__(self) -> None:
        self.first: list[float] = []  # seconds until the first result of a question
        self.last: list[float] = []  # and until the last one
        self.alone: list[float] = []  # seconds of a call that only comes back, without any search
        self.messages = self.bytes = self.wrong = 0

    def measure(self, questions: list[str]) -> None:
        """Have questions come back, one after the other."""
        for question in questions:
            began = time.monotonic()
            self.echo(question)
            self.alone.append(time.monotonic() - began)

    @abstractmethod
    def echo(self, question: str) -> None:
        """Send a question and have it back."""


class ByCalls(Way):
    """Calls of Axonic, whose results are streamed."""

    name = "Axonic calls"

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.search = agent.search

    def ask(self, question: str) -> Answer:
        began = time.monotonic()
        hits: Answer = []
        times = []
        for hit in self.search.query.stream(text=question, timeout=PATIENCE):
            times.append(time.monotonic() - began)
            hits.append(hit)
        self.last.append(time.monotonic() - began)
        self.first.append(times[0] if times else self.last[-1])
        # The question, each result, and the end.
        carried = ["query" + as_json({"text": question}), *map(as_json, hits), ""]
        self.messages += len(carried)
        self.bytes += sum(HEADER + len(payload.encode()) for payload in carried)
        return hits

    def echo(self, question: str) -> None:
        self.search.echo(text=question, timeout=PATIENCE)

    def misspell(self) -> str:
        try:
            self.search.qeury(text="")
        except axonic.CallFailedError as error:
            return str(error.code)
        raise Failure("a method was called that does not exist")


class ByJsonRpc(Way):
    """Lines to the tool's standard input and from its standard output."""

    name = "JSON-RPC on stdio"

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.client = JsonRpc(agent.children["tool"])

    def ask(self, question: str) -> Answer:
        began, before = time.monotonic(), self.client.bytes
        response = self.client.call("query", text=question)
        self.last.append(time.monotonic() - began)
        self.first.append(self.last[-1])  # the results are one array
        self.messages += 2
        self.bytes += self.client.bytes - before
        if "error" in response:
            raise Failure(f"over JSON-RPC a question failed: {response['error']}")
        hits: Answer = response["result"]
        return hits

    def echo(self, question: str) -> None:
        self.client.call("echo", text=question)

    def misspell(self) -> str:
        return str(self.client.call("qeury", text="")["error"]["code"])


def as_json(value: Any) -> str:
    """Write JSON as calls carry it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def compare(agent: Agent, answers: dict[str, Answer], screen: Screen) -> None:
    """Ask the same questions in both ways and show both side by side."""
    calls, json_rpc = ways = ByCalls(agent), ByJsonRpc(agent)
    questions = list(itertools.islice(itertools.cycle(answers), ROUNDS))
    for question in questions:
        for way in ways:
            way.wrong += way.ask(question) != answers[question]
    for arrow, said in zip("><", json_rpc.client.last, strict=True):
        screen.say(f"{arrow} {documents.printable(said.decode().strip()[:100])}")
    for way in ways:
        way.measure(questions)
    for line in table(calls, json_rpc):
        screen.say(line)
    if calls.wrong or json_rpc.wrong:
        raise Failure(f"other answers than before: {calls.wrong} to calls, {json_rpc.wrong} over JSON-RPC")
    alone, whole = (duration(at(sorted(times), 0.5)) for times in (calls.alone, calls.last))
    screen.say("the same handlers of the same process have answered both")
    screen.say(
        f"of {whole} the way there and back takes {alone}; the rest is the search, whichever way one asks"
    )
    screen.say("JSON-RPC has no word for deadlines, cancelling, traces, and results that come one by one")


def table(calls: ByCalls, json_rpc: ByJsonRpc) -> list[str]:
    """Answer the lines of the table."""
    lines = [row(f"{ROUNDS} questions", calls.name, json_rpc.name)]
    for what, times in (("first result", "first"), ("last result", "last"), ("without search", "alone")):
        for name, part in (("p50", 0.5), ("p99", 0.99)):
            shown = (duration(at(sorted(getattr(way, times)), part)) for way in (calls, json_rpc))
            lines.append(row(f"{what:<17}{name}", *shown))
    lines.append(row("messages", f"{calls.messages:,}", f"{json_rpc.messages:,}"))
    lines.append(row("bytes", amount(calls.bytes), amount(json_rpc.bytes)))
    lines.append(row("answers", *(f"{ROUNDS - way.wrong} of {ROUNDS}" for way in (calls, json_rpc))))
    lines.append(row("misspelt method", calls.misspell(), json_rpc.misspell()))
    return lines


def row(*cells: str) -> str:
    head, left, right = cells
    return f"{head:<22}{left:>18}{right:>20}"
