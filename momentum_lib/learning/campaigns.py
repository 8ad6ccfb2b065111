"""Many trainings: on any executor, kept one by one, so that what was interrupted goes on.

A campaign is a list of trials and gives a tidy frame. `measured` is how a notebook meets one that takes
hours: `momentum reproduce --full` carries it out and writes ``notebooks/results/NAME.csv``; without
``--full`` the committed file is read, and refused if it was made from other trials.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import multiprocessing
import numbers
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from momentum_lib.clock import progress_bar
from momentum_lib.collection import Execution, check_name, find_root, write_whole
from momentum_lib.definition import Rule, brief
from momentum_lib.learning.tasks import Task
from momentum_lib.learning.training import Measure, describe_training, train
from momentum_lib.sweeps import carried, refuse_unsendable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Trial", "best_eta_of", "carry_out", "measured", "spread"]


@dataclass(frozen=True)
class Trial:
    """One training of a campaign, or a grid of them: the arguments of `train`, and what its rows are called.

    Parameters
    ----------
    rule, task, steps, seed, every, target, measure
        As in `train`; a column for each number measured. Arrays of letters and seeds make a grid, trained in
        one compiled loop, with the rows that its cells would have one by one, but for rounding.
    label : mapping of str to number or str
        Columns of its rows in the frame, beside ``eta``, the step size (if the rule has one, not a function
        of t), the letters that are arrays, and ``seed``.
    at : tuple of int, optional
        The steps whose records are kept; the last record alone by default.
    """

    rule: Rule
    task: Task
    steps: int
    seed: npt.ArrayLike = 0
    every: int | None = None
    target: float | None = None
    label: Mapping[str, Any] = field(default_factory=dict)
    at: tuple[int, ...] | None = None
    measure: Mapping[str, Measure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a column that would hold two things."""
        taken = {"t", "loss", "error", "diverged_at"}
        for name in [*self.label, *self.measure]:
            if name in taken:
                raise ValueError(f"label or measure names a column {name!r}, which is another's; rename it.")
            taken.add(name)

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides its result, in words."""
        return describe_training(
            self.rule,
            task=self.task,
            steps=self.steps,
            seed=self.seed,
            every=self.every or 0,
            target=self.target,
            at=self.at,
            measure=self.measure,
        )


def carry_out(
    trials: Iterable[Trial],
    executor: Executor | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: bool | Callable[[int, int], None] = True,
) -> pd.DataFrame:
    """Train every trial.

    Parameters
    ----------
    trials : iterable of Trial, or one
    executor : concurrent.futures.Executor, optional
        Carries the trials; without one they run here, in order. One that is lost with its worker is carried
        again. Start processes by ``spawn``: JAX runs threads, and a fork would copy their locks. Rules and
        tasks of your own reach another process by name and so stand in a module, not in a notebook.
    folder : path, optional
        Keep each result there as it comes; a trial whose result is there is not trained again. A result
        is named by its settings, the version of JAX and the code of rules, schedules and this package; a grid
        is one result, and none of its cells'. A file that cannot be read is named, set aside as ``.broken``,
        and done again.
    progress : bool or function
        Show a bar (on stderr, if tqdm is installed), or call the function with how many are done and all.

    Returns
    -------
    DataFrame
        One row a trial, cell and kept record, in their order: the label's columns, ``eta``, ``seed``,
        ``t``, ``loss``, ``error`` (inf if it had diverged), what it measured, ``diverged_at`` (inf if it
        did not).

    Raises
    ------
    ValueError
        No trial at all, a pool of processes that forks, or trials that cannot reach another process.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> from momentum_lib.learning import Classifier
    >>> row = heavy_ball.at(eta=[[0.1], [0.01]], gamma=0.9)  # two step sizes with each of two seeds, at once
    >>> frame = carry_out(Trial(row, Classifier(), 20, seed=(0, 1)), progress=False)
    >>> frame[["eta", "seed", "t"]].to_numpy().tolist()
    [[0.1, 0.0, 20.0], [0.1, 1.0, 20.0], [0.01, 0.0, 20.0], [0.01, 1.0, 20.0]]
    """
    import pandas as pd

    trials = _listed(trials)
    if not trials:
        raise ValueError("there is no trial to carry out; give at least one.")
    tell = progress if callable(progress) else None
    bar = progress_bar(len(trials), "training") if progress is True else None
    found: dict[int, list[dict[str, Any]]] = {}
    for number, rows in _carried(trials, executor, folder):
        found[number] = rows
        if tell is not None:
            tell(len(found), len(trials))
        if bar is not None:
            bar.update()
    if bar is not None:
        bar.close()
    return pd.DataFrame([row for number in range(len(trials)) for row in found[number]])


def _listed(trials: Any) -> list[Trial]:
    """The trials; anything else is refused."""
    for trial in (listed := [trials] if isinstance(trials, Trial) else list(trials)):
        if not isinstance(trial, Trial):
            raise ValueError(f"{brief(trial)} is no trial; give Trial(rule, task, steps, ...).")
    return listed


def _carried(
    trials: Sequence[Trial], executor: Executor | None, folder: str | os.PathLike[str] | None
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The rows of each trial as they come, by its number: what is kept, then what is trained."""
    files: list[Path | None] = [None] * len(trials)
    if folder is not None:
        files = [Path(folder) / f"{_digest(trial.settings, _code())}.json" for trial in trials]
    left = []
    for number, file in enumerate(files):
        records = None if file is None else _kept(file)
        if records is None:
            left.append(number)
        else:
            yield number, [{**trials[number].label, **record} for record in records]
    context = getattr(executor, "_mp_context", None)  # of a pool of processes
    if context is not None and context.get_start_method() == "fork":
        raise ValueError(
            "This pool forks, and a fork of JAX hangs; make it with "
            'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")).'
        )
    for trial in (trials[number] for number in left):
        refuse_unsendable(f"The trial of {trial.rule} on {type(trial.task).__name__}", trial, executor)
    for number, records in carried(_train, ((number, (trials[number],)) for number in left), executor):
        if (file := files[number]) is not None:  # here, where the folder is: a worker may have other disks
            write_whole(file, json.dumps(records).encode())
        yield number, [{**trials[number].label, **record} for record in records]


