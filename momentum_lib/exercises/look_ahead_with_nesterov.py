"""Checks of notebook 07: look ahead with Nesterov."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from momentum_lib.exercises.verdict import checked
from momentum_lib.oscillation import critical_gamma
from momentum_lib.rules import heavy_ball, nesterov, torch_nesterov
from momentum_lib.runner import run

__all__ = ["check_critical_nesterov", "check_recover_theta"]


@checked("a double root: the fastest return without a swing at this curvature.")
def check_critical_nesterov(gamma: float, *, h: float = 0.19) -> str | None:
    """Whether Nesterov's two roots coincide at eta lam = h."""
    if not 0 <= gamma < 1:
        return "gamma lies between 0 and 1."
    right = float(critical_gamma(nesterov, h))
    if abs(gamma - right) < 1e-4:
        return None
    if abs(gamma - float(critical_gamma(heavy_ball, h))) < 1e-3:
        return "that is critical for heavy ball; Nesterov's roots meet elsewhere."
    if gamma > right:
        return "the roots are complex: this swings; take less gamma."
    return "the roots are real and apart: this crawls; take more gamma."


@checked("that is the point the paper reports.")
def check_recover_theta(recover: Callable[..., Any]) -> str | None:
    """Whether `recover(phi, b, eta, gamma)` turns PyTorch's state into Nesterov's iterate."""
    eta, gamma = 0.3, 0.8
    ours = run(nesterov.at(eta=eta, gamma=gamma), lambda x: 2 * x, 1.0, 20).theta
    theirs = run(torch_nesterov.at(eta=eta, gamma=gamma), lambda x: 2 * x, 1.0, 20)
    got = np.asarray(recover(theirs.theta, theirs.slots["b"], eta=eta, gamma=gamma), float)
    if got.shape != ours.shape:
        return f"one theta for each phi, please; got shape {got.shape}."
    if np.allclose(got, ours, atol=1e-12):
        return None
    if np.allclose(got, theirs.theta):
        return "that is the look-ahead itself; undo the step that was taken in advance."
    return "phi = theta - gamma v; what is v in terms of the buffer b?"
