"""Checks of notebook 06: damp the oscillation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from momentum_lib.clock import real
from momentum_lib.definition import Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.oscillation import critical_gamma, damping, measure_overshoot
from momentum_lib.problems import Quadratic
from momentum_lib.rules import heavy_ball
from momentum_lib.spectrum import closed_form, spectral_radius

__all__ = ["check_damper", "check_energy_limit", "check_overshoot"]


@checked("a damping ratio near 0.69 swings past by a twentieth and no more.")
def check_overshoot(gamma: float, *, lam: float = 0.01) -> str | None:
    """Whether heavy ball at eta lam = `lam` first swings past the minimizer by 4 to 6 percent."""
    gamma = real("gamma", gamma)
    if not 0 <= gamma < 1:
        return "a momentum lies in [0, 1)."
    past = float(damping(heavy_ball.at(gamma=gamma), lam).overshoot)
    if 0.04 <= past <= 0.06:
        return None
    if past == 0:
        edge = float(critical_gamma(heavy_ball, lam))
        return f"this run never passes the minimizer; swings begin above gamma = {edge:.3g}."
    return f"this run swings past by {100 * past:.3g} percent of its start."


@checked("friction where the ground curves, none where it is flat.")
def check_damper(own: Rule, *, gamma: float = 0.9) -> str | None:
    """Whether a rule overshoots by a third less than heavy ball at eta lam = 0.1, as quick at 0.001."""
    if not isinstance(own, Rule):
        return "hand in the rule, written under @rule with letters eta and gamma."
    if set(own.free) != {"eta", "gamma"}:
        return (
            f"leave the letters eta and gamma open, and no other; open are {', '.join(own.free) or 'none'}."
        )
    curvatures = np.array([0.1, 0.001])
    pair = heavy_ball.at(eta=1.0, gamma=gamma), own.at(eta=1.0, gamma=gamma)
    slow, slow_own = (float(spectral_radius(each, curvatures[1])) for each in pair)
    if not slow_own < 1:
        return f"at eta lam = {curvatures[1]:g} it does not converge: {slow_own:.4g} a step."
    if slow_own > slow**0.98:
        return (
            f"on flat ground it leaves {slow_own:.5f} of the error a step, heavy ball {slow:.5f}: too much "
            "friction there. What tells steep from flat is how the gradient changes along the velocity."
        )
    theta = (closed_form(each, Quadratic(curvatures), np.ones(2), 3000) for each in pair)
    past, past_own = (float(measure_overshoot(each).largest[0]) for each in theta)
    if not past_own <= 2 / 3 * past:
        side = "no less than" if past_own > past - 1e-9 else "still more than two thirds of"
        return f"it overshoots by {past_own:.3g} of the start, {side} heavy ball's {past:.3g}."
    return None


_OTHERS: dict[str, Callable[[float], float]] = {
    "is the limit of stability; below it a run comes home, and may gain energy on its way": (
        lambda gamma: 2 * (1 + gamma)
    ),
    "forgets the momentum: it is gradient descent's": lambda gamma: 2.0,
    "is half of it: did you drop the 1/2 of L/2?": lambda gamma: 1 - gamma,
    "is where the run begins to swing": lambda gamma: (1 - math.sqrt(gamma)) ** 2,
    "is bias correction's way to count, 1/(1 - gamma); a longer memory asks for less, not more": (
        lambda gamma: 2 / (1 - gamma)
    ),
}


@checked("position and velocity together never gain energy up to there, on any smooth function.")
def check_energy_limit(limit: Callable[[float], float]) -> str | None:
    """Whether ``limit(gamma)`` is the largest eta L at which f + gamma v²/(2 eta) never rises."""
    if not callable(limit):
        return "hand in a function of gamma."
    gammas = (0.25, 0.5, 0.9, 0.99)
    said = [real(f"limit({gamma:g})", limit(gamma)) for gamma in gammas]
    if np.allclose(said, [2 * (1 - gamma) for gamma in gammas], rtol=1e-6, atol=0):
        return None
    for hint, other in _OTHERS.items():
        if np.allclose(said, [other(gamma) for gamma in gammas], rtol=1e-6, atol=0):
            return f"that {hint}."
    gamma, value = next(
        (g, s) for g, s in zip(gammas, said, strict=True) if not math.isclose(s, 2 * (1 - g), rel_tol=1e-6)
    )
    side = "it rises from some start" if value > 2 * (1 - gamma) else "it may be larger"
    return f"at gamma = {gamma:g} you say {value:.4g}: {side}."
