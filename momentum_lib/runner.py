"""Run a rule: recording, divergence, and going on where a run stopped.

Time is `clock`'s: it counts the steps and reads the schedules. The runner freezes one batch of a
stochastic oracle per step, records, and notes the step at which a run leaves the finite numbers.
Divergence is a result here, never an error.
"""

from __future__ import annotations

import copy
import functools
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from numbers import Number
from typing import Any, Final

import numpy as np

from momentum_lib.clock import Clock, brief, count_of, numbers, refuse_frozen
from momentum_lib.definition import Rule, RuleError, is_schedule
from momentum_lib.problems.base import Problem, on_jax

__all__ = ["Run", "generator", "names_to_record", "refuse_too_large", "run"]

Array = np.ndarray[Any, Any]

#: Steps of one call: some two hours, at ten microseconds each.
MOST: Final = 10**9


@dataclass(frozen=True, eq=False)
class Run:
    """What a run recorded.

    Attributes
    ----------
    rule : Rule
        The rule at the setting it ran with.
    t : (rows,) int array
        The step counts recorded: t0, t0 + every, t0 + 2 every, ...
    slots : dict of str to (rows, *S, *theta0.shape) array
        The recorded slots, `theta` among them.
    queries : (steps read, *S, *theta0.shape) array or None
        Where the gradient was read in the step that leaves ``theta[k]``. A rule that reads it m times a
        step adds an axis of length m after the first.
    diverged_at : int, None or (*S) float array
        First step whose theta is not finite: None (on a grid, inf) where there is none.
    state : dict of str to array
        All slots after the last step, to start from again: ``run(..., start=state, t0=...)``.
    """

    rule: Rule
    t: Array
    slots: dict[str, Array]
    queries: Array | None
    diverged_at: Any
    state: dict[str, Array] = field(repr=False)
    _on: _Going = field(repr=False)

    @property
    def theta(self) -> Array:
        """Recorded iterates; ``theta[0]`` is where the run started."""
        try:
            return self.slots[self.rule.slots[0]]
        except KeyError:
            name = self.rule.slots[0]
            raise AttributeError(f"{name} was not recorded; add {name!r} to record=.") from None

    def resume(self, steps: int) -> Run:
        """Go on for `steps` more steps; the whole run, recorded from its start.

        Bit for bit the run that was never interrupted: the step count goes on, the first step is not
        taken again, schedules and the random generator stand where they stood.

        Raises
        ------
        ValueError
            steps < 0, a recording that does not fit.

        Examples
        --------
        >>> from momentum_lib import heavy_ball
        >>> half = run(heavy_ball.at(eta=0.5, gamma=0.5), lambda x: x, 1.0, 2)
        >>> half.resume(1).theta
        array([ 1.  ,  0.5 ,  0.  , -0.25])
        """
        return _carry_on(self, count_of("steps", steps), copy.deepcopy(self._on.rng))


@dataclass(frozen=True, eq=False)
class _Going:
    """What a run needs besides its record to go on."""

    grad: Callable[[Any], Any]
    point: tuple[int, ...]
    t0: int
    done: int
    every: int
    rng: np.random.Generator | None
    dates: Array
    warned: frozenset[str]


