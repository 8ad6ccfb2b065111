"""What does not fit is refused with its size, with psutil and without it."""

import os
import sys

import pytest

from momentum_lib.memory import free_memory, refuse_too_large


@pytest.mark.parametrize("gone, free", [([], range(1, 2**50)), (["sysconf"], [float("inf")])])
def test_without_psutil_the_system_is_asked(monkeypatch, gone, free):
    monkeypatch.setitem(sys.modules, "psutil", None)  # as where it is not installed
    for name in gone:
        monkeypatch.delattr(os, name, raising=False)
    assert free_memory() in free


def test_what_does_not_fit_is_refused_with_size_and_remedy(monkeypatch):
    monkeypatch.setattr("momentum_lib.memory.free_memory", lambda: 2.0**30)
    refuse_too_large(0.79 * 2**30, "the grid", "take fewer points")
    with pytest.raises(
        ValueError, match=r"the grid takes 1\.5 GiB and 1\.0 GiB are free; take fewer points\."
    ):
        refuse_too_large(1.5 * 2**30, "the grid", "take fewer points")


def test_little_is_let_through_unasked(monkeypatch):
    monkeypatch.setattr("momentum_lib.memory.free_memory", lambda: 1 / 0)
    refuse_too_large(2**28 - 1, "the grid", "take fewer points")
