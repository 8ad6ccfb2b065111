"""Every workload is small enough to try: its contestants agree, and the table and the picture are made."""

import pytest

from benchmarks.__main__ import markdown, picture
from benchmarks.measure import agree, exponent, measure
from benchmarks.workloads import WORKLOADS

#: B7 starts kernels, which the tests of `reproduce` do; without numba the fastest peers are missing.
SMALL = [name for name in WORKLOADS if name != "B7"]


@pytest.mark.parametrize("name", SMALL)
def test_contestants_give_the_same_and_are_timed(name):
    pytest.importorskip("numba", reason="numba is not installed (extra bench)")
    work = WORKLOADS[name]
    with pytest.importorskip("jax").enable_x64(True):
        rows = measure(name, work.sizes[0], work.contest(work.sizes[0]), work.rtol, rounds=1)
    assert [row.contestant for row in rows][0].startswith("momentum_lib")
    assert min(row.ratio for row in rows) == 1 and all(row.ms > 0 for row in rows)
    assert len(markdown(rows).splitlines()) == 2 + len(rows)


def test_contestants_that_differ_are_not_timed():
    with pytest.raises(AssertionError, match="wrong against right"):
        agree({"right": lambda: [1.0, 2.0], "silent": lambda: None, "wrong": lambda: [1.0, 2.1]}, 1e-2)


def test_the_table_becomes_a_picture_and_its_growth_an_exponent(tmp_path):
    rows = [row for n in (10, 20) for row in measure("B9", n, {"momentum_lib": lambda: None}, 0, 3)]
    grown = [row._replace(ms=float(row.size) ** 3) for row in rows]
    assert exponent(grown, "B9", "momentum_lib") == pytest.approx(1.5)
    picture(rows, tmp_path / "benchmarks.png")
    assert (tmp_path / "benchmarks.png").stat().st_size > 10_000