def run(
    rule: Rule,
    grad: Callable[[Any], Any],
    theta0: Any,
    steps: int,
    *,
    start: Mapping[str, Any] | None = None,
    t0: int = 0,
    rng: np.random.Generator | int | None = None,
    every: int = 1,
    record: Iterable[str] | None = None,
) -> Run:
    """Run `rule` from `theta0` for `steps` steps.

    Parameters
    ----------
    rule : Rule
        Every letter set: a number, an array of shape S (one run for a whole grid), or a schedule, a
        function of t. **t is 1 on the first step.**
    grad : callable
        Gradient oracle: takes and returns an array of theta0's shape (with S in front on a grid). The
        array it takes cannot be written to. A stochastic one has ``grad.at_step(t, rng)``, which returns
        the frozen oracle of one step.
    theta0 : scalar or array
        Start. Floating and complex dtypes are kept (bfloat16 too), integers become float64, objects
        such as `fractions.Fraction` stay exact. None where `start` has theta. A JAX array is stepped by JAX:
        one compiled scan of the same rule and `grad`, which are given JAX's arrays; see Notes.
    steps : int
        Number of steps, at least 0.
    start : mapping of slot to value, optional
        Slots that start other than at rest; `Run.state` for instance, theta included. An array of a
        wider type keeps its type: a float32 velocity under float16 weights.
    t0 : int
        Steps made before this run; the next one is t0 + 1.
    rng : numpy Generator or seed, optional
        Handed to stochastic oracles. A run of one that begins at t0 > 0 takes no seed, which would draw
        again what the steps before it drew.
    every : int
        Record each `every`-th step.
    record : iterable of str, optional
        Slots to record, and ``"queries"``; all of them by default.

    Raises
    ------
    RuleError
        What is no rule, an open letter; a rule or an oracle that changes the shape; slots of another rule.
    ValueError
        theta0 not finite, steps < 0, shapes that do not broadcast, a recording that does not fit.

    Notes
    -----
    NumPy is the reference. JAX fuses products with sums and so rounds otherwise, by some 1e-16 a step of
    theta, which a chaotic run lets grow. It takes no oracle that changes from step to step, and reads a
    schedule at all steps before the first.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> run(heavy_ball.at(eta=0.5, gamma=0.5), lambda x: x, 1.0, 3).theta
    array([ 1.  ,  0.5 ,  0.  , -0.25])
    """
    rule = refuse_frozen(rule)
    if not callable(grad):
        raise ValueError(f"grad must be a function of theta, got {type(grad).__name__}; pass problem.grad.")
    steps, every, t0 = count_of("steps", steps), count_of("every", every, 1), count_of("t0", t0)
    grid = Clock(rule).shape
    if not isinstance(start, Mapping | None):
        raise ValueError(f"start is a {type(start).__name__}; give a mapping of slots, as Run.state is.")
    first = (start or {}).get(rule.slots[0], theta0)
    jax = on_jax(first)
    if jax:  # the start is read as any other and handed back
        floating = first.dtype.kind not in "iub"
        theta0 = theta0 if theta0 is None else np.asarray(theta0 if floating else theta0.astype(float))
        start = {name: np.asarray(value) for name, value in (start or {}).items()}
    keep = names_to_record(rule, record)
    rest, point = _start(rule, theta0, dict(start or {}), grid)
    state: list[Any] = rest
    if jax:
        with _precision(*rest):
            state = [sys.modules["jax"].numpy.asarray(slot) for slot in rest]
    _tell_unusual(rule)
    if t0 and hasattr(grad, "at_step") and not isinstance(rng, np.random.Generator | None):
        raise ValueError(
            f"a run that goes on at t0={t0} takes the Generator of the run before, not "
            f"the seed {brief(rng)}; keep the generator, or use Run.resume."
        )
    rng = generator(rng)
    going = _Going(
        grad=grad,
        point=point,
        t0=t0,
        done=0,
        every=every,
        rng=None,
        dates=np.full(grid, np.inf),
        warned=frozenset(),
    )
    empty = Run(
        rule=rule,
        t=np.array([t0]),
        slots={n: s[None] for n, s in zip(rule.slots, rest, strict=True) if n in keep},
        queries=rest[0][None][:0] if "queries" in keep else None,
        diverged_at=None,
        state=dict(zip(rule.slots, state, strict=True)),
        _on=going,
    )
    return _carry_on(empty, steps, rng)


