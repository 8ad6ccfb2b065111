"""Checks of notebook 16: invent your own rule."""

from __future__ import annotations

from momentum_lib.definition import Rule
from momentum_lib.exercises.verdict import checked
from momentum_lib.identification import identify
from momentum_lib.rules import gradient_descent
from momentum_lib.spectrum import spectral_radius
from momentum_lib.tuning import minimax, tune, worst_rate

__all__ = ["check_disguise", "check_new_rule", "check_repair"]


@checked("heavy ball takes the same steps: eta is lr (1 - mu), and gamma is mu.")
def check_disguise(eta: float, gamma: float, *, lr: float = 2.0, mu: float = 0.75) -> str | None:
    """Whether heavy ball at (eta, gamma) is the leash at (lr, mu)."""
    if abs(gamma - mu) > 5e-3:
        return "what is left of the old velocity is what is left of the old theta, mu."
    if abs(eta - lr * (1 - mu)) < 5e-3:
        return None
    if abs(eta - lr) < 5e-3:
        return "theta takes only the share 1 - mu of the runner's step."
    return "how far does theta go in the first step, for a gradient of one?"


@checked("it forgets, and so it arrives.")
def check_repair(rule: Rule, *, mu: float = 0.01, L: float = 1.0) -> str | None:
    """Whether a rule at its setting arrives on every curvature from `mu` to `L`, with a memory."""
    if not isinstance(rule, Rule):
        return "decorate the step with @rule and set its letters with .at()."
    rate = float(worst_rate(rule.closed(), mu, L))
    if rate >= 1 - 1e-9:
        still = abs(float(spectral_radius(rule, L)) - 1) < 1e-9
        return (
            "it swings for ever still; what was remembered must fade, by a factor below one each step."
            if still
            else f"its factor per step is {rate:.4g}; take a smaller step size."
        )
    if len(rule.slots) < 2:
        return "without a memory it is gradient descent; keep v, and let it fade."
    return None


@checked("new, linear and quicker than gradient descent. Now ask what a step costs.")
def check_new_rule(rule: Rule) -> str | None:
    """Whether `identify` does not know a rule that is quicker than gradient descent at kappa = 100."""
    if not isinstance(rule, Rule):
        return "decorate the step with @rule."
    if found := identify(rule):
        return f"{found!r}"
    best, plain = minimax(rule, 0.01, 1).rate or 0.0, tune(gradient_descent, 0.01, 1).rate or 1.0
    if best >= plain - 1e-6:
        return f"new, but its best factor per step is {best:.4f}, and gradient descent has {plain:.4f}."
    return None
