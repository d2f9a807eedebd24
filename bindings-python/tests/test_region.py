"""Named raw memory."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import axonic


def test_create_share_and_unlink(ax: axonic.Domain) -> None:
    with ax.region("board", 4096) as mine, ax.region("board") as other:
        assert (mine.created, other.created) == (True, False)
        assert (mine.name, len(mine), mine.writable) == ("board", 4096, True)
        mine.write(10, b"hello")
        assert other.read(10, 5) == b"hello"
        assert other.read(4090) == bytes(6)
        with memoryview(other) as view:
            view[0:4] = b"abcd"
        assert mine.read(size=4) == b"abcd"
        grid = np.frombuffer(memoryview(mine), dtype="float64").reshape(8, 64)
        grid[1, 2] = 0.5
        assert np.frombuffer(other.read(), dtype="float64")[66] == 0.5
        del grid
    ax.unlink("region", "board")
    with pytest.raises(axonic.NotFoundError):
        ax.unlink("region", "board")


def test_how_it_is_opened(ax: axonic.Domain) -> None:
    with pytest.raises(axonic.NotFoundError):
        ax.region("r", create="open")
    with pytest.raises(axonic.InvalidArgumentError, match="size"):
        ax.region("r")
    ax.region("r", 100, create="create_new").close()
    with pytest.raises(axonic.AlreadyExistsError):
        ax.region("r", 100, create="create_new")
    with pytest.raises(axonic.AxonicError, match="100"):
        ax.region("r", 200)
    assert len(ax.region("r", create="open")) == 100
    ax.unlink("region", "r")


def test_bounds(ax: axonic.Domain) -> None:
    with ax.region("r", 64) as region:
        for offset, size in ((0, 65), (64, 1), (2**63, 1), (1, 2**63)):
            with pytest.raises((axonic.InvalidArgumentError, OverflowError)):
                region.read(offset, size)
        with pytest.raises(axonic.InvalidArgumentError):
            region.write(60, b"12345")
        assert region.read(64) == b""
        region.write(0, np.arange(8, dtype="float64"))
        assert region.read(8, 8) == np.float64(1).tobytes()
    ax.unlink("region", "r")


def test_closing_with_views(ax: axonic.Domain) -> None:
    region = ax.region("r", 64)
    view = memoryview(region)
    with pytest.raises(axonic.InUseError):
        region.close()
    with pytest.raises(axonic.InUseError):
        ax.close()
    view[0] = 7
    assert region.read(size=1) == b"\7"
    view.release()
    ax.unlink("region", "r")
    region.close()
    region.close()
    assert region.closed
    for use in (lambda: region.read(), lambda: region.write(0, b""), lambda: memoryview(region)):
        with pytest.raises(axonic.ClosedError):
            use()


def test_sealed(runtime: Any) -> None:
    with axonic.Region.sealed(b"fixed") as region:
        assert (region.name, len(region), region.writable, region.read()) == (None, 5, False, b"fixed")
        with axonic.Region.from_fd(region.fileno()) as other:
            assert bytes(memoryview(other)) == b"fixed"
            assert memoryview(other).readonly
            with pytest.raises(axonic.AxonicError):
                other.write(0, b"x")
        with pytest.raises(OSError, match=r"."):
            os.truncate(region.fileno(), 0)
        assert region.read() == b"fixed"


def test_only_sealed_descriptors_are_mapped() -> None:
    fd = os.memfd_create("axonic-plain")
    try:
        os.write(fd, b"not sealed")
        with pytest.raises(axonic.AxonicError):
            axonic.Region.from_fd(fd)
        with pytest.raises(OSError, match=r"."):
            axonic.Region.from_fd(-1)
    finally:
        os.close(fd)
