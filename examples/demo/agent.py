"""The demonstration: an agent in Python, a plugin in C++ and a tool in Node over one domain.

The agent reads documents, publishes their passages, asks questions, kills the tool in the middle of
its work, starts it again and asks the same questions, also over JSON-RPC. Start it with `make demo`;
the page examples/README.md says who talks to whom.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import axonic
import calls
import documents
from crew import distribute
from report import HOPS, Failure, Report, Screen, amount, duration
from stdio import compare

HERE = Path(__file__).resolve().parent
QUESTIONS = {  # and the file that a person would expect among the first three
    "parse command line options": "argparse.py",
    "run a subprocess and capture its output": "subprocess.py",
    "heap queue priority algorithm": "heapq.py",
    "read and write zip archives": "zipfile.py",
    "decode base64": "base64.py",
}
NEEDED = 4  # of the five
ABOUT_US = {"every shared structure byte by byte": "docs/protocol.md"}  # asked too, not counted
PATIENCE = 60.0  # seconds until we believe that something hangs

Answer = list[dict[str, Any]]
T = TypeVar("T")


class Agent:
    """The agent's side of the conversation, and the two processes it started."""

    def __init__(self, domain: str, passages: list[documents.Passage], screen: Screen) -> None:
        self.documents, self.screen, self.report = passages, screen, Report()
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.runs = itertools.count(1)
        self.ax = axonic.open(domain, label="agent")
        # With "block" a full ring makes its publisher wait for the slowest reader: nobody misses anything.
        self.passages = self.ax.publisher("agent.passages", overflow="block")
        self.control = self.ax.publisher("agent.control", overflow="block")
        self.status = self.ax.subscriber("tool.status")
        self.spans = self.ax.subscriber("trace.spans")
        self.reports = self.ax.subscriber("report.*")
        self.search = self.ax.client("search", "^1")

    # The processes.

    def start(self, name: str, *command: str | Path, pipe: int | None = None) -> None:
        """Start a child in our domain; in a session of its own, so that Ctrl-C reaches only us."""
        environment = os.environ | {"AXONIC_DOMAIN": self.ax.name}
        try:
            self.children[name] = subprocess.Popen(
                command, env=environment, start_new_session=True, stdin=pipe, stdout=pipe
            )
        except OSError as error:
            raise Failure(f"the {name} cannot be started: {error}") from error

    def start_plugin(self) -> None:
        self.start("plugin", os.environ.get("AXONIC_DEMO_PLUGIN", HERE.parents[1] / "target/demo/plugin"))

    def start_tool(self) -> None:
        node = os.environ.get("AXONIC_DEMO_NODE", "node")
        tool = os.environ.get("AXONIC_DEMO_TOOL", HERE / "tool.mjs")
        self.start("tool", node, tool, pipe=subprocess.PIPE)

    def start_worker(self, name: str, language: str) -> None:
        built = os.environ.get("AXONIC_DEMO_WORKER", HERE.parents[1] / "target/demo/worker")
        self.start(name, *([built] if language == "C++" else [sys.executable, HERE / "worker.py"]))

    def kill(self, name: str) -> None:
        with self.children.pop(name) as child:  # closes its pipes and waits for it
            child.kill()  # SIGKILL: it learns nothing of it

    def check(self) -> None:
        """Complain if a child has ended that should be running."""
        for name, child in self.children.items():
            if child.poll() is not None:
                raise Failure(f"the {name} ended unexpectedly ({ending(child.returncode)})")

    def stop(self) -> None:
        """Tell the children to end, and see that they do."""
        self.control.publish(b"stop")
        for name in list(self.children):
            self.dismiss(name)

    def dismiss(self, name: str) -> None:
        """See that a child ends that was told to."""
        try:
            code = self.children[name].wait(timeout=10)
        except subprocess.TimeoutExpired:
            raise Failure(f"the {name} did not stop when it was told to") from None
        with self.children.pop(name):  # closes its pipes
            pass
        if code != 0:
            raise Failure(f"the {name} ended badly ({ending(code)})")

    def close(self) -> None:
        """Leave nobody and nothing behind, whatever happened."""
        killed = list(self.children)
        for name in killed:
            self.kill(name)
        self.ax.close()
        if killed:  # what they left goes as soon as somebody opens a topic
            with axonic.open(self.ax.name) as ax:
                ax.subscriber(">").close()

    # The conversation.

    def patiently(self, what: str, wait: Callable[[float], T]) -> T:
        """Call `wait` with a short time again and again, looking in between whether the children live."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                return wait(0.5)
            except axonic.TimeoutError:
                self.check()
        raise Failure(f"no {what} came for {PATIENCE:.0f} s")

    def hear(self, subscriber: axonic.Subscriber[Any], what: str) -> axonic.Message[Any]:
        """Receive the next message."""
        return self.report.arrived(self.patiently(what, subscriber.receive))

    def wait_until_ready(self) -> None:
        """Wait for the tool to say so, and for both children to be listening."""
        while "ready" not in self.hear(self.status, "sign of the tool").value:
            pass
        listening = self.passages.wait_for_subscribers
        self.patiently("sign of the plugin", lambda seconds: listening(2, seconds))

    def fill_index(self, kill_at: float | None = None) -> float:
        """Publish everything until the tool has it all; answer the seconds that took.

        With `kill_at` the tool is killed when it has that part of it, and another is started. A new tool
        knows nothing: when it announces itself, we begin again.
        """
        total, alone = len(self.documents), 0
        while True:
            began = time.monotonic()
            run = str(next(self.runs))
            for message in self.publish_all(run):
                if "ready" in message.value:
                    break
                if message.value["run"] != run:
                    continue  # of an earlier run
                indexed = message.value["indexed"]
                self.screen.progress(indexed, total)
                if kill_at is not None and indexed >= kill_at * total:
                    self.screen.say(f"at {indexed:,} passages:")
                    calls.killed(self, self.screen)
                    self.start_tool()
                    alone = self.passages.stats().published
                    kill_at, run = None, ""  # its last words count no more; go on until the next one is ready
                elif indexed == total:
                    return time.monotonic() - began
            alone = self.passages.stats().published - alone
            self.screen.say(f"{alone:,} passages went to the plugin meanwhile: a dead reader holds nobody up")
            self.screen.say(f"a new tool (process {message.value['ready']}) is ready: all from the start")

    def publish_all(self, run: str) -> Iterator[axonic.Message[Any]]:
        """Publish every passage once; meanwhile and afterwards yield what the tool says."""
        for passage in self.documents:
            attributes = {
                "subject": passage.path,
                "title": passage.title,
                "line": str(passage.line),
                "run": run,
                "sent": str(time.monotonic_ns()),
            }
            self.passages.publish(passage.text.encode(), attributes=attributes, timeout=PATIENCE)
            while message := self.status.try_receive():
                yield self.report.arrived(message)
        while True:
            yield self.hear(self.status, "progress of the tool")

    def ask(self, question: str, timeout: float = PATIENCE) -> Answer:
        """Ask the tool, which streams the best passages."""
        return list(self.search.query.stream(text=question, timeout=timeout))

    def collect_reports(self) -> None:
        """Let both children tell what they measured since the last time."""
        expected = {(topic, receiver) for topic, _, receiver in HOPS if receiver != "agent"}
        self.control.publish(b"report")
        while expected:
            expected.discard(self.report.add(self.hear(self.reports, "report")))


def ending(code: int) -> str:
    """Say how a process ended."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def show(question: str, hits: Answer, expected: str | None, screen: Screen) -> bool:
    """Show an answer; tell whether the expected file is among the first three."""
    if expected is not None:
        found = any(hit["path"] == expected for hit in hits[:3])
        screen.say(f"{'found ' if found else 'MISSED'}  {question}")
        screen.say("        " + "  ".join(f"{hit['path']}:{hit['line']}" for hit in hits[:3]))
        return found
    screen.say(question)
    for hit in hits:
        screen.say(f"  {hit['path']}:{hit['line']}")
        for line in hit["text"].splitlines():
            screen.say(f"    | {documents.printable(line.expandtabs(4).rstrip())[:100]}")
    if not hits:
        screen.say("  nothing found: no passage has any of these words")
    return True


