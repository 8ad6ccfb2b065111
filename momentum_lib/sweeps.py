"""Named grids in, tidy frames out.

A grid is cut into chunks, each chunk is one broadcast run, and any `concurrent.futures.Executor` may
carry the chunks. The frame depends on the arguments only, not on who carried the work.
"""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from momentum_lib.definition import Rule
from momentum_lib.runner import Run, run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["progress_bar", "sweep"]

Measure = Callable[[Run], Any]

#: A chunk has at most this many numbers in theta, which is where a step costs least each,
#: and records at most this many bytes, unless `chunk` says otherwise.
CHUNK_NUMBERS, CHUNK_BYTES = 2**14, 2**28


@dataclass(frozen=True)
class _Task:
    """One chunk: everything a worker needs."""

    rule: Rule
    grad: Callable[[Any], Any]
    theta0: npt.NDArray[Any]
    steps: int
    hyper: dict[str, Any]
    points: int
    rng: tuple[int, ...] | None
    every: int
    record: tuple[str, ...]
    measures: dict[str, Measure]


def sweep(
    rule: Rule,
    problem: Any,
    steps: int,
    grid: Mapping[str, Any],
    measure: Measure | Mapping[str, Measure],
    executor: Executor | None = None,
    progress: bool = True,
    *,
    theta0: npt.ArrayLike | None = None,
    seeds: Iterable[int] | None = None,
    every: int = 1,
    record: Iterable[str] | None = None,
    chunk: int | None = None,
    **hyper: Any,
) -> pd.DataFrame:
    """Run `rule` on every point of a grid and measure each run.

    Parameters
    ----------
    rule : Rule
    problem : Problem or oracle
        ``problem.grad`` is descended, or `problem` itself if it is callable.
    steps : int
    grid : mapping of hyper-parameter to values
        The product of all values is swept. Values are numbers or schedules.
    measure : function, or mapping of name to function
        From the `Run` of n grid points to n numbers. ``run.theta`` is (rows, n, *theta0.shape) there,
        so reduce over the first and the last axes: ``lambda run: np.abs(run.theta[-1]).max(axis=-1)``.
    executor : concurrent.futures.Executor, optional
        Carries the chunks; without one they run here, one after the other.
    progress : bool
        Show a bar (on stderr, if tqdm is installed).
    theta0 : array_like, optional
        Start; by default the problem's minimizer plus one in every coordinate.
    seeds : iterable of int, optional
        Repeat the sweep with each seed, for stochastic oracles; adds the column ``seed``.
    every : int
        As in `run`; a measure of the last iterate needs no more than ``every=steps``.
    record : iterable of str, optional
        As in `run`, but by default theta alone; a measure of ``run.slots["v"]`` asks for it here.
    chunk : int, optional
        Grid points a run; by default as many as make 16384 numbers and record 256 MiB. Smaller chunks
        spread a small grid over an executor. Under a stochastic oracle it decides which draw a point gets.
    **hyper
        Hyper-parameters that stay fixed.

    Returns
    -------
    DataFrame
        One row a grid point and measure: a column a swept hyper-parameter, ``seed`` if there are seeds,
        ``measure``, ``value``, and ``diverged_at``, the first step that was not finite (inf if all were).

    Raises
    ------
    RuleError
        Unknown or missing hyper-parameter.
    ValueError
        An empty grid, a grid or chunk that does not fit in memory, a measure of the wrong shape, no start.

    Examples
    --------
    >>> from momentum_lib import Quadratic, heavy_ball
    >>> frame = sweep(heavy_ball, Quadratic([1.0]), 20, {"eta": [0.5, 5.0], "gamma": [0.5]},
    ...               lambda run: np.abs(run.theta[-1, :, 0]) < 1e-2, progress=False)
    >>> frame[["eta", "gamma", "value"]].to_numpy().tolist()
    [[0.5, 0.5, 1.0], [5.0, 0.5, 0.0]]
    """
    import pandas as pd

    measures = _measures(measure)
    axes = _axes(grid)
    both = [name for name in axes if name in hyper]
    if both:
        raise ValueError(f"{both[0]} is in the grid and fixed; give it once.")
    for name, value in hyper.items():
        if np.ndim(value):
            raise ValueError(f"{name} is fixed and has shape {np.shape(value)}; put its values in the grid.")
    supplied = {"t": 1} if "t" in rule.hyper else {}
    rule.bind({**{name: values[0] for name, values in axes.items()}, **hyper, **supplied})
    start = _start(problem, theta0)
    several = None if seeds is None else list(seeds)
    if several == []:
        raise ValueError("seeds is empty; give at least one, or leave it out.")
    points = math.prod(len(values) for values in axes.values())
    repeats = 1 if several is None else len(several)
    _refuse_too_large(
        points * repeats * len(measures) * (len(axes) + 3) * 8,
        f"the frame of {points} grid points",
        "sweep parts of the grid one at a time and keep what you need of each",
    )
    recorded = rule.slots[:1] if record is None else tuple(record)
    size = (int(steps) // max(int(every), 1) + 1) * max(len(recorded), 1) * max(start.nbytes, 8)
    if chunk is None:
        chunk = max(1, min(CHUNK_NUMBERS // max(start.size, 1), CHUNK_BYTES // size))
    elif chunk < 1:
        raise ValueError(f"chunk is {chunk}; give the number of grid points of one run, at least 1.")
    fits = "pass a smaller chunk= (it is cut by itself if you leave it out)"
    _refuse_too_large(min(chunk, points) * size, f"the recording of {min(chunk, points)} grid points", fits)

    tasks = [
        _Task(
            rule=rule,
            grad=problem if callable(problem) else problem.grad,
            theta0=start,
            steps=steps,
            hyper={**hyper, **part},
            points=length,
            rng=None if seed is None else (seed, number),
            every=every,
            record=recorded,
            measures=measures,
        )
        for seed in ([None] if several is None else several)
        for number, (length, part) in enumerate(_chunks(axes, chunk))
    ]
    done = _carried(tasks, executor, progress, points * repeats)
    values, diverged = (np.concatenate(parts) for parts in zip(*done, strict=True))
    columns = _columns(axes, len(measures), repeats)
    if several is not None:
        columns["seed"] = np.repeat(several, points * len(measures))
    columns["measure"] = np.tile(np.array(list(measures), dtype=object), points * repeats)
    return pd.DataFrame({**columns, "value": values.ravel(), "diverged_at": diverged.repeat(len(measures))})


def _measures(measure: Measure | Mapping[str, Measure]) -> dict[str, Measure]:
    if isinstance(measure, Mapping):
        named = dict(measure)
    else:
        name = getattr(measure, "__name__", "measure")
        named = {"measure" if name == "<lambda>" else name: measure}
    if not named or not all(callable(function) for function in named.values()):
        raise ValueError(f"measure is {measure!r}; give a function of a run, or names and functions.")
    return named


def _axes(grid: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Each axis as a list of numbers and schedules."""
    if not grid:
        raise ValueError("the grid is empty; give at least one hyper-parameter and its values.")
    axes = {}
    for name, values in grid.items():
        axis = [values] if np.ndim(values) == 0 else list(values)
        if not axis:
            raise ValueError(f"the grid has no value of {name}; give at least one.")
        if np.ndim([value for value in axis if not callable(value)]) > 1:
            raise ValueError(f"the values of {name} have shape {np.shape(values)}; give a list of numbers.")
        axes[name] = axis
    return axes


def _start(problem: Any, theta0: npt.ArrayLike | None) -> npt.NDArray[Any]:
    if theta0 is not None:
        return np.asarray(theta0)
    inner = problem
    while not hasattr(inner, "minimizer"):
        if not hasattr(inner, "problem"):
            raise ValueError("this oracle names no minimizer to start beside; pass theta0=.")
        inner = inner.problem
    return np.asarray(inner.minimizer) + 1.0


def _refuse_too_large(nbytes: float, what: str, remedy: str) -> None:
    import psutil

    free = psutil.virtual_memory().available
    if nbytes > 0.8 * free:
        raise ValueError(
            f"{what} takes {nbytes / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free; {remedy}."
        )


def _chunks(axes: Mapping[str, Sequence[Any]], chunk: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Cut the product of the axes, in its order, into runs that broadcast.

    A schedule is a function and cannot be stacked: the points of one run share their schedules.
    """
    scheduled = [i for i, axis in enumerate(axes.values()) if any(callable(value) for value in axis)]
    if all(callable(value) for axis in axes.values() for value in axis):
        chunk = 1  # nothing to broadcast over
    group: list[tuple[Any, ...]] = []

    def cut() -> tuple[int, dict[str, Any]]:
        by_name = zip(axes, zip(*group, strict=True), strict=True)
        part = {name: values[0] if callable(values[0]) else np.array(values) for name, values in by_name}
        return len(group), part

    for point in itertools.product(*axes.values()):
        if group and (len(group) == chunk or any(point[i] is not group[0][i] for i in scheduled)):
            yield cut()
            group = []
        group.append(point)
    yield cut()


def _carried(
    tasks: list[_Task], executor: Executor | None, progress: bool, total: int
) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    if isinstance(executor, ProcessPoolExecutor):
        try:
            pickle.dumps(tasks[0])
        except Exception as error:
            raise ValueError(
                f"this sweep cannot be sent to another process ({error}); define rule, measure and schedules "
                "at the top of a module, or use a ThreadPoolExecutor."
            ) from error
    results = map(_measured, tasks) if executor is None else executor.map(_measured, tasks)
    bar = progress_bar(total, "point") if progress else None
    done = []
    try:
        for task, result in zip(tasks, results, strict=True):
            done.append(result)
            if bar is not None:
                bar.update(task.points)
    finally:
        if bar is not None:
            bar.close()
    return done


def progress_bar(total: int, unit: str) -> Any:
    """A bar on stderr, or None where tqdm (the extra lab) is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit=unit, leave=False)


def _measured(task: _Task) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Run one chunk: (points, measures) numbers and (points,) steps of divergence."""
    rng = None if task.rng is None else np.random.default_rng(task.rng)
    hyper, flat = dict(task.hyper), all(np.ndim(value) == 0 for value in task.hyper.values())
    theta0 = task.theta0[None] if flat else task.theta0
    out = run(
        task.rule, task.grad, theta0, task.steps, rng=rng, every=task.every, record=task.record, **hyper
    )
    values = np.empty((task.points, len(task.measures)))
    with np.errstate(all="ignore"):  # a diverged run is measured like any other
        for column, (name, function) in enumerate(task.measures.items()):
            measured = np.asarray(function(out), dtype=float)
            if measured.shape != (task.points,):
                raise ValueError(
                    f"the measure {name!r} gave shape {measured.shape} for {task.points} grid points; reduce "
                    "over the first axis (steps) and the last (coordinates), and keep the one between."
                )
            values[:, column] = measured
    found = np.inf if out.diverged_at is None else out.diverged_at
    return values, np.broadcast_to(np.asarray(found, dtype=float), (task.points,))


def _columns(axes: Mapping[str, Sequence[Any]], measures: int, repeats: int) -> dict[str, Any]:
    """The swept values in the order of the product, each repeated for every measure."""
    columns: dict[str, Any] = {}
    lengths = [len(axis) for axis in axes.values()]
    for place, (name, axis) in enumerate(axes.items()):
        kept = np.empty(len(axis), dtype=object)
        kept[:] = axis
        if not any(callable(value) for value in axis):
            kept = np.asarray(axis)
        inner, outer = math.prod(lengths[place + 1 :]), math.prod(lengths[:place])
        columns[name] = np.tile(kept.repeat(inner * measures), outer * repeats)
    return columns
