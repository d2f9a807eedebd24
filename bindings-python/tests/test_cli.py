"""The `axonic` command that comes with the package."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as older_families

import axonic

COMMAND = [sys.executable, "-m", "axonic"]


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, **options)


def test_it_has_the_version_of_the_package() -> None:
    assert run("--version").stdout == f"axonic {axonic.__version__}\n"


def test_mistakes_have_an_exit_status() -> None:
    wrong = run("no-such-verb")
    assert wrong.returncode == 2
    assert "no-such-verb" in wrong.stderr
    assert wrong.stdout == ""


def test_it_sees_who_is_there(ax: axonic.Domain) -> None:
    sub, pub = ax.subscriber("orders.>"), ax.publisher("orders.created")
    pub.publish(bytes(5000))
    with sub.borrow(timeout=1):
        assert "orders.created" in run("ls", "test").stdout
        stat = json.loads(run("stat", "--domain", "test", "--json").stdout)
    [seen] = stat["subscribers"]
    assert (seen["pattern"], seen["pinned"]) == ("orders.>", 1)
    assert seen["id"] == f"{sub.id:016x}"
    assert seen["pins"] == [{"publisher": f"{pub.id:016x}", "slots": 1, "bytes": 8192}]


def test_the_label_is_the_program(ax: axonic.Domain) -> None:
    with axonic.open("test", label="the-brain"):
        assert "the-brain" in run("ls", "test").stdout


def test_openmetrics_is_what_others_parse(ax: axonic.Domain) -> None:
    topic = 'say."hi".back\\slash'
    with ax.subscriber(topic) as sub, ax.publisher(topic) as pub:
        pub.publish(bytes(5000))
        with sub.borrow(timeout=1):
            text = run("stat", "--domain", "test", "--openmetrics").stdout
        parsed = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        families = {family.name: family for family in parsed}
        [published] = families["axonic_publisher_published_messages"].samples
        assert published.name == "axonic_publisher_published_messages_total"
        assert (published.value, published.labels["topic"]) == (1, topic)
        assert published.labels["publisher"] == f"{pub.id:016x}"
        [pinned] = families["axonic_subscriber_pinned"].samples
        assert (pinned.value, pinned.labels["pattern"]) == (1, topic)
        assert families["axonic_domain_bytes"].unit == "bytes"
        assert {family.type for family in families.values()} == {"counter", "gauge"}
        # What node_exporter's textfile collector reads is Prometheus' older format.
        older = [str(sample) for family in older_families(text) for sample in family.samples]
        assert older == [str(sample) for family in families.values() for sample in family.samples]


def test_bench_starts_itself_again() -> None:
    done = run("bench", "--json", "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {"round_trip_blocking", "throughput"} <= {row["case"] for row in report["results"]}
    assert "bench" not in run("ls").stdout


def test_it_publishes_into_python(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    published = run("pub", "--domain", "test", "t", "hello")
    assert (published.returncode, published.stderr) == (0, "")
    assert bytes(sub.receive(timeout=5).data) == b"hello"


@pytest.mark.parametrize("message", ["plain", '{"id": 1}'])
def test_it_subscribes_until_control_c(ax: axonic.Domain, message: str) -> None:
    pub = ax.publisher("t")
    process = subprocess.Popen(
        [*COMMAND, "sub", "--domain", "test", "t"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        pub.wait_for_subscribers(timeout=20)
        pub.publish(message.encode())
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 10)[0]
        assert message in process.stdout.readline()
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert time.monotonic() - start < 5
        assert "Traceback" not in err
    finally:
        process.kill()
        process.communicate()
