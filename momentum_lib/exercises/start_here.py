"""Checks of notebook 00: start here."""

from __future__ import annotations

import math
from fractions import Fraction

from momentum_lib.definition import Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.rules import heavy_ball
from momentum_lib.spectrum import settling_time, stability_limit

__all__ = ["check_half_ahead", "check_hand_tuned"]


@checked("that settles in time.")
def check_hand_tuned(
    eta: float, gamma: float, *, lam: tuple[float, float] = (0.01, 1.0), most: int = 130
) -> str | None:
    """Whether heavy ball settles within a millionth on two curvatures in at most `most` steps."""
    if not (eta > 0 and 0 <= gamma < 1):
        swapped = 0 <= eta < 1 <= gamma
        return "eta must be positive and gamma at least 0 and below 1" + (
            "; have the two changed places?" if swapped else "."
        )
    needed = float(settling_time(heavy_ball.at(eta=eta, gamma=gamma), lam, 1.0, 1e-6, 5000))
    if needed <= most:
        return None
    took = "more than 5000" if math.isinf(needed) else f"{needed:.0f}"
    if gamma == 0:
        return f"gamma = 0 is gradient descent: {took} steps; give the velocity a memory."
    if eta * lam[1] >= 2 * (1 + gamma):
        over = f"/{lam[1]:g}" * (lam[1] != 1)
        return f"the steep direction never settles; eta must stay below 2(1 + gamma){over}."
    # Both curvatures swing, at sqrt(gamma) a step: only less momentum is faster.
    root = math.sqrt(gamma)
    swings = (1 - root) ** 2 <= lam[0] * eta and lam[1] * eta <= (1 + root) ** 2
    advice = "a smaller gamma" if swings else "a larger eta together with a larger gamma"
    return f"this pair needs {took} steps; try {advice}."


@checked("the limit is 2 again, but below it no step ever crosses the minimum: 1 - h + h^2/2 is positive.")
def check_half_ahead(half_ahead: Rule, *, share: Fraction = Fraction(1, 2)) -> str | None:
    """Whether the rule reads its gradient a share of a step ahead, at theta - share eta grad(theta)."""
    times = "" if share.numerator == 1 else f"{share.numerator} * "
    step, part = f"{times}eta / {share.denominator} * grad(theta)", float(share)
    asked: list[float] = []

    def grad(x: float) -> float:
        asked.append(x)
        return 4 * x

    (theta,) = half_ahead(1.0, grad, eta=0.25)
    if 0.0 in asked:
        said = "half a step" if part == 0.5 else f"{share} of a step"
        return f"that looks a whole step ahead; {said} is {step}."
    if any(abs(x - (1 + part)) < 1e-12 for x in asked):
        return f"that looks back: ahead is downhill, at theta - {step}."
    if not any(abs(x - (1 - part)) < 1e-12 for x in asked):
        return f"the inner gradient is read at theta; the outer one at theta - {step}."
    if abs(theta - part) > 1e-12:
        return "the look-ahead is right; the step itself is eta times the gradient read there."
    return None if float(stability_limit(half_ahead)) > 0 else "this rule is not stable for any eta."
