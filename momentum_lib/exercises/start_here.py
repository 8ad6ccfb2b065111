"""Checks of notebook 00: start here."""

from __future__ import annotations

import math

from momentum_lib.definition import Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.rules import heavy_ball
from momentum_lib.spectrum import settling_time, stability_limit

__all__ = ["check_half_ahead", "check_hand_tuned"]


@checked("that settles in time.")
def check_hand_tuned(eta: float, gamma: float, *, most: int = 130) -> str | None:
    """Whether heavy ball settles within a millionth on curvatures 0.01 and 1 in at most `most` steps."""
    if not (eta > 0 and 0 <= gamma < 1):
        swapped = 0 <= eta < 1 <= gamma
        return "eta must be positive and gamma at least 0 and below 1" + (
            "; have the two changed places?" if swapped else "."
        )
    needed = float(settling_time(heavy_ball.at(eta=eta, gamma=gamma), [0.01, 1.0], 1.0, 1e-6, 5000))
    if needed <= most:
        return None
    took = "more than 5000" if math.isinf(needed) else f"{needed:.0f}"
    if gamma == 0:
        return f"gamma = 0 is gradient descent: {took} steps; give the velocity a memory."
    if eta >= 2 * (1 + gamma):
        return "the steep direction never settles; eta must stay below 2(1 + gamma)."
    # Both curvatures swing, at sqrt(gamma) a step: only less momentum is faster.
    swings = (1 - math.sqrt(gamma)) ** 2 <= 0.01 * eta and eta <= (1 + math.sqrt(gamma)) ** 2
    advice = "a smaller gamma" if swings else "a larger eta together with a larger gamma"
    return f"this pair needs {took} steps; try {advice}."


@checked("the limit is 2 again, but below it no step ever crosses the minimum: 1 - h + h^2/2 is positive.")
def check_half_ahead(half_ahead: Rule) -> str | None:
    """Whether the rule reads its gradient at theta - eta/2 grad(theta)."""
    asked: list[float] = []

    def grad(x: float) -> float:
        asked.append(x)
        return 4 * x

    (theta,) = half_ahead(1.0, grad, eta=0.25)
    if 0.0 in asked:
        return "that looks a whole step ahead; half a step is eta / 2 * grad(theta)."
    if 1.5 in asked:
        return "that looks back: ahead is downhill, at theta - eta / 2 * grad(theta)."
    if 0.5 not in asked:
        return "the inner gradient is read at theta; the outer one at theta - eta / 2 * grad(theta)."
    if abs(theta - 0.5) > 1e-12:
        return "the look-ahead is right; the step itself is eta times the gradient read there."
    return None if float(stability_limit(half_ahead)) > 0 else "this rule is not stable for any eta."
