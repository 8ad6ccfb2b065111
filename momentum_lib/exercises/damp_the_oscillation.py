"""Checks of notebook 06: damp the oscillation."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable

import numpy as np

from momentum_lib.exercises.verdict import checked
from momentum_lib.oscillation import count_rises, count_sign_changes, critical_gamma, damping
from momentum_lib.problems import Quadratic
from momentum_lib.rules import heavy_ball
from momentum_lib.runner import run

__all__ = ["check_disagreement", "check_energy_limit", "check_overshoot"]


def _number(name: str, value: float) -> str | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        return f"{name} is one finite number."
    return None


@checked("a damping ratio near 0.69 swings past by a twentieth and no more.")
def check_overshoot(gamma: float, *, lam: float = 0.01) -> str | None:
    """Whether heavy ball at eta lam = `lam` first swings past the minimizer by 4 to 6 percent."""
    if hint := _number("gamma", gamma):
        return hint
    if not 0 <= gamma < 1:
        return "a momentum lies in [0, 1)."
    past = float(damping(heavy_ball.at(gamma=gamma), lam).overshoot)
    if 0.04 <= past <= 0.06:
        return None
    if past == 0:
        edge = float(critical_gamma(heavy_ball, lam))
        return f"this run never passes the minimizer; swings begin above gamma = {edge:.3g}."
    return f"this run swings past by {100 * past:.3g} percent of its start."


@checked("fewer flips and more rises: one word, two answers.")
def check_disagreement(eta: float, gamma: float) -> str | None:
    """Whether momentum lowers the sign flips of gradient descent at this `eta` and raises f more often.

    On the ravine with curvatures 0.01 and 1, from (1, 1), in 50 steps.
    """
    if hint := _number("eta", eta) or _number("gamma", gamma):
        return hint
    if not (eta > 0 and 0 < gamma < 1):
        return "take a positive eta and a gamma between 0 and 1."
    if eta >= 2:
        return "gradient descent diverges at this eta, so there is nothing to compare with."
    ravine, balls = Quadratic([0.01, 1.0]), heavy_ball.at(eta=eta, gamma=[0.0, gamma])
    theta = run(balls, ravine.grad, np.ones(2), 50).theta
    before, flips = count_sign_changes(theta).sum(axis=-1)
    falls, rises = count_rises(ravine.value(theta))
    if flips < before and rises > falls:
        return None
    seen = f"flips go from {before} to {flips}, rises of f from {falls} to {rises}"
    if not before:
        return f"{seen}; without flips there are none to lose, so take a larger eta."
    return f"{seen}; take more momentum."


@checked("position and velocity together never gain energy up to there, on any smooth function.")
def check_energy_limit(limit: Callable[[float], float]) -> str | None:
    """Whether ``limit(gamma)`` is the largest eta L at which f + gamma v²/(2 eta) never rises."""
    if not callable(limit):
        return "hand in a function of gamma."
    for gamma in (0.25, 0.5, 0.9, 0.99):
        said = limit(gamma)
        if hint := _number(f"limit({gamma:g})", said):
            return hint
        if abs(said - 2 * (1 - gamma)) > 1e-9:
            side = "it rises from some start" if said > 2 * (1 - gamma) else "it may be larger"
            return f"at gamma = {gamma:g} you say {said:.4g}: {side}."
    return None
