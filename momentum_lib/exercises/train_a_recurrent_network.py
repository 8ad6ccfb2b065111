"""Checks of notebook 14: train a recurrent network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.spectrum import stability_limit

__all__ = ["check_guess", "check_largest_rate", "check_success_share"]


@checked("that is what a network scores before it has remembered anything.")
def check_guess(share: float, *, answer: float = 0.25, off: float = 0.04) -> str | None:
    """Whether this share of products xy, both from U[0, 1], lies further than `off` from `answer`."""

    def below(p: float) -> float:
        return p * (1 - math.log(p))

    exact = 1 - (below(answer + off) - below(answer - off))
    if abs(share - exact) < 2e-3:
        return None
    if abs(share + exact - 1) < 2e-3:
        return "that is the share answered rightly."
    if abs(share - (1 - 2 * off) ** 2) < 2e-3:
        return "that is the sum of two numbers from [-1, 1]; here it is the product of two from [0, 1]."
    if abs(share - (1 - 2 * off)) < 2e-3:
        return "the product of two uniform numbers is not uniform: small products are common."
    return f"{'too many' if share > exact else 'too few'}; P(xy < p) is the area below the curve y = p / x."


@checked("equal learning rates are not equal for the two forms.")
def check_largest_rate(largest: Callable[..., float]) -> str | None:
    """Whether `largest(form, gamma, lam)` is the stability limit of eta, form "nesterov" or "heavy_ball"."""
    if float(largest("nesterov", 0.9, 1.0)) > float(largest("heavy_ball", 0.9, 1.0)):
        return "the other way round: a look-ahead adds curvature, so Nesterov bears less than heavy ball."
    for form in ("heavy_ball", "nesterov"):
        for gamma, lam in ((0.0, 8.0), (0.9, 50.0), (0.995, 3.0)):
            exact = float(stability_limit(RULES[form].at(gamma=gamma))) / lam
            given = float(largest(form, gamma, lam))
            if not math.isclose(given, exact, rel_tol=1e-6):
                return f"{form} at gamma = {gamma:g}, lam = {lam:g}: yours is {given:.4g} of {exact:.4g}."
    return None


@checked("every training counts, and one that diverged has not succeeded.")
def check_success_share(share: Callable[..., float]) -> str | None:
    """Whether `share(errors, limit)` counts successes among all trainings, diverged ones (inf) included."""
    for errors, exact in (([0.01, 0.02, 0.3, 0.04], 0.75), ([0.01, np.inf, 0.9, np.inf], 0.25)):
        given: Any = float(share(np.array(errors), 0.05))
        if not math.isclose(given, exact, rel_tol=1e-9):
            return f"for the errors {errors} yours is {given:.3g}; a diverged training is a training too."
    if float(share(np.array([np.inf, np.inf]), 0.05)) != 0:
        return "where all diverged, nothing succeeded."
    return None
