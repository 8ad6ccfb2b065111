"""Convex functions made to show something: cycles of heavy ball, and a plateau."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from momentum_lib.clock import count_of, real
from momentum_lib.parts import namespace
from momentum_lib.problems.base import Array, Problem

__all__ = ["GoujaudCycle", "LessardCycle", "Plateau"]


class LessardCycle(Problem):
    """The one-dimensional function on which Polyak's heavy ball cycles for ever.

    f' = 25x below 1, x + 24 on [1, 2), 25x - 24 from 2 on: mu = 1, L = 25. Polyak's tuning, eta = 1/9 and
    gamma = 4/9, started at rest at 3.3 ends on `cycle`. Works on arrays and, exactly, on
    `fractions.Fraction`.

    Attributes
    ----------
    cycle : tuple of three Fraction
        The points visited in turn.

    Source: Lessard, Recht and Packard 2016, eq. (4.11).

    Examples
    --------
    >>> LessardCycle().grad(Fraction(3, 2))
    Fraction(51, 2)
    """

    cycle = (Fraction(792, 1225), Fraction(-2208, 1225), Fraction(2592, 1225))

    def __init__(self) -> None:
        self.minimizer = np.asarray(0.0)
        self.mu, self.L = 1.0, 25.0

    def _value(self, theta: Array) -> Any:
        square = theta * theta / 2
        low, high = 25 * square, 25 * square - 24 * theta + 36
        where = namespace(theta).where
        return where(theta < 1, low, where(theta < 2, square + 24 * theta - 12, high))[()]

    def _grad(self, theta: Array) -> Any:
        # [()] turns a zero-dimensional array back into the number or Fraction it holds.
        where = namespace(theta).where
        return where(theta < 1, 25 * theta, where(theta < 2, theta + 24, 25 * theta - 24))[()]


class GoujaudCycle(Problem):
    """The smooth strongly convex function of the plane on which heavy ball walks a regular K-gon.

    f = L/2 ‖x‖² - (L - mu)/2 dist(x, P)², with P the polygon of vertices
    ((1 + gamma - mu eta) x_t - x_{t+1} - gamma x_{t-1}) / ((L - mu) eta), where x_t is the t-th K-th root of
    unity.

    Parameters
    ----------
    K : int
        Length of the cycle, at least 3.
    eta, gamma : float
        Heavy ball's tuning; eta > 0, 0 <= gamma < 1.
    mu, L : float
        0 < mu < L.

    Attributes
    ----------
    cycle : (K, 2) array
        The roots of unity; heavy ball started at ``cycle[0]`` with velocity ``cycle[-1] - cycle[0]``
        visits them in order if `cycles`.

    Raises
    ------
    ValueError
        A parameter outside its range.

    Source: Goujaud, Taylor and Dieuleveut 2023.

    Examples
    --------
    >>> [GoujaudCycle(3, eta=eta, gamma=0.6, mu=0.02, L=1).cycles for eta in (1, 3)]
    [False, True]
    """

    def __init__(self, K: int, eta: float, gamma: float, mu: float, L: float) -> None:
        K = count_of("K", K, 3, 10**6)
        given = {"eta": eta, "gamma": gamma, "mu": mu, "L": L}
        eta, gamma, mu, L = (real(name, value) for name, value in given.items())
        if not (eta > 0 and 0 <= gamma < 1 and 0 < mu < L < np.inf):
            raise ValueError(
                f"eta={eta}, gamma={gamma}, mu={mu}, L={L}; the cycle needs eta > 0, 0 <= gamma < 1 "
                "and 0 < mu < L."
            )
        self.K, self.mu, self.L = K, float(mu), float(L)
        self.minimizer = np.zeros(2)
        turn = np.exp(2j * np.pi / K)
        # The vertices are the roots of unity, turned and scaled by one complex number.
        self._vertex = (1 + gamma - mu * eta - turn - gamma / turn) / ((L - mu) * eta)
        roots = turn ** np.arange(K)
        self.cycle = np.stack([roots.real, roots.imag], axis=-1)
        c, q, step = turn.real, mu / L, mu * eta
        self.cycles = bool(
            step**2 - 2 * (gamma - c + q * (1 - gamma * c)) * step
            + 2 * q * (1 - c) * (1 + gamma**2 - 2 * gamma * c) <= 0
        )  # fmt: skip

    def _projected(self, theta: Array) -> Array:
        """Nearest point of the polygon."""
        xp, kind = namespace(theta), np.result_type(theta.dtype, np.complex64)
        point = (theta[..., 0] + 1j * theta[..., 1]).astype(kind) / kind.type(self._vertex)
        sector = 2 * np.pi / self.K
        # Turn the point's own edge upright: there the edge is Re = cos, |Im| <= sin of half a sector.
        middle = (xp.floor(xp.angle(point) / sector) + 0.5) * sector
        turn = xp.exp(1j * middle).astype(kind)
        local = point / turn
        half = sector / 2
        on_edge = np.cos(half) + 1j * xp.clip(local.imag, -np.sin(half), np.sin(half))
        nearest = xp.where(local.real <= np.cos(half), local, on_edge).astype(kind)
        nearest *= turn * kind.type(self._vertex)
        projected: Array = xp.stack([nearest.real, nearest.imag], axis=-1)
        return projected

    def _value(self, theta: Array) -> Any:
        outside = ((theta - self._projected(theta)) ** 2).sum(axis=-1)
        return self.L / 2 * (theta**2).sum(axis=-1) - (self.L - self.mu) / 2 * outside

    def _grad(self, theta: Array) -> Any:
        return self.mu * theta + (self.L - self.mu) * self._projected(theta)


class Plateau(Problem):
    """A bowl, a stretch of constant small slope, and a wall: f' = max(min(c x, slope), c (x - length)).

    Convex and smooth in one dimension; the bowl's minimizer is 0 and the stretch runs from
    ``stretch[0] = slope/c`` to ``stretch[1] = slope/c + length``.

    Parameters
    ----------
    slope, length, curvature : float
        All positive; c is the curvature of bowl and wall.

    Raises
    ------
    ValueError
        A parameter that is not positive.

    Examples
    --------
    >>> Plateau(slope=0.001, length=2).grad([-1, 1, 3])
    array([-1.   ,  0.001,  1.   ])
    """

    def __init__(self, slope: float = 1e-3, length: float = 1.0, curvature: float = 1.0) -> None:
        for name, given in (("slope", slope), ("length", length), ("curvature", curvature)):
            real(name, given, above=0)
        self.slope, self.length = slope, length
        self.stretch = (slope / curvature, slope / curvature + length)
        self.minimizer = np.asarray(0.0)
        self.mu, self.L = 0.0, float(curvature)

    def _value(self, theta: Array) -> Any:
        start, stop = self.stretch
        bowl = self.L / 2 * theta**2
        flat = self.slope * (theta - start / 2)
        wall = self.L / 2 * (theta - self.length) ** 2 + self.slope * self.length
        where = namespace(theta).where
        return where(theta < start, bowl, where(theta < stop, flat, wall))[()]

    def _grad(self, theta: Array) -> Any:
        xp = namespace(theta)
        return xp.maximum(xp.minimum(self.L * theta, self.slope), self.L * (theta - self.length))
