"""Oscillation: measures of a trajectory, and the damping dictionary of a rule.

The measures take an array of iterates, time first, and assume nothing of what made it. They disagree
about what "oscillates" means, so each says what it counts. The dictionary predicts them for a linear
rule on one eigen-direction: with two slots theta_{t+2} = trace theta_{t+1} - det theta_t, a damped
oscillator sampled once a step, and trace and det are read off the rule. It is in steps and radians per
step; for heavy ball and Nesterov everything depends on gamma and on eta lam only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from momentum_lib.clock import a_rule, reals
from momentum_lib.definition import Rule, RuleError, is_schedule
from momentum_lib.noise.loops import close
from momentum_lib.spectrum.probing import Reading, read, trace_det

__all__ = [
    "Damping",
    "Overshoot",
    "count_reversals",
    "count_rises",
    "count_sign_changes",
    "critical_gamma",
    "damping",
    "measure_half_life",
    "measure_overshoot",
    "measure_path_ratio",
]

Array = np.ndarray[Any, Any]


class Overshoot(NamedTuple):
    """How far theta swings past the minimizer, over where it started.

    `first` is the deepest point between the first and the second change of sign, 0 if there is none;
    `largest` the farthest after the first change of sign, on either side. It may come later: while swings
    grow, or where the first falls between two steps.
    """

    first: Any
    largest: Any


# --- measures of a trajectory ------------------------------------------------------------------------


def count_sign_changes(theta: Any) -> Any:
    """How often each coordinate changes its sign along a trajectory.

    Zeros carry no sign and are skipped. For sign changes along eigen-directions pass their coordinates,
    ``(run.theta - problem.minimizer) @ problem.eigenvectors``.

    Parameters
    ----------
    theta : (steps + 1, ...) array

    Returns
    -------
    (...) array or int

    Raises
    ------
    ValueError
        theta has no axis of time.

    Examples
    --------
    >>> int(count_sign_changes([1.0, 0.0, -0.5, -0.2, 0.1]))
    2
    """
    signs = np.sign(_series(theta))
    seen = np.where(signs != 0, np.arange(len(signs)).reshape(-1, *[1] * (signs.ndim - 1)), 0)
    held = np.take_along_axis(signs, np.maximum.accumulate(seen, axis=0), axis=0)
    return (held[1:] * held[:-1] < 0).sum(axis=0)


def count_rises(values: Any) -> Any:
    """On how many steps the function value rises.

    Parameters
    ----------
    values : (steps + 1, ...) array
        f along the run, ``problem.value(run.theta)``.

    Returns
    -------
    (...) array or int

    Raises
    ------
    ValueError
        values has no axis of time.

    Examples
    --------
    >>> int(count_rises([4.0, 1.0, 2.0, 3.0, 0.5]))
    2
    """
    values = _series(values)
    return (values[1:] > values[:-1]).sum(axis=0)


def measure_path_ratio(theta: Any) -> Any:
    """Length of the path over the distance between its ends: 1 for a straight run, more for a zig-zag.

    Parameters
    ----------
    theta : (steps + 1, ..., d) array

    Returns
    -------
    (...) array or float
        inf for a run that comes back to its start, 1 for one that never leaves it.

    Raises
    ------
    ValueError
        theta has no axis of time or of coordinates.

    Examples
    --------
    >>> float(measure_path_ratio([[0.0, 0.0], [3.0, 4.0], [0.0, 8.0], [6.0, 8.0]]))
    1.6
    """
    theta = _points(theta)
    with np.errstate(all="ignore"):
        length = np.linalg.norm(np.diff(theta, axis=0), axis=-1).sum(axis=0)
        return np.where(length == 0, 1.0, length / np.linalg.norm(theta[-1] - theta[0], axis=-1))[()]


def count_reversals(theta: Any) -> Any:
    """How many steps turn by more than a right angle from the step before.

    Parameters
    ----------
    theta : (steps + 1, ..., d) array

    Returns
    -------
    (...) array or int

    Raises
    ------
    ValueError
        theta has no axis of time or of coordinates.

    Examples
    --------
    >>> int(count_reversals([[0.0, 0.0], [1.0, 0.0], [0.5, 0.1], [0.7, 0.1]]))
    2
    """
    with np.errstate(all="ignore"):
        steps = np.diff(_points(theta), axis=0)
        # Over its largest part first: squares of tiny steps underflow.
        steps = steps / np.abs(steps).max(axis=-1, keepdims=True, initial=0.0)
        return ((steps[1:] * steps[:-1]).sum(axis=-1) < 0).sum(axis=0)


def measure_overshoot(theta: Any) -> Overshoot:
    """How far each coordinate swings past zero, as a fraction of where it started: first, and at most.

    Parameters
    ----------
    theta : (steps + 1, ...) array
        Coordinates with the minimizer at zero.

    Returns
    -------
    Overshoot
        (...) arrays or floats; nan where a coordinate starts at zero.

    Raises
    ------
    ValueError
        theta has no axis of time.

    Examples
    --------
    >>> first, largest = measure_overshoot([2.0, 0.5, -0.4, -0.6, 0.3, -1.5])
    >>> float(first), float(largest)
    (0.3, 0.75)
    """
    theta = _series(theta)
    with np.errstate(all="ignore"):
        relative = theta / theta[0]
        beyond = np.logical_or.accumulate(relative < 0, axis=0)
        returned = np.logical_or.accumulate(beyond & (relative > 0), axis=0)
        first = np.where(beyond & ~returned & (relative < 0), -relative, 0.0).max(axis=0)
        largest = np.where(beyond & ~np.isnan(relative), np.abs(relative), 0.0).max(axis=0)
    return Overshoot(*(np.where(theta[0] == 0, np.nan, depth)[()] for depth in (first, largest)))


def measure_half_life(theta: Any) -> Any:
    """Steps in which the distance to the minimizer halves, on the tail of a run.

    A line is fitted to the logarithm of the envelope, the largest distance still to come, between one
    and three quarters of the run: dips between swings and the transient at the start do not count.

    Parameters
    ----------
    theta : (steps + 1, ..., d) array
        Iterates minus the minimizer; at least 8 steps, and several swings, for a fit worth the name.

    Returns
    -------
    (...) array or float
        inf where the distance does not shrink, 0 where it is exactly zero by three quarters of the run.

    Raises
    ------
    ValueError
        theta has no axis of time or of coordinates, or fewer than 8 steps.

    Examples
    --------
    >>> float(measure_half_life(0.5 ** (np.arange(41.0)[:, None] / 3)).round(6))
    3.0
    """
    theta = _points(theta)
    steps = len(theta) - 1
    if steps < 8:
        raise ValueError(f"theta has {steps} steps; a half-life is fitted to 8 or more.")
    with np.errstate(all="ignore"):
        distance = np.linalg.norm(theta, axis=-1)
        envelope = np.maximum.accumulate(distance[::-1], axis=0)[::-1]
        tail = np.log2(envelope[steps // 4 : 3 * steps // 4 + 1])
        t = np.arange(len(tail)) - (len(tail) - 1) / 2
        slope = np.tensordot(t, tail, axes=(0, 0)) / (t @ t)
        life = np.where(tail[-1] < tail[0], -1 / slope, np.inf)
    return np.where(np.isneginf(tail[-1]), 0.0, life)[()]


def _series(values: Any) -> Array:
    series: Array = reals("a trajectory", values, finite=False)
    if series.ndim < 1 or len(series) < 1:
        raise ValueError(
            f"a trajectory has time as its first axis, got shape {series.shape}; pass run.theta."
        )
    return series


def _points(theta: Any) -> Array:
    points = _series(theta)
    if points.ndim < 2:
        raise ValueError(
            f"theta has shape {points.shape}; its last axis is the coordinate, so pass theta[:, None]."
        )
    return points


# --- the damping dictionary --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Damping:
    """The damped oscillator that a rule samples, once a step, on one eigen-direction.

    Everything is exact. With s = log z for the two roots z of the iteration matrix, the oscillator is
    s^2 + 2 ratio natural_frequency s + natural_frequency^2 = 0, and a complex pair moves theta from rest
    as theta_t/theta_0 = C r^t cos(damped_frequency t - lag), between the envelopes ±C r^t with
    C = 1/cos(lag).

    Attributes
    ----------
    roots : (...) array of str
        ``"complex"``, ``"critical"`` (a double real root) or ``"real"``.
    ratio : (...) array or float
        Below 1 theta oscillates, above 1 it creeps; negative where the swings grow, nan at a saddle.
        Where the dominant root is negative (the sign flips every step, as fast as a sample can show) that
        root's own oscillator is taken; inf where one positive root leads alone.
    natural_frequency : (...) array or float
        What the frequency would be without damping, in radians per step. It tends to sqrt(eta lam) for
        heavy ball as eta lam and 1 - gamma go to zero; inf where one positive root leads alone.
    damped_frequency : (...) array or float
        The frequency seen in the iterates, the argument of the dominant root: pi where the sign flips
        every step, 0 where nothing oscillates.
    period : (...) array or float
        Steps in a full swing; inf where nothing oscillates, 2 at the fastest.
    half_life : (...) array or float
        Steps in which r^t halves, r the spectral radius; inf where unstable.
    overshoot, largest_overshoot : (...) array or float
        From rest, sample by sample, what `measure_overshoot` finds in a run long enough: the first, and
        the largest, inf where unstable. nan where a run from rest is not this oscillator from its first
        step on (a rule that counts its steps, or starts with a step of its own), and where real roots and
        a first step leave open how often the sign changes, as for neither heavy ball nor Nesterov.
    lag : (...) array or float
        Of a complex pair, in radians; nan elsewhere, and where overshoot is.
    """

    roots: Any
    ratio: Any
    natural_frequency: Any
    damped_frequency: Any
    period: Any
    half_life: Any
    overshoot: Any
    largest_overshoot: Any
    lag: Any

    def sign_changes(self, steps: Any) -> Any:
        """How often theta changes its sign in the first `steps` steps from rest.

        Exact, what `count_sign_changes` counts as long as theta does not underflow to zero. A stable
        complex pair changes its sign for ever, so the count needs a horizon: a number of steps, or those
        until a tolerance is met, from `settling_time` for one.

        Parameters
        ----------
        steps : float or array
            At least 0, inf allowed; broadcasts with the rest.

        Returns
        -------
        (...) float array or float
            nan where `overshoot` is.

        Raises
        ------
        ValueError
            steps negative.

        Examples
        --------
        >>> from momentum_lib import heavy_ball, settling_time
        >>> ball = heavy_ball.at(eta=1.0, gamma=0.9)
        >>> steps = settling_time(ball, [0.1], [1.0], 1e-6, 1000)
        >>> float(steps), float(damping(ball, 0.1).sign_changes(steps))
        (257.0, 26.0)
        """
        steps = reals("steps", steps, finite=False)
        if not (steps >= 0).all():
            raise ValueError(f"steps={steps.min():g}; a number of steps is at least 0.")
        with np.errstate(all="ignore"):
            swings = np.maximum(np.floor((self.damped_frequency * steps - self.lag) / math.pi + 0.5), 0.0)
            past = self.overshoot
            real = np.where(past > 0, steps, np.where(past == 0, 0.0, np.nan))
        return np.where(np.asarray(self.roots) == "complex", swings, real)[()]


def damping(rule: Rule, lam: Any) -> Damping:
    """The damping dictionary of a rule: ratio, frequencies, half-life, overshoot, sign changes.

    Parameters
    ----------
    rule : Rule
        Any linear rule with one or two slots; its letters may be arrays. A single open step size counts
        as 1: then the curvature is the product eta lam.
    lam : float or array
        Curvature; broadcasts with the letters.

    Raises
    ------
    RuleError
        More than two slots; as `iteration_matrix` otherwise.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> found = damping(heavy_ball.at(gamma=0.9), [0.001, 0.01, 0.1])
    >>> found.roots.tolist(), found.ratio.round(4).tolist()
    (['real', 'complex', 'complex'], [1.6229, 0.513, 0.1616])
    >>> found.period.round(2).tolist(), found.overshoot.round(3).tolist()
    ([inf, 71.28, 19.53], [0.0, 0.153, 0.604])
    """
    rule = a_rule(rule).in_unit_steps()
    if len(rule.slots) > 2:
        raise RuleError(
            f"{rule} has {len(rule.slots)} slots; the dictionary has two, so measure a run of it."
        )
    lam, reading = read(rule, lam)
    trace, det, first, fall, rest = np.broadcast_arrays(
        *trace_and_det(lam, reading), _first(lam, reading), *_off_one(rule, lam)
    )
    with np.errstate(all="ignore"):
        disc = np.where(_discriminant(trace, det) == 0, 0.0, fall * fall / 4 - rest)
        turns, root = disc < 0, np.sqrt(np.maximum(disc, 0.0))
        z1 = trace / 2 + np.where(trace < 0, -root, root)  # the larger one
        z2 = np.where(z1 == 0, 0.0, det / z1)
        r = np.where(turns, np.sqrt(det), np.abs(z1))
        phase = np.where(turns, np.arctan2(np.sqrt(-disc), trace / 2), np.where(z1 < 0, math.pi, 0.0))
        # A slow root is 1 + w, and w keeps the digits that 1 + w rounds away.
        w = np.where(fall == 2 * root, 0.0, rest / (fall / 2 - root))
        slow = np.log1p(np.where(turns, fall + rest, w))
        s1, s2 = np.where(turns, slow / 2, np.where(z1 > 0, slow, np.log(r))), np.log(z2)
        swings = phase > 0
        ratio = np.where(swings, -s1 / np.hypot(s1, phase), -(s1 + s2) / (2 * np.sqrt(s1 * s2 + 0.0)))
        natural = np.where(swings, np.hypot(s1, phase), np.sqrt(s1 * s2 + 0.0))  # + 0.0: no root of -0
        alone = ~swings & (z2 <= 0)
        slant = np.where(turns, (first / r - np.cos(phase)) / np.sin(phase), np.nan)  # tan(lag)
        past = np.full((2, *np.shape(r)), np.nan)
        flips = (z1 < 0) & (first < 0) & (first <= z2 + 1e-12) & ~turns  # from the first step on
        creeps = (z1 >= 0) & (z2 >= 0) & (first >= z2 - 1e-12) & ~turns
        past[:, creeps] = 0.0
        past[:, flips] = _overshoot_of_flips(trace[flips], det[flips], first[flips], r[flips] < 1)
        past[:, turns] = _overshoot_of_swings(r[turns], phase[turns], slant[turns])
        past[1, (r >= 1) & ~creeps & ~np.isnan(past[1])] = np.inf
        parts = (
            np.where(turns, "complex", np.where((disc == 0) & (len(rule.slots) == 2), "critical", "real")),
            np.where(alone, np.inf, ratio),
            np.where(alone, np.inf, natural),
            phase,
            2 * math.pi / phase,
            np.where(s1 < 0, -math.log(2) / s1, np.inf),
            *past,
            np.arctan(slant),
        )
    return Damping(*(part[()] for part in parts))


def critical_gamma(rule: Rule, lam: Any) -> Any:
    """The momentum at which an eigen-direction is critically damped: the two roots meet.

    Computed for any rule with one momentum letter, whatever its name: the discriminant trace^2 - 4 det is
    followed over that letter from 0 to 1, and its first change of sign bisected to the last digits. For
    heavy ball it is (1 - sqrt(h))^2, for Nesterov (1 - sqrt(h))/(1 + sqrt(h)), h = eta lam: below it a run
    creeps, above it it swings, and among all gamma the radius is least there, 1 - sqrt(h). For heavy ball
    and 1 < h < 4 the roots meet at a negative number and the sign flips every step.

    Parameters
    ----------
    rule : Rule
        Any linear rule with two slots and one momentum letter (`Rule.momentum_letters`), which is left
        open; all others are set, but a single step size may be open and counts as 1.
    lam : float or array
        Curvature; broadcasts with the letters.

    Returns
    -------
    (...) array or float
        nan where no momentum from 0 to 1 is critical.

    Raises
    ------
    RuleError
        Another number of slots or of momentum letters, or the momentum is set.

    Examples
    --------
    >>> from momentum_lib import heavy_ball, nesterov
    >>> [float(critical_gamma(rule, 0.01).round(4)) for rule in (heavy_ball, nesterov)]
    [0.81, 0.8182]
    """
    letters = a_rule(rule).momentum_letters
    if len(letters) != 1 or letters[0] not in rule.free or len(rule.slots) != 2:
        raise RuleError(
            f"{rule} has the slots {', '.join(rule.slots)} and the momentum letters "
            f"{', '.join(letters) or 'none'}; critical_gamma wants two slots and one such letter, left open."
        )
    (name,) = letters
    half = np.geomspace(1e-12, 0.5, 120)
    grid = np.concatenate([[0.0], half, 1 - half[-2::-1], [1.0]])
    unit = rule.at(**{name: 0.5}).in_unit_steps()
    held = {n: np.asarray(v)[..., None] for n, v in unit.setting.items() if n != "t" and not is_schedule(v)}
    lam, reading = read(unit.at(**held), reals("lam", lam)[..., None])

    def look(momentum: Array) -> tuple[Any, Any]:
        now = reading._replace(letters={**reading.letters, name: momentum})
        trace, det = np.broadcast_arrays(*trace_and_det(lam, now))
        return _discriminant(trace, det), det

    disc, det = look(grid)
    stands = det[..., :-1] < 1 - 1e-14  # else the roots meet on the unit circle
    meets = ((disc[..., 1:] < 0) != (disc[..., :-1] < 0)) & stands
    at = meets.argmax(axis=-1)[..., None]
    low, high = grid[at], grid[at + 1]
    swings = np.take_along_axis(disc, at, axis=-1) < 0
    for _ in range(60):
        middle = (low + high) / 2
        same = (look(middle)[0] < 0) == swings
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    found = np.where(meets.any(axis=-1), np.where(swings, high, low)[..., 0], np.nan)
    return np.where((disc[..., 0] == 0) & stands[..., 0], 0.0, found)[()]


def trace_and_det(lam: Array, reading: Reading) -> tuple[Any, Any]:
    """What theta_{t+2} = trace theta_{t+1} - det theta_t of a rule with one or two slots is made of."""
    with np.errstate(all="ignore"):
        return trace_det([reading.advance(unit, lam) for unit in np.eye(len(reading.rule.slots))])


def _off_one(rule: Rule, lam: Array) -> tuple[Any, Any]:
    """Trace and determinant of M - 1, of which no digit is lost; one slot has a second root at 0."""
    drift = close(rule, lam).drift
    if drift.shape[-1] == 1:
        return drift[..., 0, 0] - 1, -drift[..., 0, 0]
    (a, b), (c, d) = np.moveaxis(drift, (-2, -1), (0, 1))
    return a + d, a * d - b * c


def _discriminant(trace: Any, det: Any) -> Any:
    """trace^2/4 - det, and 0 where rounding could give it either sign: a pair that close is one root."""
    with np.errstate(all="ignore"):
        disc = trace * trace / 4 - det
        return np.where(np.abs(disc) <= 1e-15 * (trace * trace / 4 + np.abs(det)), 0.0, disc)


def _first(lam: Array, reading: Reading) -> Any:
    """theta_1/theta_0 from rest; nan where the body alone does not make the run."""
    rule, rest = reading.rule, np.array(reading.rule.at_rest, float)
    state = reading.advance(rest, lam)
    own: Any = rule.counts
    if rule.has_first_step:
        for one, other in zip(reading._replace(step=rule.first_step).advance(rest, lam), state, strict=True):
            own = own | ~np.isclose(one, other, 1e-12, 1e-15)
    return np.where(own, np.nan, state[0])


def _overshoot_of_swings(r: Array, phase: Array, slant: Array) -> tuple[Array, Array]:
    """First and largest swing of theta_t = r^t (cos(phase t) + slant sin(phase t)).

    The k-th swing of the curve is deepest at phase t = lag + k pi + arctan(log r/phase), that of the iterates
    at one of the two whole t beside. Each swing of the curve is r^(pi/phase) of the one before; as long as
    one could still hold an iterate beyond all so far, it is looked at.
    """

    def theta(t: Array, one: Any) -> Any:
        return r[one] ** t * (np.cos(phase[one] * t) + slant[one] * np.sin(phase[one] * t))

    peak = (np.arctan(slant) + math.pi + np.arctan2(np.log(r), phase)) / phase
    first = np.maximum(0.0, np.maximum(-theta(np.floor(peak), ...), -theta(np.ceil(peak), ...)))
    largest, reach = first.copy(), np.abs(theta(peak, ...))
    turn, left = math.pi / phase, np.flatnonzero(r < 1)
    for swing in range(1, 100_000):
        left = left[reach[left] * r[left] ** (swing * turn[left]) > largest[left]]
        if not left.size:
            break
        later = peak[left] + swing * turn[left]
        for t in (np.floor(later), np.ceil(later)):
            largest[left] = np.maximum(largest[left], np.abs(theta(t, left)))
    return first, largest


def _overshoot_of_flips(trace: Array, det: Array, first: Array, falls: Array) -> tuple[Array, Array]:
    """First and largest swing where the sign flips every step: |theta_t| rises at most once, then `falls`."""
    before, now, largest = np.ones_like(first), first, -first
    rising = falls
    while rising.any():
        before, now = now, trace * now - det * before
        rising = falls & (np.abs(now) > largest)
        largest = np.maximum(largest, np.abs(now))
    return -first, largest
