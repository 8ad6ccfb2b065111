"""Checks of notebook 05: study gamma's sensitivity."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from momentum_lib.clock import real
from momentum_lib.definition import RULES, Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.spectrum import stability_limit
from momentum_lib.tuning import best_eta, lower_rate, minimax

__all__ = ["check_break_even", "check_margin", "check_one_gamma"]


@checked("beyond it momentum is ahead; below it the habit costs more than it gives.")
def check_break_even(kappa: float, *, gamma: float = 0.9) -> str | None:
    """Whether heavy ball at `gamma` and gradient descent, each at its best eta, are level at `kappa`."""
    kappa = real("kappa", kappa)
    root = math.sqrt(gamma)
    level = (1 + root) / (1 - root)
    if abs(kappa / level - 1) < 0.01:
        return None
    if kappa < 1:
        return "kappa = L/mu is at least 1."
    memory = 1 / (1 - gamma)
    others = {
        (1 + gamma) * memory: "takes gamma for the rate; the rate is its square root",
        memory: f"is the memory 1/(1 - gamma), and at kappa = {memory:.3g} descent is quicker",
        level**2: f"is where {gamma:g} is the best momentum; it is ahead of descent much sooner",
        math.sqrt(level): "is the square root of the answer",
        1 / (1 - root): "leaves out that descent's best rate is (kappa - 1)/(kappa + 1), not 1 - 1/kappa",
    }
    for other, what in others.items():
        if abs(kappa / other - 1) < 0.01:
            return f"{kappa:g} {what}."
    quicker = "descent" if kappa < level else "heavy ball"
    return f"at kappa = {kappa:g} {quicker} is quicker: set the two rates equal."


@checked("the two ends of the range cost the same: moving gamma helps one and hurts the other.")
def check_one_gamma(gamma: float, *, low: float = 30.0, high: float = 3000.0) -> str | None:
    """Whether `gamma`, with the best eta for each kappa, has the least worst regret on [low, high]."""
    gamma = real("gamma", gamma)
    if not 0 <= gamma < 1:
        return "a momentum lies in [0, 1)."

    def regret(gamma: float) -> tuple[float, float]:
        ball = RULES["heavy_ball"].at(gamma=gamma)
        small, large = (
            math.log(lower_rate(k)) / math.log(best_eta(ball, 1 / k, 1).rate) for k in (low, high)
        )
        return small, large

    # More gamma raises the cost at `low` and lowers it at `high`: the best is where they cross.
    under, over = (((math.sqrt(k) - 1) / (math.sqrt(k) + 1)) ** 2 for k in (low, high))
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


@functools.cache
def _best_and_limit(name: str, mu: float, L: float) -> tuple[float, float]:
    """The best eta of a rule, and eta lam at the edge with the momentum that goes with it."""
    best = minimax(RULES[name], mu, L).setting
    return float(best["eta"]), float(stability_limit(RULES[name].at(gamma=best["gamma"])))


@checked("the faster of the two stands nearer to the edge.")
def check_margin(margin: Callable[[Rule, float, float], float]) -> str | None:
    """Whether ``margin(rule, mu, L)`` is the share by which eta may grow at the rule's best setting."""
    if not callable(margin):
        return "hand in a function of rule, mu and L."
    for name, mu, L in (("nesterov", 0.01, 1.0), ("heavy_ball", 0.01, 1.0), ("nesterov", 0.2, 4.0)):
        rule, kappa = RULES[name], L / mu
        eta, limit = _best_and_limit(name, mu, L)
        true, said = limit / L / eta - 1, float(margin(rule, mu, L))
        if abs(said - true) < 1e-4:
            continue
        start = f"{name} at mu = {mu:g}, L = {L:g}: you say {said:.4g}"
        for hint, other in _MARGINS.items():
            if abs(said - other(kappa)) < 1e-6:
                return f"{start}, which {hint}."
        if abs(said - (true + 1)) < 1e-4:
            return f"{start}, the ratio; by which fraction may eta grow?"
        if abs(said - (limit / eta - 1)) < 1e-4:
            return f"{start}; stability_limit is in units of eta·lam, so divide it by L."
        return f"{start}, and it diverges beyond {true:.4g}."
    return None
