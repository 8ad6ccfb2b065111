"""Training: a task under a rule, one compiled loop for every rule.

The rule is called as it stands in `rules`, on the flat vector theta, with the task's gradient as its
oracle. A piece of steps is one `jax.lax.scan`; between pieces the error is recorded, a checkpoint written,
and a run that has left the finite numbers ended. Where XLA runs on a CPU it flushes subnormal numbers, so
a velocity that dies out costs nothing (a test holds it to that).
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import os
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from momentum_lib.adapters.edges import one_number
from momentum_lib.clock import Clock, count_of
from momentum_lib.collection import needs, write_whole
from momentum_lib.definition import Rule, RuleError
from momentum_lib.learning.tasks import Task
from momentum_lib.schedules import Schedule
from momentum_lib.sweeps import progress_bar

__all__ = ["Training", "describe", "train"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Training:
    """What a training recorded.

    Attributes
    ----------
    rule : Rule
        The rule at the setting it trained with.
    t : (rows,) int array
        Steps made at each record; the first is 0.
    loss : (rows,) array
        Mean loss of the batches since the last record, read where the rule reads its gradient; nan at t = 0.
    error : (rows,) array
        The task's error at theta; inf from the record on that finds theta not finite.
    diverged_at : int or None
        First step whose theta is not finite.
    theta : (n,) array
        The last iterate.
    slots : dict of str to (n,) array
        All slots after the last step.
    seconds : float
        Wall time of the loop, compilation included, over all its interruptions.
    """

    rule: Rule
    task: Task
    t: Array
    loss: Array
    error: Array
    diverged_at: int | None
    slots: dict[str, Array] = field(repr=False)
    seconds: float

    @property
    def theta(self) -> Array:
        """The last iterate."""
        return self.slots[self.rule.slots[0]]


@needs("jax", "learning")
def train(
    rule: Rule,
    task: Task,
    steps: int,
    *,
    seed: int = 0,
    every: int | None = None,
    target: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Training:
    """Train `task` with `rule`.

    Parameters
    ----------
    rule : Rule
        At its setting, each letter a number or a function of t (**t is 1 on the first step**); written in
        arithmetic, as those of `RULES` are.
    task : Autoencoder, Classifier, RecurrentTask, or of your own
        See `momentum_lib.learning.tasks`.
    steps : int
        Updates.
    seed : int
        Of the first weights and the batches. Rules trained with one seed see the same of both.
    every : int, optional
        Record the error each `every` steps, and at the end; a twentieth of `steps` by default.
    target : float, optional
        Stop early, at the first record whose error is at most this.
    checkpoint : path, optional
        A file to keep the state in, written at each record. A training that finds it goes on from there and
        ends with the numbers of an uninterrupted one; a finished one is returned as it is.
    progress : bool
        Show a bar (on stderr, if tqdm is installed).

    Returns
    -------
    Training
        A training that leaves the finite numbers ends there and says so in `diverged_at`.

    Raises
    ------
    RuleError
        What is no rule, an open letter, a schedule that leaves the finite numbers.
    ValueError
        steps < 0, every < 1, or a checkpoint of another training; the setting that differs is named.

    Examples
    --------
    >>> from momentum_lib import nesterov
    >>> from momentum_lib.learning import Classifier
    >>> trained = train(nesterov.at(eta=0.1, gamma=0.9), Classifier(), 200)
    >>> bool(trained.error[-1] < 0.1 * trained.error[0]), trained.diverged_at
    (True, None)
    """
    clock, steps = Clock(rule, one_number), count_of("steps", steps)
    every = max(1, -(-steps // 20)) if every is None else count_of("every", every, 1)
    file = None if checkpoint is None else Path(checkpoint)
    told = {"task": task, "steps": steps, "seed": seed, "every": every, "target": target}
    settings = {} if file is None else describe_training(rule, **told)
    if file is not None and file.is_file():
        state, rows, done, diverged_at, seconds = _resume(file, settings)
    else:
        theta = np.asarray(task.start(seed))
        state = [np.array(slot) for slot in rule.init(theta)]
        rows, done, diverged_at, seconds = [(0, np.nan, _error(task, theta))], 0, None, 0.0
    began, base = time.perf_counter() - seconds, _key(seed)
    bar = progress_bar(steps, "step") if progress else None
    if bar is not None:
        bar.update(done)
    losses: list[float] = []  # since the last record
    while done < steps and diverged_at is None and not (target is not None and rows[-1][2] <= target):
        alone = done == 0 and rule.has_first_step
        count = 1 if alone else min(every - done % every, steps - done)
        t = np.arange(done + 1, done + count + 1)
        piece = _piece(rule.base, clock.body(done + 1), task)
        state, read, finite = piece(tuple(state), base, t, _table(clock, t, state[0].dtype))
        losses += np.asarray(read).tolist()
        finite = np.asarray(finite)
        if not finite.all():
            diverged_at = int(t[np.argmin(finite)])
        done += count
        if bar is not None:
            bar.update(count)
        if done % every == 0 or done == steps or diverged_at is not None:
            error = np.inf if diverged_at is not None else _error(task, state[0])
            rows.append((done, float(np.mean(losses)), error))
            losses = []
            if file is not None:
                _keep(file, settings, state, rows, done, diverged_at, time.perf_counter() - began)
    if bar is not None:
        bar.close()
    t, loss, errors = (np.array(column) for column in zip(*rows, strict=True))
    return Training(
        rule=rule,
        task=task,
        t=t,
        loss=loss,
        error=errors,
        diverged_at=diverged_at,
        slots={name: np.asarray(slot) for name, slot in zip(rule.slots, state, strict=True)},
        seconds=time.perf_counter() - began,
    )


# --- One piece of steps -----------------------------------------------------------------------------


@functools.lru_cache(maxsize=16)
def _piece(rule: Rule, body: Any, task: Task) -> Any:
    """The compiled loop: (slots, key, steps, table of letters) to (slots, losses, finite)."""
    import jax
    import jax.numpy as jnp

    read = jax.value_and_grad(task.loss)

    def one(state: Any, at: Any) -> Any:
        key, letters = at
        batch = task.draw(key)
        losses = []

        def grad(x: Any) -> Any:
            loss, gradient = read(x, batch)
            losses.append(loss)
            return gradient

        new = rule.apply(body, state, grad, letters)
        new = tuple(jnp.asarray(slot, state[0].dtype) for slot in new)
        return new, (losses[0], jnp.isfinite(new[0].sum()))

    @jax.jit  # type: ignore[untyped-decorator]
    def piece(state: Any, base: Any, t: Any, table: Any) -> Any:
        keys = jax.vmap(lambda step: jax.random.fold_in(base, step))(t)
        state, (losses, finite) = jax.lax.scan(one, state, (keys, table))
        return state, losses, finite

    return piece


@functools.lru_cache(maxsize=16)
def _compiled_error(task: Task) -> Any:
    import jax

    return jax.jit(task.error)


def _error(task: Task, theta: Any) -> float:
    return float(_compiled_error(task)(theta))


def _key(seed: int) -> Any:
    import jax

    return jax.random.key(seed)


def _table(clock: Clock, t: Array, dtype: Any) -> dict[str, Array]:
    """Every letter at each of the steps t, in theta's type."""
    with np.errstate(over="ignore"):  # what is too large for float32 is told below
        table = {name: np.asarray(column, dtype) for name, column in clock.table(t).items()}
    for name, column in table.items():
        if not np.isfinite(column).all():
            worst = np.argmin(np.isfinite(column))
            raise RuleError(f"{name} is {column[worst]} at t = {t[worst]} in {dtype}; make it finite.")
    return table


