"""Training: a task under a rule, one compiled loop for every rule.

The rule is called as it stands in `rules`, with the task's gradient as its oracle. Its theta is the task's:
one vector, or a tree of arrays, which the rule sees as `Parts`. A piece of steps is one `jax.lax.scan`; the
data are its arguments, and no part of the compiled program. Between pieces the records are taken, a
checkpoint written, and a run that has left the finite numbers ended. Where XLA runs on a CPU it flushes
subnormal numbers, so a velocity that dies out costs nothing (a test holds it to that).
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import operator
import os
import time
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from momentum_lib.clock import Clock, count_of, progress_bar, real, reals
from momentum_lib.collection import needs, write_whole
from momentum_lib.definition import Rule, RuleError, brief
from momentum_lib.fingerprints import fingerprint, is_installed
from momentum_lib.learning.tasks import Task
from momentum_lib.parts import Parts
from momentum_lib.schedules import Schedule

__all__ = ["Training", "describe", "train"]

Array = np.ndarray[Any, Any]
Measure = Callable[[Any], Any]  # of theta, a number
_MOST = 2**31 - 1  # steps: JAX counts them in 32 bits


@dataclass(frozen=True, eq=False)
class Training:
    """What a training recorded, or a grid of trainings of shape S.

    Attributes
    ----------
    rule : Rule
        The rule at the setting it trained with.
    t : (rows,) int array
        Steps made at each record; the first is 0.
    loss : (rows, *S) array
        Mean loss of the batches since the last record, read where the rule reads its gradient; nan at t = 0.
    error : (rows, *S) array
        The task's error at theta; inf from the record on that finds theta not finite.
    diverged_at : int or None, or (*S) array
        First step whose theta is not finite; on a grid inf where there was none.
    measured : dict of str to (rows, *S) array
        What `measure` found, by its name; nan where theta is not finite.
    theta : array or tree of arrays
        The last iterate, as ``task.start`` gave the first; on a grid each array has S in front.
    slots : dict of str to array or tree of arrays
        All slots after the last step: NumPy arrays, or JAX's where they lie on several devices.
    seconds : float
        Wall time of the loop, compilation included, over all its interruptions.
    """

    rule: Rule
    task: Task
    t: Array
    loss: Array
    error: Array
    measured: dict[str, Array]
    diverged_at: Any
    slots: dict[str, Any] = field(repr=False)
    seconds: float

    @property
    def theta(self) -> Any:
        """The last iterate."""
        return self.slots[self.rule.slots[0]]


@needs("jax", "learning")
def train(
    rule: Rule,
    task: Task,
    steps: int,
    *,
    seed: npt.ArrayLike = 0,
    every: int | None = None,
    target: float | None = None,
    measure: Mapping[str, Measure] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Training:
    """Train `task` with `rule`.

    What an earlier call compiled is used again only while rule, task and their helpers have the same code.

    Parameters
    ----------
    rule : Rule
        At its setting, each letter a number, an array (a grid, see Notes) or a function of t (**t is 1 on the
        first step**); written in arithmetic or in functions of the array's own `namespace`.
    task : Autoencoder, Classifier, RecurrentTask, or of your own
        See `momentum_lib.learning.tasks`.
    steps : int
        Updates.
    seed : int, or array of int
        Of the first weights and the batches. Rules trained with one seed see the same of both.
    every : int, optional
        Record the error each `every` steps, and at the end; a twentieth of `steps` by default.
    target : float, optional
        Stop early, at the first record whose error is at most this; on a grid, when every cell that has not
        diverged has had such a record.
    measure : mapping of str to function, optional
        ``f(theta)``, a number, is recorded with each error: the share of test images told wrongly, say
        ``{"wrong": Classifier().wrong}``, or a sharpness.
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
        steps < 0 or from 2³¹ on, every < 1, seed < 0, letters and seeds that do not broadcast, what is no
        task, what is measured is no number, a task that draws by NumPy's dice, or a checkpoint of another
        training; the setting that differs is named.

    Notes
    -----
    Arrays of letters and seeds broadcast to a grid of shape S, as in `run`, and one compiled loop trains all
    its cells. A cell has the weights and batches that its seed has alone, and its numbers but for rounding,
    which a long training lets grow. A cell that diverges has a date of its own and an error of inf from there
    on, and leaves the others alone. Memory grows with the cells.

    Examples
    --------
    >>> from momentum_lib import nesterov
    >>> from momentum_lib.learning import Classifier
    >>> trained = train(nesterov.at(eta=0.1, gamma=0.9), Classifier(), 200)
    >>> bool(trained.error[-1] < 0.1 * trained.error[0]), trained.diverged_at
    (True, None)
    >>> row = train(nesterov.at(eta=[[0.1], [0.01]], gamma=0.9), Classifier(), 20, seed=range(3), every=10)
    >>> row.error.shape, [weights.shape for weights, bias in row.theta]
    ((3, 2, 3), [(2, 3, 64, 32), (2, 3, 32, 10)])
    """
    import jax

    clock, steps = Clock(rule, functools.partial(reals, finite=False)), count_of("steps", steps, 0, _MOST)
    seeds = _seeds(seed, clock.shape)
    grid, cells = seeds.shape, (seeds.size,) * (seeds.ndim > 0)  # as it is told, and as it is trained
    every = max(1, -(-steps // 20)) if every is None else count_of("every", every, 1)
    file = None if checkpoint is None else Path(checkpoint)
    measure = {} if measure is None else measure
    _check(task, target, measure)
    told = {"task": task, "steps": steps, "seed": seed, "every": every, "target": target}
    settings = {} if file is None else describe_training(rule, measure, **told)

    @functools.cache
    def start(seed: int) -> tuple[Any, Any]:
        theta = jax.tree.map(jax.numpy.asarray, task.start(seed))
        return tuple(_tree(slot, theta) for slot in rule.init(_point(theta))), jax.random.key(seed)

    starts = [start(int(seed)) for seed in seeds.flat]
    state, base = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *starts) if grid else starts[0]
    error = _compiled_error(task)
    piece = functools.cache(lambda body, watched: _piece(rule.base, task, body, watched, bool(grid)))

    def record(loss: Any) -> Array:
        row = np.full((3 + len(measure), *cells), np.nan)
        row[0], row[1], row[2] = done, loss, np.inf
        for cell in np.ndindex(cells):
            if np.isinf(dates[cell]):
                theta = jax.tree.map(operator.itemgetter(cell), state[0]) if cell else state[0]
                found = [real(f"measure {n!r}", f(theta), finite=False) for n, f in measure.items()]
                row[(slice(2, None), *cell)] = float(error(theta)), *found
        return row

    done, dates, seconds = 0, np.full(cells, np.inf), 0.0
    if file is not None and file.is_file():
        state, rows, done, dates, seconds = _resume(file, settings, state)
    else:
        rows = [record(np.nan)]
    began = time.perf_counter() - seconds
    bar = progress_bar(steps, "step") if progress else None
    if bar is not None:
        bar.update(done)
    losses: list[Array] = []  # since the last record
    while done < steps and (np.isinf(dates) & ~_met(target, rows)).any():
        alone = done == 0 and rule.has_first_step
        count = 1 if alone else min(every - done % every, steps - done)
        t = np.arange(done + 1, done + count + 1)
        table = _table(clock, t, grid, jax.tree.leaves(state[0])[0].dtype)
        body = clock.body(done + 1)
        new, read, finite = piece(body, False)(state, base, t, table)
        losses.append(np.asarray(read, float))
        lost = np.isinf(dates) & ~np.asarray(finite)
        if lost.any():  # to look at theta at each step takes time, so this piece alone is made again for it
            each = np.asarray(piece(body, True)(state, base, t, table)[2])
            dates = np.where(lost & ~each.all(axis=-1), t[np.argmin(each, axis=-1)], dates)
        state = new
        done += count
        if bar is not None:
            bar.update(count)
        if done % every == 0 or done == steps or np.isfinite(dates).all():
            rows.append(record(np.concatenate(losses, axis=-1).mean(axis=-1)))
            losses = []
            if file is not None:
                _keep(file, settings, state, rows, done, dates, time.perf_counter() - began)
    if bar is not None:
        bar.close()
    t, loss, errors, *others = np.moveaxis(rows, 1, 0).reshape(-1, len(rows), *grid)
    return Training(
        rule=rule,
        task=task,
        t=t.reshape(len(rows), -1)[:, 0].astype(int),
        loss=loss,
        error=errors,
        measured=dict(zip(measure, others, strict=True)),
        diverged_at=dates.reshape(grid) if grid else int(dates) if np.isfinite(dates) else None,
        slots=dict(zip(rule.slots, jax.tree.map(functools.partial(_fetched, grid), state), strict=True)),
        seconds=time.perf_counter() - began,
    )


def _seeds(seed: Any, letters: tuple[int, ...]) -> Array:
    """The seed of each cell of the grid that seeds and letters make."""
    seeds = np.vectorize(functools.partial(count_of, "seed"), otypes=[int])(seed)
    try:
        seeds = np.broadcast_to(seeds, np.broadcast_shapes(letters, seeds.shape))
    except ValueError:
        raise ValueError(
            f"letters of shape {letters} and seeds of shape {seeds.shape} do not broadcast; for every letter "
            "with every seed give the letters a last axis of 1, eta=etas[:, None]."
        ) from None
    if not seeds.size:
        raise ValueError(f"letters and seeds make a grid of shape {seeds.shape}; give at least one of each.")
    return seeds


def _met(target: float | None, rows: list[Array]) -> Any:
    """Which cells have had a record that meets the target."""
    return np.False_ if target is None else np.any([row[2] <= target for row in rows], axis=0)


def _check(task: Any, target: Any, measure: Any) -> None:
    """Refuse before the first step what would end in an error of Python's."""
    parts = "start", "draw", "loss", "error"
    if isinstance(task, type) or not all(hasattr(task, part) for part in parts):
        raise ValueError(
            f"{brief(task)} is no task; give Classifier(), Autoencoder(), RecurrentTask(...) or a value with "
            f"the methods {', '.join(parts)}."
        )
    if target is not None and np.isnan(real("target", target, finite=False)):
        raise ValueError("target is nan, which no error meets; give a number.")
    if not isinstance(measure, Mapping) or not all(map(callable, measure.values())):
        raise ValueError(f'measure is {brief(measure)}; give functions of theta by name, {{"name": f}}.')


