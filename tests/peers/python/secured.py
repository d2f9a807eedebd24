"""Either end of a channel, wherever an address leads.

`connect <address>`, or `listen <address>`, which prints where.
"""

from __future__ import annotations

import sys

import axonic


def connect(channel: axonic.Channel) -> None:
    for i in range(100):
        channel.send(b"%d" % i, timeout=20)
        assert channel.receive(timeout=20).data == b"%d" % i
    channel.finish()


def listen(channel: axonic.Channel) -> None:
    for message in channel:
        channel.send(message.data, timeout=20)


def main() -> None:
    role, address = sys.argv[1:]
    with axonic.open("tls") as ax:
        if role == "connect":
            with ax.connect(address, timeout=20) as channel:
                connect(channel)
        else:
            with ax.listen(address) as listener:
                print(listener.address, flush=True)
                with listener.accept(timeout=20) as channel:
                    listen(channel)


main()
