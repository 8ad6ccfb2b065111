"""Checks of notebook 09: mind the details."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from momentum_lib.definition import Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.rules import bias_corrected, heavy_ball, torch_sgd
from momentum_lib.runner import run
from momentum_lib.schedules import step_schedule

__all__ = ["check_carry_on", "check_follow", "check_safe_eta"]

_DROP = step_schedule((0.1, 0.01), (10,))  # of a run that is carried on


def _bowl(x: Any) -> Any:
    return x


@checked("the largest learning rate that the correction leaves without a burst.")
def check_safe_eta(eta: float, *, gamma: float = 0.95, lam: float = 4.0) -> str | None:
    """Whether eta is the largest at which bias-corrected heavy ball never leaves its starting distance."""
    h = eta * lam
    if not 0 < h < np.inf:
        return "a learning rate is positive."
    if abs(h - 2 * (1 + gamma)) < 0.01:
        return "that is where heavy ball diverges; here a run is thrown far out long before."
    if abs(h - (1 - gamma) * (2 - gamma)) < 1e-6:
        return "that is proved for every function; on a curvature there is more room."
    theta = run(bias_corrected.at(eta=eta, gamma=gamma), lambda x: lam * x, 1.0, 400).theta
    largest = float(np.nanmax(np.abs(theta)))
    if largest > 1 + 1e-9:
        return f"the run moves out to {largest:.3g} times its start; look at its first step."
    if h < 0.99 * 2 * (1 - gamma):
        return "no burst, but there is room for more."
    return None


@checked("all slots and the count: the run that was never interrupted.")
def check_carry_on(carry_on: Callable[..., Any]) -> str | None:
    """Whether `carry_on(rule, grad, state, done, steps)` gives theta of the uninterrupted run."""
    rules = (
        heavy_ball.at(eta=0.1, gamma=0.9),
        heavy_ball.at(eta=_DROP, gamma=0.9),
        bias_corrected.at(eta=0.02, gamma=0.9),
        torch_sgd.at(eta=0.1, gamma=0.9, dampening=0.5),
    )
    for rule in rules:
        saved = run(rule, _bowl, 1.0, 7)
        whole = float(run(rule, _bowl, 1.0, 19).theta[-1])
        made = carry_on(rule, _bowl, dict(saved.state), 7, 12)
        if made is None:
            return "return the last theta."
        got = float(np.asarray(made))
        if abs(got - whole) < 1e-12:
            continue
        return next(
            (hint for hint, wrong in _lapses(rule, saved.state).items() if abs(got - wrong) < 1e-9),
            f"{rule} should end at {whole:.6f}, yours at {got:.6f}.",
        )
    return None


def _lapses(rule: Rule, state: Mapping[str, Any]) -> dict[str, float]:
    """What a run ends at that was carried on wrongly, by what it forgot."""

    def end(slots: Mapping[str, Any], t0: int, steps: int = 12) -> float:
        return float(run(rule, _bowl, None, steps, start=slots, t0=t0).theta[-1])

    theta = {"theta": state["theta"]}
    return {
        f"{rule} lost its velocity: start from every slot.": end(theta, 7),
        f"{rule} begins to count anew: the next step is done + 1.": end(state, 0),
        f"{rule} is one step late: t0 is the number of steps made.": end(state, 8),
        f"{rule} went on for too many steps: steps is how many are left.": end(state, 7, 19),
    }


@checked("each drop of eta now shrinks the velocity with it, which is PyTorch's run.")
def check_follow(
    gamma: Callable[[int], float],
    *,
    momentum: float = 0.9,
    etas: tuple[float, float] = (0.1, 0.01),
    after: int = 10,
) -> str | None:
    """Whether heavy ball under the schedule `gamma` follows PyTorch through a drop of eta."""
    drop = step_schedule(etas, (after,))
    torch = run(torch_sgd.at(eta=drop, gamma=momentum), _bowl, 1.0, 40).theta
    asked = np.array([float(gamma(t)) for t in range(1, 41)])
    if not np.isfinite(asked).all():
        return "gamma(t) is a finite number at every step."
    if asked[after] > 1:
        return "the velocity grows at the drop; it must shrink with eta: turn the quotient round."
    ours: Any = run(heavy_ball.at(eta=drop, gamma=lambda t: asked[t - 1]), _bowl, 1.0, 40).theta
    parted = np.flatnonzero(~(np.abs(ours - torch) < 1e-10))
    if not parted.size:
        return None
    if np.allclose(asked[after:], momentum * etas[1] / etas[0]):
        return f"only the step at the drop forgets; afterwards gamma is {momentum:g} again."
    return f"the two part at step {parted[0]}; what must the velocity lose when eta drops?"
