"""Time: the step count, the first step of a rule's own, schedules, and how a rule is read at step t.

**t is 1 on the first step.** Everything that steps a rule, or analyses it step by step, asks here.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np

from momentum_lib.definition import Rule, RuleError, brief, is_schedule

__all__ = [
    "LATE",
    "LIMIT",
    "Clock",
    "a_rule",
    "brief",
    "count_of",
    "numbers",
    "progress_bar",
    "real",
    "reals",
    "refuse_frozen",
    "standing",
]

Convert = Callable[[str, Any], Any]

#: Where t → ∞ is read. A number so large that t - 1 and t + 2 are one float and gamma^t is 0, so that
#: (t - 1)/(t + 2) is 1 and not inf/inf, and small enough that t³ still is a number.
LIMIT: Final = 2.0**100

#: Where what is read at `LIMIT` is compared: as good as infinite, still told from its neighbors, and odd,
#: so that what goes to and fro is seen.
LATE: Final = 2.0**50 + 1

#: Counts end where floats stop telling neighbors apart.
_MOST: Final = 2**53


class Clock:
    """A rule at a setting, read step by step.

    Parameters
    ----------
    rule : Rule
        Every letter set.
    convert : callable, optional
        ``convert(name, value)`` turns a constant, once, or what a schedule gave, at each step, into what
        the step computes with. `t` is handed over as it is.

    Raises
    ------
    RuleError
        What is no rule, an open letter, a step count that was set.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> clock = Clock(heavy_ball.at(eta=lambda t: 1 / t, gamma=0.5))
    >>> state = clock.advance((1.0, 0.0), lambda x: x, 1)
    >>> clock.letters(2), clock.advance(state, lambda x: x, 2)
    ({'gamma': 0.5, 'eta': 0.5}, (-0.5, 0.5))
    """

    def __init__(self, rule: Rule, convert: Convert = lambda name, value: value) -> None:
        self.rule, self.convert = refuse_frozen(rule), convert
        setting = rule.setting
        self.constants = {n: convert(n, v) for n, v in setting.items() if not is_schedule(v)}
        self.schedules = rule.schedules
        #: Whether two steps after the first can differ.
        self.varies = bool(rule.counts or self.schedules)

    def letters(self, t: Any) -> dict[str, Any]:
        """Every letter at step t, and t itself for a rule that counts."""
        now = dict(self.constants)
        for name, schedule in self.schedules.items():
            now[name] = self.convert(name, schedule(t))
        if self.rule.counts:
            now["t"] = t
        return now

    def body(self, t: int) -> Callable[..., Any]:
        """The function that makes step t: the rule's own first step, or its body."""
        return self.rule.first_step if t == 1 else self.rule.step

    def advance(self, state: Iterable[Any], grad: Callable[[Any], Any], t: int) -> tuple[Any, ...]:
        """The state after step t, from the state before it."""
        return self.rule.apply(self.body(t), state, grad, self.letters(t))

    def table(self, steps: Any) -> dict[str, Any]:
        """Every letter at each of an array of steps, time first; a constant is repeated."""
        count = len(steps)
        columns = {n: np.broadcast_to(v, (count, *np.shape(v))) for n, v in self.constants.items()}
        for name, schedule in self.schedules.items():
            columns[name] = np.stack([np.asarray(self.convert(name, schedule(int(t)))) for t in steps])
        if self.rule.counts:
            columns["t"] = np.asarray(steps)
        return columns

    @property
    def shape(self) -> tuple[int, ...]:
        """The common shape S of the letters, schedules read at step 1.

        Raises
        ------
        RuleError
            Shapes that do not broadcast.
        """
        shapes = {n: np.shape(v) for n, v in self.rule.setting.items() if not is_schedule(v)}
        try:
            shapes |= {n: np.shape(v(1)) for n, v in self.schedules.items()}
        except ValueError as error:
            raise RuleError(f"a schedule of {self.rule.name} gives no number at t=1 ({error}).") from error
        try:
            return np.broadcast_shapes(*shapes.values())
        except ValueError:
            listed = ", ".join(f"{n} {s}" for n, s in shapes.items() if s)
            raise RuleError(f"the shapes {listed} do not broadcast; reshape one of them.") from None


def refuse_frozen(rule: Any) -> Rule:
    """The rule, if it can be stepped.

    Raises
    ------
    RuleError
        What is no rule, an open letter, a step count that was set.
    """
    closed = a_rule(rule).closed()
    if "t" in closed.setting:
        raise RuleError(f"{rule} is frozen at t={closed.setting['t']}, and a run counts itself; leave t out.")
    return closed


def a_rule(rule: Any) -> Rule:
    """The rule, if it is one.

    Raises
    ------
    RuleError
        Anything else; a name is answered with where the rule is.
    """
    if isinstance(rule, Rule):
        return rule
    if isinstance(rule, str):
        raise RuleError(f'{rule!r} is a name, not a rule; take RULES["{rule}"].')
    raise RuleError(f"{brief(rule)} is not a rule; decorate the step with @rule.")


