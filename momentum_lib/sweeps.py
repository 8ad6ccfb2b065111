"""Named grids in, tidy frames out.

A grid is cut into chunks, each chunk is one broadcast run, and any `concurrent.futures.Executor` may
carry the chunks: threads, processes, a cluster (`dask.distributed`). What a dead worker loses is carried
again, what is done can be kept, and the frame depends on the arguments only, not on who carried the work.
"""

from __future__ import annotations

import functools
import io
import math
import os
import pickle
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from momentum_lib.clock import Clock, a_rule, brief, count_of, numbers, progress_bar, reals, refuse_frozen
from momentum_lib.collection import write_whole
from momentum_lib.definition import Rule, is_schedule
from momentum_lib.fingerprints import fingerprint
from momentum_lib.runner import Run, names_to_record, run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["carried", "refuse_unsendable", "sweep"]

Measure = Callable[[Run], Any]
Array = npt.NDArray[Any]
T = TypeVar("T")

#: Of one chunk: (points, measures) numbers, and the (points,) steps at which a run diverged.
_Found = tuple[Array, Array]

#: A chunk has at most this many numbers in theta, which is where a step costs least each,
#: and records at most this many bytes, unless `chunk` says otherwise.
CHUNK_NUMBERS: Final = 2**14
CHUNK_BYTES: Final = 2**28
#: Rows of a frame that are a slip and not a plan: they would take days and all memory.
TOO_MANY: Final = 10**7
#: How often a piece of work may be lost before it is told.
TRIES: Final = 3