def _kept(file: Path) -> list[dict[str, Any]] | None:
    """The records in a file; one that cannot be read is told and set aside."""
    if not file.is_file():
        return None
    try:
        records = json.loads(file.read_text(encoding="utf-8"))
        if records and all({"t", "loss", "error", "diverged_at"} <= set(record) for record in records):
            return list(records)
    except (ValueError, TypeError):
        pass
    aside = file.with_suffix(".broken")
    file.replace(aside)
    warnings.warn(f"{file} was broken: set aside as {aside.name}, trained again.", stacklevel=2)
    return None


def _train(trial: Trial) -> list[dict[str, Any]]:
    steps, seed, every, target, measure = trial.steps, trial.seed, trial.every, trial.target, trial.measure
    made = train(trial.rule, trial.task, steps, seed=seed, every=every, target=target, measure=measure)
    columns = {"loss": made.loss, "error": made.error, **made.measured}
    grid = made.error.shape[1:]
    diverged = np.asarray(np.inf if made.diverged_at is None else made.diverged_at, float)
    records = []
    for cell in np.ndindex(grid):
        # A cell of a grid ends where it would alone, though the others go on.
        error = made.error[(slice(None), *cell)]
        ended = (made.t >= diverged[cell]) | (error <= (-np.inf if target is None else target))
        last = int(np.argmax(ended)) if ended.any() else len(made.t) - 1
        for t in trial.at or (int(made.t[last]),):
            row = int(np.searchsorted(made.t, t))
            if row < len(made.t) and made.t[row] != t:
                raise ValueError(f"step {t} is not recorded; the records stand at {made.t.tolist()}.")
            there = (min(row, last), *cell)
            found = {name: float(column[there]) for name, column in columns.items()}
            records.append(
                {**_told_apart(trial, grid, cell), "t": t, **found, "diverged_at": float(diverged[cell])}
            )
    return records


def _told_apart(trial: Trial, grid: tuple[int, ...], cell: tuple[int, ...]) -> dict[str, Any]:
    """The step size, if there is one and a number, the letters that are arrays, and the seed of a cell."""
    steps, told = trial.rule.step_letters, {}
    for name, value in trial.rule.setting.items():
        if np.ndim(value) or (steps == (name,) and isinstance(value, numbers.Real)):
            told["eta" if steps == (name,) else name] = float(np.broadcast_to(value, grid)[cell])
    return {**told, "seed": int(np.broadcast_to(trial.seed, grid)[cell])}


