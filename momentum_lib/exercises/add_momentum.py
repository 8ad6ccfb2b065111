"""Checks of notebook 02: add momentum."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import numpy as np

from momentum_lib.clock import real
from momentum_lib.definition import Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.noise import impulse_response
from momentum_lib.rules import ema, heavy_ball, nesterov
from momentum_lib.runner import run

__all__ = ["check_better_ball", "check_by_hand", "check_same_speed"]


def _third(rule: Rule, start: Fraction) -> Any:
    return run(rule, lambda x: x, start, 3).theta


@Rule
def _uphill(theta: Any, v: Any, grad: Any, *, eta: Any, gamma: Any) -> Any:
    v = gamma * v + eta * grad(theta)
    return theta + v, v


@Rule
def _late(theta: Any, v: Any, grad: Any, *, eta: Any, gamma: Any) -> Any:
    return theta - v, gamma * v + eta * grad(theta)


#: What each slip in by-hand steps is, as a rule; the hint says what slipped.
_CONFUSED: Final = {
    "that is plain gradient descent: carry gamma times the old v into the new one.": heavy_ball.at(gamma=0),
    "that averages the gradients: the new one enters with eta, not with (1 - gamma) eta.": ema,
    "that reads the gradient where the velocity leads: heavy ball reads it at theta.": nesterov,
    "that goes uphill: theta moves by minus v.": _uphill,
    "that moves by the old velocity: renew v before theta moves.": _late,
}


@checked("the first step has no velocity to use yet, the later ones do.")
def check_by_hand(
    theta: Fraction,
    *,
    eta: Fraction = Fraction(1, 4),
    gamma: Fraction = Fraction(1, 3),
    start: Fraction = Fraction(1),
) -> str | None:
    """Whether `theta` is theta_3 of heavy ball on f = x²/2 from theta_0 = `start`, as a fraction."""
    if not isinstance(theta, numbers.Rational):
        return "give an exact fraction, Fraction(numerator, denominator): decimals hide the steps."
    path = _third(heavy_ball.at(eta=eta, gamma=gamma), start)
    if theta == path[3]:
        return None
    if theta in path[1:3]:
        return "that is where an earlier step ends; three steps, please."
    slips = {hint: _third(slip.at(eta=eta, **dict.fromkeys(slip.free[1:], gamma)), start)[3]
             for hint, slip in _CONFUSED.items()}  # fmt: skip
    exchanged = _third(heavy_ball.at(eta=gamma, gamma=eta), start)[3]
    slips["that has eta and gamma exchanged: gamma multiplies the old velocity."] = exchanged
    for hint, wrong in slips.items():
        if theta == wrong:
            return hint
    return f"theta_1 is {path[1]}; then v_2 = gamma v_1 + eta theta_1. Write v down at every step."


@checked("eta/(1 - gamma) is the same. The time to reach that speed is not.")
def check_same_speed(
    eta: float, *, gamma: float = 0.99, like: tuple[float, float] = (0.1, 0.9)
) -> str | None:
    """Whether (eta, gamma) has the terminal velocity of the pair `like` on a constant slope."""
    eta = real("eta", eta)
    # One gradient of 1 leaves its whole memory behind: the displacement a steady slope adds a step.
    speed = [
        float(impulse_response(heavy_ball.at(eta=e, gamma=g), 4000, "v").sum())
        for e, g in [(eta, gamma), like]
    ]
    if abs(speed[0] / speed[1] - 1) < 1e-6:
        return None
    for slip, hint in {
        like[0] * (1 - like[1]) / (1 - gamma): "the longer memory makes a steady step longer, so eta shrinks",
        like[0] * like[1] / gamma: "the speed hangs on 1 - gamma, not on gamma",
    }.items():
        if abs(eta / slip - 1) < 1e-2:
            return f"this pair ends at {speed[0]:.4g} a step, the other at {speed[1]:.4g}: {hint}."
    return f"this pair ends at {speed[0]:.4g} a step, the other at {speed[1]:.4g}."


@checked("friction read at the middle of the step: the gap shrinks like eta, no longer like its root.")
def check_better_ball(ball: Callable[[float, float, float], tuple[float, float]]) -> str | None:
    """Whether heavy ball at ``eta, gamma = ball(m, c, dt)`` follows the rolling ball to second order.

    The first step is eta/(1 + gamma) long, as two-sided differences ask of a start at rest.
    """
    if not callable(ball):
        return "hand in a function of m, c and dt that returns eta and gamma."
    eta, gamma = ball(1.0, 0.5, 0.1)
    asked = 0.01 / 1.025, 0.975 / 1.025
    same = [math.isclose(said, right, rel_tol=1e-9) for said, right in zip((eta, gamma), asked, strict=True)]
    if math.isclose(eta, asked[1], rel_tol=1e-9) and math.isclose(gamma, asked[0], rel_tol=1e-9):
        return "the two are right and in the wrong order: eta first, then gamma."
    if same == [True, False]:
        return "eta is right, gamma is not: x_- stands in the friction too."
    if same == [False, True]:
        return "gamma is right, eta is not: divide the gradient by the same m + c dt / 2."
    for m, c in ((1.0, 0.5), (2.0, 1.0)):
        coarse, fine = (_gap(ball, m, c, dt) for dt in (0.05, 0.025))
        if not coarse < 0.2:
            return f"at m = {m:g}, c = {c:g}, dt = 0.05 the iterates are {coarse:.3g} away from the ball."
        if not coarse > 3.5 * fine:
            shrinks = f"at m = {m:g}, c = {c:g} halving dt divides the gap by {coarse / fine:.2f}"
            return f"{shrinks}; second order means 4."
    return None


def _gap(ball: Callable[[float, float, float], tuple[float, float]], m: float, c: float, dt: float) -> float:
    """The largest distance to m x'' + c x' + x = 0 from rest at 1, up to time 10."""
    eta, gamma = ball(m, c, dt)
    t = np.arange(round(10 / dt) + 1) * dt
    a, w = c / (2 * m), math.sqrt(1 / m - (c / (2 * m)) ** 2)
    exact = np.exp(-a * t) * (np.cos(w * t) + a / w * np.sin(w * t))
    start = {"v": -eta / (1 + gamma)}
    theta = run(heavy_ball.at(eta=eta, gamma=gamma), lambda x: x, 1.0, len(t) - 1, start=start).theta
    return float(np.abs(theta - exact).max())
