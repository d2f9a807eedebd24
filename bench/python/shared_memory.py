"""Peers that go through shared memory: cloudtoid-interprocess, mmbus and iceoryx2-python."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from common import (
    MIB,
    Effort,
    Meeting,
    answers,
    asked,
    exchanges,
    folder,
    pair,
    produce,
    rates,
    receive,
    skip,
    tell,
)

_BATCH = 64


class Cloudtoid:
    """Queues with one name per direction; `try_receive` in a loop spins, `receive` sleeps."""

    def __init__(self) -> None:
        import cloudtoid_interprocess

        self.module: Any = cloudtoid_interprocess
        # Names its semaphores in /dev/shm too, where the bench removes what carries its folder's name.
        self.tag = f"{os.path.basename(folder())}-{os.getpid()}"

    def capacity(self, size: int) -> int:
        """As much as a topic has: with more, a whole stream would fit and nobody wait for anybody."""
        return MIB // 4 if size <= 2048 else 16 * MIB

    def sender(self, name: str, size: int) -> Any:
        return self.module.Publisher(self.tag + name, self.capacity(size), folder())

    def receiver(self, name: str, size: int) -> Any:
        return self.module.Subscriber(self.tag + name, self.capacity(size), folder())

    def attached(self, sender: Any) -> None:
        """A queue keeps what is sent before anybody receives."""

    def send(self, sender: Any) -> Any:
        return sender.try_send

    def send_many(self, sender: Any) -> Any:
        def send_many(messages: list[bytes]) -> None:
            sent = 0
            while sent < len(messages):
                sent += sender.try_send_batch(messages[sent:] if sent else messages)

        return send_many

    def take(self, receiver: Any, spin: bool) -> Any:
        return receiver.try_receive if spin else receiver.receive


class Mmbus:
    """A bus per direction, without its write-ahead log; a full ring is tried again."""

    def __init__(self) -> None:
        import mmbus

        self.module: Any = mmbus
        self.tag = f"mm-{os.getpid()}"
        self.buses: list[Any] = []

    def _bus(self, name: str, size: int) -> Any:
        bus = self.module.Bus(
            self.tag + name,
            base_dir=f"{folder()}/mmbus",
            capacity=4096 if size <= 4096 else 64,
            slot_size=max(size + 64, 128),
            backpressure="error",
            wal_enabled=False,
        )
        self.buses.append(bus)
        return bus

    def sender(self, name: str, size: int) -> Any:
        return self._bus(name, size).topic("t")

    def receiver(self, name: str, size: int) -> Any:
        return self._bus(name, size).subscribe("t")

    def attached(self, sender: Any) -> None:
        sender.wait_for_subscribers(1)

    def send(self, sender: Any) -> Any:
        publish, full = sender.publish, self.module.BusFullError

        def send(message: bytes) -> None:
            while True:
                try:
                    publish(message)
                    return
                except full:
                    pass

        return send

    send_many = None

    def take(self, receiver: Any, spin: bool) -> Any:
        return receiver.try_recv if spin else receiver.recv


class Iceoryx2:
    """Slices of bytes, copied into the loan and out of the sample; it can only be polled like this."""

    def __init__(self) -> None:
        import iceoryx2

        self.module: Any = iceoryx2
        self.tag = f"py-{os.getpid()}/"
        self.kept: list[Any] = []
        iceoryx2.set_log_level(iceoryx2.LogLevel.Error)

    def _service(self, name: str, size: int) -> Any:
        iox = self.module
        config = iox.config.default()
        config.global_cfg.prefix = iox.FileName.new(os.path.basename(folder()) + "_")
        config.global_cfg.root_path = iox.Path.new(f"{folder()}/iceoryx2-python/")
        node = iox.NodeBuilder.new().config(config).create(iox.ServiceType.Ipc)
        builder = node.service_builder(iox.ServiceName.new(self.tag + name))
        builder = builder.publish_subscribe(iox.Slice[ctypes.c_uint8]).enable_safe_overflow(False)
        service = builder.subscriber_max_buffer_size(256 if size <= 4096 else 16).open_or_create()
        self.kept += [node, service]
        return service

    def sender(self, name: str, size: int) -> Any:
        return self._service(name, size).publisher_builder().initial_max_slice_len(size).create()

    def receiver(self, name: str, size: int) -> Any:
        return self._service(name, size).subscriber_builder().create()

    def attached(self, sender: Any) -> None:
        sender.update_connections()

    def send(self, sender: Any) -> Any:
        def send(message: bytes) -> None:
            loan = sender.loan_slice_uninit(len(message))
            ctypes.memmove(loan.payload().as_ptr(), message, len(message))
            loan.assume_init().send()

        return send

    send_many = None

    def take(self, receiver: Any, spin: bool) -> Any:
        def take() -> bytes | None:
            sample = receiver.receive()
            if sample is None:
                return None
            payload = sample.payload()
            data = ctypes.string_at(payload.as_ptr(), payload.number_of_elements)
            sample.delete()
            return data

        return take


def round_trips(of: Any, n: int, size: int, spin: bool, parts: int = 1) -> None:
    meeting = Meeting()

    def echo() -> None:
        output, input = of.sender("pong", size), of.receiver("ping", size)
        meeting.here(1)
        of.attached(output)
        meeting.here(2)
        answers(n, of.send(output), of.take(input, spin))
        meeting.here(3)

    def drive() -> None:
        output, input = of.sender("ping", size), of.receiver("pong", size)
        meeting.here(1)
        of.attached(output)
        meeting.here(2)
        nanos = exchanges(n, bytes(size), of.send(output), of.take(input, spin))
        tell(size, "latency", "ns", [t / parts for t in nanos])
        meeting.here(3)

    pair(echo, drive)


def throughput(of: Any, effort: Effort, size: int, many: bool) -> None:
    """None lost, one message per call at the receiving end, `many` or one at the sending end."""
    meeting, stream = Meeting(), effort.stream(size)
    name = f"data-{size}-{many}"

    def send() -> None:
        output = of.sender(name, size)
        meeting.here(1)
        of.attached(output)
        meeting.here(2)
        if many:
            send_many, batch = of.send_many(output), [bytes(size)] * _BATCH
            for _ in range(stream.all // _BATCH + 1):
                send_many(batch)
        else:
            produce(stream, bytes(size), of.send(output))
        meeting.here(3)

    def take() -> None:
        input = of.receiver(name, size)
        meeting.here(1)
        meeting.here(2)
        rate = receive(stream, of.take(input, spin=True))
        rates(size, rate, "rate" if many or size > 2048 or of.send_many is None else "rate_singly")
        meeting.here(3)

    pair(send, take)


def main() -> None:
    subject, case, effort = asked()
    kinds: dict[str, Any] = {"cloudtoid-interprocess": Cloudtoid, "mmbus": Mmbus, "iceoryx2-python": Iceoryx2}
    try:
        of = kinds[subject]()
    except ImportError as error:
        skip(str(error))
    match case:
        case "round_trip_spin":
            round_trips(of, effort.spinning(64), 64, spin=True)
        case "round_trip_blocking":
            round_trips(of, effort.sleeping(), 64, spin=False)
        case "loan_borrow":
            # It lends nothing: handing over a megabyte is copying it.
            round_trips(of, effort.spinning(MIB), MIB, spin=True, parts=2)
        case "throughput":
            throughput(of, effort, 64, many=False)
            if of.send_many is not None:
                throughput(of, effort, 64, many=True)
            throughput(of, effort, 65536, many=False)


main()