def _carry_on(before: Run, steps: int, rng: np.random.Generator | None) -> Run:
    """`steps` more steps of a run, with all that it recorded before."""
    on = before._on
    theta = next(iter(before.state.values()))
    if steps > MOST:
        raise ValueError(f"steps is {steps}, hours of work; take at most {MOST:.0e} and go on with resume.")
    end = on.done + steps
    rows, reads = end // on.every + 1, -(-end // on.every)
    refuse_too_large(
        rows * sum(before.state[n].nbytes for n in before.slots)
        + (before.queries is not None) * reads * theta.nbytes
    )
    warned = set(on.warned)
    with np.errstate(all="ignore"):
        more = (_compiled if on_jax(theta) else _stepped)(before, end, rng, warned)
    slots, queries, dates, state = more
    return Run(
        rule=before.rule,
        t=on.t0 + np.arange(rows) * on.every,
        slots=slots,
        queries=before.queries if queries is None else queries,
        diverged_at=dates if dates.ndim else (int(dates) if np.isfinite(dates) else None),
        state=dict(zip(before.rule.slots, state, strict=True)),
        # A copy: the generator is the caller's, who may go on drawing from it.
        _on=replace(on, done=end, rng=copy.deepcopy(rng), dates=dates, warned=frozenset(warned)),
    )


#: What a run adds: slots, queries, the dates of divergence, and the last state.
_More = tuple[dict[str, Array], Array | None, Array, list[Array]]


