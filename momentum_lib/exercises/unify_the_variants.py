"""Checks of notebook 08: unify the variants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.runner import run
from momentum_lib.spectrum import iteration_matrix

__all__ = ["check_halfway_letters", "check_previous_point", "check_same_fixed_point"]


@checked("qhm has the same polynomial; the half look-ahead lies half way between nu = beta and nu = 1.")
def check_halfway_letters(
    alpha: float, beta: float, nu: float, *, eta: float = 0.1, gamma: float = 0.8
) -> str | None:
    """Whether qhm with these letters has the polynomial of half a look-ahead."""
    wanted = {"alpha": eta / (1 - gamma), "beta": gamma, "nu": (1 + gamma) / 2}
    given = {"alpha": float(alpha), "beta": float(beta), "nu": float(nu)}
    # One memory decays with gamma; the sum of all steps after one gradient; what the first step shows.
    hints = {
        "beta": "beta is what the velocity keeps from step to step.",
        "alpha": "alpha is how far theta moves in the end after one gradient of 1.",
        "nu": "alpha and beta are right; nu = 1 is heavy ball, nu = beta the full look-ahead.",
    }
    return next((hint for n, hint in hints.items() if abs(given[n] - wanted[n]) > 1e-9), None)


@checked("that is the point of the step before, and Polyak's form can carry on from it.")
def check_previous_point(previous: Callable[..., Any]) -> str | None:
    """Whether `previous(theta, b, eta)` gives PyTorch's theta of the step before."""
    done = run(RULES["torch_sgd"].at(eta=0.3, gamma=0.8), lambda x: 2 * x, 1.0, 20)
    got = np.asarray(previous(done.theta[1:], done.slots["b"][1:], 0.3), float)
    if got.shape != done.theta[1:].shape:
        return f"one point for each theta, please; got shape {got.shape}."
    if np.allclose(got, done.theta[:-1], atol=1e-12):
        return None
    if np.allclose(got, done.theta[1:]):
        return "that is the present point; undo the last step."
    return "the last step was theta - eta b; which sign undoes it?"


@checked("decoupled decay has to be the stronger by 1/(1 - gamma) to pull as far.")
def check_same_fixed_point(
    weight_decay: float, *, coupled: float = 0.01, eta: float = 0.1, gamma: float = 0.9
) -> str | None:
    """Whether keras_sgd with this weight decay comes to rest where torch_sgd with `coupled` does."""

    def rest(name: str, decay: float) -> float:
        setting: dict[str, Any] = {"eta": eta, "gamma": gamma, "weight_decay": decay}
        drift = np.asarray(iteration_matrix(RULES[name].at(**setting), 1.0))
        free = np.asarray(iteration_matrix(RULES[name].at(**setting), 0.0))
        # f = (theta - 1)^2 / 2: the gradient is theta - 1, so the pull is minus what curvature 1 adds.
        return float(np.linalg.solve(np.eye(2) - drift, (free - drift)[:, 0])[0])

    ours, theirs = rest("keras_sgd", float(weight_decay)), rest("torch_sgd", coupled)
    if abs(ours - theirs) < 1e-6:
        return None
    return f"it rests at {ours:.4f}, PyTorch at {theirs:.4f}: {'less' if ours < theirs else 'more'} decay."
