"""Publish and subscribe: copies through a pattern, then an array written and read in place."""

import os
from array import array

import axonic

with axonic.open(os.environ.get("AXONIC_DOMAIN", "example-topic")) as ax:
    orders = ax.subscriber("orders.>")
    ax.publisher("orders.created").publish({"id": 1})
    ax.publisher("orders.paid").publish({"id": 2})
    for _ in range(2):
        m = orders.receive(timeout=1)
        print(f"received {m.topic}: {m.data.decode()}")

    viewer = ax.subscriber("camera")
    camera = ax.publisher("camera")
    with camera.loan((2, 3), "float32") as frame:
        frame.cast("B")[:] = array("f", range(6)).tobytes()

    with viewer.borrow(timeout=1) as sample:
        rows, columns = sample.shape or ()
        values = sample.data.cast("f")  # or numpy.asarray(sample), where numpy is installed
        print(f"borrowed {sample.topic}: {rows}x{columns} {sample.dtype}, sum {sum(values):g}")
        values.release()
