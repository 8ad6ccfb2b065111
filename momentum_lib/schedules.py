"""Letters that change with the step: eta(t), gamma(t).

A schedule is a function of t, and **t is 1 on the first step**; a rule takes one wherever it takes a
number. Those made here also take an array of steps, print as they were written, compare, hash and travel
to other processes. Values may be arrays of shape S, one schedule for a whole grid.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from momentum_lib.clock import brief, count_of, numbers, reals
from momentum_lib.definition import RuleError
from momentum_lib.parts import namespace

__all__ = [
    "Schedule",
    "bias_correction",
    "constant",
    "cosine_decay",
    "linear_ramp",
    "nesterov_sequence",
    "nesterov_simple",
    "step_schedule",
    "sutskever",
    "then",
    "warmup",
]


@dataclass(frozen=True)
class Schedule:
    """A function of the step t: a frozen dataclass whose fields are its settings and which has a `law`.

    Raises
    ------
    ValueError
        Called with t < 1.

    Examples
    --------
    >>> ramp = linear_ramp(0.5, 0.9, steps=5)
    >>> ramp, ramp(3)
    (linear_ramp(start=0.5, stop=0.9, steps=5), 0.7)
    """

    def __call__(self, t: npt.ArrayLike) -> Any:
        """Return the value at step t, or the array of them at an array of steps; a tracer is not checked."""
        if namespace(t) is not np:
            return self.law(t)
        steps = numbers("t", t)
        if steps.dtype.kind == "c" or not ((steps >= 1) & (steps < np.inf)).all():
            worst = t if steps.dtype.kind == "c" else steps.min()
            raise ValueError(f"{type(self).__name__} is asked for step {worst}; the first step is t = 1.")
        try:
            with np.errstate(all="ignore"):
                value = self.law(steps)
            if np.iscomplexobj(value):
                raise TypeError("complex")
            return value if np.ndim(value) else float(value)
        except (TypeError, OverflowError, ValueError) as error:
            raise RuleError(f"{brief(self)} gives no number ({error}); make it of numbers.") from error

    def law(self, t: Any) -> Any:
        """The value at an array of steps, each at least 1."""
        raise NotImplementedError


@dataclass(frozen=True)
class constant(Schedule):  # noqa: N801 - called like a function, printed as it was called
    """The schedule that stays at `value`.

    Examples
    --------
    >>> constant(0.9)(100)
    0.9
    """

    value: Any

    def law(self, t: Any) -> Any:  # noqa: D102
        return np.full(t.shape, self.value) if t.ndim else self.value


@dataclass(frozen=True)
class _Way(Schedule):
    """From `start` at t = 1 to `stop` at t = `steps`, and `stop` from there on."""

    start: Any
    stop: Any
    steps: int

    def __post_init__(self) -> None:
        count_of("steps", self.steps, 2)

    def gone(self, t: Any) -> Any:
        """The share of the way that is behind at t."""
        return namespace(t).minimum((t - 1) / (self.steps - 1), 1.0)


@dataclass(frozen=True)
class linear_ramp(_Way):  # noqa: N801
    """From `start` at t = 1 in a line to `stop` at t = `steps`, and `stop` from there on.

    Raises
    ------
    ValueError
        Fewer than two steps.

    Examples
    --------
    >>> linear_ramp(0.5, 0.9, steps=3)(np.arange(1, 6))
    array([0.5, 0.7, 0.9, 0.9, 0.9])
    """

    def law(self, t: Any) -> Any:  # noqa: D102
        return self.start + (self.stop - self.start) * self.gone(t)


@dataclass(frozen=True)
class cosine_decay(_Way):  # noqa: N801
    """From `start` at t = 1 along half a cosine to `stop` at t = `steps`, and `stop` from there on.

    Level at both ends, steepest half way. Behind a warm-up:
    ``then(warmup(0.4, 100), 100, cosine_decay(0.4, 0, 900))``. PyTorch's CosineAnnealingLR counts the
    intervals, ``T_max = steps - 1``, and rises again after them; optax's cosine_decay_schedule counts them
    too, and stays.

    Raises
    ------
    ValueError
        Fewer than two steps.

    Source: Loshchilov and Hutter 2017, eq. (5), without its restarts.

    Examples
    --------
    >>> cosine_decay(0.4, 0.0, steps=5)(np.arange(1, 7)).round(4)
    array([0.4   , 0.3414, 0.2   , 0.0586, 0.    , 0.    ])
    """

    def law(self, t: Any) -> Any:  # noqa: D102
        left = (1 + namespace(t).cos(math.pi * self.gone(t))) / 2
        return left * self.start + (1 - left) * self.stop


@dataclass(frozen=True)
class step_schedule(Schedule):  # noqa: N801
    """``values[i]`` up to and including step ``boundaries[i]``, the last value after the last boundary.

    Raises
    ------
    ValueError
        Not one value more than boundaries, or boundaries that do not increase from 1 on.

    Examples
    --------
    >>> step_schedule([0.5, 0.9, 0.99], boundaries=[2, 4])(np.arange(1, 7))
    array([0.5 , 0.5 , 0.9 , 0.9 , 0.99, 0.99])
    """

    values: tuple[Any, ...]
    boundaries: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("values", "boundaries"):  # lists are taken, and do not hash
            given = getattr(self, name)
            if not isinstance(given, list | tuple | np.ndarray) or not numbers(name, given).ndim:
                raise ValueError(f"{name} is {brief(given)}; give a list of numbers.")
            object.__setattr__(self, name, tuple(given))
        values, boundaries = self.values, [count_of("a boundary", b) for b in self.boundaries]
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"{len(values)} values and {len(boundaries)} boundaries; give one value more than boundaries."
            )
        if any(b <= a for a, b in zip((0, *boundaries), boundaries, strict=False)):
            raise ValueError(f"boundaries are {boundaries}; give increasing steps, the first at least 1.")

    def law(self, t: Any) -> Any:  # noqa: D102
        xp = namespace(t)
        return xp.asarray(self.values)[xp.searchsorted(xp.asarray(self.boundaries), t, side="left")]


@dataclass(frozen=True)
class warmup(Schedule):  # noqa: N801
    """`value` t/`steps` for the first `steps` steps, then `value`: small first steps for a large eta.

    Raises
    ------
    ValueError
        Fewer than one step.

    Source: Goyal et al. 2017, section 2.2, from zero.

    Examples
    --------
    >>> warmup(0.4, steps=4)(np.arange(1, 6))
    array([0.1, 0.2, 0.3, 0.4, 0.4])
    """

    value: Any
    steps: int

    def __post_init__(self) -> None:
        count_of("steps", self.steps, 1)

    def law(self, t: Any) -> Any:  # noqa: D102
        return self.value * namespace(t).minimum(t / self.steps, 1.0)


@dataclass(frozen=True)
class sutskever(Schedule):  # noqa: N801
    """Momentum raised towards 1: min(1 - 1/(2(floor(t/period) + 1)), gamma_max).

    .5, .75, .8333, .875, .9, ...; the memory 1/(1 - gamma) grows by 2 each `period` steps. The paper
    writes 1 - 2^(-1 - log2(floor(t/250) + 1)).

    Raises
    ------
    ValueError
        gamma_max outside [0, 1], a period below 1.

    Source: Sutskever, Martens, Dahl and Hinton 2013, eq. (5).

    Examples
    --------
    >>> sutskever(0.99)(np.array([1, 249, 250, 500, 100_000]))
    array([0.5       , 0.5       , 0.75      , 0.83333333, 0.99      ])
    """

    gamma_max: Any
    period: int = 250

    def __post_init__(self) -> None:
        _momentum("gamma_max", self.gamma_max, closed=True)
        count_of("period", self.period, 1)

    def law(self, t: Any) -> Any:  # noqa: D102
        return namespace(t).minimum(1 - 1 / (2 * (t // self.period + 1)), self.gamma_max)


@dataclass(frozen=True)
class nesterov_sequence(Schedule):  # noqa: N801
    """Nesterov's momentum for convex functions: gamma(t) = (t_{t-1} - 1)/t_t.

    t_1 = 1 and t_{k+1} = (1 + √(1 + 4 t_k²))/2, so gamma(2) = 0 and gamma(3) = 0.2818. gamma(1) meets the
    velocity at rest, so it is inert; it is 0 here, so that it stays inert under a velocity of one's own.
    With eta = 1/L, f - min f is at most 2L R²/(n + 1)² after n steps (**upper**).

    Source: Nesterov 1983; Beck and Teboulle 2009, eq. (4.2)-(4.3), Theorem 4.4.

    Examples
    --------
    >>> nesterov_sequence()(np.arange(1, 5)).round(4)
    array([0.    , 0.    , 0.2818, 0.434 ])
    """

    def law(self, t: Any) -> Any:  # noqa: D102
        if namespace(t) is not np:
            return self._traced(t, namespace(t))
        if t.max(initial=1) > _TABLED:
            raise ValueError(f"nesterov_sequence is a table up to step {_TABLED}, got {t.max():.3g}.")
        t = t.astype(int)
        table = _nesterov_t(1 << int(t.max(initial=1)).bit_length())
        return np.maximum(table[t - 1] - 1, 0) / table[t]

    @staticmethod
    def _traced(t: Any, xp: Any) -> Any:
        """A short table, then t_k grown from its end by t_{k+1} - t_k = 1/2 + 1/(8 t_k) + ..."""
        last = 1 << 14
        table = xp.asarray(_nesterov_t(last))
        near = xp.clip(t, 1, last)
        late = xp.maximum(t, last)
        far = table[last] + (late - last) / 2 + xp.log(late / last) / 4
        known = xp.maximum(table[near - 1] - 1, 0) / table[near]
        return xp.where(t <= last, known, 1 - (1.5 + 1 / (8 * far)) / far)


#: The last step of `nesterov_sequence`; a longer table takes minutes, and the momentum is 1 to six digits.
_TABLED = 10**7


@functools.cache
def _nesterov_t(last: int) -> npt.NDArray[Any]:
    """t_0 ... t_last; t_0 = 0 gives t_1 = 1."""
    table = [0.0]
    for _ in range(last):
        table.append((1 + math.sqrt(1 + 4 * table[-1] ** 2)) / 2)
    return np.array(table)


@dataclass(frozen=True)
class nesterov_simple(Schedule):  # noqa: N801
    """The simplified convex momentum (t - 2)/(t + 1), 0 on the first step.

    The formula's gamma(1) = -1/2 would multiply the velocity at rest; here it is 0.

    Source: Su, Boyd and Candès 2016, eq. (1), (k - 1)/(k + 2) with k = t - 1.

    Examples
    --------
    >>> nesterov_simple()(np.arange(1, 6))
    array([0.  , 0.  , 0.25, 0.4 , 0.5 ])
    """

    def law(self, t: Any) -> Any:  # noqa: D102
        return namespace(t).maximum(t - 2, 0) / (t + 1)


@dataclass(frozen=True)
class then(Schedule):  # noqa: N801
    """`first` for `steps` steps, then `second`, whose own t starts at 1 again.

    Numbers stand for constants, so ``then(sutskever(0.99), 9_000, 0.9)`` is the low-momentum finish.

    Raises
    ------
    ValueError
        Fewer than one step.

    Examples
    --------
    >>> one_cycle = then(linear_ramp(0.95, 0.85, 3), 3, linear_ramp(0.85, 0.95, 3))
    >>> one_cycle(np.arange(1, 7))
    array([0.95, 0.9 , 0.85, 0.85, 0.9 , 0.95])
    """

    first: Callable[[int], Any] | float
    steps: int
    second: Callable[[int], Any] | float

    def __post_init__(self) -> None:
        count_of("steps", self.steps, 1)

    def law(self, t: Any) -> Any:  # noqa: D102
        if t.ndim:
            return np.array([self.law(one) for one in t])
        parts = (self.first, t), (self.second, t - self.steps)
        if namespace(t) is np:
            return self._part(*parts[int(t > self.steps)])
        xp = namespace(t)
        first, second = (self._part(part, xp.maximum(at, 1)) for part, at in parts)
        return xp.where(t <= self.steps, first, second)

    @staticmethod
    def _part(part: Any, t: Any) -> Any:
        return part(t) if callable(part) else part


@dataclass(frozen=True)
class bias_correction_eta(Schedule):  # noqa: N801
    """eta/(1 - gamma^t), see `bias_correction`."""

    eta: Any
    gamma: Any

    def law(self, t: Any) -> Any:  # noqa: D102
        return self.eta / (1 - self.gamma**t)


@dataclass(frozen=True)
class bias_correction_gamma(Schedule):  # noqa: N801
    """gamma (1 - gamma^(t-1))/(1 - gamma^t), see `bias_correction`."""

    gamma: Any

    def law(self, t: Any) -> Any:  # noqa: D102
        return self.gamma * (1 - self.gamma ** (t - 1)) / (1 - self.gamma**t)


def bias_correction(eta: float, gamma: float) -> dict[str, Schedule]:
    """The bias correction v/(1 - gamma^t) as the pair of schedules it is.

    ``heavy_ball.at(**bias_correction(eta=.1, gamma=.9))`` takes the steps of `bias_corrected`:
    gamma(t) = gamma (1 - gamma^(t-1))/(1 - gamma^t) rises from 0 to gamma, and eta(t) = eta/(1 - gamma^t)
    falls from eta/(1 - gamma) to eta.

    Raises
    ------
    ValueError
        gamma outside [0, 1).

    Examples
    --------
    >>> pair = bias_correction(eta=0.1, gamma=0.9)
    >>> pair["gamma"](np.arange(1, 4)).round(4), round(pair["eta"](1), 9)
    (array([0.    , 0.4737, 0.631 ]), 1.0)
    """
    _momentum("gamma", gamma, closed=False)
    return {"eta": bias_correction_eta(eta, gamma), "gamma": bias_correction_gamma(gamma)}


def _momentum(name: str, given: npt.ArrayLike, *, closed: bool) -> None:
    values = reals(name, given)
    if not ((values >= 0) & ((values <= 1) if closed else (values < 1))).all():
        raise ValueError(f"{name} is {brief(given)}; give a momentum in [0, 1{']' if closed else ')'}.")
