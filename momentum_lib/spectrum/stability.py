"""Spectral radius, regimes and the stability limit of a rule on one eigen-direction."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from momentum_lib.clock import a_rule
from momentum_lib.definition import Rule, RuleError
from momentum_lib.spectrum.probing import Reading, probe, radius_of_quadratic, read, stack_columns, trace_det

__all__ = ["regimes", "spectral_radius", "stability_limit"]

Array = np.ndarray[Any, Any]

#: A modulus that rounding cannot tell from 1 counts as 1.
_ONE = 1 - 1e-13


def spectral_radius(rule: Rule, lam: Any) -> Any:
    """The largest modulus of an eigenvalue of the iteration matrix: the asymptotic rate a step.

    A closed form for one and two slots, so that whole maps cost milliseconds; eigenvalues beyond.

    Parameters
    ----------
    rule, lam
        As in `iteration_matrix`; a step size that alone is open counts as 1, and lam is eta lam.

    Returns
    -------
    (...) array or float
        nan where an entry of the matrix is not finite.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> float(round(spectral_radius(heavy_ball.at(gamma=0.81), 0.5), 12))    # sqrt(gamma)
    0.9
    """
    lam, reading = read(a_rule(rule).in_unit_steps(), lam)
    out = np.empty(np.broadcast_shapes(lam.shape, reading.shape))

    def whole(value: Any) -> Any:
        return np.broadcast_to(value, out.shape) if np.ndim(value) else value

    lam, reading = whole(lam), reading.part(whole)
    for at in _pieces(out.shape):

        def here(value: Any, at: Any = at) -> Any:
            return value[at] if np.ndim(value) else value

        columns = _columns(reading.part(here), here(lam))
        with np.errstate(all="ignore"):
            if len(columns) <= 2:
                out[at] = radius_of_quadratic(*trace_det(columns))
            else:
                out[at] = np.abs(_eigenvalues(stack_columns(columns))).max(axis=-1)
    return out[()]


def _pieces(shape: tuple[int, ...], most: int = 2**14) -> Iterator[Any]:
    """Indices that cut a map into pieces small enough to stay in cache on the way."""
    axis = next((k for k in range(len(shape)) if math.prod(shape[k + 1 :]) <= most), None)
    if axis is None:
        yield ()
        return
    rows = max(1, most // max(1, math.prod(shape[axis + 1 :])))
    for at in np.ndindex(shape[:axis]):
        yield from ((*at, slice(low, low + rows)) for low in range(0, shape[axis], rows))


def _columns(reading: Reading, lam: Any) -> list[list[Any]]:
    """The columns of the iteration matrix."""
    return [reading.advance(unit, lam) for unit in np.eye(len(reading.rule.slots))]


def _eigenvalues(matrix: Array) -> Array:
    """(..., n) eigenvalues; nan for a matrix that is not finite."""
    out = np.full(matrix.shape[:-1], np.nan, complex)
    finite = np.isfinite(matrix).all(axis=(-2, -1))
    out[finite] = np.linalg.eigvals(matrix[finite])
    return out


def regimes(rule: Rule, lam: Any) -> Any:
    """How one eigen-direction moves in the long run, as words.

    Parameters
    ----------
    rule, lam
        As in `spectral_radius`.

    Returns
    -------
    (...) array of str, or str
        ``"monotone"`` (the dominant eigenvalue is real and positive), ``"critical"`` (a double positive
        one), ``"oscillating"`` (a complex pair), ``"alternating"`` (real and negative: the sign flips
        every step), ``"unstable"`` (modulus 1 or more, or beyond the largest float).

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> regimes(heavy_ball.at(gamma=0.25), [0.01, 0.25, 1.0, 2.9, 4.0]).tolist()
    ['monotone', 'critical', 'oscillating', 'unstable', 'unstable']
    """
    lam, reading = read(a_rule(rule).in_unit_steps(), lam)
    shape, columns = np.broadcast_shapes(lam.shape, reading.shape), _columns(reading, lam)
    with np.errstate(all="ignore"):
        if len(columns) <= 2:
            trace, det = trace_det(columns)
            rho = radius_of_quadratic(trace, det)
            swing = np.sqrt(trace * trace / 4 - det + 0j)
            roots = np.stack([trace / 2 + swing, trace / 2 - swing], axis=-1)
        else:
            roots = _eigenvalues(stack_columns(columns))
            rho = np.abs(roots).max(axis=-1)
        order = np.argsort(-np.abs(roots), axis=-1)[..., :2]
        top, second = np.moveaxis(np.take_along_axis(roots, order, axis=-1), -1, 0)
        # Rounding splits a double root by 1e-8; one slot has one root.
        double = (np.abs(top - second) <= 1e-6 * (1 + np.abs(top))) & (len(columns) > 1)
        turns = ~double & (np.abs(top.imag) > 1e-9 * (1 + np.abs(top)))
        words = np.select(
            [~(rho < _ONE), turns, top.real < 0, double],
            ["unstable", "oscillating", "alternating", "critical"],
            "monotone",
        )
    return np.array(np.broadcast_to(words, shape))[()]


def stability_limit(rule: Rule) -> Any:
    """The largest curvature below which every smaller one is stable.

    A step size that alone is open counts as 1: for heavy ball this is the limit of eta lam. Exact
    (tight): the curvatures that put a root on the unit circle are solved for, not searched. Beyond the
    limit the rule may be stable again. A rule that reads the gradient several times a step, or has
    complex letters, is looked at on 1601 curvatures over sixteen decades and bisected.

    Parameters
    ----------
    rule : Rule
        As in `spectral_radius`.

    Returns
    -------
    (...) array or float
        0 if no small curvature is stable, inf if all are.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`; a setting that is no number to step with.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> float(stability_limit(heavy_ball.at(gamma=0.5)))
    3.0
    """
    rule = a_rule(rule).in_unit_steps()
    read(rule)  # refuses symbols
    system = probe(rule)
    if not all(np.isfinite(part).all() for part in system):
        raise RuleError(f"{rule} divides by zero, or by nearly zero; set other values.")
    shape = np.broadcast_shapes(*(part.shape[:-2] for part in system))
    parts = [np.broadcast_to(part, shape + part.shape[-2:]) for part in system]
    out = np.empty(shape)
    for at in np.ndindex(shape):
        cell = [part[at] for part in parts]
        one_read = cell[1].shape[-1] == 1 and not any(map(np.iscomplexobj, cell))
        out[at] = (_limit_solved if one_read else _limit_searched)(*cell)
    return out[()]


def _radius(a: Array, b: Array, c: Array, d: Array, lam: Any) -> Array:
    """The spectral radius at an array of curvatures; the gradients are lam times the queries."""
    lam = np.asarray(lam)[..., None, None]
    matrix = a + b @ np.linalg.solve(np.eye(len(d)) - lam * d, lam * c)
    return np.asarray(np.abs(_eigenvalues(matrix)).max(axis=-1))


def _limit_solved(a: Array, b: Array, c: Array, d: Array) -> float:
    """One read a step: det(z - A - lam B C) = p0(z) + lam p1(z) is affine in lam.

    On the unit circle lam = -p0/p1 must be real: p0(z) p1(1/z) = p1(z) p0(1/z), a polynomial equation in z
    of which 1 and -1 always are roots. Up to the first such lam > 0 nothing changes.
    """
    p0, p1, adjugate = [1.0], [0.0], np.eye(len(a))  # Faddeev and Le Verrier: no determinant, no cancellation
    for k in range(1, len(a) + 1):
        p1.append(-(c @ adjugate @ b).item())
        p0.append(-np.trace(a @ adjugate) / k)
        adjugate = a @ adjugate + p0[-1] * np.eye(len(a))
    real = np.polysub(np.polymul(p0, p1[::-1]), np.polymul(p1, p0[::-1]))
    roots = np.roots(np.polydiv(real, [1.0, 0.0, -1.0])[0])
    first = math.inf
    for z in (-1.0, 1.0, *roots[np.abs(np.abs(roots) - 1) < 1e-7]):
        above, below = np.polyval(p0, z), np.polyval(p1, z)
        # Where only rounding is left of p0 the crossing is at 0: the fixed point every rule has there.
        if below and abs(above) > 1e-13 * np.abs(p0).sum():
            lam = float((-above / below).real)
            first = lam if 0 < lam < first else first
    return first if _radius(a, b, c, d, first / 2 if first < math.inf else 1.0) < _ONE else 0.0


def _limit_searched(a: Array, b: Array, c: Array, d: Array) -> float:
    """Several reads a step, or complex letters: the first unstable curvature of a grid, then bisection."""
    lam = np.geomspace(1e-8, 1e8, 1601) / (np.linalg.norm(b) * np.linalg.norm(c) or 1.0)
    unstable = _radius(a, b, c, d, lam) >= _ONE
    first = int(unstable.argmax())
    if not unstable[first]:
        return math.inf
    low, high = (lam[first - 1], lam[first]) if first else (0.0, 0.0)
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _radius(a, b, c, d, middle) < 1 else (low, middle)
    return float(low)


def trusted(setting: Mapping[str, float], rates: Callable[[dict[str, Array]], Any]) -> float:
    """A rate at a setting; 1 or more where it hangs on the last digits of the letters, and so is none.

    Parameters
    ----------
    setting : mapping of letter to number
    rates : function
        From the letters as (cells,) arrays to the rates there.
    """
    digit = 1e-14 * np.vstack([np.zeros(len(setting)), np.eye(len(setting)), -np.eye(len(setting))])
    letters = {name: value * (1 + part) for (name, value), part in zip(setting.items(), digit.T, strict=True)}
    found = np.atleast_1d(rates(letters))
    return float(found[0] if 1 - found.max() > 0.8 * (1 - found[0]) else max(1.0, found.max()))