# --- Checkpoints ------------------------------------------------------------------------------------


def describe(thing: Any) -> Any:
    """Tell a setting in words that JSON can keep: the same words mean the same training.

    Examples
    --------
    >>> from momentum_lib import sutskever
    >>> from momentum_lib.learning import Digits
    >>> describe({"gamma": sutskever(0.99), "source": Digits(count=200)})
    {'gamma': 'sutskever(gamma_max=0.99, period=250)', 'source': {'kind': 'Digits', 'count': 200, \
'shuffled_labels': None}}
    """
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type | Schedule):
        fields = {f.name: describe(getattr(thing, f.name)) for f in dataclasses.fields(thing)}
        return {"kind": type(thing).__name__, **fields}
    if isinstance(thing, Mapping):
        return {str(name): describe(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [describe(value) for value in thing]
    if thing is None or isinstance(thing, str | bool | int):
        return thing
    if isinstance(thing, float | np.floating | np.integer):
        return thing.item() if isinstance(thing, np.generic) else thing
    if isinstance(thing, Rule) and not thing.__module__.startswith("momentum_lib."):
        # A rule of one's own changes under its name: its body tells it, too.
        code = getattr(thing.step, "__code__", None)
        body = "" if code is None else f" {zlib.crc32(code.co_code + repr(code.co_consts).encode()):08x}"
        return f"{thing!r}{body}"
    if callable(thing) and not isinstance(thing, Schedule | Rule):
        raise ValueError(
            f"{thing!r} is a function without settings to tell it by; use one of momentum_lib.schedules."
        )
    told = repr(thing)
    if isinstance(thing, Schedule):  # a sequence is kept as a tuple and told as the list it was written as
        fields = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
        values = (f"{name}={list(v) if isinstance(v, tuple) else v!r}" for name, v in fields.items())
        told = f"{type(thing).__name__}({', '.join(values)})"
    if " at 0x" in told:
        raise ValueError(f"{type(thing).__name__} has no settings to tell it by; make it a frozen dataclass.")
    return told


def describe_training(rule: Rule, **told: Any) -> dict[str, Any]:
    """All settings of a training, in words; a letter that bears the name of another setting says so."""
    told = {"rule": rule.base, **told}
    letters = {f"letter {name}" if name in told else name: value for name, value in rule.setting.items()}
    return {name: describe(value) for name, value in {**told, **letters}.items()}


def _flattened(settings: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(settings, Mapping):
        return {name: settings}
    parts = (_flattened(value, f"{name}.{key}" if name else key) for key, value in settings.items())
    return {key: value for part in parts for key, value in part.items()}


def _keep(
    file: Path, settings: Any, state: Any, rows: Any, done: int, diverged_at: int | None, seconds: float
) -> None:
    """Write the state, whole."""
    slots = {f"slot{i}": np.asarray(slot) for i, slot in enumerate(state)}
    told = json.dumps({"settings": settings, "done": done, "diverged_at": diverged_at, "seconds": seconds})
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, told=np.array(told), rows=np.array(rows), **slots)
    write_whole(file, content.getvalue())


def _resume(file: Path, settings: Any) -> tuple[Any, Any, int, int | None, float]:
    """Slots, records, steps made, where it diverged, seconds; refused if made with other settings."""
    try:
        with file.open("rb") as stream, np.load(stream) as kept:
            told = json.loads(str(kept["told"]))
            rows = [(int(row[0]), float(row[1]), float(row[2])) for row in kept["rows"]]
            state = [kept[f"slot{i}"] for i in range(len(kept.files) - 2)]
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a checkpoint of a training ({error}); remove it.") from None
    theirs, ours = _flattened(told["settings"]), _flattened(json.loads(json.dumps(settings)))
    for name in [*ours, *theirs]:
        if theirs.get(name) != ours.get(name):
            raise ValueError(
                f"The checkpoint {file.name} was made with {name} = {theirs.get(name)!r}, this training has "
                f"{ours.get(name)!r}; use the same {name}, or another file."
            )
    return state, rows, told["done"], told["diverged_at"], told["seconds"]
