"""Checks of notebook 07: look ahead with Nesterov."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.runner import run
from momentum_lib.spectrum import iteration_matrix

__all__ = ["check_critical_nesterov", "check_recover_theta"]


@checked("a double root: the fastest return without a swing at this curvature.")
def check_critical_nesterov(gamma: float, *, h: float = 0.19) -> str | None:
    """Whether Nesterov's two roots coincide at eta lam = h."""
    if not 0 <= gamma < 1:
        return "gamma lies between 0 and 1."
    matrix = iteration_matrix(RULES["nesterov"].at(eta=1.0, gamma=gamma), h)
    disc = float(np.trace(matrix) ** 2 / 4 - np.linalg.det(matrix))
    if abs(disc) < 1e-6:
        return None
    side = (
        "complex: this swings; take less gamma"
        if disc < 0
        else "real and apart: this crawls; take more gamma"
    )
    return f"the roots are {side}."


@checked("that is the point the paper reports.")
def check_recover_theta(recover: Callable[..., Any]) -> str | None:
    """Whether `recover(phi, b, eta, gamma)` turns PyTorch's state into Nesterov's iterate."""
    eta, gamma = 0.3, 0.8
    ours = run(RULES["nesterov"].at(eta=eta, gamma=gamma), lambda x: 2 * x, 1.0, 20).theta
    theirs = run(RULES["torch_nesterov"].at(eta=eta, gamma=gamma), lambda x: 2 * x, 1.0, 20)
    got = np.asarray(recover(theirs.theta, theirs.slots["b"], eta=eta, gamma=gamma), float)
    if got.shape != ours.shape:
        return f"one theta for each phi, please; got shape {got.shape}."
    if np.allclose(got, ours, atol=1e-12):
        return None
    if np.allclose(got, theirs.theta):
        return "that is the look-ahead itself; undo the step that was taken in advance."
    return "phi = theta - gamma v; what is v in terms of the buffer b?"