def _fetched(grid: tuple[int, ...], array: Any) -> Any:
    """A NumPy array, unless it lies on several devices and may be larger than one holds."""
    array = np.asarray(array) if len(array.devices()) == 1 else array
    return array.reshape(*grid, *array.shape[1:]) if grid else array


def _point(tree: Any) -> Any:
    """What a rule computes with: a vector as it is, else the leaves as one point."""
    import jax

    leaves = jax.tree.leaves(tree)
    return tree if tree is leaves[0] and tree.ndim < 2 else Parts(leaves)


def _tree(point: Any, like: Any) -> Any:
    """A point as a tree again, each array in the type of the one in its place."""
    import jax

    old, shape = jax.tree.flatten(like)
    new = point.parts if isinstance(point, Parts) else [point]
    return shape.unflatten(jax.numpy.asarray(a, b.dtype) for a, b in zip(new, old, strict=True))


# --- What is compiled -------------------------------------------------------------------------------


def by_code(make: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what `make` compiles as long as the code of its arguments is the same.

    Arguments that cannot tell their code are compiled each time. Where code is new, what remembers the old
    within it is emptied: a helper under `jax.jit`.
    """
    kept = functools.lru_cache(maxsize=16)(lambda code, *things: make(*things))

    @functools.wraps(make)
    def made(*things: Any) -> Any:
        met: dict[int, Any] = {}
        try:
            code = fingerprint(*things, met=met)
        except ValueError:
            return make(*things)
        before = kept.cache_info().misses
        compiled = kept(code, *things)
        if kept.cache_info().misses > before:
            for thing, _ in met.values():
                getattr(thing, "clear_cache", int)()
        return compiled

    made.kept = kept  # type: ignore[attr-defined]
    return made


def data_apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled, the arrays it closes over handed to the program as arguments.

    A constant would be copied into each program, folded, and held as long as it.
    """
    import jax

    programs: dict[Any, Any] = {}

    def called(*given: Any) -> Any:
        leaves, shape = jax.tree.flatten(given)
        leaves = [leaf if isinstance(leaf, jax.Array) else jax.numpy.asarray(leaf) for leaf in leaves]
        key = shape, *((leaf.shape, leaf.dtype) for leaf in leaves)
        if key not in programs:
            fresh = lambda *given: function(*given)  # noqa: E731 - JAX keeps traces by the function
            traced, out = jax.make_jaxpr(fresh, return_shape=True)(*shape.unflatten(leaves))

            @jax.jit  # type: ignore[untyped-decorator]
            def program(data: Any, leaves: Any) -> Any:
                return jax.core.eval_jaxpr(traced.jaxpr, data, *leaves)

            data = [jax.numpy.asarray(array) for array in traced.consts]
            programs[key] = program, data, jax.tree.structure(out)
        program, data, structure = programs[key]
        return structure.unflatten(program(data, leaves))

    return called


@by_code
def _piece(rule: Rule, task: Task, body: Any, watched: bool, many: bool) -> Any:
    """The compiled loop: (slots, key, steps, table of letters) to (slots, losses, finite).

    `finite` is of theta at each step where it is watched, else of all losses and the last theta together.
    Of many trainings, each but the steps has an axis in front.
    """
    import jax
    import jax.numpy as jnp

    _refuse_dice(task)
    read = jax.value_and_grad(task.loss)

    def is_finite(tree: Any) -> Any:
        return jnp.isfinite(functools.reduce(operator.add, (leaf.sum() for leaf in jax.tree.leaves(tree))))

    def one(state: Any, at: Any) -> Any:
        key, letters = at
        batch = task.draw(key)
        losses = []

        def grad(x: Any) -> Any:
            loss, gradient = read(_tree(x, state[0]), batch)
            losses.append(loss)
            return _point(gradient)

        new = rule.apply(body, map(_point, state), grad, letters)
        new = tuple(map(_tree, new, state))
        return new, (losses[0], is_finite(new[0]) if watched else None)

    def piece(state: Any, base: Any, t: Any, table: Any) -> Any:
        keys = jax.vmap(lambda step: jax.random.fold_in(base, step))(t)
        state, (losses, finite) = jax.lax.scan(one, state, (keys, table))
        return state, losses, finite if watched else is_finite((state[0], losses))

    return data_apart(jax.vmap(piece, in_axes=(0, 0, None, 0)) if many else piece)


def _refuse_dice(task: Task) -> None:
    """Refuse a draw that changes by itself: traced, its first batch would be the batch of every step."""
    import jax

    key = jax.random.key(0)
    one, two = (jax.make_jaxpr(lambda key: task.draw(key))(key) for _ in range(2))  # each traced anew
    arrays = [a is b or np.array_equal(a, b) for a, b in zip(one.consts, two.consts, strict=False)]
    if str(one) != str(two) or not all(arrays):
        raise ValueError(
            f"{type(task).__name__}.draw gives two batches for one key, and a compiled loop would keep the "
            "first for every step; draw by jax.random with the key, not by NumPy."
        )


@by_code
def _compiled_error(task: Task) -> Any:
    return data_apart(task.error)


def _table(clock: Clock, t: Array, grid: tuple[int, ...], dtype: Any) -> dict[str, Array]:
    """Every letter at each of the steps t, in theta's type; on a grid (cells, steps)."""
    with np.errstate(over="ignore"):  # what is too large for float32 is told below
        table = {name: np.asarray(column, dtype) for name, column in clock.table(t).items()}
    for name, column in table.items():
        if not np.isfinite(column).all():
            worst = tuple(np.argwhere(~np.isfinite(column))[0])
            raise RuleError(f"{name} is {column[worst]} at t = {t[worst[0]]} in {dtype}; make it finite.")
        steps_last = np.broadcast_to(np.moveaxis(column, 0, -1), (*grid, len(t)))
        table[name] = steps_last.reshape(*(-1,) * bool(grid), len(t))
    return table


# --- Checkpoints ------------------------------------------------------------------------------------


def describe(thing: Any) -> Any:
    """Tell a setting in words that JSON can keep: the same words mean the same training.

    Code of one's own is told by its `fingerprint`, beside its settings.

    Raises
    ------
    ValueError
        A function as a setting, or what has no settings to tell it by.

    Examples
    --------
    >>> from momentum_lib import sutskever
    >>> from momentum_lib.learning import Digits
    >>> describe({"gamma": sutskever(0.99), "source": Digits(count=200)})
    {'gamma': 'sutskever(gamma_max=0.99, period=250)', 'source': {'kind': 'Digits', 'count': 200, \
'shuffled_labels': None}}
    """
    if thing is None or isinstance(thing, str | bool | int):
        return thing
    if isinstance(thing, float | np.floating | np.integer):
        return thing.item() if isinstance(thing, np.generic) else thing
    if isinstance(thing, Rule):
        return repr(thing) if _says_all(thing) else f"{thing!r} {fingerprint(thing.step, thing.first_step)}"
    if isinstance(thing, Mapping):
        return {str(name): describe(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple | range):
        return [describe(value) for value in thing]
    if isinstance(thing, Schedule):  # a sequence is kept as a tuple and told as the list it was written as
        fields = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
        values = (f"{name}={list(v) if isinstance(v, tuple) else v!r}" for name, v in fields.items())
        told = f"{type(thing).__name__}({', '.join(values)})"
        if " at 0x" in told:
            raise ValueError(f"{type(thing).__name__} has no settings to tell it by; give it numbers.")
        return told if is_installed(type(thing).__module__) else f"{told} {fingerprint(type(thing))}"
    if callable(thing) and not dataclasses.is_dataclass(thing):
        raise ValueError(
            f"{thing!r} is a function without settings to tell it by; use one of momentum_lib.schedules."
        )
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        code = {} if is_installed(type(thing).__module__) else {"code": fingerprint(type(thing))}
        fields = {f.name: describe(getattr(thing, f.name)) for f in dataclasses.fields(thing)}
        return {"kind": type(thing).__name__, **fields, **code}
    if not hasattr(thing, "shape"):
        raise ValueError(f"{type(thing).__name__} has no settings to tell it by; make it a frozen dataclass.")
    return f"{type(thing).__name__} of shape {tuple(thing.shape)} {fingerprint(thing)}"


def _says_all(rule: Rule) -> bool:
    """Whether the rule's text tells its code: this library's, made of numbers."""
    if rule.made_by is None:
        return is_installed(rule.step.__module__) and is_installed(rule.first_step.__module__)
    maker, given = rule.made_by
    return is_installed(maker.__module__) and all(
        _says_all(part) if isinstance(part, Rule) else not callable(part) for part in given
    )


def describe_training(
    rule: Rule, measure: Mapping[str, Measure] | None = None, **told: Any
) -> dict[str, Any]:
    """All settings of a training, in words; a letter that bears the name of another setting says so."""
    told = {"rule": rule.base, **told}
    letters = {f"letter {name}" if name in told else name: value for name, value in rule.setting.items()}
    words = {name: describe(value) for name, value in {**told, **letters}.items()}
    return words | ({"measure": {name: _words(f) for name, f in measure.items()}} if measure else {})


def _words(function: Any) -> Any:
    """A function to measure by: its name, what is bound to it, and its code if it is one's own."""
    if isinstance(function, functools.partial):
        return [_words(function.func), describe(function.args), describe(function.keywords)]
    if isinstance(function, types.MethodType):
        return [_words(function.__func__), describe(function.__self__)]
    name = f"{function.__module__}.{function.__qualname__}"
    return name if is_installed(function.__module__) else f"{name} {fingerprint(function)}"


def _flattened(settings: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(settings, Mapping):
        return {name: settings}
    parts = (_flattened(value, f"{name}.{key}" if name else key) for key, value in settings.items())
    return {key: value for part in parts for key, value in part.items()}


def _keep(file: Path, settings: Any, state: Any, rows: Any, done: int, dates: Array, seconds: float) -> None:
    """Write the state, whole."""
    import jax

    arrays = {f"slot{i}": np.asarray(array) for i, array in enumerate(jax.tree.leaves(state))}
    told = json.dumps({"settings": settings, "done": done, "seconds": seconds})
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, told=np.array(told), rows=np.array(rows), dates=dates, **arrays)
    write_whole(file, content.getvalue())


def _resume(file: Path, settings: Any, like: Any) -> tuple[Any, Any, int, Array, float]:
    """Slots, records, steps made, where it diverged, seconds; refused if made with other settings."""
    import jax

    try:
        with file.open("rb") as stream, np.load(stream) as kept:
            told = json.loads(str(kept["told"]))
            rows, dates = list(kept["rows"]), kept["dates"]
            arrays = [kept[f"slot{i}"] for i in range(len(kept.files) - 3)]
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a checkpoint of a training ({error}); remove it.") from None
    theirs, ours = _flattened(told["settings"]), _flattened(json.loads(json.dumps(settings)))
    for name in [*ours, *theirs]:
        if theirs.get(name) == ours.get(name):
            continue
        if name.endswith("code") or name.startswith("measure."):
            what = name.removesuffix(".code")
            raise ValueError(
                f"The checkpoint {file.name} was made with other code of {what}, or of what it calls; "
                "take the code back, or use another file."
            )
        raise ValueError(
            f"The checkpoint {file.name} was made with {name} = {theirs.get(name)!r}, this training has "
            f"{ours.get(name)!r}; use the same {name}, or another file."
        )
    leaves, shape = jax.tree.flatten(like)
    if [array.shape for array in arrays] != [leaf.shape for leaf in leaves]:
        raise ValueError(f"{file} is a checkpoint of arrays of other shapes than this task's; remove it.")
    placed = [jax.device_put(array, leaf.sharding) for array, leaf in zip(arrays, leaves, strict=True)]
    return shape.unflatten(placed), rows, told["done"], dates, told["seconds"]
