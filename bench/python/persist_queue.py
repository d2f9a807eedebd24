"""persist-queue, whose queues belong to one process.

Jobs come and go in it by turns. Its queue of files leaves the disk to the system and notes what was taken at
`task_done`; its queue in SQLite waits for the disk at each put.
"""

from __future__ import annotations

import os

from common import asked, disk, rates, receive, skip

SIZE = 256


def main() -> None:
    _, case, effort = asked()
    try:
        import persistqueue
    except ImportError as error:
        skip(str(error))
    os.sched_setaffinity(0, {0, 1})
    path, message = f"{disk()}/persist-queue-{os.getpid()}", bytes(SIZE)
    match case:
        case "durable_unsynced":
            files = persistqueue.Queue(path, tempdir=disk())

            def exchange() -> bytes:
                files.put(message)
                got: bytes = files.get()
                files.task_done()
                return got

            rates(SIZE, receive(effort.fewer(200).stream(SIZE), exchange))
        case "durable_sync_each":
            table = persistqueue.SQLiteAckQueue(path)
            rates(SIZE, receive(effort.syncs(), lambda: table.put(message)))


main()
