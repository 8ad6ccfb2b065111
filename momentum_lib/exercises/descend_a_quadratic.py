"""Checks of notebook 01: descend a quadratic."""

from __future__ import annotations

import math
import numbers
from typing import Any

from momentum_lib.exercises.verdict import checked
from momentum_lib.oscillation import count_sign_changes
from momentum_lib.problems import Quadratic
from momentum_lib.rules import gradient_descent
from momentum_lib.runner import run
from momentum_lib.tuning import worst_rate

__all__ = ["check_balance", "check_slide"]


@checked("1/L: the steepest direction lands in one step, all others slide, and nothing flips.")
def check_slide(eta: float, *, eigenvalues: tuple[float, ...] = (0.2, 1.0, 4.0)) -> str | None:
    """Whether `eta` is the largest learning rate at which no direction ever changes its sign."""
    if hint := _positive(eta):
        return hint
    problem = Quadratic(eigenvalues)
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
    if hint := _positive(eta):
        return hint
    mu, L = min(eigenvalues), max(eigenvalues)
    if abs(eta * (mu + L) / 2 - 1) < 1e-3:
        return None
    rate = float(worst_rate(gradient_descent.at(eta=eta), mu, L))
    if rate >= 1:
        return f"the steepest direction does not converge: its factor is {1 - eta * L:.3g}."
    slow = "flattest" if 1 - eta * mu > eta * L - 1 else "steepest"
    return f"the {slow} direction is the slowest, factor {rate:.4g} a step; help it at the other's expense."


def _positive(eta: Any) -> str | None:
    if isinstance(eta, bool) or not isinstance(eta, numbers.Real) or not math.isfinite(eta):
        return "eta is one finite number."
    return None if float(eta) > 0 else "eta must be positive, or nothing moves downhill."
