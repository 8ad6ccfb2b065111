"""When a run hits a tolerance and when it stays within: exact whole numbers for whole maps.

`stepped` is the definition: run every cell and note. `leaps.leapt` gives the same numbers for constant
rules of one and two slots without looking at every step.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from momentum_lib.clock import Clock, count_of, progress_bar, real, reals
from momentum_lib.definition import Rule
from momentum_lib.spectrum.leaps import MOST, can_leap, cells_of, leapt, too_long
from momentum_lib.spectrum.probing import Reading, as_number, refuse_nonlinear

__all__ = ["hitting_time", "settling_time"]

Array = np.ndarray[Any, Any]

#: Cells looked at in one go, so that a map takes little more memory than its letters and its answer.
_PART = 2**16


def hitting_time(rule: Rule, eigenvalues: Any, theta0: Any, tol: float, cap: int) -> Any:
    """The exact first step at which ||theta|| <= tol ||theta0|| on a quadratic with its minimizer at 0.

    Momentum oscillates, so hits can be isolated dips: a bisection would miss them and a run may leave
    again (see `settling_time`).

    Parameters
    ----------
    rule : Rule
        Any linear rule, started at rest; every letter set: numbers, arrays of a shape S (a whole map),
        or schedules.
    eigenvalues : (d,) array
    theta0 : (d,) array or scalar
        Start, in eigen-coordinates.
    tol : float
        Relative tolerance, at least 1e-150.
    cap : int
        Last step looked at. What takes seconds shows a bar of its steps (on stderr, if tqdm is installed).

    Returns
    -------
    (*S) float array or float
        Whole numbers; inf where no step up to `cap` hits.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`.
    ValueError
        tol, cap, eigenvalues or theta0 that are none; a count that would take hours.

    Examples
    --------
    >>> from momentum_lib import gradient_descent
    >>> float(hitting_time(gradient_descent.at(eta=2 / 101), [1.0, 100.0], 1.0, 1e-6, 2000))
    691.0
    """
    return _times(rule, eigenvalues, theta0, tol, cap, settle=False)


def settling_time(rule: Rule, eigenvalues: Any, theta0: Any, tol: float, cap: int) -> Any:
    """The first step from which ||theta|| <= tol ||theta0|| holds at every step up to `cap`.

    Parameters, shapes and errors as `hitting_time`; inf where the tolerance is exceeded at `cap`. Prefer
    it for claims about convergence: a hit may be a zero crossing.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> at = dict(eigenvalues=[1.0], theta0=1.0, tol=1e-6, cap=2000)
    >>> ball = heavy_ball.at(eta=1.0, gamma=0.9)
    >>> float(hitting_time(ball, **at)), float(settling_time(ball, **at))
    (1.0, 263.0)
    """
    return _times(rule, eigenvalues, theta0, tol, cap, settle=True)


def _times(rule: Rule, eigenvalues: Any, theta0: Any, tol: float, cap: int, *, settle: bool) -> Any:
    lam, theta = reals("eigenvalues", eigenvalues), reals("theta0", theta0)
    tol, cap = real("tol", tol, least=1e-150), count_of("cap", cap)
    lam = np.atleast_1d(lam)
    if lam.ndim != 1 or not lam.size:
        raise ValueError(f"eigenvalues have shape {lam.shape}; give a list of numbers.")
    if theta.shape not in ((), lam.shape):
        raise ValueError(f"theta0 has shape {theta.shape}; give {lam.size} numbers, or one.")
    shape = Clock(rule).shape
    probed = lam[:1]
    start = np.broadcast_to(theta, lam.shape)
    lam, start = lam[start != 0], start[start != 0]  # a mode at rest stays at rest
    if not start.size or (tol >= 1 and not settle):
        return np.zeros(shape)[()]
    start = np.ldexp(start, -np.frexp(np.abs(start).max())[1])  # exact, and squares stay in range
    count = math.prod(shape)

    def part(cells: slice) -> Array:
        """The times of some cells, in a row; the modes are the axis before it."""

        def row(name: str, value: Any) -> Any:
            return np.broadcast_to(as_number(name, value), shape).flat[cells]

        clock = Clock(rule, row)
        for t in (1, 2):
            refuse_nonlinear(Reading(rule, clock.body(t), clock.letters(t)), probed)
        answer = leapt if can_leap(clock) else stepped
        with np.errstate(all="ignore"), _telling(cap) as tell:
            return answer(clock, lam[:, None], start[:, None], tol, cap, settle, tell)

    out = np.concatenate([part(slice(low, low + _PART)) for low in range(0, max(count, 1), _PART)])
    return np.where(out > cap, np.inf, out).reshape(shape)[()]


@contextlib.contextmanager
def _telling(cap: int) -> Iterator[Callable[[int], None]]:
    """Where a count says how far it is; a bar of `cap` steps shows once that has taken seconds."""
    patience, bar = time.monotonic() + 2, None

    def tell(t: int) -> None:
        nonlocal patience, bar
        if time.monotonic() > patience:
            patience, bar = math.inf, progress_bar(cap, "step")
        if bar is not None:
            bar.update(t - bar.n)

    try:
        yield tell
    finally:
        if bar is not None:
            bar.close()


def stepped(
    clock: Clock,
    lam: Array,
    start: Array,
    tol: float,
    cap: int,
    settle: bool,
    tell: Callable[[int], None] = lambda t: None,
) -> Array:
    """The times of all cells, in a row, by stepping the state of each mode (rows) in each cell.

    Parameters
    ----------
    clock : Clock
        Of a rule whose letters have one entry a cell.
    lam, start : (modes, 1) arrays
    tell : function
        Called with each step that is made.
    """
    count = cells_of(clock)
    # A step costs that of a thousand entries at least.
    if cap * (math.prod(clock.shape) * len(lam) + 1000) > MOST:
        raise too_long(math.prod(clock.shape), len(lam), cap)
    level = tol * np.linalg.norm(start, axis=0)
    out = np.full(count, float(tol < 1) if settle else np.inf)
    alive = np.arange(count)
    state: Any = [np.broadcast_to(s, (len(lam), count)) for s in clock.rule.init(start)]
    for t in range(1, cap + 1):
        tell(t)
        letters = {n: v[alive] if np.ndim(v) else v for n, v in clock.letters(t).items()}
        state = clock.rule.apply(clock.body(t), state, lambda x: lam * x, letters)
        state = [np.broadcast_to(s, (len(lam), alive.size)) for s in state]
        inside = np.linalg.norm(state[0], axis=0) <= level  # what overflowed is outside
        if settle:
            out[~inside] = t + 1  # so far
        else:
            out[alive[inside]] = t
            on = ~inside & np.isfinite(state[0]).all(axis=0)
            alive, state = alive[on], [s[:, on] for s in state]
            if not alive.size:
                break
    return out
