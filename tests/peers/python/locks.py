"""What the Python peer does with locks."""

from __future__ import annotations

import os
import time

import axonic

PATIENCE = 20
# Long enough for others to come.
MOMENT = 0.0001


def number_in(file: int) -> int:
    return int.from_bytes(os.pread(file, 8, 0), "little")


def raised(file: int) -> int:
    """Raises the number in a file, and answers what it is now."""
    number = number_in(file) + 1
    os.pwrite(file, number.to_bytes(8, "little"), 0)
    return number


def alternate(domain: str, path: str, parity: str, times: str) -> int:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    with axonic.open(domain) as ax:
        turn = ax.condvar("turn", ax.mutex("count", timeout=PATIENCE))
        for _ in range(int(times)):
            with turn:
                turn.wait_for(lambda: number_in(file) % 2 == int(parity), timeout=PATIENCE)
                raised(file)
                turn.notify()
    print(f"alternated {times}")
    return 0


def count(domain: str, path: str, times: str) -> int:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    with axonic.open(domain) as ax:
        mutex = ax.mutex("count", timeout=PATIENCE)
        for _ in range(int(times)):
            with mutex as held:
                if held.owner_died:
                    print("owner died", flush=True)
                print(raised(file), flush=True)
    print(f"counted {times}")
    return 0


def tell_time(what: str) -> None:
    print(what, time.monotonic_ns(), flush=True)


def share(domain: str, path: str, times: str) -> int:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    with axonic.open(domain) as ax:
        page, seats = ax.rwlock("page"), ax.semaphore("seats", 2, timeout=PATIENCE)
        for n in range(int(times)):
            if n % 4 == 0:
                with page.write(timeout=PATIENCE) as held:
                    if held.owner_died:
                        print("owner died", flush=True)
                    print(raised(file), flush=True)
                continue
            with page.read(timeout=PATIENCE) as held:
                number = number_in(file)
                if held.owner_died:
                    print("owner died", number, flush=True)
                with seats:
                    tell_time("in")
                    time.sleep(MOMENT)
                    tell_time("out")
                must(number_in(file) == number, "nobody writes while somebody reads")
    print(f"shared {times}")
    return 0


def must(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"not so: {what}")


def tell_holders(holders: list[axonic.LockHolder], name: str) -> None:
    """Says who has a lock."""
    for holder in holders:
        must(holder.alive and holder.since is not None, "it is there, and has come")
        print(f"{name}: {holder.role} {holder.pid} {holder.label}")


class Hall:
    def __init__(self, ax: axonic.Domain) -> None:
        self.ax = ax
        self.barrier = ax.barrier("turn", 2)
        self.event = ax.event("go")
        self.bell = ax.event("bell", auto_reset=True)
        self.rwlock = ax.rwlock("page")
        self.seats = ax.semaphore("seat", 1)
        self.led = 0

    def turn(self) -> None:
        self.led += self.barrier.wait(timeout=PATIENCE)

    def first(self) -> None:
        with self.rwlock.write(timeout=PATIENCE):
            self.seats.acquire(timeout=PATIENCE)
            self.bell.set()
            self.bell.set()
            self.turn()
            self.turn()
        self.seats.release()
        self.event.set()
        self.bell.set()
        self.turn()
        must(not self.bell.is_set(), "who passed has cleared it")
        must(not self.rwlock.try_acquire_write(), "the other reads, so nobody writes")
        must(self.rwlock.try_acquire_read(), "two read")
        self.rwlock.release()
        must(not self.seats.try_acquire(), "the other has the only permit")
        tell_holders(self.ax.lock_holders("seat"), "seat")
        must(self.event.is_set(), "it stays set")
        self.event.clear()
        self.turn()
        self.turn()
        must(self.rwlock.try_acquire_write(), "the other has stopped reading")
        must(self.seats.try_acquire(), "the other has given its permit back")
        self.rwlock.release()
        self.seats.release()

    def second(self) -> None:
        self.turn()
        must(not self.rwlock.try_acquire_read(), "the other writes, so nobody reads")
        must(not self.rwlock.try_acquire_write(), "the other writes, so nobody else does")
        must(not self.seats.try_acquire(), "the other has the only permit")
        tell_holders(self.ax.lock_holders("page"), "page")
        must(not self.event.try_wait(), "nobody has set it")
        must(self.bell.try_wait(), "it was set before")
        must(not self.bell.try_wait(), "set twice it lets one pass")
        self.turn()
        self.event.wait(timeout=PATIENCE)
        self.bell.wait(timeout=PATIENCE)
        with self.rwlock.read(timeout=PATIENCE):
            self.seats.acquire(timeout=PATIENCE)
            self.turn()
            self.turn()
            must(not self.event.try_wait(), "the other has cleared it")
        self.seats.release()
        self.turn()


def meet(domain: str, role: str) -> int:
    with axonic.open(domain) as ax:
        hall = Hall(ax)
        if role == "first":
            hall.first()
        else:
            hall.second()
    print(f"met {hall.led}")
    return 0
