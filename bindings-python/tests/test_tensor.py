"""Tensors: type and shape travel, arrays look at the memory they came in."""

from __future__ import annotations

import array
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import axonic

DTYPES = [
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
]  # fmt: skip


def sample_array(dtype: str, shape: tuple[int, ...]) -> Any:
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 0, 2), (1,) * 8, (40, 40, 3)])
def test_every_type_and_shape(ax: axonic.Domain, dtype: str, shape: tuple[int, ...]) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    sent = sample_array(dtype, shape)
    pub.publish(sent)
    pub.publish(sent)
    with pub.loan(shape, dtype) as view:
        assert view.shape == shape
        np.asarray(view)[...] = sent
    message = sub.receive(timeout=1)
    assert (message.content, message.dtype, message.shape) == ("tensor", dtype, shape)
    with sub.borrow(timeout=1) as sample:
        for received in (message.value, np.asarray(message), sample.value, np.asarray(sample)):
            assert received.dtype == sent.dtype
            assert received.shape == shape
            assert np.array_equal(received, sent)
        del received
    assert np.array_equal(sub.receive(timeout=1).value, sent)


def test_arrays_that_are_not_contiguous(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    whole = np.arange(60, dtype="int32").reshape(3, 4, 5)
    for sent in (
        whole[::2, 1:3],
        whole.T,
        np.asfortranarray(whole),
        whole[:, ::-1],
        np.broadcast_to(whole[0, 0], (2, 5)),
    ):
        pub.publish(sent)
        assert np.array_equal(sub.receive(timeout=1).value, sent)


def test_other_buffers(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    pub.publish(array.array("d", [1.5, 2.5]))
    message = sub.receive(timeout=1)
    assert (message.dtype, message.shape) == ("float64", (2,))
    assert message.value.tolist() == [1.5, 2.5]
    pub.publish(memoryview(b"abcdef").cast("B", (2, 3)))
    assert sub.receive(timeout=1).shape == (2, 3)
    pub.publish(np.frombuffer(b"abc", dtype="uint8"))
    assert sub.receive(timeout=1).content == "tensor"
    pub.publish(b"abc", content="tensor")
    assert sub.receive(timeout=1).shape == (3,)
    pub.publish(np.zeros((2, 2)), content="raw")
    assert sub.receive(timeout=1).data == bytes(32)


def test_arrays_that_cannot_be_sent(ax: axonic.Domain) -> None:
    pub = ax.publisher("t")
    for wrong in (
        np.array(["text"]),
        np.array([object()], dtype=object),
        np.zeros(2, dtype=">i4"),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f4")]),
        np.zeros((1,) * 9),
    ):
        with pytest.raises(axonic.InvalidArgumentError):
            pub.publish(wrong)


class OnlyDlpack:
    """An array of a library that is not numpy: DLPack and nothing else."""

    def __init__(self, inner: Any, device: int = 1, old: bool = False) -> None:
        self.inner = inner
        self.device = device
        self.old = old

    def __dlpack__(self, **wishes: Any) -> Any:
        if self.old and wishes:
            raise TypeError("unexpected keyword argument")
        return self.inner.__dlpack__(**wishes)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (self.device, 0)


@pytest.mark.parametrize("old", [False, True])
def test_publishing_through_dlpack(ax: axonic.Domain, old: bool) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    whole = np.arange(60, dtype="float32").reshape(3, 4, 5)
    for inner in (whole, whole[1:, ::2], whole.T, whole[:0], np.array(3, dtype="float32")):
        pub.publish(OnlyDlpack(inner, old=old))
        assert np.array_equal(sub.receive(timeout=1).value, inner)
    with pytest.raises(axonic.InvalidArgumentError, match="CPU"):
        pub.publish(OnlyDlpack(whole, device=2))


def test_exporting_through_dlpack(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    sent = np.arange(6000, dtype="float32").reshape(2, 3000)
    for _ in range(2):
        pub.publish(sent)
    message = sub.receive(timeout=1)
    assert message.__dlpack_device__() == (1, 0)
    shared = np.from_dlpack(message)
    assert np.array_equal(shared, sent)
    assert not shared.flags.writeable
    sample = sub.borrow(timeout=1)
    shared = np.from_dlpack(sample)
    assert np.array_equal(shared, sent)
    with pytest.raises(axonic.InUseError):
        sample.release()
    with pytest.raises(axonic.InUseError):
        sub.close()
    assert np.array_equal(np.asarray(sample), sent), "still usable"
    del shared
    sample.release()


def test_old_dlpack_consumers_get_a_copy(ax: axonic.Domain) -> None:
    """Before version 1.0 nothing says "read-only", and writing to the mapping would kill the process."""
    sub = ax.subscriber("t")
    ax.publisher("t").publish(np.ones(3000, dtype="float64"))
    with sub.borrow(timeout=1) as sample:
        received = np.from_dlpack(OnlyDlpack(sample, old=True))
        assert received.sum() == 3000
        assert sub.stats().pinned == 1
        for wishes in ({"copy": False}, {"stream": 1}, {"dl_device": (2, 0)}):
            with pytest.raises(BufferError):
                sample.__dlpack__(**wishes)
        copied = np.from_dlpack(sample, copy=True)
    assert sub.stats().pinned == 0, "copies pin nothing"
    assert copied.sum() == received.sum() == 3000


def test_capsules_nobody_takes_are_freed(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    ax.publisher("t").publish(np.ones(3000))
    sample = sub.borrow(timeout=1)
    for version in (None, (1, 0)):
        capsule = sample.__dlpack__(max_version=version)
        del capsule
    sample.release()
    assert sub.stats().pinned == 0


def test_views_keep_their_sample_past_the_block(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    pub.publish(np.full(4000, 5, dtype="uint8"))
    with sub.borrow(timeout=1) as sample:
        kept = np.asarray(sample)
    for n in range(100):
        pub.publish(np.full(4000, n, dtype="uint8"))
    assert (kept == 5).all()
    assert sub.stats().pinned == 1
    with pytest.raises(axonic.ClosedError):
        memoryview(sample)
    del kept
    assert sub.stats().pinned == 0


def test_memory_is_read_only(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    pub.publish(np.zeros(4000, dtype="uint8"))
    pub.publish(np.zeros(4000, dtype="uint8"))
    with sub.borrow(timeout=1) as sample:
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(sample)[0] = 1
        with pytest.raises(TypeError):
            sample.data[0] = 1
        with pytest.raises((BufferError, TypeError)):
            import ctypes

            (ctypes.c_char * 4000).from_buffer(sample)
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(sub.receive(timeout=1))[0] = 1


def test_loan_arguments(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    for dtype in ("float32", np.float32, np.dtype("float32")):
        with pub.loan((2, 2), dtype) as view:
            assert (view.format, view.shape, view.nbytes) == ("f", (2, 2), 16)
        assert sub.receive(timeout=1).dtype == "float32"
    with pub.loan(3, "int64") as view:
        view[1] = 5
    assert sub.receive(timeout=1).shape == (3,)
    for wrong in (
        ("x", None),
        ((2, 2), None),
        ((2, 2), "float31"),
        ((1,) * 9, "uint8"),
        ((2**40, 2**40), "uint8"),
    ):
        with pytest.raises((axonic.AxonicError, TypeError)):
            pub.loan(*wrong)


def test_a_loan_with_live_views_publishes_nothing(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    with pytest.raises(axonic.InUseError, match="del"):
        with pub.loan((8,), "uint8") as view:
            kept = np.asarray(view)
    kept[:] = 1  # still our memory, though it goes nowhere
    with pytest.raises(BufferError):
        pub.close()
    del kept, view
    pub.publish(b"next")
    assert sub.receive(timeout=1).data == b"next"
    pub.close()


def test_a_loan_ends_with_its_block(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    loan = pub.loan(8)
    with loan as view:
        view[:] = b"12345678"
    with pytest.raises(ValueError, match="released"):
        view[0] = 0
    with pytest.raises(axonic.ClosedError):
        memoryview(loan)
    loan.commit()
    loan.discard()
    assert sub.receive(timeout=1).data == b"12345678"
    assert sub.try_receive() is None
    by_hand = pub.loan(8)
    with memoryview(by_hand) as view:
        view[:3] = b"abc"
    by_hand.commit(3)
    assert sub.receive(timeout=1).data == b"abc"
    pub.loan(8).discard()
    assert sub.try_receive() is None


def test_numpy_is_told_why_there_is_no_array(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    pub.publish(np.arange(3000))
    pub.publish(np.arange(3000))
    assert np.array(sub.receive(timeout=1), dtype="float32").dtype == np.float32
    with sub.borrow(timeout=1) as sample:
        copied = np.array(sample)
        assert copied.flags.writeable
        assert sample.__array__("float32", True).dtype == np.float32
        assert sample.__array__().base is not None
    loan = pub.loan(10)
    loan.discard()
    region = ax.region("r", 64)
    region.close()
    ax.unlink("region", "r")
    for gone in (sample, loan, region):
        with pytest.raises(axonic.ClosedError):
            np.asarray(gone)


def test_bfloat16_shows_its_words(ax: axonic.Domain) -> None:
    sub = ax.subscriber("t")
    pub = ax.publisher("t")
    with pub.loan((4,), "bfloat16") as view:
        assert view.format == "H"
        np.asarray(view)[:] = 0x3F80
    message = sub.receive(timeout=1)
    assert message.dtype == "bfloat16"
    assert message.value.tolist() == [0x3F80] * 4


def test_without_numpy(script: Any) -> None:
    process = script(
        """
        import sys
        sys.modules["numpy"] = None  # importing it fails
        import array, axonic
        with axonic.open("test") as ax, ax.subscriber("t") as sub, ax.publisher("t") as pub:
            pub.publish(array.array("d", [1.5, 2.5]))
            value = sub.receive(timeout=1).value
            assert type(value) is memoryview, value
            assert value.format == "d" and value.tolist() == [1.5, 2.5]
            with pub.loan((1000, 3), "float32") as view:
                view[999, 2] = 0.5
            with sub.borrow(timeout=1) as sample:
                with memoryview(sample) as view:
                    assert view.shape == (1000, 3) and view[999, 2] == 0.5
        print("fine")
        """
    )
    assert process.communicate(timeout=30) == ("fine\n", "")


def test_importing_is_light() -> None:
    code = """
import sys, axonic, threading, signal
assert not {"numpy", "asyncio", "json", "logging"} & sys.modules.keys()
assert threading.active_count() == 1
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert axonic.aio.open and "asyncio" in sys.modules
assert not hasattr(axonic, "nothing")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=SHAPES, dtype=st.sampled_from(DTYPES), steps=st.lists(st.sampled_from([1, 2, -1]), max_size=4))
def test_any_slice_arrives(ax: axonic.Domain, shape: tuple[int, ...], dtype: str, steps: list[int]) -> None:
    sliced = sample_array(dtype, shape)[tuple(slice(None, None, step) for step in steps[: len(shape)])]
    sent = np.asarray(sliced)
    with ax.subscriber("t") as sub, ax.publisher("t") as pub:
        pub.publish(sent)
        pub.publish(OnlyDlpack(sent))
        assert np.array_equal(sub.receive(timeout=1).value, sent)
        assert np.array_equal(sub.receive(timeout=1).value, sent)
