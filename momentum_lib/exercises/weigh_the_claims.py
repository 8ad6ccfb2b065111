"""Checks of notebook 15: weigh the claims."""

from __future__ import annotations

import math

from momentum_lib.clock import real
from momentum_lib.definition import RULES, Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.noise import impulse_response, stationary_covariance
from momentum_lib.spectrum import stability_limit

__all__ = ["check_same_floor", "check_true_sentence"]


@checked("ten times less friction, and nearly ten times less learning rate.")
def check_same_floor(
    eta: float, *, gamma: float = 0.99, like: tuple[float, float] = (0.1, 0.9)
) -> str | None:
    """Whether heavy ball at (eta, gamma) has the noise floor of the pair `like`."""
    eta = real("eta", eta, above=0)
    rule = RULES["heavy_ball"]
    wanted, found = (
        float(stationary_covariance(rule.at(eta=e, gamma=g), 1.0, 1.0)[0, 0]) for e, g in (like, (eta, gamma))
    )
    if abs(found / wanted - 1) < 0.01:
        return None
    if not math.isfinite(found):
        return f"eta = {eta:g} is unstable; a larger momentum asks for less here."
    less = (1 - gamma) / (1 - like[1])
    if abs(eta / (like[0] * less**2) - 1) < 1e-6:
        return f"{less**2:.3g} times is (1 - gamma) counted twice; the floor goes with eta/(1 - gamma)."
    if abs(eta / (like[0] * less) - 1) < 1e-6:
        off = f"{100 * abs(1 - found / wanted):.2g} % {'low' if found < wanted else 'high'}"
        return f"{less:.3g} times is nearly right, and {off}: the factor 2(1 + gamma) - eta lam counts too."
    return f"the floor is {found / wanted:.3g} times the wanted one; it is nearly proportional to eta."


@checked("the sentence is true in your letter. Ask of every rule what its eta means.")
def check_true_sentence(rule: Rule) -> str | None:
    """Whether a rule with a memory needs a smaller eta for a larger gamma, gradient descent at gamma = 0."""
    if not isinstance(rule, Rule):
        return "hand in a rule: decorate the step with @rule."
    if {"eta", "gamma"} - set(rule.free):
        return f"the letters eta and gamma must be open; open here: {', '.join(rule.free) or 'none'}."
    gammas = (0.0, 0.5, 0.9)
    limits = [float(stability_limit(rule.at(gamma=gamma))) for gamma in gammas]
    shown = ", ".join(f"{limit:.3g}" for limit in limits)
    pulse = impulse_response(rule.at(eta=1.0, gamma=0.9), 3)
    if abs(pulse[3] - pulse[1]) < 1e-12:
        return "after one gradient it stands still: that is gradient descent with another step."
    if abs(limits[0] - 2) > 1e-6:
        return f"at gamma = 0 it should be gradient descent, with the limit 2; the limits are {shown}."
    if limits[2] > limits[0]:
        return f"the limit grows: {shown} at gamma = 0, 0.5, 0.9."
    if not limits[0] > limits[1] > limits[2]:
        return f"the limit does not fall all the way: {shown} at gamma = 0, 0.5, 0.9."
    if limits[2] >= 1:
        return f"the limit falls, but not by half: {shown} at gamma = 0, 0.5, 0.9."
    return None
