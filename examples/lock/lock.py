"""A lock: processes count in turn; one is killed while it has the mutex, and the next is told."""

import multiprocessing
import os
import time

import axonic


def add_one(counter: axonic.Region) -> None:
    """In two steps: only the mutex makes this right."""
    with memoryview(counter).cast("Q") as view:
        view[0] = view[0] + 1


def count(mutex: axonic.Mutex, counter: axonic.Region) -> None:
    for _ in range(1000):
        with mutex:
            add_one(counter)


def die(mutex: axonic.Mutex, counter: axonic.Region, taken: axonic.Event) -> None:
    with mutex:
        add_one(counter)
        taken.set()
        time.sleep(60)


if __name__ == "__main__":
    # Whatever is passed to another process is opened there by its name.
    start = multiprocessing.get_context("spawn").Process
    with axonic.open(os.environ.get("AXONIC_DOMAIN", "example-lock")) as ax:
        mutex, counter, taken = ax.mutex("counter"), ax.region("counter", 8), ax.event("taken")
        children = [start(target=count, args=(mutex, counter)) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        print(f"3 processes counted to {int.from_bytes(counter.read(), 'little')}")

        victim = start(target=die, args=(mutex, counter, taken))
        victim.start()
        taken.wait(timeout=20)
        print(f"locked: {not mutex.try_acquire()}".lower())
        victim.kill()
        with ax.mutex("counter", timeout=5) as held:
            value = int.from_bytes(counter.read(), "little")
            print(f"owner died: {held.owner_died}, the counter says {value}".lower())
        ax.unlink("region", "counter")
