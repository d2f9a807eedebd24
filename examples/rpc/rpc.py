"""A service: methods on bytes and by name, a stream, a failure with its reason, a call out of time."""

import os
import threading
import time
from collections.abc import Iterator

import axonic

CENTS = {"apple": 25, "pear": 40}

with axonic.open(os.environ.get("AXONIC_DOMAIN", "example-rpc")) as ax:
    shop = ax.service("shop", "1.2.0")

    @shop.method
    def reverse(data: bytes) -> bytes:
        return data[::-1]

    @shop.method
    def price(item: str, count: int) -> int:
        if item not in CENTS:
            raise axonic.Status("NOT_FOUND", f"the shop has no {item}", reason="no_such_item")
        return CENTS[item] * count

    @shop.method
    def countdown(start: int) -> Iterator[int]:
        yield from range(start, 0, -1)

    @shop.method
    def nap(ctx: axonic.Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)

    provider = threading.Thread(target=shop.serve)
    provider.start()

    client = ax.client("shop", "^1.2")
    print(f"reverse: {client.reverse(b'hello').decode()}")
    print(f"3 apples: {client.price(item='apple', count=3)} cents")
    for number in client.countdown.stream(start=3):
        print(f"countdown: {number}")
    try:
        client.price(item="moon", count=1)
    except axonic.CallFailedError as error:
        print(f"price failed: {error.code}, {error.reason}")
    try:
        client.nap(timeout=0.05)
    except axonic.TimeoutError as error:
        print(f"nap failed: {error.code}")

    shop.close()
    provider.join()
    try:
        client.reverse(b"hello")
    except axonic.UnavailableError as error:
        print(f"reverse failed: {error.code}")
