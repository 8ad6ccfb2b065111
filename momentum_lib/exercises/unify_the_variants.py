"""Checks of notebook 08: unify the variants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from momentum_lib.definition import Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.rules import nesterov, torch_nesterov, torch_sgd
from momentum_lib.runner import run
from momentum_lib.symbolic import equivalent

__all__ = ["check_halfway_letters", "check_previous_point", "check_third_point"]


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
    return next((hint for n, hint in hints.items() if not abs(given[n] - wanted[n]) < 1e-6), None)


@checked("that is the point of the step before, and Polyak's form can carry on from it.")
def check_previous_point(previous: Callable[..., Any]) -> str | None:
    """Whether `previous(theta, b, eta)` gives PyTorch's theta of the step before."""
    done = run(torch_sgd.at(eta=0.3, gamma=0.8), lambda x: 2 * x, 1.0, 20)
    theta, b, before = done.theta[1:], done.slots["b"][1:], done.theta[:-1]
    got = np.asarray(previous(theta, b, 0.3), float)
    if got.shape != theta.shape:
        return f"one point for each theta, please; got shape {got.shape}."
    hints = {
        "that is the present point; undo the last step.": theta,
        "the last step was theta - eta b; which sign undoes it?": theta - 0.3 * b,
        "PyTorch's b has no eta inside: the step was eta b.": theta + b,
    }
    if np.allclose(got, before, atol=1e-12):
        return None
    return next(
        (hint for hint, wrong in hints.items() if np.allclose(got, wrong)),
        "undo the last step, theta - eta b; the old point is before it, not before that.",
    )


@checked("the same gradients, and a third point; only the report tells the disguise.")
def check_third_point(step: Callable[..., Any]) -> str | None:
    """Whether `step(x, v, grad, *, eta, gamma)` reads Nesterov's gradients and reports a new point."""
    made = step.base if isinstance(step, Rule) else Rule(step)
    if len(made.slots) != 2 or set(made.hyper) != {"eta", "gamma"}:
        return "two slots and the letters eta and gamma, please."
    verdict = equivalent(nesterov, made)
    if not verdict.queries:
        return "it reads other gradients than nesterov; compare the first two steps by hand."
    if verdict.iterate:
        return "it reports theta, as nesterov does; report another point."
    if equivalent(torch_nesterov, made).iterate:
        return "it reports the look-ahead, as the frameworks do; report another point."
    if not verdict.same_first_step:
        return "it starts elsewhere: its first gradient is not read where it is put down."
    return None
