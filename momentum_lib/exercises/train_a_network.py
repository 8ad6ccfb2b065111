"""Checks of notebook 13: train a network."""

from __future__ import annotations

import math

from momentum_lib.definition import RULES, Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.published import value
from momentum_lib.spectrum import stability_limit

__all__ = ["check_between", "check_first_try", "check_pace"]


@checked("the same share of the run between two rises.")
def check_pace(period: float, *, updates: int = 30_000) -> str | None:
    """Whether `period` climbs at the paper's pace in a run of so many updates."""
    rises, length = value("sutskever-2013/schedule-period"), value("sutskever-2013/updates")
    assert isinstance(rises, float) and isinstance(length, float)  # single numbers, for the type checker
    theirs = rises / length
    if period == round(updates * theirs):
        return None
    if not period >= 1:
        return "a period is a whole number of updates."
    reach = period * 49  # sutskever's schedule is at .99 after 49 rises
    return (
        f"with period {period:g} gamma reaches 0.99 after {reach / updates:.1%} of the updates; "
        f"in the paper it does after {49 * theirs:.1%}."
    )


@checked("send it through sharpness_along: it ends at its own limit, between the two.")
def check_between(rule: Rule) -> str | None:
    """Whether a rule with a memory has its limit between Nesterov's and heavy ball's at gamma = 0.9."""
    if not isinstance(rule, Rule):
        return "decorate the step with @rule."
    if len(rule.slots) < 2:
        return "without a memory it is gradient descent; keep v."
    own, low, high = (
        float(stability_limit(base.at(gamma=0.9)))
        for base in (rule.base, RULES["nesterov"], RULES["heavy_ball"])
    )
    if math.isclose(own, low, rel_tol=1e-6):
        return f"its limit is {low:.4g} over eta, which is Nesterov's; look less far ahead."
    if math.isclose(own, high, rel_tol=1e-6):
        return f"its limit is {high:.4g} over eta, which is heavy ball's; look ahead a little."
    if not own > 0:
        return "it is stable at no learning rate; theta must move against the gradient, and v must fade."
    if own < low:
        return (
            f"its limit is {own:.4g} over eta, below Nesterov's {low:.4g}; read between theta and its point."
        )
    if own > high:
        return f"its limit is {own:.4g} over eta, above heavy ball's {high:.4g}: its steps fall short of eta."
    return None


@checked("at small batches eta/(1 - gamma) counts; start from the same effective learning rate.")
def check_first_try(eta: float, *, gamma: float = 0.95, plain: float = 0.5) -> str | None:
    """Whether `eta` at `gamma` keeps the effective learning rate of SGD at `plain`."""
    ratio = eta / (1 - gamma) / plain
    if math.isclose(ratio, 1, rel_tol=0.25):
        return None
    if math.isclose(eta, plain / (1 - gamma), rel_tol=1e-6):
        return "the wrong way round: more momentum lengthens the step, so eta must fall."
    return f"each gradient then moves theta {ratio:.3g} times as far in all as it did without momentum."
