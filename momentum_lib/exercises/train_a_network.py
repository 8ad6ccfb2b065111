"""Checks of notebook 13: train a network."""

from __future__ import annotations

import math

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.published import value
from momentum_lib.spectrum import stability_limit

__all__ = ["check_edge", "check_first_try", "check_pace"]


@checked("the same share of the run between two rises.")
def check_pace(period: float) -> str | None:
    """Whether `period` climbs at the paper's pace in a run of 30,000 updates."""
    rises, updates = value("sutskever-2013/schedule-period"), value("sutskever-2013/updates")
    assert isinstance(rises, float) and isinstance(updates, float)  # single numbers, for the type checker
    theirs = rises / updates
    if period == round(30_000 * theirs):
        return None
    reach = period * 49  # sutskever's schedule is at .99 after 49 rises
    return (
        f"with period {period:g} gamma reaches 0.99 after {reach / 30_000:.1%} of the updates; "
        f"in the paper it does after {49 * theirs:.1%}."
    )


@checked("momentum moves the edge, and the sharpness follows it.")
def check_edge(eta: float) -> str | None:
    """Whether `eta` holds the sharpness at 40 under heavy ball with gamma = 0.9."""
    limit = float(stability_limit(RULES["heavy_ball"].at(gamma=0.9)))
    if math.isclose(eta * 40, limit, rel_tol=1e-2):
        return None
    if math.isclose(eta * 40, 2, rel_tol=1e-2):
        return "that is gradient descent's; heavy ball is stable up to 2(1 + gamma) over the curvature."
    return f"at this learning rate heavy ball settles at a sharpness of {limit / eta:.4g}."


@checked("at small batches eta/(1 - gamma) counts; start from the same effective learning rate.")
def check_first_try(eta: float) -> str | None:
    """Whether `eta` at gamma = 0.95 keeps the effective learning rate of SGD at 0.5."""
    ratio = eta / (1 - 0.95) / 0.5
    if math.isclose(ratio, 1, rel_tol=0.25):
        return None
    return f"each gradient then moves theta {ratio:.3g} times as far in all as it did without momentum."
