"""The demonstration: an agent in Python, a plugin in C++ and a tool in Node over one domain.

The agent reads documents, publishes their passages, asks questions, kills the tool in the middle of
its work, starts it again and asks the same questions. Start it with `make demo`; the page
examples/README.md says who talks to whom.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import axonic
import documents
from report import HOPS, Report, Screen, amount, at, duration

HERE = Path(__file__).resolve().parent
QUESTIONS = {  # and the file that a person would expect among the first three
    "parse command line options": "argparse.py",
    "run a subprocess and capture its output": "subprocess.py",
    "heap queue priority algorithm": "heapq.py",
    "read and write zip archives": "zipfile.py",
    "decode base64": "base64.py",
}
NEEDED = 4  # of them
ABOUT_US = {"every shared structure byte by byte": "docs/protocol.md"}  # asked too, if the page is there
ROUNDS = 200  # questions asked one after another to measure the way there and back
PATIENCE = 60.0  # seconds until we believe that something hangs

Answer = list[dict[str, Any]]


class Failure(Exception):
    """What went wrong, in a sentence for the terminal."""


class Agent:
    """The agent's side of the conversation, and the two processes it started."""

    def __init__(self, domain: str, read: documents.Documents, screen: Screen) -> None:
        self.documents, self.screen, self.report = read, screen, Report()
        self.ax = axonic.open(domain, label="agent")
        # With "block" a full ring makes its publisher wait for the slowest reader: nobody misses anything.
        self.passages = self.ax.publisher("agent.passages", overflow="block")
        self.questions = self.ax.publisher("agent.questions", overflow="block")
        self.control = self.ax.publisher("agent.control", overflow="block")
        self.status = self.ax.subscriber("tool.status")
        self.answers = self.ax.subscriber("tool.answers")
        self.reports = self.ax.subscriber("report.*")
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.runs = itertools.count(1)

    # The processes.

    def start(self, name: str, *command: str | Path) -> None:
        """Start a child in our domain. Ctrl-C is for us alone: we stop the children."""
        environment = os.environ | {"AXONIC_DOMAIN": self.ax.name}
        self.children[name] = subprocess.Popen(command, env=environment, start_new_session=True)

    def start_tool(self) -> None:
        self.start("tool", os.environ.get("AXONIC_DEMO_NODE", "node"), HERE / "tool.mjs")

    def kill(self, name: str) -> None:
        child = self.children.pop(name)
        child.kill()
        child.wait()

    def check(self) -> None:
        """Complain if a child has ended that should be running."""
        for name, child in self.children.items():
            if child.poll() is not None:
                raise Failure(f"the {name} ended unexpectedly ({_ending(child.returncode)})")

    def stop(self) -> None:
        """End the children in peace."""
        self.control.publish(b"stop")
        for name, child in self.children.items():
            try:
                code = child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                raise Failure(f"the {name} did not stop when told to") from None
            if code != 0:
                raise Failure(f"the {name} ended badly ({_ending(code)})")
        self.children.clear()

    def close(self) -> None:
        """Leave nobody and nothing behind, whatever happened."""
        for name in list(self.children):
            self.kill(name)
        self.ax.close()

    # The conversation.

    def hear(self, subscriber: axonic.Subscriber[Any], what: str) -> axonic.Message[Any]:
        """Receive the next message, looking now and then whether the children live."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                return self.report.arrived(subscriber.receive(timeout=0.5))
            except axonic.TimeoutError:
                self.check()
        raise Failure(f"no {what} came for {PATIENCE:.0f} s")

    def wait_until_ready(self) -> None:
        while "ready" not in self.hear(self.status, "sign of the tool").value:
            pass
        self.passages.wait_for_subscribers(2, timeout=PATIENCE)

    def fill_index(self, kill_at: float | None = None) -> float:
        """Publish everything until the tool has it all; answer the seconds it took.

        With `kill_at` the tool is killed when it has that part of it. A new tool knows nothing: when it
        announces itself, we begin again.
        """
        total = len(self.documents.passages)
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
                    self.kill_and_restart(indexed)
                    kill_at, run = None, ""  # goes on publishing until the new tool is ready
                elif indexed == total:
                    return time.monotonic() - began
            self.screen.say(
                f"the new tool (process {message.value['ready']}) asks for the documents: beginning again"
            )

    def publish_all(self, run: str) -> Iterator[axonic.Message[Any]]:
        """Publish every passage once; meanwhile and afterwards yield what the tool says."""
        for passage in self.documents.passages:
            attributes = {
                "subject": passage.path,
                "title": f"{passage.path} {passage.title}",
                "line": str(passage.line),
                "run": run,
                "sent": str(time.monotonic_ns()),
            }
            self.passages.publish(passage.text.encode(), attributes=attributes, timeout=PATIENCE)
            while message := self.status.try_receive():
                yield self.report.arrived(message)
        while True:
            yield self.hear(self.status, "progress of the tool")

    def kill_and_restart(self, indexed: int) -> None:
        pid = self.children["tool"].pid
        self.kill("tool")
        self.screen.say(
            f"SIGKILL to the tool (process {pid}) when it had {indexed:,} passages; starting another"
        )
        self.start_tool()

    def ask(self, question: str) -> Answer:
        number = self.questions.stats().published  # a message's number in its topic is its identity
        self.questions.publish(
            question.encode(), attributes={"sent": str(time.monotonic_ns())}, timeout=PATIENCE
        )
        answer = self.hear(self.answers, "answer").value
        if answer["question"] != number:
            raise Failure(f"asked question {number}, but {answer['question']} was answered")
        return list(answer["hits"])

    def collect_reports(self) -> None:
        """Let both children tell what they measured since the last time."""
        expected = {(topic, receiver) for topic, _, receiver in HOPS if receiver != "agent"}
        self.control.publish(b"report")
        while expected:
            expected.discard(self.report.add(self.hear(self.reports, "report")))


# What is shown.


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def show(question: str, hits: Answer, expected: str | None, screen: Screen) -> bool:
    """Show an answer; tell whether the expected file is among the first three."""
    if expected is None:
        screen.say(f"{question}")
        for hit in hits:
            screen.say(f"  {hit['path']}:{hit['line']}")
            for line in hit["text"].splitlines():
                screen.say(f"    | {line[:100].rstrip()}")
        if not hits:
            screen.say("  nothing found")
        return True
    found = any(hit["path"] == expected for hit in hits[:3])
    screen.say(f"{'found ' if found else 'MISSED'}  {question}")
    screen.say("        " + "  ".join(f"{hit['path']}:{hit['line']}" for hit in hits[:3]))
    return found


def perform(agent: Agent, questions: Mapping[str, str | None], screen: Screen) -> int:
    """Go through all stages; answer how many questions found the file to expect."""
    read = agent.documents
    screen.stage("The agent publishes passages, the plugin makes vectors of them, the tool fills its index")
    agent.start("plugin", os.environ.get("AXONIC_DEMO_PLUGIN", HERE / "../../target/demo/plugin"))
    agent.start_tool()
    agent.wait_until_ready()
    for name, child in agent.children.items():
        screen.say(f"started the {name}, process {child.pid}")
    seconds = agent.fill_index()
    vectors = len(read.passages) * 2048 * 4
    screen.say(
        f"{len(read.passages):,} passages in {duration(seconds)}: {len(read.passages) / seconds:,.0f} each second, "
        f"{amount(read.size / seconds)}/s of text, {amount(vectors / seconds)}/s of vectors"
    )

    screen.stage("The agent asks")
    answers = {question: agent.ask(question) for question in questions}
    found = [
        question for question in questions if show(question, answers[question], questions[question], screen)
    ]
    agent.collect_reports()

    screen.stage("Everything again, and the agent kills the tool half-way")
    seconds = agent.fill_index(kill_at=0.5)
    screen.say(f"{len(read.passages):,} passages in {duration(seconds)}")

    screen.stage("The agent asks the same again")
    for question, before in answers.items():
        if agent.ask(question) != before:
            raise Failure(f"the answer to {question!r} is not the same as before the kill")
    screen.say("the answers are the same, to the last digit")
    times = []
    for question in itertools.islice(itertools.cycle(answers), ROUNDS):
        began = time.monotonic()
        agent.ask(question)
        times.append(time.monotonic() - began)
    times.sort()
    screen.say(
        f"{ROUNDS} questions one after another, through all three processes and back: "
        f"p50 {duration(at(times, 0.5))}, p99 {duration(at(times, 0.99))}, max {duration(times[-1])}"
    )
    agent.collect_reports()
    agent.stop()
    return len(found)


def read_documents(folder: str | None) -> documents.Documents:
    if folder is None:
        return documents.standard_library(HERE.parents[1])
    return documents.folder(Path(folder))


def choose_questions(
    given: str | None, folder: str | None, read: documents.Documents
) -> Mapping[str, str | None]:
    """Answer the questions to ask, each with the file to expect if there is one."""
    if given is not None:
        return {given: None}
    if folder is None:
        return QUESTIONS | {question: page for question, page in ABOUT_US.items() if page in read.titles}
    # A folder we know nothing about: ask for some of its files by what they call themselves.
    titles = {title: path for path, title in read.titles.items() if title}
    return dict(list(titles.items())[:: max(1, len(titles) // 5)][:5])


def run(folder: str | None, query: str | None, screen: Screen) -> None:
    began = time.monotonic()
    screen.stage("The agent reads")
    read = read_documents(folder)
    screen.say(read.source)
    screen.say(f"{read.files:,} files, {amount(read.size)}, {len(read.passages):,} passages")
    if not read.passages:
        raise Failure(f"there is no text in {read.source}")
    questions = choose_questions(query, folder, read)

    agent = Agent(f"demo-{os.getpid()}", read, screen)
    try:
        found = perform(agent, questions, screen)
    finally:
        agent.close()

    screen.stage("What it took")
    for line in agent.report.table():
        screen.say(line)
    screen.say()
    screen.say(
        f"missed: {agent.report.missed}. Waiting in line counts: passages are sent faster than they are read."
    )
    if agent.report.missed:
        raise Failure("messages were missed")
    if agent.ax.path.exists():
        raise Failure(f"something was left behind in {agent.ax.path}")
    screen.say(
        f"Nothing is left of the domain in {agent.ax.path.parent}. Done in {duration(time.monotonic() - began)}."
    )
    if questions.keys() >= QUESTIONS.keys():
        screen.say(f"{found} of {len(questions)} questions found the file to expect.")


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
