"""The mean square of theta: where it is stable, tuned for that, along the way, and drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from momentum_lib.clock import Clock, a_rule, brief, count_of, reals
from momentum_lib.definition import NotLinear, Promise, Rule, RuleError
from momentum_lib.noise.covariance import lyapunov, query_variance
from momentum_lib.noise.loops import Array, Loop, close, on_pairs, spreads
from momentum_lib.runner import generator, refuse_too_large
from momentum_lib.spectrum import spectral_radius, stability_limit
from momentum_lib.spectrum.stability import trusted

__all__ = [
    "Moments",
    "mean_square_curve",
    "mean_square_limit",
    "mean_square_minimax",
    "mean_square_radius",
    "noisy_run",
]


#: Steps from which a noisy run goes in blocks, steps of one block, and numbers that stay in cache.
LONG, BLOCK, PIECE = 2**14, 32, 2**16


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

    Numeric, not a theorem: a fixed sample of settings, then descents from the best, until as many as there
    are free letters come to the same. A step size is sought between 1e-4 and 1e4 over the largest eigenvalue,
    any other free letter between 0 and 1. A rate of 1 or more stands where none was found, or only one that
    hangs on the letters' last digits.

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
    setting = {name: found.setting[name] for name in rule.free}
    rate = trusted(setting, lambda letters: _radii(rule, letters, lam, ratio).max(axis=-1))
    how = "numerical minimax of the mean-square radius over the eigenvalues"
    square = "E (theta_t - minimizer)^2 on quadratics with these eigenvalues"
    return found.promising(Promise(rate, how, "asymptotic", "minimax", square))


def _radii(rule: Rule, letters: Mapping[str, Any], lam: Array, ratio: Array) -> Any:
    """The radius on every eigen-direction, which is the last axis."""
    return mean_square_radius(
        rule.at(**{n: np.asarray(v)[..., None] for n, v in letters.items()}), lam, ratio
    )


def _search(rule: Rule, lam: Array, ratio: Array) -> Rule:
    """The free letters at the least worst radius."""
    from scipy.optimize import minimize
    from scipy.special import expit
    from scipy.stats import qmc

    steps = np.array([name in rule.step_letters for name in rule.free])
    count, endless = len(steps), 9 * math.log(10)

    def values(u: Array) -> dict[str, Any]:
        letters = np.where(steps, np.exp(u) / lam.max(), expit(u))
        return {name: letters[..., k] for k, name in enumerate(rule.free)}

    def rate(u: Array) -> float:
        return trusted(values(u), lambda letters: _radii(rule, letters, lam, ratio).max(axis=-1))

    def log_times(u: Array) -> Any:
        """The logarithm of 1/(1 - radius), a line beyond where that ends, on every eigen-direction."""
        radius = _radii(rule, values(u), lam, ratio)
        left = 1 - radius
        return np.where(left > 1e-9, -np.log(np.maximum(left, 1e-9)), radius - 1 + endless)

    # E[M S M'] keeps the cone of covariances, so its largest eigenvalue is real and smooth in the settings:
    # minimize s under s >= log time on every direction, with differences for slopes, all in one call.
    shifts = 1e-5 * np.vstack([np.eye(count), -np.eye(count)])

    def slopes(x: Array) -> Array:
        seen = log_times(x[:-1] + shifts)
        return np.hstack([(seen[count:] - seen[:count]).T / 2e-5, np.ones((lam.size, 1))])

    edge = np.where(steps, math.log(1e4), 12.0)
    sample = qmc.scale(qmc.Halton(count, scramble=False).random(1024 * count + 1)[1:], -edge, edge)
    worst = log_times(sample).max(axis=-1)
    ends: list[tuple[float, Array]] = []
    for k in np.argsort(worst, kind="stable"):
        if worst[k] < endless and rate(sample[k]) >= 1:
            continue  # what looks stable and hangs on last digits leads nowhere
        end = minimize(
            lambda x: x[-1],
            [*sample[k], worst[k]],
            jac=lambda x: np.eye(count + 1)[-1],
            method="SLSQP",
            bounds=[*((-e, e) for e in edge), (0, None)],
            constraints={"type": "ineq", "fun": lambda x: x[-1] - log_times(x[:-1]), "jac": slopes},
            options={"ftol": 1e-13, "maxiter": 100},
        ).x[:-1]
        ends.append((rate(end), end))
        left = 1 - np.array([reached for reached, _ in ends])
        if len(ends) == 4 * count or sum(left > (1 - 1e-9) * left.max()) >= max(2, count):
            break  # so many starts came to the best
    best = values(min(ends, key=lambda end: end[0])[1] if ends else sample[np.argmin(worst)])
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
    refuse_too_large(32 * (steps + 1) * math.prod(shape), "take fewer steps or cells")
    n = len(rule.slots)
    now = np.ones((*shape, n + 1))
    for k, slot in enumerate(rule.init(theta0)):
        now[..., k] = slot

    def affine(loop: Loop) -> Array:
        """S -> the sum of G S G', S = E[(s, 1)(s, 1)'], over what all runs share and each of the noises."""
        parts = np.zeros((3, *shape, n + 1, n + 1))
        parts[0, ..., :n, :n], parts[0, ..., n, n] = loop.matrix, 1
        parts[1, ..., :n, n] = sigma[..., None] * loop.b
        if ratio.any():
            parts[2, ..., :n, :n] = np.multiply(np.sqrt(ratio), lam)[..., None, None] * loop.feedback
        whole = np.einsum("k...ij,k...lm->...iljm", parts, parts)
        return np.asarray(whole.reshape(*shape, (n + 1) ** 2, (n + 1) ** 2))

    differ = steps if clock.varies else min(steps, int(rule.has_first_step))  # steps unlike those after
    with np.errstate(all="ignore"):
        state = (now[..., :, None] * now[..., None, :]).reshape(*shape, (n + 1) ** 2)
        begun = np.empty((2, differ, *shape))
        for t in range(1, differ + 1):
            begun[0, t - 1], begun[1, t - 1] = state[..., n], state[..., 0]
            state = (affine(loop) @ state[..., None])[..., 0]
            loop = close(rule.at(t=t + 1), lam)
        out = _entries(affine(loop), state, [n, 0], steps - differ)
    mean, square = np.concatenate([begun, out], axis=1) if differ else out
    if not np.isfinite(square).all():
        lost = np.logical_or.accumulate(~np.isfinite(square), axis=0)
        mean, square = np.where(lost, np.nan, mean), np.where(lost, np.inf, square)
    return Moments(mean, square)


def _leaps(step: Array, count: int) -> Array:
    """step, step², step⁴, ...: `count` of them, fewer where they overflow."""
    leaps = np.empty((count, *step.shape))
    leaps[0] = step
    for k in range(1, count):
        np.matmul(leaps[k - 1], leaps[k - 1], out=leaps[k])
    finite = np.isfinite(leaps).reshape(count, -1).all(axis=1)  # once lost, lost for good
    return leaps[: max(1, np.count_nonzero(finite))]


def _orbit(row: Array, leaps: Array, count: int) -> Array:
    """A row times step^k for k below `count`; each lot of them is a leap from the lot before."""
    rows = np.empty((*row.shape[:-1], count, row.shape[-1]))
    rows[..., 0, :] = row
    k, reach, done = 0, 1, 1
    while done < count:
        more = rows[..., done - reach : min(done, count - reach), :]
        np.matmul(more, leaps[k], out=rows[..., done : done + reach, :])
        done += reach
        if k + 1 < len(leaps):
            k, reach = k + 1, 2 * reach
    return rows


def _entries(step: Array, state: Array, which: list[int], steps: int) -> Array:
    """Some entries of step^k state for k from 0 to `steps`: (entries, steps + 1, ...).

    The states that blocks of steps begin with, times what each step of a block reads an entry by.
    """
    step, begin = step.reshape(-1, *step.shape[-2:]), state.reshape(-1, state.shape[-1])
    widest = steps.bit_length() // 2
    out = np.empty((len(which), len(begin), (steps >> widest) + 1 << widest))
    for low in range(0, len(begin), 256):  # stay in cache
        cells = slice(low, low + 256)
        leaps = _leaps(step[cells], max(1, steps.bit_length()))
        level = min(len(leaps) - 1, widest)
        count = (steps >> level) + 1
        read = np.zeros((len(which), *begin[cells].shape))
        read[range(len(which)), :, which] = 1
        np.matmul(
            _orbit(begin[cells], leaps[level:].swapaxes(-1, -2), count),
            _orbit(read, leaps, 1 << level).swapaxes(-1, -2),
            out=out[:, cells, : count << level].reshape(*read.shape[:2], count, -1),
        )
    return out[..., : steps + 1].swapaxes(1, 2).reshape(len(which), steps + 1, *state.shape[:-1])


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
    rng=rng).theta[..., 0]``, many times as fast. From `LONG` steps on a stable linear rule that stays the
    same goes in blocks, each the sum of what its noise and its start leave, which rounds otherwise: by some
    1e-15 of the largest theta.

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
    refuse_too_large(8 * (steps + 1) * size, "take fewer steps or runs")
    given = isinstance(rng, np.ndarray) and rng.ndim
    if given and rng.shape != (steps, size):
        raise ValueError(f"what was drawn has shape {rng.shape}; give {(steps, size)}, or a generator.")
    source = rng if given else cast(np.random.Generator, generator(rng))
    out = np.empty((steps + 1, size))
    out[0] = start
    state, done = rule.init(out[0]), 0

    def noise(count: int) -> Array:
        """That of the next steps, made as it is needed: in cache it is cheap."""
        drawn = reals("rng", rng[done : done + count]) if given else source.standard_normal((count, size))
        return np.asarray(spread * drawn)

    def sweep(count: int) -> None:
        """So many steps, one by one."""
        nonlocal state, done
        for drawn in noise(count):
            done += 1
            state = clock.advance(state, lambda x: at * x + drawn, done)  # noqa: B023
            out[done] = state[0]

    with np.errstate(all="ignore"):
        sweep(min(steps, 1))
        if loop := _steady(clock, at, steps):
            # A block's thetas are its noise and the state it starts from, times what each of these leaves.
            leaps = _leaps(loop.matrix, BLOCK.bit_length())
            left = _orbit(loop.b, leaps.swapaxes(-1, -2), BLOCK)
            k = np.arange(BLOCK)
            within = np.where(k[:, None] <= k, left[..., k - k[:, None], 0], 0)
            onward = _orbit(loop.matrix[..., 0, :], leaps, BLOCK).swapaxes(-1, -2)
            response = np.concatenate([within, onward], axis=-2)
            now = np.stack(state, axis=-1)[:, None]
            while steps - done >= BLOCK:
                count = min((steps - done) // BLOCK, max(1, PIECE // (BLOCK * size)))
                seen = np.empty((size, count, BLOCK + len(rule.slots)))
                seen[..., :BLOCK] = noise(count * BLOCK).T.reshape(size, count, BLOCK)
                # Where each block starts: what those before it left there, then those twice as far, ...
                starts = np.concatenate([now, seen[..., :BLOCK] @ left[..., ::-1, :]], axis=1)
                hop, reach = leaps[-1].swapaxes(-1, -2), 1
                while reach <= count:
                    starts[:, reach:] += starts[:, :-reach] @ hop
                    hop, reach = hop @ hop, 2 * reach
                seen[..., BLOCK:], now = starts[:, :-1], starts[:, -1:]
                rows = slice(done + 1, done + 1 + count * BLOCK)
                out[rows] = (seen @ response).reshape(size, -1).T
                done += count * BLOCK
            state = tuple(np.moveaxis(now[:, 0], -1, 0))
        while done < steps:
            sweep(min(steps - done, max(1, PIECE // size)))
    return out


def _steady(clock: Clock, lam: Array, steps: int) -> Loop | None:
    """The loop of a run that is long, always the same and stable; None where it is not."""
    if steps < LONG or clock.varies:
        return None
    try:
        return close(clock.rule, lam) if (spectral_radius(clock.rule, lam) <= 1).all() else None
    except NotLinear:
        return None
