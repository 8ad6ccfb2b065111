"""Checks of notebook 05: study gamma's sensitivity."""

from __future__ import annotations

import math
import numbers

import numpy as np

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.noise import mean_square_limit, stationary_covariance
from momentum_lib.tuning import best_eta, lower_rate

__all__ = ["check_one_gamma", "check_same_floor", "check_widest_step"]


def _momentum(gamma: float) -> str | None:
    if isinstance(gamma, bool) or not isinstance(gamma, numbers.Real) or not 0 <= gamma < 1:
        return "gamma is one number in [0, 1)."
    return None


@checked("ten times less friction, and nearly ten times less learning rate.")
def check_same_floor(eta: float) -> str | None:
    """Whether heavy ball at gamma = 0.99 has with this `eta` the noise floor of eta = 0.1, gamma = 0.9."""
    if isinstance(eta, bool) or not isinstance(eta, numbers.Real) or not (math.isfinite(eta) and eta > 0):
        return "eta is one positive number."
    rule = RULES["heavy_ball"]
    wanted, found = (
        float(stationary_covariance(rule.at(eta=e, gamma=g), 1.0, 1.0)[0, 0])
        for e, g in ((0.1, 0.9), (eta, 0.99))
    )
    if abs(found / wanted - 1) < 0.01:
        return None
    return f"the floor is {found / wanted:.3g} times the wanted one; it is nearly proportional to eta."


@checked("the two ends of the range cost the same: moving gamma helps one and hurts the other.")
def check_one_gamma(gamma: float, *, low: float = 30.0, high: float = 3000.0) -> str | None:
    """Whether `gamma`, with the best eta for each kappa, has the least worst regret on [low, high]."""
    if hint := _momentum(gamma):
        return hint
    trials = np.append(np.linspace(0.5, 0.999, 500), gamma)
    regret = np.array(
        [
            np.log(lower_rate(k)) / np.log(best_eta(RULES["heavy_ball"].at(gamma=trials), 1 / k, 1.0).rate)
            for k in (low, high)
        ]
    )
    if regret[:, -1].max() < 1.03 * regret.max(axis=0).min():
        return None
    small, large = regret[:, -1]
    side = "less" if small > large else "more"
    return f"it costs x{small:.3g} at kappa = {low:g} and x{large:.3g} at {high:g}; take {side} gamma."


@checked("some momentum averages the noise, more of it only keeps the noise longer.")
def check_widest_step(gamma: float, *, variance_ratio: float = 1 / 9) -> str | None:
    """Whether `gamma` permits the largest mean-square stable learning rate at V = lam^2/9."""
    if hint := _momentum(gamma):
        return hint
    rule = RULES["heavy_ball"]
    here, more = (float(mean_square_limit(rule.at(gamma=g), variance_ratio)) for g in (gamma, gamma + 1e-4))
    noise = math.sqrt(variance_ratio)
    if abs(gamma - (1 - noise) / (1 + noise)) < 0.01:
        return None
    return f"the limit is {here:.4g} here and {'rises' if more > here else 'falls'} with more gamma."