def _stepped(before: Run, end: int, rng: np.random.Generator | None, warned: set[str]) -> _More:
    """Step in NumPy up to step `end`."""
    rule, on, every = before.rule, before._on, before._on.every
    state = list(before.state.values())
    shape, dtype = state[0].shape, state[0].dtype
    grid, exact = shape[: len(shape) - len(on.point)], dtype.kind == "O"
    rows, reads = end // every + 1, -(-end // every)
    slots = {n: _grown(values, rows) for n, values in before.slots.items()}
    queries = None if before.queries is None or not len(before.queries) else _grown(before.queries, reads)
    dates, last = on.dates.copy(), [np.empty(shape, s.dtype) for s in state]
    at_step = getattr(on.grad, "at_step", None)

    def room(asked: list[Array]) -> Array:
        """The record of queries, made when the first step has told how many there are."""
        nonlocal queries
        if queries is None:
            queries = np.empty((reads, *(() if len(asked) == 1 else (len(asked),)), *shape), dtype)
            queries[: on.done // every] = np.nan
        return queries

    def stretch(cells: slice | None) -> None:
        def part(array: Array, lead: int = 0) -> Array:
            """These cells of an array whose grid comes after `lead` axes."""
            if cells is None:
                return array
            rows = array.reshape(*array.shape[:lead], -1, *on.point)
            return rows[(slice(None),) * lead + (cells,)]

        # On the plane each coordinate in one piece; more of them might be summed in another order.
        order: Any = "F" if cells is not None and on.point == (2,) else "K"
        state = [np.array(part(s), order=order) for s in before.state.values()]
        kept = {n: part(values, 1) for n, values in slots.items()}
        date = dates if cells is None else dates.reshape(-1)[cells]
        here, dtypes = state[0].shape, [s.dtype for s in state]
        axes = tuple(range(len(here) - len(on.point), len(here)))
        clock = Clock(rule, _reader(before, cells))
        # Where theta is a scalar, NumPy returns scalars: give them back their (empty) shape.
        asarray = np.asarray
        asked: list[Array] = []
        oracle, owner = on.grad, getattr(on.grad, "__self__", None)
        new = isinstance(owner, Problem) and type(owner).__module__.startswith("momentum_lib.problems.")

        def ask(x: Any) -> Array:
            x = asarray(x, dtype)
            seen = x.view()
            seen.flags.writeable = False
            gradient = _gradient(oracle, seen, dtype, new)
            asked.append(x)
            return gradient

        lost = not (exact or np.isfinite(state[0]).any())
        done, read = on.done, None if queries is None else part(queries, queries.ndim - len(shape))
        while done < end and not (lost and done):
            done += 1
            t = on.t0 + done
            if at_step is not None:
                oracle = at_step(t, rng)
            asked.clear()
            letters = clock.letters(t)
            if clock.schedules and not exact:
                _tell_schedules(rule, clock, letters, t, warned)
            made = rule.apply(clock.body(t), state, ask, letters)
            if done == 1:  # what a step returns, looked at once
                made = tuple(map(_cast, (f"{n} of {rule.name}" for n in rule.slots), made, dtypes))
            state = [asarray(s, kind) for s, kind in zip(made, dtypes, strict=True)]
            if done == 1 or clock.varies:
                _check_shapes(rule, state, here)
            if before.queries is not None and (done - 1) % every == 0 and asked:
                if read is None:
                    whole = room(asked)
                    read = part(whole, whole.ndim - len(shape))
                many = read.ndim > 1 + len(here)
                if (read.shape[1] if many else 1) != len(asked):
                    raise RuleError(
                        f"{rule.name} reads the gradient {len(asked)} times at step {t}, another number than "
                        f"before; leave the queries out, record={rule.slots}."
                    )
                read[(done - 1) // every, ...] = np.stack(asked) if many else asked[0]
            if done % every == 0:
                for name, values in kept.items():
                    values[done // every, ...] = state[rule.slots.index(name)]
            if not (exact or (finite := np.isfinite(state[0])).all()):
                date[...] = np.where(~finite.all(axis=axes) & np.isinf(date), t, date)
                lost = not finite.any()  # nothing left to compute; what follows is not a number
        for values in kept.values():
            values[done // every + 1 :] = np.nan
        if read is not None:
            read[(done - 1) // every + 1 :] = np.nan
        for whole, value in zip(last, state, strict=True):
            part(whole)[...] = value

    length = _together(on, grid, state[0], _PIECE)
    # Once it has freed so large a block, glibc keeps those of a step, whose pages else come anew each time.
    np.empty(16 * _PIECE)
    for cells in [slice(low, low + length) for low in range(0, dates.size, length)] if length else [None]:
        stretch(cells)
    return slots, queries, dates, last


#: Entries of theta that NumPy steps in one piece: the slots and what a step makes of them stay in cache.
_PIECE: Final = 2**17

#: And a program of JAX: its steps cost little besides their arithmetic, so that they stay in the innermost.
_BLOCK: Final = 5 * 2**8


def _together(on: _Going, grid: tuple[int, ...], theta: Any, entries: int) -> int:
    """How many cells of the grid, in a row, are stepped together; the last piece may be smaller.

    0 where they are not parted: each is known to be a run of its own under a problem alone.
    """
    cells, size = math.prod(grid), math.prod(on.point)
    alone = isinstance(getattr(on.grad, "__self__", None), Problem)
    if not (grid and cells * size and alone) or theta.dtype.kind == "O":
        return 0
    return -(-cells // -(-cells * size // entries))


def _reader(before: Run, cells: slice | None) -> Callable[[str, Any], Any]:
    """How a letter is read: over theta's axes, in some cells, in the widest type of any slot."""
    on, slots = before._on, list(before.state.values())
    dtypes, axes = [s.dtype for s in slots], len(on.point)
    wide = dtypes[0] if dtypes[0].kind == "O" else np.result_type(*dtypes)
    grid = slots[0].shape[: slots[0].ndim - axes]

    def read(name: str, value: Any) -> Any:
        if cells is not None and np.ndim(value):
            rows = numbers(name, value)
            try:
                value = np.broadcast_to(rows, grid).flat[cells]
            except ValueError:
                raise RuleError(
                    f"{name} of {before.rule.name} turned from shape {grid} into {rows.shape}; a schedule "
                    "keeps the shape it has at t=1."
                ) from None
        return _letter(name, value, wide, axes)

    return read


# --- JAX --------------------------------------------------------------------------------------------


def _compiled(before: Run, end: int, rng: Any, warned: set[str]) -> _More:
    """Step in JAX up to step `end`: the same rule, oracle and letters in one compiled scan."""
    import jax

    rule, on, every = before.rule, before._on, before._on.every
    if hasattr(on.grad, "at_step"):
        raise ValueError(
            f"{type(on.grad).__name__} is another function at every step, made in NumPy; start from a NumPy "
            "array, theta0=np.asarray(...)."
        )
    if on.done % every:
        raise ValueError(
            f"a run in JAX goes on from a step it recorded, and {on.done} is no multiple of every={every}; "
            "resume after one that is."
        )
    reading, state = before.queries is not None, list[Any](before.state.values())
    axes, real = len(on.point), np.empty(0, state[0].dtype).real.dtype
    # An accelerator takes the grid at once.
    near = all(device.platform == "cpu" for device in state[0].devices())
    length = _together(on, on.dates.shape, state[0], _BLOCK) if near else 0
    made_of = rule.base, on.grad, every, tuple(before.slots), reading, axes, length
    try:
        scan = _scan(*made_of)
    except TypeError:  # an oracle without a hash
        scan = _scan.__wrapped__(*made_of)
    t = np.arange(on.t0 + on.done + 1, on.t0 + end + 1)
    with _precision(*state):
        clock = Clock(rule, _reader(before, None))
        table = clock.table(t)
        varying = {name: table[name] for name in clock.schedules}
        for k, step in enumerate(t.tolist() if varying else ()):
            _tell_schedules(rule, clock, {n: column[k] for n, column in varying.items()}, step, warned, 5)
        if rule.counts:
            varying["t"] = t.astype(real)
        try:
            last, lost, kept, read = scan(tuple(state), clock.constants, varying, t)
        except jax.errors.JAXTypeError as error:
            raise RuleError(
                f"JAX cannot trace grad or a step of {rule.name} ({str(error).splitlines()[0]}); write "
                "it with jax.numpy, or start from a NumPy array."
            ) from error
        slots = {
            name: jax.numpy.concatenate([values, new[1:]]) if len(values) > 1 else new
            for (name, values), new in zip(before.slots.items(), kept, strict=True)
        }
        queries: Any = before.queries
        if read is not None:
            queries = jax.numpy.concatenate([queries, read]) if len(queries) else read
    date = np.asarray(lost)
    dates = np.where(np.isinf(on.dates) & (date > 0), date, on.dates)
    return slots, queries, dates, list(last)


def _precision(*state: Any) -> AbstractContextManager[Any]:
    """JAX in double precision, where any of these is."""
    import jax

    double = any(s.dtype in (np.float64, np.complex128) for s in state)
    context: AbstractContextManager[Any] = jax.enable_x64(True) if double else nullcontext()
    return context


@functools.lru_cache(maxsize=16)
def _scan(
    rule: Rule,
    oracle: Callable[[Any], Any],
    every: int,
    names: tuple[str, ...],
    reading: bool,
    axes: int,
    length: int,
) -> Any:
    """The compiled loop: (slots, constants, letters of each step, t) to (slots, dates, records, queries).

    The cells go through in blocks of `length`, one after another, or at once where it is 0. The carry has the
    coordinates first, each in one piece.
    """
    import jax

    xp, lax, tree = jax.numpy, jax.lax, jax.tree

    @jax.jit  # type: ignore[untyped-decorator]
    def blocks(start: Any, constants: Any, varying: Any, t: Any) -> Any:
        grid = start[0].shape[: start[0].ndim - axes]
        cells = math.prod(grid)
        if not 0 < length < cells:
            return scan(start, constants, varying, t)
        size = -(-length // 16) * 16  # in whole vectors
        count = -(-cells // size)

        def cut(array: Any, lead: int) -> Any:
            """The blocks first; the last cell fills up the last of them."""
            before, after = array.shape[:lead], array.shape[array.ndim - axes :]
            row = xp.broadcast_to(array, before + grid + after).reshape(*before, cells, *after)
            ends = [(0, (count * size - cells) * (axis == lead)) for axis in range(row.ndim)]
            filled = xp.pad(row, ends, mode="edge")
            return xp.moveaxis(filled.reshape(*before, count, size, *after), lead, 0)

        def joined(array: Any, lead: int) -> Any:
            array = xp.moveaxis(array, 0, lead)
            before, after = array.shape[:lead], array.shape[lead + 2 :]
            row = array.reshape(*before, count * size, *after)
            return lax.slice_in_dim(row, 0, cells, axis=lead).reshape(before + grid + after)

        def block(at: Any) -> Any:
            state, fixed, now = at
            return scan(state, {**constants, **fixed}, {**varying, **now}, t)

        fixed = {n: cut(v, 0) for n, v in constants.items() if xp.ndim(v)}
        now = {n: cut(v, 1) for n, v in varying.items() if xp.ndim(v) > 1}
        last, date, kept, read = lax.map(block, (tuple(cut(s, 0) for s in start), fixed, now))
        if read is not None:
            read = joined(read, read.ndim - axes - 2)
        return tuple(joined(s, 0) for s in last), joined(date, 0), [joined(k, 1) for k in kept], read

    def scan(start: Any, constants: Any, varying: Any, t: Any) -> Any:
        shape, turned = start[0].shape, axes == 1 < start[0].ndim

        def inward(slot: Any) -> Any:
            return xp.moveaxis(slot, -1, 0) if turned else slot

        def outward(slot: Any) -> Any:
            return xp.moveaxis(slot, 0, -1) if turned else slot

        def step(carry: Any, at: Any) -> Any:
            state: Any
            (state, date), (now, t) = carry, at

            def make(body: Any) -> Any:
                asked = []

                def ask(x: Any) -> Any:
                    x = xp.asarray(x, start[0].dtype)
                    answer = oracle(x)
                    gradient = xp.asarray(answer, x.dtype)
                    _refuse_shape(answer, gradient, x)
                    asked.append(x)
                    return gradient

                slots = rule.apply(body, map(outward, state), ask, {**constants, **now})
                made = [xp.asarray(new, old.dtype) for new, old in zip(slots, start, strict=True)]
                _check_shapes(rule, made, shape)
                return tuple(map(inward, made)), asked if reading else []

            later = functools.partial(make, rule.step)
            first = functools.partial(make, rule.first_step)
            state, asked = lax.cond(t == 1, first, later) if rule.has_first_step else later()
            finite = xp.isfinite(outward(state[0])).all(axis=tuple(range(-axes, 0)))
            return (state, xp.where(~finite & (date == 0), t, date)), asked

        def block(carry: Any, steps: Any) -> Any:
            """Some steps, the queries of the first and the slots after the last."""
            asked = []
            if reading or len(steps[1]) == 1:
                carry, asked = step(carry, tree.map(lambda x: x[0], steps))
                steps = tree.map(lambda x: x[1:], steps)
            if len(steps[1]):
                carry, _ = lax.scan(lambda c, x: (step(c, x)[0], None), carry, steps)
            return carry, ([outward(carry[0][rule.slots.index(n)]) for n in names], asked)

        rows = len(t) // every
        left = tree.map(lambda x: x[rows * every :], (varying, t))
        steps = tree.map(lambda x: x[: rows * every].reshape(rows, every, *x.shape[1:]), (varying, t))
        carry = tuple(map(inward, start)), xp.zeros(shape[: len(shape) - axes], t.dtype)
        carry, (kept, asked) = lax.scan(block, carry, steps)
        if len(left[1]):
            carry, (_, more) = block(carry, left)
            asked = [xp.concatenate([a, b[None]]) for a, b in zip(asked, more, strict=True)]
        first = [start[rule.slots.index(n)][None] for n in names]
        kept = [xp.concatenate(rows) for rows in zip(first, kept, strict=True)]
        queries = asked[0] if len(asked) == 1 else xp.stack(asked, axis=1) if asked else None
        return tuple(map(outward, carry[0])), carry[1], kept, queries

    return blocks


# --- NumPy ------------------------------------------------------------------------------------------


def _gradient(oracle: Callable[[Any], Any], x: Array, dtype: Any, new: bool) -> Array:
    """What an oracle answers, as an array that is nobody else's: a copy, unless it is `new` as ours are."""
    try:
        answer = oracle(x)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise ValueError(
            "grad writes into the point it is given, the iterate itself; compute on a copy, x = 2 * x."
        ) from error
    if hasattr(answer, "toarray"):
        raise RuleError("grad returned a sparse matrix; return an array, .toarray() of it.")
    try:
        own = new and type(answer) is np.ndarray and answer.dtype == dtype
        gradient: Array = answer if own else _cast("what grad returned", answer, dtype)
    except RuleError:
        if not isinstance(answer, tuple):
            raise
        gradient = np.empty(0)
    _refuse_shape(answer, gradient, x)
    return gradient


def _refuse_shape(answer: Any, gradient: Any, x: Any) -> None:
    if gradient.shape != x.shape:
        if isinstance(answer, tuple):
            raise RuleError(
                f"grad returned {len(answer)} things, a value and a gradient perhaps; return the gradient."
            )
        raise RuleError(
            f"grad returned shape {gradient.shape} for theta of shape {x.shape}; return one "
            "derivative a coordinate, leading axes kept."
        )


def _cast(name: str, value: Any, dtype: Any) -> Array:
    """A copy in a type, refused where something would be lost on the way."""
    if dtype.kind == "O":
        return np.array(value, dtype)
    array = value if type(value) is np.ndarray and value.dtype == dtype else numbers(name, value)
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise RuleError(f"{name} is complex and theta is not; start from a complex theta0, theta0 + 0j.")
    return np.array(array, dtype)


def _grown(values: Array, rows: int) -> Array:
    """A record with room for more rows."""
    out = np.empty((rows, *values.shape[1:]), values.dtype)
    out[: len(values)] = values
    return out


# --- the start --------------------------------------------------------------------------------------


def _start(
    rule: Rule, theta0: Any, start: dict[str, Any], grid: tuple[int, ...]
) -> tuple[list[Array], tuple[int, ...]]:
    """The slots before the first step, and the shape of one point."""
    for name in start:
        if name not in rule.slots:
            raise RuleError(
                f"start names {name!r}, but the slots of {rule.name} are {', '.join(rule.slots)}; "
                "give a state of this rule, or convert_state from another."
            )
    first = rule.slots[0]
    if theta0 is None and first not in start:
        raise ValueError(f"theta0 is None, and start has no {first}; say where to start.")
    theta = _point(start[first], first) if first in start else _point(theta0)
    if theta0 is not None:
        point = _point(theta0).shape
    else:  # start has every run of the grid
        point = theta.shape[len(grid) :] if theta.shape[: len(grid)] == grid else theta.shape
    theta = _spread(first, theta, grid + point, theta.dtype)
    state = list(rule.init(theta))
    for name, value in start.items():
        if name != first:
            kind = theta.dtype
            if isinstance(value, np.ndarray | np.generic) and kind.kind != "O" and _is_floating(value.dtype):
                wider = np.result_type(value.dtype, kind)
                kind = kind if wider.kind == "c" else wider
            state[rule.slots.index(name)] = _spread(name, _point(value, name), theta.shape, kind)
    return [np.broadcast_to(s, theta.shape) for s in state], point


def _point(theta0: Any, name: str = "theta0") -> Array:
    try:
        theta = np.asarray(theta0)
    except ValueError:  # rows of several lengths
        theta = np.asarray(None)
    if theta.dtype == object:
        if theta.size and all(type(x) is int for x in theta.flat):
            raise ValueError(f"{name} is {brief(theta0)}; start from numbers that a float can hold.")
        if all(isinstance(x, Number) or hasattr(x, "free_symbols") for x in theta.flat):
            return theta
        raise ValueError(
            f"{name} is a {type(theta0).__name__} and no array of numbers; ravel its parts into one "
            "(jax.flatten_util.ravel_pytree), or train with as_optax, which takes trees."
        )
    if not _is_floating(theta.dtype):
        if theta.dtype.kind not in "iub":
            raise ValueError(f"{name} must be numbers, got dtype {theta.dtype}.")
        theta = theta.astype(float)
    if not np.isfinite(theta).all():
        bad = theta[~np.isfinite(theta)].flat[0]
        raise ValueError(f"{name} contains {bad}; start from finite numbers.")
    return theta


def _is_floating(dtype: Any) -> bool:
    """Floats and complex numbers, bfloat16 and its like too, which NumPy has from elsewhere."""
    return dtype.kind in "fc" or (dtype.kind == "V" and dtype.names is None and np.can_cast(dtype, float))


def _spread(name: str, value: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    try:
        spread = np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"start of {name} has shape {value.shape}, which does not broadcast to theta's {shape}."
        ) from None
    return _cast(f"start of {name}", spread, dtype)


# --- letters ----------------------------------------------------------------------------------------


def _letter(name: str, value: Any, dtype: Any, axes: int) -> Any:
    """A letter in the type the rule computes in, lifted over theta's axes."""
    if isinstance(value, float) and dtype.kind == "f":  # the usual case, at every step
        return dtype.type(value)
    if dtype.kind == "c" and numbers(name, value).dtype.kind != "c":
        dtype = np.empty(0, dtype).real.dtype
    array = _cast(name, value, dtype)
    return array.reshape(array.shape + (1,) * axes)[()]


def _tell_unusual(rule: Rule) -> None:
    """A constant that no method means: a momentum outside [0, 1], a step against descent."""
    for name, value in rule.setting.items():
        if is_schedule(value):
            continue
        try:
            outside = _outside(rule, name, numbers(name, value))
        except RuleError:  # symbols
            continue
        if outside is not None:
            warnings.warn(f"{name} is {outside:g}; the run goes on.", UserWarning, stacklevel=3)


def _tell_schedules(
    rule: Rule, clock: Clock, letters: Mapping[str, Any], t: int, warned: set[str], level: int = 6
) -> None:
    for name in clock.schedules:
        if name not in warned and (outside := _outside(rule, name, letters[name])) is not None:
            warned.add(name)
            warnings.warn(
                f"the schedule of {name} gives {outside:g} at step {t}; the run goes on.",
                UserWarning,
                stacklevel=level,
            )


def _outside(rule: Rule, name: str, value: Any) -> Any:
    """The value of a letter that lies where it should not, if any does."""
    if value.dtype.kind == "c":
        return None
    inside = np.isfinite(value)
    if (name,) == rule.momentum_letters:
        inside = inside & (value >= 0) & (value <= 1)
    elif (name,) == rule.step_letters:
        inside = inside & (value >= 0)
    return None if inside.all() else float(np.asarray(value)[~inside].flat[0])


# --- checks -----------------------------------------------------------------------------------------


def names_to_record(rule: Rule, record: Iterable[str] | None) -> set[str]:
    """The slots to record, and ``"queries"``; all where `record` is None.

    Raises
    ------
    RuleError
        What the rule does not have.
    """
    known = (*rule.slots, "queries")
    try:
        names = set(known if record is None else [record] if isinstance(record, str) else record)
    except TypeError:
        raise RuleError(f"record is {brief(record)}; give names out of {', '.join(known)}.") from None
    for name in sorted(names, key=str):
        if name not in known:
            raise RuleError(f"{rule.name} cannot record {name!r}; it has {', '.join(known)}.")
    return names


def generator(rng: Any) -> np.random.Generator | None:
    """The Generator, or one made of a seed; None stays None.

    Raises
    ------
    ValueError
        What is neither.
    """
    try:
        return None if rng is None else np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise ValueError(f"rng is {brief(rng)}; give a numpy Generator or a seed, a whole number.") from None


def refuse_too_large(
    nbytes: int, remedy: str = 'record=("theta",), a larger every=, or a smaller grid'
) -> None:
    """Refuse a recording of so many bytes if it does not fit in the memory that is free.

    Raises
    ------
    ValueError
        It does not; with its size and the remedy.
    """
    if nbytes < 2**28:  # asking the system costs more than a quarter of a GiB is worth
        return
    try:
        import psutil
    except ImportError:  # a browser's Python has none
        return
    free = psutil.virtual_memory().available
    if nbytes > 0.8 * free:
        raise ValueError(
            f"the recording takes {nbytes / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free; {remedy}."
        )


def _check_shapes(rule: Rule, state: list[Array], shape: tuple[int, ...]) -> None:
    for name, value in zip(rule.slots, state, strict=True):
        if value.shape != shape:
            raise RuleError(
                f"{rule.name} turned {name} of shape {shape} into {value.shape}; "
                "a step keeps the shape of every slot."
            )