def perform(
    agent: Agent, read: documents.Documents, questions: dict[str, str | None], screen: Screen
) -> list[str]:
    """Go through the stages; answer the questions that found the file to expect."""
    screen.stage("The agent publishes passages, the plugin makes vectors of them, the tool indexes both")
    agent.start_plugin()
    agent.start_tool()
    agent.wait_until_ready()
    screen.say(", ".join(f"{name}: process {child.pid}" for name, child in agent.children.items()))
    seconds = agent.fill_index()
    passages, text = f"{len(agent.documents) / seconds:,.0f}", amount(read.size / seconds)
    rate = f"{passages} passages and {text} of text a second"
    screen.say(f"indexed in {duration(seconds)}: {rate}")

    screen.stage("The agent asks")
    answers = {question: agent.ask(question) for question in questions}
    found = [
        question for question, file in questions.items() if show(question, answers[question], file, screen)
    ]

    screen.stage("Deadlines: a call has so much time, however many processes it goes through")
    question = next(iter(questions))
    calls.in_time(agent, question, screen)
    calls.too_late(agent, question, screen)
    agent.collect_reports()

    screen.stage("The same again, but half-way the agent kills the tool")
    seconds = agent.fill_index(kill_at=0.5)
    screen.say(f"indexed in {duration(seconds)}")

    screen.stage("The agent asks the same questions again")
    for question, before in answers.items():
        if agent.ask(question) != before:
            raise Failure(f"the answer to {question!r} is not the one from before the kill")
    screen.say("the answers are the same, to the last digit of every score")

    screen.stage("The same questions to the same service: as calls, and as JSON-RPC on its stdin and stdout")
    compare(agent, answers, screen)
    agent.collect_reports()
    agent.stop()

    screen.stage("Workers in C++ and Python compete for the documents; half-way one of them is killed")
    if wrong := distribute(agent, read.texts, screen):
        raise Failure(wrong)
    return found


