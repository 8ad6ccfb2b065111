"""One eigen-direction is a recursive filter: gradients or noise go in, a slot comes out."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from momentum_lib.clock import count_of, reals
from momentum_lib.definition import Rule, RuleError
from momentum_lib.noise.covariance import lyapunov
from momentum_lib.noise.loops import EPS, Array, close, slot_number
from momentum_lib.runner import refuse_too_large

__all__ = ["Smoothing", "filter_coefficients", "frequency_response", "impulse_response", "smoothing"]


class Smoothing(NamedTuple):
    """What a slot makes of the gradients: `noise` of white noise, `signal` of a constant.

    `noise` is the slot's variance where the gradient's is 1, `signal` its value where the gradient is 1.
    """

    noise: float
    signal: float

    @property
    def relative(self) -> float:
        """Noise s.d. over signal, 1 for the gradient itself: how much the slot smooths."""
        return math.sqrt(self.noise) / abs(self.signal) if self.signal else math.inf

    def cosine(self, d: int, noise_to_signal: float = 1.0) -> float:
        """The slot's cosine with a constant true gradient in d dimensions (asymptotic: d large).

        `noise_to_signal` is the noise s.d. of one coordinate over the length of the true gradient.
        """
        return 1 / math.sqrt(1 + (d - 1) * (noise_to_signal * self.relative) ** 2)


def filter_coefficients(rule: Rule, slot: str | None = None, *, lam: float = 0.0) -> tuple[Array, Array]:
    """The rule as a recursive filter, for `scipy.signal`: gradients in, a slot out.

    With y as in ``Run.slots`` (y[k] after k steps) and x[k] read at step k + 1, y is
    ``scipy.signal.lfilter(b, a, x)``. At ``lam=0`` x is the gradient itself. At the curvature of an
    eigen-direction the loop is closed, and x is the noise on the gradient.

    Parameters
    ----------
    rule : Rule
        A linear rule at one setting.
    slot : str, optional
        theta by default. Slots that it does not depend on are left out.
    lam : float
        Curvature.

    Returns
    -------
    b, a : array
        Numerator and denominator in powers of 1/z, of one length, a[0] = 1.

    Raises
    ------
    ValueError
        An array where one setting is needed.
    NotLinear, RuleError
        As `iteration_matrix`; an unknown slot.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> filter_coefficients(heavy_ball.at(eta=0.1, gamma=0.9), "v")
    (array([0. , 0.1]), array([ 1. , -0.9]))
    """
    from scipy.signal import ss2tf

    drift, b, c = _seen_by(rule, slot, lam)
    size = float(np.abs(b).max(initial=0)) or 1.0  # ss2tf subtracts two polynomials: keep them of one size
    over, under = ss2tf(drift + np.eye(len(b)), b[:, None] / size, c[None, :], np.zeros((1, 1)))
    over = np.where(np.abs(over[0]) <= 4 * EPS * np.abs(under).sum(), 0, over[0])
    return over * size, under


def _seen_by(rule: Rule, slot: str | None, lam: float) -> tuple[Array, Array, Array]:
    """Drift, input and output row on the slots that a slot depends on, directly or through others."""
    loop = close(rule, lam)
    if loop.b.ndim > 1:
        raise ValueError("a filter is at one setting; give lam and every letter one number.")
    c = np.eye(len(rule.slots))[slot_number(rule, slot)]
    seen = c != 0
    while (more := seen | (loop.matrix[seen] != 0).any(axis=0)).sum() > seen.sum():
        seen = more
    return loop.drift[np.ix_(seen, seen)], loop.b[seen], c[seen]


def frequency_response(rule: Rule, omega: Any, slot: str | None = None, *, lam: float = 0.0) -> Array:
    """What the rule makes of a gradient that oscillates at omega: gain and phase as one complex number.

    Parameters
    ----------
    rule, slot, lam
        As in `filter_coefficients`.
    omega : number or array
        Radians a step; pi is a gradient that changes sign at every step.

    Returns
    -------
    complex array of omega's shape
        inf at a pole: a constant gradient moves theta without end.

    Raises
    ------
    ValueError, NotLinear, RuleError
        As `filter_coefficients`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> velocity = frequency_response(heavy_ball.at(eta=1.0, gamma=0.5), [0, np.pi], "v")
    >>> abs(velocity).round(6)    # 1/(1 -+ gamma)
    array([2.      , 0.666667])
    """
    b, a = filter_coefficients(rule, slot, lam=lam)
    back = np.exp(-1j * reals("omega", omega))  # 1/z, one step ago
    over, under = np.polyval(b[::-1], back), np.polyval(a[::-1], back)
    pole = np.abs(under) <= 8 * EPS * np.abs(a).sum()
    return np.asarray(np.where(pole, np.inf, over / np.where(pole, 1, under)))


def impulse_response(rule: Rule, steps: int, slot: str | None = None, *, lam: float = 0.0) -> Array:
    """What a single gradient of 1, at step 1, leaves after k steps: how long the rule remembers.

    Parameters
    ----------
    rule, slot, lam
        As in `filter_coefficients`.
    steps : int

    Returns
    -------
    (steps + 1,) array

    Raises
    ------
    ValueError, NotLinear, RuleError
        As `filter_coefficients`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> impulse_response(heavy_ball.at(eta=1.0, gamma=0.5), 4, "v")
    array([0.   , 1.   , 0.5  , 0.25 , 0.125])
    """
    steps = count_of("steps", steps)
    refuse_too_large(32 * steps, "take fewer steps")
    drift, b, c = _seen_by(rule, slot, lam)
    response = np.zeros(steps + 1)
    with np.errstate(all="ignore"):
        for step in range(1, steps + 1):
            response[step] = c @ b
            b = b + drift @ b
    return response


def smoothing(rule: Rule, slot: str) -> Smoothing:
    """How a slot treats noise and how a steady gradient, in the open: nothing feeds back.

    Heavy ball's velocity *adds* noise as gamma grows, and adds signal faster. Exact (tight).

    Parameters
    ----------
    rule : Rule
        A linear rule at one setting.
    slot : str
        One that forgets, as velocities and buffers do.

    Raises
    ------
    ValueError, NotLinear, RuleError
        As `filter_coefficients`; a slot that accumulates, as theta does.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> seen = smoothing(heavy_ball.at(eta=1.0, gamma=0.9), "v")
    >>> [round(x, 3) for x in (seen.noise, seen.signal, seen.relative, seen.cosine(d=50))]
    [5.263, 10.0, 0.229, 0.529]
    """
    drift, b, c = _seen_by(rule, slot, 0.0)
    noise = lyapunov(drift, b)
    if np.isinf(noise).any():
        raise RuleError(f"{slot} of {rule.name} adds up all gradients; take a slot that forgets them.")
    return Smoothing(float(c @ noise @ c), float(c @ np.linalg.solve(-drift, b)))
