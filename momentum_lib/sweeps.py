"""Named grids in, tidy frames out.

A grid is cut into chunks, each chunk is one broadcast run, and any `concurrent.futures.Executor` may
carry the chunks. The frame depends on the arguments only, not on who carried the work.
"""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from momentum_lib.clock import Clock, a_rule, brief, count_of, numbers, reals, refuse_frozen
from momentum_lib.definition import Rule, is_schedule
from momentum_lib.runner import Run, names_to_record, run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["progress_bar", "sweep"]

Measure = Callable[[Run], Any]

#: A chunk has at most this many numbers in theta, which is where a step costs least each,
#: and records at most this many bytes, unless `chunk` says otherwise.
CHUNK_NUMBERS: Final = 2**14
CHUNK_BYTES: Final = 2**28
#: Rows of a frame that are a slip and not a plan: they would take days and all memory.
TOO_MANY: Final = 10**7


#: One chunk, everything a worker needs: rule, start, measures, seed and what else `run` takes.
_Task = tuple[Rule, npt.NDArray[Any], dict[str, Measure], tuple[int, int] | None, dict[str, Any]]


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
) -> pd.DataFrame:
    """Run `rule` on every point of a grid and measure each run.

    Parameters
    ----------
    rule : Rule
        The letters that are set stay as they are; the grid has the others.
    problem : Problem or oracle
        ``problem.grad`` is descended, or `problem` itself if it is callable.
    steps : int
    grid : mapping of letter to values
        The product of all values is swept. Values are numbers or schedules.
    measure : function, or mapping of name to function
        From the `Run` of n grid points to n numbers. ``run.theta`` is (rows, n, *theta0.shape) there,
        so reduce over the first and the last axes: ``lambda run: np.abs(run.theta[-1]).max(axis=-1)``.
    executor : concurrent.futures.Executor, optional
        Carries the chunks; without one they run here, one after the other. Where JAX has run, a default
        ``ProcessPoolExecutor()`` may hang on Linux, since a forked process has JAX's locks and not its
        threads: pass ``mp_context=multiprocessing.get_context("spawn")``.
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
        spread a small grid over an executor. Every chunk of a seed has a random stream of its own, so
        under a stochastic oracle `chunk` decides which draw a point gets.

    Returns
    -------
    DataFrame
        One row a grid point and measure: a column a swept letter, ``seed`` if there are seeds,
        ``measure``, ``value``, and ``diverged_at``, the first step that was not finite (inf if all were).

    Raises
    ------
    RuleError
        An unknown or open letter.
    ValueError
        An empty grid, one too large, a letter that is in the grid and set, a measure of the wrong shape,
        no start, counts that are not whole.

    Examples
    --------
    >>> from momentum_lib import Quadratic, heavy_ball
    >>> frame = sweep(heavy_ball.at(gamma=0.5), Quadratic([1.0]), 20, {"eta": [0.5, 5.0]},
    ...               lambda run: np.abs(run.theta[-1, :, 0]) < 1e-2, progress=False)
    >>> frame[["eta", "value"]].to_numpy().tolist()
    [[0.5, 1.0], [5.0, 0.0]]
    """
    import pandas as pd

    rule, measures, axes = a_rule(rule), _measures(measure), _axes(grid)
    if not (executor is None or hasattr(executor, "map")):
        raise ValueError(f"executor is {brief(executor)}; give one of concurrent.futures, or leave it out.")
    for name, value in rule.setting.items():
        if name in axes and name in rule._set:
            raise ValueError(f"{name} is in the grid and set in {rule}; give it once.")
        if name not in axes and np.ndim(value):
            raise ValueError(f"{name} is set and has shape {np.shape(value)}; put its values in the grid.")
    refuse_frozen(rule.at(**{name: values[0] for name, values in axes.items()}))
    start = _start(problem, theta0)
    if not isinstance(seeds, Iterable | None):
        raise ValueError(f"seeds is {brief(seeds)}; give a list of whole numbers, or leave it out.")
    streams = [None] if seeds is None else [count_of("a seed", seed) for seed in seeds]
    if not streams:
        raise ValueError("seeds is empty; give at least one, or leave it out.")
    steps, every = count_of("steps", steps), count_of("every", every, 1)
    rows = math.prod(map(len, axes.values())) * len(measures) * len(streams)
    if rows > TOO_MANY:
        raise ValueError(f"the frame has {rows} rows; sweep parts of the grid one at a time.")
    recorded = rule.slots[:1] if record is None else tuple(names_to_record(rule, record))
    if chunk is None:
        size = (steps // every + 1) * max(len(recorded), 1) * max(start.nbytes, 8)
        chunk = max(1, min(CHUNK_NUMBERS // max(start.size, 1), CHUNK_BYTES // size))
    points = list(itertools.product(*axes.values()))
    chunks = list(_chunks(list(axes), points, count_of("chunk", chunk, 1)))
    grad = problem if callable(problem) else problem.grad
    options = {"grad": grad, "steps": steps, "every": every, "record": recorded}
    tasks: list[_Task] = [
        (rule.at(**letters), start, measures, None if seed is None else (seed, number), options)
        for seed in streams
        for number, letters in enumerate(chunks)
    ]
    done = _carried(tasks, executor, len(points) * len(streams) if progress else None)
    values, diverged = (np.concatenate(parts) for parts in zip(*done, strict=True))
    frame = pd.DataFrame(points * len(streams), columns=list(axes))
    if seeds is not None:
        frame["seed"] = [seed for seed in streams for _ in points]
    frame = frame.loc[frame.index.repeat(len(measures))].reset_index(drop=True)
    frame["measure"] = list(measures) * (rows // len(measures))
    return frame.assign(value=values.ravel(), diverged_at=diverged.repeat(len(measures)))


def _measures(measure: Measure | Mapping[str, Measure]) -> dict[str, Measure]:
    if isinstance(measure, Mapping):
        named = dict(measure)
    else:
        name = getattr(measure, "__name__", "measure")
        named = {"measure" if name == "<lambda>" else name: measure}
    if not named or not all(callable(function) for function in named.values()):
        raise ValueError(f"measure is {brief(measure)}; give a function of a run, or names and functions.")
    return named


def _axes(grid: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Each axis as a list of numbers and schedules."""
    if not isinstance(grid, Mapping):
        raise ValueError(f"the grid is {brief(grid)}; give letters and their values.")
    if not grid:
        raise ValueError("the grid is empty; give at least one letter and its values.")
    try:
        axes = {name: [values] if np.ndim(values) == 0 else list(values) for name, values in grid.items()}
    except ValueError:
        raise ValueError(
            f"the grid is {brief(grid)}, rows of several lengths; give lists of numbers."
        ) from None
    for name, axis in axes.items():
        if not axis:
            raise ValueError(f"the grid has no value of {name}; give at least one.")
        if any(np.ndim(value) for value in axis):
            raise ValueError(f"the values of {name} have shape {np.shape(axis)}; give a list of numbers.")
    return axes


def _start(problem: Any, theta0: npt.ArrayLike | None) -> npt.NDArray[Any]:
    if theta0 is not None:
        return numbers("theta0", theta0)
    inner = problem
    while not hasattr(inner, "minimizer"):
        if not hasattr(inner, "problem"):
            raise ValueError("this oracle names no minimizer to start beside; pass theta0=.")
        inner = inner.problem
    return np.asarray(inner.minimizer) + 1.0


def _chunks(names: list[str], points: list[tuple[Any, ...]], chunk: int) -> Iterable[dict[str, Any]]:
    """Cut the points, in their order, into runs that broadcast: the letters of each.

    A schedule is a function and cannot be stacked: the points of one run share their schedules.
    """

    def schedules(point: tuple[Any, ...]) -> list[int | None]:
        return [id(value) if is_schedule(value) else None for value in point]

    for shared, group in itertools.groupby(points, schedules):
        same = list(group)
        step = chunk if None in shared else 1  # nothing to broadcast over
        for low in range(0, len(same), step):
            columns = zip(names, zip(*same[low : low + step], strict=True), strict=True)
            yield {name: some[0] if is_schedule(some[0]) else np.array(some) for name, some in columns}


def _carried(
    tasks: list[_Task], executor: Executor | None, total: int | None
) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """What every task measured; a bar of `total` points is shown where it is given."""
    if isinstance(executor, ProcessPoolExecutor):
        try:
            pickle.dumps(tasks[0])
        except Exception as error:
            raise ValueError(
                f"this sweep cannot be sent to another process ({error}); define rule, measure and schedules "
                "at the top of a module, or use a ThreadPoolExecutor."
            ) from error
    bar = None if total is None else progress_bar(total, "point")
    done = []
    try:
        for result in (executor.map if executor else map)(_measured, tasks):
            done.append(result)
            if bar is not None:
                bar.update(len(result[0]))
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
    rule, theta0, measures, seed, options = task
    shape = Clock(rule).shape or (1,)
    rng = None if seed is None else np.random.default_rng(seed)
    out = run(rule, theta0=theta0 if Clock(rule).shape else theta0[None], rng=rng, **options)
    values = np.empty((*shape, len(measures)))
    with np.errstate(all="ignore"):  # a diverged run is measured like any other
        for column, (name, function) in enumerate(measures.items()):
            measured = reals(f"what the measure {name!r} gave", function(out), finite=False)
            if measured.shape != shape:
                raise ValueError(
                    f"the measure {name!r} gave shape {measured.shape} for {shape[0]} grid points; reduce "
                    "over the first axis (steps) and the last (coordinates), and keep the one between."
                )
            values[:, column] = measured
    found = np.inf if out.diverged_at is None else out.diverged_at
    return values, np.broadcast_to(np.asarray(found, dtype=float), shape)
