"""The mean square of theta: where it is stable, tuned for that, along the way, and drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from momentum_lib.clock import Clock, a_rule, brief, count_of, reals
from momentum_lib.definition import NotLinear, Promise, Rule, RuleError
from momentum_lib.noise.covariance import lyapunov, query_variance
from momentum_lib.noise.loops import Array, Loop, close, on_pairs, spreads
from momentum_lib.runner import generator, refuse_too_large
from momentum_lib.spectrum import iteration_matrix, spectral_radius, stability_limit

__all__ = [
    "Moments",
    "mean_square_curve",
    "mean_square_limit",
    "mean_square_minimax",
    "mean_square_radius",
    "noisy_run",
]


#: Steps from which a noisy run is worth cutting into stretches.
LONG = 2**14


class Moments(NamedTuple):
    """The mean and the mean square of theta, each (steps + 1, ...)."""

    mean: Any
    square: Any

    @property
    def variance(self) -> Any:
        """Mean square minus squared mean."""
        return self.square - self.mean**2


def mean_square_radius(rule: Rule, lam: Any, variance_ratio: Any) -> Any:
    """The factor a step by which E theta squared shrinks in the end, the curvature being noisy.

    Exact (tight): the spectral radius of S -> E[M(a) S M(a)'], the curvature a having mean lam and variance
    ``variance_ratio * lam**2``. Mean-square stable where it is below 1; without noise the squared spectral
    radius.

    Where the noise couples several eigen-directions (Kidambi et al. draw one coordinate a step), the
    second moments of one coordinate still involve its own mean and variance only, so each has its own
    radius. The moments across two coordinates have a radius of at most the geometric mean of theirs
    (Cauchy and Schwarz), so the largest single one rules.

    Parameters
    ----------
    rule, lam, variance_ratio
        As in `stationary_covariance`.

    Returns
    -------
    (...) array or float

    Raises
    ------
    ValueError, NotLinear, RuleError
        As `stationary_covariance`.

    Examples
    --------
    >>> from momentum_lib import gradient_descent
    >>> float(mean_square_radius(gradient_descent.at(eta=0.5), 1.0, 0.5))    # (1 - h)^2 + h^2 V/lam^2
    0.375
    """
    loop = close(rule, lam)
    (ratio,), shape = spreads(loop.b.shape[:-1], variance_ratio=variance_ratio)
    with np.errstate(all="ignore"):
        operator = _second_moments(loop, lam, ratio)
        operator = np.broadcast_to(operator, (*shape, *operator.shape[-2:]))
        finite = np.isfinite(operator).all(axis=(-1, -2))
        values = np.linalg.eigvals(np.where(finite[..., None, None], operator, 0))
    return np.where(finite, np.abs(values).max(axis=-1), np.inf)[()]


def _second_moments(loop: Loop, lam: Any, ratio: Array) -> Array:
    """S -> E[M(a) S M(a)'] on the distinct entries of the symmetric S = E[s s']."""
    operator = on_pairs(loop.matrix, loop.matrix)
    if not ratio.any():
        return operator
    variance = ratio * np.square(np.asarray(lam, float))
    return np.asarray(operator + variance[..., None, None] * on_pairs(loop.feedback, loop.feedback))


def mean_square_limit(rule: Rule, variance_ratio: Any) -> Any:
    """The largest mean curvature below which every smaller one is mean-square stable.

    A single free step size counts as 1, so for heavy ball this is the limit of eta lam:
    eta lam [1/(2(1 + gamma)) + variance_ratio/(2(1 - gamma))] < 1. The loop gain, which is 1 at the limit,
    is followed on curvatures 15 % apart, and the first crossing is bisected to the last digit.

    Parameters
    ----------
    rule : Rule
        Any linear rule.
    variance_ratio : number or array
        As in `stationary_covariance`; broadcasts with the letters.

    Returns
    -------
    (...) array or float

    Raises
    ------
    ValueError, NotLinear, RuleError
        As `stationary_covariance`; an open letter.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> p = np.array([1, 0.9, 0.5])    # a batch sees the direction with probability p
    >>> (mean_square_limit(heavy_ball.at(gamma=0.9), (1 - p) / p) / p).round(5)
    array([3.8    , 1.35714, 0.38   ])
    """
    rule = a_rule(rule).in_unit_steps()
    free = close(rule, 0.0)
    (ratio,), shape = spreads(free.b.shape[:-1], variance_ratio=variance_ratio)
    top = np.broadcast_to(stability_limit(rule), shape)
    scale = np.where(np.isfinite(top), top, 1.0)

    def stable(share: Array) -> Array:
        lam = share * scale
        loop = free._replace(drift=free.drift + lam[..., None, None] * free.feedback)
        b = np.broadcast_to(loop.b, loop.drift.shape[:-1])
        with np.errstate(all="ignore"):
            return np.asarray(ratio * lam**2 * query_variance(loop, lyapunov(loop.drift, b)) < 1)

    shares = np.geomspace(1e-12, 1, 200)
    # Many cells go in parts, so that a whole map fits in memory.
    parts = np.array_split(shares.reshape(-1, *(1,) * len(shape)), 1 + math.prod(shape) // 1000)
    lost = ~np.concatenate([stable(part) for part in parts])
    first = lost.argmax(axis=0)
    low, high = shares[np.maximum(first, 1) - 1], shares[np.maximum(first, 1)]
    while True:
        middle = (low + high) / 2
        if ((middle == low) | (middle == high)).all():
            break
        holds = stable(middle)
        low, high = np.where(holds, middle, low), np.where(holds, high, middle)
    return np.where((ratio == 0) | ~lost.any(axis=0), top, np.where(first > 0, low * scale, 0.0))[()]


def mean_square_minimax(rule: Rule, eigenvalues: Sequence[float], variance_ratio: Any) -> Rule:
    """The rule at the setting with the least worst `mean_square_radius` over some eigen-directions.

    Numeric, not a theorem: a fixed sample of settings, then a descent from the best few. A step size is
    sought between 1e-4 and 1e4 over the largest eigenvalue, any other free letter between 0 and 1.

    Parameters
    ----------
    rule : Rule
        Its free letters are sought; those that are set stay.
    eigenvalues : sequence of floats
        Mean curvatures, above 0.
    variance_ratio : number or sequence
        As in `stationary_covariance`, for each. Where one of d coordinates is drawn a step and its gradient
        is multiplied by d z^2, E z^2 = 1 and E z^4 = c, it is c d - 1.

    Returns
    -------
    Rule
        At its setting; its ``rate`` is the radius, a factor on the mean square.

    Raises
    ------
    ValueError
        eigenvalues that are not above 0.
    NotLinear, RuleError
        As `mean_square_radius`; a letter that is held at an array.

    Source: the streaming least squares of Kidambi et al. 2018, section 3.

    Examples
    --------
    >>> from momentum_lib import gradient_descent
    >>> tuned = mean_square_minimax(gradient_descent, [1, 1 / 16], 1.0)
    >>> round(1 / (1 - tuned.rate), 3), 17**2 / 32        # (kappa + 1)^2/(2 kappa), the time it takes
    (9.031, 9.03125)
    """
    (lam, ratio), _ = spreads((), eigenvalues=eigenvalues, variance_ratio=variance_ratio)
    if lam.ndim != 1 or not lam.size or not (lam > 0).all():
        raise ValueError(f"eigenvalues is {brief(eigenvalues)}; give numbers above 0.")
    for name, value in a_rule(rule).setting.items():
        if np.ndim(value):
            raise RuleError(f"{rule} holds {name} at an array, and this finds one setting; call it for each.")
    found = _search(rule, lam, ratio) if rule.free else rule
    rate = float(mean_square_radius(found, lam, ratio).max())
    how = "numerical minimax of the mean-square radius over the eigenvalues"
    square = "E (theta_t - minimizer)^2 on quadratics with these eigenvalues"
    return found.promising(Promise(rate, how, "asymptotic", "minimax", square))


def _search(rule: Rule, lam: Array, ratio: Array) -> Rule:
    """The free letters at the least worst radius."""
    from scipy.optimize import minimize
    from scipy.special import expit
    from scipy.stats import qmc

    steps = np.array([name in rule.step_letters for name in rule.free])
    count = len(steps)

    def values(u: Array) -> dict[str, Any]:
        letters = np.where(steps, np.exp(u) / lam.max(), expit(u))
        return {name: letters[..., k] for k, name in enumerate(rule.free)}

    def log_times(u: Array) -> Any:
        """The logarithm of 1/(1 - radius), a line beyond where that ends, on every eigen-direction."""
        radius = mean_square_radius(rule.at(**{n: v[..., None] for n, v in values(u).items()}), lam, ratio)
        left = 1 - radius
        return np.where(left > 1e-9, -np.log(np.maximum(left, 1e-9)), radius - 1 + 9 * math.log(10))

    # E[M S M'] keeps the cone of covariances, so its largest eigenvalue is real and smooth in the settings:
    # minimize s under s >= log time on every direction, with differences for slopes, all in one call.
    shifts = 1e-5 * np.vstack([np.eye(count), -np.eye(count)])

    def slopes(x: Array) -> Array:
        seen = log_times(x[:-1] + shifts)
        return np.hstack([(seen[count:] - seen[:count]).T / 2e-5, np.ones((lam.size, 1))])

    edge = np.where(steps, math.log(1e4), 12.0)
    sample = qmc.scale(qmc.Halton(count, scramble=False).random(1024 * count + 1)[1:], -edge, edge)
    worst = log_times(sample).max(axis=-1)
    ends = [
        minimize(
            lambda x: x[-1],
            [*sample[k], worst[k]],
            jac=lambda x: np.eye(count + 1)[-1],
            method="SLSQP",
            bounds=[*((-e, e) for e in edge), (0, None)],
            constraints={"type": "ineq", "fun": lambda x: x[-1] - log_times(x[:-1]), "jac": slopes},
            options={"ftol": 1e-13, "maxiter": 100},
        ).x[:-1]
        for k in np.argsort(worst, kind="stable")[:4]
    ]
    best = values(min(ends, key=lambda u: float(log_times(u).max())))
    return rule.at(**{name: float(value) for name, value in best.items()})


# --- the way there -----------------------------------------------------------------------------------


def mean_square_curve(
    rule: Rule, lam: Any, sigma: Any, theta0: Any, steps: int, *, variance_ratio: Any = 0.0
) -> Moments:
    """The mean and the mean square of theta after every step, exactly: what endless seeds would average to.

    Parameters
    ----------
    rule : Rule
        Any linear rule, its letters numbers, arrays or schedules; its own first step and its `t` are used,
        as in `run`.
    lam, sigma, variance_ratio
        As in `stationary_covariance`.
    theta0 : number or array
        Where every run starts, at rest.
    steps : int

    Returns
    -------
    Moments
        ``mean`` and ``square``, each (steps + 1, ...). Where the numbers leave the floating range, the
        square is inf and the mean nan.

    Raises
    ------
    ValueError, NotLinear, RuleError
        As `stationary_covariance`; steps below 0.

    Examples
    --------
    >>> from momentum_lib import gradient_descent
    >>> mean_square_curve(gradient_descent.at(eta=0.5), 1.0, 1.0, 1.0, 3).square    # to 1/3
    array([1.     , 0.5    , 0.375  , 0.34375])
    """
    steps, clock = count_of("steps", steps), Clock(rule)
    loop = close(rule.at(t=1), lam)
    cells = loop.b.shape[:-1]
    given = {"sigma": sigma, "theta0": theta0, "variance_ratio": variance_ratio}
    (sigma, theta0, ratio), shape = spreads(cells, **given)
    n = len(rule.slots)
    i, j = np.triu_indices(n)
    pairs = len(i)

    def affine(loop: Loop) -> Array:
        """The step as a matrix on (E s s', E s, 1)."""
        inner = _second_moments(loop, lam, ratio)
        added = np.square(sigma)[..., None] * (loop.b[..., i] * loop.b[..., j])
        cells = np.broadcast_shapes(inner.shape[:-2], added.shape[:-1])
        out = np.zeros((*cells, pairs + n + 1, pairs + n + 1))
        out[..., :pairs, :pairs], out[..., :pairs, -1], out[..., -1, -1] = inner, added, 1
        out[..., pairs:-1, pairs:-1] = loop.matrix
        return out

    mean = np.broadcast_to(np.stack(np.broadcast_arrays(*rule.init(theta0)), axis=-1), (*shape, n))
    refuse_too_large(8 * (steps + 1) * math.prod(shape) * (pairs + n + 1), "take fewer steps or cells")
    path = np.empty((*shape, pairs + n + 1, steps + 1))
    path[..., 0] = np.concatenate([mean[..., i] * mean[..., j], mean, np.ones((*shape, 1))], axis=-1)
    with np.errstate(all="ignore"):
        done = reach = 0
        while done < steps:
            if done < 2 or clock.varies:  # the first step, the body, and whatever differs from it
                if done and (clock.varies or rule.has_first_step):
                    loop = close(rule.at(t=done + 1), lam)
                leap = step = affine(loop)
                reach = 1
            elif reach > 1 or done == 2:  # as many steps again, until their matrix leaves the floating range
                leap, reach = leap @ leap, 2 * reach
                if not np.isfinite(leap).all():
                    leap, reach = step, 1
            more = min(reach, steps - done)
            path[..., done + 1 : done + 1 + more] = (
                leap @ path[..., done + 1 - reach : done + 1 - reach + more]
            )
            done += more
    mean, square = (np.moveaxis(path[..., k, :], -1, 0).copy() for k in (pairs, 0))
    if not np.isfinite(square).all():
        lost = np.logical_or.accumulate(~np.isfinite(square), axis=0)
        mean, square = np.where(lost, np.nan, mean), np.where(lost, np.inf, square)
    return Moments(mean, square)


def noisy_run(
    rule: Rule,
    lam: Any,
    sigma: Any,
    theta0: Any,
    steps: int,
    rng: Any,
    size: int = 1,
) -> Array:
    """Many independent runs of one eigen-direction, or of one each, under Gaussian gradient noise.

    The same numbers as ``run(rule, Noisy(Quadratic([lam]), sigma), np.full((size, 1), theta0), steps,
    rng=rng).theta[..., 0]``, several times as fast. From `LONG` steps on a stable linear rule that stays the
    same is stepped in many stretches at once, which rounds otherwise: by some 1e-15 of the largest theta.

    Parameters
    ----------
    rule : Rule
        Any rule at one setting, schedules too.
    lam, sigma, theta0 : number or (size,) array
    steps : int
    rng : numpy Generator, seed or (steps, size) array
        Draws ``standard_normal((steps, size))``: because a result you cannot draw again you cannot check.
        Or what was drawn, of any distribution, in units of sigma.
    size : int
        Number of runs.

    Returns
    -------
    (steps + 1, size) array

    Raises
    ------
    ValueError
        sigma below 0, no rng or draws of another shape, steps below 0, size below 1, arrays that are no
        (size,).
    RuleError
        As `run`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> runs = noisy_run(heavy_ball.at(eta=0.5, gamma=0.5), 1.0, 0.1, 1.0, 1000, rng=0, size=100)
    >>> runs.shape, round(float(runs[100:].var()), 4)    # 0.006 predicted
    ((1001, 100), 0.006)
    """
    if rng is None:
        raise ValueError("a noisy run needs rng; pass a seed or np.random.default_rng(seed).")
    steps, size, clock = count_of("steps", steps), count_of("size", size, 1), Clock(rule)
    (at, spread, start), shape = spreads(clock.shape, lam=lam, sigma=sigma, theta0=theta0)
    if shape not in ((), (size,)) or clock.shape:
        raise ValueError(
            "a noisy run is at one setting; give each letter one number, and lam, sigma, theta0 one or size."
        )
    refuse_too_large(24 * (steps + 1) * size, "take fewer steps or runs")
    if isinstance(rng, np.ndarray) and rng.ndim:
        if rng.shape != (steps, size):
            raise ValueError(f"what was drawn has shape {rng.shape}; give {(steps, size)}, or a generator.")
        noise = spread * reals("rng", rng)
    else:
        noise = spread * cast(np.random.Generator, generator(rng)).standard_normal((steps, size))
    out = np.empty((steps + 1, size))
    out[0] = start
    whole = _stretches(clock, at, steps)

    def sweep(state: Any, t: int, noise: Array, lam: Any, out: Array | None = None) -> Any:
        """Step through noise, whose first axis is time, on from step t."""
        for k, drawn in enumerate(noise):
            state = clock.advance(state, lambda x: lam * x + drawn, t + k + 1)  # noqa: B023
            if out is not None:
                out[k] = state[0]
        return state

    with np.errstate(all="ignore"):
        state = sweep(rule.init(out[0]), 0, noise[:1], at, out[1:])
        if whole:
            # From rest at each start, then from where the stretches before it, one power each, have led.
            count, length = (steps - 1) // whole, whole
            parts = slice(1, 1 + count * length)
            drawn, lanes = (
                x.reshape(count, length, size).swapaxes(0, 1) for x in (noise[parts], out[1:][parts])
            )
            lam = np.array(np.broadcast_to(at, (count, size)))
            ends = np.stack(sweep(rule.init(0 * lam), 1, drawn, lam), axis=-1)
            power = np.linalg.matrix_power(iteration_matrix(rule, at), length)
            starts = np.empty_like(ends)
            now = np.stack(state, axis=-1)
            for k, end in enumerate(ends):
                starts[k], now = now, (power @ now[..., None])[..., 0] + end
            sweep(np.moveaxis(starts, -1, 0), 1, drawn, lam, lanes)
            state, done = np.moveaxis(now, -1, 0), parts.stop
        else:
            done = 1
        sweep(state, done, noise[done:], at, out[1 + done :])
    return out


def _stretches(clock: Clock, lam: Array, steps: int) -> int:
    """How long the stretches are that can be stepped side by side; 0 where they cannot."""
    if steps < LONG or clock.varies:
        return 0
    try:
        stable = (spectral_radius(clock.rule, lam) <= 1).all()
    except NotLinear:
        return 0
    return math.isqrt(steps) if stable else 0
