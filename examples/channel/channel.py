"""A channel: messages both ways by address, until both ends have said all."""

import os
import threading

import axonic

with axonic.open(os.environ.get("AXONIC_DOMAIN", "example-channel")) as ax:
    listener = ax.listen(f"shm://{ax.name}/words")

    def answer() -> None:
        with listener.accept(timeout=5) as channel:
            for message in channel:
                channel.send(message.data[::-1])
            channel.finish()

    thread = threading.Thread(target=answer)
    thread.start()

    with ax.connect(listener.address, timeout=5) as channel:
        for word in (b"stop", b"live", b"draw"):
            channel.send(word)
        channel.finish()
        for message in channel:
            print(f"answer: {message.data.decode()}")
        print("the other end has ended")
        try:
            channel.send(bytes(channel.max_message + 1))
        except axonic.TooLargeError:
            print("too large")
    thread.join()

    listener.close()
    try:
        ax.connect(f"shm://{ax.name}/words")
    except axonic.NotFoundError:
        print("nobody listens")
