"""Checks of notebook 11: leave the quadratic."""

from __future__ import annotations

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.problems import LessardCycle
from momentum_lib.runner import run
from momentum_lib.spectrum import spectral_radius

__all__ = ["check_cycling_start", "check_same_departure"]


@checked("without momentum the same saddle is left as quickly.")
def check_same_departure(eta: float, *, eta_momentum: float = 0.1, gamma: float = 0.9) -> str | None:
    """Whether gradient descent leaves a saddle of curvature -1 as quickly as this heavy ball."""
    growth = float(spectral_radius(RULES["heavy_ball"].at(eta=eta_momentum, gamma=gamma), -1.0))
    if abs(eta - (growth - 1)) < 1e-3:
        return None
    if not eta > 0:
        return "a learning rate is above 0."
    if abs(eta - eta_momentum / (1 - gamma)) < 1e-3:
        return "that is the effective learning rate; the velocity has no time to settle here."
    return f"gradient descent grows by {1 + eta:.4g} a step, heavy ball by {growth:.4g}."


@checked("one more interval of the basin.")
def check_cycling_start(start: float, *, low: float = 0.0, high: float = 2.0) -> str | None:
    """Whether heavy ball, from rest at this start between `low` and `high`, ends on Lessard's cycle."""
    if not low < start < high:
        return f"start between {low:g} and {high:g}."
    theta = run(RULES["heavy_ball"].at(eta=1 / 9, gamma=4 / 9), LessardCycle().grad, float(start), 300).theta
    if abs(theta[-1]) > 0.1:
        return None
    return f"from {start:g} it converges; look at the line of zero velocity in the map."
