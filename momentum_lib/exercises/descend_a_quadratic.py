"""Checks of notebook 01: descend a quadratic."""

from __future__ import annotations

import math

import numpy as np

from momentum_lib.clock import real
from momentum_lib.definition import Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.oscillation import count_sign_changes
from momentum_lib.problems import Quadratic
from momentum_lib.rules import gradient_descent
from momentum_lib.runner import run
from momentum_lib.spectrum import iteration_matrix
from momentum_lib.tuning import worst_rate

__all__ = ["check_balance", "check_in_turn", "check_slide"]


@checked("1/L: the steepest direction lands in one step, all others slide, and nothing flips.")
def check_slide(eta: float, *, eigenvalues: tuple[float, ...] = (0.2, 1.0, 4.0)) -> str | None:
    """Whether `eta` is the largest learning rate at which no direction ever changes its sign."""
    eta = real("eta", eta, above=0)
    problem = Quadratic(eigenvalues)
    for slip, hint in {
        2 / problem.L: "that is 2/L, where it starts to diverge; it starts to flip earlier.",
        1 / problem.mu: "that is one over the flattest curvature; the steepest direction flips first.",
        2 / (problem.mu + problem.L): "that is the fastest learning rate, and there the steepest flips.",
    }.items():
        if abs(eta / slip - 1) < 1e-3:
            return hint
    theta = run(gradient_descent.at(eta=eta), problem.grad, [1.0] * problem.dim, 50).theta
    flipping = int((count_sign_changes(theta) > 0).sum())
    if flipping:
        return f"{flipping} of {problem.dim} directions still change their sign at eta = {eta:g}."
    if abs(eta * problem.L - 1) < 1e-6:
        return None
    return f"nothing flips, but a larger learning rate can say the same: eta·L is only {eta * problem.L:.3g}."


@checked("the flattest direction slides and the steepest flips, at one and the same rate.")
def check_balance(eta: float, *, eigenvalues: tuple[float, ...] = (0.5, 2.0, 3.0, 8.0)) -> str | None:
    """Whether `eta` makes the slowest of these directions as fast as it can be."""
    eta = real("eta", eta, above=0)
    mu, L = min(eigenvalues), max(eigenvalues)
    if abs(eta * (mu + L) / 2 - 1) < 2e-3:
        return None
    if abs(eta * (eigenvalues[1] + eigenvalues[2]) / 2 - 1) < 2e-3:
        return "that balances the two in the middle; the slowest are the flattest and the steepest."
    rate = float(worst_rate(gradient_descent.at(eta=eta), mu, L))
    if rate >= 1:
        return f"the steepest direction does not converge: its factor is {1 - eta * L:.3g}."
    slow = "flattest" if 1 - eta * mu > eta * L - 1 else "steepest"
    return f"the {slow} direction is the slowest, factor {rate:.4g} a step; help it at the other's expense."


@checked("as flat as a parabola through 1 can be, and one of its learning rates is far beyond 2/L.")
def check_in_turn(mine: Rule, *, mu: float = 0.01, L: float = 1.0) -> str | None:
    """Whether a step of `mine` is two steps of gradient descent, at the best pair of rates for [mu, L]."""
    if not isinstance(mine, Rule):
        return "hand in the rule at its setting: in_turn.at(first=..., second=...)."
    if len(mine.slots) > 1:
        return "that rule has a velocity; two plain steps keep theta alone."
    lam = np.linspace(mu, L, 2001)
    # A double step multiplies by (1 - a lam)(1 - b lam); a and b are the roots of x^2 - (a + b) x + a b.
    factor = iteration_matrix(mine, lam)[:, 0, 0]
    product, total, one = np.polyfit(lam, factor, 2)
    if abs(product) < 1e-6 and abs(one - 1) < 1e-6:
        return "one step only: take a second one, with a gradient read where the first one ends."
    pair = np.sort_complex(np.roots([1, total, product]))
    gap = np.abs(np.prod(1 - np.multiply.outer(pair, lam), axis=0) - factor).max()
    if gap > 1e-6 or np.abs(pair.imag).max() > 1e-3 * np.abs(pair).max():
        return "its factor is no product of two factors 1 - eta lam; take two plain steps in turn."
    pair = pair.real
    middle, reach = (L + mu) / 2, (L - mu) / math.sqrt(8)
    worst, best = float(np.abs(factor).max()), 1 / (2 * ((L + mu) / (L - mu)) ** 2 - 1)
    if worst <= 1.003 * best:  # two rates rounded to three digits
        return None
    if np.allclose(pair, [middle - reach, middle + reach], rtol=0.01):
        return "those are the curvatures where the factor is to vanish; the rates are one over them."
    if np.allclose(pair, [1 / L, 1 / mu], rtol=0.01):
        return f"1/mu and 1/L still the two ends, but between them the factor reaches {worst:.3g}."
    if pair[1] - pair[0] < 0.01 * pair[1]:
        return f"one learning rate twice: the worst factor is {worst:.4f}; let the two differ."
    at = f"at lam = {lam[np.abs(factor).argmax()]:.3g} the factor is {worst:.4f}"
    return f"{at}: that direction runs away." if worst >= 1 else f"{at}; the best pair has {best:.4f}."
