"""Checks of notebook 12: match the frameworks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.runner import run

__all__ = ["check_corrected_momentum", "check_handover", "check_translation"]


@checked(
    "every gradient after the first counts as in heavy ball; the surplus of the first fades like gamma^t."
)
def check_translation(flags: Mapping[str, float]) -> str | None:
    """Whether PyTorch's flags, dampening = momentum = 0.9, weigh gradients like heavy ball at eta = 0.01."""
    if flags["dampening"] != flags["momentum"]:
        return "keep dampening = momentum; only lr is asked for."
    if flags["momentum"] != 0.9:
        return "keep the momentum at 0.9."
    ratio = flags["lr"] / 0.01
    if math.isclose(ratio, 10, rel_tol=1e-6):
        return None
    if math.isclose(ratio, 0.1, rel_tol=1e-6):
        return "that is the other way round: dampening shrinks what enters the buffer, so lr must grow."
    return f"each gradient now enters the buffer times 0.1; your lr makes up for a factor of {ratio:.3g}."


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