def sweep(
    rule: Rule,
    problem: Any,
    steps: int,
    grid: Mapping[str, Any],
    measure: Measure | Mapping[str, Measure],
    executor: Executor | None = None,
    folder: str | os.PathLike[str] | None = None,
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
        Carries the chunks; without one they run here, one after the other. A chunk that is lost with its
        worker is carried again. On a cluster of Dask: ``client.get_executor()``. Where JAX has run, a default
        ``ProcessPoolExecutor()`` may hang on Linux, since a forked process has JAX's locks and not its
        threads: pass ``mp_context=multiprocessing.get_context("spawn")``.
    folder : path, optional
        Keep each chunk there as it comes, so that a sweep that was killed goes on where it stopped; one
        folder serves many sweeps. What is kept is named by all that decides it: the arguments, the code of
        rule, problem and measures, and the versions of this library and of NumPy.
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
        no start, counts that are not whole; with a folder, what cannot be told from its like by its code.
    RuntimeError
        The executor broke, or lost a chunk three times.

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
    if not (executor is None or hasattr(executor, "submit")) or isinstance(executor, type):
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
    streams: list[Any] = [None] if seeds is None else [count_of("a seed", seed) for seed in seeds]
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
    cuts = list(_cuts(axes, count_of("chunk", chunk, 1)))
    grad = problem if callable(problem) else problem.grad
    options = {"grad": grad, "steps": steps, "every": every, "record": recorded}
    work = functools.partial(_measured, rule, start, measures, options)
    refuse_unsendable("this sweep", (work, axes), executor)
    kept = None if folder is None else Path(folder) / _digest(work, axes, cuts)
    points = math.prod(map(len, axes.values()))
    value, diverged = np.empty((len(streams), points, len(measures))), np.empty((len(streams), points))
    bar = progress_bar(diverged.size, "point") if progress else None
    try:
        for stream, cut, found in _found(work, axes, cuts, streams, executor, kept):
            value[stream, cut], diverged[stream, cut] = found
            if bar is not None:
                bar.update(len(found[1]))
    finally:
        if bar is not None:
            bar.close()
    places = _places(tuple(map(len, axes.values())), slice(0, points))
    frame = pd.DataFrame(
        {
            name: np.tile(pd.Series(axis).to_numpy()[place].repeat(len(measures)), len(streams))
            for (name, axis), place in zip(axes.items(), places, strict=True)
        }
    )
    if seeds is not None:
        frame["seed"] = np.repeat(streams, points * len(measures))
    frame["measure"] = list(measures) * (rows // len(measures))
    return frame.assign(value=value.ravel(), diverged_at=diverged.ravel().repeat(len(measures)))


def carried(
    work: Callable[..., T], tasks: Iterable[tuple[int, tuple[Any, ...]]], executor: Executor | None
) -> Iterator[tuple[int, T]]:
    """What ``work(*arguments)`` gives for every numbered task, as it comes, whoever carries it.

    An error of the work is raised at once. Any other is the executor's, a worker killed or out of reach:
    what was lost with it is carried again.

    Raises
    ------
    RuntimeError
        A task was lost three times, or the executor takes no more.
    """
    if executor is None:
        for number, arguments in tasks:
            yield number, work(*arguments)
        return
    arrived: SimpleQueue[Future[T | Exception]] = SimpleQueue()
    waiting, lost = {}, Counter[int]()

    def submit(number: int, arguments: tuple[Any, ...]) -> None:
        try:
            # Told how often it was lost, since Dask gives one answer to one question.
            future = executor.submit(_answer, work, arguments, lost[number])
        except Exception as error:
            raise RuntimeError(
                f"the executor takes no more work ({error}); go on with a new one: what was kept in a "
                "folder is not done again."
            ) from error
        waiting[future] = number, arguments
        future.add_done_callback(arrived.put)

    try:
        for number, arguments in tasks:
            submit(number, arguments)
        while waiting:
            future = arrived.get()
            number, arguments = waiting.pop(future)
            try:
                answer = future.result()
            except Exception as error:  # of the executor: those of the work are answers
                lost[number] += 1
                if lost[number] == TRIES:
                    raise RuntimeError(
                        f"piece {number} was lost {TRIES} times, the last time by {brief(error)}; it may "
                        "need more memory than a worker has, or cannot be sent to one."
                    ) from error
                submit(number, arguments)
                continue
            if isinstance(answer, Exception):
                raise answer
            yield number, answer
    finally:  # one that failed is told now, not after hundreds of others
        for future in waiting:
            future.cancel()


def _answer(work: Callable[..., T], arguments: tuple[Any, ...], _: int) -> T | Exception:
    """What the work gives, or the error it raises: so an error that is raised is the executor's."""
    try:
        return work(*arguments)
    except Exception as error:
        error.add_note(traceback.format_exc())  # does not travel by itself
        return error


def refuse_unsendable(what: str, things: Any, executor: Executor | None) -> None:
    """Refuse, before the first piece of work, what would hang or break a pool of processes."""
    context = getattr(executor, "_mp_context", None)
    if context is None:
        return
    try:
        sent = pickle.dumps(things)
    except Exception as error:
        raise ValueError(
            f"{what} cannot reach another process ({error}); define what it uses by name in a module, or "
            "use a ThreadPoolExecutor."
        ) from error
    here = context.get_start_method() == "fork" or hasattr(sys.modules["__main__"], "__file__")
    if not here and b"__main__" in sent:
        raise ValueError(
            f"{what} uses what this notebook defines, which another process cannot import; move it to a "
            "module, or use no pool of processes."
        )


def _found(
    work: Callable[..., _Found],
    axes: dict[str, list[Any]],
    cuts: list[slice],
    seeds: list[Any],
    executor: Executor | None,
    folder: Path | None,
) -> Iterator[tuple[int, slice, _Found]]:
    """What each chunk of each seed measured, read from `folder` or carried now, with its place."""
    pieces = [(stream, seed, number) for stream, seed in enumerate(seeds) for number in range(len(cuts))]
    left = []
    for piece, (stream, seed, number) in enumerate(pieces):
        kept = None if folder is None else _read(folder / _name(seed, number))
        if kept is None:
            left.append(piece)
        else:
            yield stream, cuts[number], kept
    shape = tuple(map(len, axes.values()))
    numeric = {
        name: np.array([0.0 if is_schedule(value) else value for value in axis])
        for name, axis in axes.items()
    }

    def task(piece: int) -> tuple[int, tuple[Any, ...]]:
        _, seed, number = pieces[piece]
        parts: dict[str, Any] = {}
        for (name, axis), place in zip(axes.items(), _places(shape, cuts[number]), strict=True):
            first = axis[place[0]]
            parts[name] = first if is_schedule(first) else numeric[name][place.min() : place.max() + 1]
        return piece, (parts, shape, cuts[number], None if seed is None else (seed, number))

    for piece, found in carried(work, map(task, left), executor):
        stream, seed, number = pieces[piece]
        if folder is not None:
            content = io.BytesIO()
            np.savez(content, allow_pickle=False, value=found[0], diverged_at=found[1])
            write_whole(folder / _name(seed, number), content.getvalue())
        yield stream, cuts[number], found


def _places(shape: tuple[int, ...], cut: slice) -> tuple[Array, ...]:
    """Where on each axis the points of a cut lie."""
    return np.unravel_index(np.arange(cut.start, cut.stop), shape)


def _name(seed: int | None, number: int) -> str:
    return f"{number}.npz" if seed is None else f"{number}-seed-{seed}.npz"


def _read(file: Path) -> _Found | None:
    """What a chunk kept; None where it has not, or what is there cannot be read."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            return kept["value"], kept["diverged_at"]
    except (OSError, EOFError, BadZipFile, KeyError, ValueError):
        return None


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
    if not isinstance(grid, Mapping) or not all(isinstance(name, str) for name in grid):
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
    if isinstance(problem, type):
        raise ValueError(
            f"the problem is the class {problem.__name__}; give one of it, {problem.__name__}()."
        )
    if theta0 is not None:
        return numbers("theta0", theta0)
    inner = problem
    while not hasattr(inner, "minimizer"):
        if not hasattr(inner, "problem"):
            raise ValueError("this oracle names no minimizer to start beside; pass theta0=.")
        inner = inner.problem
    return np.asarray(inner.minimizer) + 1.0


def _cuts(axes: dict[str, list[Any]], chunk: int) -> Iterator[slice]:
    """Cut the points, in their order, into runs that broadcast.

    A schedule is a function and cannot be stacked: the points of one run share their schedules.
    """
    shape = tuple(map(len, axes.values()))
    edge, stacked = np.zeros(math.prod(shape), bool), np.zeros(math.prod(shape), bool)
    for place, axis in enumerate(axes.values()):
        kinds = np.array([id(value) if is_schedule(value) else 0 for value in axis], dtype=np.int64)
        kinds = np.broadcast_to(np.expand_dims(kinds, [*range(place), *range(place + 1, len(shape))]), shape)
        edge[1:] |= np.diff(kinds.ravel()) != 0
        stacked |= kinds.ravel() == 0
    bounds = [0, *np.flatnonzero(edge).tolist(), len(edge)]
    for low, high in zip(bounds, bounds[1:], strict=False):
        step = chunk if stacked[low] else 1  # nothing to broadcast over
        yield from (slice(start, min(start + step, high)) for start in range(low, high, step))


def _measured(
    rule: Rule,
    theta0: Array,
    measures: dict[str, Measure],
    options: dict[str, Any],
    parts: dict[str, Any],
    shape: tuple[int, ...],
    cut: slice,
    seed: tuple[int, int] | None,
) -> _Found:
    """Run one chunk: (points, measures) numbers and (points,) steps of divergence.

    What travels is the part of each axis that the chunk spans, not the letters of every point.
    """
    letters = {
        name: part if is_schedule(part) else part[place - place.min()]
        for (name, part), place in zip(parts.items(), _places(shape, cut), strict=True)
    }
    rule = rule.at(**letters)
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


def _digest(*things: Any) -> str:
    """Sixteen letters for a sweep, the same in every process, others for every other sweep.

    Raises
    ------
    ValueError
        Something has neither code nor settings to tell it by.
    """
    library = [file.read_bytes() for file in sorted(Path(__file__).parent.rglob("*.py"))]
    try:
        return fingerprint(np.__version__, library, things)
    except ValueError as error:
        raise ValueError(
            f"this sweep cannot be told from its like, so nothing is kept of it: {error} Or leave folder out."
        ) from error
