"""A queue: jobs by priority, one given back, one rejected, one whose result comes back."""

import os

import axonic

with axonic.open(os.environ.get("AXONIC_DOMAIN", "example-queue")) as ax:
    queue = ax.queue("jobs")
    queue.put(b"sweep")
    queue.put(b"wash", priority=7)
    queue.put(b"paint", priority=3)
    while job := queue.try_get():
        text = f"{job.data.decode()}: priority {job.priority}, attempt {job.attempt}"
        with job:
            if job.data == b"sweep":
                job.reject("no broom")
                text += ", rejected"
            elif job.data == b"paint" and job.attempt == 1:
                job.nack()
                text += ", given back"
        print(text)

    ticket = queue.put(b"6 x 7", result=True)
    with queue.get(timeout=1) as job:
        job.ack(b"42")
    print(f"{job.data.decode()} is {ticket.result(timeout=1).decode()}")

    for dead in queue.dead_letters():
        print(f"dead letter: {dead.data.decode()}, {dead.reason_text}")
    queue.purge(dead=True)
