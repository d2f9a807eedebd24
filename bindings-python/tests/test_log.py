"""What goes to `logging.getLogger("axonic")`, when, and that handlers may use the library."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import axonic
from axonic import aio
from conftest import Script, finish


class Ears(logging.Handler):
    """Remembers records; `use`, if given, is called for each."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []
        self.use: Any = None

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        if self.use is not None:
            self.use(record)

    def texts(self, level: int = logging.DEBUG) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno >= level]


@pytest.fixture
def ears(runtime: Path) -> Iterator[Ears]:
    logger, ears = logging.getLogger("axonic"), Ears()
    logger.addHandler(ears)
    logger.setLevel(logging.DEBUG)
    yield ears
    logger.removeHandler(ears)
    logger.setLevel(logging.NOTSET)


def test_objects_that_come_and_go(ears: Ears) -> None:
    with axonic.open("talk") as ax:
        with ax.subscriber("t.*"), ax.publisher("t.x") as pub:
            pub.publish(b"100%s of it")
        ax.region("r", 10).close()
        ax.unlink("region", "r")
    texts = ears.texts()
    for words in [
        "domain 'talk': joined as participant 0.",
        "subscriber 't.*': opened",
        "topic 't.x': opened publisher",
        "topic 't.x': closed publisher",
        "subscriber 't.*': closed",
        "region 'r': made it, 10 bytes",
        "region 'r': unlinked",
        "domain 'talk': participant 0.",
    ]:
        assert any(text.startswith(words) for text in texts), (words, texts)
    assert ears.texts(logging.INFO) == ["region 'r': unlinked from domain 'talk'"]
    assert all(record.name == "axonic" for record in ears.records)
    # They come from the line that made the call.
    assert {record.filename for record in ears.records[1:]} == {"test_log.py"}


def test_a_death(ears: Ears, script: Script) -> None:
    code = """
        import axonic, os, signal
        pub = axonic.open("deaths").publisher("t")
        pub.wait_for_subscribers(1, timeout=20)
        pub.publish(b"last words")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with axonic.open("deaths") as ax, ax.subscriber("t") as sub:
        assert script(code).wait(30) == -signal.SIGKILL
        assert sub.receive(timeout=20).data == b"last words"
        assert sub.try_receive() is None
        deaths = [text for text in ears.texts(logging.INFO) if "died" in text]
        assert len(deaths) == 1, deaths
        assert deaths[0].startswith("subscriber 't': publisher")


def test_a_handler_may_use_the_library_and_its_own_calls_are_not_told(ears: Ears) -> None:
    with axonic.open("inside") as ax, ax.subscriber("log") as log, ax.publisher("log") as pub:

        def use(record: logging.LogRecord) -> None:
            pub.publish(record.getMessage())
            ax.publisher("more").close()

        ears.use = use
        sub = ax.subscriber("t")
        ears.use = lambda record: sub.close()
        ax.publisher("u").close()
        assert sub.closed
        ears.use = None
        told = [str(message.value) for message in iter(log.try_receive, None)]
        assert len(told) == 1, told
        assert told[0].startswith("subscriber 't': opened")
        assert not [text for text in ears.texts() if "more" in text]


def test_a_handler_that_fails_disturbs_no_call(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda failure: seen.append(failure.exc_value))

    def fail(record: logging.LogRecord) -> None:
        raise RuntimeError("the log is full")

    ears.use = fail
    with axonic.open("failing") as ax:
        assert len(ax.region("r", 4)) == 4
        ears.use = None
        ax.unlink("region", "r")
    assert [str(error) for error in seen] == ["the log is full"] * 2


def test_ctrl_c_in_a_handler_ends_the_program(script: Script) -> None:
    code = """
        import axonic, logging, os, signal, time
        class Slow(logging.Handler):
            def emit(self, record):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(20)
        logging.getLogger("axonic").addHandler(Slow())
        logging.getLogger("axonic").setLevel(logging.DEBUG)
        try:
            ax = axonic.open("slow")
            for _ in range(1000): time.sleep(0.01)
        except KeyboardInterrupt:
            logging.getLogger("axonic").handlers.clear()
            print("stopped")
    """
    assert finish(script(code)) == "stopped\n"


def test_a_signals_exit_in_a_handler_ends_the_program(script: Script) -> None:
    code = """
        import axonic, logging, os, signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        class Slow(logging.Handler):
            def emit(self, record):
                logging.getLogger("axonic").handlers.clear()
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(20)
        logging.getLogger("axonic").addHandler(Slow())
        logging.getLogger("axonic").setLevel(logging.DEBUG)
        ax = axonic.open("slow")
        for _ in range(1000): time.sleep(0.01)
    """
    process = script(code)
    assert process.wait(30) == 3
    assert process.communicate() == ("", "")


def test_a_program_that_ends_is_silent(script: Script) -> None:
    code = """
        import axonic
        class Keeper:
            def __init__(self):
                self.ax = axonic.open("ending")
                self.sub = self.ax.subscriber("t")
                self.me = self
            def __del__(self):
                self.sub.close()
                self.ax.close()
        keeper = Keeper()
    """
    assert finish(script(code)) == ""


@pytest.mark.parametrize("setting", ["", "logging.basicConfig()"])
def test_silent_by_default(setting: str, script: Script) -> None:
    code = """
        import sys
        import axonic, logging
        with axonic.open("quiet") as ax:
            sleeper = ax.subscriber("o")
            for _ in range(66):
                with ax.publisher("o", capacity=4096) as pub: pub.publish(b"unread")
    """
    output, errors = script(code.replace("import sys", setting and f"import logging; {setting}")).communicate(
        timeout=30
    )
    assert output == ""
    if setting:
        assert errors.startswith("WARNING:axonic:topic 'o': over 64 finished publishers"), errors
    else:
        assert errors == ""


def test_threads_tell_what_they_did_themselves(ears: Ears) -> None:
    with axonic.open("threads") as ax:

        def work() -> None:
            for _ in range(100):
                ax.subscriber("t").close()

        threads = [threading.Thread(target=work, name=f"worker {n}") for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for thread in threads:
            mine = [record for record in ears.records if record.threadName == thread.name]
            assert len(mine) == 200, len(mine)


def test_asyncio_tells_too(ears: Ears) -> None:
    async def main() -> None:
        async with aio.open("aio") as ax:
            async with ax.subscriber("t") as sub:
                pub = ax.publisher("t")
                await pub.publish(b"x")
                assert (await sub.receive(timeout=5)).data == b"x"

    asyncio.run(main())
    assert any(text.startswith("subscriber 't': follows publisher") for text in ears.texts())


def test_a_child_of_fork_tells_that_it_opened_anew(ears: Ears) -> None:
    with axonic.open("family") as ax, ax.publisher("t") as pub:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            ears.records.clear()
            pub.publish(b"x")
            os.write(writer, "\n".join(ears.texts()).encode())
            os._exit(0)
        os.close(writer)
        assert os.waitpid(child, 0)[1] == 0
        with open(reader, encoding="utf-8") as pipe:
            assert "domain 'family': opened anew in a forked child" in pipe.read()