def _digest(*things: Any) -> str:
    return hashlib.sha256(json.dumps(things, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def _code() -> list[str]:
    """What the numbers of a training hang on besides its settings."""
    import jax

    library = Path(__file__).parent.parent
    parts = "datasets sequences weights tasks training campaigns".split()
    files = [library / "learning" / f"{part}.py" for part in parts]
    files += [
        library / f"{part}.py"
        for part in "definition fingerprints rules nonlinear parts schedules clock".split()
    ]
    return [jax.__version__, *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)]


# --- Campaigns that take hours ----------------------------------------------------------------------


def measured(name: str, trials: Iterable[Trial]) -> pd.DataFrame:
    """The results of a long campaign: carried out under ``momentum reproduce --full``, else as committed.

    Under ``--full`` the trials spread over all cores, resumable (``.momentum/trainings``), and the frame
    is written to ``notebooks/results/NAME.csv``. Its first line keeps a digest of the trials' settings.

    Parameters
    ----------
    name : str
        Written out at the call, as a figure's name is.
    trials : iterable of Trial, or one

    Returns
    -------
    DataFrame
        As `carry_out` gives it, numbers to six digits.

    Raises
    ------
    ValueError
        There is no committed result, it was made from other trials, or a name that is more than words.
    """
    check_name("A campaign", name)
    trials = _listed(trials)
    made_from = _digest([trial.settings for trial in trials])
    root = find_root()
    now = Execution.here()
    if now.full:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(os.cpu_count(), spawn, initializer=_end_with_parent) as executor:
            frame = carry_out(trials, executor, root / ".momentum" / "trainings", _teller(name))
        text = io.StringIO()
        text.write(f"# {json.dumps({'trials': len(trials), 'settings': made_from})}\n")
        frame.to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
        folder = Path(now.results or root / "notebooks" / "results")
        write_whole(folder / f"{name}.csv", text.getvalue().encode())
        return _read(text.getvalue(), made_from, name)
    file = root / "notebooks" / "results" / f"{name}.csv"
    if not file.is_file():
        raise ValueError(f"There is no notebooks/results/{name}.csv; run `momentum reproduce --full`.")
    return _read(file.read_text(encoding="utf-8"), made_from, name)


def _end_with_parent() -> None:
    """Have this worker end when its parent is gone: a kernel that was killed cannot tell it to."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _teller(name: str) -> Callable[[int, int], None]:
    """Write how far a campaign is to ``$MOMENTUM_PROGRESS``, where `momentum reproduce` reads it."""
    file = Execution.here().progress

    def tell(done: int, total: int) -> None:
        if file:
            Path(file).write_text(f"{name} {done}/{total}", encoding="utf-8")

    return tell


def _read(text: str, made_from: str, name: str) -> pd.DataFrame:
    import pandas as pd

    head, _, table = text.partition("\n")
    try:
        theirs = json.loads(head.removeprefix("#"))["settings"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"notebooks/results/{name}.csv is broken; take the committed one, or run "
            "`momentum reproduce --full`."
        ) from None
    if theirs != made_from:
        raise ValueError(
            f"notebooks/results/{name}.csv was made from other trials than these; "
            f"take the notebook's settings back, or run `momentum reproduce --full`."
        )
    return pd.read_csv(io.StringIO(table))


# --- From trials to a table -------------------------------------------------------------------------


def best_eta_of(frame: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """Keep, in every cell, the rows of its best learning rate: the least mean error over the seeds.

    An eta of which any seed diverged has an infinite mean and is not chosen while another is left.

    Parameters
    ----------
    frame : DataFrame
        Of `carry_out`: one row a cell, eta and seed.
    by : str or sequence of str
        The columns that make a cell.

    Returns
    -------
    DataFrame
        The rows of the chosen etas, with ``edge``: whether the chosen one is the least or the largest tried.
    """
    by = [by] if isinstance(by, str) else list(by)
    lost = frame.assign(error=frame["error"].fillna(np.inf))  # a mean would leave out what is no number
    mean = lost.groupby([*by, "eta"], as_index=False, sort=False)["error"].mean()
    chosen = mean.loc[mean.groupby(by, sort=False)["error"].idxmin(), [*by, "eta"]]
    ends = frame.groupby(by, sort=False)["eta"].agg(["min", "max"]).reset_index()
    chosen = chosen.merge(ends, on=by)
    chosen["edge"] = (chosen["eta"] == chosen["min"]) | (chosen["eta"] == chosen["max"])
    return frame.merge(chosen.drop(columns=["min", "max"]), on=[*by, "eta"])


def spread(frame: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """Median, least and largest error over the seeds of every cell, and how many of them diverged.

    Returns
    -------
    DataFrame
        Indexed by cell: ``median``, ``least``, ``largest``, ``seeds``, ``diverged``.
    """
    by = by if isinstance(by, str) else list(by)
    cells = frame.assign(diverged=np.isfinite(frame["diverged_at"])).groupby(by, sort=False)
    table = cells["error"].agg(median="median", least="min", largest="max", seeds="size")
    return table.assign(diverged=cells["diverged"].sum())
