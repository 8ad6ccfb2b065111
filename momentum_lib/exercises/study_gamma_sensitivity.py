"""Checks of notebook 05: study gamma's sensitivity."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable

from momentum_lib.definition import RULES, Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.noise import stationary_covariance
from momentum_lib.spectrum import stability_limit
from momentum_lib.tuning import best_eta, lower_rate, minimax

__all__ = ["check_margin", "check_one_gamma", "check_same_floor"]


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
    if not math.isfinite(found):
        return f"eta = {eta:g} is unstable; a larger momentum asks for less here."
    if abs(eta - 0.001) < 1e-9:
        return "a hundred times less is (1 - gamma) counted twice; the floor goes with eta/(1 - gamma)."
    if abs(eta - 0.01) < 1e-9:
        return "a tenth is nearly right, and 2.4 % low: the factor 2(1 + gamma) - eta lam counts too."
    return f"the floor is {found / wanted:.3g} times the wanted one; it is nearly proportional to eta."


@checked("the two ends of the range cost the same: moving gamma helps one and hurts the other.")
def check_one_gamma(gamma: float, *, low: float = 30.0, high: float = 3000.0) -> str | None:
    """Whether `gamma`, with the best eta for each kappa, has the least worst regret on [low, high]."""
    if isinstance(gamma, bool) or not isinstance(gamma, numbers.Real) or not 0 <= gamma < 1:
        return "gamma is one number in [0, 1)."

    def regret(gamma: float) -> tuple[float, float]:
        ball = RULES["heavy_ball"].at(gamma=gamma)
        small, large = (
            math.log(lower_rate(k)) / math.log(best_eta(ball, 1 / k, 1).rate) for k in (low, high)
        )
        return small, large

    # More gamma raises the cost at `low` and lowers it at `high`: the best is where they cross.
    under, over = ((math.sqrt(k) - 1) / (math.sqrt(k) + 1) for k in (low, high))
    under, over = under**2, over**2
    for _ in range(40):
        middle = (under + over) / 2
        small, large = regret(middle)
        under, over = (middle, over) if small < large else (under, middle)
    if abs(gamma - under) < 0.006:
        return None
    small, large = regret(gamma)
    side = "less" if gamma > under else "more"
    return f"it costs x{small:.3g} at kappa = {low:g} and x{large:.3g} at {high:g}; take {side} gamma."


_MARGINS: dict[str, Callable[[float], float]] = {
    "is heavy ball's margin at every rule; read the limit of the rule given": lambda kappa: 1 / kappa,
    "is heavy ball's margin in 1 - gamma; here eta grows": lambda kappa: 1 / (2 * math.sqrt(kappa)),
}


@checked("the faster of the two stands nearer to the edge.")
def check_margin(margin: Callable[[Rule, float, float], float]) -> str | None:
    """Whether ``margin(rule, mu, L)`` is the share by which eta may grow at the rule's best setting."""
    if not callable(margin):
        return "hand in a function of rule, mu and L."
    for name, mu, L in (("nesterov", 0.01, 1.0), ("heavy_ball", 0.01, 1.0), ("nesterov", 0.2, 4.0)):
        rule, kappa = RULES[name], L / mu
        best = minimax(rule, mu, L).setting
        limit = float(stability_limit(rule.at(gamma=best["gamma"])))
        true, said = limit / L / best["eta"] - 1, float(margin(rule, mu, L))
        if abs(said - true) < 1e-4:
            continue
        start = f"{name} at mu = {mu:g}, L = {L:g}: you say {said:.4g}"
        for hint, other in _MARGINS.items():
            if abs(said - other(kappa)) < 1e-6:
                return f"{start}, which {hint}."
        if abs(said - (true + 1)) < 1e-4:
            return f"{start}, the ratio; by which fraction may eta grow?"
        if abs(said - (limit / best["eta"] - 1)) < 1e-4:
            return f"{start}; stability_limit is in units of eta·lam, so divide it by L."
        return f"{start}, and it diverges beyond {true:.4g}."
    return None
