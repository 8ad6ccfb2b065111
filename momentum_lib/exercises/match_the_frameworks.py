"""Checks of notebook 12: match the frameworks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from momentum_lib.definition import RULES, Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.runner import run

__all__ = ["check_corrected_average", "check_corrected_momentum", "check_handover"]


@checked("an average, read with its correction and kept without: the steps of optax.ema.")
def check_corrected_average(rule: Rule) -> str | None:
    """Whether a rule with letters eta, gamma and t takes the steps of optax's ema, debiased, times -eta."""
    gradients = np.random.default_rng(0).standard_normal(30)
    counted = np.arange(1, 31)

    def steps(average: Any) -> Any:
        return 0.2 * np.convolve(average * 0.8 ** np.arange(30), gradients)[:30]

    plain = steps(1 - 0.8)
    handed = iter(gradients)
    made = run(rule.at(eta=0.2, gamma=0.8), lambda theta: next(handed), 0.0, 30)
    taken = -np.diff(np.asarray(made.theta, float))

    def fits(wanted: Any) -> bool:
        return bool(np.allclose(taken, wanted, rtol=0, atol=1e-12))

    if fits(plain / (1 - 0.8**counted)):
        return None
    if fits(plain):
        return "the average starts too small: its first step is 0.2 of the gradient. Divide by 1 - gamma^t."
    if fits(-plain / (1 - 0.8**counted)):
        return "the lengths are right; theta moves against the average."
    if fits(plain * (1 - 0.8**counted)):
        return "the correction makes the first average larger: divide by 1 - gamma^t."
    if fits(steps(1.0) / (1 - 0.8**counted)):
        return "that is a sum, corrected; the average takes (1 - gamma) of each gradient."
    if fits(plain / (1 - 0.8 ** (counted + 1))):
        return "one step late: t is 1 on the first step."
    if math.isclose(taken[0], 0.2 * gradients[0], rel_tol=1e-9):
        return "the first step is right, the next is not: correct what is read, and keep m as it is."
    return f"its first step should be {0.2 * gradients[0]:.6f}, yours is {taken[0]:.6f}."


@checked("PyTorch keeps a sum of gradients, Keras a displacement that points downhill.")
def check_handover(velocity: Callable[..., Any]) -> str | None:
    """Whether `velocity(b, eta)` lets Keras go on exactly where PyTorch stopped."""
    curvatures = np.array([0.3, 1.0])
    whole = run(RULES["torch_sgd"].at(eta=0.2, gamma=0.8), lambda x: curvatures * x, [1.0, 1.0], 40)
    theta, b = whole.theta[20], whole.slots["b"][20]
    start = {"u": np.asarray(velocity(b, 0.2), float)}
    rest = run(RULES["keras_sgd"].at(eta=0.2, gamma=0.8), lambda x: curvatures * x, theta, 20, start=start)
    if np.allclose(rest.theta, whole.theta[20:], rtol=0, atol=1e-12):
        return None
    if np.allclose(start["u"], b) or np.allclose(start["u"], -b):
        return (
            "Keras's velocity is a displacement, eta times the buffer: compare theta - eta b and theta + u."
        )
    if np.allclose(start["u"], 0.2 * b):
        return "the size is right; in which direction does Keras's velocity point?"
    return "compare the two steps: theta - eta b in PyTorch, theta + u in Keras."


@checked("momentum correction: PyTorch's buffer, rescaled to be a velocity.")
def check_corrected_momentum(correct: Callable[..., float]) -> str | None:
    """Whether `correct(gamma, eta, eta_before)` makes PyTorch take Keras's steps under any schedule."""
    eta = np.random.default_rng(0).uniform(0.2, 0.24, 31)  # so that no corrected momentum exceeds 1
    given = float(correct(0.8, 0.3, 0.3))
    if not math.isclose(given, 0.8, rel_tol=1e-9):
        return f"at a constant learning rate nothing is to be corrected, and yours gives {given:.3g} for 0.8."

    def gamma(t: int) -> float:
        return float(correct(0.8, eta[t - 1], eta[max(t - 2, 0)]))

    curvatures = np.array([0.3, 1.0])
    falling = {"eta": lambda t: eta[t - 1]}
    ours = run(RULES["torch_sgd"].at(**falling, gamma=gamma), lambda x: curvatures * x, [1.0, 1.0], 30)
    keras = run(RULES["keras_sgd"].at(**falling, gamma=0.8), lambda x: curvatures * x, [1.0, 1.0], 30)
    if np.allclose(ours.theta, keras.theta, rtol=0, atol=1e-12):
        return None
    if math.isclose(float(correct(0.8, 0.1, 0.2)), 0.4, rel_tol=1e-9):
        return "that is Goyal's correction, by which Keras follows PyTorch; here it goes the other way."
    return "Keras stores v = eta b: write v_t = gamma v_before + eta g in terms of b, and divide by eta."
