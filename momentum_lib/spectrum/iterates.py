"""Exact iterates without stepping, and how far a stable iteration grows before it decays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from momentum_lib.clock import Clock, brief, count_of, numbers
from momentum_lib.definition import Rule
from momentum_lib.runner import refuse_too_large, run
from momentum_lib.spectrum.probing import (
    Reading,
    as_number,
    iteration_matrix,
    refuse_nonlinear,
    stack_columns,
)
from momentum_lib.spectrum.stability import spectral_radius

__all__ = ["Transient", "closed_form", "transient_growth"]

Array = np.ndarray[Any, Any]

#: Matrix products that `transient_growth` takes on: minutes.
_MOST = 1e8


class Transient(NamedTuple):
    """The largest norm a power of the iteration matrix reaches, and the step at which it does."""

    peak: Any
    step: Any


def closed_form(
    rule: Rule, problem: Any, theta0: Any, steps: int, *, start: Mapping[str, Any] | None = None
) -> Array:
    """The iterates of ``run(rule, problem.grad, theta0, steps)`` without stepping.

    Powers of the iteration matrix by doubling: log2(steps) products, also at critical damping, where the
    eigenvectors collapse and a diagonalization fails. Rules with `t`, and schedules, multiply their
    step matrices.

    Parameters
    ----------
    rule : Rule
        Any linear rule, every letter set: numbers, arrays of a shape S, or schedules.
    problem : Quadratic
        Has ``eigenvalues`` (d,), ``eigenvectors`` (d, d) or None, and ``linear`` (d,) for
        f = 1/2 x'Ax - b'x.
    theta0 : (d,) array or scalar
    steps : int
    start : mapping of slot to value, optional
        As in `run`.

    Returns
    -------
    (steps + 1, *S, d) array.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`, and as `run`.
    ValueError
        theta0 of another dimension, steps < 0, a problem that is no quadratic.

    Examples
    --------
    >>> from momentum_lib import Quadratic, heavy_ball
    >>> closed_form(heavy_ball.at(eta=0.5, gamma=0.5), Quadratic([1.0]), [1.0], 3)[:, 0]
    array([ 1.  ,  0.5 ,  0.  , -0.25])
    """
    steps = count_of("steps", steps)
    eigenvalues = getattr(problem, "eigenvalues", None)
    if eigenvalues is None:
        raise ValueError(f"{brief(problem)} has no eigenvalues; the closed form is that of a Quadratic.")
    eigenvalues = np.atleast_1d(np.asarray(eigenvalues, float))
    basis = problem.eigenvectors
    theta0 = numbers("theta0", theta0)
    if theta0.shape not in ((), eigenvalues.shape):
        raise ValueError(f"theta0 has shape {theta0.shape}; give {len(eigenvalues)} numbers, or one.")
    theta0 = np.broadcast_to(theta0, eigenvalues.shape)
    # Every letter has an axis for the eigen-directions.
    clock = Clock(rule, lambda name, value: np.asarray(as_number(name, value))[..., None])
    pull = problem.linear if basis is None else problem.linear @ basis
    size = len(rule.slots)

    def affine(t: int) -> Array:
        """Step t as a matrix on (state, 1), so that a linear term needs no shift of the origin."""
        reading = Reading(rule, clock.body(t), clock.letters(t))
        if t <= 2:
            refuse_nonlinear(reading, eigenvalues)
        columns = [[*reading.advance(unit, eigenvalues), 0.0] for unit in np.eye(size)]
        return stack_columns([*columns, [*reading.advance(np.zeros(size), eigenvalues, -pull), 1.0]])

    rest = run(rule, lambda x: x, theta0, 0, start=start).state  # the start as a run has it
    state = [x if basis is None else x @ basis for x in rest.values()]
    now = np.stack([*state, np.ones_like(state[0])], axis=-1)[..., None]
    refuse_too_large((steps + 1) * now.nbytes)
    path = np.empty((steps + 1, *now.shape), np.result_type(now, float))
    path[0] = now
    with np.errstate(all="ignore"):
        if steps:
            path[1] = affine(1) @ now
        if clock.varies:
            for t in range(2, steps + 1):
                path[t] = affine(t) @ path[t - 1]
        elif steps > 1:
            done, power = 1, affine(2)  # power advances by `done` steps
            while done < steps:
                more = min(done, steps - done)
                path[done + 1 : done + 1 + more] = power @ path[1 : 1 + more]
                done, power = done + more, power @ power
        theta = path[..., 0, 0]
        return np.array(theta) if basis is None else theta @ basis.T


def transient_growth(rule: Rule, lam: Any) -> Transient:
    """The largest 2-norm of a power of the iteration matrix, and when it is reached.

    A stable matrix with skew eigenvectors grows before it decays. The norm depends on the coordinates
    of the state (the rule's own slots here); the spectral radius does not. Exact (tight): powers are
    multiplied until one of them is below 1, after which none can exceed what was seen.

    Parameters
    ----------
    rule, lam
        As in `iteration_matrix`.

    Returns
    -------
    Transient
        ``peak`` and ``step``, each (...); inf where the spectral radius is 1 or more, to 1e-9.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`.
    ValueError
        A radius so near to 1 that its powers would take hours: the cost grows as 1/(1 - rho).

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> float(round(transient_growth(heavy_ball.at(eta=1.0, gamma=0.9), 0.001).peak, 1))
    7.6
    """
    matrix, rho = iteration_matrix(rule, lam), np.asarray(spectral_radius(rule, lam))
    shape, rho = rho.shape, rho.reshape(-1)
    flat = np.broadcast_to(matrix, shape + matrix.shape[-2:]).reshape(-1, *matrix.shape[-2:])
    peak, at = np.full(len(flat), np.inf), np.full(len(flat), np.inf)
    active = np.flatnonzero(rho < 1 - 1e-9)  # nearer to 1 no power might ever fall below 1
    peak[active], at[active] = 1, 0
    memory = 1 / (1 - rho[active])
    if memory.sum() + 20 * memory.max(initial=0) > _MOST:  # a product alone costs as twenty in a stack
        raise ValueError(
            f"a spectral radius of {rho[active].max():.9g} takes some {memory.max():.0e} powers to decay; "
            "leave out the cells nearest to the stability limit."
        )
    power, t = flat[active], 1
    while active.size:
        norm = np.linalg.norm(power, 2, axis=(-2, -1))
        higher = norm > peak[active]
        peak[active[higher]], at[active[higher]] = norm[higher], t
        # ||M^t|| < 1 with every earlier power at most `peak` bounds all later ones by `peak`.
        keep = norm >= 1
        active, power = active[keep], power[keep] @ flat[active[keep]]
        t += 1
    return Transient(peak.reshape(shape)[()], at.reshape(shape)[()])
