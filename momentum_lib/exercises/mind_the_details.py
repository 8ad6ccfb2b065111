"""Checks of notebook 09: mind the details."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.runner import run
from momentum_lib.schedules import step_schedule

__all__ = ["check_follow", "check_safe_eta", "check_same_decay"]


@checked("the largest learning rate that the correction leaves without a burst.")
def check_safe_eta(eta: float, *, gamma: float = 0.95, lam: float = 4.0) -> str | None:
    """Whether eta is the largest at which bias-corrected heavy ball never leaves its starting distance."""
    if not eta > 0:
        return "a learning rate is positive."
    theta = run(RULES["bias_corrected"].at(eta=eta, gamma=gamma), lambda x: lam * x, 1.0, 400).theta
    largest = float(np.nanmax(np.abs(theta)))
    if largest > 1 + 1e-9:
        return f"the run moves out to {largest:.3g} times its start; look at its first step."
    if eta * lam < 0.99 * 2 * (1 - gamma):
        return "no burst, but there is room for more."
    return None


@checked("the two decays now pull to the same weights.")
def check_same_decay(weight_decay: float, *, coupled: float = 0.1, gamma: float = 0.9) -> str | None:
    """Whether decoupled decay `weight_decay` has the fixed point of decay `coupled` inside the velocity."""
    setting: dict[str, Any] = {"eta": 0.1, "gamma": gamma}
    rules = ((RULES["torch_sgd"], coupled), (RULES["keras_sgd"], weight_decay))
    torch, keras = (
        float(run(r.at(weight_decay=w, **setting), lambda x: x - 1, 0.0, 1500).theta[-1]) for r, w in rules
    )
    if abs(torch - keras) < 1e-6:
        return None
    side = "more" if keras > torch else "less"
    return f"coupled decay ends at {torch:.4f}, yours at {keras:.4f}: {side} decay."


@checked("each drop of eta now shrinks the velocity with it, which is PyTorch's run.")
def check_follow(gamma: Callable[[int], float]) -> str | None:
    """Whether heavy ball under the schedule `gamma` follows PyTorch through a drop of eta after step 10."""
    eta = step_schedule([0.1, 0.01], [10])
    torch = run(RULES["torch_sgd"].at(eta=eta, gamma=0.9), lambda x: x, 1.0, 40).theta
    asked = np.array([float(gamma(t)) for t in range(1, 41)])
    ours: Any = run(RULES["heavy_ball"].at(eta=eta, gamma=lambda t: asked[t - 1]), lambda x: x, 1.0, 40).theta
    parted = np.flatnonzero(~(np.abs(ours - torch) < 1e-10))
    if not parted.size:
        return None
    return f"the two part at step {parted[0]}; what must the velocity lose when eta drops?"
