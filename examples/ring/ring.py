"""The bare ring: messages in order, written and read in place, until the producer ends."""

import os

import axonic

with axonic.open(os.environ.get("AXONIC_DOMAIN", "example-ring")) as ax:
    consumer = ax.ring_consumer("numbers")
    with ax.ring_producer("numbers") as producer:
        producer.push(b"one")
        producer.push(b"two")
        room = producer.reserve(100)
        with memoryview(room) as view:
            view[:16] = b"written in place"
        room.commit(16)

    while True:
        try:
            with consumer.borrow(timeout=1) as message:
                print(f"popped {bytes(message).decode()}")
        except axonic.DisconnectedError:
            print("the producer ended")
            break