def standing(rule: Rule) -> tuple[Callable[..., Any], Mapping[str, Any]]:
    """How an analysis reads a rule: its body, or what it is at the step it is frozen at.

    A rule that counts and is not frozen is read at `LIMIT`, in place of t → ∞.

    Returns
    -------
    step, letters

    Raises
    ------
    RuleError
        What is no rule, an open letter, a schedule without a step to read it at or without a limit.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> standing(heavy_ball.at(eta=lambda t: 1 / t, gamma=0.5, t=4))[1]
    {'eta': 0.25, 'gamma': 0.5}
    """
    rule = a_rule(rule).closed()
    letters = dict(rule.setting)
    frozen = "t" in letters
    t = letters.pop("t", LIMIT)
    if isinstance(t, float):  # infinity
        t = LIMIT
    for name, schedule in rule.schedules.items():
        if not frozen:
            raise RuleError(
                f"{name} of {rule.name} is a schedule, and an analysis is at one step; "
                f"read it there with .at(t=...), or give {name} a number."
            )
        letters[name] = rule.checked(name, schedule(t))
        if t == LIMIT and not np.allclose(letters[name], schedule(LATE), 1e-6, 1e-6):
            raise no_limit(f"{name} of {rule.name}")
    if rule.counts:
        letters["t"] = t
    return (rule.first_step if t == 1 else rule.step), letters


def no_limit(what: str) -> RuleError:
    """What to raise where nothing settles; rounding can hide a limit, so none is denied."""
    return RuleError(f"{what} does not settle as t → ∞; read it at a step, .at(t=...).")


def numbers(name: str, value: Any) -> np.ndarray[Any, Any]:
    """A letter, a point or a curvature as an array of real or complex numbers.

    Raises
    ------
    RuleError
        Text, None, symbols, rows of several lengths.

    Examples
    --------
    >>> from fractions import Fraction
    >>> numbers("eta", [Fraction(1, 2), 1])
    array([0.5, 1. ])
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            parts = [x if isinstance(x, complex) else float(x + 0) for x in array.flat]
            array = np.reshape(parts, array.shape)
    except (TypeError, ValueError, OverflowError):
        array = np.asarray("")
    if array.dtype.kind in "USmM" or array.dtype.names:
        raise RuleError(f"{name} is {brief(value)}; give a number or an array of numbers.")
    return array


def reals(name: str, value: Any, *, finite: bool = True) -> np.ndarray[Any, Any]:
    """A number or an array of real numbers as floats, finite ones unless said otherwise.

    Raises
    ------
    RuleError
        Anything else.
    """
    array = numbers(name, value)
    if array.dtype.kind == "c":
        raise RuleError(f"{name} is {brief(value)}; give real numbers.")
    array = array.astype(float)
    if finite and not np.isfinite(array).all():
        raise RuleError(f"{name} contains {array[~np.isfinite(array)].flat[0]}; give finite numbers.")
    return array


def real(
    name: str, value: Any, *, above: float | None = None, least: float = -math.inf, finite: bool = True
) -> float:
    """One real number as a float: `above` a bound or at `least` it, and finite unless said otherwise.

    Raises
    ------
    RuleError
        Anything else.

    Examples
    --------
    >>> real("tol", 0, above=0)
    Traceback (most recent call last):
        ...
    momentum_lib.definition.RuleError: tol is 0; give one finite number above 0.
    """
    with contextlib.suppress(RuleError):
        array = reals(name, value, finite=finite)
        if not (array.ndim or array < least or (above is not None and array <= above)):
            return float(array)
    bound = f" above {above:g}" if above is not None else f" of at least {least:g}" * (least > -math.inf)
    raise RuleError(f"{name} is {brief(value)}; give one{' finite' * finite} number{bound}.")


def count_of(name: str, value: Any, least: int = 0, most: int = _MOST) -> int:
    """A count as a whole number: one policy and one sentence for all of the library.

    Raises
    ------
    ValueError
        Not whole (3.0 and True are not), below `least` or above `most`, beyond which floats cannot count.

    Examples
    --------
    >>> count_of("steps", 3.0)
    Traceback (most recent call last):
        ...
    ValueError: steps is 3.0; give a whole number of at least 0.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {brief(value)}; give a whole number of at least {least}.") from None
    if count < least:
        raise ValueError(f"{name} is {count}; give a whole number of at least {least}.")
    if count > most:
        raise ValueError(
            f"{name} is {brief(count)}; give a whole number of at most {'2**53' if most == _MOST else most}."
        )
    return count


def progress_bar(total: int, unit: str) -> Any:
    """A bar on stderr, or None where tqdm (the extra lab) is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit=unit, leave=False)
