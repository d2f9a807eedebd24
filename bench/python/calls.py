"""Calls of one service by one client: the subjects axonic-python, grpcio and python-lsp-jsonrpc.

In `call_json` the service is in Node (`bench/node/services.mjs`), and answers the object it is given.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from common import Effort, Meeting, asked, clock, folder, pair, skip, tell, warm

Wait = Literal["adaptive", "spin", "block"]

SIZE = 64
KIB = 1024
# What gRPC calls its method.
METHOD = "/bench.Echo/Echo"


def an_object() -> dict[str, Any]:
    """What a search may have found; as JSON without spaces 1 KiB."""
    found = [
        {"path": f"docs/page-{i}.md", "line": 12 * i + 7, "score": 0.97 - i / 16, "text": "memory " * 10}
        for i in range(7)
    ]
    value = {"query": "shared memory", "limit": 20, "more": False, "found": found, "note": ""}
    value["note"] = "x" * (KIB - len(json.dumps(value, separators=(",", ":"))))
    return value


def measure(n: int, size: int, call: Callable[[], object], metric: str = "latency") -> None:
    """Nanoseconds of each of `n` calls."""
    for _ in range(warm(n)):
        call()
    nanos: list[float] = []
    for _ in range(n):
        started = clock()
        call()
        nanos.append(clock() - started)
    tell(size, metric, "ns", nanos)


def measure_objects(n: int, echo: Callable[[dict[str, Any]], Any], metric: str = "latency") -> None:
    """The same of calls with an object, which comes back."""
    value = an_object()
    if echo(value) != value:
        raise RuntimeError("not the object that was sent")
    measure(n, KIB, lambda: echo(value), metric)


@contextmanager
def node(kind: str, *where: str) -> Iterator[subprocess.Popen[bytes]]:
    """A service in Node, on core 1; it ends when its standard input does."""
    script = Path(__file__).resolve().parent.parent / "node" / "services.mjs"
    child = subprocess.Popen(
        [os.environ.get("AXONIC_BENCH_NODE", "node"), script, kind, *where],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, {1}),
    )
    os.sched_setaffinity(0, {0})
    assert child.stdin is not None
    assert child.stderr is not None
    first = child.stderr.readline().decode()
    if first.startswith("skipped: "):
        skip(first.removeprefix("skipped: ").strip())
    if first != "ready\n":
        sys.exit(f"the service in Node failed: {first}{child.stderr.read().decode()}")
    yield child
    child.stdin.close()
    if child.wait() != 0:
        sys.exit(f"the service in Node failed: {child.stderr.read().decode()}")


class Axonic:
    """Found by name in a domain of its own."""

    def __init__(self) -> None:
        self.domain = f"py-{os.getpid()}"

    def bytes(self, n: int, wait: Wait) -> None:
        import axonic

        meeting = Meeting()

        def serve() -> None:
            with axonic.open(self.domain) as domain:
                service = domain.service("echo", "1.0.0", wait=wait)

                @service.method
                def echo(data: bytes) -> bytes:
                    return data

                @service.method
                def end() -> None:
                    threading.Timer(0.05, service.close).start()

                meeting.here(1)
                service.serve()

        def drive() -> None:
            with axonic.open(self.domain) as domain:
                meeting.here(1)
                client = domain.client("echo", "^1", wait=wait)
                echo, message = client.echo, bytes(SIZE)
                measure(n, SIZE, lambda: echo(message))
                client.end()

        pair(serve, drive)

    def objects(self, n: int, wait: Wait) -> None:
        import axonic

        with node("axonic", self.domain, wait), axonic.open(self.domain) as domain:
            echo = domain.client("echo", "^1", wait=wait).echo
            metric = "latency_spin" if wait == "spin" else "latency"
            measure_objects(n, lambda value: echo(value), metric)


class Grpc:
    """grpcio over a Unix socket. What is sent is the message itself, without protobuf around it."""

    def __init__(self) -> None:
        self.address = f"unix:{folder()}/grpcio-{os.getpid()}"

    def bytes(self, n: int) -> None:
        meeting = Meeting()

        def serve() -> None:
            import grpc

            handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
            server = grpc.server(ThreadPoolExecutor(max_workers=10))
            service, method = METHOD.strip("/").split("/")
            handlers = grpc.method_handlers_generic_handler(service, {method: handler})
            server.add_generic_rpc_handlers((handlers,))
            server.add_insecure_port(self.address)
            server.start()
            meeting.here(1)
            meeting.here(2)
            server.stop(None).wait()

        def drive() -> None:
            import grpc

            meeting.here(1)
            with grpc.insecure_channel(self.address) as channel:
                echo, message = channel.unary_unary(METHOD), bytes(SIZE)
                measure(n, SIZE, lambda: echo(message))
            meeting.here(2)

        pair(serve, drive)

    def objects(self, n: int) -> None:
        import grpc

        def encode(value: Any) -> bytes:
            return json.dumps(value, separators=(",", ":")).encode()

        with node("grpc-js", self.address), grpc.insecure_channel(self.address) as channel:
            measure_objects(n, channel.unary_unary(METHOD, encode, json.loads))


class JsonRpc:
    """python-lsp-jsonrpc over the standard input and output of the one that serves."""

    @contextmanager
    def client(self, reads: Any, writes: Any) -> Iterator[Callable[..., Any]]:
        """Calls `echo`; answers are read by a thread, as its users do."""
        from pylsp_jsonrpc.endpoint import Endpoint
        from pylsp_jsonrpc.streams import JsonRpcStreamReader, JsonRpcStreamWriter

        endpoint = Endpoint({}, JsonRpcStreamWriter(writes).write)
        reader = JsonRpcStreamReader(reads)
        thread = threading.Thread(target=reader.listen, args=(endpoint.consume,), daemon=True)
        thread.start()
        yield lambda value: endpoint.request("echo", value).result()
        writes.close()
        thread.join()

    def bytes(self, n: int) -> None:
        """JSON has no bytes; it is text of that length."""
        (to_read, from_here), (to_here, from_there) = os.pipe(), os.pipe()

        def serve() -> None:
            from pylsp_jsonrpc.dispatchers import MethodDispatcher
            from pylsp_jsonrpc.endpoint import Endpoint
            from pylsp_jsonrpc.streams import JsonRpcStreamReader, JsonRpcStreamWriter

            class Server(MethodDispatcher):  # type: ignore[misc]
                def m_echo(self, text: str) -> str:
                    return text

            # The other half ends by closing its end, of which this one has a copy.
            os.close(from_here)
            endpoint = Endpoint(Server(), JsonRpcStreamWriter(os.fdopen(from_there, "wb")).write)
            JsonRpcStreamReader(os.fdopen(to_read, "rb")).listen(endpoint.consume)

        def drive() -> None:
            os.close(from_there)
            with self.client(os.fdopen(to_here, "rb"), os.fdopen(from_here, "wb")) as echo:
                message = {"text": "x" * SIZE}
                measure(n, SIZE, lambda: echo(message))

        pair(serve, drive)

    def objects(self, n: int) -> None:
        with node("json-rpc") as child, self.client(child.stdout, child.stdin) as echo:
            measure_objects(n, echo)


def run(subject: str, case: str, effort: Effort) -> None:
    sleeping = effort.sleeping()
    if subject == "axonic-python":
        axonic = Axonic()
        match case:
            case "call_spin":
                axonic.bytes(effort.spinning(SIZE), "spin")
            case "call_adaptive":
                axonic.bytes(effort.spinning(SIZE), "adaptive")
            case "call_blocking":
                axonic.bytes(sleeping, "block")
            case "call_json":
                axonic.objects(sleeping, "adaptive")
                axonic.objects(sleeping, "spin")
        return
    peer: Any = Grpc() if subject == "grpcio" else JsonRpc()
    # They take several times as long.
    few = effort.fewer(4).sleeping()
    (peer.objects if case == "call_json" else peer.bytes)(few)


def main() -> None:
    subject, case, effort = asked()
    module = {"grpcio": "grpc", "python-lsp-jsonrpc": "pylsp_jsonrpc"}.get(subject)
    # Found without being imported: gRPC must not be there before the fork.
    if module is not None and importlib.util.find_spec(module) is None:
        skip(f"No module named {module!r}")
    run(subject, case, effort)


main()
