"""One wait for a timer and a subscriber: the timer makes the program publish."""

import os

import axonic

with axonic.open(os.environ.get("AXONIC_DOMAIN", "example-waitset")) as ax, axonic.WaitSet() as waits:
    orders = ax.subscriber("orders.>")
    publisher = ax.publisher("orders.created")
    waits.add_timer(0.01, "timer")
    waits.add(orders)

    done = False
    while not done:
        for source in waits.wait():
            if source == "timer":
                print("timer ready")
                waits.remove("timer")
                publisher.publish({"id": 1})
            elif (m := orders.try_receive()) is not None:
                print("subscriber ready")
                print(f"received {m.topic}: {m.data.decode()}")
                done = True
