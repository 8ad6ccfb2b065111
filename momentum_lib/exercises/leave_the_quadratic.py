"""Checks of notebook 11: leave the quadratic."""

from __future__ import annotations

import numpy as np

from momentum_lib.definition import Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.problems import LessardCycle
from momentum_lib.rules import heavy_ball
from momentum_lib.runner import run
from momentum_lib.spectrum import spectral_radius

__all__ = ["check_everyone_home", "check_same_departure", "check_way_home"]


@checked("without momentum the same saddle is left as quickly.")
def check_same_departure(eta: float, *, eta_momentum: float = 0.1, gamma: float = 0.9) -> str | None:
    """Whether gradient descent leaves a saddle of curvature -1 as quickly as this heavy ball."""
    growth = float(spectral_radius(heavy_ball.at(eta=eta_momentum, gamma=gamma), -1.0))
    if abs(eta - (growth - 1)) < 1e-3:
        return None
    if not eta > 0:
        return "a learning rate is above 0."
    if abs(eta - eta_momentum / (1 - gamma)) < 1e-3:
        return "that is the effective learning rate; the velocity has no time to settle here."
    if abs(eta - growth) < 1e-3:
        return "that is heavy ball's factor a step; descent's factor is 1 + eta."
    return f"gradient descent grows by {1 + eta:.4g} a step, heavy ball by {growth:.4g}."


@checked("a little more and the cycle takes over.")
def check_way_home(eta: float, *, start: float = 3.3) -> str | None:
    """Whether this is the largest eta below Polyak's that brings heavy ball home from `start`."""
    if not 0 < eta <= 1 / 9 + 1e-9:
        return "give an eta above 0 and at most Polyak's 1/9; larger ones are another story."

    def arrives(rate: float) -> bool:
        ball = heavy_ball.at(eta=float(rate), gamma=4 / 9)
        return bool(abs(run(ball, LessardCycle().grad, start, 2000, every=2000).theta[-1]) < 1e-3)

    if not arrives(eta):
        return f"at {eta:.4g} it is still on a cycle after 2000 steps; take less."
    if arrives(eta + 1e-3):
        return f"{eta:.4g} brings it home, and so does {eta + 1e-3:.4g}; be bolder."
    return None


@checked("one method for every start. Compare it with its worst case over all functions.")
def check_everyone_home(rule: Rule) -> str | None:
    """Whether a rule with a memory is within 1e-6 of Lessard's minimizer after 100 steps from everywhere."""
    if not isinstance(rule, Rule):
        return "hand in a rule at its setting: Rule(my_rule).at(...)."
    starts = np.linspace(-6, 6, 1201)
    far = abs(run(rule, LessardCycle().grad, starts, 100, every=50).theta[1:])
    worst = np.nan_to_num(far[1], nan=np.inf).argmax()
    if not np.isfinite(far).all() or far[1].max() > 6:
        return f"from {starts[worst]:.4g} it runs away; take a smaller step."
    if far[1, worst] < 1e-6:
        return None if len(rule.slots) > 1 else "without a memory; let a second slot carry something on."
    if (cycling := far.min(axis=0).max()) > 0.1:
        return f"from {starts[worst]:.4g} it is still {cycling:.2g} away and comes no nearer: a cycle."
    return f"on its way, but from {starts[worst]:.4g} it is still {far[1, worst]:.1e} away; it is too slow."
