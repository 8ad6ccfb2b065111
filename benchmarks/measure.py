"""What every workload is measured by: agreement first, then CPU time and memory, the contestants in turn.

Time is CPU time of this process, pinned to one core, and of the processes it starts: other load on the
machine then costs cache and clock, and no waiting. Ratios of one round are to the fastest of that round.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

#: Contestants by name; each gives a result to compare, or None where there is nothing to.
Contest = dict[str, Callable[[], Any]]


class Row(NamedTuple):
    """One contestant of one workload at one size."""

    workload: str
    size: int
    contestant: str
    ms: float
    ratio: float
    least: float
    most: float
    mib: float


@contextmanager
def peer(*libraries: str) -> Iterator[None]:
    """A block that adds peers, left out where a library is missing."""
    with suppress(ImportError):
        for library in libraries:
            __import__(library)
        yield
        return
    print(f"without {' and '.join(libraries)}")


def cpu_seconds() -> float:
    """CPU time of this process and of those it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_mib(call: Callable[[], Any]) -> float:
    """How far one call raises the resident memory; nan where the system does not tell."""
    try:
        gc.collect()
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts from here
        before = _status("VmRSS")
        call()
        return (_status("VmHWM") - before) / 1024
    except OSError:
        return float("nan")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def agree(contest: Contest, rtol: float) -> None:
    """Refuse to time contestants that do not give the same, the first being the reference.

    Raises
    ------
    AssertionError
        A result that differs by more than `rtol` of the largest number of the reference.
    """
    results = {name: result for name, call in contest.items() if (result := call()) is not None}
    if not results:
        return
    first, *rest = results
    reference = np.asarray(results[first], float)
    scale = np.abs(reference[np.isfinite(reference)]).max(initial=0.0)
    for name in rest:
        np.testing.assert_allclose(
            np.asarray(results[name], float), reference, 0, rtol * scale, err_msg=f"{name} against {first}"
        )


def measure(workload: str, size: int, contest: Contest, rtol: float, rounds: int) -> list[Row]:
    """The rows of one workload at one size."""
    agree(contest, rtol)
    times: dict[str, list[float]] = {name: [] for name in contest}
    for _ in range(rounds):
        for name, call in contest.items():
            began = cpu_seconds()
            call()
            times[name].append(cpu_seconds() - began)
    fastest = [min(moments) for moments in zip(*times.values(), strict=True)]
    rows = []
    for name, call in contest.items():
        ratios = [own / best for own, best in zip(times[name], fastest, strict=True)]
        spread = statistics.median(ratios), min(ratios), max(ratios)
        rows.append(Row(workload, size, name, 1e3 * statistics.median(times[name]), *spread, peak_mib(call)))
    return rows


def exponent(rows: list[Row], workload: str, contestant: str) -> float:
    """The power of the number of cells, size², that the time grows with."""
    own = [row for row in rows if (row.workload, row.contestant) == (workload, contestant)]
    slope: float = np.polyfit(np.log([row.size**2 for row in own]), np.log([row.ms for row in own]), 1)[0]
    return slope
