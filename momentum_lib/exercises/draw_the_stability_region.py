"""Checks of notebook 04: draw the stability region."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.spectrum import stability_limit
from momentum_lib.tuning import lower_bound, tune

__all__ = ["check_ema_limit", "check_fewest_steps", "check_reach"]


@checked("the heavy ball's limit over 1 - gamma: a larger number, the same runs.")
def check_ema_limit(limit: Callable[[float], float]) -> str | None:
    """Whether ``limit(gamma)`` is the largest stable eta lam of the averaged heavy ball."""
    if not callable(limit):
        return "hand in a function of gamma."
    for gamma in (0.0, 0.3, 0.5, 0.9, 0.99):
        said, true = float(limit(gamma)), float(stability_limit(RULES["ema"].at(gamma=gamma)))
        if not abs(said - true) < 1e-9 * true:
            if abs(said - 2 * (1 + gamma)) < 1e-9:
                return (
                    f"at gamma = {gamma:g} that is the limit of a sum of gradients; this rule averages them."
                )
            return f"at gamma = {gamma:g} you say {said:.4g}, and runs turn unstable at {true:.4g}."
    return None


@checked("19 squared against 19: the square root once more.")
def check_reach(reach: Mapping[str, float], *, rate: float = 0.9) -> str | None:
    """Whether each condition number is the largest whose best setting has this `rate`."""
    for name in ("heavy_ball", "gradient_descent"):
        kappa = float(reach[name])
        if not (math.isfinite(kappa) and kappa > 1):
            return f"a condition number is finite and above 1; {name} has {kappa:g}."
        best = tune(name, 1.0, kappa).rate
        if best > rate + 1e-9:
            return f"too far: at kappa = {kappa:g} the best rate of {name} is {best:.4f}."
        if best < rate - 1e-9:
            return f"{name} can go further: at kappa = {kappa:g} its best rate is {best:.4f}."
    return None


@checked("a claim below it is refuted by one polynomial, whatever the schedule.")
def check_fewest_steps(steps: int, *, kappa: float = 1e4, tol: float = 1e-6) -> str | None:
    """Whether `steps` is the least after which a fixed schedule can be within `tol` on every quadratic."""
    if isinstance(steps, bool) or not isinstance(steps, numbers.Integral):
        return "a step count is a whole number."
    if steps < 1:
        return "at least one step is needed to move at all."
    if lower_bound(kappa, steps) > tol:
        return (
            f"after {steps} steps the worst error is at least {lower_bound(kappa, steps):.3g}, for everybody."
        )
    if lower_bound(kappa, steps - 1) <= tol:
        return "possible, and already with fewer steps; look where the bound passes the tolerance."
    return None
