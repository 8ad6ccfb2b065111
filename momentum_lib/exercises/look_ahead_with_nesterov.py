"""Checks of notebook 07: look ahead with Nesterov."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from momentum_lib.clock import real
from momentum_lib.exercises.verdict import checked
from momentum_lib.oscillation import critical_gamma
from momentum_lib.rules import heavy_ball, nesterov, torch_nesterov
from momentum_lib.runner import run

__all__ = ["check_critical_nesterov", "check_recover_theta"]


@checked("a double root: the fastest return without a swing at this curvature.")
def check_critical_nesterov(gamma: float, *, h: float = 0.19) -> str | None:
    """Whether Nesterov's two roots coincide at eta lam = h, to three digits."""
    gamma = real("gamma", gamma)
    if not 0 <= gamma < 1:
        return "a momentum lies in [0, 1)."
    right = float(critical_gamma(nesterov, h))
    if abs(gamma - right) < 5e-4:
        return None
    others = {
        "is critical for heavy ball; Nesterov's roots meet elsewhere": float(critical_gamma(heavy_ball, h)),
        "is the rate there, 1 - sqrt(h), not the momentum": 1 - math.sqrt(h),
        "is the square of it: you solved for gamma of a gamma²": right**2,
        "lacks the root: with sqrt(h) in place of h it is right": (1 - h) / (1 + h),
    }
    for hint, other in others.items():
        if abs(gamma - other) < 5e-4:
            return f"that {hint}."
    if gamma > right:
        return "the roots are complex: this swings; take less gamma."
    return "the roots are real and apart: this crawls; take more gamma."


@checked("that is the point the paper reports.")
def check_recover_theta(recover: Callable[..., Any]) -> str | None:
    """Whether `recover(phi, b, eta, gamma)` turns PyTorch's state into Nesterov's iterate."""
    eta, gamma = 0.3, 0.8
    ours = run(nesterov.at(eta=eta, gamma=gamma), lambda x: 2 * x, 1.0, 20).theta
    theirs = run(torch_nesterov.at(eta=eta, gamma=gamma), lambda x: 2 * x, 1.0, 20)
    phi, b = theirs.theta, theirs.slots["b"]
    got = np.asarray(recover(phi, b, eta=eta, gamma=gamma), float)
    if got.shape != ours.shape:
        return f"one theta for each phi, please; got shape {got.shape}."
    if np.allclose(got, ours, atol=1e-12):
        return None
    hints = {
        "that is the look-ahead itself; undo the step that was taken in advance.": phi,
        "phi lies ahead of theta, downhill by gamma v; which sign leads back?": phi - gamma * eta * b,
        "PyTorch's b has no eta inside: v = eta b.": phi + gamma * b,
        "only gamma v was taken in advance, not all of v.": phi + eta * b,
    }
    return next(
        (hint for hint, wrong in hints.items() if np.allclose(got, wrong)),
        "phi = theta - gamma v; what is v in terms of the buffer b?",
    )
