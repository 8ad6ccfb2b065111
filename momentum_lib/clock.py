"""Time: the step count, the first step of a rule's own, schedules, and how a rule is read at step t.

**t is 1 on the first step.** Everything that steps a rule, or analyses it step by step, asks here.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np

from momentum_lib.definition import Rule, RuleError, is_schedule

__all__ = ["LIMIT", "Clock", "a_rule", "count_of", "refuse_frozen", "standing"]

Convert = Callable[[str, Any], Any]

#: Where t → ∞ is read. A number so large that t - 1 and t + 2 are one float and gamma^t is 0, so that
#: (t - 1)/(t + 2) is 1 and not inf/inf, and small enough that t³ still is a number.
LIMIT: Final = 2.0**100


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
    ({'eta': 0.5, 'gamma': 0.5}, (-0.5, 0.5))
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
        shapes |= {n: np.shape(v(1)) for n, v in self.schedules.items()}
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
    rule = a_rule(rule).closed()
    if "t" in rule.setting:
        raise RuleError(f"{rule} is frozen at t={rule.setting['t']}, and a run counts itself; leave t out.")
    return rule


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
    raise RuleError(f"{rule!r} is not a rule; decorate the step with @rule.")


def standing(rule: Rule) -> tuple[Callable[..., Any], Mapping[str, Any]]:
    """How an analysis reads a rule: its body, or what it is at the step it is frozen at.

    A rule that counts and is not frozen is read at `LIMIT`, in place of t → ∞.

    Returns
    -------
    step, letters

    Raises
    ------
    RuleError
        What is no rule, an open letter, a schedule without a step to read it at.

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
    if isinstance(t, float) and t == math.inf:
        t = LIMIT
    for name, schedule in rule.schedules.items():
        if not frozen:
            raise RuleError(
                f"{name} of {rule.name} is a schedule, and an analysis is at one step; "
                f"read it there with .at(t=...), or give {name} a number."
            )
        letters[name] = schedule(t)
    if rule.counts:
        letters["t"] = t
    return (rule.first_step if rule.has_first_step and frozen and t == 1 else rule.step), letters


def count_of(name: str, value: Any, least: int = 0) -> int:
    """A count as a whole number: one policy and one sentence for all of the library.

    Raises
    ------
    ValueError
        Not whole (3.0 and True are not), or below `least`.

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
        raise ValueError(f"{name} is {value!r}; give a whole number of at least {least}.") from None
    if count < least:
        raise ValueError(f"{name} is {count}; give a whole number of at least {least}.")
    return count
