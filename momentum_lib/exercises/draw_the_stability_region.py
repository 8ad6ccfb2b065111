"""Checks of notebook 04: draw the stability region."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable

import numpy as np

from momentum_lib.definition import RULES, Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.spectrum import spectral_radius, stability_limit
from momentum_lib.tuning import lower_bound, lower_rate

__all__ = ["check_ema_limit", "check_fewest_steps", "check_flat_limit"]

_OTHERS: dict[str, Callable[[float], float]] = {
    "is the limit of a sum of gradients; this rule averages them": lambda gamma: 2 * (1 + gamma),
    "forgets that the stable range widens, by 1 + gamma": lambda gamma: 2 / (1 - gamma),
    "makes the learning rate smaller; the average is smaller than the sum, so it may be larger": (
        lambda gamma: 2 * (1 + gamma) * (1 - gamma)
    ),
    "is Nesterov's; here the gradient is read at theta": lambda gamma: 2 * (1 + gamma) / (1 + 2 * gamma),
}


@checked("the heavy ball's limit over 1 - gamma: a larger number, the same runs.")
def check_ema_limit(limit: Callable[[float], float]) -> str | None:
    """Whether ``limit(gamma)`` is the largest stable eta lam of the averaged heavy ball."""
    if not callable(limit):
        return "hand in a function of gamma."
    gammas = (0.0, 0.3, 0.5, 0.9, 0.99)
    said = [float(limit(gamma)) for gamma in gammas]
    true = [float(stability_limit(RULES["ema"].at(gamma=gamma))) for gamma in gammas]
    if np.allclose(said, true, rtol=1e-6, atol=0):
        return None
    for hint, other in _OTHERS.items():
        if np.allclose(said, [other(gamma) for gamma in gammas], rtol=1e-6, atol=0):
            return f"that {hint}."
    k = int(np.argmax(~np.isclose(said, true, rtol=1e-6, atol=0)))
    return f"at gamma = {gammas[k]:g} you say {said[k]:.4g}, and runs turn unstable at {true[k]:.4g}."


@checked("a claim below it is refuted by one polynomial, whatever the schedule.")
def check_fewest_steps(steps: int, *, kappa: float = 1e4, tol: float = 1e-6) -> str | None:
    """Whether `steps` is the least after which a fixed schedule can be within `tol` on every quadratic."""
    if isinstance(steps, bool) or not isinstance(steps, numbers.Integral):
        return "a step count is a whole number."
    if steps < 1:
        return "at least one step is needed to move at all."
    if lower_bound(kappa, steps) > tol:
        by_rate = " The rate alone forgets the 2 in 1/T_t = 2 rho^t/(1 + rho^(2t))."
        least = math.ceil(math.log(tol) / math.log(lower_rate(kappa)))
        left = (
            f"after {steps} steps the worst error is at least {lower_bound(kappa, steps):.3g}, for everybody."
        )
        return left + (by_rate if steps in (least - 1, least) else "")
    if lower_bound(kappa, steps - 1) <= tol:
        return "possible, and already with fewer steps; look where the bound passes the tolerance."
    return None


@checked("half a look-ahead: what the memory adds to the limit, the look-ahead takes away.")
def check_flat_limit(own: Rule) -> str | None:
    """Whether a rule with momentum has the same largest stable eta lam at every gamma."""
    if not isinstance(own, Rule):
        return "hand in the rule, written under @rule with letters eta and gamma."
    gammas = np.array([0.0, 0.3, 0.5, 0.9, 0.99])
    balls = own.at(gamma=gammas)
    limits = stability_limit(balls)
    k = int(np.abs(limits - limits[0]).argmax())
    if not abs(limits[k] - limits[0]) < 1e-6:
        further = "further" if limits[k] > limits[0] else "less far"
        moved = f"the limit is {limits[0]:.4g} at gamma = 0 and {limits[k]:.4g} at {gammas[k]:g}"
        return f"{moved}; look {further} ahead."
    if np.ptp(spectral_radius(balls, 0.1)) < 1e-6:
        return f"the limit is {limits[0]:.4g} everywhere, but gamma does nothing: keep the velocity."
    return None