def choose_questions(query: str | None, folder: str | None, titles: dict[str, str]) -> dict[str, str | None]:
    """Answer the questions to ask, each with the file to expect if there is one."""
    if query is not None:
        return {documents.printable(query): None}
    if folder is None:
        return {**QUESTIONS, **{question: page for question, page in ABOUT_US.items() if page in titles}}
    # A folder we know nothing about: ask for some of its files by what they call themselves.
    asked = {title or documents.printable(path): path for path, title in titles.items()}
    return dict(list(asked.items())[:: max(1, len(asked) // 5)][:5])


def run(folder: str | None, query: str | None, screen: Screen) -> None:
    """Run the whole demonstration; raise Failure if anything is not as it should be."""
    began = time.monotonic()
    screen.stage("The agent reads")
    read = documents.folder(Path(folder)) if folder else documents.standard_library(HERE.parents[1])
    what = f"{read.files:,} files, {amount(read.size)}, {len(read.passages):,} passages"
    screen.say(f"{read.source}: {what}")
    if not read.passages:
        raise Failure(f"there is no text in {read.source}")
    questions = choose_questions(query, folder, read.titles)

    agent = Agent(f"demo-{os.getpid()}", read.passages, screen)
    try:
        found = perform(agent, read, questions, screen)
    finally:
        agent.close()

    screen.stage("What it took")
    screen.say(f"{what}; {agent.report.total()}")
    for line in agent.report.table():
        screen.say(line)
    screen.say("latencies include the time in line: passages are published faster than they are indexed")
    screen.say(f"missed = {agent.report.missed}")
    if agent.report.missed:
        raise Failure("messages were missed, although every publisher waits for its readers")
    if agent.ax.path.exists():
        raise Failure(f"something was left behind in {agent.ax.path}")
    screen.say(f"nothing is left in {agent.ax.path.parent}")
    if folder is None and query is None:
        right = len(QUESTIONS.keys() & found)
        if right < NEEDED:
            raise Failure(f"only {right} of {len(QUESTIONS)} questions found the file to expect")
        screen.say(f"{right} of {len(QUESTIONS)} questions found the file to expect among the first three")
    screen.say(f"done in {duration(time.monotonic() - began)}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Index documents and answer questions, in three processes.")
    parser.add_argument("--docs", help="folder to read (default: Python's standard library)")
    parser.add_argument("--query", help="question to answer (default: some built-in ones)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: end the children, then ourselves
    try:
        run(arguments.docs, arguments.query, Screen())
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    except (Failure, axonic.AxonicError, OSError) as error:
        print(f"\ndemo: FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
