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
    if not period >= 1:
        return "a period is a whole number of updates."
    reach = period * 49  # sutskever's schedule is at .99 after 49 rises
    return (
        f"with period {period:g} gamma reaches 0.99 after {reach / 30_000:.1%} of the updates; "
        f"in the paper it does after {49 * theirs:.1%}."
    )


@checked("momentum moves the edge, and the sharpness follows it.")
def check_edge(eta: float) -> str | None:
    """Whether `eta` holds the sharpness at 40 under heavy ball with gamma = 0.9."""
    limit, ahead = (float(stability_limit(RULES[name].at(gamma=0.9))) for name in ("heavy_ball", "nesterov"))
    if math.isclose(eta * 40, limit, rel_tol=5e-3):
        return None
    if math.isclose(eta * 40, 2, rel_tol=1e-2):
        return "that is gradient descent's; heavy ball is stable up to 2(1 + gamma) over the curvature."
    if math.isclose(eta * 40, ahead, rel_tol=1e-2):
        return "that is Nesterov's; heavy ball reads its gradient at theta, and bears more."
    if math.isclose(eta * 40, 2 * (1 - 0.9), rel_tol=1e-2):
        return (
            "that keeps eta/(1 - gamma) as it was; at full batch stability decides, not the sum of gradients."
        )
    if not eta > 0:
        return "a learning rate is positive."
    return f"at this learning rate heavy ball settles at a sharpness of {limit / eta:.4g}."


@checked("at small batches eta/(1 - gamma) counts; start from the same effective learning rate.")
def check_first_try(eta: float) -> str | None:
    """Whether `eta` at gamma = 0.95 keeps the effective learning rate of SGD at 0.5."""
    ratio = eta / (1 - 0.95) / 0.5
    if math.isclose(ratio, 1, rel_tol=0.25):
        return None
    if math.isclose(eta, 0.5 / (1 - 0.95), rel_tol=1e-6):
        return "the wrong way round: more momentum lengthens the step, so eta must fall."
    return f"each gradient then moves theta {ratio:.3g} times as far in all as it did without momentum."
