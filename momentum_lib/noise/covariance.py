"""The covariance that a noisy linear rule settles to, and for how long its states remember each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from momentum_lib.definition import Rule, brief
from momentum_lib.noise.loops import EPS, Array, Loop, close, on_pairs, spreads

__all__ = ["autocorrelation_time", "lyapunov", "query_variance", "stationary_covariance"]


def lyapunov(drift: Array, b: Array) -> Array:
    """The solution of P = M P M' + b b' for M = 1 + drift, one a cell; inf where M is not stable.

    One linear system a cell, on the n(n+1)/2 distinct entries of P. Written in the drift, a slow mode
    keeps its digits down to an eigenvalue of 1 - 1e-14.
    """
    n = drift.shape[-1]
    i, j = np.triu_indices(n)
    one = np.eye(n)
    # In units of what the noise moves each slot by; slots of unlike size would cost digits.
    unit = np.where(b != 0, np.abs(b), np.abs(b).max(axis=-1, keepdims=True))
    unit = np.where(unit > 0, unit, 1)
    flat = (drift * unit[..., None, :] / unit[..., :, None]).reshape(-1, n, n)
    b = (b / unit).reshape(-1, n)
    out = np.full(flat.shape, np.inf)
    with np.errstate(all="ignore"):
        for part in (slice(low, low + 4096) for low in range(0, len(flat), 4096)):  # stay in cache
            move, push = flat[part], b[part]
            finite = np.asarray(np.isfinite(move).all(axis=(-1, -2)))
            move = np.where(finite[:, None, None], move, 0)
            stable = finite & (np.abs(np.linalg.eigvals(move + one)).max(axis=-1) < 1 - 8 * EPS)
            operator = -(on_pairs(move, move + one) + on_pairs(np.broadcast_to(one, move.shape), move))
            stable &= np.linalg.slogdet(operator)[0] != 0
            operator = np.where(stable[:, None, None], operator, np.eye(len(i)))
            found = np.linalg.solve(operator, (push[:, i] * push[:, j])[..., None])[..., 0]
            # A variance below 0 is a limit that rounding hid from the eigenvalues.
            stable &= np.isfinite(found).all(axis=-1) & (found[:, i == j] >= 0).all(axis=-1)
            found[~stable] = np.inf
            out[part, i, j] = out[part, j, i] = found
    return out.reshape(drift.shape) * unit[..., :, None] * unit[..., None, :]


def stationary_covariance(rule: Rule, lam: Any, sigma: Any, *, variance_ratio: Any = 0.0) -> Any:
    """The covariance of the slots once the start is forgotten, on one noisy eigen-direction.

    Exact (tight), for noise of any distribution. Curvature noise of variance V multiplies the covariance
    of the additive noise by 1/(1 - V G), G being the stationary variance of the query at sigma = 1.

    Parameters
    ----------
    rule : Rule
        Any linear rule, every letter set.
    lam : number or array
        Curvature (its mean, where it is noisy); all arguments broadcast with the letters.
    sigma : number or array
        Standard deviation of the additive gradient noise, at least 0.
    variance_ratio : number or array
        Variance of the curvature over lam squared, at least 0.

    Returns
    -------
    (..., n, n) array over the n slots in their order
        inf throughout where the mean or the mean square is unstable.

    Raises
    ------
    ValueError
        sigma or variance_ratio below 0 or not finite, shapes that do not broadcast.
    NotLinear, RuleError
        As `iteration_matrix`; with `variance_ratio`, a rule that reads the gradient at several points.

    Source: Mandt, Hoffman and Blei 2017 and Gitman et al. 2019 treat heavy ball.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> stationary_covariance(heavy_ball.at(eta=0.5, gamma=0.5), 1.0, 1.0).round(6)
    array([[ 0.6, -0.2],
           [-0.2,  0.4]])
    >>> stationary_covariance(heavy_ball.at(eta=4.0, gamma=0.5), 1.0, 1.0)
    array([[inf, inf],
           [inf, inf]])
    """
    loop = close(rule, lam)
    (sigma, ratio), shape = spreads(loop.b.shape[:-1], sigma=sigma, variance_ratio=variance_ratio)
    unit = lyapunov(loop.drift, loop.b)
    with np.errstate(all="ignore"):
        power = np.square(sigma)
        if ratio.any():
            left = 1 - ratio * np.square(np.asarray(lam, float)) * query_variance(loop, unit)
            power = np.where(left > 8 * EPS, power / left, np.inf)
        power = np.broadcast_to(power, shape)[..., None, None]
        return np.where(np.isinf(unit) | np.isinf(power), np.inf, power * unit)


def query_variance(loop: Loop, unit: Array) -> Array:
    """The variance of the query where the slots have this covariance; inf where they have none."""
    c = loop.query
    seen = (c * (unit @ c[..., None])[..., 0]).sum(axis=-1)
    return np.where(np.isinf(unit[..., 0, 0]), np.inf, seen)


def autocorrelation_time(rule: Rule, lam: Any, *, of: str = "mean") -> Any:
    """How many successive steps of a stationary run are worth one independent draw of theta.

    A time average over T steps has the error of T/tau independent draws, tau being this number (for T
    well above it). Exact (tight) for the mean; for the variance exact under Gaussian noise. Heavy ball's
    mean has tau = (1 - gamma)(2(1 + gamma) - h)/(h (1 + gamma)), h = eta lam: below 1 where it overshoots
    enough for its errors to cancel.

    Parameters
    ----------
    rule, lam
        As in `stationary_covariance`.
    of : {"mean", "variance"}
        What is averaged: theta, 1 + 2 sum r_k, or its square, 1 + 2 sum r_k^2.

    Returns
    -------
    (...) array or float
        inf where the rule is unstable.

    Raises
    ------
    ValueError, NotLinear, RuleError
        As `stationary_covariance`; another `of`.

    Examples
    --------
    >>> from momentum_lib import gradient_descent
    >>> float(round(autocorrelation_time(gradient_descent.at(eta=0.1), 1.0), 6))    # (2 - h)/h
    19.0
    """
    if not isinstance(of, str) or of not in ("mean", "variance"):
        raise ValueError(f'of is {brief(of)}; give "mean" or "variance".')
    loop = close(rule, lam)
    unit = lyapunov(loop.drift, loop.b)
    stable = np.isfinite(unit[..., 0, 0])
    with np.errstate(all="ignore"):
        # The column of covariances with theta now; M^k takes it to those k steps later.
        column = np.where(stable[..., None], unit[..., 0] / unit[..., :1, 0], 0)
        if of == "mean":
            away = np.where(stable[..., None, None], -loop.drift, np.eye(len(rule.slots)))
            total = np.linalg.solve(away, column[..., None])[..., 0, 0]
        else:
            total = lyapunov(loop.drift, column)[..., 0, 0]
        return np.where(stable, 2 * total - 1, np.inf)[()]
