"""Raw shared memory: a named region mapped twice, and a sealed one known by its descriptor."""

import os

import axonic

with axonic.open(os.environ.get("AXONIC_DOMAIN", "example-region")) as ax:
    with ax.region("table", 4096) as table:
        print(f"{'created' if table.created else 'opened'} {table.name}: {len(table)} bytes")
        with ax.region("table") as again, memoryview(table) as view:
            view[:5] = b"hello"
            print(f"read from {again.name}: {again.read(0, 5).decode()}")
    ax.unlink("region", "table")

    # The descriptor would travel over a socket, or be inherited.
    with axonic.Region.sealed(b"for ever") as sealed, axonic.Region.from_fd(sealed.fileno()) as received:
        print(f"read from a sealed region: {received.read().decode()}")
